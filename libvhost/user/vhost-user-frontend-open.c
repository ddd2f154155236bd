/* SPDX-License-Identifier: BSD-3-Clause */
/* How a front-end comes to a back-end, and leaves it. Runs on the thread whose main context the
 * session will belong to. (vhost-user, “Communication”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-socket-private.h"

static gboolean
check_closed (VhostUserFrontend *frontend, GError **error)
{
  if (frontend->connection == NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the front-end is open already");
}

/**
 * vhost_user_frontend_open:
 * @frontend: a front-end
 * @path: (type filename): the socket at which the back-end listens
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Connects to a back-end and begins a session: protocol features, limits, back-end channel, owner.
 * Blocks, each step for [property@Vhost.UserFrontend:timeout] at most.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when it is open already, a #GIOErrorEnum
 * when nobody listens, or another #VhostError when the back-end does not keep to the protocol
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_open (VhostUserFrontend *frontend, const char *path, GCancellable *cancellable,
                          GError **error)
{
  int fd;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  if (!check_closed (frontend, error))
    return FALSE;
  fd = vhost_user_socket_connect (
      path, g_get_monotonic_time () + frontend->timeout * G_TIME_SPAN_MILLISECOND, cancellable,
      error);
  return fd >= 0 && vhost_user_frontend_take_connection (frontend, fd, cancellable, error);
}

/**
 * vhost_user_frontend_open_fd:
 * @frontend: a front-end
 * @fd: a connected Unix stream socket; duplicated
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * As [method@Vhost.UserFrontend.open], on a socket that is connected already.
 *
 * Returns: %TRUE, or %FALSE with an error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_open_fd (VhostUserFrontend *frontend, int fd, GCancellable *cancellable,
                             GError **error)
{
  gboolean listening;
  int copy;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  if (!check_closed (frontend, error) || !vhost_user_socket_check (fd, &listening, error))
    return FALSE;
  if (listening)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "the socket is not connected");
  copy = vhost_fd_dup (fd, error);
  return copy >= 0 && vhost_user_frontend_take_connection (frontend, copy, cancellable, error);
}

/**
 * vhost_user_frontend_close:
 * @frontend: a front-end
 *
 * Leaves the back-end. The front-end can be opened again.
 *
 * Since: 1.0
 */
void
vhost_user_frontend_close (VhostUserFrontend *frontend)
{
  g_return_if_fail (VHOST_USER_IS_FRONTEND (frontend));

  vhost_user_frontend_drop_connection (frontend);
}
