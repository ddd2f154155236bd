/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame on its way into the buffers of a driver. */
#pragma once

#include "ring/vhost-queue-state-private.h"

#define VHOST_NET_HEADER 12 /* virtio_net_hdr, with num_buffers */
#define VHOST_NET_SHORT_HEADER 10
#define VHOST_NET_ADDRESSES 12 /* of target and source */
#define VHOST_NET_MIN_FRAME 14
#define VHOST_NET_MAX_FRAME (65535 + 14 + 4)
#define VHOST_NET_BATCH 32
#define VHOST_NET_MAX_SPREAD 256 /* buffers of one frame */

/* What stands in it is private: header and addresses are fetched once. */
typedef struct {
  guint8 head[VHOST_NET_HEADER + VHOST_NET_ADDRESSES]; /* a short header begins at byte 2 */
  guint n_head;
  struct iovec *iov; /* what follows */
  guint n_iov;
  guint32 size; /* of the frame, without the header */
} VhostNetFrame;

/* Takes header and addresses off the chain of a driver. FALSE: it is too short or too long, or
 * wants something done that was never offered. */
gboolean vhost_net_frame_parse (VhostNetFrame *frame, VhostSlot *slot, guint header_size);

/* The same, but for the addresses: all of the frame is in the pieces. */
gboolean vhost_net_frame_strip (VhostNetFrame *frame, VhostSlot *slot, guint header_size);

static inline gboolean
vhost_net_slot_has_frame (const VhostSlot *slot, guint header_size)
{
  return slot->readable_size >= header_size + VHOST_NET_MIN_FRAME &&
         slot->readable_size <= header_size + VHOST_NET_MAX_FRAME;
}

/* Buffers of a driver that were taken for the frames of one turn: the first ones are full. */
typedef struct {
  VhostQueue *queue;
  guint header_size;
  gboolean mergeable;
  guint n_full;
  guint n_slots;
  VhostSlot *slots[VHOST_NET_MAX_SPREAD + VHOST_NET_BATCH];
  guint32 lengths[VHOST_NET_MAX_SPREAD + VHOST_NET_BATCH];
} VhostNetStock;

typedef enum {
  VHOST_NET_PUT_DONE,
  VHOST_NET_PUT_NO_ROOM, /* there may be later */
  VHOST_NET_PUT_NEVER,   /* no buffers that this driver can add hold it */
} VhostNetPut;

/* Is there a buffer? Takes up to @at_once if not. */
gboolean vhost_net_stock_fill (VhostNetStock *stock, guint at_once);

VhostNetPut vhost_net_stock_put (VhostNetStock *stock, const VhostNetFrame *frame, guint at_once);

/* Makes the frames visible, all buffers of each at once. */
void vhost_net_stock_publish (VhostNetStock *stock);

/* The same, gives back what was not needed, and tells the driver. */
void vhost_net_stock_settle (VhostNetStock *stock);
