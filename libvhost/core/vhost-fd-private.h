/* SPDX-License-Identifier: BSD-3-Clause */
/* The owner of a file descriptor: `VHOST_AUTO_FD fd = …` is closed when it goes out of scope,
 * unless vhost_fd_steal() took it away. Every descriptor the library makes or receives is
 * close-on-exec. */
#pragma once

#include <errno.h>
#include <unistd.h>
#include <gio/gio.h>

#define VHOST_MAX_FDS 32

static inline void
vhost_fd_clear (int *fd)
{
  int owned = *fd;

  *fd = -1;
  if (owned >= 0) {
    int saved_errno = errno;

    close (owned);
    errno = saved_errno;
  }
}

static inline int
vhost_fd_steal (int *fd)
{
  int owned = *fd;

  *fd = -1;
  return owned;
}

#define VHOST_AUTO_FD __attribute__ ((cleanup (vhost_fd_clear))) int

/* The descriptors of one message, owned. */
typedef struct {
  guint n;
  int fd[VHOST_MAX_FDS];
} VhostFdSet;

static inline void
vhost_fd_set_clear (VhostFdSet *set)
{
  for (guint i = 0; i < set->n; i++)
    vhost_fd_clear (&set->fd[i]);
  set->n = 0;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VhostFdSet, vhost_fd_set_clear)

/* A close-on-exec duplicate, or -1 with a G_IO_ERROR. */
int vhost_fd_dup (int fd, GError **error);

/* A new non-blocking eventfd, or -1 with a G_IO_ERROR. */
int vhost_fd_new_event (GError **error);

/* What may serve as a kick, call or err descriptor: an eventfd or a pipe. Checks the kind of @fd
 * and fails with %VHOST_ERROR_BAD_FDS naming what it is instead. */
gboolean vhost_fd_check_event (int fd, GError **error);

gboolean vhost_fd_is_pipe (int fd);

/* Takes what is in a kick descriptor without ever blocking, whoever else reads it. */
void vhost_fd_drain_event (int fd);

/* Signals a call descriptor; a full one has been signalled already. */
void vhost_fd_signal_event (int fd);

/* Waits until @fd is readable: 1 readable, 0 deadline passed, -1 with error (cancelled, or poll
 * failed).
 * @deadline is a g_get_monotonic_time() value, or -1 for none. */
int vhost_fd_wait_readable (int fd, gint64 deadline, GCancellable *cancellable, GError **error);

/* The same for @n descriptors; @fds has room for one more. */
int vhost_fd_poll (GPollFD *fds, guint n, gint64 deadline, GCancellable *cancellable,
                   GError **error);
