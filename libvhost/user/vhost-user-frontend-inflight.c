/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps the inflight area for the back-end: the back-end makes it, and whoever serves the device
 * next gets it from here. Never mapped: what it says is between one back-end and the next. One
 * thread. (vhost-user, “Inflight I/O tracking”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

static gboolean
check_area (const VhostUserInflightArea *area, guint n_fds, guint n_queues, guint queue_size,
            GError **error)
{
  if (area->mmap_size == 0) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 "GET_INFLIGHT_FD: the back-end keeps no area");
    return FALSE;
  }
  if (n_fds != 1)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "GET_INFLIGHT_FD: answered without a descriptor");
  if (area->num_queues != n_queues || area->queue_size != queue_size)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL,
                            "GET_INFLIGHT_FD: answered with an area of %u queues of %u, not %u of "
                            "%u",
                            area->num_queues, area->queue_size, n_queues, queue_size);
  return TRUE;
}

void
vhost_user_frontend_drop_inflight (VhostDevice *device)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);

  vhost_fd_clear (&frontend->inflight_fd);
  frontend->inflight = (VhostUserInflightArea){ 0 };
}

gboolean
vhost_user_frontend_give_inflight (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  VhostUserFrame frame = { 0 };

  if (frontend->inflight_fd < 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_INFLIGHT_FD: there is no area");
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_INFLIGHT_FD,
                                    sizeof frame.payload.inflight);
  frame.payload.inflight = frontend->inflight;
  frame.fds = (VhostFdSet){ .n = 1, .fd = { frontend->inflight_fd } }; /* borrowed */
  return vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

gboolean
vhost_user_frontend_request_inflight (VhostDevice *device, guint n_queues, guint queue_size,
                                      GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  vhost_user_frontend_drop_inflight (device);
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_GET_INFLIGHT_FD,
                                    sizeof frame.payload.inflight);
  frame.payload.inflight.num_queues = (guint16) n_queues;
  frame.payload.inflight.queue_size = (guint16) queue_size;
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error) ||
      !check_area (&reply.payload.inflight, reply.fds.n, n_queues, queue_size, error))
    return FALSE;
  frontend->inflight = reply.payload.inflight;
  frontend->inflight_fd = vhost_fd_steal (&reply.fds.fd[0]);
  return vhost_user_frontend_give_inflight (device, cancellable, error);
}
