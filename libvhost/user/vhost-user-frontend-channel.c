/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves the requests of a back-end that change something or want an answer of the application.
 * Runs in the main context of the front-end, or inside one of its calls while that waits for the
 * back-end. (vhost-user, “Back-end message types”; the virtio-fs DAX series of 2020 and 2024) */

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

gboolean
vhost_user_frontend_serve (VhostUserFrontend *frontend, VhostUserFrame *frame,
                           VhostUserFrame *answer, GError **error)
{
  VhostUserRole role = vhost_user_role_of_channel (frontend->fs_dialect);

  if (vhost_user_rule_find (role, frame->request)->layout == VHOST_USER_LAYOUT_FS)
    return serve_fs_request (frontend, frame, answer);
  switch (frame->request) {
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
