/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/endpoint/vhost-backend.h>

G_BEGIN_DECLS

#define VHOST_VDUSE_TYPE_BACKEND (vhost_vduse_backend_get_type ())

/**
 * VhostVduseBackend:
 *
 * A device that is served to the kernel, through /dev/vduse: a vDPA device, which a driver of this
 * kernel uses (virtio_vdpa) or a process (vhost_vdpa, see [class@Vhost.KernelVdpa]).
 *
 * [method@Vhost.VduseBackend.open] makes the device; `vdpa dev add name NAME mgmtdev vduse` puts it
 * on the vDPA bus while it is served. Belongs to the thread that opened it.
 *
 * The kernel serves block and, from Linux 6.9 on, network devices; what a driver writes into the
 * configuration space never arrives, and [signal@Vhost.Backend::config-read] is not emitted: the
 * kernel keeps a copy of the space, which [method@Vhost.Backend.announce_config] renews.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostVduseBackend, vhost_vduse_backend, VHOST_VDUSE, BACKEND, VhostBackend)

VHOST_AVAILABLE_IN_1_0
VhostVduseBackend *vhost_vduse_backend_new (VhostDeviceId device_id, guint n_queues);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_vduse_backend_open (VhostVduseBackend *backend, const char *name, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_vduse_backend_close (VhostVduseBackend *backend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_vduse_backend_is_open (VhostVduseBackend *backend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_vduse_backend_destroy (VhostVduseBackend *backend, GError **error);

G_END_DECLS
