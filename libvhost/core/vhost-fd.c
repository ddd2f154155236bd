/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that notify: making, checking, draining and signalling them without ever blocking.
 * Any thread. (vhost-user, “Notification”: an eventfd, or a pipe whose content means nothing) */

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <gio/gio.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

/* A pipe holds up to 1 MiB: one call empties it, and a writer that never stops cannot hold us. */
#define MAX_DRAIN_ROUNDS 256

int
vhost_fd_dup (int fd, GError **error)
{
  int copy = fcntl (fd, F_DUPFD_CLOEXEC, 0);

  if (copy < 0)
    vhost_set_error_from_errno (error, errno, "cannot duplicate file descriptor %d", fd);
  return copy;
}

int
vhost_fd_new_event (GError **error)
{
  int fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);

  if (fd < 0)
    vhost_set_error_from_errno (error, errno, "cannot make an eventfd");
  return fd;
}

static char *
describe_fd (int fd)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  char *target = g_file_read_link (link, NULL);

  return target != NULL ? target : g_strdup ("no open descriptor");
}

gboolean
vhost_fd_is_pipe (int fd)
{
  struct stat status;

  return fd >= 0 && fstat (fd, &status) == 0 && S_ISFIFO (status.st_mode);
}

gboolean
vhost_fd_check_event (int fd, GError **error)
{
  g_autofree char *kind = describe_fd (fd);

  if (strcmp (kind, "anon_inode:[eventfd]") == 0 || vhost_fd_is_pipe (fd))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                          "%s cannot notify: an eventfd or a pipe is needed", kind);
}

/* RWF_NOWAIT keeps a blocking descriptor from blocking us, without touching its flags, which belong
 * to the peer as well. Older kernels refuse it for pipes, whose reading end is made non-blocking
 * instead. */
static gssize
read_now (int fd, guint8 *buffer, gsize size)
{
  struct iovec iov = { buffer, size };
  gssize n = preadv2 (fd, &iov, 1, -1, RWF_NOWAIT);

  if (n >= 0 || errno != EOPNOTSUPP)
    return n;
  if (fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK) < 0)
    return -1;
  return read (fd, buffer, size);
}

void
vhost_fd_drain_event (int fd)
{
  guint8 buffer[4096];

  for (guint i = 0; i < MAX_DRAIN_ROUNDS; i++) {
    if (read_now (fd, buffer, sizeof buffer) < (gssize) sizeof buffer)
      return; /* an eventfd gives 8 bytes, a pipe less than asked when it is empty */
  }
}

static gboolean
is_writable_now (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

  return poll (&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT) != 0;
}

/* An eventfd knows no RWF_NOWAIT for writing. The flag belongs to the peer as well and is left as
 * it is: a blocking descriptor is looked at first, and one that is full has been signalled already.
 */
void
vhost_fd_signal_event (int fd)
{
  const guint64 one = 1;
  int flags = fd < 0 ? -1 : fcntl (fd, F_GETFL);

  if (flags >= 0 && ((flags & O_NONBLOCK) != 0 || is_writable_now (fd))) {
    if (write (fd, &one, sizeof one) < 0)
      return;
  }
}

int
vhost_fd_poll (GPollFD *fds, guint n, gint64 deadline, GCancellable *cancellable, GError **error)
{
  gboolean watched = g_cancellable_make_pollfd (cancellable, &fds[n]);
  int result = 0;

  while (result == 0) {
    gint64 left = deadline < 0 ? -1 : MAX (0, deadline - g_get_monotonic_time ());

    result = g_poll (fds, watched ? n + 1 : n, left < 0 ? -1 : (int) ((left + 999) / 1000));
    if (g_cancellable_set_error_if_cancelled (cancellable, error)) {
      result = -1;
    } else if (result < 0 && errno != EINTR) {
      vhost_set_error_from_errno (error, errno, "cannot wait for file descriptor %d", fds[0].fd);
    } else if (result < 0) {
      result = 0;
    } else if (result == 0 && left == 0) {
      break;
    }
  }
  if (watched)
    g_cancellable_release_fd (cancellable);
  return MIN (result, 1);
}

int
vhost_fd_wait_readable (int fd, gint64 deadline, GCancellable *cancellable, GError **error)
{
  GPollFD fds[2] = { { .fd = fd, .events = G_IO_IN }, { .fd = -1 } };

  return vhost_fd_poll (fds, 1, deadline, cancellable, error);
}
