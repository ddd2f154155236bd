/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that does without event descriptors, and the byte order of
 * legacy rings. Holds no state; each call goes to the implementation and runs on its thread.
 * (vhost-user, INBAND_NOTIFICATIONS and CROSS_ENDIAN) */

#include "endpoint/vhost-device.h"

static gboolean
set_not_supported (VhostDevice *device, const char *what, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s has no %s",
               G_OBJECT_TYPE_NAME (device), what);
  return FALSE;
}

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
    return set_not_supported (device, "set_vring_endian", error);
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
    return set_not_supported (device, "kick_vring", error);
  return iface->kick_vring (device, index, cancellable, error);
}

/**
 * vhost_device_wait:
 * @device: the device
 * @timeout: how long, in milliseconds
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Waits until the device says something of its own accord, for a program that runs no main loop
 * meanwhile. Its signals come from the loop all the same, later.
 *
 * Returns: %TRUE when there was something; %FALSE with %VHOST_ERROR_TIMED_OUT when there was not,
 *   %VHOST_ERROR_DISCONNECTED when the device has left, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_device_wait (VhostDevice *device, guint timeout, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->wait == NULL)
    return set_not_supported (device, "wait", error);
  return iface->wait (device, timeout, cancellable, error);
}
