/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/virtio/vhost-virtio-net.h>

G_BEGIN_DECLS

#define VHOST_TYPE_VIRTIO_SWITCH (vhost_virtio_switch_get_type ())

/**
 * VhostVirtioSwitch:
 *
 * An Ethernet switch between network cards: learns who is where, and copies each frame from the
 * buffers of one driver into those of another. A frame for which there are no buffers is lost.
 *
 * All queues that it joins are served by one thread: that of the back-ends, or one
 * [class@Vhost.Worker].
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostVirtioSwitch, vhost_virtio_switch, VHOST, VIRTIO_SWITCH, GObject)

VHOST_AVAILABLE_IN_1_0
VhostVirtioSwitch *vhost_virtio_switch_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_switch_add (VhostVirtioSwitch *network, VhostVirtioNet *net, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_virtio_switch_remove (VhostVirtioSwitch *network, VhostVirtioNet *net);

G_END_DECLS
