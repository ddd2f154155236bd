/* SPDX-License-Identifier: BSD-3-Clause */
/* How a display socket gets from a front-end to a back-end. Threads of the two. (vhost-user,
 * GPU_SET_SOCKET) */

#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-gpu-private.h"
#include "user/vhost-user-socket-private.h"

static guint signal_gpu_socket;

/* A new socket takes the place of the one before. */
gboolean
vhost_user_backend_set_gpu_socket (VhostUserBackend *backend, VhostUserFrame *frame,
                                   VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostUserGpuConnection) connection = vhost_user_gpu_connection_new ();

  if (!vhost_user_gpu_connection_open_fd (connection, frame->fds.fd[0], FALSE, error))
    return FALSE;
  vhost_user_backend_drop_gpu (backend);
  backend->gpu = g_object_ref (connection);
  g_signal_emit (backend, signal_gpu_socket, 0, connection);
  return TRUE;
}

void
vhost_user_backend_drop_gpu (VhostUserBackend *backend)
{
  if (backend->gpu != NULL)
    vhost_user_gpu_connection_close (backend->gpu);
  g_clear_object (&backend->gpu);
}

void
vhost_user_backend_install_gpu (GObjectClass *object_class)
{
  /**
   * VhostUserBackend::gpu-socket:
   * @backend: the back-end, of a graphics device
   * @connection: the device's side of the display socket
   *
   * The front-end has given the device a display. It replaces the one before, and is closed when
   * the front-end leaves.
   *
   * Since: 1.0
   */
  signal_gpu_socket =
      g_signal_new ("gpu-socket", G_TYPE_FROM_CLASS (object_class), G_SIGNAL_RUN_LAST, 0, NULL,
                    NULL, NULL, G_TYPE_NONE, 1, VHOST_USER_TYPE_GPU_CONNECTION);
}

/**
 * vhost_user_frontend_open_gpu:
 * @frontend: a front-end, of a graphics device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Gives the device a display, in place of the one before. Connect to the signals of the result
 * before the main context runs again. Blocks for [property@Vhost.UserFrontend:timeout] at most.
 *
 * Returns: (transfer full): the display's side of the socket; %NULL with %VHOST_ERROR_REFUSED when
 * the device is no graphics device, or another error
 *
 * Since: 1.0
 */
VhostUserGpuConnection *
vhost_user_frontend_open_gpu (VhostUserFrontend *frontend, GCancellable *cancellable,
                              GError **error)
{
  g_autoptr (VhostUserGpuConnection) connection = vhost_user_gpu_connection_new ();
  VhostUserFrame frame = { 0 };
  VHOST_AUTO_FD ours = -1;
  VHOST_AUTO_FD its = -1;
  int pair[2];

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), NULL);

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot make a display socket");
    return NULL;
  }
  ours = pair[0];
  its = pair[1];
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_GPU_SET_SOCKET, 0);
  frame.fds = (VhostFdSet){ .n = 1, .fd = { its } }; /* borrowed: the frame is not cleared */
  if (!vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error) ||
      !vhost_user_gpu_connection_take_fd (connection, vhost_fd_steal (&ours), TRUE, error))
    return NULL;
  return g_steal_pointer (&connection);
}
