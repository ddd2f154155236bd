/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface through which a VMM, or a driver without one, drives a device, whatever carries it.
 * Holds no state; each call goes to the implementation and runs on its thread. Ring addresses are
 * guest physical: the implementation knows what its transport wants. (vhost-user, “Front-end
 * message types”) */

#include "core/vhost-error-private.h"
#include "endpoint/vhost-device.h"

G_DEFINE_INTERFACE (VhostDevice, vhost_device, G_TYPE_OBJECT)

static void
vhost_device_default_init (VhostDeviceInterface *iface)
{
  /**
   * VhostDevice::queue-notify:
   * @device: the device
   * @index: the queue
   *
   * The device has used buffers of a queue. Only from devices that watch call descriptors
   * themselves.
   *
   * Since: 1.0
   */
  g_signal_new ("queue-notify", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 1, G_TYPE_UINT);

  /**
   * VhostDevice::config-changed:
   * @device: the device
   *
   * The device changed its configuration space: read it again.
   *
   * Since: 1.0
   */
  g_signal_new ("config-changed", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 0);

  /**
   * VhostDevice::disconnected:
   * @device: the device
   * @error: (nullable): why, or %NULL when the other side left in order
   *
   * The device is gone. Emitted once for each time it was opened.
   *
   * Since: 1.0
   */
  g_signal_new ("disconnected", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static gboolean
set_not_supported (VhostDevice *device, const char *what, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s has no %s",
               G_OBJECT_TYPE_NAME (device), what);
  return FALSE;
}

/**
 * vhost_device_get_features:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Asks which features the device offers.
 *
 * Returns: the feature bits; 0 with an error when the device did not answer
 *
 * Since: 1.0
 */
guint64
vhost_device_get_features (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->get_features == NULL)
    return set_not_supported (device, "get_features", error);
  return iface->get_features (device, cancellable, error);
}

/**
 * vhost_device_set_features:
 * @device: the device
 * @features: accepted feature bits, out of those offered
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Tells the device which features are in use. While queues run only %VHOST_FEATURE_LOG_ALL may
 * change.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_features (VhostDevice *device, guint64 features, GCancellable *cancellable,
                           GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_features == NULL)
    return set_not_supported (device, "set_features", error);
  return iface->set_features (device, features, cancellable, error);
}

/**
 * vhost_device_set_owner:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Starts a session with the device.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_owner == NULL)
    return set_not_supported (device, "set_owner", error);
  return iface->set_owner (device, cancellable, error);
}

/**
 * vhost_device_reset_owner:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Ends a session. Deprecated by the specification: closing the device does it.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_reset_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->reset_owner == NULL)
    return set_not_supported (device, "reset_owner", error);
  return iface->reset_owner (device, cancellable, error);
}

/**
 * vhost_device_get_n_queues:
 * @device: the device
 *
 * How many queues the device has at most. Known once it is open.
 *
 * Returns: the number; 1 for a device that does not tell
 *
 * Since: 1.0
 */
guint
vhost_device_get_n_queues (VhostDevice *device)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->get_n_queues == NULL)
    return 1;
  return iface->get_n_queues (device);
}

/**
 * vhost_device_set_memory:
 * @device: the device
 * @memory: guest memory; kept until it is replaced
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Shares guest memory with the device: all regions, in place of those before. May be called while
 * queues run.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_memory (VhostDevice *device, VhostMemory *memory, GCancellable *cancellable,
                         GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_memory == NULL)
    return set_not_supported (device, "set_memory", error);
  return iface->set_memory (device, memory, cancellable, error);
}

/**
 * vhost_device_set_log_base:
 * @device: the device
 * @fd: shared memory of the log; duplicated
 * @size: bytes
 * @offset: where in the file it begins, in bytes
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Says where dirty pages are logged: one bit for each 4096 bytes of guest physical memory.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_log_base (VhostDevice *device, int fd, guint64 size, guint64 offset,
                           GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_log_base == NULL)
    return set_not_supported (device, "set_log_base", error);
  return iface->set_log_base (device, fd, size, offset, cancellable, error);
}

/**
 * vhost_device_set_log_fd:
 * @device: the device
 * @fd: an eventfd; duplicated
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Gives an eventfd that the device signals when it has logged.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_log_fd (VhostDevice *device, int fd, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_log_fd == NULL)
    return set_not_supported (device, "set_log_fd", error);
  return iface->set_log_fd (device, fd, cancellable, error);
}

/**
 * vhost_device_set_vring_num:
 * @device: the device
 * @index: the queue
 * @num: its size in descriptors, up to 32768
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Sets the size of a stopped queue.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_num (VhostDevice *device, guint index, guint num, GCancellable *cancellable,
                            GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_num == NULL)
    return set_not_supported (device, "set_vring_num", error);
  return iface->set_vring_num (device, index, num, cancellable, error);
}

/**
 * vhost_device_set_vring_addr:
 * @device: the device
 * @index: the queue
 * @flags: bit 0: log writes to the used ring
 * @desc: guest address of the descriptor table, 16-aligned
 * @avail: guest address of the available ring, 2-aligned
 * @used: guest address of the used ring, 4-aligned
 * @log: guest address under which the used ring is logged
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Says where a queue lies in guest memory. (VIRTIO 1.4, section 2.7)
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_addr (VhostDevice *device, guint index, guint flags, guint64 desc,
                             guint64 avail, guint64 used, guint64 log, GCancellable *cancellable,
                             GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_addr == NULL)
    return set_not_supported (device, "set_vring_addr", error);
  return iface->set_vring_addr (device, index, flags, desc, avail, used, log, cancellable, error);
}

/**
 * vhost_device_set_vring_base:
 * @device: the device
 * @index: the queue
 * @base: split: index of the next available entry
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Says where a stopped queue goes on.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_base (VhostDevice *device, guint index, guint32 base,
                             GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_base == NULL)
    return set_not_supported (device, "set_vring_base", error);
  return iface->set_vring_base (device, index, base, cancellable, error);
}

/**
 * vhost_device_get_vring_base:
 * @device: the device
 * @index: the queue
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Stops a queue: returns when nothing of it is in flight.
 *
 * Returns: index of the next available entry; 0 with an error when the device did not answer
 *
 * Since: 1.0
 */
guint32
vhost_device_get_vring_base (VhostDevice *device, guint index, GCancellable *cancellable,
                             GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->get_vring_base == NULL)
    return set_not_supported (device, "get_vring_base", error);
  return iface->get_vring_base (device, index, cancellable, error);
}

/**
 * vhost_device_set_vring_kick:
 * @device: the device
 * @index: the queue
 * @fd: an eventfd, duplicated; -1: the device polls
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Starts a queue, and says which descriptor the driver kicks.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_kick (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                             GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_kick == NULL)
    return set_not_supported (device, "set_vring_kick", error);
  return iface->set_vring_kick (device, index, fd, cancellable, error);
}

/**
 * vhost_device_set_vring_call:
 * @device: the device
 * @index: the queue
 * @fd: an eventfd, duplicated; -1: the driver polls
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Says which descriptor the device signals when it has used buffers.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_call (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                             GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_call == NULL)
    return set_not_supported (device, "set_vring_call", error);
  return iface->set_vring_call (device, index, fd, cancellable, error);
}

/**
 * vhost_device_set_vring_err:
 * @device: the device
 * @index: the queue
 * @fd: an eventfd, duplicated; -1: none
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Says which descriptor the device signals when the queue is broken.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_err (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                            GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_err == NULL)
    return set_not_supported (device, "set_vring_err", error);
  return iface->set_vring_err (device, index, fd, cancellable, error);
}

/**
 * vhost_device_set_vring_enable:
 * @device: the device
 * @index: the queue
 * @enable: %FALSE: the device leaves it alone
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Enables or disables a queue.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_enable (VhostDevice *device, guint index, gboolean enable,
                               GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_enable == NULL)
    return set_not_supported (device, "set_vring_enable", error);
  return iface->set_vring_enable (device, index, enable, cancellable, error);
}

/**
 * vhost_device_get_status:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Reads the device status.
 *
 * Returns: bits of #VhostStatus; 0 with an error when it cannot be read
 *
 * Since: 1.0
 */
guint
vhost_device_get_status (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->get_status == NULL)
    return set_not_supported (device, "get_status", error);
  return iface->get_status (device, cancellable, error);
}

/**
 * vhost_device_set_status:
 * @device: the device
 * @status: bits of #VhostStatus; 0 resets
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Writes the device status.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_status (VhostDevice *device, guint status, GCancellable *cancellable,
                         GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_status == NULL)
    return set_not_supported (device, "set_status", error);
  return iface->set_status (device, status, cancellable, error);
}

/**
 * vhost_device_reset:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Brings the device back to its initial state: all queues stopped and disabled.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_reset (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), 0);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->reset == NULL)
    return set_not_supported (device, "reset", error);
  return iface->reset (device, cancellable, error);
}

/**
 * vhost_device_get_config:
 * @device: the device
 * @offset: first byte of the configuration space
 * @size: bytes
 * @cancellable: (nullable): to give up early
 * @length: (out): bytes returned
 * @error: return location
 *
 * Reads the device's configuration space; little endian for VIRTIO 1.0 and later.
 *
 * Returns: (transfer full) (array length=length): the bytes, or %NULL with an error
 *
 * Since: 1.0
 */
guint8 *
vhost_device_get_config (VhostDevice *device, guint offset, guint size, GCancellable *cancellable,
                         gsize *length, GError **error)
{
  VhostDeviceInterface *iface;
  GBytes *config;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), NULL);

  *length = 0;
  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->get_config == NULL) {
    set_not_supported (device, "get_config", error);
    return NULL;
  }
  config = iface->get_config (device, offset, size, cancellable, error);
  return config != NULL ? g_bytes_unref_to_data (config, length) : NULL;
}

/**
 * vhost_device_set_config:
 * @device: the device
 * @offset: first byte of the configuration space
 * @data: (array length=length): what to write
 * @length: bytes
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Writes fields of the configuration space that the driver may write.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_config (VhostDevice *device, guint offset, const guint8 *data, gsize length,
                         GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;
  g_autoptr (GBytes) bytes = NULL;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_config == NULL)
    return set_not_supported (device, "set_config", error);
  bytes = g_bytes_new (data, length);
  return iface->set_config (device, offset, bytes, cancellable, error);
}
