/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what there is to do with a socket's path: listening there without stepping on anybody,
 * connecting, and cleaning up. Any thread. (vhost-user, “Communication”, “Backend program
 * conventions”) */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "user/vhost-user-socket-private.h"

#define BACKLOG 16
#define RETRY_INTERVAL 10 /* ms, while the listener's queue is full */

static gboolean
make_address (const char *path, struct sockaddr_un *address, GError **error)
{
  *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (path[0] == '\0' || strlen (path) >= sizeof address->sun_path)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "“%s” is no path of a socket: 1 to %" G_GSIZE_FORMAT " bytes", path,
                            sizeof address->sun_path - 1);
  strcpy (address->sun_path, path);
  return TRUE;
}

static int
make_socket (GError **error)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0)
    vhost_set_error_from_errno (error, errno, "cannot make a socket");
  return fd;
}

static int
connect_to (int fd, const struct sockaddr_un *address)
{
  int result;

  do
    result = connect (fd, (const struct sockaddr *) address, sizeof *address);
  while (result < 0 && errno == EINTR);
  return result;
}

/* Nobody listens there. In doubt somebody does. */
static gboolean
is_dead (const struct sockaddr_un *address)
{
  VHOST_AUTO_FD fd = make_socket (NULL);

  return fd >= 0 && connect_to (fd, address) < 0 && errno == ECONNREFUSED;
}

static const char *
name_kind (mode_t mode)
{
  return S_ISLNK (mode) ? "a link" : S_ISDIR (mode) ? "a directory" : "a file";
}

/* May the path be taken from whatever is there? Links are not followed. */
static gboolean
check_replaceable (const struct sockaddr_un *address, const struct stat *found, GError **error)
{
  const char *path = address->sun_path;

  if (!S_ISSOCK (found->st_mode))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "cannot listen at %s: it is %s", path,
                            name_kind (found->st_mode));
  if (found->st_uid != geteuid ())
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "cannot listen at %s: it is another user's socket", path);
  if (!is_dead (address))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "cannot listen at %s: somebody listens there already", path);
  return TRUE;
}

static gboolean
make_way (const struct sockaddr_un *address, GError **error)
{
  struct stat found, now;

  if (lstat (address->sun_path, &found) < 0)
    return TRUE; /* nothing there, or bind () will say what is wrong */
  if (!check_replaceable (address, &found, error))
    return FALSE;
  if (lstat (address->sun_path, &now) == 0 && now.st_ino == found.st_ino &&
      now.st_dev == found.st_dev)
    unlink (address->sun_path);
  return TRUE;
}

int
vhost_user_socket_listen (const char *path, GError **error)
{
  struct sockaddr_un address;
  VHOST_AUTO_FD fd = -1;

  if (!make_address (path, &address, error) || !make_way (&address, error))
    return -1;
  fd = make_socket (error);
  if (fd < 0)
    return -1;
  if (bind (fd, (struct sockaddr *) &address, sizeof address) < 0 || listen (fd, BACKLOG) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot listen at %s", path);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

/* A full queue of the listener cannot be waited for, only tried again. */
static gboolean
wait_to_retry (const char *path, gint64 deadline, GCancellable *cancellable, GError **error)
{
  GPollFD poll_fd = { .fd = -1 };
  gboolean watched;

  if (deadline >= 0 && g_get_monotonic_time () >= deadline)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT,
                            "cannot connect to %s: its listener does not accept", path);
  watched = g_cancellable_make_pollfd (cancellable, &poll_fd);
  g_poll (&poll_fd, 1, RETRY_INTERVAL);
  if (watched)
    g_cancellable_release_fd (cancellable);
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}

int
vhost_user_socket_connect (const char *path, gint64 deadline, GCancellable *cancellable,
                           GError **error)
{
  struct sockaddr_un address;
  VHOST_AUTO_FD fd = -1;

  if (g_cancellable_set_error_if_cancelled (cancellable, error) ||
      !make_address (path, &address, error))
    return -1;
  fd = make_socket (error);
  if (fd < 0)
    return -1;
  while (connect_to (fd, &address) < 0) {
    if (errno != EAGAIN) {
      vhost_set_error_from_errno (error, errno, "cannot connect to %s", path);
      return -1;
    }
    if (!wait_to_retry (path, deadline, cancellable, error))
      return -1;
  }
  return vhost_fd_steal (&fd);
}

static int
get_option (int fd, int option)
{
  int value = -1;
  socklen_t size = sizeof value;

  return getsockopt (fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

gboolean
vhost_user_socket_check (int fd, gboolean *listening, GError **error)
{
  struct sockaddr_un address;
  socklen_t size = sizeof address;

  if (get_option (fd, SO_DOMAIN) != AF_UNIX || get_option (fd, SO_TYPE) != SOCK_STREAM)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "file descriptor %d is no stream socket of this machine", fd);
  *listening = get_option (fd, SO_ACCEPTCONN) == 1;
  if (!*listening && getpeername (fd, (struct sockaddr *) &address, &size) < 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "file descriptor %d is a socket that is not connected", fd);
  return TRUE;
}

/* Once ours is shut down, whoever still answers there is somebody else. */
void
vhost_user_socket_unlink (const char *path, int listen_fd)
{
  struct sockaddr_un address;
  struct stat found;

  shutdown (listen_fd, SHUT_RDWR);
  if (make_address (path, &address, NULL) && lstat (path, &found) == 0 &&
      check_replaceable (&address, &found, NULL))
    unlink (path);
}
