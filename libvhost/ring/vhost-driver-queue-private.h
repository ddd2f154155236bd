/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver room does with a driver queue, and the allocator of buffer memory. */
#pragma once

#include "memory/vhost-memory-private.h"
#include "ring/vhost-driver-queue.h"

/* Buffer memory of a driver: a range of one region, in pages of 4 KiB, first fit with a roving
 * start. Shared by the queues of a driver, on one thread. Reference counted: buffers outlive
 * queues. */
typedef struct _VhostArena VhostArena;

VhostArena *vhost_arena_new (VhostMemory *memory, guint64 guest_address, guint64 size);
VhostArena *vhost_arena_ref (VhostArena *arena);
void vhost_arena_unref (VhostArena *arena);
/* From now on the addresses of buffers are @offset higher: I/O addresses. */
void vhost_arena_move (VhostArena *arena, guint64 offset);
guint8 *vhost_arena_alloc (VhostArena *arena, gsize size,
                           guint64 *guest_address); /* NULL: no room */
gsize vhost_arena_get_size (VhostArena *arena);     /* bytes, taken or not */
void vhost_arena_free (VhostArena *arena, guint64 guest_address, gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostArena, vhost_arena_unref)

/* Takes @data, which g_free() frees. */
VhostDriverBuffer *vhost_driver_buffer_new_take (guint token, guint8 *data, gsize size);
guint8 *vhost_driver_buffer_steal_data (VhostDriverBuffer *buffer, gsize *length);

/* Bytes that a queue of @size needs for its rings and indirect tables; a multiple of 4096. */
gsize vhost_driver_queue_get_ring_bytes (guint size);

/* The ring addresses, guest physical, for SET_VRING_ADDR. */
typedef struct {
  guint64 desc;
  guint64 avail;
  guint64 used;
} VhostDriverRing;

/* Lays out a ring at @guest_address (zeroed, get_ring_bytes() long, inside the arena's memory). */
VhostDriverQueue *vhost_driver_queue_new (guint index, guint size, gboolean packed,
                                          gboolean event_idx, gboolean indirect, VhostArena *arena,
                                          guint8 *ring, guint64 guest_address, GError **error);
void vhost_driver_queue_get_ring (VhostDriverQueue *queue, VhostDriverRing *ring);
int vhost_driver_queue_peek_kick_fd (VhostDriverQueue *queue);

/* Kicks without a descriptor. */
typedef gboolean (*VhostDriverQueueKickFunc) (VhostDriverQueue *queue, gpointer data,
                                              GError **error);

/* Makes the queue one without descriptors, which waits with a descriptor of -1. @func is not called
 * any more once the queue is shut down. */
void vhost_driver_queue_set_kick_func (VhostDriverQueue *queue, VhostDriverQueueKickFunc func,
                                       gpointer data);

/* For a device that does not say how much it wrote: an answer is the whole room for it, zero where
 * nothing was written. */
void vhost_driver_queue_ignore_lengths (VhostDriverQueue *queue);

/* As if its call descriptor had been signalled. */
void vhost_driver_queue_call (VhostDriverQueue *queue);

/* The positions of the queue, in the form of SET_VRING_BASE, for a device that has not seen it
 * before: of a split ring what was used is behind it, of a packed one what was collected. */
guint32 vhost_driver_queue_get_base (VhostDriverQueue *queue);

/* There is a device again: it is kicked. */
void vhost_driver_queue_resume (VhostDriverQueue *queue);

/* The device is gone: waiting and adding fail from now on. */
void vhost_driver_queue_shut_down (VhostDriverQueue *queue, const GError *reason);

/* Waits until @fd is readable: 1, 0 at the deadline, or -1 with an error. May shut the queue down.
 */
typedef int (*VhostDriverWaitFunc) (int fd, gint64 deadline, gpointer data,
                                    GCancellable *cancellable, GError **error);

/* How the queue waits for a call, until it is shut down; as long as there is none, with poll(). */
void vhost_driver_queue_set_wait_func (VhostDriverQueue *queue, VhostDriverWaitFunc func,
                                       gpointer data);

/* The device that left is about to be followed by another one. */
void vhost_driver_queue_offer_again (VhostDriverQueue *queue);
