/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

/**
 * VhostIommuAccess:
 * @VHOST_IOMMU_ACCESS_READ: the device may read
 * @VHOST_IOMMU_ACCESS_WRITE: the device may write
 *
 * What a device may do to the memory behind an I/O address.
 *
 * Since: 1.0
 */
typedef enum /*< flags >*/ {
  VHOST_IOMMU_ACCESS_READ = 1 << 0,
  VHOST_IOMMU_ACCESS_WRITE = 1 << 1,
} VhostIommuAccess;

#define VHOST_TYPE_IOMMU_MAPPING (vhost_iommu_mapping_get_type ())

/**
 * VhostIommuMapping:
 *
 * One translation: a range of I/O addresses, the guest physical addresses behind them, and what the
 * device may do there.
 *
 * Immutable; may be used from any thread.
 *
 * Since: 1.0
 */
typedef struct _VhostIommuMapping VhostIommuMapping;

VHOST_AVAILABLE_IN_1_0
GType vhost_iommu_mapping_get_type (void);

VHOST_AVAILABLE_IN_1_0
VhostIommuMapping *vhost_iommu_mapping_new (guint64 iova, guint64 size, guint64 guest_address,
                                            VhostIommuAccess access);

VHOST_AVAILABLE_IN_1_0
VhostIommuMapping *vhost_iommu_mapping_copy (const VhostIommuMapping *mapping);

VHOST_AVAILABLE_IN_1_0
void vhost_iommu_mapping_free (VhostIommuMapping *mapping);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_iommu_mapping_get_iova (const VhostIommuMapping *mapping);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_iommu_mapping_get_size (const VhostIommuMapping *mapping);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_iommu_mapping_get_guest_address (const VhostIommuMapping *mapping);

VHOST_AVAILABLE_IN_1_0
VhostIommuAccess vhost_iommu_mapping_get_access (const VhostIommuMapping *mapping);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostIommuMapping, vhost_iommu_mapping_free)

#define VHOST_TYPE_IOMMU (vhost_iommu_get_type ())

/**
 * VhostIommu:
 *
 * What stands between a device and guest memory: the application knows the translations, the device
 * asks for those it needs. Given to a device with [method@Vhost.Device.set_iommu]; in force when
 * %VHOST_FEATURE_ACCESS_PLATFORM is accepted.
 *
 * Called on the thread of the device, perhaps from inside a call that waits for the device: no
 * other call to it can be made from there.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_INTERFACE (VhostIommu, vhost_iommu, VHOST, IOMMU, GObject)

/**
 * VhostIommuInterface:
 * @translate: see [method@Vhost.Iommu.translate]
 * @report_fault: see [method@Vhost.Iommu.report_fault]; may be missing
 * @reserved: room for later versions
 *
 * What an application implements.
 *
 * Since: 1.0
 */
struct _VhostIommuInterface {
  GTypeInterface parent_iface;

  VhostIommuMapping *(*translate) (VhostIommu *iommu, guint64 iova, VhostIommuAccess access);
  void (*report_fault) (VhostIommu *iommu, guint64 iova, VhostIommuAccess access);

  gpointer reserved[4];
};

VHOST_AVAILABLE_IN_1_0
VhostIommuMapping *vhost_iommu_translate (VhostIommu *iommu, guint64 iova, VhostIommuAccess access);

VHOST_AVAILABLE_IN_1_0
void vhost_iommu_report_fault (VhostIommu *iommu, guint64 iova, VhostIommuAccess access);

G_END_DECLS
