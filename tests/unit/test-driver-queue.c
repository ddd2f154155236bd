/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a queue: alone, against a device side in another thread, and against a hostile
 * device. */

#include "ring/vhost-driver-queue-private.h"
#include "ring/vhost-queue-private.h"
#include "test-fds.h"
#include "test-ring.h"

#define QUEUE_SIZE 8

typedef struct {
  VhostMemory *memory;
  VhostArena *arena;
  VhostDriverQueue *queue;
  VhostDriverRing ring;
} Driver;

static void
driver_init (Driver *driver, guint64 buffer_bytes, gboolean event_idx, gboolean indirect)
{
  VHOST_AUTO_FD fd = memfd_create ("driver", MFD_CLOEXEC);
  gsize ring_bytes = vhost_driver_queue_get_ring_bytes (QUEUE_SIZE);
  GError *error = NULL;

  driver->memory =
      guest_add_region (vhost_memory_new (), GUEST_BASE, ring_bytes + buffer_bytes, fd);
  driver->arena = vhost_arena_new (driver->memory, GUEST_BASE + ring_bytes, buffer_bytes);
  driver->queue = vhost_driver_queue_new (
      2, QUEUE_SIZE, event_idx, indirect, driver->arena,
      vhost_memory_find_range (driver->memory, VHOST_ADDRESS_GUEST, GUEST_BASE, ring_bytes),
      GUEST_BASE, &error);
  g_assert_no_error (error);
  vhost_driver_queue_get_ring (driver->queue, &driver->ring);
}

static void
driver_clear (Driver *driver)
{
  g_clear_object (&driver->queue);
  g_clear_pointer (&driver->arena, vhost_arena_unref);
  g_clear_pointer (&driver->memory, vhost_memory_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Driver, driver_clear)

/* --- A device in a thread of its own: answers with what it got, backwards, until it is told to end
 * -------- */

typedef struct {
  Driver *driver;
  GThread *thread;
  int end; /* atomic */
  gboolean event_idx;
} Device;

static void
answer (VhostQueue *queue, gpointer data)
{
  VhostChain *chain;

  while ((chain = vhost_queue_pop (queue)) != NULL) {
    gsize length;
    g_autofree guint8 *bytes = vhost_chain_read (chain, 0, G_MAXSIZE, &length);

    for (gsize i = 0; i < length / 2; i++) {
      guint8 byte = bytes[i];

      bytes[i] = bytes[length - 1 - i];
      bytes[length - 1 - i] = byte;
    }
    vhost_queue_push (queue, chain, vhost_chain_write (chain, 0, bytes, length));
    vhost_chain_unref (chain);
  }
  vhost_queue_notify (queue);
}

static gpointer
run_device (gpointer data)
{
  Device *device = data;
  Driver *driver = device->driver;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (VhostQueue) queue = vhost_queue_new (2, NULL, NULL);
  g_autoptr (VhostReactor) reactor = NULL;
  const VhostQueueSetup setup = { .size = QUEUE_SIZE,
                                  .kind = VHOST_ADDRESS_GUEST,
                                  .desc = driver->ring.desc,
                                  .avail = driver->ring.avail,
                                  .used = driver->ring.used,
                                  .event_idx = device->event_idx,
                                  .indirect = TRUE };

  g_main_context_push_thread_default (context);
  reactor = vhost_reactor_get ();
  vhost_queue_take_kick_fd (queue,
                            vhost_fd_dup (vhost_driver_queue_peek_kick_fd (driver->queue), NULL));
  vhost_queue_take_call_fd (queue,
                            vhost_fd_dup (vhost_driver_queue_peek_call_fd (driver->queue), NULL));
  vhost_queue_set_kick_func (queue, answer, NULL, NULL);
  vhost_queue_set_enabled (queue, TRUE);
  g_assert_true (vhost_queue_start (queue, &setup, driver->memory, reactor, NULL));
  while (!g_atomic_int_get (&device->end))
    g_main_context_iteration (context, TRUE);
  vhost_queue_stop (queue);
  vhost_queue_finish_stop (queue);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
device_begin (Device *device, Driver *driver, gboolean event_idx)
{
  *device = (Device){ .driver = driver, .event_idx = event_idx };
  device->thread = g_thread_new ("device", run_device, device);
}

static void
device_end (Device *device)
{
  g_atomic_int_set (&device->end, 1);
  vhost_fd_signal_event (vhost_driver_queue_peek_kick_fd (device->driver->queue));
  g_thread_join (device->thread);
}

static void
test_request (guint *n_fds, gconstpointer data)
{
  for (guint mode = 0; mode < 4; mode++) {
    g_auto (Driver) driver = { 0 };
    g_autoptr (GError) error = NULL;
    Device device;

    driver_init (&driver, 0x10000, mode & 1, mode & 2);
    device_begin (&device, &driver, mode & 1);
    for (guint i = 0; i < 3000; i++) {
      g_autofree char *text = g_strdup_printf ("request %u", i);
      g_autofree guint8 *reply = NULL;
      gsize length;

      reply = vhost_driver_queue_request (driver.queue, (guint8 *) text, strlen (text), 64, NULL,
                                          &length, &error);
      g_assert_no_error (error);
      g_strreverse (text);
      g_assert_cmpmem (reply, length, text, strlen (text));
    }
    g_assert_cmpuint (vhost_driver_queue_get_n_outstanding (driver.queue), ==, 0);
    device_end (&device);
  }
}

static void
test_request_without_data (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autofree guint8 *reply = NULL;
  g_autofree guint8 *empty = NULL;
  Device device;
  gsize length;

  driver_init (&driver, 0x10000, TRUE, TRUE);
  device_begin (&device, &driver, TRUE);
  reply = vhost_driver_queue_request (driver.queue, NULL, 0, 64, NULL, &length, NULL);
  g_assert_nonnull (reply);
  g_assert_cmpuint (length, ==, 0);
  empty =
      vhost_driver_queue_request (driver.queue, (const guint8 *) "abc", 3, 0, NULL, &length, NULL);
  g_assert_nonnull (empty);
  g_assert_cmpuint (length, ==, 0);
  device_end (&device);
}

/* Others that come while a request waits are kept for collect(). */
static void
test_kept (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autofree guint8 *reply = NULL;
  Device device;
  guint tokens[3];
  gsize length;

  driver_init (&driver, 0x10000, TRUE, TRUE);
  for (guint i = 0; i < 3; i++) {
    tokens[i] = vhost_driver_queue_add (driver.queue, (guint8 *) "12345", i + 1, 64, NULL);
    g_assert_cmpuint (tokens[i], ==, i + 1);
  }
  device_begin (&device, &driver, TRUE);
  reply = vhost_driver_queue_request (driver.queue, (guint8 *) "xyz", 3, 64, NULL, &length, NULL);
  g_assert_cmpmem (reply, length, "zyx", 3);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (VhostDriverBuffer) buffer = i & 1
                                               ? vhost_driver_queue_wait (driver.queue, NULL, NULL)
                                               : vhost_driver_queue_collect (driver.queue, NULL);

    g_assert_nonnull (buffer);
    g_assert_cmpuint (vhost_driver_buffer_get_token (buffer), ==, tokens[i]);
    g_assert_cmpuint (vhost_driver_buffer_get_size (buffer), ==, i + 1);
  }
  device_end (&device);
}

static void
count_used (VhostDriverQueue *queue, gpointer data)
{
  VhostDriverBuffer *buffer;

  while ((buffer = vhost_driver_queue_collect (queue, NULL)) != NULL) {
    vhost_driver_buffer_unref (buffer);
    (*(guint *) data)++;
  }
}

static void
test_watching (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  guint n_used = 0;
  Device device;

  driver_init (&driver, 0x10000, TRUE, TRUE);
  g_signal_connect (driver.queue, "used", G_CALLBACK (count_used), &n_used);
  device_begin (&device, &driver, TRUE);
  g_assert_true (vhost_driver_queue_start_watching (driver.queue, NULL));
  for (guint i = 0; i < 2000;) {
    if (vhost_driver_queue_add (driver.queue, (guint8 *) "12345", 5, 64, NULL) != 0) {
      vhost_driver_queue_kick (driver.queue);
      i++;
    } else {
      g_main_context_iteration (NULL, TRUE);
    }
  }
  while (n_used < 2000)
    g_main_context_iteration (NULL, TRUE);
  vhost_driver_queue_stop_watching (driver.queue);
  device_end (&device);
}

/* --- Alone --------------------------------------------------------------------------------- */

static void
test_full (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) no_descriptor = NULL;
  g_autoptr (GError) too_large = NULL;
  g_autoptr (GError) nothing = NULL;

  driver_init (&driver, 0x10000, TRUE, FALSE);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (vhost_driver_queue_add (driver.queue, (guint8 *) "1", 1, 1, NULL), !=, 0);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, (guint8 *) "1", 1, 1, &no_descriptor), ==,
                    0);
  g_assert_error (no_descriptor, VHOST_ERROR, VHOST_ERROR_QUEUE_FULL);
  g_assert_cmpuint (vhost_driver_queue_get_n_outstanding (driver.queue), ==, 4);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0x10001, &too_large), ==, 0);
  g_assert_error (too_large, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0, &nothing), ==, 0);
  g_assert_error (nothing, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
}

static void
test_no_buffer_memory (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) error = NULL;

  driver_init (&driver, 0x3000, TRUE, TRUE);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0x2000, NULL), !=, 0);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0x2000, &error), ==, 0);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_QUEUE_FULL);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0x1000, NULL), !=, 0);
}

static void
test_timeout (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) timed_out = NULL;
  g_autoptr (GError) cancelled = NULL;
  g_autoptr (GError) ended = NULL;
  g_autoptr (GError) reason = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gint64 start = g_get_monotonic_time ();
  gsize length;

  driver_init (&driver, 0x10000, TRUE, TRUE);
  g_object_set (driver.queue, "timeout", 20, NULL);
  g_assert_null (vhost_driver_queue_request (driver.queue, NULL, 0, 64, NULL, &length, &timed_out));
  g_assert_error (timed_out, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 20000);
  g_assert_null (vhost_driver_queue_collect (driver.queue, NULL));

  g_cancellable_cancel (cancellable);
  g_assert_null (vhost_driver_queue_wait (driver.queue, cancellable, &cancelled));
  g_assert_error (cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  reason = g_error_new (VHOST_ERROR, VHOST_ERROR_DISCONNECTED, "gone");
  vhost_driver_queue_shut_down (driver.queue, reason);
  g_assert_null (vhost_driver_queue_wait (driver.queue, NULL, &ended));
  g_assert_error (ended, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 64, NULL), ==, 0);
}

/* A request that nobody waits for any more is dropped when it comes, and its memory is free again.
 */
static void
test_abandoned (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (VhostDriverBuffer) buffer = NULL;
  Device device;
  gsize length;

  driver_init (&driver, 0x3000, TRUE, TRUE);
  vhost_driver_queue_set_timeout (driver.queue, 0);
  g_assert_null (
      vhost_driver_queue_request (driver.queue, (guint8 *) "a", 1, 0x1000, NULL, &length, NULL));
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, (guint8 *) "bc", 2, 8, NULL), ==, 2);
  vhost_driver_queue_kick (driver.queue);
  vhost_driver_queue_set_timeout (driver.queue, 10000);
  device_begin (&device, &driver, TRUE);
  buffer = vhost_driver_queue_wait (driver.queue, NULL, NULL);
  g_assert_nonnull (buffer);
  g_assert_cmpuint (vhost_driver_buffer_get_token (buffer), ==, 2);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 0x3000, NULL), !=, 0);
  device_end (&device);
}

static void
test_new (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) error = NULL;

  driver_init (&driver, 0x3000, TRUE, TRUE);
  g_assert_null (vhost_driver_queue_new (0, 9, TRUE, TRUE, driver.arena, NULL, GUEST_BASE, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_assert_cmpuint (vhost_driver_queue_get_index (driver.queue), ==, 2);
  g_assert_cmpuint (vhost_driver_queue_get_size (driver.queue), ==, QUEUE_SIZE);
  g_assert_cmpuint (vhost_driver_queue_get_timeout (driver.queue), ==, 10000);
  g_assert_cmpuint (driver.ring.desc % 16, ==, 0);
  g_assert_cmpuint (driver.ring.used % 4, ==, 0);
}

static void
test_arena (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  GRand *rand = g_rand_new_with_seed (1);
  guint64 address[64] = { 0 };
  gsize size[64] = { 0 };

  driver_init (&driver, 64 * 4096, TRUE, TRUE);
  for (guint i = 0; i < 50000; i++) {
    guint k = (guint) g_rand_int_range (rand, 0, 64);
    guint8 *host;

    if (size[k] > 0) {
      guint8 *bytes =
          vhost_memory_find_range (driver.memory, VHOST_ADDRESS_GUEST, address[k], size[k]);

      for (gsize b = 0; b < size[k]; b += 512)
        g_assert_cmpuint (bytes[b], ==, k);
      vhost_arena_free (driver.arena, address[k], size[k]);
      size[k] = 0;
      continue;
    }
    size[k] = (gsize) g_rand_int_range (rand, 1, 20000);
    host = vhost_arena_alloc (driver.arena, size[k], &address[k]);
    if (host == NULL)
      size[k] = 0;
    else
      memset (host, (int) k, size[k]);
  }
  for (guint k = 0; k < 64; k++)
    if (size[k] > 0)
      vhost_arena_free (driver.arena, address[k], size[k]);
  g_assert_nonnull (vhost_arena_alloc (driver.arena, 64 * 4096, &address[0]));
  g_assert_null (vhost_arena_alloc (driver.arena, 1, &address[0]));
  g_rand_free (rand);
}

/* --- Hostile devices ----------------------------------------------------------------------- */

static void
test_broken (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) add_error = NULL;
  VhostRingUsed *used;

  driver_init (&driver, 0x10000, TRUE, TRUE);
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 64, NULL), !=, 0);
  vhost_driver_queue_kick (driver.queue);
  used = (VhostRingUsed *) vhost_memory_find_range (driver.memory, VHOST_ADDRESS_GUEST,
                                                    driver.ring.used, 8);
  used->ring[0].id = GUINT32_TO_LE (77);
  used->idx = GUINT16_TO_LE (1);
  g_assert_null (vhost_driver_queue_collect (driver.queue, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE);
  g_assert_nonnull (strstr (error->message, "queue 2: "));
  g_assert_null (vhost_driver_queue_wait (driver.queue, NULL, NULL));
  g_assert_cmpuint (vhost_driver_queue_add (driver.queue, NULL, 0, 64, &add_error), ==, 0);
  g_assert_error (add_error, VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE);
}

static gpointer
notify_for_ever (gpointer data)
{
  Device *device = data;

  while (!g_atomic_int_get (&device->end))
    vhost_fd_signal_event (vhost_driver_queue_peek_call_fd (device->driver->queue));
  return NULL;
}

/* A device that notifies all the time and uses nothing: the deadline holds. */
static void
test_notification_storm (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (GError) error = NULL;
  Device device = { .driver = &driver };

  driver_init (&driver, 0x10000, TRUE, TRUE);
  vhost_driver_queue_set_timeout (driver.queue, 50);
  device.thread = g_thread_new ("storm", notify_for_ever, &device);
  g_assert_null (vhost_driver_queue_wait (driver.queue, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  device_end (&device);
}

/* What the device writes after it has used a buffer does not reach who collected it. */
static void
test_copied (guint *n_fds, gconstpointer data)
{
  g_auto (Driver) driver = { 0 };
  g_autoptr (VhostDriverBuffer) buffer = NULL;
  g_autofree guint8 *bytes = NULL;
  VhostRingUsed *used;
  guint8 *shared;
  gsize length;

  driver_init (&driver, 0x1000, TRUE, TRUE);
  vhost_driver_queue_add (driver.queue, NULL, 0, 64, NULL);
  vhost_driver_queue_kick (driver.queue);
  used = (VhostRingUsed *) vhost_memory_find_range (driver.memory, VHOST_ADDRESS_GUEST,
                                                    driver.ring.used, 8);
  shared =
      vhost_memory_find_range (driver.memory, VHOST_ADDRESS_GUEST,
                               GUEST_BASE + vhost_driver_queue_get_ring_bytes (QUEUE_SIZE), 64);
  memset (shared, 'a', 64);
  used->ring[0].len = GUINT32_TO_LE (5000);
  used->idx = GUINT16_TO_LE (1);
  buffer = vhost_driver_queue_collect (driver.queue, NULL);
  memset (shared, 'b', 64);
  bytes = vhost_driver_buffer_get_data (buffer, &length);
  g_assert_cmpuint (length, ==, 64); /* not more than there was room for */
  g_assert_cmpint (bytes[0], ==, 'a');
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/driver-queue/new", test_new);
  add_fd_test ("/driver-queue/arena", test_arena);
  add_fd_test ("/driver-queue/request", test_request);
  add_fd_test ("/driver-queue/request-without-data", test_request_without_data);
  add_fd_test ("/driver-queue/kept", test_kept);
  add_fd_test ("/driver-queue/watching", test_watching);
  add_fd_test ("/driver-queue/full", test_full);
  add_fd_test ("/driver-queue/no-buffer-memory", test_no_buffer_memory);
  add_fd_test ("/driver-queue/timeout", test_timeout);
  add_fd_test ("/driver-queue/abandoned", test_abandoned);
  add_fd_test ("/hostile/H085-notification-storm", test_notification_storm);
  add_fd_test ("/hostile/H092-broken", test_broken);
  add_fd_test ("/hostile/H092-copied", test_copied);
  return g_test_run ();
}
