/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that keeps a record of requests over the life of the process
 * that serves them. Holds no state; each call goes to the implementation and runs on its thread.
 * (vhost-user, “Inflight I/O tracking”) */

#include "endpoint/vhost-device.h"

static gboolean
set_not_supported (VhostDevice *device, GError **error)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s records no requests",
               G_OBJECT_TYPE_NAME (device));
  return FALSE;
}

/**
 * vhost_device_request_inflight:
 * @device: the device
 * @n_queues: how many queues to record
 * @queue_size: how many descriptors the largest of them has
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Asks for a new area in which the device records the requests that are in flight, and lets it be
 * used. @device keeps the area, whatever becomes of the process that serves it. After the features
 * were set and before the queues start.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED or `G_IO_ERROR_NOT_SUPPORTED` when the
 *   device keeps no such record, or another error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_request_inflight (VhostDevice *device, guint n_queues, guint queue_size,
                               GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);
  g_return_val_if_fail (n_queues <= G_MAXUINT16 && queue_size <= G_MAXUINT16, FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->request_inflight == NULL)
    return set_not_supported (device, error);
  return iface->request_inflight (device, n_queues, queue_size, cancellable, error);
}

/**
 * vhost_device_give_inflight:
 * @device: the device
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Hands the area that is kept to the process that serves the device now, which does again what the
 * one before did not complete. After the features were set and before the queues start.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when no area is kept, or another error that
 *   names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_device_give_inflight (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->give_inflight == NULL)
    return set_not_supported (device, error);
  return iface->give_inflight (device, cancellable, error);
}

/**
 * vhost_device_drop_inflight:
 * @device: the device
 *
 * Forgets the area that is kept, if there is one: what it records is of no use once the driver has
 * begun anew.
 *
 * Since: 1.0
 */
void
vhost_device_drop_inflight (VhostDevice *device)
{
  VhostDeviceInterface *iface;

  g_return_if_fail (VHOST_IS_DEVICE (device));

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->drop_inflight != NULL)
    iface->drop_inflight (device);
}
