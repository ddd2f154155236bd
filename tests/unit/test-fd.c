/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that notify: what may serve as one, and that nothing about them ever blocks. */

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <string.h>
#include <gio/gio.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "test-fds.h"

static gboolean
is_readable (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  return poll (&poll_fd, 1, 0) == 1;
}

static void
test_owner (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD closed = vhost_fd_new_event (NULL);
  VHOST_AUTO_FD copy = vhost_fd_dup (closed, NULL);
  int stolen = vhost_fd_steal (&copy);

  g_assert_cmpint (copy, ==, -1);
  g_assert_cmpint (fcntl (stolen, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  vhost_fd_clear (&stolen);
  vhost_fd_clear (&stolen);
  g_assert_cmpint (stolen, ==, -1);
}

static void
test_dup_fails (guint *n_fds, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (vhost_fd_dup (-1, &error), ==, -1);
  g_assert_nonnull (error);
}

static void
assert_not_event (int fd, const char *what)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (fd, >=, 0);
  g_assert_false (vhost_fd_check_event (fd, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
  g_assert_nonnull (strstr (error->message, what));
}

static void
test_check (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD event = eventfd (0, EFD_CLOEXEC);
  VHOST_AUTO_FD semaphore = eventfd (0, EFD_CLOEXEC | EFD_SEMAPHORE);
  VHOST_AUTO_FD zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  VHOST_AUTO_FD directory = open ("/tmp", O_RDONLY | O_CLOEXEC);
  VHOST_AUTO_FD epoll = epoll_create1 (EPOLL_CLOEXEC);
  int pipe_fds[2];

  g_assert_true (vhost_fd_check_event (event, NULL));
  g_assert_true (vhost_fd_check_event (semaphore, NULL));
  g_assert_cmpint (pipe2 (pipe_fds, O_CLOEXEC), ==, 0);
  g_assert_true (vhost_fd_check_event (pipe_fds[0], NULL));
  close (pipe_fds[0]);
  close (pipe_fds[1]);
  assert_not_event (zero, "/dev/zero");
  assert_not_event (directory, "/tmp");
  assert_not_event (epoll, "eventpoll");
}

/* Both ends keep their own flags: the one that blocks still blocks for the peer. */
static void
test_drain_blocking (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD event = eventfd (3, EFD_CLOEXEC);
  int pipe_fds[2];

  vhost_fd_drain_event (event);
  g_assert_false (is_readable (event));
  vhost_fd_drain_event (event);
  g_assert_cmpint (fcntl (event, F_GETFL) & O_NONBLOCK, ==, 0);

  g_assert_cmpint (pipe2 (pipe_fds, O_CLOEXEC), ==, 0);
  for (guint i = 0; i < 2000; i++)
    g_assert_cmpint (write (pipe_fds[1], "12345678", 8), ==, 8);
  vhost_fd_drain_event (pipe_fds[0]);
  g_assert_false (is_readable (pipe_fds[0]));
  vhost_fd_drain_event (pipe_fds[0]);
  close (pipe_fds[0]);
  close (pipe_fds[1]);
}

static void
test_signal_full (guint *n_fds, gconstpointer data)
{
  for (guint i = 0; i < 2; i++) {
    VHOST_AUTO_FD event = eventfd (0, EFD_CLOEXEC | (i == 0 ? EFD_NONBLOCK : 0));
    guint64 full = G_MAXUINT64 - 1;

    g_assert_cmpint (write (event, &full, sizeof full), ==, sizeof full);
    vhost_fd_signal_event (event);
    g_assert_true (is_readable (event));
    vhost_fd_drain_event (event);
    vhost_fd_signal_event (event);
    g_assert_true (is_readable (event));
  }
  vhost_fd_signal_event (-1);
}

static void
test_wait (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD event = vhost_fd_new_event (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  g_assert_cmpint (vhost_fd_wait_readable (event, start + 20000, NULL, NULL), ==, 0);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20000);
  vhost_fd_signal_event (event);
  g_assert_cmpint (vhost_fd_wait_readable (event, -1, NULL, NULL), ==, 1);
  g_cancellable_cancel (cancellable);
  g_assert_cmpint (vhost_fd_wait_readable (event, -1, cancellable, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/fd/owner", test_owner);
  add_fd_test ("/fd/dup-fails", test_dup_fails);
  add_fd_test ("/hostile/H013-kick-of-any-kind", test_check);
  add_fd_test ("/hostile/H014-blocking-kick", test_drain_blocking);
  add_fd_test ("/hostile/H014-saturated-call", test_signal_full);
  add_fd_test ("/fd/wait", test_wait);
  return g_test_run ();
}
