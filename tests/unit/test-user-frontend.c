/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end, call by call, against this library's back-end on another thread. */

#include <string.h>
#include "memory/vhost-memory-private.h"
#include "test-fds.h"
#include "test-pair.h"

#define ALL_PROTOCOL G_MAXUINT64
#define BIT(name) (G_GUINT64_CONSTANT (1) << VHOST_USER_PROTOCOL_FEATURE_##name)

static VhostUserFrontend *
open_frontend (Pair *pair)
{
  VhostUserFrontend *frontend = vhost_user_frontend_new ();
  g_autoptr (GError) error = NULL;

  vhost_user_frontend_open_fd (frontend, pair->fd, NULL, &error);
  g_assert_no_error (error);
  vhost_fd_clear (&pair->fd);
  return frontend;
}

static void
test_open (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  g_autoptr (GError) error = NULL;

  open_pair (&pair, 3, ALL_PROTOCOL);
  frontend = open_frontend (&pair);
  g_assert_true (vhost_user_frontend_is_open (frontend));
  g_assert_true (
      vhost_user_frontend_has_protocol_feature (frontend, VHOST_USER_PROTOCOL_FEATURE_CONFIG));
  g_assert_cmpuint (vhost_device_get_n_queues (VHOST_DEVICE (frontend)), ==, 3);
  g_assert_false (vhost_user_frontend_open_fd (frontend, 0, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  vhost_user_frontend_close (frontend);
  g_assert_false (vhost_user_frontend_is_open (frontend));
  close_pair (&pair);
}

static void
test_config (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  VhostDevice *device;
  g_autofree guint8 *config = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  open_pair (&pair, 1, ALL_PROTOCOL);
  frontend = open_frontend (&pair);
  device = VHOST_DEVICE (frontend);
  g_assert_true (vhost_device_set_config (device, 6, (const guint8 *) "!?", 2, NULL, NULL));
  config = vhost_device_get_config (device, 0, 8, NULL, &length, NULL);
  g_assert_cmpmem (config, length, "config!?", 8);
  g_assert_false (vhost_device_set_config (device, 5, (const guint8 *) "!?", 2, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_REFUSED);
  g_clear_error (&error);
  g_assert_null (vhost_device_get_config (device, 4, 8, NULL, &length, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_REFUSED);
  g_assert_true (vhost_user_frontend_is_open (frontend));
  vhost_user_frontend_close (frontend);
  close_pair (&pair);
}

/* A request whose feature was not negotiated is not sent. */
static void
test_gates (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  g_autoptr (GError) error = NULL;

  open_pair (&pair, 1, BIT (MQ) | BIT (REPLY_ACK));
  frontend = open_frontend (&pair);
  g_assert_false (vhost_device_reset (VHOST_DEVICE (frontend), NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_NOT_NEGOTIATED);
  g_assert_cmpstr (error->message, ==,
                   "RESET_DEVICE: protocol feature RESET_DEVICE was not negotiated");
  g_clear_error (&error);
  vhost_device_get_status (VHOST_DEVICE (frontend), NULL, &error);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_NOT_NEGOTIATED);
  g_assert_true (vhost_user_frontend_is_open (frontend));
  vhost_user_frontend_close (frontend);
  g_assert_cmpuint (pair.n_refused, ==, 0);
  close_pair (&pair);
}

static void
test_cancelled (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  open_pair (&pair, 1, ALL_PROTOCOL);
  frontend = open_frontend (&pair);
  g_cancellable_cancel (cancellable);
  vhost_device_get_features (VHOST_DEVICE (frontend), cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (vhost_user_frontend_is_open (frontend)); /* nothing had been sent */
  vhost_user_frontend_close (frontend);
  close_pair (&pair);
}

static void
on_disconnected (VhostDevice *device, const GError *error, gpointer data)
{
  *(guint *) data += error == NULL ? 1 : 100;
}

static void
test_back_end_leaves (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  g_autoptr (GError) error = NULL;
  guint n = 0;

  open_pair (&pair, 1, ALL_PROTOCOL);
  frontend = open_frontend (&pair);
  g_signal_connect (frontend, "disconnected", G_CALLBACK (on_disconnected), &n);
  close_pair (&pair);
  while (n == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (n, ==, 1);
  vhost_device_get_features (VHOST_DEVICE (frontend), NULL, &error);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/user-frontend/open", test_open);
  add_fd_test ("/user-frontend/config", test_config);
  add_fd_test ("/user-frontend/gates", test_gates);
  add_fd_test ("/user-frontend/cancelled", test_cancelled);
  add_fd_test ("/user-frontend/back-end-leaves", test_back_end_leaves);
  return g_test_run ();
}
