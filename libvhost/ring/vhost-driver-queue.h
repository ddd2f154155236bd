/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

#define VHOST_TYPE_DRIVER_BUFFER (vhost_driver_buffer_get_type ())

/**
 * VhostDriverBuffer:
 *
 * A buffer that the device has used: what it wrote, and the token that
 * [method@Vhost.DriverQueue.add] returned for it.
 *
 * Since: 1.0
 */
typedef struct _VhostDriverBuffer VhostDriverBuffer;

VHOST_AVAILABLE_IN_1_0
GType vhost_driver_buffer_get_type (void);

VHOST_AVAILABLE_IN_1_0
VhostDriverBuffer *vhost_driver_buffer_ref (VhostDriverBuffer *buffer);

VHOST_AVAILABLE_IN_1_0
void vhost_driver_buffer_unref (VhostDriverBuffer *buffer);

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_buffer_get_token (VhostDriverBuffer *buffer);

VHOST_AVAILABLE_IN_1_0
gsize vhost_driver_buffer_get_size (VhostDriverBuffer *buffer);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_driver_buffer_get_data (VhostDriverBuffer *buffer, gsize *length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostDriverBuffer, vhost_driver_buffer_unref)

#define VHOST_TYPE_DRIVER_QUEUE (vhost_driver_queue_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostDriverQueue, vhost_driver_queue, VHOST, DRIVER_QUEUE, GObject)

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_queue_get_index (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_queue_get_size (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_queue_get_n_outstanding (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_queue_get_timeout (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
void vhost_driver_queue_set_timeout (VhostDriverQueue *queue, guint timeout);

VHOST_AVAILABLE_IN_1_0
guint vhost_driver_queue_add (VhostDriverQueue *queue, const guint8 *data, gsize length,
                              gsize response_size, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_driver_queue_kick (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
VhostDriverBuffer *vhost_driver_queue_collect (VhostDriverQueue *queue, GError **error);

VHOST_AVAILABLE_IN_1_0
VhostDriverBuffer *vhost_driver_queue_wait (VhostDriverQueue *queue, GCancellable *cancellable,
                                            GError **error);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_driver_queue_request (VhostDriverQueue *queue, const guint8 *data, gsize length,
                                    gsize response_size, GCancellable *cancellable,
                                    gsize *out_length, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_driver_queue_start_watching (VhostDriverQueue *queue, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_driver_queue_stop_watching (VhostDriverQueue *queue);

VHOST_AVAILABLE_IN_1_0
int vhost_driver_queue_peek_call_fd (VhostDriverQueue *queue);

G_END_DECLS
