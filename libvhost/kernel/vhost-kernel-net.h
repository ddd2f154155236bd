/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/kernel/vhost-kernel-device.h>

G_BEGIN_DECLS

#define VHOST_TYPE_KERNEL_NET (vhost_kernel_net_get_type ())

/**
 * VhostKernelNet:
 *
 * A queue pair of a network card that the kernel serves (`/dev/vhost-net`): queue 0 receives, queue
 * 1 transmits, and the frames go to a TAP device or through a packet socket. A card with several
 * pairs is several of these; its control queue is served by the process.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostKernelNet, vhost_kernel_net, VHOST, KERNEL_NET, VhostKernelDevice)

VHOST_AVAILABLE_IN_1_0
VhostKernelNet *vhost_kernel_net_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_net_set_backend (VhostKernelNet *net, int fd, GError **error);

VHOST_AVAILABLE_IN_1_0
guint64 *vhost_kernel_net_get_features_array (VhostKernelNet *net, gsize *n_words, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_net_set_features_array (VhostKernelNet *net, const guint64 *words,
                                              gsize n_words, GError **error);

G_END_DECLS
