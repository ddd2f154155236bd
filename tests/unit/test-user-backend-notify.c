/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues without event descriptors: a driver and a device on two threads, and a device that leaves.
 */

#include <string.h>
#include "driver/vhost-driver.h"
#include "test-fds.h"
#include "test-pair.h"

static VhostDriver *
start_driver (Pair *pair)
{
  g_autoptr (VhostUserFrontend) frontend = vhost_user_frontend_new ();
  VhostDriver *driver = vhost_driver_new (VHOST_DEVICE (frontend));
  g_autoptr (GError) error = NULL;

  g_object_set (frontend, "protocol-features", G_MAXUINT64, NULL);
  vhost_user_frontend_open_fd (frontend, pair->fd, NULL, &error);
  g_assert_no_error (error);
  vhost_fd_clear (&pair->fd);
  g_assert_true (vhost_device_has_in_band_notifications (VHOST_DEVICE (frontend)));
  vhost_driver_start (driver, 1, 16, NULL, &error);
  g_assert_no_error (error);
  return driver;
}

static void
test_requests (guint *n_fds, gconstpointer data)
{
  Pair pair;
  VhostDriver *driver;

  open_pair (&pair, 1, G_MAXUINT64);
  driver = start_driver (&pair);
  for (guint i = 0; i < 1000; i++) {
    g_autofree guint8 *answer = NULL;
    g_autoptr (GError) error = NULL;
    gsize length;

    answer = vhost_driver_queue_request (vhost_driver_get_queue (driver, 0),
                                         (const guint8 *) "drawer", 6, 6, NULL, &length, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (answer, length, "reward", 6);
  }
  g_assert_true (vhost_driver_stop (driver, NULL, NULL));
  g_object_unref (driver);
  close_pair (&pair);
}

static void
leave (VhostBackend *backend, VhostQueue *queue, gpointer data)
{
  vhost_user_backend_close (VHOST_USER_BACKEND (backend));
}

/* The kick itself finds out: the queue and its driver end while they are being called. */
static void
test_device_leaves (guint *n_fds, gconstpointer data)
{
  Pair pair;
  VhostDriver *driver;
  g_autoptr (GError) error = NULL;
  gsize length;

  open_pair (&pair, 1, G_MAXUINT64);
  g_signal_connect (pair.backend, "kick", G_CALLBACK (leave), NULL);
  g_signal_handlers_disconnect_by_func (pair.backend, on_pair_kick, &pair);
  driver = start_driver (&pair);
  g_assert_null (vhost_driver_queue_request (
      vhost_driver_get_queue (driver, 0), (const guint8 *) "drawer", 6, 6, NULL, &length, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
  g_assert_false (vhost_driver_is_started (driver));
  g_object_unref (driver);
  close_pair (&pair);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/user-backend-notify/requests", test_requests);
  add_fd_test ("/user-backend-notify/device-leaves", test_device_leaves);
  return g_test_run ();
}
