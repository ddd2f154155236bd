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

static __attribute__ ((cold, noinline)) void
record_fault (VhostSplitDevice *ring, VhostRingFault fault, guint64 value)
{
  ring->error = (VhostRingError){ fault, value };
}

static inline gboolean
set_fault (VhostSplitDevice *ring, VhostRingFault fault, guint64 value)
{
  record_fault (ring, fault, value);
  return FALSE;
}

/* --- Life ---------------------------------------------------------------------------------- */

static const VhostSpan no_span;

void
vhost_split_device_init (VhostSplitDevice *ring, guint16 size, gboolean event_idx,
                         gboolean indirect)
{
  gsize address;

  *ring = (VhostSplitDevice){ .size = size, .event_idx = event_idx, .indirect = indirect };
  ring->hint = &no_span;

  ring->slots_block = g_malloc0 (size * sizeof (VhostSlot) + SLOT_ALIGNMENT - 1);
  address = ((gsize) ring->slots_block + SLOT_ALIGNMENT - 1) & ~(gsize) (SLOT_ALIGNMENT - 1);
  ring->slots = (VhostSlot *) address;
  ring->by_head = g_new0 (VhostSlot *, size);
  ring->free_slots = g_new (VhostSlot *, size);
  if (indirect)
    ring->indirect_copy = g_new (VhostRingDesc, size);
}

static void
free_overflow (VhostSplitDevice *ring, VhostSlot *slot)
{
  if (slot->n_room <= VHOST_SLOT_INLINE_IOVECS)
    return;
  ring->overflow_bytes -= slot->n_room * sizeof (struct iovec);
  g_free (slot->iov);
  slot->iov = slot->inline_iov;
  slot->n_room = VHOST_SLOT_INLINE_IOVECS;
}

void
vhost_split_device_clear (VhostSplitDevice *ring)
{
  for (guint i = 0; i < ring->n_slots; i++)
    free_overflow (ring, &ring->slots[i]);
  g_free (ring->slots_block);
  g_free (ring->by_head);
  g_free (ring->free_slots);
  g_free (ring->indirect_copy);
  *ring = (VhostSplitDevice){ 0 };
}

void
vhost_split_device_set_memory (VhostSplitDevice *ring, const VhostMemory *memory, gpointer desc,
                               gpointer avail, gpointer used)
{
  ring->desc = desc;
  ring->avail = avail;
  ring->used = used;
  ring->memory = memory;
  ring->hint = &no_span;
}

/* A base that the driver cannot have left behind belongs to a front-end that lost count, as DPDK's
 * net_virtio_user does when its back-end comes back: then the ring itself says what was used. */
static guint16
correct_base (const VhostSplitDevice *ring, guint16 base)
{
  guint16 avail = vhost_ring_load16 (&ring->avail->idx);
  guint16 used = vhost_ring_load16 (&ring->used->idx);

  if ((guint16) (avail - base) <= ring->size || (guint16) (avail - used) > ring->size)
    return base;
  return used;
}

void
vhost_split_device_start (VhostSplitDevice *ring, guint16 base)
{
  base = correct_base (ring, base);
  ring->last_avail = base;
  ring->avail_seen = base;
  ring->used_idx = vhost_ring_load16 (&ring->used->idx);
  ring->signalled_used = ring->used_idx;
  ring->signalled_valid = FALSE;
  ring->notifications_on = TRUE;
  vhost_ring_store16 (&ring->used->flags, 0);
}

/* --- Walking along a chain ----------------------------------------------------------------- */

/* What a walk has gathered so far, and the table it goes through. */
typedef struct {
  const VhostRingDesc *table;
  guint n_table;
  guint n_left; /* descriptors that may still follow */
  guint n_readable;
  guint n_writable;
  guint64 readable_size;
  guint64 writable_size;
} Walk;

static gboolean
fill_slot (VhostSplitDevice *ring, VhostSlot *slot, const Walk *walk)
{
  guint64 total = walk->readable_size + walk->writable_size;

  if (total > G_MAXUINT32)
    return set_fault (ring, VHOST_RING_FAULT_TOO_LONG, total);
  slot->n_readable = (guint16) walk->n_readable;
  slot->n_writable = (guint16) walk->n_writable;
  slot->readable_size = (guint32) walk->readable_size;
  slot->writable_size = (guint32) walk->writable_size;
  return TRUE;
}

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
  slot->n_room = (guint16) room;
  return TRUE;
}

static void
append_iov (VhostSlot *slot, Walk *walk, guint8 *host, guint32 length, gboolean writable)
{
  slot->iov[walk->n_readable + walk->n_writable] = (struct iovec){ host, length };
  if (writable) {
    walk->n_writable++;
    walk->writable_size += length;
  } else {
    walk->n_readable++;
    walk->readable_size += length;
  }
}

/* A buffer of any length, which may go on in other regions. */
static gboolean
add_buffer (VhostSplitDevice *ring, VhostSlot *slot, Walk *walk, const Desc *desc)
{
  gboolean writable = (desc->flags & VHOST_RING_DESC_WRITE) != 0;
  guint64 address = desc->addr;
  guint32 left = desc->len;

  if (!writable && walk->n_writable > 0)
    return set_fault (ring, VHOST_RING_FAULT_ORDER, address);
  if (left > 0 && address + (left - 1) < address)
    return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);

  while (left > 0) {
    guint64 contiguous;
    guint8 *host = vhost_memory_find_guest (ring->memory, &ring->hint, address, &contiguous);
    guint32 piece;

    if (host == NULL)
      return set_fault (ring, VHOST_RING_FAULT_ADDRESS, address);
    if (walk->n_readable + walk->n_writable == slot->n_room && !grow_iov (ring, slot))
      return FALSE;

    piece = (guint32) MIN (left, contiguous);
    append_iov (slot, walk, host, piece, writable);
    address += piece;
    left -= piece;
  }
  return TRUE;
}

/* Copies the table that @desc refers to, which may lie in several regions, into private memory. */
static gboolean
copy_indirect_table (VhostSplitDevice *ring, const Desc *desc)
{
  guint8 *to = (guint8 *) ring->indirect_copy;
  guint64 address = desc->addr;
  gsize left = desc->len;

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
  __atomic_signal_fence (__ATOMIC_SEQ_CST); /* from here on only the copy counts */
  return TRUE;
}

static gboolean
enter_indirect_table (VhostSplitDevice *ring, Walk *walk, const Desc *desc)
{
  if (!ring->indirect)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_OFF, desc->addr);
  if (walk->table == ring->indirect_copy)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NESTED, desc->addr);
  if (desc->flags & VHOST_RING_DESC_NEXT)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, desc->next);
  if (desc->len == 0 || desc->len % sizeof (VhostRingDesc) != 0 ||
      desc->len > VHOST_RING_DESC_BYTES (ring->size))
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_SIZE, desc->len);
  if (!copy_indirect_table (ring, desc))
    return FALSE;

  walk->table = ring->indirect_copy;
  walk->n_table = walk->n_left = desc->len / sizeof (VhostRingDesc);
  return TRUE;
}

/* May the walk go on to the descriptor that @desc names? */
static gboolean
check_next (VhostSplitDevice *ring, const Walk *walk, const Desc *desc)
{
  if (desc->next >= walk->n_table)
    return set_fault (ring, VHOST_RING_FAULT_NEXT_RANGE, desc->next);
  if (walk->n_left == 0)
    return set_fault (ring, VHOST_RING_FAULT_LOOP, desc->next);
  return TRUE;
}

/* Goes on from @desc, which has been fetched, with whatever may come. */
static gboolean
walk_slowly (VhostSplitDevice *ring, VhostSlot *slot, Walk *walk, Desc desc)
{
  if (walk->n_left == 0)
    return set_fault (ring, VHOST_RING_FAULT_LOOP, slot->n_room);
  for (;;) {
    guint index = 0;

    walk->n_left--;
    if (desc.flags & VHOST_RING_DESC_INDIRECT) {
      if (!enter_indirect_table (ring, walk, &desc))
        return FALSE;
    } else {
      if (!add_buffer (ring, slot, walk, &desc))
        return FALSE;
      if (!(desc.flags & VHOST_RING_DESC_NEXT))
        return fill_slot (ring, slot, walk);
      if (!check_next (ring, walk, &desc))
        return FALSE;
      index = desc.next;
    }
    desc = fetch_desc (&walk->table[index]);
  }
}

/* Takes over from the fast path, with what that has put into @slot. */
static G_GNUC_NO_INLINE gboolean
walk_on_slowly (VhostSplitDevice *ring, VhostSlot *slot, Desc desc)
{
  guint n = slot->n_readable + slot->n_writable;
  Walk walk = {
    .table = ring->desc,
    .n_table = ring->size,
    .n_left = ring->size - MIN (n, ring->size),
    .n_readable = slot->n_readable,
    .n_writable = slot->n_writable,
    .readable_size = slot->readable_size,
    .writable_size = slot->writable_size,
  };

  return walk_slowly (ring, slot, &walk, desc);
}

/* Gathers simple descriptors: in the ring's own table, of one kind, in the region that was used
 * last, not too many. TRUE at the end of the chain; else @desc is the first one that is not simple.
 */
static inline gboolean
gather (const VhostSplitDevice *ring, struct iovec *iov, guint16 kind, Desc *desc, guint *n,
        guint64 *size)
{
  const VhostSpan *span = ring->hint;

  for (;;) {
    guint64 offset = desc->addr - span->start;

    if ((desc->flags & (VHOST_RING_DESC_INDIRECT | VHOST_RING_DESC_WRITE)) != kind ||
        offset >= span->size || (guint64) desc->len - 1 >= span->size - offset ||
        *n == VHOST_SLOT_INLINE_IOVECS)
      return FALSE;
    if ((desc->flags & VHOST_RING_DESC_NEXT) && G_UNLIKELY (desc->next >= ring->size))
      return FALSE;

    iov[*n].iov_base = span->host + offset;
    iov[*n].iov_len = desc->len;
    (*n)++;
    *size += desc->len;
    if (!(desc->flags & VHOST_RING_DESC_NEXT))
      return TRUE;
    *desc = fetch_desc (&ring->desc[desc->next]);
  }
}

/* This is where the time goes: few live variables, and whatever is unusual elsewhere. */
static inline gboolean
walk_chain (VhostSplitDevice *ring, VhostSlot *slot)
{
  Desc desc = fetch_desc (&ring->desc[slot->head]);
  guint64 size = 0;
  guint n = 0;
  gboolean complete = gather (ring, slot->iov, 0, &desc, &n, &size);

  slot->n_readable = (guint16) n;
  slot->readable_size = (guint32) size;
  if (!complete)
    complete = gather (ring, slot->iov, VHOST_RING_DESC_WRITE, &desc, &n, &size);
  if (G_UNLIKELY (size > G_MAXUINT32))
    return set_fault (ring, VHOST_RING_FAULT_TOO_LONG, size);
  slot->n_writable = (guint16) n - slot->n_readable;
  slot->writable_size = (guint32) size - slot->readable_size;
  slot->written = 0;
  return G_LIKELY (complete) || walk_on_slowly (ring, slot, desc);
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

/* Sees to it that there are @n free slots. Slots are set up when they are first needed: a large
 * ring that is hardly filled costs little. */
static G_GNUC_NO_INLINE void
add_free_slots (VhostSplitDevice *ring, guint n)
{
  for (; ring->n_free < n; ring->n_slots++) {
    VhostSlot *slot = &ring->slots[ring->n_slots];

    slot->iov = slot->inline_iov;
    slot->n_room = VHOST_SLOT_INLINE_IOVECS;
    ring->free_slots[ring->n_free++] = slot;
  }
}

/* How many chains there are to pop; no more than there are slots for. */
static inline guint
count_ready (VhostSplitDevice *ring, guint max)
{
  guint n;

  if (G_UNLIKELY (ring->error.fault != VHOST_RING_FAULT_NONE))
    return 0;
  if ((guint16) (ring->avail_seen - ring->last_avail) < max && !look_at_avail (ring))
    return 0;
  n = MIN (max, (guint16) (ring->avail_seen - ring->last_avail));
  if (G_LIKELY (ring->n_free >= n))
    return n;
  if (ring->n_in_flight == ring->size)
    return set_fault (ring, VHOST_RING_FAULT_HEAD_BUSY, ring->n_in_flight);
  n = MIN (n, ring->size - ring->n_in_flight);
  add_free_slots (ring, n);
  return n;
}

static inline gboolean
check_head (VhostSplitDevice *ring, guint16 head)
{
  if (G_UNLIKELY (head >= ring->size))
    return set_fault (ring, VHOST_RING_FAULT_HEAD_RANGE, head);
  if (G_UNLIKELY (ring->by_head[head] != NULL))
    return set_fault (ring, VHOST_RING_FAULT_HEAD_BUSY, head);
  return TRUE;
}

/* Gives each of the next @n heads a slot; returns how many heads were good. */
static inline guint
take_heads (VhostSplitDevice *ring, VhostSlot **slots, guint n)
{
  VhostSlot **free_slots = ring->free_slots + ring->n_free;
  const guint16 *entries = ring->avail->ring;
  guint first = ring->last_avail;
  guint mask = ring->size - 1;

  for (guint i = 0; i < n; i++) {
    guint16 head = vhost_ring_load16 (&entries[(first + i) & mask]);
    VhostSlot *slot = *--free_slots;

    if (G_UNLIKELY (!check_head (ring, head)))
      return i;
    ring->by_head[head] = slot;
    slot->head = head;
    slot->position = ring->n_popped + i;
    slots[i] = slot;
  }
  return n;
}

guint
vhost_split_device_pop (VhostSplitDevice *ring, VhostSlot **slots, guint max)
{
  guint n_taken = take_heads (ring, slots, count_ready (ring, max));
  guint n = 0;

  while (n < n_taken && walk_chain (ring, slots[n]))
    n++;
  for (guint i = n; i < n_taken; i++)
    ring->by_head[slots[i]->head] = NULL;

  ring->last_avail += n;
  ring->n_popped += n;
  ring->n_in_flight += n;
  ring->n_free -= n;
  return n;
}

static inline void
free_slot (VhostSplitDevice *ring, VhostSlot *slot)
{
  if (G_UNLIKELY (ring->overflow_bytes > OVERFLOW_BUDGET))
    free_overflow (ring, slot);
  ring->by_head[slot->head] = NULL;
  ring->free_slots[ring->n_free++] = slot;
}

gboolean
vhost_split_device_unpop (VhostSplitDevice *ring, VhostSlot *slot)
{
  if (ring->by_head[slot->head] != slot || slot->position != ring->n_popped - 1)
    return FALSE;
  free_slot (ring, slot);
  ring->last_avail--;
  ring->n_popped--;
  ring->n_in_flight--;
  return TRUE;
}

guint
vhost_split_device_rewind (VhostSplitDevice *ring)
{
  g_autofree VhostSlot **latest = g_new0 (VhostSlot *, ring->size); /* by how long ago */

  for (guint i = 0; i < ring->size; i++) {
    VhostSlot *slot = ring->by_head[i];

    if (slot != NULL && !slot->completed && ring->n_popped - 1 - slot->position < ring->size)
      latest[ring->n_popped - 1 - slot->position] = slot;
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
    free_slot (ring, slots[i]);
  }
  ring->used_idx = (guint16) (first + n);
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
