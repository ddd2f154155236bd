/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface through which an application says where I/O addresses lead, and the translation it
 * answers with. Holds no state. (VIRTIO 1.4, section 6, VIRTIO_F_ACCESS_PLATFORM) */

#include "endpoint/vhost-iommu.h"

struct _VhostIommuMapping {
  guint64 iova;
  guint64 size;
  guint64 guest_address;
  VhostIommuAccess access;
};

G_DEFINE_BOXED_TYPE (VhostIommuMapping, vhost_iommu_mapping, vhost_iommu_mapping_copy,
                     vhost_iommu_mapping_free)

G_DEFINE_INTERFACE (VhostIommu, vhost_iommu, G_TYPE_OBJECT)

static void
vhost_iommu_default_init (VhostIommuInterface *iface)
{
}

/* --- Mapping ------------------------------------------------------------------------------- */

/**
 * vhost_iommu_mapping_new:
 * @iova: first I/O address
 * @size: bytes
 * @guest_address: guest physical address that @iova leads to; the rest follows
 * @access: what the device may do
 *
 * Makes a translation.
 *
 * Returns: (transfer full): the translation
 *
 * Since: 1.0
 */
VhostIommuMapping *
vhost_iommu_mapping_new (guint64 iova, guint64 size, guint64 guest_address, VhostIommuAccess access)
{
  VhostIommuMapping *mapping = g_new (VhostIommuMapping, 1);

  *mapping = (VhostIommuMapping){ iova, size, guest_address, access };
  return mapping;
}

/**
 * vhost_iommu_mapping_copy:
 * @mapping: a translation
 *
 * Copies a translation.
 *
 * Returns: (transfer full): the copy
 *
 * Since: 1.0
 */
VhostIommuMapping *
vhost_iommu_mapping_copy (const VhostIommuMapping *mapping)
{
  return g_memdup2 (mapping, sizeof *mapping);
}

/**
 * vhost_iommu_mapping_free:
 * @mapping: (transfer full): a translation
 *
 * Frees a translation.
 *
 * Since: 1.0
 */
void
vhost_iommu_mapping_free (VhostIommuMapping *mapping)
{
  g_free (mapping);
}

/**
 * vhost_iommu_mapping_get_iova:
 * @mapping: a translation
 *
 * Tells where the range begins for the device.
 *
 * Returns: the first I/O address
 *
 * Since: 1.0
 */
guint64
vhost_iommu_mapping_get_iova (const VhostIommuMapping *mapping)
{
  return mapping->iova;
}

/**
 * vhost_iommu_mapping_get_size:
 * @mapping: a translation
 *
 * Tells how long the range is.
 *
 * Returns: bytes
 *
 * Since: 1.0
 */
guint64
vhost_iommu_mapping_get_size (const VhostIommuMapping *mapping)
{
  return mapping->size;
}

/**
 * vhost_iommu_mapping_get_guest_address:
 * @mapping: a translation
 *
 * Tells where the range leads.
 *
 * Returns: the guest physical address of the first byte
 *
 * Since: 1.0
 */
guint64
vhost_iommu_mapping_get_guest_address (const VhostIommuMapping *mapping)
{
  return mapping->guest_address;
}

/**
 * vhost_iommu_mapping_get_access:
 * @mapping: a translation
 *
 * Tells what the device may do there.
 *
 * Returns: what the device may do
 *
 * Since: 1.0
 */
VhostIommuAccess
vhost_iommu_mapping_get_access (const VhostIommuMapping *mapping)
{
  return mapping->access;
}

/* --- Interface ----------------------------------------------------------------------------- */

/**
 * vhost_iommu_translate:
 * @iommu: an IOMMU
 * @iova: an I/O address that the device lacks
 * @access: what it wants to do there
 *
 * Asks for the translation of an I/O address. The answer may begin before @iova, and be as long as
 * it likes: a page, or everything. It holds until [method@Vhost.Device.invalidate_iotlb] takes it
 * back, and should say all that is allowed there, not just what was asked for.
 *
 * Returns: (transfer full) (nullable): the translation, or %NULL when there is none
 *
 * Since: 1.0
 */
VhostIommuMapping *
vhost_iommu_translate (VhostIommu *iommu, guint64 iova, VhostIommuAccess access)
{
  VhostIommuInterface *iface;

  g_return_val_if_fail (VHOST_IS_IOMMU (iommu), NULL);

  iface = VHOST_IOMMU_GET_IFACE (iommu);
  return iface->translate != NULL ? iface->translate (iommu, iova, access) : NULL;
}

/**
 * vhost_iommu_report_fault:
 * @iommu: an IOMMU
 * @iova: an I/O address
 * @access: what the device wanted to do there
 *
 * Says that a device was sent where its translation does not let it.
 *
 * Since: 1.0
 */
void
vhost_iommu_report_fault (VhostIommu *iommu, guint64 iova, VhostIommuAccess access)
{
  VhostIommuInterface *iface;

  g_return_if_fail (VHOST_IS_IOMMU (iommu));

  iface = VHOST_IOMMU_GET_IFACE (iommu);
  if (iface->report_fault != NULL)
    iface->report_fault (iommu, iova, access);
}
