/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors: how they are made, and which of them a new connection can help. */

#include <errno.h>
#include <gio/gio.h>
#include "core/vhost-error-private.h"
#include "test-fds.h"

static void
test_set (guint *n_fds, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (vhost_set_error (&error, VHOST_ERROR_BAD_SIZE, "SET_OWNER: %d bytes", 8));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_SIZE);
  g_assert_cmpstr (error->message, ==, "SET_OWNER: 8 bytes");
  g_assert_false (vhost_set_error (NULL, VHOST_ERROR_FAILED, "nobody listens"));
}

static void
test_errno (guint *n_fds, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (vhost_set_error_from_errno (&error, ENOENT, "cannot open %s", "/x"));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_true (g_str_has_prefix (error->message, "cannot open /x: "));
}

static gboolean
can_reconnect (GQuark domain, int code)
{
  g_autoptr (GError) error = g_error_new_literal (domain, code, "x");

  return vhost_error_can_reconnect (error);
}

static void
test_reconnect (guint *n_fds, gconstpointer data)
{
  g_assert_true (can_reconnect (VHOST_ERROR, VHOST_ERROR_DISCONNECTED));
  g_assert_true (can_reconnect (VHOST_ERROR, VHOST_ERROR_TIMED_OUT));
  g_assert_true (can_reconnect (G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED));
  g_assert_false (can_reconnect (VHOST_ERROR, VHOST_ERROR_PROTOCOL));
  g_assert_false (can_reconnect (G_IO_ERROR, G_IO_ERROR_CANCELLED));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/error/set", test_set);
  add_fd_test ("/error/errno", test_errno);
  add_fd_test ("/error/can-reconnect", test_reconnect);
  return g_test_run ();
}
