/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a packed ring: fetches chains, checks and translates them, returns them.
 *
 * The ring and the memory are borrowed. One thread at a time. (VIRTIO 1.4, section 2.8) */

#include "ring/vhost-packed-device-private.h"
#include "ring/vhost-packed-private.h"

#define BASE_HALF(position, wrap) ((guint32) (position) | ((wrap) ? VHOST_PACKED_WRAP : 0))

/* A descriptor, fetched. */
typedef struct {
  guint64 addr;
  guint32 len;
  guint16 id;
  guint16 flags;
} Desc;

/* The flags are in the second word, and say whether the rest is there: they are loaded first. */
static inline Desc
fetch_desc (const VhostPackedDesc *shared)
{
  typedef guint64 __attribute__ ((may_alias)) AliasedWord;
  const AliasedWord *words = (const AliasedWord *) shared;
  guint64 high = GUINT64_FROM_LE (__atomic_load_n (&words[1], __ATOMIC_ACQUIRE));

  return (Desc){
    .addr = GUINT64_FROM_LE (__atomic_load_n (&words[0], __ATOMIC_RELAXED)),
    .len = (guint32) high,
    .id = (guint16) (high >> 32),
    .flags = (guint16) (high >> 48),
  };
}

static inline gboolean
is_available (guint16 flags, gboolean wrap)
{
  const guint16 bits = VHOST_PACKED_DESC_AVAIL | VHOST_PACKED_DESC_USED;

  return (flags & bits) == (wrap ? VHOST_PACKED_DESC_AVAIL : VHOST_PACKED_DESC_USED);
}

static inline gboolean
set_fault (VhostPackedDevice *ring, VhostRingFault fault, guint64 value)
{
  return vhost_ring_common_set_fault (&ring->common, fault, value);
}

/* --- Life ---------------------------------------------------------------------------------- */

void
vhost_packed_device_init (VhostPackedDevice *ring, guint16 size, gboolean event_idx,
                          gboolean indirect)
{
  *ring = (VhostPackedDevice){ 0 };
  vhost_ring_common_init (&ring->common, size, event_idx, indirect);
}

void
vhost_packed_device_clear (VhostPackedDevice *ring)
{
  vhost_ring_common_clear (&ring->common);
  g_free (ring->copies);
  *ring = (VhostPackedDevice){ 0 };
}

void
vhost_packed_device_keep_copies (VhostPackedDevice *ring)
{
  ring->copies = g_new0 (VhostPackedDesc, ring->common.size);
}

void
vhost_packed_device_set_memory (VhostPackedDevice *ring, const VhostMemory *memory, gpointer desc,
                                gpointer driver, gpointer device)
{
  vhost_ring_common_set_memory (&ring->common, memory);
  ring->desc = desc;
  ring->driver = driver;
  ring->device = device;
}

static guint32
complete_base (guint32 base)
{
  return base > G_MAXUINT16 ? base : base | base << 16;
}

/* How many entries lie between the two positions of @base, or more than @size when none can. */
static guint
count_between (guint32 base, guint size)
{
  guint avail = base & VHOST_PACKED_POSITION_MASK;
  guint used = base >> 16 & VHOST_PACKED_POSITION_MASK;
  gboolean same_lap = ((base ^ base >> 16) & VHOST_PACKED_WRAP) == 0;

  if (same_lap)
    return avail >= used ? avail - used : G_MAXUINT;
  return avail <= used ? avail + size - used : G_MAXUINT;
}

gboolean
vhost_packed_device_check_base (guint32 base, guint16 size)
{
  base = complete_base (base);
  return (base & VHOST_PACKED_POSITION_MASK) < size &&
         (base >> 16 & VHOST_PACKED_POSITION_MASK) < size && count_between (base, size) <= size;
}

void
vhost_packed_device_start (VhostPackedDevice *ring, guint32 base)
{
  vhost_packed_device_start_between (ring, complete_base (base));
}

void
vhost_packed_device_start_between (VhostPackedDevice *ring, guint32 base)
{
  ring->avail_position = base & VHOST_PACKED_POSITION_MASK;
  ring->avail_wrap = (base & VHOST_PACKED_WRAP) != 0;
  ring->used_position = base >> 16 & VHOST_PACKED_POSITION_MASK;
  ring->used_wrap = (base >> 16 & VHOST_PACKED_WRAP) != 0;
  ring->n_fetched = count_between (base, ring->common.size);
  ring->n_seen = 0;
  ring->n_seen_total = 0;
  ring->n_unsignalled = 0;
  ring->signalled_valid = FALSE;
  ring->common.notifications_on = TRUE;
  vhost_ring_store16 (&ring->device->flags, VHOST_PACKED_EVENT_ENABLE);
}

guint32
vhost_packed_device_get_base (const VhostPackedDevice *ring)
{
  return BASE_HALF (ring->avail_position, ring->avail_wrap) |
         BASE_HALF (ring->used_position, ring->used_wrap) << 16;
}

/* --- Walking along a chain ----------------------------------------------------------------- */

/* What a chain of entries is made of besides its buffers. */
typedef struct {
  VhostRingWalk gathered;
  guint16 id;
  guint n; /* entries of the ring */
} Walk;

static gboolean
walk_indirect (VhostPackedDevice *ring, VhostSlot *slot, Walk *walk, const Desc *desc)
{
  const VhostFetchedDesc table = { desc->addr, desc->len, desc->flags, 0 };
  guint n;

  if (walk->n > 1)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, walk->n);
  n = vhost_ring_common_copy_indirect (&ring->common, &table);
  for (guint i = 0; i < n; i++) {
    VhostFetchedDesc entry = vhost_ring_fetch_desc (&ring->common.indirect_copy[i]);

    /* Of the flags only WRITE means something here; they lie where a split descriptor has `next`.
     */
    entry.flags = entry.next & VHOST_RING_DESC_WRITE;
    if (!vhost_ring_common_add_buffer (&ring->common, slot, &walk->gathered, &entry))
      return FALSE;
  }
  return n > 0;
}

static gboolean
walk_entry (VhostPackedDevice *ring, VhostSlot *slot, Walk *walk, const Desc *desc)
{
  const VhostFetchedDesc buffer = { desc->addr, desc->len, desc->flags, 0 };

  walk->n++;
  walk->id = desc->id;
  if (desc->flags & VHOST_RING_DESC_INDIRECT)
    return walk_indirect (ring, slot, walk, desc);
  return vhost_ring_common_add_buffer (&ring->common, slot, &walk->gathered, &buffer);
}

static void
keep_copy (VhostPackedDevice *ring, guint16 position, const Desc *desc)
{
  ring->copies[position] =
      (VhostPackedDesc){ GUINT64_TO_LE (desc->addr), GUINT32_TO_LE (desc->len),
                         GUINT16_TO_LE (desc->id), GUINT16_TO_LE (desc->flags) };
}

/* A chain of several entries, or an unusual one; @desc is its first. It can be no longer than what
 * the entries in flight leave of the ring. */
static G_GNUC_NO_INLINE gboolean
walk_slowly (VhostPackedDevice *ring, VhostSlot *slot, Desc desc)
{
  guint room = ring->common.size - ring->n_fetched;
  guint16 position = ring->avail_position;
  gboolean wrap = ring->avail_wrap;
  Walk walk = { .n = 0 };

  for (;;) {
    if (walk.n == room)
      return set_fault (ring, VHOST_RING_FAULT_LOOP, walk.n);
    if (ring->copies != NULL)
      keep_copy (ring, position, &desc);
    if (!walk_entry (ring, slot, &walk, &desc))
      return FALSE;
    if (!(desc.flags & VHOST_RING_DESC_NEXT))
      break;
    vhost_packed_advance (&position, &wrap, 1, ring->common.size);
    desc = fetch_desc (&ring->desc[position]);
  }
  slot->head = walk.id;
  slot->first = ring->avail_position;
  slot->n_descs = (guint16) walk.n;
  slot->written = 0;
  return vhost_ring_common_fill_slot (&ring->common, slot, &walk.gathered);
}

/* One buffer of one kind in the region that was used last: the rest is done elsewhere. */
static inline gboolean
walk_chain (VhostPackedDevice *ring, VhostSlot *slot, const Desc *desc)
{
  const VhostSpan *span = ring->common.hint;
  guint64 offset = desc->addr - span->start;
  gboolean writable = (desc->flags & VHOST_RING_DESC_WRITE) != 0;

  if ((desc->flags & (VHOST_RING_DESC_INDIRECT | VHOST_RING_DESC_NEXT)) != 0 ||
      ring->copies != NULL || offset >= span->size ||
      (guint64) desc->len - 1 >= span->size - offset)
    return walk_slowly (ring, slot, *desc);

  slot->iov[0].iov_base = span->host + offset;
  slot->iov[0].iov_len = desc->len;
  slot->n_readable = !writable;
  slot->n_writable = writable;
  slot->readable_size = writable ? 0 : desc->len;
  slot->writable_size = writable ? desc->len : 0;
  slot->written = 0;
  slot->head = desc->id;
  slot->n_descs = 1;
  return TRUE;
}

/* --- Pop ----------------------------------------------------------------------------------- */

static inline void
commit_chain (VhostPackedDevice *ring, VhostSlot *slot)
{
  VhostRingCommon *common = &ring->common;
  guint n_seen = MIN (ring->n_seen, slot->n_descs);

  ring->n_fetched += slot->n_descs;
  ring->n_seen -= n_seen;
  ring->n_seen_total += slot->n_descs - n_seen;
  vhost_packed_advance (&ring->avail_position, &ring->avail_wrap, slot->n_descs, common->size);
  common->by_head[slot->head] = slot;
  slot->position = common->n_popped++;
  common->n_in_flight++;
  common->n_free--;
}

guint
vhost_packed_device_pop (VhostPackedDevice *ring, VhostSlot **slots, guint max)
{
  VhostRingCommon *common = &ring->common;
  guint n = 0;

  if (vhost_ring_common_is_broken (common))
    return 0;
  while (n < max && ring->n_fetched < common->size) {
    Desc desc = fetch_desc (&ring->desc[ring->avail_position]);
    VhostSlot *slot;

    if (!is_available (desc.flags, ring->avail_wrap) ||
        vhost_ring_common_reserve_slots (common, 1) == 0)
      break;
    slot = common->free_slots[common->n_free - 1];
    if (!walk_chain (ring, slot, &desc) || !vhost_ring_common_check_head (common, slot->head))
      break;
    commit_chain (ring, slot);
    slots[n++] = slot;
  }
  return n;
}

gboolean
vhost_packed_device_refetch (VhostPackedDevice *ring, const VhostPackedDesc *copies, guint n,
                             VhostSlot **slot)
{
  VhostRingCommon *common = &ring->common;
  Walk walk = { .n = 0 };
  VhostSlot *taken;

  if (vhost_ring_common_is_broken (common) || vhost_ring_common_reserve_slots (common, 1) == 0)
    return FALSE;
  taken = common->free_slots[common->n_free - 1];
  for (guint i = 0; i < n; i++) {
    Desc desc = fetch_desc (&copies[i]);

    if ((desc.flags & VHOST_RING_DESC_INDIRECT) && n > 1)
      return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, n);
    if (!walk_entry (ring, taken, &walk, &desc))
      return FALSE;
  }
  taken->head = walk.id;
  taken->n_descs = (guint16) n;
  taken->written = 0;
  if (!vhost_ring_common_fill_slot (common, taken, &walk.gathered) ||
      !vhost_ring_common_check_head (common, taken->head))
    return FALSE;
  vhost_ring_common_commit_refetched (common, taken);
  *slot = taken;
  return TRUE;
}

static void
step_back (VhostPackedDevice *ring, guint n)
{
  guint position = ring->avail_position;

  if (position < n) {
    position += ring->common.size;
    ring->avail_wrap = !ring->avail_wrap;
  }
  ring->avail_position = (guint16) (position - n);
}

gboolean
vhost_packed_device_unpop (VhostPackedDevice *ring, VhostSlot *slot)
{
  VhostRingCommon *common = &ring->common;

  if (common->by_head[slot->head] != slot || slot->position != common->n_popped - 1)
    return FALSE;
  if (!slot->refetched) {
    step_back (ring, slot->n_descs);
    ring->n_fetched -= slot->n_descs;
    ring->n_seen += slot->n_descs;
  }
  vhost_ring_common_free_slot (common, slot);
  common->n_popped--;
  common->n_in_flight--;
  return TRUE;
}

guint
vhost_packed_device_rewind (VhostPackedDevice *ring)
{
  g_autofree VhostSlot **latest = vhost_ring_common_list_latest (&ring->common);

  for (guint i = 0; latest[i] != NULL && !latest[i]->refetched; i++)
    vhost_packed_device_unpop (ring, latest[i]);
  return ring->common.n_in_flight;
}

/* --- Push ---------------------------------------------------------------------------------- */

static inline guint16
get_used_flags (gboolean wrap, guint32 length)
{
  return (wrap ? VHOST_PACKED_DESC_AVAIL | VHOST_PACKED_DESC_USED : 0) |
         (length > 0 ? VHOST_RING_DESC_WRITE : 0);
}

/* The flags of the first entry are written last: the driver sees all of the batch, or nothing. */
void
vhost_packed_device_push (VhostPackedDevice *ring, VhostSlot **slots, const guint32 *lengths,
                          guint n)
{
  VhostPackedDesc *first = &ring->desc[ring->used_position];
  guint16 first_flags = n > 0 ? get_used_flags (ring->used_wrap, lengths[0]) : 0;

  for (guint i = 0; i < n; i++) {
    VhostPackedDesc *desc = &ring->desc[ring->used_position];
    guint n_descs = slots[i]->n_descs;

    desc->id = GUINT16_TO_LE (slots[i]->head);
    desc->len = GUINT32_TO_LE (lengths[i]);
    if (i > 0)
      vhost_ring_store16 (&desc->flags, get_used_flags (ring->used_wrap, lengths[i]));
    vhost_packed_advance (&ring->used_position, &ring->used_wrap, n_descs, ring->common.size);
    ring->n_fetched -= n_descs;
    ring->n_unsignalled += n_descs;
    vhost_ring_common_free_slot (&ring->common, slots[i]);
  }
  ring->common.n_in_flight -= n;
  if (G_LIKELY (n > 0))
    vhost_ring_store16_release (&first->flags, first_flags);
}

/* --- Notifications ------------------------------------------------------------------------- */

/* Is the entry behind those that were seen available? */
static gboolean
see_next (VhostPackedDevice *ring)
{
  guint16 position = ring->avail_position;
  gboolean wrap = ring->avail_wrap;

  if (ring->n_fetched + ring->n_seen >= ring->common.size)
    return FALSE;
  vhost_packed_advance (&position, &wrap, ring->n_seen, ring->common.size);
  if (!is_available (vhost_ring_load16_acquire (&ring->desc[position].flags), wrap))
    return FALSE;
  ring->n_seen++;
  ring->n_seen_total++;
  return TRUE;
}

gboolean
vhost_packed_device_is_empty (VhostPackedDevice *ring)
{
  if (vhost_ring_common_is_broken (&ring->common))
    return TRUE;
  return ring->n_seen == 0 && !see_next (ring);
}

void
vhost_packed_device_disable_notifications (VhostPackedDevice *ring)
{
  ring->common.notifications_on = FALSE;
  vhost_ring_store16 (&ring->device->flags, VHOST_PACKED_EVENT_DISABLE);
}

/* Asks for the entry behind all that are there already, so that one that is left in the ring for
 * later brings no kick. */
static void
ask_for_event (VhostPackedDevice *ring)
{
  guint16 position = ring->avail_position;
  gboolean wrap = ring->avail_wrap;

  vhost_packed_advance (&position, &wrap, ring->n_seen, ring->common.size);
  vhost_ring_store16 (&ring->device->position, (guint16) BASE_HALF (position, wrap));
  vhost_ring_store16_release (&ring->device->flags, VHOST_PACKED_EVENT_SPECIFIC);
}

gboolean
vhost_packed_device_enable_notifications (VhostPackedDevice *ring)
{
  while (see_next (ring))
    continue;
  ring->common.notifications_on = TRUE;
  if (ring->common.event_idx)
    ask_for_event (ring);
  else
    vhost_ring_store16 (&ring->device->flags, VHOST_PACKED_EVENT_ENABLE);
  vhost_ring_full_barrier ();

  if (vhost_ring_common_is_broken (&ring->common) || !see_next (ring))
    return FALSE;
  vhost_packed_device_disable_notifications (ring);
  return TRUE;
}

gboolean
vhost_packed_device_needs_notify (VhostPackedDevice *ring)
{
  guint n = ring->n_unsignalled;
  gboolean valid = ring->signalled_valid;
  guint32 event;

  if (n == 0)
    return FALSE;
  ring->n_unsignalled = 0;
  ring->signalled_valid = TRUE;
  vhost_ring_full_barrier ();

  event = vhost_ring_load32 ((const guint32 *) ring->driver);
  switch (event >> 16 & 3) {
  case VHOST_PACKED_EVENT_DISABLE:
    return FALSE;
  case VHOST_PACKED_EVENT_SPECIFIC:
    return !ring->common.event_idx || !valid || n >= ring->common.size ||
           vhost_packed_has_passed ((guint16) event, ring->used_position, ring->used_wrap, n,
                                    ring->common.size);
  default:
    return TRUE;
  }
}
