/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest without a VM: makes memory that no back-end can cut short, lays out queues in it, and
 * starts any device on them. One thread. (VIRTIO 1.4, section 3.1; the addresses it gives are no
 * addresses of this process) */

#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "driver/vhost-driver-private.h"
#include "ring/vhost-driver-queue-private.h"

#define MEMORY_UNIT 4096
#define MIN_MEMORY (1024 * 1024)
#define DEFAULT_MEMORY (64 * 1024 * 1024)
#define MAX_QUEUES 256
#define MAX_QUEUE_SIZE 32768

/* What the driver side of a ring can do. */
#define RING_FEATURES                                                                              \
  (VHOST_BIT (VHOST_FEATURE_VERSION_1) | VHOST_BIT (VHOST_FEATURE_INDIRECT_DESC) |                 \
   VHOST_BIT (VHOST_FEATURE_EVENT_IDX) | VHOST_BIT (VHOST_FEATURE_RING_PACKED))

/* What it can do when it is told how. */
#define OPTIONAL_FEATURES VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM)

/* Bits of the device kind: 0 to 23, and 50 to 63. */
#define DEVICE_FEATURES (G_GUINT64_CONSTANT (0xfffc000000ffffff))

G_DEFINE_FINAL_TYPE (VhostDriver, vhost_driver, G_TYPE_OBJECT)

enum {
  PROP_DEVICE = 1,
  PROP_WANTED_FEATURES,
  PROP_ACKED_FEATURES,
  PROP_MEMORY_SIZE,
  PROP_IOVA_OFFSET,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

static gboolean
negotiate (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint64 offered = vhost_device_get_features (driver->device, cancellable, &reason);
  guint64 known = RING_FEATURES | OPTIONAL_FEATURES | DEVICE_FEATURES;

  if (reason != NULL) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  driver->features = offered & driver->wanted & known;
  return vhost_device_set_features (driver->device, driver->features, cancellable, error);
}

/* A device does not have everything that it could be told or asked for. */
static gboolean
is_unsupported (const GError *error)
{
  return g_error_matches (error, VHOST_ERROR, VHOST_ERROR_NOT_NEGOTIATED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

gboolean
vhost_driver_tell_status (VhostDriver *driver, guint status, GCancellable *cancellable,
                          GError **error)
{
  g_autoptr (GError) reason = NULL;

  if (vhost_device_set_status (driver->device, status, cancellable, &reason) ||
      is_unsupported (reason))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/* From here on no request is lost with the process that serves it, if the device can do that. */
static gboolean
request_inflight (VhostDriver *driver, guint queue_size, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) reason = NULL;

  driver->tracked = vhost_device_request_inflight (driver->device, driver->n_queues, queue_size,
                                                   cancellable, &reason);
  if (driver->tracked || is_unsupported (reason))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/* A wait for a queue is a wait for its device, which may have something to say first. */
static int
wait_for_device (int fd, gint64 deadline, gpointer data, GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostDevice) device = g_object_ref (data);
  gint64 left = MAX (0, deadline - g_get_monotonic_time ());
  g_autoptr (GError) reason = NULL;

  if (vhost_device_wait_readable (device, fd, (guint) ((left + 999) / 1000), cancellable, &reason))
    return 1;
  if (g_error_matches (reason, VHOST_ERROR, VHOST_ERROR_TIMED_OUT))
    return 0;
  g_propagate_error (error, g_steal_pointer (&reason));
  return -1;
}

static gboolean
lay_out_queues (VhostDriver *driver, guint queue_size, GError **error)
{
  gsize ring_bytes = vhost_driver_queue_get_ring_bytes (queue_size);
  guint64 used = ring_bytes * driver->n_queues;
  gboolean has_iommu = vhost_word_has (driver->features, VHOST_FEATURE_ACCESS_PLATFORM);
  guint64 offset = has_iommu ? driver->iova_offset : 0;

  if (used >= driver->memory_size)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%u queues of %u need %" G_GUINT64_FORMAT
                            " bytes and more; the driver has %" G_GUINT64_FORMAT,
                            driver->n_queues, queue_size, used, driver->memory_size);
  driver->arena = vhost_arena_new (driver->memory, driver->base + used, driver->memory_size - used);
  vhost_arena_move (driver->arena, offset);
  driver->queues = g_new0 (VhostDriverQueue *, driver->n_queues + 1);
  for (guint i = 0; i < driver->n_queues; i++) {
    guint64 address = driver->base + i * ring_bytes;
    guint8 *ring =
        vhost_memory_find_range (driver->memory, VHOST_ADDRESS_GUEST, address, ring_bytes);

    driver->queues[i] = vhost_driver_queue_new (
        i, queue_size, vhost_word_has (driver->features, VHOST_FEATURE_RING_PACKED),
        vhost_word_has (driver->features, VHOST_FEATURE_EVENT_IDX),
        vhost_word_has (driver->features, VHOST_FEATURE_INDIRECT_DESC), driver->arena, ring,
        address + offset, error);
    if (driver->queues[i] == NULL)
      return FALSE;
    vhost_driver_queue_set_wait_func (driver->queues[i], wait_for_device, driver->device);
    if (!vhost_device_has_used_lengths (driver->device))
      vhost_driver_queue_ignore_lengths (driver->queues[i]);
  }
  return TRUE;
}

static gboolean
kick_in_band (VhostDriverQueue *queue, gpointer data, GError **error)
{
  return vhost_device_kick_vring (data, vhost_driver_queue_get_index (queue), NULL, error);
}

static gboolean
set_up_queue (VhostDriver *driver, VhostDriverQueue *queue, GCancellable *cancellable,
              GError **error)
{
  VhostDevice *device = driver->device;
  guint index = vhost_driver_queue_get_index (queue);
  gboolean fds = !vhost_device_has_in_band_notifications (device);
  VhostDriverRing ring;

  vhost_driver_queue_get_ring (queue, &ring);
  if (!fds)
    vhost_driver_queue_set_kick_func (queue, kick_in_band, device);
  return vhost_device_set_vring_num (device, index, vhost_driver_queue_get_size (queue),
                                     cancellable, error) &&
         vhost_device_set_vring_base (device, index, vhost_driver_queue_get_base (queue),
                                      cancellable, error) &&
         vhost_device_set_vring_addr (device, index, 0, ring.desc, ring.avail, ring.used, ring.used,
                                      cancellable, error) &&
         vhost_device_set_vring_call (device, index,
                                      fds ? vhost_driver_queue_peek_call_fd (queue) : -1,
                                      cancellable, error) &&
         (fds || vhost_device_set_vring_err (device, index, -1, cancellable, error)) &&
         vhost_device_set_vring_kick (
             device, index, fds ? vhost_driver_queue_peek_kick_fd (queue) : -1, cancellable, error);
}

gboolean
vhost_driver_start_queues (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < driver->n_queues; i++) {
    if (!set_up_queue (driver, driver->queues[i], cancellable, error))
      return FALSE;
  }
  for (guint i = 0; i < driver->n_queues; i++) {
    if (!vhost_device_set_vring_enable (driver->device, i, TRUE, cancellable, error))
      return FALSE;
  }
  return TRUE;
}

static void
forget_queues (VhostDriver *driver, const GError *reason)
{
  for (guint i = 0; driver->queues != NULL && i < driver->n_queues; i++) {
    if (driver->queues[i] == NULL)
      continue;
    vhost_driver_queue_shut_down (driver->queues[i], reason);
    g_object_unref (driver->queues[i]);
  }
  g_clear_pointer (&driver->queues, g_free);
  driver->n_queues = 0;
  g_clear_pointer (&driver->arena, vhost_arena_unref);
  g_clear_pointer (&driver->memory, vhost_memory_unref);
  if (driver->device != NULL)
    vhost_device_drop_inflight (driver->device);
  driver->features = 0;
  driver->started = FALSE;
  driver->resumable = FALSE;
  driver->tracked = FALSE;
}

/* What was added stays in memory until the driver is resumed, started anew or gone. */
static void
suspend_queues (VhostDriver *driver, const GError *reason)
{
  for (guint i = 0; i < driver->n_queues; i++)
    vhost_driver_queue_shut_down (driver->queues[i], reason);
  driver->started = FALSE;
  driver->resumable = TRUE;
}

static void
on_disconnected (VhostDevice *device, const GError *error, gpointer data)
{
  VhostDriver *driver = data;
  g_autoptr (GError) reason =
      error != NULL ? g_error_copy (error)
                    : g_error_new (VHOST_ERROR, VHOST_ERROR_DISCONNECTED, "the device has left");

  if (driver->started)
    suspend_queues (driver, reason);
}

static void
on_resuming (VhostDevice *device, gpointer data)
{
  vhost_driver_offer_again (data);
}

static void
on_queue_notify (VhostDevice *device, guint index, gpointer data)
{
  VhostDriverQueue *queue = vhost_driver_get_queue (data, index);

  if (queue != NULL)
    vhost_driver_queue_call (queue);
}

static void
on_queue_error (VhostDevice *device, guint index, gpointer data)
{
  VhostDriverQueue *queue = vhost_driver_get_queue (data, index);
  g_autoptr (GError) broken = g_error_new (VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE,
                                           "queue %u: the device found it broken", index);

  if (queue != NULL)
    vhost_driver_queue_shut_down (queue, broken);
}

static gboolean
check_start (VhostDriver *driver, guint n_queues, guint queue_size, GError **error)
{
  guint limit = MIN (vhost_device_get_n_queues (driver->device), MAX_QUEUES);

  if (driver->started)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the driver is started already");
  if (limit == 0)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the device is not open");
  if (n_queues == 0 || n_queues > limit)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%u queues; the device has %u",
                            n_queues, limit);
  return TRUE;
}

/**
 * vhost_driver_new:
 * @device: the device to drive, opened by the time of [method@Vhost.Driver.start]
 *
 * Makes a driver.
 *
 * Returns: (transfer full): the driver
 *
 * Since: 1.0
 */
VhostDriver *
vhost_driver_new (VhostDevice *device)
{
  return g_object_new (VHOST_TYPE_DRIVER, "device", device, NULL);
}

/**
 * vhost_driver_get_device:
 * @driver: a driver
 *
 * Looks at the device that is driven.
 *
 * Returns: (transfer none): the device
 *
 * Since: 1.0
 */
VhostDevice *
vhost_driver_get_device (VhostDriver *driver)
{
  g_return_val_if_fail (VHOST_IS_DRIVER (driver), NULL);

  return driver->device;
}

/**
 * vhost_driver_start:
 * @driver: a driver
 * @n_queues: how many queues to use, from queue 0 on
 * @queue_size: descriptors of each, up to 32768; a power of two unless packed rings are in use
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Negotiates features, shares memory and starts the queues. Blocks, each step for as long as the
 * device's timeout allows.
 *
 * Returns: %TRUE, or %FALSE with an error; the driver is as before then, the device has to be
 * opened again
 *
 * Since: 1.0
 */
gboolean
vhost_driver_start (VhostDriver *driver, guint n_queues, guint queue_size,
                    GCancellable *cancellable, GError **error)
{
  const guint found = VHOST_STATUS_ACKNOWLEDGE | VHOST_STATUS_DRIVER;
  g_autoptr (GError) reason = NULL;

  g_return_val_if_fail (VHOST_IS_DRIVER (driver), FALSE);
  g_return_val_if_fail (driver->device != NULL, FALSE);

  if (!check_start (driver, n_queues, queue_size, error))
    return FALSE;
  vhost_driver_stop (driver, NULL, NULL); /* what could have been resumed */
  driver->n_queues = n_queues;
  driver->started =
      vhost_driver_make_memory (driver, &reason) &&
      vhost_driver_tell_status (driver, found, cancellable, &reason) &&
      negotiate (driver, cancellable, &reason) &&
      vhost_driver_tell_status (driver, found | VHOST_STATUS_FEATURES_OK, cancellable, &reason) &&
      lay_out_queues (driver, queue_size, &reason) &&
      request_inflight (driver, queue_size, cancellable, &reason) &&
      vhost_device_set_memory (driver->device, driver->memory, cancellable, &reason) &&
      vhost_driver_start_queues (driver, cancellable, &reason) &&
      vhost_driver_tell_status (driver, found | VHOST_STATUS_FEATURES_OK | VHOST_STATUS_DRIVER_OK,
                                cancellable, &reason);
  if (driver->started)
    return TRUE;
  forget_queues (driver, reason);
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

static gboolean
stop_queues (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < driver->n_queues; i++) {
    g_autoptr (GError) reason = NULL;

    if (vhost_device_set_vring_enable (driver->device, i, FALSE, cancellable, &reason))
      vhost_device_get_vring_base (driver->device, i, cancellable, &reason);
    if (reason != NULL) {
      g_propagate_error (error, g_steal_pointer (&reason));
      return FALSE;
    }
  }
  return vhost_driver_tell_status (driver, 0, cancellable, error);
}

/**
 * vhost_driver_stop:
 * @driver: a driver
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Stops all queues, each when nothing of it is in flight any more. Its queues are of no use
 * afterwards; the driver can be started again.
 *
 * Returns: %TRUE, or %FALSE with an error when the device did not answer
 *
 * Since: 1.0
 */
gboolean
vhost_driver_stop (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) stopped =
      g_error_new (VHOST_ERROR, VHOST_ERROR_BAD_STATE, "the driver is stopped");
  gboolean in_order;

  g_return_val_if_fail (VHOST_IS_DRIVER (driver), FALSE);

  in_order = !driver->started || stop_queues (driver, cancellable, error);
  forget_queues (driver, stopped);
  return in_order;
}

/**
 * vhost_driver_is_started:
 * @driver: a driver
 *
 * Tells whether the queues can be used.
 *
 * Returns: whether the driver is started
 *
 * Since: 1.0
 */
gboolean
vhost_driver_is_started (VhostDriver *driver)
{
  g_return_val_if_fail (VHOST_IS_DRIVER (driver), FALSE);

  return driver->started;
}

/**
 * vhost_driver_has_feature:
 * @driver: a driver
 * @bit: number of a VIRTIO feature bit
 *
 * Tells whether a feature is in use.
 *
 * Returns: whether it was wanted, and offered by the device
 *
 * Since: 1.0
 */
gboolean
vhost_driver_has_feature (VhostDriver *driver, guint bit)
{
  g_return_val_if_fail (VHOST_IS_DRIVER (driver), FALSE);

  return driver->started && vhost_word_has (driver->features, bit);
}

/**
 * vhost_driver_get_queue:
 * @driver: a driver
 * @index: number of the queue, from 0
 *
 * Finds a queue.
 *
 * Returns: (transfer none) (nullable): the queue, or %NULL when the driver is not started or uses
 * no such queue
 *
 * Since: 1.0
 */
VhostDriverQueue *
vhost_driver_get_queue (VhostDriver *driver, guint index)
{
  g_return_val_if_fail (VHOST_IS_DRIVER (driver), NULL);

  return driver->started && index < driver->n_queues ? driver->queues[index] : NULL;
}

/**
 * vhost_driver_get_memory:
 * @driver: a driver
 *
 * Looks at the memory that the device sees.
 *
 * Returns: (transfer none) (nullable): the table, or %NULL when the driver is not started
 *
 * Since: 1.0
 */
VhostMemory *
vhost_driver_get_memory (VhostDriver *driver)
{
  g_return_val_if_fail (VHOST_IS_DRIVER (driver), NULL);

  return driver->started ? driver->memory : NULL;
}

static void
set_device (VhostDriver *driver, VhostDevice *device)
{
  driver->device = g_object_ref (device);
  driver->signal_ids[0] =
      g_signal_connect (device, "disconnected", G_CALLBACK (on_disconnected), driver);
  driver->signal_ids[1] =
      g_signal_connect (device, "queue-notify", G_CALLBACK (on_queue_notify), driver);
  driver->signal_ids[2] =
      g_signal_connect (device, "queue-error", G_CALLBACK (on_queue_error), driver);
  driver->signal_ids[3] = g_signal_connect (device, "resuming", G_CALLBACK (on_resuming), driver);
}

static void
vhost_driver_dispose (GObject *object)
{
  VhostDriver *driver = VHOST_DRIVER (object);
  g_autoptr (GError) gone = g_error_new (VHOST_ERROR, VHOST_ERROR_BAD_STATE, "the driver is gone");

  forget_queues (driver, gone);
  for (guint i = 0; i < G_N_ELEMENTS (driver->signal_ids); i++)
    g_clear_signal_handler (&driver->signal_ids[i], driver->device);
  g_clear_object (&driver->device);
  G_OBJECT_CLASS (vhost_driver_parent_class)->dispose (object);
}

static void
vhost_driver_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostDriver *driver = VHOST_DRIVER (object);

  switch (id) {
  case PROP_DEVICE:
    g_value_set_object (value, driver->device);
    break;
  case PROP_WANTED_FEATURES:
    g_value_set_uint64 (value, driver->wanted);
    break;
  case PROP_ACKED_FEATURES:
    g_value_set_uint64 (value, driver->started ? driver->features : 0);
    break;
  case PROP_MEMORY_SIZE:
    g_value_set_uint64 (value, driver->memory_size);
    break;
  case PROP_IOVA_OFFSET:
    g_value_set_uint64 (value, driver->iova_offset);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_driver_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostDriver *driver = VHOST_DRIVER (object);

  switch (id) {
  case PROP_DEVICE:
    if (g_value_get_object (value) != NULL)
      set_device (driver, g_value_get_object (value));
    break;
  case PROP_WANTED_FEATURES:
    driver->wanted = g_value_get_uint64 (value);
    break;
  case PROP_MEMORY_SIZE:
    driver->memory_size =
        (g_value_get_uint64 (value) + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
    break;
  case PROP_IOVA_OFFSET:
    driver->iova_offset = g_value_get_uint64 (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_driver_class_init (VhostDriverClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;

  object_class->dispose = vhost_driver_dispose;
  object_class->get_property = vhost_driver_get_property;
  object_class->set_property = vhost_driver_set_property;

  /**
   * VhostDriver:device:
   *
   * The device to drive.
   *
   * Since: 1.0
   */
  properties[PROP_DEVICE] =
      g_param_spec_object ("device", NULL, NULL, VHOST_TYPE_DEVICE,
                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostDriver:wanted-features:
   *
   * The VIRTIO feature bits to accept when they are offered. From the start: VERSION_1,
   * INDIRECT_DESC, EVENT_IDX and RING_PACKED. Add those of the device kind that the caller knows
   * how to use, and ACCESS_PLATFORM for a device behind an IOMMU.
   *
   * Since: 1.0
   */
  properties[PROP_WANTED_FEATURES] =
      g_param_spec_uint64 ("wanted-features", NULL, NULL, 0, G_MAXUINT64, RING_FEATURES, writable);
  /**
   * VhostDriver:acked-features:
   *
   * The feature bits that are in use; 0 while the driver is not started.
   *
   * Since: 1.0
   */
  properties[PROP_ACKED_FEATURES] = g_param_spec_uint64 (
      "acked-features", NULL, NULL, 0, G_MAXUINT64, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostDriver:memory-size:
   *
   * Bytes of memory for queues and buffers, rounded up to 4096; at least 1 MiB, from the start 64
   * MiB. Pages cost nothing before they are used. In force at the next start.
   *
   * Since: 1.0
   */
  properties[PROP_MEMORY_SIZE] = g_param_spec_uint64 ("memory-size", NULL, NULL, MIN_MEMORY,
                                                      G_MAXINT64 / 2, DEFAULT_MEMORY, writable);
  /**
   * VhostDriver:iova-offset:
   *
   * How much higher than its guest physical address each address is that the device sees, modulo
   * 2⁶⁴, when %VHOST_FEATURE_ACCESS_PLATFORM is in use: what [method@Vhost.Device.set_iommu] was
   * given must lead back. A multiple of 4096. In force at the next start.
   *
   * Since: 1.0
   */
  properties[PROP_IOVA_OFFSET] =
      g_param_spec_uint64 ("iova-offset", NULL, NULL, 0, G_MAXUINT64, 0, writable);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_driver_init (VhostDriver *driver)
{
}
