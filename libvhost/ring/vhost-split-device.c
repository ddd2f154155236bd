/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a split ring: fetches chains, checks and translates them, returns them.
 *
 * The ring and the memory are borrowed.
 * One thread at a time. (VIRTIO 1.4, section 2.7) */

#include "ring/vhost-split-device-private.h"

typedef VhostFetchedDesc Desc;

static inline gboolean
set_fault (VhostSplitDevice *ring, VhostRingFault fault, guint64 value)
{
  return vhost_ring_common_set_fault (&ring->common, fault, value);
}

/* --- Life ---------------------------------------------------------------------------------- */

void
vhost_split_device_init (VhostSplitDevice *ring, guint16 size, gboolean event_idx,
                         gboolean indirect)
{
  *ring = (VhostSplitDevice){ 0 };
  vhost_ring_common_init (&ring->common, size, event_idx, indirect);
}

void
vhost_split_device_clear (VhostSplitDevice *ring)
{
  vhost_ring_common_clear (&ring->common);
  *ring = (VhostSplitDevice){ 0 };
}

void
vhost_split_device_set_memory (VhostSplitDevice *ring, const VhostMemory *memory, gpointer desc,
                               gpointer avail, gpointer used)
{
  vhost_ring_common_set_memory (&ring->common, memory);
  ring->desc = desc;
  ring->avail = avail;
  ring->used = used;
}

/* What was used has been fetched, and what was fetched was available: a base lies between the two
 * indices. Any other belongs to a front-end that lost count, as DPDK's net_virtio_user does when
 * its back-end comes back: then the ring itself says what was used. */
static guint16
correct_base (const VhostSplitDevice *ring, guint16 base)
{
  guint16 avail = vhost_ring_load16 (&ring->avail->idx);
  guint16 used = vhost_ring_load16 (&ring->used->idx);
  guint16 n_unused = avail - used;

  if (n_unused > ring->common.size || (guint16) (base - used) <= n_unused)
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
  ring->common.notifications_on = TRUE;
  vhost_ring_store16 (&ring->used->flags, 0);
}

/* --- Walking along a chain ----------------------------------------------------------------- */

/* What a walk has gathered so far, and the table it goes through. */
typedef struct {
  VhostRingWalk gathered;
  const VhostRingDesc *table;
  guint n_table;
  guint n_left; /* descriptors that may still follow */
} Walk;

static gboolean
enter_indirect_table (VhostSplitDevice *ring, Walk *walk, const Desc *desc)
{
  if (walk->table != ring->desc)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NESTED, desc->addr);
  walk->n_table = walk->n_left = vhost_ring_common_copy_indirect (&ring->common, desc);
  walk->table = ring->common.indirect_copy;
  return walk->n_table > 0;
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
      if (!vhost_ring_common_add_buffer (&ring->common, slot, &walk->gathered, &desc))
        return FALSE;
      if (!(desc.flags & VHOST_RING_DESC_NEXT))
        return vhost_ring_common_fill_slot (&ring->common, slot, &walk->gathered);
      if (!check_next (ring, walk, &desc))
        return FALSE;
      index = desc.next;
    }
    desc = vhost_ring_fetch_desc (&walk->table[index]);
  }
}

/* Takes over from the fast path, with what that has put into @slot. */
static G_GNUC_NO_INLINE gboolean
walk_on_slowly (VhostSplitDevice *ring, VhostSlot *slot, Desc desc)
{
  guint n = slot->n_readable + slot->n_writable;
  Walk walk = {
    .gathered = { slot->n_readable, slot->n_writable, slot->readable_size, slot->writable_size },
    .table = ring->desc,
    .n_table = ring->common.size,
    .n_left = ring->common.size - MIN (n, ring->common.size),
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
  const VhostSpan *span = ring->common.hint;

  for (;;) {
    guint64 offset = desc->addr - span->start;

    if ((desc->flags & (VHOST_RING_DESC_INDIRECT | VHOST_RING_DESC_WRITE)) != kind ||
        offset >= span->size || (guint64) desc->len - 1 >= span->size - offset ||
        *n == VHOST_SLOT_INLINE_IOVECS)
      return FALSE;
    if ((desc->flags & VHOST_RING_DESC_NEXT) && G_UNLIKELY (desc->next >= ring->common.size))
      return FALSE;

    iov[*n].iov_base = span->host + offset;
    iov[*n].iov_len = desc->len;
    (*n)++;
    *size += desc->len;
    if (!(desc->flags & VHOST_RING_DESC_NEXT))
      return TRUE;
    *desc = vhost_ring_fetch_desc (&ring->desc[desc->next]);
  }
}

/* This is where the time goes: few live variables, and whatever is unusual elsewhere. */
static inline gboolean
walk_chain (VhostSplitDevice *ring, VhostSlot *slot)
{
  Desc desc = vhost_ring_fetch_desc (&ring->desc[slot->head]);
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

  if (G_UNLIKELY ((guint16) (idx - ring->last_avail) > ring->common.size))
    return set_fault (ring, VHOST_RING_FAULT_INDEX_JUMP, idx);
  ring->avail_seen = idx;
  return TRUE;
}

/* How many chains there are to pop; no more than there are slots for. */
static inline guint
count_ready (VhostSplitDevice *ring, guint max)
{
  guint n;

  if (vhost_ring_common_is_broken (&ring->common))
    return 0;
  if ((guint16) (ring->avail_seen - ring->last_avail) < max && !look_at_avail (ring))
    return 0;
  n = MIN (max, (guint16) (ring->avail_seen - ring->last_avail));
  return vhost_ring_common_reserve_slots (&ring->common, n);
}

/* Gives each of the next @n heads a slot; returns how many heads were good. */
static inline guint
take_heads (VhostSplitDevice *ring, VhostSlot **slots, guint n)
{
  VhostSlot **free_slots = ring->common.free_slots + ring->common.n_free;
  const guint16 *entries = ring->avail->ring;
  guint first = ring->last_avail;
  guint mask = ring->common.size - 1;

  for (guint i = 0; i < n; i++) {
    guint16 head = vhost_ring_load16 (&entries[(first + i) & mask]);
    VhostSlot *slot = *--free_slots;

    if (G_UNLIKELY (!vhost_ring_common_check_head (&ring->common, head)))
      return i;
    ring->common.by_head[head] = slot;
    slot->head = head;
    slot->position = ring->common.n_popped + i;
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
    ring->common.by_head[slots[i]->head] = NULL;

  ring->last_avail += n;
  ring->common.n_popped += n;
  ring->common.n_in_flight += n;
  ring->common.n_free -= n;
  return n;
}

gboolean
vhost_split_device_refetch (VhostSplitDevice *ring, guint16 head, VhostSlot **slot)
{
  VhostRingCommon *common = &ring->common;
  VhostSlot *taken;

  if (vhost_ring_common_is_broken (common) || !vhost_ring_common_check_head (common, head) ||
      vhost_ring_common_reserve_slots (common, 1) == 0)
    return FALSE;
  taken = common->free_slots[common->n_free - 1];
  taken->head = head;
  if (!walk_chain (ring, taken))
    return FALSE;
  vhost_ring_common_commit_refetched (common, taken);
  *slot = taken;
  return TRUE;
}

gboolean
vhost_split_device_unpop (VhostSplitDevice *ring, VhostSlot *slot)
{
  if (ring->common.by_head[slot->head] != slot || slot->position != ring->common.n_popped - 1)
    return FALSE;
  vhost_ring_common_free_slot (&ring->common, slot);
  if (!slot->refetched)
    ring->last_avail--;
  ring->common.n_popped--;
  ring->common.n_in_flight--;
  return TRUE;
}

guint
vhost_split_device_rewind (VhostSplitDevice *ring)
{
  g_autofree VhostSlot **latest = vhost_ring_common_list_latest (&ring->common);

  for (guint i = 0; latest[i] != NULL && !latest[i]->refetched; i++)
    vhost_split_device_unpop (ring, latest[i]);
  return ring->common.n_in_flight;
}

/* --- Push ---------------------------------------------------------------------------------- */

void
vhost_split_device_push (VhostSplitDevice *ring, VhostSlot **slots, const guint32 *lengths, guint n)
{
  guint16 first = ring->used_idx;
  guint16 mask = ring->common.size - 1;

  for (guint i = 0; i < n; i++) {
    VhostRingUsedElem *elem = &ring->used->ring[(first + i) & mask];

    elem->id = GUINT32_TO_LE (slots[i]->head);
    elem->len = GUINT32_TO_LE (MIN (lengths[i], slots[i]->writable_size));
    vhost_ring_common_free_slot (&ring->common, slots[i]);
  }
  ring->used_idx = (guint16) (first + n);
  ring->common.n_in_flight -= n;
  if (G_UNLIKELY ((guint16) (ring->used_idx - ring->signalled_used) < n))
    ring->signalled_valid = FALSE; /* once around since the last decision */
  vhost_ring_store16_release (&ring->used->idx, ring->used_idx);
}

/* --- Notifications ------------------------------------------------------------------------- */

gboolean
vhost_split_device_is_empty (VhostSplitDevice *ring)
{
  return vhost_ring_common_is_broken (&ring->common) || !look_at_avail (ring) ||
         ring->avail_seen == ring->last_avail;
}

void
vhost_split_device_disable_notifications (VhostSplitDevice *ring)
{
  ring->common.notifications_on = FALSE;
  if (!ring->common.event_idx) /* with it, avail_event just stays behind */
    vhost_ring_store16 (&ring->used->flags, VHOST_RING_USED_NO_NOTIFY);
}

gboolean
vhost_split_device_enable_notifications (VhostSplitDevice *ring)
{
  guint16 seen = ring->avail_seen;

  ring->common.notifications_on = TRUE;
  if (ring->common.event_idx)
    vhost_ring_store16 (vhost_ring_get_avail_event (ring->used, ring->common.size), seen);
  else
    vhost_ring_store16 (&ring->used->flags, 0);
  vhost_ring_full_barrier ();

  if (vhost_ring_common_is_broken (&ring->common) || !look_at_avail (ring) ||
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

  if (!ring->common.event_idx)
    return !(vhost_ring_load16 (&ring->avail->flags) & VHOST_RING_AVAIL_NO_INTERRUPT);
  return !valid ||
         vhost_ring_has_crossed (
             vhost_ring_load16 (vhost_ring_get_used_event (ring->avail, ring->common.size)), before,
             now);
}
