/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver over a front-end and this library's back-end on another thread: every mask of ring
 * features and of the protocol features that change how memory and queues are set up. */

#include <string.h>
#include "test-fds.h"
#include "test-pair.h"

#define PROTOCOL(name) (G_GUINT64_CONSTANT (1) << VHOST_USER_PROTOCOL_FEATURE_##name)
#define FEATURE(name) (G_GUINT64_CONSTANT (1) << VHOST_FEATURE_##name)

static void
ask (VhostDriver *driver, guint index, const char *question, const char *answer)
{
  gsize length;
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes =
      vhost_driver_queue_request (vhost_driver_get_queue (driver, index), (const guint8 *) question,
                                  strlen (question), 64, NULL, &length, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (bytes, length, answer, strlen (answer));
}

static void
run (guint64 protocol, guint64 features, guint n_queues, guint size)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = vhost_user_frontend_new ();
  g_autoptr (VhostDriver) driver = vhost_driver_new (VHOST_DEVICE (frontend));
  g_autoptr (GError) error = NULL;

  open_pair (&pair, n_queues, protocol);
  g_object_set (driver, "wanted-features", features, NULL);
  vhost_user_frontend_open_fd (frontend, pair.fd, NULL, &error);
  g_assert_no_error (error);
  vhost_fd_clear (&pair.fd);
  for (guint again = 0; again < 2; again++) {
    vhost_driver_start (driver, n_queues, size, NULL, &error);
    g_assert_no_error (error);
    for (guint i = 0; i < 3 * n_queues; i++)
      ask (driver, i % n_queues, "abcdef", "fedcba");
    vhost_driver_stop (driver, NULL, &error);
    g_assert_no_error (error);
    g_assert_null (vhost_driver_get_queue (driver, 0));
  }
  vhost_user_frontend_close (frontend);
  close_pair (&pair);
}

static void
test_masks (guint *n_fds, gconstpointer data)
{
  const guint64 ack = PROTOCOL (REPLY_ACK);
  const guint64 protocols[] = { 0,
                                ack,
                                PROTOCOL (CONFIGURE_MEM_SLOTS),
                                ack | PROTOCOL (CONFIGURE_MEM_SLOTS),
                                ack | PROTOCOL (STATUS) | PROTOCOL (BACKEND_REQ),
                                G_MAXUINT64 };
  const guint64 v1 = FEATURE (VERSION_1);
  const guint64 features[] = { v1,
                               v1 | FEATURE (EVENT_IDX),
                               v1 | FEATURE (INDIRECT_DESC),
                               v1 | FEATURE (EVENT_IDX) | FEATURE (INDIRECT_DESC),
                               v1 | FEATURE (RING_PACKED),
                               v1 | FEATURE (RING_PACKED) | FEATURE (EVENT_IDX),
                               G_MAXUINT64 };

  for (guint p = 0; p < G_N_ELEMENTS (protocols); p++) {
    for (guint f = 0; f < G_N_ELEMENTS (features); f++)
      run (protocols[p], features[f], 1 + f % 4, 8 << p);
  }
}

static void
test_wrong_arguments (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = vhost_user_frontend_new ();
  g_autoptr (VhostDriver) driver = vhost_driver_new (VHOST_DEVICE (frontend));
  const guint wrong[][2] = { { 0, 8 }, { 3, 8 }, { 1, 0 }, { 1, 3 }, { 1, 65536 } };
  g_autoptr (GError) error = NULL;

  open_pair (&pair, 2, G_MAXUINT64);
  g_assert_true (vhost_user_frontend_open_fd (frontend, pair.fd, NULL, NULL));
  vhost_fd_clear (&pair.fd);
  g_object_set (driver, "wanted-features", FEATURE (VERSION_1), NULL);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_assert_false (vhost_driver_start (driver, wrong[i][0], wrong[i][1], NULL, &error));
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
    g_clear_error (&error);
  }
  g_assert_true (vhost_driver_start (driver, 2, 32768, NULL, NULL));
  g_assert_false (vhost_driver_start (driver, 1, 8, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  ask (driver, 1, "xy", "yx");
  vhost_user_frontend_close (frontend);
  close_pair (&pair);
}

static void
test_device_leaves (guint *n_fds, gconstpointer data)
{
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = vhost_user_frontend_new ();
  g_autoptr (VhostDriver) driver = vhost_driver_new (VHOST_DEVICE (frontend));
  g_autoptr (VhostDriverQueue) queue = NULL;
  g_autoptr (GError) error = NULL;

  open_pair (&pair, 1, G_MAXUINT64);
  g_assert_true (vhost_user_frontend_open_fd (frontend, pair.fd, NULL, NULL));
  vhost_fd_clear (&pair.fd);
  g_assert_true (vhost_driver_start (driver, 1, 8, NULL, NULL));
  queue = g_object_ref (vhost_driver_get_queue (driver, 0));
  close_pair (&pair);
  while (vhost_driver_is_started (driver))
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (vhost_driver_queue_add (queue, NULL, 0, 8, &error), ==, 0);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/driver/masks", test_masks);
  add_fd_test ("/driver/wrong-arguments", test_wrong_arguments);
  add_fd_test ("/driver/device-leaves", test_device_leaves);
  return g_test_run ();
}
