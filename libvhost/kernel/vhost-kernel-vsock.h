/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/kernel/vhost-kernel-device.h>

G_BEGIN_DECLS

#define VHOST_TYPE_KERNEL_VSOCK (vhost_kernel_vsock_get_type ())

/**
 * VhostKernelVsock:
 *
 * A socket device that the kernel serves (`/dev/vhost-vsock`): queue 0 receives, queue 1 transmits,
 * and `AF_VSOCK` sockets of the host are at the other end. Its event queue is served by the
 * process.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostKernelVsock, vhost_kernel_vsock, VHOST, KERNEL_VSOCK, VhostKernelDevice)

VHOST_AVAILABLE_IN_1_0
VhostKernelVsock *vhost_kernel_vsock_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vsock_set_guest_cid (VhostKernelVsock *vsock, guint64 cid, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vsock_start (VhostKernelVsock *vsock, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_vsock_stop (VhostKernelVsock *vsock, GError **error);

G_END_DECLS
