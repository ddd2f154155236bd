/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that concerns I/O addresses: who translates them, and what the
 * device keeps of that. (vhost-user, “IOMMU support”; VIRTIO 1.4, section 6,
 * VIRTIO_F_ACCESS_PLATFORM) */

#include "endpoint/vhost-device-private.h"

/**
 * vhost_device_set_iommu:
 * @device: the device
 * @iommu: (nullable): who translates I/O addresses, or %NULL for nobody
 * @error: return location
 *
 * Puts the device behind an IOMMU: %VHOST_FEATURE_ACCESS_PLATFORM is offered from the next
 * [method@Vhost.Device.get_features] on, by devices that can ask for translations. With the feature
 * accepted the addresses in rings, and those of the rings themselves, are I/O addresses. Before the
 * features are accepted.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_NOT_SUPPORTED`
 *
 * Since: 1.0
 */
gboolean
vhost_device_set_iommu (VhostDevice *device, VhostIommu *iommu, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);
  g_return_val_if_fail (iommu == NULL || VHOST_IS_IOMMU (iommu), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->set_iommu == NULL)
    return vhost_device_set_not_supported (device, "set_iommu", error);
  return iface->set_iommu (device, iommu, error);
}

/**
 * vhost_device_update_iotlb:
 * @device: the device
 * @mapping: a translation, whose memory the device has
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Tells the device a translation before it asks.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_ADDRESS when the device does not have all of that
 *   memory, %VHOST_ERROR_BAD_STATE when %VHOST_FEATURE_ACCESS_PLATFORM is not accepted, or another
 *   error
 *
 * Since: 1.0
 */
gboolean
vhost_device_update_iotlb (VhostDevice *device, const VhostIommuMapping *mapping,
                           GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);
  g_return_val_if_fail (mapping != NULL, FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->update_iotlb == NULL)
    return vhost_device_set_not_supported (device, "update_iotlb", error);
  return iface->update_iotlb (device, mapping, cancellable, error);
}

/**
 * vhost_device_invalidate_iotlb:
 * @device: the device
 * @iova: first I/O address
 * @size: bytes; 0, at address 0, for everything
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Takes translations back. When this returns the device no longer uses the memory behind them, and
 * asks again when it needs them: take them out of the IOMMU first. Waits for buffers that the
 * device holds there.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when %VHOST_FEATURE_ACCESS_PLATFORM is not
 *   accepted, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_device_invalidate_iotlb (VhostDevice *device, guint64 iova, guint64 size,
                               GCancellable *cancellable, GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->invalidate_iotlb == NULL)
    return vhost_device_set_not_supported (device, "invalidate_iotlb", error);
  return iface->invalidate_iotlb (device, iova, size, cancellable, error);
}
