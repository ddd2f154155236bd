/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a split ring: fetches chains, checks and translates them, returns them.
 *
 * Owns the slots and the private copy of an indirect table; the ring and the memory are borrowed.
 * One thread at a time. (VIRTIO 1.4, section 2.7) */

#include "ring/vhost-split-device-private.h"

#include <string.h>

#define SLOT_ALIGNMENT 64

/* What completed slots may keep of the iovecs that long chains needed, in one ring. */
#define OVERFLOW_BUDGET (4 * 1024 * 1024)

typedef guint64 __attribute__ ((may_alias)) AliasedWord;

typedef struct {
  guint64 addr;
  guint32 len;
  guint16 flags;
  guint16 next;
} Desc;

static inline Desc
fetch_desc (const VhostRingDesc *shared)
{
  const AliasedWord *words = (const AliasedWord *) shared;
  guint64 high;
  Desc desc;

  desc.addr = GUINT64_FROM_LE (__atomic_load_n (&words[0], __ATOMIC_RELAXED));
  high = GUINT64_FROM_LE (__atomic_load_n (&words[1], __ATOMIC_RELAXED));
  desc.len = (guint32) high;
  desc.flags = (guint16) (high >> 32);
  desc.next = (guint16) (high >> 48);
  return desc;
}

static G_GNUC_NO_INLINE gboolean
set_fault (VhostSplitDevice *ring, VhostRingFault fault, guint64 value)
{
  ring->error.fault = fault;
  ring->error.value = value;
  return FALSE;
}

/* --- Life ---------------------------------------------------------------------------------- */

void
vhost_split_device_init (VhostSplitDevice *ring, guint16 size, gboolean event_idx,
                         gboolean indirect)
{
  gsize address;

  *ring = (VhostSplitDevice){.size = size, .event_idx = event_idx, .indirect = indirect};

  /* Slots are set up when they are first used: a large ring that is hardly filled costs little. */
  ring->slots_block = g_malloc0 (size * sizeof (VhostSlot) + SLOT_ALIGNMENT - 1);
  address = ((gsize) ring->slots_block + SLOT_ALIGNMENT - 1) & ~(gsize) (SLOT_ALIGNMENT - 1);
  ring->slots = (VhostSlot *) address;
  if (indirect)
    ring->indirect_copy = g_new (VhostRingDesc, size);
}

static void
free_overflow (VhostSplitDevice *ring, VhostSlot *slot)
{
  ring->overflow_bytes -= slot->n_room * sizeof (struct iovec);
  g_free (slot->iov);
  slot->iov = slot->inline_iov;
  slot->n_room = VHOST_SLOT_INLINE_IOVECS;
}

void
vhost_split_device_clear (VhostSplitDevice *ring)
{
  for (guint i = 0; ring->overflow_bytes > 0 && i < ring->size; i++)
    if (ring->slots[i].n_room > VHOST_SLOT_INLINE_IOVECS)
      free_overflow (ring, &ring->slots[i]);
  g_free (ring->slots_block);
  g_free (ring->indirect_copy);
  *ring = (VhostSplitDevice){0};
}

void
vhost_split_device_set_memory (VhostSplitDevice *ring, const VhostMemory *memory, gpointer desc,
                               gpointer avail, gpointer used)
{
  ring->desc = desc;
  ring->avail = avail;
  ring->used = used;
  ring->memory = memory;
  ring->hint = NULL;
}

void
vhost_split_device_start (VhostSplitDevice *ring, guint16 base)
{
  ring->last_avail = base;
  ring->avail_seen = base;
  ring->used_idx = vhost_ring_load16 (&ring->used->idx);
  ring->signalled_used = ring->used_idx;
  ring->signalled_valid = FALSE;
  ring->notifications_on = TRUE;
  vhost_ring_store16 (&ring->used->flags, 0);
}

/* --- Pieces of a chain --------------------------------------------------------------------- */

static gboolean
grow_iov (VhostSplitDevice *ring, VhostSlot *slot)
{
  guint n = slot->n_room;
  gboolean is_inline = slot->iov == slot->inline_iov;
  guint room = MIN (n * 4, VHOST_RING_MAX_IOVECS);
  struct iovec *iov;

  if (n >= VHOST_RING_MAX_IOVECS)
    return set_fault (ring, VHOST_RING_FAULT_TOO_LONG, n + 1);

  iov = g_renew (struct iovec, is_inline ? NULL : slot->iov, room);
  if (is_inline)
    memcpy (iov, slot->inline_iov, sizeof slot->inline_iov);
  ring->overflow_bytes += (room - (is_inline ? 0 : n)) * sizeof *iov;
  slot->iov = iov;
  slot->n_room = room;
  return TRUE;
}

static inline void
append_iov (VhostSlot *slot, guint8 *host, guint32 length, gboolean writable)
{
  struct iovec *iov = &slot->iov[slot->n_readable + slot->n_writable];

  iov->iov_base = host;
  iov->iov_len = length;
  if (writable) {
    slot->n_writable++;
    slot->writable_size += length;
  } else {
    slot->n_readable++;
    slot->readable_size += length;
  }
}

/* A buffer that goes on in the next region, or that needs more room. */
static G_GNUC_NO_INLINE gboolean
add_buffer_in_pieces (VhostSplitDevice *ring, VhostSlot *slot, guint64 address, guint32 length,
                      gboolean writable)
{
  if (address + (length - 1) < address)
    return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);

  while (length > 0) {
    guint64 contiguous;
    guint8 *host = vhost_memory_find_guest (ring->memory, &ring->hint, address, &contiguous);
    guint32 piece;

    if (host == NULL)
      return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);
    if (slot->n_readable + slot->n_writable == slot->n_room && !grow_iov (ring, slot))
      return FALSE;

    piece = (guint32) MIN (length, contiguous);
    append_iov (slot, host, piece, writable);
    address += piece;
    length -= piece;
  }
  return TRUE;
}

static inline gboolean
add_buffer (VhostSplitDevice *ring, VhostSlot *slot, guint64 address, guint32 length,
            gboolean writable)
{
  guint64 contiguous;
  guint8 *host = vhost_memory_find_guest (ring->memory, &ring->hint, address, &contiguous);

  if (G_UNLIKELY (host == NULL || length > contiguous ||
                  slot->n_readable + slot->n_writable == slot->n_room))
    return add_buffer_in_pieces (ring, slot, address, length, writable);
  append_iov (slot, host, length, writable);
  return TRUE;
}

/* Copies the table that @desc refers to, which may lie in several regions, into private memory. */
static G_GNUC_NO_INLINE gboolean
copy_indirect_table (VhostSplitDevice *ring, const Desc *desc, gboolean nested)
{
  guint8 *to = (guint8 *) ring->indirect_copy;
  guint64 address = desc->addr;
  gsize left = desc->len;

  if (!ring->indirect)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_OFF, desc->addr);
  if (nested)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NESTED, desc->addr);
  if (desc->flags & VHOST_RING_DESC_NEXT)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, desc->next);
  if (left == 0 || left % sizeof (VhostRingDesc) != 0 || left > VHOST_RING_DESC_BYTES (ring->size))
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_SIZE, left);
  if (address + (left - 1) < address)
    return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);

  while (left > 0) {
    guint64 contiguous;
    const guint8 *host = vhost_memory_find_guest (ring->memory, &ring->hint, address, &contiguous);
    gsize piece;

    if (host == NULL)
      return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);
    piece = MIN (left, contiguous);
    memcpy (to, host, piece);
    to += piece;
    address += piece;
    left -= piece;
  }
  __atomic_signal_fence (
      __ATOMIC_SEQ_CST); /* from here on the copy counts, not what it was made of */
  return TRUE;
}

static inline gboolean
walk_chain (VhostSplitDevice *ring, VhostSlot *slot, guint index)
{
  const VhostRingDesc *table = ring->desc;
  guint n_table = ring->size;
  guint n_left = n_table;
  guint64 total = 0;
  gboolean writing = FALSE;

  for (;;) {
    Desc desc = fetch_desc (&table[index]);
    gboolean writable = (desc.flags & VHOST_RING_DESC_WRITE) != 0;

    if (G_UNLIKELY (desc.flags & VHOST_RING_DESC_INDIRECT)) {
      if (!copy_indirect_table (ring, &desc, table != ring->desc))
        return FALSE;
      table = ring->indirect_copy;
      n_table = n_left = desc.len / sizeof (VhostRingDesc);
      index = 0;
      continue;
    }

    if (G_UNLIKELY (writing && !writable))
      return set_fault (ring, VHOST_RING_FAULT_ORDER, index);
    writing = writable;
    total += desc.len;
    if (G_UNLIKELY (total > G_MAXUINT32))
      return set_fault (ring, VHOST_RING_FAULT_TOO_LONG, total);
    if (G_LIKELY (desc.len > 0) && !add_buffer (ring, slot, desc.addr, desc.len, writable))
      return FALSE;

    if (!(desc.flags & VHOST_RING_DESC_NEXT))
      return TRUE;
    if (G_UNLIKELY (desc.next >= n_table))
      return set_fault (ring, VHOST_RING_FAULT_NEXT_RANGE, desc.next);
    if (G_UNLIKELY (--n_left == 0))
      return set_fault (ring, VHOST_RING_FAULT_LOOP, desc.next);
    index = desc.next;
  }
}

/* --- Pop ----------------------------------------------------------------------------------- */

/* Loads avail.idx. */
static gboolean
look_at_avail (VhostSplitDevice *ring)
{
  guint16 idx = vhost_ring_load16_acquire (&ring->avail->idx);

  if (G_UNLIKELY ((guint16) (idx - ring->last_avail) > ring->size))
    return set_fault (ring, VHOST_RING_FAULT_INDEX_JUMP, idx);
  ring->avail_seen = idx;
  return TRUE;
}

static inline guint
count_ready (VhostSplitDevice *ring, guint max)
{
  if (G_UNLIKELY (ring->error.fault != VHOST_RING_FAULT_NONE))
    return 0;
  if ((guint16) (ring->avail_seen - ring->last_avail) < max && !look_at_avail (ring))
    return 0;
  return MIN (max, (guint16) (ring->avail_seen - ring->last_avail));
}

static inline void
reset_slot (VhostSlot *slot, guint16 head)
{
  if (G_UNLIKELY (slot->iov == NULL)) {
    slot->iov = slot->inline_iov;
    slot->n_room = VHOST_SLOT_INLINE_IOVECS;
    slot->head = head;
  }
  slot->n_readable = slot->n_writable = 0;
  slot->readable_size = slot->writable_size = 0;
  slot->written = 0;
  slot->exposed = FALSE;
}

/* The slot of a head that may be popped, or NULL and the fault. No more than size are ever in flight,
 * because each has a head of its own. */
static inline VhostSlot *
take_head (VhostSplitDevice *ring, guint16 head)
{
  VhostSlot *slot;

  if (G_UNLIKELY (head >= ring->size)) {
    set_fault (ring, VHOST_RING_FAULT_HEAD_RANGE, head);
    return NULL;
  }
  slot = &ring->slots[head];
  if (G_UNLIKELY (slot->busy)) {
    set_fault (ring, VHOST_RING_FAULT_HEAD_BUSY, head);
    return NULL;
  }
  reset_slot (slot, head);
  return slot;
}

static inline guint32
next_generation (guint32 generation)
{
  return generation + 1 + (generation == G_MAXUINT32);
}

guint
vhost_split_device_pop (VhostSplitDevice *ring, VhostSlot **slots, guint max)
{
  guint n_ready = count_ready (ring, max);
  guint16 first = ring->last_avail;
  guint16 mask = ring->size - 1;
  guint n;

  for (n = 0; n < n_ready; n++) {
    guint16 head = vhost_ring_load16 (&ring->avail->ring[(first + n) & mask]);
    VhostSlot *slot = take_head (ring, head);

    if (G_UNLIKELY (slot == NULL || !walk_chain (ring, slot, head)))
      break;
    slot->busy = TRUE;
    slot->position = ring->n_popped + n;
    slot->generation = ring->generation = next_generation (ring->generation);
    slots[n] = slot;
  }

  ring->last_avail = first + n;
  ring->n_popped += n;
  ring->n_in_flight += n;
  return n;
}

static inline void
complete_slot (VhostSplitDevice *ring, VhostSlot *slot)
{
  slot->busy = FALSE;
  slot->generation = 0;
  if (G_UNLIKELY (slot->n_room > VHOST_SLOT_INLINE_IOVECS &&
                  ring->overflow_bytes > OVERFLOW_BUDGET))
    free_overflow (ring, slot);
}

gboolean
vhost_split_device_unpop (VhostSplitDevice *ring, VhostSlot *slot)
{
  if (!slot->busy || slot->position != ring->n_popped - 1)
    return FALSE;
  complete_slot (ring, slot);
  ring->last_avail--;
  ring->n_popped--;
  ring->n_in_flight--;
  return TRUE;
}

guint
vhost_split_device_rewind (VhostSplitDevice *ring)
{
  g_autofree VhostSlot **latest = g_new0 (VhostSlot *, ring->size); /* by how long ago */
  guint n_found = 0;

  for (guint i = 0; n_found < ring->n_in_flight && i < ring->size; i++) {
    VhostSlot *slot = &ring->slots[i];
    guint32 age = ring->n_popped - 1 - slot->position;

    if (!slot->busy)
      continue;
    n_found++;
    if (slot->generation != 0 && age < ring->size)
      latest[age] = slot;
  }
  for (guint i = 0; i < ring->size && latest[i] != NULL; i++)
    vhost_split_device_unpop (ring, latest[i]);
  return ring->n_in_flight;
}

/* --- Push ---------------------------------------------------------------------------------- */

void
vhost_split_device_push (VhostSplitDevice *ring, VhostSlot **slots, const guint32 *lengths, guint n)
{
  guint16 first = ring->used_idx;
  guint16 mask = ring->size - 1;

  for (guint i = 0; i < n; i++) {
    VhostRingUsedElem *elem = &ring->used->ring[(first + i) & mask];

    elem->id = GUINT32_TO_LE (slots[i]->head);
    elem->len = GUINT32_TO_LE (lengths[i]);
    complete_slot (ring, slots[i]);
  }
  ring->used_idx = first + n;
  ring->n_in_flight -= n;
  if (G_UNLIKELY ((guint16) (ring->used_idx - ring->signalled_used) < n))
    ring->signalled_valid = FALSE; /* once around since the last decision */
  vhost_ring_store16_release (&ring->used->idx, ring->used_idx);
}

/* --- Notifications ------------------------------------------------------------------------- */

gboolean
vhost_split_device_is_empty (VhostSplitDevice *ring)
{
  return ring->error.fault != VHOST_RING_FAULT_NONE || !look_at_avail (ring) ||
         ring->avail_seen == ring->last_avail;
}

void
vhost_split_device_disable_notifications (VhostSplitDevice *ring)
{
  ring->notifications_on = FALSE;
  if (!ring->event_idx) /* with it, avail_event just stays behind */
    vhost_ring_store16 (&ring->used->flags, VHOST_RING_USED_NO_NOTIFY);
}

gboolean
vhost_split_device_enable_notifications (VhostSplitDevice *ring)
{
  guint16 seen = ring->avail_seen;

  ring->notifications_on = TRUE;
  if (ring->event_idx)
    vhost_ring_store16 (vhost_ring_get_avail_event (ring->used, ring->size), seen);
  else
    vhost_ring_store16 (&ring->used->flags, 0);
  vhost_ring_full_barrier ();

  if (ring->error.fault != VHOST_RING_FAULT_NONE || !look_at_avail (ring) ||
      ring->avail_seen == seen)
    return FALSE;
  vhost_split_device_disable_notifications (ring);
  return TRUE;
}

gboolean
vhost_split_device_needs_notify (VhostSplitDevice *ring)
{
  guint16 before = ring->signalled_used;
  guint16 now = ring->used_idx;
  gboolean valid = ring->signalled_valid;

  if (valid && now == before)
    return FALSE;
  ring->signalled_used = now;
  ring->signalled_valid = TRUE;
  vhost_ring_full_barrier ();

  if (!ring->event_idx)
    return !(vhost_ring_load16 (&ring->avail->flags) & VHOST_RING_AVAIL_NO_INTERRUPT);
  return !valid ||
         vhost_ring_has_crossed (
             vhost_ring_load16 (vhost_ring_get_used_event (ring->avail, ring->size)), before, now);
}
