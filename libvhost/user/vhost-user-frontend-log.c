/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log that a front-end gives to its back-end. (vhost-user, “Migration”, SET_LOG_BASE,
 * SET_LOG_FD) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

/* The specification wants an answer and does not say which: nothing, a number, or the request's own
 * payload are in use. A number is an ack, or what some leave in it: the first field of the
 * request. */
static gboolean
check_answer (const VhostUserFrame *reply, guint64 size, GError **error)
{
  gboolean done = TRUE;

  if (reply->size == sizeof reply->payload.u64)
    done = reply->payload.u64 == 0 || reply->payload.u64 == size;
  else if (reply->size == sizeof reply->payload.log)
    done = reply->payload.log.mmap_size != 0;
  return done || vhost_set_error (error, VHOST_ERROR_REFUSED, "SET_LOG_BASE: the back-end refused");
}

gboolean
vhost_user_frontend_set_log_base (VhostDevice *device, int fd, guint64 size, guint64 offset,
                                  GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  if (frontend->connection != NULL &&
      !vhost_word_has (frontend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "SET_LOG_BASE: protocol feature LOG_SHMFD was not negotiated");
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_LOG_BASE,
                                    sizeof frame.payload.log);
  frame.payload.log.mmap_size = size;
  frame.payload.log.mmap_offset = offset;
  frame.fds = (VhostFdSet){ .n = 1, .fd = { fd } }; /* borrowed: the frame is not cleared */
  /* There is one answer, asked for or not; asking lets it say that the request failed. */
  if (vhost_word_has (frontend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK))
    frame.flags |= VHOST_USER_FLAGS_NEED_REPLY;
  return vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error) &&
         check_answer (&reply, size, error);
}

gboolean
vhost_user_frontend_set_log_fd (VhostDevice *device, int fd, GCancellable *cancellable,
                                GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_LOG_FD, 0);
  frame.fds = (VhostFdSet){ .n = 1, .fd = { fd } }; /* borrowed: the frame is not cleared */
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}
