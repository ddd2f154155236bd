/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/ring/vhost-chain.h>
#include <libvhost/ring/vhost-slot.h>

G_BEGIN_DECLS

#define VHOST_TYPE_QUEUE (vhost_queue_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostQueue, vhost_queue, VHOST, QUEUE, GObject)

/**
 * VhostQueueKickFunc:
 * @queue: the queue that has buffers
 * @user_data: what was given with the function
 *
 * Serves a queue: pops until it is empty.
 *
 * Since: 1.0
 */
typedef void (*VhostQueueKickFunc) (VhostQueue *queue, gpointer user_data);

VHOST_AVAILABLE_IN_1_0
guint vhost_queue_get_index (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
guint vhost_queue_get_size (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_is_started (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_is_enabled (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
GError *vhost_queue_dup_error (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
guint vhost_queue_get_n_in_flight (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
VhostChain *vhost_queue_pop (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_push (VhostQueue *queue, VhostChain *chain, gsize written);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_push_all (VhostQueue *queue, VhostChain **chains, guint n_chains);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_unpop (VhostQueue *queue, VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
guint vhost_queue_pop_batch (VhostQueue *queue, VhostSlot **slots, guint max);

VHOST_AVAILABLE_IN_1_0
void vhost_queue_push_batch (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths,
                             guint n_slots);

VHOST_AVAILABLE_IN_1_0
void vhost_queue_notify (VhostQueue *queue);

VHOST_AVAILABLE_IN_1_0
void vhost_queue_set_kick_func (VhostQueue *queue, VhostQueueKickFunc func, gpointer user_data,
                                GDestroyNotify destroy);

G_END_DECLS
