/* SPDX-License-Identifier: BSD-3-Clause */
/* A request of the driver, taken apart. Everything in it was fetched from guest memory once. */
#pragma once

#include "ring/vhost-queue-state-private.h"
#include "virtio/vhost-virtio-blk-file-private.h"

/* Ranges of one discard or write-zeroes, and sectors of one range. */
#define VHOST_BLK_MAX_RANGES 16
#define VHOST_BLK_MAX_RANGE_SECTORS (1u << 22)

typedef enum {
  VHOST_BLK_TYPE_IN = 0,
  VHOST_BLK_TYPE_OUT = 1,
  VHOST_BLK_TYPE_FLUSH = 4,
  VHOST_BLK_TYPE_GET_ID = 8,
  VHOST_BLK_TYPE_DISCARD = 11,
  VHOST_BLK_TYPE_WRITE_ZEROES = 13,
  VHOST_BLK_TYPE_NONE = -1, /* there is no whole header */
} VhostBlkType;

typedef enum {
  VHOST_BLK_STATUS_OK = 0,
  VHOST_BLK_STATUS_IOERR = 1,
  VHOST_BLK_STATUS_UNSUPP = 2,
  VHOST_BLK_STATUS_PENDING = 255, /* none of VIRTIO's: there will be one */
} VhostBlkStatus;

typedef struct {
  guint64 offset; /* bytes */
  guint64 length;
  gboolean may_unmap;
} VhostBlkRange;

/* The pieces are those of the slot, from which header and status are cut off. */
typedef struct {
  VhostSlot *slot;
  guint32 type;
  guint64 sector;
  guint8 *status;        /* where it goes */
  VhostBlkTransfer read; /* into the writable part */
  VhostBlkTransfer write;
} VhostBlkCommand;

/* FALSE when there is no place for a status. */
gboolean vhost_blk_command_parse (VhostBlkCommand *command, VhostSlot *slot);

/* Is this a range of @file that may be read or written? Sets where the transfer begins. */
gboolean vhost_blk_command_place (const VhostBlkCommand *command, VhostBlkTransfer *transfer,
                                  const VhostBlkFile *file);

/* The ranges of a discard or write-zeroes, checked; in *@n how many. */
VhostBlkStatus vhost_blk_command_read_ranges (const VhostBlkCommand *command,
                                              const VhostBlkFile *file, VhostBlkRange *ranges,
                                              guint *n);

/* Writes @data to the start of the writable part, as far as it goes. */
void vhost_blk_command_answer (VhostBlkCommand *command, const void *data, guint32 size);

/* Writes the status. Returns how many bytes have been written from the start. */
guint32 vhost_blk_command_finish (VhostBlkCommand *command, VhostBlkStatus status);
