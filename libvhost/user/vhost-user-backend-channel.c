/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the requests that a back-end has sent on its channel and that are not answered yet. Nothing
 * waits: answers come from the loop, in order, so that a request of the front-end is served
 * meanwhile and neither side holds up the other. Control thread. (vhost-user, “Back-end
 * communication”, REPLY_ACK, “Suspended device state”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"
#include "user/vhost-user-socket-private.h"

#define MAX_CALLS 64 /* of those with a deadline; each queue bounds its others */

typedef struct {
  VhostUserReplyFunc func;
  gpointer data;
  guint request;
  gint64 deadline; /* -1: none */
} Call;

/* Whose result an answer is. */
typedef struct {
  GTask *task;
  VhostUserAnswerFunc func;
} Result;

static guint signal_request_refused;

static void end_channel (VhostUserBackend *backend, VhostError code, const char *reason);

static gboolean
on_deadline (gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);

  g_clear_pointer (&backend->call_deadline, g_source_unref);
  /* Whose answer comes next is not known any more. */
  end_channel (backend, VHOST_ERROR_TIMED_OUT, "the front-end does not answer");
  return G_SOURCE_REMOVE;
}

/* How many have a deadline, and the first of these, or -1. */
static guint
count_due (VhostUserBackend *backend, gint64 *deadline)
{
  guint n = 0;

  *deadline = -1;
  for (const GList *link = backend->calls.head; link != NULL; link = link->next) {
    const Call *call = link->data;

    if (call->deadline >= 0 && n++ == 0)
      *deadline = call->deadline;
  }
  return n;
}

guint
vhost_user_backend_count_calls (VhostUserBackend *backend, guint request)
{
  guint n = 0;

  for (const GList *link = backend->calls.head; link != NULL; link = link->next)
    n += ((const Call *) link->data)->request == request;
  return n;
}

static void
update_deadline (VhostUserBackend *backend)
{
  gint64 deadline;

  count_due (backend, &deadline);
  if (deadline < 0) {
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
  g_source_set_ready_time (backend->call_deadline, deadline);
}

static void
fail_calls (VhostUserBackend *backend, VhostError code, const char *reason)
{
  g_autoptr (GError) error = g_error_new_literal (VHOST_ERROR, code, reason);
  GQueue calls = backend->calls;
  Call *next;

  g_queue_init (&backend->calls);
  update_deadline (backend);
  while ((next = g_queue_pop_head (&calls)) != NULL) {
    g_autofree Call *call = next;

    call->func (backend, NULL, error, call->data);
  }
}

/* Closed first: those that fail must not be sent there again. */
static void
end_channel (VhostUserBackend *backend, VhostError code, const char *reason)
{
  g_autoptr (VhostUserConnection) channel = g_steal_pointer (&backend->channel);

  if (channel != NULL)
    vhost_user_connection_close (channel);
  fail_calls (backend, code, reason);
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
                          "protocol feature %s was not negotiated",
                          vhost_user_protocol_feature_get_name (gate));
}

/* A device of which no queue runs is suspended, and says nothing; one that waits for the address of
 * its ring asks for that. */
static gboolean
check_call (VhostUserBackend *backend, const VhostUserRule *rule, const VhostUserFrame *frame,
            gboolean is_due, GError **error)
{
  gint64 deadline;

  if (backend->channel == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end channel");
  if (!check_gate (backend, rule, frame, error))
    return FALSE;
  if (frame->request != VHOST_USER_BACKEND_CODE_IOTLB_MSG &&
      !vhost_backend_any_started (VHOST_BACKEND (backend)))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no queue is running");
  if (is_due && count_due (backend, &deadline) >= MAX_CALLS)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "%d requests wait for an answer",
                            MAX_CALLS);
  return TRUE;
}

static void
push_call (VhostUserBackend *backend, guint request, gboolean is_due, VhostUserReplyFunc func,
           gpointer data)
{
  gint64 deadline = g_get_monotonic_time () + backend->timeout * G_TIME_SPAN_MILLISECOND;
  Call *call = g_new (Call, 1);

  *call = (Call){ func, data, request, is_due ? deadline : -1 };
  g_queue_push_tail (&backend->calls, call);
  update_deadline (backend);
}

gboolean
vhost_user_backend_send (VhostUserBackend *backend, VhostUserFrame *frame, gboolean is_due,
                         VhostUserReplyFunc func, gpointer data, GError **error)
{
  const VhostUserRule *rule =
      vhost_user_rule_find (vhost_user_role_of_channel (backend->fs_dialect), frame->request);
  gboolean has_body = rule->reply == VHOST_USER_REPLY_BODY;
  gboolean acks = vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK);

  if (!has_body && acks)
    frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
  if (!check_call (backend, rule, frame, is_due, error) ||
      !vhost_user_connection_send_frame (backend->channel, frame, NULL, error)) {
    g_prefix_error (error, "%s: ", rule->name);
    return FALSE;
  }
  if (has_body || acks)
    push_call (backend, frame->request, is_due, func, data);
  else
    func (backend, NULL, NULL, data);
  return TRUE;
}

static void
finish_result (VhostUserBackend *backend, VhostUserFrame *answer, const GError *error,
               gpointer data)
{
  g_autofree Result *result = data;
  g_autoptr (GTask) task = result->task;

  if (error != NULL)
    g_task_return_error (task, g_error_copy (error));
  else
    result->func (backend, task, answer);
}

gboolean
vhost_user_backend_call (VhostUserBackend *backend, VhostUserFrame *frame, GTask *task,
                         VhostUserAnswerFunc func)
{
  g_autofree Result *result = g_new (Result, 1);
  g_autoptr (GTask) owned = task;
  GError *error = NULL;

  *result = (Result){ task, func };
  if (!vhost_user_backend_send (backend, frame, TRUE, finish_result, result, &error)) {
    g_task_return_error (task, error);
    return FALSE;
  }
  (void) g_steal_pointer (&owned);
  (void) g_steal_pointer (&result);
  return TRUE;
}

void
vhost_user_backend_report_refusal (VhostUserBackend *backend, VhostUserFrame *answer,
                                   const GError *error, gpointer data)
{
  g_autoptr (GError) refusal = NULL;

  if (answer == NULL || answer->payload.u64 == 0)
    return;
  refusal = g_error_new (VHOST_ERROR, VHOST_ERROR_REFUSED, "%s: the front-end refused",
                         vhost_user_get_request_name (VHOST_USER_ROLE_BACKEND, answer->request));
  g_signal_emit (backend, signal_request_refused, 0, answer->request, refusal);
}

/* The answers can no longer be told apart: the channel is of no use. */
static void
fail_channel (VhostUserBackend *backend, const VhostUserFrame *frame)
{
  VhostUserRole role = vhost_user_role_of_channel (backend->fs_dialect);
  g_autoptr (GError) error =
      g_error_new (VHOST_ERROR, VHOST_ERROR_PROTOCOL, "%s: an answer to what was not asked",
                   vhost_user_get_request_name (role, frame->request));

  end_channel (backend, VHOST_ERROR_PROTOCOL, "the front-end answered another request");
  vhost_backend_report_failure (VHOST_BACKEND (backend), error);
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

void
vhost_user_backend_drop_channel (VhostUserBackend *backend)
{
  end_channel (backend, VHOST_ERROR_DISCONNECTED, "the channel was closed");
}

static void
take_answer (VhostUserConnection *channel, VhostUserFrame *frame, gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  g_autofree Call *call = NULL;
  const Call *first = g_queue_peek_head (&backend->calls);

  if (first == NULL || first->request != frame->request) {
    fail_channel (backend, frame);
    return;
  }
  call = g_queue_pop_head (&backend->calls);
  update_deadline (backend);
  call->func (backend, frame, NULL, call->data);
}

static void
on_channel_closed (VhostUserConnection *channel, const GError *error, gpointer data)
{
  VhostUserBackend *backend = data;

  if (backend->channel == channel)
    vhost_user_backend_drop_channel (backend);
}

gboolean
vhost_user_backend_take_channel (VhostUserBackend *backend, int fd, GError **error)
{
  VHOST_AUTO_FD owned = fd;
  g_autoptr (VhostUserConnection) channel = NULL;
  gboolean listening;

  if (!vhost_user_socket_check (owned, &listening, error))
    return FALSE;
  if (listening)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "the socket is not connected");
  channel = vhost_user_connection_new_take_fd (
      vhost_fd_steal (&owned), vhost_user_role_of_channel (backend->fs_dialect), TRUE);
  vhost_user_connection_set_protocol_features (channel, backend->acked_protocol);
  if (!vhost_user_connection_start (channel, backend->reactor, take_answer, on_channel_closed,
                                    backend, error))
    return FALSE;
  vhost_user_backend_drop_channel (backend);
  backend->channel = g_steal_pointer (&channel);
  vhost_user_backend_resume_calls (backend);
  vhost_backend_ask_iotlb_again (VHOST_BACKEND (backend));
  return TRUE;
}

void
vhost_user_backend_install_channel (void)
{
  /**
   * VhostUserBackend::request-refused:
   * @backend: the back-end
   * @request: a #VhostUserBackendCode
   * @error: names the request
   *
   * The front-end refused a request on the back-end channel that has no result of its own:
   * VRING_CALL, VRING_ERR, VRING_HOST_NOTIFIER_MSG, or an IOTLB_MSG that asks for a translation.
   * The session goes on.
   *
   * Since: 1.0
   */
  signal_request_refused =
      g_signal_new ("request-refused", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                    NULL, G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_ERROR);
}
