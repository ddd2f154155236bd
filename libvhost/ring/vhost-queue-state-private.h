/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a queue, shared by vhost-queue.c (what others call), vhost-queue-control.c (start,
 * stop, memory), vhost-queue-dispatch.c (kicks, waking up, breaking), vhost-queue-inflight.c (the
 * record of what is in flight), vhost-queue-log.c (what was written) and vhost-queue-witness.c. */
#pragma once

#include "ring/vhost-chain-private.h"
#include "ring/vhost-device-ring-private.h"
#include "ring/vhost-inflight-private.h"
#include "ring/vhost-worker-private.h"

/* A memory table; of one that is not the present one any more, how many chains that were popped
 * under it are in flight. Their slots name it. Views come and go often; what a chain needs of one
 * is that its regions stay mapped. */
typedef struct {
  VhostMemory *memory; /* never a view */
  guint count;
  gboolean awaited; /* by an INVALIDATE */
} VhostQueuePin;

/* Counted, because a handler may replace itself. */
typedef struct {
  VhostQueueKickFunc func;
  gpointer data;
  GDestroyNotify destroy;
} VhostQueueKick;

/* A completion that waits for a memory table that holds the ring. */
typedef struct {
  guint16 head;
  guint32 length;
} VhostQueueHeld;

typedef struct _VhostQueueTracking VhostQueueTracking;

struct _VhostQueue {
  GObject parent_instance;

  guint index;
  VhostQueueObserver observer;
  gpointer observer_data;
  VhostQueueKick *kick; /* g_rc_box */
  VhostQueueEndFunc end;
  gpointer end_data;

  int kick_fd;
  int call_fd;
  int err_fd;
  gboolean call_in_band; /* the observer tells the driver */
  gboolean enabled;
  gboolean kick_is_pipe; /* has to be emptied */
  VhostWorker *worker;   /* NULL: served by the thread of the owner */
  VhostQueueLog log;
  gboolean witnessed; /* recorded or logged */

  /* From start to finish_stop. */
  VhostDeviceRing ring;
  VhostQueueTracking *tracking; /* NULL: not recorded */
  VhostQueueSetup setup;
  VhostMemory *memory; /* what the ring is in, perhaps a view */
  VhostQueuePin *pin;  /* the present table; NULL when neither started nor stopping */
  guint n_pinned;      /* chains in flight that were popped under another one */
  VhostReactor *reactor;
  VhostWatch *watch;
  VhostTask look_task;
  VhostPoll poll;
  gboolean started;
  gboolean draining; /* stopped, and the observer waits for the last chain */
  gboolean paused;   /* the ring is not inside memory at present */
  GArray *held;      /* of VhostQueueHeld, while paused */
  guint sigbus_seen;
  GError *error; /* broken, until the next start */

  VhostIotlbMisses missed;
  VhostTask missed_task, released_task;
  guint n_awaited; /* pins */

  gboolean dispatching;
  guint budget; /* chains that the running handler may still pop */

  guint32 base;       /* when there is no ring */
  guint32 generation; /* of handles, over restarts */
  guint64 n_kicks;
  guint64 n_chains;
  guint64 n_notifications;
};

/* Started, enabled, not broken and the ring is there. */
static inline gboolean
vhost_queue_is_running (VhostQueue *queue)
{
  return queue->started && queue->enabled && !queue->paused && queue->error == NULL;
}

/* A counter has one writer, the thread of the queue; any thread may read it. */
static inline void
vhost_queue_count (guint64 *counter, guint64 n)
{
  __atomic_store_n (counter, *counter + n, __ATOMIC_RELAXED);
}

/* Is there anything to complete or to rewind? */
static inline gboolean
vhost_queue_has_ring (VhostQueue *queue)
{
  return queue->pin != NULL;
}

/* The table of memory that @slot, which is in flight, was popped under. */
static inline VhostMemory *
vhost_queue_get_slot_memory (VhostQueue *queue, const VhostSlot *slot)
{
  const VhostQueuePin *pin = slot->pin != NULL ? slot->pin : queue->pin;

  return pin->memory;
}

/* The batch calls, without handles. At most @max chains; a stopped or broken queue gives none. */
guint vhost_queue_pop_slots (VhostQueue *queue, VhostSlot **slots, guint max);

/* Completes slots with what was written into each, already clamped. Bytes behind that length must
 * be in slot->written, or a migration does not see them. The last of a stopping queue may end it
 * from within: the slots are gone when this returns. */
void vhost_queue_push_slots (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths, guint n);

/* Gives back the chains that were popped last, in that order, as if they had not been. */
void vhost_queue_unpop_slots (VhostQueue *queue, VhostSlot **slots, guint n);

/* vhost-queue-control.c */
void vhost_queue_complete_stop_when_drained (VhostQueue *queue);
void vhost_queue_unpin_slow (VhostQueue *queue, VhostSlot *const *slots, guint n);

/* @slots complete: lets go of the memory tables that nothing else was popped under. */
static inline void
vhost_queue_unpin (VhostQueue *queue, VhostSlot *const *slots, guint n)
{
  if (G_UNLIKELY (queue->n_pinned > 0))
    vhost_queue_unpin_slow (queue, slots, n);
}

/* vhost-queue-iotlb.c */
void vhost_queue_init_iotlb (VhostQueue *queue);
void vhost_queue_clear_iotlb (VhostQueue *queue);
void vhost_queue_note_misses (VhostQueue *queue); /* there are some: told from the loop */
void vhost_queue_note_released (VhostQueue *queue);

/* vhost-queue-log.c, called only while there is a log, or (the second three) the ring is logged.
 * Slots: before they are unpinned; lengths may be NULL. */
void vhost_queue_log_slots (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths, guint n);
void vhost_queue_log_in_flight (VhostQueue *queue);
void vhost_queue_log_ring (VhostQueue *queue); /* all of it */
void vhost_queue_log_event (VhostQueue *queue);
void vhost_queue_push_and_log_ring (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths,
                                    guint n);

/* vhost-queue-dispatch.c */
void vhost_queue_kick_release (VhostQueueKick *kick);
void vhost_queue_init_dispatch (VhostQueue *queue);

/* Makes the watch and the task fit the state; schedules a look when the queue runs. On failure
 * nothing is watched. */
gboolean vhost_queue_update_watch (VhostQueue *queue, GError **error);
void vhost_queue_rewatch (VhostQueue *queue); /* the same, or break */
void vhost_queue_clear_watch (VhostQueue *queue);

/* Asks for a kick after what was seen; TRUE when there is something already, seen just now or
 * before: no kick will come for it. */
gboolean vhost_queue_arm (VhostQueue *queue);

/* Breaks the queue: takes @error. Observers are told; they may do anything. */
void vhost_queue_fail (VhostQueue *queue, GError *error);
void vhost_queue_check_fault (VhostQueue *queue);

/* Did memory under the ring or its buffers go away? Breaks the queue then. */
gboolean vhost_queue_check_memory (VhostQueue *queue);

/* vhost-queue-inflight.c: start_tracking() does nothing for a queue without a region; the others,
 * but for has_recovered() and has_lost_area(), are for those that have one. */
gboolean vhost_queue_start_tracking (VhostQueue *queue, GError **error);
guint vhost_queue_pop_tracked (VhostQueue *queue, VhostSlot **slots, guint max);
gboolean vhost_queue_unpop_tracked (VhostQueue *queue, VhostSlot *slot);
void vhost_queue_begin_push_tracked (VhostQueue *queue, VhostSlot **slots, guint n);
void vhost_queue_end_push_tracked (VhostQueue *queue, VhostSlot **slots, guint n);
guint vhost_queue_stop_tracking (VhostQueue *queue); /* how many could not be rewound */
gboolean vhost_queue_has_lost_area (VhostQueue *queue);

/* Is there something that the process before left in flight and that was not popped yet? */
gboolean vhost_queue_has_recovered (VhostQueue *queue);

/* vhost-queue-witness.c */
void vhost_queue_update_witnessed (VhostQueue *queue);
void vhost_queue_push_witnessed (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths,
                                 guint n);

static inline guint
vhost_queue_pop_ring (VhostQueue *queue, VhostSlot **slots, guint max)
{
  if (G_UNLIKELY (queue->tracking != NULL))
    return vhost_queue_pop_tracked (queue, slots, max);
  return vhost_device_ring_pop (&queue->ring, slots, max);
}

static inline gboolean
vhost_queue_unpop_ring (VhostQueue *queue, VhostSlot *slot)
{
  if (G_UNLIKELY (queue->tracking != NULL))
    return vhost_queue_unpop_tracked (queue, slot);
  return vhost_device_ring_unpop (&queue->ring, slot);
}

static inline void
vhost_queue_push_ring (VhostQueue *queue, VhostSlot **slots, const guint32 *lengths, guint n)
{
  if (G_UNLIKELY (queue->witnessed))
    vhost_queue_push_witnessed (queue, slots, lengths, n);
  else
    vhost_device_ring_push (&queue->ring, slots, lengths, n);
}
