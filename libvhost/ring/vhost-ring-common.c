/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device engines share off their fast paths: slots, buffers that span regions, indirect
 * tables.
 *
 * Owns the slots and the private copy of an indirect table. One thread at a time. (VIRTIO 1.4,
 * sections 2.7.5 and 2.8.7) */

#include "ring/vhost-ring-common-private.h"

#include <string.h>

#define SLOT_ALIGNMENT 64

static const VhostSpan no_span;

void __attribute__ ((cold))
vhost_ring_common_record_fault (VhostRingCommon *common, VhostRingFault fault, guint64 value)
{
  common->error = (VhostRingError){ fault, value };
}

/* --- Slots --------------------------------------------------------------------------------- */

static void
make_table_room (VhostRingCommon *common, guint n)
{
  if (n <= common->indirect_room)
    return;
  common->indirect_copy = g_renew (VhostRingDesc, common->indirect_copy, n);
  common->indirect_room = n;
}

void
vhost_ring_common_init (VhostRingCommon *common, guint16 size, gboolean event_idx,
                        gboolean indirect)
{
  gsize address;

  *common = (VhostRingCommon){ .size = size, .event_idx = event_idx, .indirect = indirect };
  common->hint = &no_span;
  common->table_hint = &no_span;
  common->slots_block = g_malloc0 (size * sizeof (VhostSlot) + SLOT_ALIGNMENT - 1);
  address = ((gsize) common->slots_block + SLOT_ALIGNMENT - 1) & ~(gsize) (SLOT_ALIGNMENT - 1);
  common->slots = (VhostSlot *) address;
  common->by_head = g_new0 (VhostSlot *, size);
  common->free_slots = g_new (VhostSlot *, size);
  if (indirect)
    make_table_room (common, size);
}

void
vhost_ring_common_clear (VhostRingCommon *common)
{
  for (guint i = 0; i < common->n_slots; i++)
    vhost_ring_common_free_overflow (common, &common->slots[i]);
  g_free (common->slots_block);
  g_free (common->by_head);
  g_free (common->free_slots);
  g_free (common->indirect_copy);
  *common = (VhostRingCommon){ 0 };
}

void
vhost_ring_common_set_memory (VhostRingCommon *common, const VhostMemory *memory)
{
  common->memory = memory;
  common->hint = &no_span;
  common->table_hint = &no_span;
}

/* Slots are set up when they are first needed: a large ring that is hardly filled costs little. */
void
vhost_ring_common_add_free_slots (VhostRingCommon *common, guint n)
{
  for (; common->n_free < n; common->n_slots++) {
    VhostSlot *slot = &common->slots[common->n_slots];

    slot->iov = slot->inline_iov;
    slot->n_room = VHOST_SLOT_INLINE_IOVECS;
    common->free_slots[common->n_free++] = slot;
  }
}

void
vhost_ring_common_free_overflow (VhostRingCommon *common, VhostSlot *slot)
{
  if (slot->n_room <= VHOST_SLOT_INLINE_IOVECS)
    return;
  common->overflow_bytes -= slot->n_room * sizeof (struct iovec);
  g_free (slot->iov);
  slot->iov = slot->inline_iov;
  slot->n_room = VHOST_SLOT_INLINE_IOVECS;
}

VhostSlot **
vhost_ring_common_list_latest (VhostRingCommon *common)
{
  VhostSlot **latest = g_new0 (VhostSlot *, common->size + 1);
  guint n = 0;

  for (guint i = 0; i < common->size; i++) {
    VhostSlot *slot = common->by_head[i];

    if (slot != NULL && !slot->completed && common->n_popped - 1 - slot->position < common->size)
      latest[common->n_popped - 1 - slot->position] = slot;
  }
  while (latest[n] != NULL)
    n++;
  memset (latest + n, 0, (common->size + 1 - n) * sizeof *latest);
  return latest;
}

/* --- Buffers ------------------------------------------------------------------------------- */

gboolean
vhost_ring_common_move_hint (VhostRingCommon *common, guint64 address)
{
  const VhostSpan *span =
      vhost_span_search (common->memory->by_guest, common->memory->n_guest, address);

  if (span == NULL || span->access != VHOST_MEMORY_READ_WRITE)
    return FALSE;
  common->hint = span;
  return TRUE;
}

static gboolean
grow_iov (VhostRingCommon *common, VhostSlot *slot)
{
  guint n = slot->n_room;
  gboolean is_inline = slot->iov == slot->inline_iov;
  guint room = MIN (n * 4, VHOST_RING_MAX_IOVECS);
  struct iovec *iov;

  if (n >= VHOST_RING_MAX_IOVECS)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_TOO_LONG, n + 1);

  iov = g_renew (struct iovec, is_inline ? NULL : slot->iov, room);
  if (is_inline)
    memcpy (iov, slot->inline_iov, sizeof slot->inline_iov);
  common->overflow_bytes += (room - (is_inline ? 0 : n)) * sizeof *iov;
  slot->iov = iov;
  slot->n_room = (guint16) room;
  return TRUE;
}

static void
append_iov (VhostSlot *slot, VhostRingWalk *walk, guint8 *host, guint32 length, gboolean writable)
{
  slot->iov[walk->n++] = (struct iovec){ host, length };
  walk->size += length;
  if (writable) {
    walk->n_writable++;
    walk->writable_size += length;
  }
}

void
vhost_ring_common_refuse_length (VhostRingCommon *common, guint64 size)
{
  if (common->misses.n == 0)
    vhost_ring_common_record_fault (common, VHOST_RING_FAULT_TOO_LONG, size);
}

/* Where @address is, and how far. In a view *@host may be NULL: up to there it is missing. */
static gboolean
translate (VhostRingCommon *common, const VhostSpan **hint, guint64 address, guint access,
           guint8 **host, guint64 *contiguous)
{
  *host = vhost_memory_find_guest (common->memory, hint, address, access, contiguous);
  if (*host != NULL)
    return TRUE;
  if (common->memory->base == NULL)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_ADDRESS, address);
  *contiguous = VHOST_IOTLB_PAGE - address % VHOST_IOTLB_PAGE;
  return vhost_iotlb_misses_add (&common->misses, address, access);
}

gboolean
vhost_ring_common_add_buffer (VhostRingCommon *common, VhostSlot *slot, VhostRingWalk *walk,
                              guint64 address, guint32 length, gboolean writable)
{
  guint32 left = length;

  if (!writable && walk->n_writable > 0)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_ORDER, address);
  if (left > 0 && address + (left - 1) < address)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_ADDRESS, address);

  while (left > 0) {
    guint64 contiguous;
    guint8 *host;
    guint32 piece;

    if (!translate (common, &common->hint, address,
                    writable ? VHOST_MEMORY_WRITE : VHOST_MEMORY_READ, &host, &contiguous))
      return FALSE;
    if (walk->n == slot->n_room && !grow_iov (common, slot))
      return FALSE;

    piece = (guint32) MIN (left, contiguous);
    if (G_LIKELY (host != NULL))
      append_iov (slot, walk, host, piece, writable);
    else
      walk->size = MAX (walk->size, (guint64) G_MAXUINT32 + 1);
    address += piece;
    left -= piece;
  }
  return TRUE;
}

/* --- Indirect tables ----------------------------------------------------------------------- */

static gboolean
copy_table (VhostRingCommon *common, guint64 address, gsize left)
{
  guint8 *to = (guint8 *) common->indirect_copy;

  if (address + (left - 1) < address)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_ADDRESS, address);

  while (left > 0) {
    guint64 contiguous;
    guint8 *host;
    gsize piece;

    if (!translate (common, &common->table_hint, address, VHOST_MEMORY_READ, &host, &contiguous))
      return FALSE;
    piece = MIN (left, contiguous);
    if (G_LIKELY (host != NULL))
      memcpy (to, host, piece);
    to += piece;
    address += piece;
    left -= piece;
  }
  __atomic_signal_fence (__ATOMIC_SEQ_CST); /* from here on only the copy counts */
  return common->misses.n == 0;
}

/* A table should not have more entries than the queue, but Linux makes it as long as the request
 * is. */
static gboolean
check_table (VhostRingCommon *common, guint64 address, guint32 length, gboolean last)
{
  guint most = MAX (common->size, VHOST_RING_MAX_IOVECS);

  if (!common->indirect)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_INDIRECT_OFF, address);
  if (!last)
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_INDIRECT_NEXT, address);
  if (length == 0 || length % sizeof (VhostRingDesc) != 0 || length > VHOST_RING_DESC_BYTES (most))
    return vhost_ring_common_set_fault (common, VHOST_RING_FAULT_INDIRECT_SIZE, length);
  return TRUE;
}

const VhostRingDesc *
vhost_ring_common_find_table (VhostRingCommon *common, guint64 address, guint32 length,
                              gboolean last, guint *n)
{
  guint64 contiguous;
  const guint8 *host;

  *n = length / sizeof (VhostRingDesc);
  if (!check_table (common, address, length, last))
    return NULL;
  host = vhost_memory_find_guest (common->memory, &common->table_hint, address, VHOST_MEMORY_READ,
                                  &contiguous);
  if (host != NULL && contiguous >= length && (gsize) host % sizeof (guint64) == 0)
    return (const VhostRingDesc *) host;
  make_table_room (common, *n);
  return copy_table (common, address, length) ? common->indirect_copy : NULL;
}
