/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/endpoint/vhost-device.h>
#include <libvhost/ring/vhost-driver-queue.h>

G_BEGIN_DECLS

#define VHOST_TYPE_DRIVER (vhost_driver_get_type ())

/**
 * VhostDriver:
 *
 * A guest without a VM: starts any device on memory and queues of its own, so that a program can
 * send it requests.
 *
 * Belongs to the thread that started it.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostDriver, vhost_driver, VHOST, DRIVER, GObject)

VHOST_AVAILABLE_IN_1_0
VhostDriver *vhost_driver_new (VhostDevice *device);

VHOST_AVAILABLE_IN_1_0
VhostDevice *vhost_driver_get_device (VhostDriver *driver);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_start (VhostDriver *driver, guint n_queues, guint queue_size,
                             GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_resume (VhostDriver *driver, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_stop (VhostDriver *driver, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_is_started (VhostDriver *driver);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_has_feature (VhostDriver *driver, guint bit);

VHOST_AVAILABLE_IN_1_0
VhostDriverQueue *vhost_driver_get_queue (VhostDriver *driver, guint index);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_driver_get_memory (VhostDriver *driver);

G_END_DECLS
