/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the requests that a back-end has sent on its channel and that are not answered yet. Nothing
 * waits: answers come from the loop, in order, so that a request of the front-end is served
 * meanwhile and neither side holds up the other. Control thread. (vhost-user, “Back-end
 * communication”, REPLY_ACK, “Suspended device state”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

#define MAX_CALLS 64

typedef struct {
  GTask *task;
  VhostUserAnswerFunc func;
  guint request;
  gint64 deadline;
} Call;

static void
call_free (Call *call)
{
  g_object_unref (call->task);
  g_free (call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static void update_deadline (VhostUserBackend *backend);

static gboolean
on_deadline (gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);

  g_clear_pointer (&backend->call_deadline, g_source_unref);
  vhost_user_backend_fail_calls (backend, VHOST_ERROR_TIMED_OUT, "the front-end does not answer");
  vhost_user_backend_drop_channel (backend); /* whose answer comes next is not known any more */
  return G_SOURCE_REMOVE;
}

static void
update_deadline (VhostUserBackend *backend)
{
  const Call *first = g_queue_peek_head (&backend->calls);

  if (first == NULL) {
    if (backend->call_deadline != NULL)
      g_source_destroy (backend->call_deadline);
    g_clear_pointer (&backend->call_deadline, g_source_unref);
    return;
  }
  if (backend->call_deadline == NULL) {
    backend->call_deadline = g_timeout_source_new (backend->timeout);
    g_source_set_callback (backend->call_deadline, on_deadline, backend, NULL);
    g_source_attach (backend->call_deadline, vhost_reactor_get_context (backend->reactor));
  }
  g_source_set_ready_time (backend->call_deadline, first->deadline);
}

static gboolean
check_gate (VhostUserBackend *backend, const VhostUserRule *rule, const VhostUserFrame *frame,
            GError **error)
{
  const guint send_fd = VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD;
  gboolean gate_open = vhost_word_has (backend->acked_protocol, (guint) rule->gate);
  guint gate = gate_open ? send_fd : (guint) rule->gate;

  if (gate_open && (frame->fds.n == 0 || vhost_word_has (backend->acked_protocol, send_fd)))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                          "%s: protocol feature %s was not negotiated", rule->name,
                          vhost_user_protocol_feature_get_name (gate));
}

/* A device of which no queue runs is suspended, and says nothing. */
static gboolean
check_call (VhostUserBackend *backend, const VhostUserRule *rule, const VhostUserFrame *frame,
            GError **error)
{
  if (backend->channel == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "%s: there is no back-end channel",
                            rule->name);
  if (!check_gate (backend, rule, frame, error))
    return FALSE;
  if (!vhost_backend_any_started (VHOST_BACKEND (backend)))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "%s: no queue is running", rule->name);
  if (backend->calls.length >= MAX_CALLS)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "%s: %u requests wait for an answer",
                            rule->name, backend->calls.length);
  return TRUE;
}

static void
push_call (VhostUserBackend *backend, guint request, GTask *task, VhostUserAnswerFunc func)
{
  Call *call = g_new0 (Call, 1);

  call->task = g_object_ref (task);
  call->func = func;
  call->request = request;
  call->deadline = g_get_monotonic_time () + backend->timeout * G_TIME_SPAN_MILLISECOND;
  g_queue_push_tail (&backend->calls, call);
  update_deadline (backend);
}

gboolean
vhost_user_backend_call (VhostUserBackend *backend, VhostUserFrame *frame, GTask *task,
                         VhostUserAnswerFunc func)
{
  g_autoptr (GTask) owned = task;
  const VhostUserRule *rule =
      vhost_user_rule_find (vhost_user_role_of_channel (backend->fs_dialect), frame->request);
  gboolean has_body = rule->reply == VHOST_USER_REPLY_BODY;
  gboolean acks = vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK);
  GError *error = NULL;

  if (!has_body && acks)
    frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
  if (!check_call (backend, rule, frame, &error) ||
      !vhost_user_connection_send_frame (backend->channel, frame, NULL, &error)) {
    g_task_return_error (task, error);
    return FALSE;
  }
  if (has_body || acks)
    push_call (backend, frame->request, task, func);
  else
    func (backend, task, NULL);
  return TRUE;
}

void
vhost_user_backend_take_answer (VhostUserBackend *backend, VhostUserFrame *frame)
{
  g_autoptr (VhostUserBackend) self = g_object_ref (backend);
  g_autoptr (Call) call = NULL;
  const Call *first = g_queue_peek_head (&backend->calls);

  if (first == NULL)
    return; /* nobody asked, and nothing hangs on it */
  if (first->request != frame->request) {
    vhost_user_backend_fail_calls (backend, VHOST_ERROR_PROTOCOL,
                                   "the front-end answered another request");
    vhost_user_backend_drop_channel (backend);
    return;
  }
  call = g_queue_pop_head (&backend->calls);
  update_deadline (backend);
  call->func (backend, call->task, frame);
}

void
vhost_user_backend_fail_calls (VhostUserBackend *backend, VhostError code, const char *reason)
{
  GQueue calls = backend->calls;

  g_queue_init (&backend->calls);
  update_deadline (backend);
  for (Call *call = g_queue_pop_head (&calls); call != NULL; call = g_queue_pop_head (&calls)) {
    g_task_return_new_error (call->task, VHOST_ERROR, code, "%s", reason);
    call_free (call);
  }
}

gboolean
vhost_user_backend_check_answer (GTask *task, VhostUserFrame *answer)
{
  if (answer == NULL || answer->payload.u64 == 0)
    return TRUE;
  g_task_return_new_error (task, VHOST_ERROR, VHOST_ERROR_REFUSED, "the front-end refused");
  return FALSE;
}

void
vhost_user_backend_finish_call (VhostUserBackend *backend, GTask *task, VhostUserFrame *answer)
{
  if (vhost_user_backend_check_answer (task, answer))
    g_task_return_boolean (task, TRUE);
}
