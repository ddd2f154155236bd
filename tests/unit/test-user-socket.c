/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets by path, in a private directory. */

#include <fcntl.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <glib/gstdio.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "user/vhost-user-socket-private.h"
#include "test-fds.h"

typedef struct {
  guint n_fds;
  char *directory;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  begin_fd_test (&fixture->n_fds, NULL);
  fixture->directory = g_dir_make_tmp ("vhost-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->directory, "socket", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->directory), ==, 0);
  g_free (fixture->path);
  g_free (fixture->directory);
  end_fd_test (&fixture->n_fds, NULL);
}

static int
listen_at (const char *path)
{
  g_autoptr (GError) error = NULL;
  int fd = vhost_user_socket_listen (path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  return fd;
}

static void
assert_cannot_listen (const char *path, const char *reason)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (vhost_user_socket_listen (path, &error), ==, -1);
  g_assert_nonnull (error);
  if (g_strrstr (error->message, reason) == NULL)
    g_test_message ("%s", error->message);
  g_assert_nonnull (g_strrstr (error->message, reason));
}

static void
test_listen_and_connect (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD listener = listen_at (fixture->path);
  VHOST_AUTO_FD client = vhost_user_socket_connect (fixture->path, -1, NULL, NULL);
  VHOST_AUTO_FD server = accept (listener, NULL, NULL);
  gboolean listening = FALSE;

  g_assert_cmpint (client, >=, 0);
  g_assert_cmpint (server, >=, 0);
  g_assert_true (vhost_user_socket_check (listener, &listening, NULL));
  g_assert_true (listening);
  g_assert_true (vhost_user_socket_check (client, &listening, NULL));
  g_assert_false (listening);
  vhost_user_socket_unlink (fixture->path, listener);
  g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
}

static void
test_h099_dead_socket_is_replaced (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD old = listen_at (fixture->path);
  VHOST_AUTO_FD new = -1;

  vhost_fd_clear (&old);
  new = listen_at (fixture->path);
  g_assert_cmpint (new, >=, 0);
}

static void
test_h099_live_socket_is_left_alone (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD listener = listen_at (fixture->path);
  VHOST_AUTO_FD client = -1;

  assert_cannot_listen (fixture->path, "somebody listens there already");
  client = vhost_user_socket_connect (fixture->path, -1, NULL, NULL);
  g_assert_cmpint (client, >=, 0);
}

static void
test_h099_other_files_are_left_alone (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;

  g_assert_true (g_file_set_contents (fixture->path, "precious", -1, NULL));
  assert_cannot_listen (fixture->path, "it is a file");
  g_assert_true (g_file_get_contents (fixture->path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "precious");
  assert_cannot_listen (fixture->directory, "it is a directory");
  assert_cannot_listen ("/nonexistent/socket", "No such file");
}

static void
test_h099_other_users_are_left_alone (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD dead = -1;

  if (geteuid () != 0) {
    g_test_skip ("only root can make another user's socket");
    return;
  }
  dead = listen_at (fixture->path);
  g_assert_cmpint (chown (fixture->path, 65534, 65534), ==, 0);
  vhost_fd_clear (&dead);
  assert_cannot_listen (fixture->path, "it is another user's socket");
}

static void
test_h099_links_are_not_followed (Fixture *fixture, gconstpointer data)
{
  g_autofree char *target = g_build_filename (fixture->directory, "target", NULL);
  VHOST_AUTO_FD dead = listen_at (target);

  vhost_fd_clear (&dead);
  g_assert_cmpint (symlink (target, fixture->path), ==, 0);
  assert_cannot_listen (fixture->path, "it is a link");
  g_assert_true (g_file_test (target, G_FILE_TEST_EXISTS));
  g_unlink (target);
  assert_cannot_listen (fixture->path, "it is a link");
  g_assert_false (g_file_test (target, G_FILE_TEST_EXISTS));
}

static void
test_unlink_spares_a_successor (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD old = listen_at (fixture->path);
  VHOST_AUTO_FD new = -1, client = -1;

  g_unlink (fixture->path);
  new = listen_at (fixture->path);
  vhost_user_socket_unlink (fixture->path, old);
  client = vhost_user_socket_connect (fixture->path, -1, NULL, NULL);
  g_assert_cmpint (client, >=, 0);
}

static void
test_connect_errors (Fixture *fixture, gconstpointer data)
{
  g_autofree char *long_path = g_strnfill (200, 'x');
  g_autoptr (GError) error = NULL;
  VHOST_AUTO_FD dead = -1;

  g_assert_cmpint (vhost_user_socket_connect (fixture->path, -1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_clear_error (&error);
  dead = listen_at (fixture->path);
  vhost_fd_clear (&dead);
  g_assert_cmpint (vhost_user_socket_connect (fixture->path, -1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_clear_error (&error);
  g_assert_cmpint (vhost_user_socket_connect (long_path, -1, NULL, &error), ==, -1);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_clear_error (&error);
  g_assert_cmpint (vhost_user_socket_connect ("", -1, NULL, &error), ==, -1);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
}

/* Nobody accepts, and the queue of the listener is full. */
static void
test_connect_has_a_deadline (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD listener = listen_at (fixture->path);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  VhostFdSet clients = { 0 };
  gint64 start = g_get_monotonic_time ();

  do {
    clients.fd[clients.n] =
        vhost_user_socket_connect (fixture->path, start + G_USEC_PER_SEC / 10, NULL, &error);
  } while (clients.fd[clients.n] >= 0 && ++clients.n < VHOST_MAX_FDS);
  vhost_fd_set_clear (&clients);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, G_USEC_PER_SEC / 10);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  g_assert_cmpint (vhost_user_socket_connect (fixture->path, -1, cancellable, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_h021_no_stream_socket (Fixture *fixture, gconstpointer data)
{
  gboolean listening;
  int fds[] = {
    socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
    socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), /* not connected */
    socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
    open ("/dev/null", O_RDWR | O_CLOEXEC),
    -1,
  };

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (vhost_user_socket_check (fds[i], &listening, &error));
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
    vhost_fd_clear (&fds[i]);
  }
}

#define add(name, func) g_test_add ("/user-socket/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("listen-and-connect", test_listen_and_connect);
  add ("H099-dead-socket-is-replaced", test_h099_dead_socket_is_replaced);
  add ("H099-live-socket-is-left-alone", test_h099_live_socket_is_left_alone);
  add ("H099-other-files-are-left-alone", test_h099_other_files_are_left_alone);
  add ("H099-other-users-are-left-alone", test_h099_other_users_are_left_alone);
  add ("H099-links-are-not-followed", test_h099_links_are_not_followed);
  add ("unlink-spares-a-successor", test_unlink_spares_a_successor);
  add ("connect-errors", test_connect_errors);
  add ("connect-has-a-deadline", test_connect_has_a_deadline);
  add ("H021-no-stream-socket", test_h021_no_stream_socket);
  return g_test_run ();
}
