/* SPDX-License-Identifier: BSD-3-Clause */
/* How a front-end comes to a back-end, and leaves it: connects, takes a connection, or listens for
 * one. Runs on the thread whose main context the session will belong to.
 * (vhost-user, “Communication”) */

#include <errno.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-socket-private.h"

/* @can_return: the place is known at which another back-end may come. */
static gboolean
begin_session (VhostUserFrontend *frontend, int fd, gboolean can_return, GCancellable *cancellable,
               GError **error)
{
  vhost_user_frontend_forget_session (frontend);
  frontend->reactor = vhost_reactor_get ();
  vhost_user_retry_init (&frontend->retry, frontend->reconnect_interval);
  if (can_return && frontend->retry.first > 0)
    frontend->session = vhost_user_session_new ();
  if (vhost_user_frontend_take_connection (frontend, fd, cancellable, error))
    return TRUE;
  vhost_user_frontend_forget_session (frontend);
  return FALSE;
}

static gboolean
check_closed (VhostUserFrontend *frontend, GError **error)
{
  if (frontend->connection == NULL && !frontend->reconnecting && frontend->listen_fd < 0)
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
  if (fd < 0)
    return FALSE;
  g_free (frontend->path);
  frontend->path = g_strdup (path);
  return begin_session (frontend, fd, TRUE, cancellable, error);
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
  return copy >= 0 && begin_session (frontend, copy, FALSE, cancellable, error);
}

int
vhost_user_frontend_accept_fd (VhostUserFrontend *frontend, GError **error)
{
  int fd = accept4 (frontend->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
    vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "no back-end has connected");
  else if (fd < 0)
    vhost_set_error_from_errno (error, errno, "cannot accept a back-end");
  return fd;
}

/**
 * vhost_user_frontend_listen:
 * @frontend: a front-end
 * @path: (type filename): where the Unix socket is made
 * @error: return location
 *
 * Listens for a back-end that connects. It is served after [method@Vhost.UserFrontend.accept]. A
 * dead socket at @path is replaced; a live one or any other file is left alone.
 * [method@Vhost.UserFrontend.close] removes the socket.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the front-end is open or listens
 *   already, or a #GIOErrorEnum when the socket cannot be made
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_listen (VhostUserFrontend *frontend, const char *path, GError **error)
{
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  if (!check_closed (frontend, error))
    return FALSE;
  frontend->listen_fd = vhost_user_socket_listen (path, error);
  if (frontend->listen_fd < 0)
    return FALSE;
  g_free (frontend->path);
  frontend->path = g_strdup (path);
  return TRUE;
}

static gboolean
check_accept (VhostUserFrontend *frontend, GError **error)
{
  if (frontend->connection != NULL || frontend->reconnecting)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the front-end has a back-end already");
  if (frontend->listen_fd < 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the front-end does not listen");
  return TRUE;
}

/**
 * vhost_user_frontend_accept:
 * @frontend: a front-end that listens
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Takes the next back-end that connects, and begins a session with it as
 * [method@Vhost.UserFrontend.open] does. Blocks until one comes, for
 * [property@Vhost.UserFrontend:timeout] at most. A second one waits until the first has left and
 * this is called again, or until the front-end reconnects.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the front-end does not listen or has a
 *   back-end, %VHOST_ERROR_TIMED_OUT when none came, or another #VhostError when the one that came
 *   does not keep to the protocol
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_accept (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  gint64 deadline;
  int result, fd;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  if (!check_accept (frontend, error))
    return FALSE;
  deadline = g_get_monotonic_time () + frontend->timeout * (gint64) 1000;
  result = vhost_fd_wait_readable (frontend->listen_fd, deadline, cancellable, error);
  if (result == 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "no back-end connected within %u ms",
                            frontend->timeout);
  fd = result > 0 ? vhost_user_frontend_accept_fd (frontend, error) : -1;
  return fd >= 0 && begin_session (frontend, fd, TRUE, cancellable, error);
}

static void
stop_listening (VhostUserFrontend *frontend)
{
  if (frontend->listen_fd >= 0)
    vhost_user_socket_unlink (frontend->path, frontend->listen_fd);
  vhost_fd_clear (&frontend->listen_fd);
  g_clear_pointer (&frontend->path, g_free);
}

/**
 * vhost_user_frontend_close:
 * @frontend: a front-end
 *
 * Leaves the back-end, gives up reconnecting, and stops listening. The front-end can be opened
 * again.
 *
 * Since: 1.0
 */
void
vhost_user_frontend_close (VhostUserFrontend *frontend)
{
  g_return_if_fail (VHOST_USER_IS_FRONTEND (frontend));

  vhost_user_frontend_drop_connection (frontend);
  vhost_user_frontend_forget_session (frontend);
  stop_listening (frontend);
}
