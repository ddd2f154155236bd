/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a split ring: fetches chains, checks and translates them, returns them.
 *
 * The ring and the memory are borrowed.
 * One thread at a time. (VIRTIO 1.4, section 2.7) */

#include "ring/vhost-split-device-private.h"

typedef VhostFetchedDesc Desc;

#define get_flags vhost_fetched_get_third
#define get_next vhost_fetched_get_last

static VHOST_ALWAYS_INLINE guint32
is_writable (Desc desc)
{
  return get_flags (desc) / VHOST_RING_DESC_WRITE & 1;
}

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
enter_indirect_table (VhostSplitDevice *ring, Walk *walk, Desc desc)
{
  gboolean last = (get_flags (desc) & VHOST_RING_DESC_NEXT) == 0;

  if (walk->table != ring->desc)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NESTED, desc.addr);
  walk->table = vhost_ring_common_get_table (&ring->common, desc.addr,
                                             vhost_fetched_get_length (desc), last, &walk->n_table);
  walk->n_left = walk->n_table;
  return walk->table != NULL;
}

/* May the walk go on to the descriptor that @desc names? */
static gboolean
check_next (VhostSplitDevice *ring, const Walk *walk, Desc desc)
{
  if (get_next (desc) >= walk->n_table)
    return set_fault (ring, VHOST_RING_FAULT_NEXT_RANGE, get_next (desc));
  if (walk->n_left == 0)
    return set_fault (ring, VHOST_RING_FAULT_LOOP, get_next (desc));
  return TRUE;
}

/* Goes on from @desc with whatever may come. The walk so far has put one piece for each descriptor.
 */
static G_GNUC_NO_INLINE gboolean
walk_slowly (VhostSplitDevice *ring, VhostSlot *slot, VhostRingWalk gathered,
             const VhostRingDesc *table, guint n_table, Desc desc)
{
  Walk walk = { gathered, table, n_table, n_table - MIN (gathered.n, n_table) };

  if (walk.n_left == 0)
    return set_fault (ring, VHOST_RING_FAULT_LOOP, gathered.n);
  for (;;) {
    guint index = 0;

    walk.n_left--;
    if (get_flags (desc) & VHOST_RING_DESC_INDIRECT) {
      if (!enter_indirect_table (ring, &walk, desc))
        return FALSE;
    } else {
      if (!vhost_ring_common_add_buffer (&ring->common, slot, &walk.gathered, desc.addr,
                                         vhost_fetched_get_length (desc), is_writable (desc)))
        return FALSE;
      if (!(get_flags (desc) & VHOST_RING_DESC_NEXT))
        return vhost_ring_common_fill_slot (&ring->common, slot, &walk.gathered);
      if (!check_next (ring, &walk, desc))
        return FALSE;
      index = get_next (desc);
    }
    desc = vhost_ring_fetch_desc (&walk.table[index]);
  }
}

/* A chain of several descriptors, or in several regions: goes on from @desc, with what is in @slot.
 */
static G_GNUC_NO_INLINE gboolean
walk_on (VhostSplitDevice *ring, VhostSlot *slot, const VhostRingDesc *table, guint n_table,
         guint64 addr, guint64 rest)
{
  Desc desc = { addr, rest };
  VhostRingWalk walk = vhost_ring_resume_walk (slot);

  for (;;) {
    if ((get_flags (desc) & VHOST_RING_DESC_INDIRECT) ||
        !vhost_ring_common_add_plain (&ring->common, slot->iov, &walk, desc.addr,
                                      vhost_fetched_get_length (desc), is_writable (desc)))
      return walk_slowly (ring, slot, walk, table, n_table, desc);
    if (!(get_flags (desc) & VHOST_RING_DESC_NEXT))
      return vhost_ring_common_fill_slot (&ring->common, slot, &walk);
    if (G_UNLIKELY (get_next (desc) >= n_table))
      return set_fault (ring, VHOST_RING_FAULT_NEXT_RANGE, get_next (desc));
    desc = vhost_ring_fetch_desc (&table[get_next (desc)]);
  }
}

static G_GNUC_NO_INLINE gboolean
walk_from_start (VhostSplitDevice *ring, VhostSlot *slot, const VhostRingDesc *table, guint n_table,
                 guint64 addr, guint64 rest)
{
  vhost_ring_clear_slot (slot);
  return walk_on (ring, slot, table, n_table, addr, rest);
}

/* A chain that begins with @first in @table. This is where the time goes: chains of one and of two
 * buffers are done here, whatever is more or unusual elsewhere. */
static VHOST_ALWAYS_INLINE gboolean
walk_chain (VhostSplitDevice *ring, VhostSlot *slot, const VhostRingDesc *table, guint n_table,
            Desc first)
{
  struct iovec *iov = slot->iov;
  guint32 length = vhost_fetched_get_length (first);
  Desc second;

  if (!vhost_ring_common_put_plain (&ring->common, &iov[0], first.addr, length) ||
      (get_flags (first) & VHOST_RING_DESC_INDIRECT))
    return walk_from_start (ring, slot, table, n_table, first.addr, first.rest);
  vhost_ring_fill_slot_with_one (slot, length, is_writable (first));
  if (!(get_flags (first) & VHOST_RING_DESC_NEXT))
    return TRUE;
  if (G_UNLIKELY (get_next (first) >= n_table))
    return set_fault (ring, VHOST_RING_FAULT_NEXT_RANGE, get_next (first));
  second = vhost_ring_fetch_desc (&table[get_next (first)]);
  return ((get_flags (second) & (VHOST_RING_DESC_INDIRECT | VHOST_RING_DESC_NEXT)) == 0 &&
          vhost_ring_common_put_plain (&ring->common, &iov[1], second.addr,
                                       vhost_fetched_get_length (second)) &&
          vhost_ring_fill_slot_with_two (slot, length, is_writable (first),
                                         vhost_fetched_get_length (second),
                                         is_writable (second))) ||
         walk_on (ring, slot, table, n_table, second.addr, second.rest);
}

static G_GNUC_NO_INLINE gboolean
walk_table (VhostSplitDevice *ring, VhostSlot *slot, guint64 addr, guint64 rest)
{
  const Desc desc = { addr, rest };
  gboolean last = (get_flags (desc) & VHOST_RING_DESC_NEXT) == 0;
  guint n;
  const VhostRingDesc *table = vhost_ring_common_get_table (
      &ring->common, desc.addr, vhost_fetched_get_length (desc), last, &n);

  return table != NULL && walk_chain (ring, slot, table, n, vhost_ring_fetch_desc (&table[0]));
}

static VHOST_ALWAYS_INLINE gboolean
walk_head (VhostSplitDevice *ring, VhostSlot *slot, guint head)
{
  Desc desc = vhost_ring_fetch_desc (&ring->desc[head]);

  if (get_flags (desc) & VHOST_RING_DESC_INDIRECT)
    return walk_table (ring, slot, desc.addr, desc.rest);
  return walk_chain (ring, slot, ring->desc, ring->common.size, desc);
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

/* Pops the next @n chains, up to one that is not as it should be; returns how many. */
static inline guint
pop_ready (VhostSplitDevice *ring, VhostSlot **slots, guint n)
{
  VhostRingCommon *common = &ring->common;
  const guint16 *entries = ring->avail->ring;
  guint32 position = common->n_popped;
  guint first = ring->last_avail;
  guint mask = common->size - 1;
  guint i;

  vhost_ring_common_take_slots (common, slots, n);
  for (i = 0; i < n; i++) {
    guint16 head = vhost_ring_load16 (&entries[(first + i) & mask]);
    VhostSlot *slot = slots[i];

    if (G_UNLIKELY (!vhost_ring_common_check_head (common, head)) || !walk_head (ring, slot, head))
      break;
    common->by_head[head] = slot;
    slot->head = head;
    slot->position = position + i;
  }
  vhost_ring_common_return_slots (common, slots + i, n - i);
  return i;
}

guint
vhost_split_device_pop (VhostSplitDevice *ring, VhostSlot **slots, guint max)
{
  guint n = pop_ready (ring, slots, count_ready (ring, max));

  ring->last_avail += n;
  ring->common.n_popped += n;
  ring->common.n_in_flight += n;
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
  if (!walk_head (ring, taken, head))
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
  vhost_ring_common_keep_budget (&ring->common, &slot, 1);
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

guint
vhost_split_device_push (VhostSplitDevice *ring, VhostSlot **slots, const guint32 *lengths, guint n)
{
  VhostRingCommon *common = &ring->common;
  VhostSlot **free_slots = common->free_slots + common->n_free;
  VhostSlot **by_head = common->by_head;
  VhostRingUsedElem *elems = ring->used->ring;
  guint mask = common->size - 1;
  guint next = ring->used_idx;

  vhost_ring_common_keep_budget (common, slots, n);
  for (guint i = 0; i < n; i++) {
    VhostSlot *slot = slots[i];
    VhostRingUsedElem *elem = &elems[next & mask];
    guint head = slot->head;

    if (G_UNLIKELY (by_head[head] != slot))
      continue;
    by_head[head] = NULL;
    *free_slots++ = slot;
    elem->id = GUINT32_TO_LE (head);
    elem->len = GUINT32_TO_LE (MIN (lengths[i], slot->writable_size));
    next++;
  }
  n = (guint16) (next - ring->used_idx);
  common->n_free += n;
  ring->used_idx = (guint16) next;
  common->n_in_flight -= n;
  if (G_UNLIKELY ((guint16) (ring->used_idx - ring->signalled_used) < n))
    ring->signalled_valid = FALSE; /* once around since the last decision */
  vhost_ring_store16_release (&ring->used->idx, ring->used_idx);
  return n;
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
