/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel: opens it, serves what the back-end asks for there, and answers.
 * Runs in the main context of the front-end, or inside one of its calls while that waits for the
 * back-end. (vhost-user, “Back-end message types”; the virtio-fs DAX series of 2020 and 2024) */

#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-message-private.h"

static guint signal_fs_request;

void
vhost_user_frontend_emit_request (VhostUserFrontend *frontend, VhostUserFrame *answer, guint signal,
                                  gpointer argument)
{
  VhostUserFrame *before = frontend->answer;

  frontend->answer = answer;
  g_signal_emit (frontend, signal, 0, argument);
  frontend->answer = before;
}

gboolean
vhost_user_frontend_check_index (VhostUserFrontend *frontend, guint64 index, GError **error)
{
  if (index < frontend->n_queues)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "queue %" G_GUINT64_FORMAT " of a device that has %u", index,
                          frontend->n_queues);
}

/* An answer that the application does not give is a refusal. */
static gboolean
serve_fs_request (VhostUserFrontend *frontend, VhostUserFrame *frame, VhostUserFrame *answer)
{
  VhostUserRole role = vhost_user_role_of_channel (frontend->fs_dialect);
  g_autoptr (VhostUserMessage) message = vhost_user_message_new_take_frame (role, frame);

  answer->payload.u64 = 1;
  vhost_user_frontend_emit_request (frontend, answer, signal_fs_request, message);
  return TRUE;
}

static gboolean
serve (VhostUserFrontend *frontend, VhostUserFrame *frame, VhostUserFrame *answer, GError **error)
{
  VhostUserRole role = vhost_user_role_of_channel (frontend->fs_dialect);
  const VhostUserRule *rule = vhost_user_rule_find (role, frame->request);

  if (!vhost_user_frontend_check_gate (frontend, rule, error))
    return FALSE;
  if (rule->layout == VHOST_USER_LAYOUT_FS)
    return serve_fs_request (frontend, frame, answer);
  switch (frame->request) {
  case VHOST_USER_BACKEND_CODE_CONFIG_CHANGE_MSG:
    vhost_reactor_queue_task (frontend->reactor, &frontend->config_task);
    return TRUE;
  case VHOST_USER_BACKEND_CODE_IOTLB_MSG:
    return vhost_user_frontend_serve_iotlb (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_VRING_HOST_NOTIFIER_MSG:
    return vhost_user_frontend_serve_host_notifier (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_VRING_CALL:
    return vhost_user_frontend_serve_vring_call (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_VRING_ERR:
    return vhost_user_frontend_serve_vring_err (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_SHARED_OBJECT_ADD:
    return vhost_user_frontend_add_object (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_SHARED_OBJECT_REMOVE:
    return vhost_user_frontend_remove_object (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_SHARED_OBJECT_LOOKUP:
    return vhost_user_frontend_lookup_object (frontend, frame, answer, error);
  case VHOST_USER_BACKEND_CODE_SHMEM_MAP:
    return vhost_user_frontend_map_shmem (frontend, frame, error);
  case VHOST_USER_BACKEND_CODE_SHMEM_UNMAP:
    return vhost_user_frontend_unmap_shmem (frontend, frame, error);
  default:
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "its feature is not in use");
  }
}

static gboolean
is_answer_due (VhostUserFrontend *frontend, const VhostUserFrame *frame)
{
  VhostUserRole role = vhost_user_role_of_channel (frontend->fs_dialect);

  return vhost_user_rule_find (role, frame->request)->reply == VHOST_USER_REPLY_BODY ||
         ((frame->flags & VHOST_USER_FLAGS_NEED_REPLY) != 0 &&
          vhost_word_has (frontend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK));
}

static void
init_channel_answer (VhostUserFrame *answer, const VhostUserFrame *frame)
{
  vhost_user_frame_init (answer, frame->request, VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         sizeof answer->payload.u64);
}

static void
refuse_channel_request (const VhostUserFrame *frame, VhostUserFrame *answer, const GError *error)
{
  g_info ("back-end request %u: %s", frame->request, error->message);
  vhost_fd_set_clear (&answer->fds);
  answer->payload.u64 = 1;
}

static void
on_channel_request (VhostUserConnection *channel, VhostUserFrame *frame, gpointer data)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (data);
  g_auto (VhostUserFrame) answer = { 0 };
  g_autoptr (GError) error = NULL;

  init_channel_answer (&answer, frame);
  if (!serve (frontend, frame, &answer, &error))
    refuse_channel_request (frame, &answer, error);
  /* Whoever heard of it may have left the back-end. */
  if (frontend->channel == channel && is_answer_due (frontend, frame))
    vhost_user_connection_send_frame (channel, &answer, NULL, NULL);
}

/* A request that breaks its rule is refused; when nobody waits for that, the channel ends. */
static void
on_bad_channel_request (VhostUserConnection *channel, const VhostUserFrame *frame,
                        const GError *error, gpointer data)
{
  VhostUserFrontend *frontend = data;
  g_auto (VhostUserFrame) answer = { 0 };

  init_channel_answer (&answer, frame);
  refuse_channel_request (frame, &answer, error);
  if (is_answer_due (frontend, frame)) {
    vhost_user_connection_send_frame (channel, &answer, NULL, NULL);
  } else {
    vhost_user_connection_close (channel);
    g_clear_object (&frontend->channel);
  }
}

/* The channel alone may break: the device goes on, its requests no longer arrive. */
static void
on_channel_closed (VhostUserConnection *channel, const GError *error, gpointer data)
{
  VhostUserFrontend *frontend = data;

  if (frontend->channel == channel)
    g_clear_object (&frontend->channel);
}

gboolean
vhost_user_frontend_open_channel (VhostUserFrontend *frontend, GCancellable *cancellable,
                                  GError **error)
{
  g_auto (VhostUserFrame) frame = { 0 };
  int pair[2];

  /* The end that is handed over blocks: some back-ends count on it. */
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot make the back-end channel");
  frontend->channel = vhost_user_connection_new_take_fd (
      pair[0], vhost_user_role_of_channel (frontend->fs_dialect), FALSE);
  vhost_user_connection_set_bad_frame_func (frontend->channel, on_bad_channel_request);
  vhost_user_connection_set_protocol_features (frontend->channel, frontend->acked_protocol);
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_BACKEND_REQ_FD, 0);
  frame.fds = (VhostFdSet){ .n = 1, .fd = { pair[1] } };
  return vhost_user_connection_start (frontend->channel, frontend->reactor, on_channel_request,
                                      on_channel_closed, frontend, error) &&
         vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

/**
 * vhost_user_frontend_answer_fs_request:
 * @frontend: a front-end
 * @result: 0 when it is done, for IO the bytes that were moved; a negative errno when it failed
 * @error: return location
 *
 * Answers the request that [signal@Vhost.UserFrontend::fs-request] is telling of.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE outside that signal
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_answer_fs_request (VhostUserFrontend *frontend, gint64 result, GError **error)
{
  VhostUserRole role;
  const VhostUserRule *rule;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  role = vhost_user_role_of_channel (frontend->fs_dialect);
  rule = frontend->answer != NULL ? vhost_user_rule_find (role, frontend->answer->request) : NULL;
  if (rule == NULL || rule->layout != VHOST_USER_LAYOUT_FS)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "there is no virtio-fs request to answer");
  frontend->answer->payload.u64 = (guint64) result;
  return TRUE;
}

void
vhost_user_frontend_install_channel (GObjectClass *object_class)
{
  vhost_user_frontend_install_objects (object_class);
  vhost_user_frontend_install_shmem (object_class);
  vhost_user_frontend_install_host_notifier ();

  /**
   * VhostUserFrontend::fs-request:
   * @frontend: the front-end
   * @message: FS_MAP, FS_UNMAP, FS_SYNC or FS_IO, with the file's descriptor in the first and the
   * last
   *
   * A virtio-fs back-end asks for something in the numbering of
   * [property@Vhost.UserFrontend:fs-dialect]. Nothing but the form of the message has been checked:
   * ranges of the window are the application's to check. Answer with
   * [method@Vhost.UserFrontend.answer_fs_request]; a request that nobody answers is refused. It may
   * come while a call waits for the back-end: no other call to it can be made from here.
   *
   * Since: 1.0
   */
  signal_fs_request =
      g_signal_new ("fs-request", G_TYPE_FROM_CLASS (object_class), G_SIGNAL_RUN_LAST, 0, NULL,
                    NULL, NULL, G_TYPE_NONE, 1, VHOST_USER_TYPE_MESSAGE);
}
