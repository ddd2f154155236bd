/* SPDX-License-Identifier: BSD-3-Clause */
/* What the endpoint above does with a queue. Everything on the thread of the endpoint; the worker
 * of a queue that has one is paused then (vhost-worker-private.h). */
#pragma once

#include "core/vhost-reactor-private.h"
#include "memory/vhost-iotlb-private.h"
#include "memory/vhost-dirty-log-private.h"
#include "ring/vhost-inflight-area-private.h"
#include "ring/vhost-queue.h"
#include "ring/vhost-ring-private.h"

typedef enum {
  VHOST_QUEUE_EVENT_KICK,   /* there are buffers, and no kick function is set */
  VHOST_QUEUE_EVENT_BROKEN, /* vhost_queue_dup_error() says why; the err descriptor was signalled */
  VHOST_QUEUE_EVENT_DRAINED,  /* after vhost_queue_stop(): nothing is in flight any more */
  VHOST_QUEUE_EVENT_CALL,     /* the driver is to be told, and no descriptor does it */
  VHOST_QUEUE_EVENT_MISSED,   /* vhost_queue_take_misses() says which translations are missing */
  VHOST_QUEUE_EVENT_RELEASED, /* after vhost_queue_await_release(): that memory is not used now */
  VHOST_QUEUE_EVENT_LOGGED,   /* pages were marked, and the log asked to be told */
} VhostQueueEvent;

typedef void (*VhostQueueObserver) (VhostQueue *queue, VhostQueueEvent event, gpointer data);

/* Where a ring lies and how it is laid out. Addresses are of @kind. */
typedef struct {
  guint size;
  VhostAddressKind kind;
  guint64 desc;
  guint64 avail;
  guint64 used;
  guint32 base; /* where to go on, in the form of SET_VRING_BASE */
  gboolean packed;
  gboolean event_idx;
  gboolean indirect;
  VhostInflightArea *inflight; /* borrowed; NULL: what is in flight is not recorded */
} VhostQueueSetup;

/* What a queue marks in the dirty log. */
typedef struct {
  VhostDirtyLog *pages;  /* NULL: nothing */
  gboolean ring;         /* what it writes to the ring as well, */
  gboolean behind_iommu; /* ring_address is an I/O address: the ring is marked where it lies */
  guint64 ring_address;  /* the used ring, or device event area, as if it were here in the guest */
  gboolean tell;         /* by VHOST_QUEUE_EVENT_LOGGED */
} VhostQueueLog;

VhostQueue *vhost_queue_new (guint index, VhostQueueObserver observer, gpointer data);

/* The observer is going: it is never called again. */
void vhost_queue_detach (VhostQueue *queue);

/* Broken by the driver since it was started. */
gboolean vhost_queue_is_broken (VhostQueue *queue);

/* Does @setup name a valid ring inside @memory? Full length of each part, alignment 16/2/4, size a
 * power of two up to 32768. */
gboolean vhost_queue_check_setup (const VhostQueueSetup *setup, const VhostMemory *memory,
                                  GError **error);

/* Starts fetching from the ring; looks at it once without a kick as soon as it is also enabled. The
 * queue holds a reference on @memory and @reactor until it has stopped and its last chain is gone.
 */
gboolean vhost_queue_start (VhostQueue *queue, const VhostQueueSetup *setup, VhostMemory *memory,
                            VhostReactor *reactor, GError **error);

void vhost_queue_set_enabled (VhostQueue *queue, gboolean enabled);

/* vhost-queue-iotlb.c: rings in a view through an IOTLB. */
/* What of the ring is not in @view. */
void vhost_queue_list_misses (const VhostQueueSetup *setup, const VhostMemory *view,
                              VhostIotlbMisses *misses);
/* What chains lack, since the last call. */
void vhost_queue_take_misses (VhostQueue *queue, VhostIotlbMisses *misses);
/* Breaks the queue: its driver sent it where it cannot go. */
void vhost_queue_break (VhostQueue *queue, VhostRingFault fault, guint64 address);
/* Does a chain in flight lie in [@host, @host + @size), in part? */
gboolean vhost_queue_uses (VhostQueue *queue, const guint8 *host, guint64 size);
/* Is there one in any of @lost? VHOST_QUEUE_EVENT_RELEASED follows, from the loop. */
gboolean vhost_queue_await_release (VhostQueue *queue, const VhostSpan *lost, guint n);
gboolean vhost_queue_awaits_release (VhostQueue *queue);
/* Does not wait any longer: those chains have no buffers any more, and can only be pushed. Who
 * holds their iovecs must not use them. */
void vhost_queue_revoke_awaited (VhostQueue *queue);

/* Translates the ring again in @memory. Chains in flight keep the table they were popped under.
 * When the ring is not inside @memory the queue pauses (VIRTIO allows a region to be removed and
 * added again) until a table comes that holds it. TRUE when it can run. */
gboolean vhost_queue_set_memory (VhostQueue *queue, VhostMemory *memory);

/* Stops fetching at once. Chains in flight may still be pushed; VHOST_QUEUE_EVENT_DRAINED follows
 * (or came from within this call) when none is left. Returns TRUE when it is drained already. */
gboolean vhost_queue_stop (VhostQueue *queue);

/* Ends a stop: rewinds over chains still in flight where they are the last ones fetched, makes all
 * handles dead, lets memory go. Returns how many chains could not be rewound. */
guint vhost_queue_finish_stop (VhostQueue *queue);

/* Before finish_stop(): chains in flight stay in the inflight record, and are not rewound. Nothing
 * without a record. */
void vhost_queue_leave_in_flight (VhostQueue *queue);
gboolean vhost_queue_is_tracked (VhostQueue *queue);

/* Writes no more into the inflight record, and leaves it as it is. */
void vhost_queue_forget_tracking (VhostQueue *queue);
/* In force from now on, whether the queue runs or not; the log that was there before is not touched
 * again. Holds a reference on the pages. */
void vhost_queue_set_log (VhostQueue *queue, const VhostQueueLog *log);

/* Where to go on: GET_VRING_BASE. */
guint32 vhost_queue_get_base (VhostQueue *queue);

/* Descriptors; each call takes @fd (-1: none) and closes the one before. Kick may be exchanged
 * while the queue runs. A new call descriptor is signalled once: no notification is lost over the
 * exchange. */
void vhost_queue_take_kick_fd (VhostQueue *queue, int fd);
void vhost_queue_take_call_fd (VhostQueue *queue, int fd);
void vhost_queue_take_err_fd (VhostQueue *queue, int fd);

/* There is no call descriptor, and notifications are VHOST_QUEUE_EVENT_CALL instead of being lost,
 * until the next vhost_queue_take_call_fd (). While there is a ring, one comes from within. */
void vhost_queue_call_in_band (VhostQueue *queue);
gboolean vhost_queue_is_called_in_band (VhostQueue *queue);

/* Without a kick descriptor: somebody else (an in-band kick) says that there may be buffers. The
 * ring has been looked at when this returns, and handlers may have done anything; a queue of a
 * worker is looked at as soon as that goes on. */
void vhost_queue_kick (VhostQueue *queue);

/* Looks at the ring from the loop, as after a kick. */
void vhost_queue_look_later (VhostQueue *queue);

/* The reactor of a queue that has a ring; borrowed. */
VhostReactor *vhost_queue_get_reactor (VhostQueue *queue);

/* Called once when the ring is let go, whatever the reason: chains that are still in flight are
 * gone afterwards. Their memory may be unmapped: who still uses it has a reference on the table. */
typedef void (*VhostQueueEndFunc) (VhostQueue *queue, gpointer data);

void vhost_queue_set_end_func (VhostQueue *queue, VhostQueueEndFunc func, gpointer data);
