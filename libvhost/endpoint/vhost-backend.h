/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/core/vhost-features.h>
#include <libvhost/memory/vhost-memory.h>
#include <libvhost/ring/vhost-queue.h>

G_BEGIN_DECLS

#define VHOST_TYPE_BACKEND (vhost_backend_get_type ())

/**
 * VhostBackend:
 *
 * A device that this program serves: what it is, its features, its configuration space and its
 * queues. Connect to its signals, then start it by the method of the transport that carries it.
 *
 * Everything happens in the main context that was the thread's default at that moment.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_DERIVABLE_TYPE (VhostBackend, vhost_backend, VHOST, BACKEND, GObject)

/**
 * VhostBackendClass:
 * @parent_class: the parent class
 * @config_changed: tells the other side that the configuration space changed
 * @queue_drained: a queue that is being stopped has nothing in flight any more
 * @queue_called: the driver is to be told of used buffers, and there is no call descriptor
 * @queue_broken: the driver broke a queue; told to the application afterwards
 * @memory_missed: a driver uses what is not in the memory that the transport has handed over:
 * %FALSE when there is nothing, or not for that access
 * @reserved: room for later versions
 *
 * What a transport implements.
 *
 * Since: 1.0
 */
struct _VhostBackendClass {
  GObjectClass parent_class;

  void (*config_changed) (VhostBackend *backend);
  void (*queue_drained) (VhostBackend *backend, VhostQueue *queue);
  void (*queue_called) (VhostBackend *backend, VhostQueue *queue);
  void (*queue_broken) (VhostBackend *backend, VhostQueue *queue);
  void (*iotlb_missed) (VhostBackend *backend, guint64 address, guint access, gboolean denied);
  void (*iotlb_released) (VhostBackend *backend);
  gboolean (*memory_missed) (VhostBackend *backend, guint64 address, guint access);

  gpointer reserved[12];
};

VHOST_AVAILABLE_IN_1_0
VhostDeviceId vhost_backend_get_device_id (VhostBackend *backend);

VHOST_AVAILABLE_IN_1_0
guint vhost_backend_get_n_queues (VhostBackend *backend);

VHOST_AVAILABLE_IN_1_0
VhostQueue *vhost_backend_get_queue (VhostBackend *backend, guint index);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_add_feature (VhostBackend *backend, guint bit);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_remove_feature (VhostBackend *backend, guint bit);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_backend_has_feature (VhostBackend *backend, guint bit);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_backend_get_memory (VhostBackend *backend);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_mark_dirty (VhostBackend *backend, guint64 guest_address, guint64 length);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_set_config (VhostBackend *backend, const guint8 *data, gsize length);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_backend_get_config (VhostBackend *backend, gsize *length);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_set_config_writable (VhostBackend *backend, gsize offset, gsize size);

VHOST_AVAILABLE_IN_1_0
void vhost_backend_announce_config (VhostBackend *backend);

G_END_DECLS
