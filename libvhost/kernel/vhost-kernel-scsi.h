/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/kernel/vhost-kernel-device.h>

G_BEGIN_DECLS

#define VHOST_TYPE_KERNEL_SCSI (vhost_kernel_scsi_get_type ())

/**
 * VhostKernelScsi:
 *
 * A SCSI host that the kernel serves (`/dev/vhost-scsi`): queue 0 is for control, queue 1 for
 * events, the others for requests, which go to a target that was made in configfs.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostKernelScsi, vhost_kernel_scsi, VHOST, KERNEL_SCSI, VhostKernelDevice)

VHOST_AVAILABLE_IN_1_0
VhostKernelScsi *vhost_kernel_scsi_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_scsi_set_endpoint (VhostKernelScsi *scsi, const char *wwpn, guint tpgt,
                                         GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_scsi_clear_endpoint (VhostKernelScsi *scsi, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_scsi_get_abi_version (VhostKernelScsi *scsi, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_scsi_set_events_missed (VhostKernelScsi *scsi, guint missed, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_scsi_get_events_missed (VhostKernelScsi *scsi, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_scsi_add_worker (VhostKernelScsi *scsi, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_scsi_remove_worker (VhostKernelScsi *scsi, guint worker, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_scsi_attach_vring_worker (VhostKernelScsi *scsi, guint index, guint worker,
                                                GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_scsi_get_vring_worker (VhostKernelScsi *scsi, guint index, GError **error);

G_END_DECLS
