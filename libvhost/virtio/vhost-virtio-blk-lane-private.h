/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in flight between one ring and the disk. */
#pragma once

#include "virtio/vhost-virtio-blk-command-private.h"

/* Completed requests on their way into the ring: published several at a time. */
#define VHOST_BLK_BATCH 8

typedef struct {
  VhostSlot *slots[VHOST_BLK_BATCH];
  guint32 lengths[VHOST_BLK_BATCH];
  guint n;
} VhostBlkBatch;

static inline void
vhost_blk_batch_add (VhostBlkBatch *batch, VhostSlot *slot, guint32 length)
{
  batch->slots[batch->n] = slot;
  batch->lengths[batch->n++] = length;
}

void vhost_blk_batch_publish (VhostBlkBatch *batch, VhostQueue *queue);

/* What the queues of a disk share. Counted, because transfers outlive their queue. */
typedef struct {
  gatomicrefcount ref_count;
  VhostBlkFile *file;
  gboolean use_uring;
  gchar serial[20];
  int write_through; /* atomic */
  int n_strays;      /* lanes whose ring is gone and that are not idle; atomic */
  void (*strays_gone) (gpointer data);
  gpointer data;
} VhostBlkDisk;

VhostBlkDisk *vhost_blk_disk_ref (VhostBlkDisk *disk);
void vhost_blk_disk_unref (VhostBlkDisk *disk);

typedef struct _VhostBlkLane VhostBlkLane;

/* A lane of the ring that @queue has at present. NULL when the system gives no descriptor. */
VhostBlkLane *vhost_blk_lane_new (VhostBlkDisk *disk, VhostQueue *queue);

/* What is in flight is completed still, and keeps the lane. */
void vhost_blk_lane_unref (VhostBlkLane *lane);

/* Has it lost its ring? */
gboolean vhost_blk_lane_is_ended (const VhostBlkLane *lane);

/* Starts what takes a while: a read or a write, or something else of some ranges. */
void vhost_blk_lane_start_transfer (VhostBlkLane *lane, const VhostBlkCommand *command);
void vhost_blk_lane_start_slow (VhostBlkLane *lane, const VhostBlkCommand *command,
                                const VhostBlkRange *ranges, guint n_ranges);

/* Hands over what was started, and completes what is complete. */
void vhost_blk_lane_push_on (VhostBlkLane *lane);

/* Does it here and now, however long it takes. */
VhostBlkStatus vhost_blk_file_run (VhostBlkFile *file, VhostBlkCommand *command,
                                   const VhostBlkRange *ranges, guint n_ranges);
