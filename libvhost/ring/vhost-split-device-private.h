/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a split ring. (VIRTIO 1.4, 2.7) One thread at a time. */
#pragma once

#include "ring/vhost-ring-common-private.h"

typedef struct {
  VhostRingCommon common;

  /* mapped ring parts; replaced when the memory table is */
  const VhostRingDesc *desc;
  VhostRingAvail *avail;
  VhostRingUsed *used;

  guint16 last_avail;     /* next entry of the available ring to fetch */
  guint16 avail_seen;     /* avail.idx as last loaded */
  guint16 used_idx;       /* next entry of the used ring to write: ours, never read back */
  guint16 signalled_used; /* used_idx at the last notification decision */
  gboolean signalled_valid;
} VhostSplitDevice;

void vhost_split_device_init (VhostSplitDevice *ring, guint16 size, gboolean event_idx,
                              gboolean indirect);
void vhost_split_device_clear (VhostSplitDevice *ring);
void vhost_split_device_set_memory (VhostSplitDevice *ring, const VhostMemory *memory,
                                    gpointer desc, gpointer avail, gpointer used);

/* @base is the index of the next available entry; the used index is read from the ring, once. */
void vhost_split_device_start (VhostSplitDevice *ring, guint16 base);

/* Pops up to @max chains into @slots. 0 when empty or broken (ring->error). */
guint vhost_split_device_pop (VhostSplitDevice *ring, VhostSlot **slots, guint max);

/* Pops the chain at @head once more, which has been fetched from the ring already. */
gboolean vhost_split_device_refetch (VhostSplitDevice *ring, guint16 head, VhostSlot **slot);

/* Gives the chain that was popped last back to the ring; FALSE when @slot is not that one. */
gboolean vhost_split_device_unpop (VhostSplitDevice *ring, VhostSlot *slot);

/* Gives back the chains that were popped last, as many as are still in flight without a gap;
 * returns how many are left in flight. Touches no guest memory. */
guint vhost_split_device_rewind (VhostSplitDevice *ring);

/* Writes used elements and publishes the index once. A length is clamped to what the chain can
 * hold; a slot that is not in flight is left out. Returns how many were pushed. */
guint vhost_split_device_push (VhostSplitDevice *ring, VhostSlot **slots, const guint32 *lengths,
                               guint n);

/* Is there nothing that was made available and not popped? Loads avail.idx. */
gboolean vhost_split_device_is_empty (VhostSplitDevice *ring);

void vhost_split_device_disable_notifications (VhostSplitDevice *ring);

/* Asks for a kick after the last entry that was seen; TRUE when more came in meanwhile, and then
 * notifications are off again. */
gboolean vhost_split_device_enable_notifications (VhostSplitDevice *ring);

/* Does the driver want to be told about what was pushed since the last decision? */
gboolean vhost_split_device_needs_notify (VhostSplitDevice *ring);
