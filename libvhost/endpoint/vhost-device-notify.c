/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that waits for the device, or does without event descriptors;
 * and the byte order of legacy rings. Holds no state; each call goes to the implementation and runs
 * on its thread. (vhost-user, INBAND_NOTIFICATIONS and CROSS_ENDIAN) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "endpoint/vhost-device-private.h"

/**
 * vhost_device_set_vring_endian:
 * @device: the device
 * @index: the queue, which must be stopped
 * @big_endian: whether its ring is big endian
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Tells the byte order of a legacy ring. Rings of a device that has %VHOST_FEATURE_VERSION_1 are
 * little endian, and the call is refused.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_vring_endian (VhostDevice *device, guint index, gboolean big_endian,
                               GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_vring_endian == NULL)
    return vhost_device_set_not_supported (device, "set_vring_endian", error);
  return iface->set_vring_endian (device, index, big_endian, cancellable, error);
}

/**
 * vhost_device_has_in_band_notifications:
 * @device: the device
 *
 * Tells whether a queue may be set up without kick, call and error descriptors:
 * [method@Vhost.Device.kick_vring] kicks it then, [signal@Vhost.Device::queue-notify] and
 * [signal@Vhost.Device::queue-error] come instead of the other two.
 *
 * Returns: whether it is so
 *
 * Since: 1.0
 */
gboolean
vhost_device_has_in_band_notifications (VhostDevice *device)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  return iface->has_in_band_notifications != NULL && iface->has_in_band_notifications (device);
}

/**
 * vhost_device_kick_vring:
 * @device: the device
 * @index: the queue
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Kicks a queue without a descriptor, and returns when the device has looked at it. Starts a queue
 * that is stopped and set up.
 *
 * Returns: %TRUE, or %FALSE with an error: %VHOST_ERROR_NOT_NEGOTIATED when the device takes kicks
 *   by descriptor only
 *
 * Since: 1.0
 */
gboolean
vhost_device_kick_vring (VhostDevice *device, guint index, GCancellable *cancellable,
                         GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->kick_vring == NULL)
    return vhost_device_set_not_supported (device, "kick_vring", error);
  return iface->kick_vring (device, index, cancellable, error);
}

static gboolean
wait_readable (int fd, guint timeout, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + timeout * G_TIME_SPAN_MILLISECOND;
  int result = vhost_fd_wait_readable (fd, deadline, cancellable, error);

  if (result == 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "nothing came within %u ms", timeout);
  return result > 0;
}

/**
 * vhost_device_wait_readable:
 * @device: the device
 * @fd: what to wait for, such as the call descriptor of a queue; -1 for whatever the device says of
 *   its own accord
 * @timeout: milliseconds; 0 looks once
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Waits until a descriptor becomes readable, and does meanwhile what the device needs: answers its
 * requests, notices that it leaves. For programs that run no main loop meanwhile;
 * [signal@Vhost.Device::queue-notify] and what else the device told come from the loop all the
 * same, later. Blocks.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_TIMED_OUT, %VHOST_ERROR_DISCONNECTED when the device
 *   is gone, %VHOST_ERROR_BAD_STATE from inside a signal of a request, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_device_wait_readable (VhostDevice *device, int fd, guint timeout, GCancellable *cancellable,
                            GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);
  g_return_val_if_fail (fd >= -1, FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->wait_readable != NULL)
    return iface->wait_readable (device, fd, timeout, cancellable, error);
  if (fd < 0)
    return vhost_device_set_not_supported (device, "wait_readable", error);
  return wait_readable (fd, timeout, cancellable, error);
}

/**
 * vhost_device_has_used_lengths:
 * @device: the device
 *
 * Tells whether the device says how many bytes of a buffer it wrote, as VIRTIO wants it to. One
 * that does not (the kernel's SCSI host) leaves it to the content of the buffer to say.
 *
 * Returns: whether it is so
 *
 * Since: 1.0
 */
gboolean
vhost_device_has_used_lengths (VhostDevice *device)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), TRUE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  return iface->has_used_lengths == NULL || iface->has_used_lengths (device);
}
