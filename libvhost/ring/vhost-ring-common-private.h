/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device side of both ring formats keeps: the chains in flight and the slots they lie in,
 * the memory that buffers are in, and the fault that broke the ring. Engines have it as first
 * member. */
#pragma once

#include <string.h>
#include "memory/vhost-iotlb-private.h"
#include "ring/vhost-ring-private.h"

typedef struct {
  const VhostMemory *memory;   /* borrowed */
  const VhostSpan *hint;       /* where the last buffer was; never NULL */
  const VhostSpan *table_hint; /* the same of the last indirect table */

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
  VhostIotlbMisses misses; /* memory is a view, and the next chain lacks these */
} VhostRingCommon;

/* A descriptor, fetched: two words, each loaded once. What the second one holds besides the length
 * depends on the format. Functions of the fast path that are not inlined take it as two words: gcc
 * would put the two together in memory first. */
typedef struct {
  guint64 addr;
  guint64 rest;
} VhostFetchedDesc;

/* What a walk along a chain has gathered in its slot so far. */
typedef struct {
  guint n; /* iovecs */
  guint n_writable;
  guint64 size;
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

/* Appends a buffer of any length, which may go on in other regions. What a view lacks is noted and
 * left out; the walk is too long from then on, and its chain cannot be popped. */
gboolean vhost_ring_common_add_buffer (VhostRingCommon *common, VhostSlot *slot,
                                       VhostRingWalk *walk, guint64 address, guint32 length,
                                       gboolean writable);

/* An indirect table, checked, and its number of entries: in place, or if it is not all in one
 * region, or not aligned, a private copy. NULL with a fault, or with misses. @last: its descriptor
 * is alone, as it must be. */
const VhostRingDesc *vhost_ring_common_find_table (VhostRingCommon *common, guint64 address,
                                                   guint32 length, gboolean last, guint *n);

/* Remembers the row of memory that holds @address; FALSE when there is none that may be both read
 * and written. */
gboolean vhost_ring_common_move_hint (VhostRingCommon *common, guint64 address);

/* A walk is too long: a fault, unless it only seems so because of misses. */
void vhost_ring_common_refuse_length (VhostRingCommon *common, guint64 size);
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

static VHOST_ALWAYS_INLINE guint32
vhost_fetched_get_length (VhostFetchedDesc desc)
{
  return (guint32) desc.rest;
}

/* Of a split descriptor the flags, of a packed one the buffer id. */
static VHOST_ALWAYS_INLINE guint16
vhost_fetched_get_third (VhostFetchedDesc desc)
{
  return (guint16) (desc.rest >> 32);
}

/* Of a split descriptor the next one, of a packed one the flags. */
static VHOST_ALWAYS_INLINE guint16
vhost_fetched_get_last (VhostFetchedDesc desc)
{
  return (guint16) (desc.rest >> 48);
}

/* The same as find_table(), first for one that is like most. */
static VHOST_ALWAYS_INLINE const VhostRingDesc *
vhost_ring_common_get_table (VhostRingCommon *common, guint64 address, guint32 length,
                             gboolean last, guint *n)
{
  const VhostSpan *span = common->table_hint;
  guint64 offset = address - span->start;
  gboolean odd = ((address | length) & (sizeof (VhostRingDesc) - 1)) != 0;

  *n = length / sizeof (VhostRingDesc);
  if (G_UNLIKELY (!common->indirect || !last || odd || *n - 1 >= common->size ||
                  offset >= span->size || length > span->size - offset))
    return vhost_ring_common_find_table (common, address, length, last, n);
  return (const VhostRingDesc *) (span->host + offset);
}

/* Puts a buffer that is like most: not empty, and all of it in the region of the last one. FALSE,
 * and nothing has happened, when it is not. */
static VHOST_ALWAYS_INLINE gboolean
vhost_ring_common_put_plain (const VhostRingCommon *common, struct iovec *iov, guint64 address,
                             guint32 length)
{
  const VhostSpan *span = common->hint;
  guint64 offset = address - span->start;

  if (G_UNLIKELY (offset >= span->size || (guint64) length - 1 >= span->size - offset))
    return FALSE;
  iov->iov_base = span->host + offset;
  iov->iov_len = length;
  return TRUE;
}

/* The same as part of a longer walk, which may go to another region; there must be room, and the
 * order must be right. @writable is 0 or 1. */
static VHOST_ALWAYS_INLINE gboolean
vhost_ring_common_add_plain (VhostRingCommon *common, struct iovec *iov, VhostRingWalk *walk,
                             guint64 address, guint32 length, guint writable)
{
  if (walk->n == VHOST_SLOT_INLINE_IOVECS || writable < (walk->n_writable > 0))
    return FALSE;
  if (!vhost_ring_common_put_plain (common, &iov[walk->n], address, length) &&
      (!vhost_ring_common_move_hint (common, address) ||
       !vhost_ring_common_put_plain (common, &iov[walk->n], address, length)))
    return FALSE;
  walk->n++;
  walk->n_writable += writable;
  walk->size += length;
  walk->writable_size += length & -(guint64) writable;
  return TRUE;
}

/* Writes what was gathered into @slot. */
static VHOST_ALWAYS_INLINE gboolean
vhost_ring_common_fill_slot (VhostRingCommon *common, VhostSlot *slot, const VhostRingWalk *walk)
{
  if (G_UNLIKELY (walk->size > G_MAXUINT32)) {
    vhost_ring_common_refuse_length (common, walk->size);
    return FALSE;
  }
  slot->n_readable = (guint16) (walk->n - walk->n_writable);
  slot->n_writable = (guint16) walk->n_writable;
  slot->readable_size = (guint32) (walk->size - walk->writable_size);
  slot->writable_size = (guint32) walk->writable_size;
  return TRUE;
}

/* Two halves that lie next to each other in a slot, stored as one. */
static VHOST_ALWAYS_INLINE void
vhost_ring_store_halves (guint32 *where, guint32 first, guint32 second)
{
  guint64 both = G_BYTE_ORDER == G_LITTLE_ENDIAN ? first | (guint64) second << 32
                                                 : (guint64) first << 32 | second;

  memcpy (where, &both, sizeof both);
}

/* The same for one buffer. */
static VHOST_ALWAYS_INLINE void
vhost_ring_fill_slot_with_one (VhostSlot *slot, guint32 length, guint32 writable)
{
  vhost_ring_store_halves (&slot->readable_size, length & (writable - 1), length & -writable);
  slot->n_readable = (guint16) (writable ^ 1);
  slot->n_writable = (guint16) writable;
}

/* For two, if their order and their length are right; else nothing has happened. */
static VHOST_ALWAYS_INLINE gboolean
vhost_ring_fill_slot_with_two (VhostSlot *slot, guint32 first, guint32 first_writable,
                               guint32 second, guint32 second_writable)
{
  guint32 size, writable_size;

  if (G_UNLIKELY (first_writable > second_writable ||
                  __builtin_add_overflow (first, second, &size)))
    return FALSE;
  writable_size = (first & -first_writable) + (second & -second_writable);
  vhost_ring_store_halves (&slot->readable_size, size - writable_size, writable_size);
  slot->n_writable = (guint16) (first_writable + second_writable);
  slot->n_readable = (guint16) (2 - first_writable - second_writable);
  return TRUE;
}

/* A walk of which none, or one, buffer is done and in @slot. */
static VHOST_ALWAYS_INLINE VhostRingWalk
vhost_ring_resume_walk (const VhostSlot *slot)
{
  return (VhostRingWalk){ .n = (guint) slot->n_readable + slot->n_writable,
                          .n_writable = slot->n_writable,
                          .size = (guint64) slot->readable_size + slot->writable_size,
                          .writable_size = slot->writable_size };
}

/* No buffer is done. */
static inline void
vhost_ring_clear_slot (VhostSlot *slot)
{
  slot->readable_size = slot->writable_size = 0;
  slot->n_readable = slot->n_writable = 0;
}

static VHOST_ALWAYS_INLINE VhostFetchedDesc
vhost_ring_fetch_desc (const VhostRingDesc *shared)
{
  typedef guint64 __attribute__ ((may_alias)) AliasedWord;
  const AliasedWord *words = (const AliasedWord *) shared;

  return (VhostFetchedDesc){ GUINT64_FROM_LE (__atomic_load_n (&words[0], __ATOMIC_RELAXED)),
                             GUINT64_FROM_LE (__atomic_load_n (&words[1], __ATOMIC_RELAXED)) };
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

/* Takes the @n slots that were freed last. */
static inline void
vhost_ring_common_take_slots (VhostRingCommon *common, VhostSlot **slots, guint n)
{
  common->n_free -= n;
  memcpy (slots, common->free_slots + common->n_free, n * sizeof *slots);
}

static inline void
vhost_ring_common_return_slots (VhostRingCommon *common, VhostSlot *const *slots, guint n)
{
  memcpy (common->free_slots + common->n_free, slots, n * sizeof *slots);
  common->n_free += n;
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
  common->by_head[slot->head] = NULL;
  common->free_slots[common->n_free++] = slot;
}

/* Before slots are freed. */
static inline void
vhost_ring_common_keep_budget (VhostRingCommon *common, VhostSlot *const *slots, guint n)
{
  for (guint i = 0; G_UNLIKELY (common->overflow_bytes > VHOST_RING_OVERFLOW_BUDGET) && i < n; i++)
    vhost_ring_common_free_overflow (common, slots[i]);
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
