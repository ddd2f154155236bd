/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of the back-end on its channel. Nothing waits for an answer: the front-end may be
 * waiting for one of ours at that moment. Answers carry no number of their request, but come in
 * order. Control thread. (vhost-user, “Back-end communication”, REPLY_ACK) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"

#define MAX_UNANSWERED 1024

/* A request whose answer is still to come. */
typedef struct {
  guint32 request;
  guint tag;
  VhostUserAnswerFunc func;
} Asked;

static guint signal_request_refused;

static gboolean
has_acked (VhostUserBackend *backend, guint bit)
{
  return vhost_word_has (backend->acked_protocol, bit);
}

static gboolean
check_negotiated (VhostUserBackend *backend, guint bit, GError **error)
{
  return has_acked (backend, bit) || vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                                                      "protocol feature %s was not negotiated",
                                                      vhost_user_protocol_feature_get_name (bit));
}

static gboolean
check_channel (VhostUserBackend *backend, const VhostUserRule *rule, gboolean with_fds,
               GError **error)
{
  if (!check_negotiated (backend, (guint) rule->gate, error) ||
      (with_fds && !check_negotiated (backend, VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD, error)))
    return FALSE;
  if (backend->channel == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end channel");
  if (backend->unanswered.length >= MAX_UNANSWERED)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "%d requests are not answered yet",
                            MAX_UNANSWERED);
  return TRUE;
}

gboolean
vhost_user_backend_ask (VhostUserBackend *backend, VhostUserFrame *frame, guint tag,
                        VhostUserAnswerFunc func, GError **error)
{
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_BACKEND, frame->request);
  gboolean wants_answer = has_acked (backend, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK);

  if (wants_answer)
    frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
  if (!check_channel (backend, rule, frame->fds.n > 0, error) ||
      !vhost_user_connection_send_frame (backend->channel, frame, NULL, error)) {
    g_prefix_error (error, "%s: ", rule->name);
    return FALSE;
  }
  if (wants_answer) {
    Asked *asked = g_new (Asked, 1);

    *asked = (Asked){ frame->request, tag, func };
    g_queue_push_tail (&backend->unanswered, asked);
  }
  return TRUE;
}

/* The answers can no longer be told apart: the channel is of no use. */
static void
fail_channel (VhostUserBackend *backend, const VhostUserFrame *frame)
{
  g_autoptr (GError) error =
      g_error_new (VHOST_ERROR, VHOST_ERROR_PROTOCOL, "%s: an answer to nothing that was asked",
                   vhost_user_get_request_name (VHOST_USER_ROLE_BACKEND, frame->request));
  g_autoptr (VhostUserConnection) channel = g_steal_pointer (&backend->channel);

  vhost_user_connection_close (channel);
  vhost_user_backend_forget_asked (backend);
  vhost_backend_report_failure (VHOST_BACKEND (backend), error);
}

void
vhost_user_backend_take_answer (VhostUserConnection *channel, VhostUserFrame *frame, gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  g_autofree Asked *asked = g_queue_pop_head (&backend->unanswered);
  gboolean done = frame->payload.u64 == 0;

  if (asked == NULL || asked->request != frame->request) {
    fail_channel (backend, frame);
    return;
  }
  if (asked->func != NULL)
    asked->func (backend, asked->tag, done);
  if (!done) {
    g_autoptr (GError) error =
        g_error_new (VHOST_ERROR, VHOST_ERROR_REFUSED, "%s: the front-end refused",
                     vhost_user_get_request_name (VHOST_USER_ROLE_BACKEND, frame->request));

    g_signal_emit (backend, signal_request_refused, 0, frame->request, error);
  }
}

void
vhost_user_backend_forget_asked (VhostUserBackend *backend)
{
  Asked *next;

  while ((next = g_queue_pop_head (&backend->unanswered)) != NULL) {
    g_autofree Asked *asked = next;

    if (asked->func != NULL)
      asked->func (backend, asked->tag, FALSE);
  }
}

void
vhost_user_backend_install_ask (void)
{
  /**
   * VhostUserBackend::request-refused:
   * @backend: the back-end
   * @request: a #VhostUserBackendCode
   * @error: names the request
   *
   * The front-end refused a request that was sent on the back-end channel. The session goes on.
   *
   * Since: 1.0
   */
  signal_request_refused =
      g_signal_new ("request-refused", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                    NULL, G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_ERROR);
}
