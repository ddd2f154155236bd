/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/endpoint/vhost-backend.h>

G_BEGIN_DECLS

#define VHOST_TYPE_VIRTIO_NET (vhost_virtio_net_get_type ())

/**
 * VhostVirtioNet:
 *
 * A ready network card, carried by any [class@Vhost.Backend]: joins its queues with a TAP
 * interface, with sockets, or with a [class@Vhost.VirtioSwitch]. Queue 2n receives, queue 2n + 1
 * transmits.
 *
 * Serves as long as it lives: keep it. Belongs to the thread of its back-end; its queues may be on
 * workers.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostVirtioNet, vhost_virtio_net, VHOST, VIRTIO_NET, GObject)

VHOST_AVAILABLE_IN_1_0
VhostVirtioNet *vhost_virtio_net_new (VhostBackend *backend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_net_open_tap (VhostVirtioNet *net, const char *name, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_net_take_fd (VhostVirtioNet *net, int fd, GError **error);

G_END_DECLS
