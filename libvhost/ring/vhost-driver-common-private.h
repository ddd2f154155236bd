/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver side of both ring formats keeps: what is outstanding, what is free, and the fault
 * that broke the ring. Engines have it as first member. */
#pragma once

#include "ring/vhost-ring-private.h"

typedef struct {
  guint64 address; /* guest physical */
  guint32 length;
} VhostDriverPiece;

/* What the driver remembers of a descriptor, or of a buffer id; the ring itself can be written by
 * the device. */
typedef struct {
  guint16 next;          /* free descriptor or id; split: also descriptor of the same chain */
  guint16 n_descs;       /* of the chain that begins here; 0: none is outstanding */
  guint32 writable_size; /* what the length that comes back is clamped to */
  gpointer cookie;
  guint64 sequence; /* split: how many chains were added before it */
} VhostDriverShadow;

typedef struct {
  guint16 size;
  gboolean event_idx;
  VhostRingDesc *indirect; /* indirect_max entries for each head; NULL: no indirect descriptors */
  guint64 indirect_address;
  guint16 indirect_max;

  guint16 free_head;
  guint16 n_free; /* entries of the ring */
  guint n_outstanding;
  VhostDriverShadow *shadow;
  VhostRingError error;
} VhostDriverCommon;

static inline void
vhost_driver_common_init (VhostDriverCommon *common, guint16 size, gboolean event_idx)
{
  *common = (VhostDriverCommon){ .size = size, .event_idx = event_idx, .n_free = size };
  common->shadow = g_new0 (VhostDriverShadow, size);
  for (guint i = 0; i < size; i++)
    common->shadow[i].next = (guint16) (i + 1);
}

/* One table of @max entries for each entry of the ring, at @table and guest @address. */
static inline void
vhost_driver_common_set_indirect (VhostDriverCommon *common, gpointer table, guint64 address,
                                  guint16 max)
{
  common->indirect = table;
  common->indirect_address = address;
  common->indirect_max = max;
}

/* Does a chain of @n pieces go into an indirect table? A table is no longer than its queue. */
static inline gboolean
vhost_driver_common_is_indirect (const VhostDriverCommon *common, guint n)
{
  return common->indirect != NULL && n > 1 && n <= MIN (common->indirect_max, common->size);
}

/* Always FALSE, to be returned on. */
static inline gboolean
vhost_driver_common_set_fault (VhostDriverCommon *common, VhostRingFault fault, guint64 value)
{
  common->error = (VhostRingError){ fault, value };
  return FALSE;
}

/* May @id have been used? */
static inline gboolean
vhost_driver_common_check_id (VhostDriverCommon *common, guint32 id)
{
  if (id >= common->size)
    return vhost_driver_common_set_fault (common, VHOST_RING_FAULT_HEAD_RANGE, id);
  if (common->shadow[id].n_descs == 0)
    return vhost_driver_common_set_fault (common, VHOST_RING_FAULT_NOT_OUTSTANDING, id);
  return TRUE;
}

static inline guint32
vhost_driver_get_writable_size (const VhostDriverPiece *pieces, guint n)
{
  guint64 size = 0;

  for (guint i = 0; i < n; i++)
    size += pieces[i].length;
  return (guint32) MIN (size, G_MAXUINT32);
}
