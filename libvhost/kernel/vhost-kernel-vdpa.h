/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/core/vhost-features.h>
#include <libvhost/kernel/vhost-kernel-device.h>

G_BEGIN_DECLS

#define VHOST_TYPE_KERNEL_VDPA (vhost_kernel_vdpa_get_type ())

/**
 * VhostKernelVdpa:
 *
 * A vDPA device that is bound to the kernel's `vhost_vdpa`: `/dev/vhost-vdpa-0` and the like. It is
 * of any kind, and lives in hardware, in a simulator or in another process (VDUSE).
 *
 * [method@Vhost.Device.set_memory] maps all memory at its guest physical addresses, in address
 * space 0, which is what [class@Vhost.Driver] needs; other mappings are made by
 * [method@Vhost.KernelVdpa.map]. Configuration changes are told by
 * [signal@Vhost.Device::config-changed].
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostKernelVdpa, vhost_kernel_vdpa, VHOST, KERNEL_VDPA, VhostKernelDevice)

VHOST_AVAILABLE_IN_1_0
VhostKernelVdpa *vhost_kernel_vdpa_new (void);

VHOST_AVAILABLE_IN_1_0
VhostDeviceId vhost_kernel_vdpa_get_device_id (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_vdpa_get_config_size (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_vdpa_get_max_queue_size (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_vdpa_get_vring_size (VhostKernelVdpa *vdpa, guint index, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_get_iova_range (VhostKernelVdpa *vdpa, guint64 *first, guint64 *last,
                                           GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_suspend (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_resume (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_vdpa_get_n_groups (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_vdpa_get_n_address_spaces (VhostKernelVdpa *vdpa, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_vdpa_get_vring_group (VhostKernelVdpa *vdpa, guint index, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_vdpa_get_vring_desc_group (VhostKernelVdpa *vdpa, guint index, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_set_group_asid (VhostKernelVdpa *vdpa, guint group, guint asid,
                                           GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_map (VhostKernelVdpa *vdpa, guint asid, guint64 iova,
                                VhostMemoryRegion *region, gboolean writable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_unmap (VhostKernelVdpa *vdpa, guint asid, guint64 iova, guint64 size,
                                  GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_begin_batch (VhostKernelVdpa *vdpa, guint asid, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vdpa_end_batch (VhostKernelVdpa *vdpa, guint asid, GError **error);

G_END_DECLS
