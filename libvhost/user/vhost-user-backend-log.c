/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log as the front-end shares it. It may come, and come again when the guest has grown,
 * while queues run. Control thread. (vhost-user, “Migration”, SET_LOG_BASE, SET_LOG_FD) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

gboolean
vhost_user_backend_set_log_base (VhostUserBackend *backend, VhostUserFrame *frame,
                                 VhostUserFrame *reply, GError **error)
{
  const VhostUserLogBase *wanted = &frame->payload.log;
  VhostDirtyLog *log;

  /* Without it a log would be an address of another process. */
  if (!vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "protocol feature LOG_SHMFD was not negotiated");
  log = vhost_dirty_log_map (frame->fds.fd[0], wanted->mmap_size, wanted->mmap_offset, error);
  if (log == NULL)
    return FALSE;
  vhost_backend_take_log (VHOST_BACKEND (backend), log);
  reply->payload.log = *wanted;
  return TRUE;
}

gboolean
vhost_user_backend_set_log_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                               VhostUserFrame *reply, GError **error)
{
  if (!vhost_fd_check_event (frame->fds.fd[0], error))
    return FALSE;
  vhost_backend_take_log_fd (VHOST_BACKEND (backend), vhost_fd_steal (&frame->fds.fd[0]));
  return TRUE;
}
