/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that is about the whole device: its status byte, its reset and
 * its configuration space. Holds no state; each call goes to the implementation and runs on its
 * thread. (vhost-user, GET_STATUS, RESET_DEVICE and CONFIG) */

#include "core/vhost-error-private.h"
#include "endpoint/vhost-device-private.h"

gboolean
vhost_device_set_not_supported (VhostDevice *device, const char *what, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s has no %s",
               G_OBJECT_TYPE_NAME (device), what);
  return FALSE;
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
    return vhost_device_set_not_supported (device, "get_status", error);
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
    return vhost_device_set_not_supported (device, "set_status", error);
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
    return vhost_device_set_not_supported (device, "reset", error);
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
    vhost_device_set_not_supported (device, "get_config", error);
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
    return vhost_device_set_not_supported (device, "set_config", error);
  bytes = g_bytes_new (data, length);
  return iface->set_config (device, offset, bytes, cancellable, error);
}
