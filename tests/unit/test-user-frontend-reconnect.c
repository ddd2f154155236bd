/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end whose back-end is replaced: under every mask of protocol features that changes how a
 * session is set up, in a call, a wait and a loop; and by somebody hostile. */

#include <glib/gstdio.h>
#include <string.h>
#include <sys/un.h>
#include "test-fds.h"
#include "test-pair.h"

#define PROTOCOL(name) (G_GUINT64_CONSTANT (1) << VHOST_USER_PROTOCOL_FEATURE_##name)
#define N_QUEUES 2

/* A directory with the socket at which the front-end listens. */
typedef struct {
  char *directory;
  char *path;
} Place;

static void
make_place (Place *place)
{
  place->directory = g_dir_make_tmp ("vhost-XXXXXX", NULL);
  place->path = g_build_filename (place->directory, "socket", NULL);
}

static void
clear_place (Place *place)
{
  g_assert_cmpint (g_rmdir (place->directory), ==, 0);
  g_free (place->path);
  g_free (place->directory);
}

/* Another back-end connects, with both ends of a pair of its own thrown away. */
static void
come (Pair *pair, const Place *place, guint64 protocol)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  strcpy (address.sun_path, place->path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  open_pair_at (pair, N_QUEUES, protocol, fd);
}

static void
count (gpointer device, gpointer data)
{
  (*(guint *) data)++;
}

static void
ask (VhostDriver *driver, guint index)
{
  gsize length;
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes = vhost_driver_queue_request (
      vhost_driver_get_queue (driver, index), (const guint8 *) "abc", 3, 8, NULL, &length, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (bytes, length, "cba", 3);
}

static VhostUserFrontend *
listen_for (const Place *place)
{
  VhostUserFrontend *frontend = g_object_new (VHOST_USER_TYPE_FRONTEND, "reconnect-interval", 1,
                                              "reconnect-timeout", 2000, NULL);
  g_autoptr (GError) error = NULL;

  vhost_user_frontend_listen (frontend, place->path, &error);
  g_assert_no_error (error);
  return frontend;
}

static void
run_mask (guint64 protocol)
{
  Place place;
  Pair pair;
  g_autoptr (VhostUserFrontend) frontend = NULL;
  g_autoptr (VhostDriver) driver = NULL;
  guint n_reconnected = 0;

  make_place (&place);
  frontend = listen_for (&place);
  g_signal_connect (frontend, "reconnected", G_CALLBACK (count), &n_reconnected);
  come (&pair, &place, protocol);
  g_assert_true (vhost_user_frontend_accept (frontend, NULL, NULL));
  driver = vhost_driver_new (VHOST_DEVICE (frontend));
  g_assert_true (vhost_driver_start (driver, N_QUEUES, 8, NULL, NULL));
  for (guint i = 1; i <= 6; i++) {
    ask (driver, i % N_QUEUES);
    close_pair (&pair);
    come (&pair, &place, protocol);
    if (i % 3 == 0)
      g_assert_cmpuint (vhost_device_get_features (VHOST_DEVICE (frontend), NULL, NULL), !=, 0);
    while (i % 3 == 1 && n_reconnected < i)
      g_main_context_iteration (NULL, TRUE);
    ask (driver, i % N_QUEUES);
    g_assert_cmpuint (n_reconnected, ==, i);
  }
  g_assert_true (vhost_driver_stop (driver, NULL, NULL));
  vhost_user_frontend_close (frontend);
  close_pair (&pair);
  clear_place (&place);
}

static void
test_masks (guint *n_fds, gconstpointer data)
{
  const guint64 ack = PROTOCOL (REPLY_ACK);
  const guint64 mq = PROTOCOL (MQ);
  const guint64 masks[] = { mq, mq | ack, mq | PROTOCOL (CONFIGURE_MEM_SLOTS),
                            mq | ack | PROTOCOL (STATUS) | PROTOCOL (BACKEND_REQ), G_MAXUINT64 };

  for (guint i = 0; i < G_N_ELEMENTS (masks); i++)
    run_mask (masks[i]);
}

/* Answers each message with one of its own making: right often enough to come further. */
static gpointer
attack (gpointer data)
{
  VHOST_AUTO_FD fd = GPOINTER_TO_INT (data);
  guint8 in[4096];
  guint32 out[5];

  while (recv (fd, in, sizeof in, 0) > 0) {
    memcpy (out, in, sizeof out[0]);
    out[1] = g_random_int_range (0, 8) == 0 ? g_random_int () : 5;
    out[2] = g_random_int_range (0, 8) == 0 ? g_random_int () : 8;
    for (guint i = 3; i < G_N_ELEMENTS (out); i++)
      out[i] = g_random_int_range (0, 2) == 0 ? g_random_int () : G_MAXUINT32;
    if (send (fd, out, sizeof out, MSG_NOSIGNAL) < 0)
      break;
  }
  return NULL;
}

static GThread *
come_hostile (const Place *place)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  strcpy (address.sun_path, place->path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return g_thread_new ("hostile", attack, GINT_TO_POINTER (fd));
}

static void
test_g083_hostile_successor (guint *n_fds, gconstpointer data)
{
  for (guint i = 0; i < 200; i++) {
    Place place;
    Pair pair;
    g_autoptr (VhostUserFrontend) frontend = NULL;
    g_autoptr (VhostDriver) driver = NULL;
    g_autoptr (VhostDriverQueue) queue = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree guint8 *answer = NULL;
    GThread *hostile;
    gsize length;

    make_place (&place);
    frontend = listen_for (&place);
    come (&pair, &place, G_MAXUINT64);
    vhost_user_frontend_accept (frontend, NULL, &error);
    g_assert_no_error (error);
    driver = vhost_driver_new (VHOST_DEVICE (frontend));
    g_object_set (driver, "memory-size", G_GUINT64_CONSTANT (1) << 20, NULL);
    g_assert_true (vhost_driver_start (driver, N_QUEUES, 8, NULL, NULL));
    g_object_set (frontend, "timeout", 50, "reconnect-timeout", 50, NULL);
    queue = g_object_ref (vhost_driver_get_queue (driver, 0));
    vhost_driver_queue_set_timeout (queue, 200);
    close_pair (&pair);
    hostile = come_hostile (&place);
    answer = vhost_driver_queue_request (queue, (const guint8 *) "x", 1, 1, NULL, &length, &error);
    g_assert_null (answer);
    g_assert_nonnull (error);
    vhost_user_frontend_close (frontend);
    g_thread_join (hostile);
    clear_place (&place);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/user-frontend-reconnect/masks", test_masks);
  add_fd_test ("/hostile/H083-successor", test_g083_hostile_successor);
  return g_test_run ();
}
