/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device side of both ring formats keeps: the chains in flight and the slots they lie in,
 * the memory that buffers are in, and the fault that broke the ring. Engines have it as first
 * member. */
#pragma once

#include "ring/vhost-ring-private.h"

typedef struct {
  const VhostMemory *memory; /* borrowed */
  const VhostSpan *hint;     /* never NULL */

  guint16 size;
  gboolean event_idx;
  gboolean indirect;
  gboolean notifications_on;

  guint n_in_flight;
  guint32 n_popped; /* less what was given back */

  VhostSlot *slots;       /* room for size of them */
  guint n_slots;          /* that have been set up */
  VhostSlot **by_head;    /* chains in flight, by head or buffer id */
  VhostSlot **free_slots; /* the one freed last, and still in the cache, is taken first */
  guint n_free;
  gpointer slots_block;
  gsize overflow_bytes;         /* iovecs that do not lie in their slot */
  VhostRingDesc *indirect_copy; /* private copy of one indirect table */
  guint indirect_room;          /* entries that fit in it */
  VhostRingError error;
} VhostRingCommon;

/* A descriptor, fetched. The last field is `next` in a split ring and in its indirect tables. */
typedef struct {
  guint64 addr;
  guint32 len;
  guint16 flags;
  guint16 next;
} VhostFetchedDesc;

/* What a walk along a chain has gathered in its slot so far. */
typedef struct {
  guint n_readable;
  guint n_writable;
  guint64 readable_size;
  guint64 writable_size;
} VhostRingWalk;

void vhost_ring_common_init (VhostRingCommon *common, guint16 size, gboolean event_idx,
                             gboolean indirect);
void vhost_ring_common_clear (VhostRingCommon *common);
void vhost_ring_common_set_memory (VhostRingCommon *common, const VhostMemory *memory);

/* Sees to it that there are @n free slots, no more than size. */
void vhost_ring_common_add_free_slots (VhostRingCommon *common, guint n);
void vhost_ring_common_free_overflow (VhostRingCommon *common, VhostSlot *slot);

/* The chains that were popped last and are still in flight, newest first, up to the first gap; NULL
 * behind the last. */
VhostSlot **vhost_ring_common_list_latest (VhostRingCommon *common);

/* Appends a buffer of any length, which may go on in other regions. */
gboolean vhost_ring_common_add_buffer (VhostRingCommon *common, VhostSlot *slot,
                                       VhostRingWalk *walk, const VhostFetchedDesc *desc);

/* Checks the indirect table that @desc refers to and copies it, from as many regions as it lies in;
 * returns its number of entries, 0 with a fault. */
guint vhost_ring_common_copy_indirect (VhostRingCommon *common, const VhostFetchedDesc *desc);

/* Writes what was gathered into @slot. */
gboolean vhost_ring_common_fill_slot (VhostRingCommon *common, VhostSlot *slot,
                                      const VhostRingWalk *walk);

void vhost_ring_common_record_fault (VhostRingCommon *common, VhostRingFault fault, guint64 value);

/* Always FALSE, to be returned on. */
static inline gboolean
vhost_ring_common_set_fault (VhostRingCommon *common, VhostRingFault fault, guint64 value)
{
  vhost_ring_common_record_fault (common, fault, value);
  return FALSE;
}

static inline gboolean
vhost_ring_common_is_broken (const VhostRingCommon *common)
{
  return G_UNLIKELY (common->error.fault != VHOST_RING_FAULT_NONE);
}

/* The shared descriptor is loaded as two words, each once. */
static inline VhostFetchedDesc
vhost_ring_fetch_desc (const VhostRingDesc *shared)
{
  typedef guint64 __attribute__ ((may_alias)) AliasedWord;
  const AliasedWord *words = (const AliasedWord *) shared;
  guint64 high;
  VhostFetchedDesc desc;

  desc.addr = GUINT64_FROM_LE (__atomic_load_n (&words[0], __ATOMIC_RELAXED));
  high = GUINT64_FROM_LE (__atomic_load_n (&words[1], __ATOMIC_RELAXED));
  desc.len = (guint32) high;
  desc.flags = (guint16) (high >> 32);
  desc.next = (guint16) (high >> 48);
  return desc;
}

/* How many of @n chains there are slots for. */
static inline guint
vhost_ring_common_reserve_slots (VhostRingCommon *common, guint n)
{
  if (G_LIKELY (common->n_free >= n))
    return n;
  if (common->n_in_flight == common->size)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_HEAD_BUSY, common->n_in_flight);
  n = MIN (n, common->size - common->n_in_flight);
  vhost_ring_common_add_free_slots (common, n);
  return n;
}

/* May @head be popped? */
static inline gboolean
vhost_ring_common_check_head (VhostRingCommon *common, guint16 head)
{
  if (G_UNLIKELY (head >= common->size))
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_HEAD_RANGE, head);
  if (G_UNLIKELY (common->by_head[head] != NULL))
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_HEAD_BUSY, head);
  return TRUE;
}

static inline void
vhost_ring_common_free_slot (VhostRingCommon *common, VhostSlot *slot)
{
  if (G_UNLIKELY (common->overflow_bytes > VHOST_RING_OVERFLOW_BUDGET))
    vhost_ring_common_free_overflow (common, slot);
  common->by_head[slot->head] = NULL;
  common->free_slots[common->n_free++] = slot;
}

/* Counts a chain in flight that the ring itself has counted already. */
static inline void
vhost_ring_common_commit_refetched (VhostRingCommon *common, VhostSlot *slot)
{
  slot->refetched = TRUE;
  slot->position = common->n_popped++;
  common->by_head[slot->head] = slot;
  common->n_in_flight++;
  common->n_free--;
}
