/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves the requests of one queue: what can be done at once is done at once, what takes a while
 * goes to the lane. Some chains are popped, served, and published together; requests that are in
 * flight come back through the lane.
 *
 * Owns the lane. On the queue's thread. (VIRTIO 1.4, section 5.2.6) */

#include "virtio/vhost-virtio-blk-queue-private.h"

/* What is copied at once: by one request, and by all of one turn of the loop. */
#define INLINE_MAX (256 * 1024)
#define INLINE_BUDGET (1024 * 1024)

typedef struct {
  VhostBlkDisk *disk;
  VhostBlkLane *lane; /* NULL until something took a while */
  guint n_copied;     /* in this turn */
} BlkQueue;

static VhostBlkLane *
get_lane (BlkQueue *self, VhostQueue *queue)
{
  if (self->lane != NULL && vhost_blk_lane_is_ended (self->lane))
    g_clear_pointer (&self->lane, vhost_blk_lane_unref);
  if (self->lane == NULL)
    self->lane = vhost_blk_lane_new (self->disk, queue);
  return self->lane;
}

static VhostBlkStatus
do_slowly (BlkQueue *self, VhostQueue *queue, VhostBlkCommand *command, const VhostBlkRange *ranges,
           guint n_ranges)
{
  VhostBlkLane *lane = get_lane (self, queue);

  if (lane == NULL)
    return vhost_blk_file_run (self->disk->file, command, ranges, n_ranges);
  vhost_blk_lane_start_slow (lane, command, ranges, n_ranges);
  return VHOST_BLK_STATUS_PENDING;
}

static VhostBlkStatus
move (BlkQueue *self, VhostQueue *queue, VhostBlkCommand *command, VhostBlkTransfer *transfer)
{
  VhostBlkFile *file = self->disk->file;
  VhostBlkLane *lane;

  if (!vhost_blk_command_place (command, transfer, file))
    return VHOST_BLK_STATUS_IOERR;
  if (vhost_blk_file_is_null (file))
    transfer->left = 0;
  if (transfer->left == 0)
    return VHOST_BLK_STATUS_OK;

  if (transfer->left <= INLINE_MAX) {
    self->n_copied += transfer->left;
    if (vhost_blk_file_try_transfer (file, transfer)) {
      transfer->left = 0;
      return VHOST_BLK_STATUS_OK;
    }
    self->n_copied -= transfer->left;
  }
  transfer->access = vhost_blk_file_choose_access (file, transfer);
  lane = get_lane (self, queue);
  if (lane == NULL)
    return vhost_blk_file_run (file, command, NULL, 0);
  vhost_blk_lane_start_transfer (lane, command);
  return VHOST_BLK_STATUS_PENDING;
}

static VhostBlkStatus
clear (BlkQueue *self, VhostQueue *queue, VhostBlkCommand *command)
{
  VhostBlkFile *file = self->disk->file;
  VhostBlkRange ranges[VHOST_BLK_MAX_RANGES];
  VhostBlkStatus status;
  guint n = 0;

  if (file->read_only)
    return VHOST_BLK_STATUS_IOERR;
  status = vhost_blk_command_read_ranges (command, file, ranges, &n);
  if (status != VHOST_BLK_STATUS_OK || vhost_blk_file_is_null (file))
    return status;
  return do_slowly (self, queue, command, ranges, n);
}

static VhostBlkStatus
write_data (BlkQueue *self, VhostQueue *queue, VhostBlkCommand *command)
{
  if (self->disk->file->read_only)
    return VHOST_BLK_STATUS_IOERR;
  command->write.through = g_atomic_int_get (&self->disk->write_through);
  return move (self, queue, command, &command->write);
}

static VhostBlkStatus
serve_command (BlkQueue *self, VhostQueue *queue, VhostBlkCommand *command)
{
  switch (command->type) {
  case VHOST_BLK_TYPE_IN:
    return move (self, queue, command, &command->read);
  case VHOST_BLK_TYPE_OUT:
    return write_data (self, queue, command);
  case VHOST_BLK_TYPE_FLUSH:
    return vhost_blk_file_is_null (self->disk->file) ? VHOST_BLK_STATUS_OK
                                                     : do_slowly (self, queue, command, NULL, 0);
  case VHOST_BLK_TYPE_GET_ID:
    vhost_blk_command_answer (command, self->disk->serial, sizeof self->disk->serial);
    return VHOST_BLK_STATUS_OK;
  case VHOST_BLK_TYPE_DISCARD:
  case VHOST_BLK_TYPE_WRITE_ZEROES:
    return clear (self, queue, command);
  case VHOST_BLK_TYPE_NONE:
    return VHOST_BLK_STATUS_IOERR;
  default:
    return VHOST_BLK_STATUS_UNSUPP;
  }
}

static void
serve_slot (BlkQueue *self, VhostQueue *queue, VhostSlot *slot, VhostBlkBatch *batch)
{
  VhostBlkCommand command;
  VhostBlkStatus status;

  if (!vhost_blk_command_parse (&command, slot)) {
    vhost_blk_batch_add (batch, slot, 0);
    return;
  }
  status = serve_command (self, queue, &command);
  if (status != VHOST_BLK_STATUS_PENDING)
    vhost_blk_batch_add (batch, slot, vhost_blk_command_finish (&command, status));
}

/* A turn ends early when much was copied; the queue calls again. */
static void
on_kick (VhostQueue *queue, gpointer data)
{
  BlkQueue *self = data;
  VhostSlot *slots[VHOST_BLK_BATCH];
  VhostBlkBatch batch = { .n = 0 };
  guint n;

  if (g_atomic_int_get (&self->disk->n_strays) > 0)
    return; /* looked at again when there is none */
  self->n_copied = 0;
  while (self->n_copied < INLINE_BUDGET &&
         (n = vhost_queue_pop_batch (queue, slots, VHOST_BLK_BATCH)) > 0) {
    for (guint i = 0; i < n; i++)
      serve_slot (self, queue, slots[i], &batch);
    vhost_blk_batch_publish (&batch, queue);
  }
  vhost_queue_notify (queue);
  if (self->lane != NULL)
    vhost_blk_lane_push_on (self->lane);
}

static void
blk_queue_free (gpointer data)
{
  BlkQueue *self = data;

  g_clear_pointer (&self->lane, vhost_blk_lane_unref);
  vhost_blk_disk_unref (self->disk);
  g_free (self);
}

void
vhost_blk_queue_attach (VhostQueue *queue, VhostBlkDisk *disk)
{
  BlkQueue *self = g_new0 (BlkQueue, 1);

  self->disk = vhost_blk_disk_ref (disk);
  vhost_queue_set_kick_func (queue, on_kick, self, blk_queue_free);
}
