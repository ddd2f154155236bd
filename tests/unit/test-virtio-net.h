/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on a thread of their own, and their drivers here. */
#pragma once

#include <string.h>
#include <sys/socket.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "core/vhost-features-private.h"
#include "driver/vhost-driver.h"
#include "ring/vhost-worker.h"
#include "user/vhost-user-backend.h"
#include "user/vhost-user-frontend.h"
#include "virtio/vhost-virtio-switch.h"

#define QUEUE_SIZE 256
#define SHORT_WAIT 200 /* ms in which nothing comes */
#define PATIENCE 10000

/* What is negotiated, and who serves. */
typedef struct {
  gboolean packed;
  gboolean mergeable;
  gboolean legacy;
  gboolean on_worker;
} Kind;

static const Kind kinds[] = {
  { FALSE, FALSE, FALSE, FALSE }, { TRUE, FALSE, FALSE, FALSE }, { FALSE, TRUE, FALSE, FALSE },
  { TRUE, TRUE, FALSE, FALSE },   { FALSE, FALSE, TRUE, FALSE }, { FALSE, TRUE, TRUE, FALSE },
  { FALSE, TRUE, FALSE, TRUE },   { TRUE, TRUE, FALSE, TRUE },
};

typedef struct {
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  VhostWorker *worker;
} House;

typedef struct {
  Kind kind;
  VhostUserBackend *backend;
  VhostVirtioNet *net;
  int fd; /* of the front-end */
  VhostUserFrontend *frontend;
  VhostDriver *driver;
  guint n_failed; /* atomic */
} Card;

/* --- The side of the device ---------------------------------------------------------------- */

/* Until house_open(), objects of the cards belong to this thread. */
static inline void
house_init (House *house)
{
  house->context = g_main_context_new ();
  house->loop = g_main_loop_new (house->context, FALSE);
  house->worker = vhost_worker_new ();
  g_assert_true (vhost_worker_start (house->worker, NULL));
  g_main_context_push_thread_default (house->context);
}

static gpointer
house_run (gpointer data)
{
  House *house = data;

  g_main_context_push_thread_default (house->context);
  g_main_loop_run (house->loop);
  g_main_context_pop_thread_default (house->context);
  return NULL;
}

static inline void
house_open (House *house)
{
  g_main_context_pop_thread_default (house->context);
  house->thread = g_thread_new ("cards", house_run, house);
}

static gboolean
house_quit (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

/* Cards are this thread's again. */
static inline void
house_close (House *house)
{
  g_main_context_invoke (house->context, house_quit, house->loop);
  g_thread_join (g_steal_pointer (&house->thread));
  g_main_context_push_thread_default (house->context);
}

static inline void
house_clear (House *house)
{
  if (house->thread != NULL)
    house_close (house);
  while (g_main_context_iteration (house->context, FALSE))
    ;
  g_main_context_pop_thread_default (house->context);
  g_clear_object (&house->worker);
  g_main_loop_unref (house->loop);
  g_main_context_unref (house->context);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (House, house_clear)

static void
on_card_failed (VhostBackend *backend, const GError *error, Card *card)
{
  g_atomic_int_inc (&card->n_failed);
}

/* The card has no port yet. */
static inline void
card_init (Card *card, House *house, const Kind *kind)
{
  int fds[2];

  card->kind = *kind;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  card->backend = vhost_user_backend_new (VHOST_DEVICE_ID_NETWORK, 2);
  g_signal_connect (card->backend, "device-failed", G_CALLBACK (on_card_failed), card);
  card->net = vhost_virtio_net_new (VHOST_BACKEND (card->backend));
  for (guint i = 0; kind->on_worker && i < 2; i++)
    g_assert_true (vhost_queue_set_worker (
        vhost_backend_get_queue (VHOST_BACKEND (card->backend), i), house->worker, NULL));
  g_assert_true (vhost_user_backend_open_fd (card->backend, fds[1], NULL));
  close (fds[1]);
  card->fd = fds[0];
}

static inline void
card_clear (Card *card)
{
  g_clear_object (&card->net);
  if (card->backend != NULL)
    vhost_user_backend_close (card->backend);
  g_clear_object (&card->backend);
}

/* --- The side of the driver ---------------------------------------------------------------- */

static inline guint64
card_get_features (const Card *card)
{
  guint64 features = VHOST_BIT (VHOST_NET_FEATURE_MAC);

  if (card->kind.packed)
    features |= VHOST_BIT (VHOST_FEATURE_RING_PACKED);
  if (card->kind.mergeable)
    features |= VHOST_BIT (VHOST_NET_FEATURE_MRG_RXBUF);
  if (!card->kind.legacy)
    features |= VHOST_BIT (VHOST_FEATURE_VERSION_1);
  return features;
}

static inline void
card_plug_in (Card *card)
{
  g_autoptr (GError) error = NULL;

  card->frontend = vhost_user_frontend_new ();
  vhost_user_frontend_open_fd (card->frontend, card->fd, NULL, &error);
  g_assert_no_error (error);
  vhost_fd_clear (&card->fd);
  card->driver = vhost_driver_new (VHOST_DEVICE (card->frontend));
  g_object_set (card->driver, "wanted-features", card_get_features (card), NULL);
  vhost_driver_start (card->driver, 2, QUEUE_SIZE, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (vhost_driver_has_feature (card->driver, VHOST_FEATURE_RING_PACKED) ==
                 card->kind.packed);
}

static inline void
card_unplug (Card *card)
{
  vhost_user_frontend_close (card->frontend);
  g_clear_object (&card->driver);
  g_clear_object (&card->frontend);
}

static inline guint
card_get_header_size (const Card *card)
{
  return card->kind.legacy && !card->kind.mergeable ? 10 : 12;
}

static inline void
card_add_buffers (Card *card, guint n, guint size)
{
  VhostDriverQueue *queue = vhost_driver_get_queue (card->driver, 0);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n; i++)
    vhost_driver_queue_add (queue, NULL, 0, size, &error);
  g_assert_no_error (error);
  vhost_driver_queue_kick (queue);
}

/* Sends bytes as they are, and waits until the device has them. */
static inline void
card_send_raw (Card *card, const guint8 *data, gsize length)
{
  VhostDriverQueue *queue = vhost_driver_get_queue (card->driver, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (VhostDriverBuffer) buffer = NULL;

  vhost_driver_queue_set_timeout (queue, PATIENCE);
  vhost_driver_queue_add (queue, data, length, 0, &error);
  g_assert_no_error (error);
  vhost_driver_queue_kick (queue);
  buffer = vhost_driver_queue_wait (queue, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (vhost_driver_buffer_get_size (buffer), ==, 0);
}

static inline void
card_send (Card *card, const GByteArray *frame)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const guint8 header[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

  g_byte_array_append (bytes, header, card_get_header_size (card));
  g_byte_array_append (bytes, frame->data, frame->len);
  card_send_raw (card, bytes->data, bytes->len);
}

static inline VhostDriverBuffer *
card_wait (Card *card, guint timeout)
{
  VhostDriverQueue *queue = vhost_driver_get_queue (card->driver, 0);

  vhost_driver_queue_set_timeout (queue, timeout);
  return vhost_driver_queue_wait (queue, NULL, NULL);
}

/* The next frame without its header, and in how many buffers it is; NULL: none in time. */
static inline GByteArray *
card_receive (Card *card, guint timeout, guint *n_buffers)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint header_size = card_get_header_size (card);

  *n_buffers = 1;
  for (guint i = 0; i < *n_buffers; i++) {
    g_autoptr (VhostDriverBuffer) buffer = card_wait (card, i == 0 ? timeout : PATIENCE);
    g_autofree guint8 *data = NULL;
    gsize length;

    if (i == 0 && buffer == NULL)
      return NULL;
    g_assert_nonnull (buffer);
    data = vhost_driver_buffer_get_data (buffer, &length);
    g_byte_array_append (bytes, data, (guint) length);
    g_assert_cmpuint (bytes->len, >=, header_size);
    if (i == 0 && header_size == 12)
      *n_buffers = bytes->data[10] | bytes->data[11] << 8;
  }
  for (guint i = 0; i < 10; i++)
    g_assert_cmpuint (bytes->data[i], ==, 0);
  return g_byte_array_remove_range (g_steal_pointer (&bytes), 0, header_size);
}

static inline void
assert_received (Card *card, const GByteArray *frame, guint n_buffers)
{
  guint n;
  g_autoptr (GByteArray) found = card_receive (card, PATIENCE, &n);

  g_assert_nonnull (found);
  g_assert_cmpmem (found->data, found->len, frame->data, frame->len);
  g_assert_cmpuint (n, ==, n_buffers);
}

static inline void
assert_silent (Card *card)
{
  g_autoptr (VhostDriverBuffer) buffer = card_wait (card, SHORT_WAIT);

  g_assert_null (buffer);
}

static inline guint64
card_count (Card *card, const char *counter)
{
  guint64 n;

  g_object_get (card->net, counter, &n, NULL);
  return n;
}

static inline void
card_wait_for (Card *card, const char *counter, guint64 n)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE * G_TIME_SPAN_MILLISECOND;

  while (card_count (card, counter) < n) {
    g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    g_usleep (200);
  }
  g_assert_cmpuint (card_count (card, counter), ==, n);
}

/* @target: the last byte of its address; 0xff: everybody's. */
static inline GByteArray *
make_frame (guint8 target, guint8 source, guint length)
{
  const guint8 everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
  GByteArray *frame = g_byte_array_new ();

  g_byte_array_set_size (frame, length);
  for (guint i = 0; i < length; i++)
    frame->data[i] = (guint8) (i * 7 + length);
  memcpy (frame->data, (const guint8[12]){ 2, 0, 0, 0, 0, target, 2, 0, 0, 0, 0, source }, 12);
  if (target == 0xff)
    memcpy (frame->data, everybody, 6);
  return frame;
}
