/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a packed ring: fetches chains, checks and translates them, returns them.
 *
 * The ring and the memory are borrowed. One thread at a time. (VIRTIO 1.4, section 2.8) */

#include "ring/vhost-packed-device-private.h"
#include "ring/vhost-packed-private.h"

#define BASE_HALF(position, wrap) ((guint32) (position) | ((wrap) ? VHOST_PACKED_WRAP : 0))

typedef VhostFetchedDesc Desc;

#define get_id vhost_fetched_get_third
#define get_flags vhost_fetched_get_last

/* The flags are in the second word, and say whether the rest is there: they are loaded first. */
static VHOST_ALWAYS_INLINE Desc
fetch_desc (const VhostPackedDesc *shared)
{
  typedef guint64 __attribute__ ((may_alias)) AliasedWord;
  const AliasedWord *words = (const AliasedWord *) shared;
  guint64 rest = GUINT64_FROM_LE (__atomic_load_n (&words[1], __ATOMIC_ACQUIRE));

  return (Desc){ GUINT64_FROM_LE (__atomic_load_n (&words[0], __ATOMIC_RELAXED)), rest };
}

/* Of a descriptor in the ring or in an indirect table. */
static VHOST_ALWAYS_INLINE guint32
is_writable (Desc desc)
{
  return get_flags (desc) / VHOST_RING_DESC_WRITE & 1;
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

/* Where the next entry is fetched. In a batch it is kept in registers. */
typedef struct {
  guint16 position;
  gboolean wrap;
  guint n_fetched; /* entries of the chains in flight */
} Cursor;

/* Of the flags inside an indirect table only WRITE means something. */
static gboolean
add_entries (VhostPackedDevice *ring, VhostSlot *slot, VhostRingWalk *gathered,
             const VhostRingDesc *table, guint n)
{
  for (guint i = 0; i < n; i++) {
    Desc entry = vhost_ring_fetch_desc (&table[i]);

    if (!vhost_ring_common_add_buffer (&ring->common, slot, gathered, entry.addr,
                                       vhost_fetched_get_length (entry), is_writable (entry)))
      return FALSE;
  }
  return TRUE;
}

static VHOST_ALWAYS_INLINE const VhostRingDesc *
get_table (VhostPackedDevice *ring, Desc desc, guint *n)
{
  gboolean last = (get_flags (desc) & VHOST_RING_DESC_NEXT) == 0;

  return vhost_ring_common_get_table (&ring->common, desc.addr, vhost_fetched_get_length (desc),
                                      last, n);
}

static gboolean
walk_indirect (VhostPackedDevice *ring, VhostSlot *slot, Walk *walk, Desc desc)
{
  const VhostRingDesc *table;
  guint n;

  if (walk->n > 1)
    return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, walk->n);
  table = get_table (ring, desc, &n);
  return table != NULL && add_entries (ring, slot, &walk->gathered, table, n);
}

static gboolean
walk_entry (VhostPackedDevice *ring, VhostSlot *slot, Walk *walk, Desc desc)
{
  walk->n++;
  walk->id = get_id (desc);
  if (get_flags (desc) & VHOST_RING_DESC_INDIRECT)
    return walk_indirect (ring, slot, walk, desc);
  return vhost_ring_common_add_buffer (&ring->common, slot, &walk->gathered, desc.addr,
                                       vhost_fetched_get_length (desc), is_writable (desc));
}

static void
keep_copy (VhostPackedDevice *ring, guint16 position, Desc desc)
{
  ring->copies[position] = (VhostPackedDesc){
    GUINT64_TO_LE (desc.addr),
    GUINT32_TO_LE (vhost_fetched_get_length (desc)),
    GUINT16_TO_LE (get_id (desc)),
    GUINT16_TO_LE (get_flags (desc)),
  };
}

static VHOST_ALWAYS_INLINE gboolean
fill_slot (VhostPackedDevice *ring, VhostSlot *slot, const VhostRingWalk *gathered, guint16 id,
           guint n)
{
  slot->head = id;
  slot->n_descs = (guint16) n;
  return vhost_ring_common_fill_slot (&ring->common, slot, gathered);
}

/* Goes on from @desc with whatever may come. A chain can be no longer than what the entries in
 * flight leave of the ring. The walk so far has put one piece for each entry. */
static G_GNUC_NO_INLINE gboolean
walk_slowly (VhostPackedDevice *ring, VhostSlot *slot, VhostRingWalk gathered, Cursor cursor,
             Desc desc)
{
  guint room = ring->common.size - cursor.n_fetched;
  Walk walk = { .gathered = gathered, .n = gathered.n };

  slot->first = cursor.position;
  vhost_packed_advance (&cursor.position, &cursor.wrap, walk.n, ring->common.size);
  for (;;) {
    if (walk.n == room)
      return set_fault (ring, VHOST_RING_FAULT_LOOP, walk.n);
    if (ring->copies != NULL)
      keep_copy (ring, cursor.position, desc);
    if (!walk_entry (ring, slot, &walk, desc))
      return FALSE;
    if (!(get_flags (desc) & VHOST_RING_DESC_NEXT))
      return fill_slot (ring, slot, &walk.gathered, walk.id, walk.n);
    vhost_packed_advance (&cursor.position, &cursor.wrap, 1, ring->common.size);
    desc = fetch_desc (&ring->desc[cursor.position]);
  }
}

/* Goes on with @n entries of a table. */
static G_GNUC_NO_INLINE gboolean
walk_table_slowly (VhostPackedDevice *ring, VhostSlot *slot, VhostRingWalk walk, Desc entry,
                   const VhostRingDesc *table, guint n)
{
  return vhost_ring_common_add_buffer (&ring->common, slot, &walk, entry.addr,
                                       vhost_fetched_get_length (entry), is_writable (entry)) &&
         add_entries (ring, slot, &walk, table, n) &&
         vhost_ring_common_fill_slot (&ring->common, slot, &walk);
}

static VHOST_ALWAYS_INLINE gboolean
put_plain (VhostPackedDevice *ring, VhostSlot *slot, guint i, Desc desc)
{
  return vhost_ring_common_put_plain (&ring->common, &slot->iov[i], desc.addr,
                                      vhost_fetched_get_length (desc));
}

static VHOST_ALWAYS_INLINE gboolean
fill_slot_with_two (VhostSlot *slot, Desc first, Desc second)
{
  return vhost_ring_fill_slot_with_two (slot, vhost_fetched_get_length (first), is_writable (first),
                                        vhost_fetched_get_length (second), is_writable (second));
}

/* The entries of a table, which follow one another. */
static VHOST_ALWAYS_INLINE gboolean
walk_entries (VhostPackedDevice *ring, VhostSlot *slot, const VhostRingDesc *table, guint n)
{
  VhostRingWalk walk = { 0 };

  for (guint i = 0; i < n; i++) {
    Desc entry = vhost_ring_fetch_desc (&table[i]);

    if (!vhost_ring_common_add_plain (&ring->common, slot->iov, &walk, entry.addr,
                                      vhost_fetched_get_length (entry), is_writable (entry)))
      return walk_table_slowly (ring, slot, walk, entry, table + i + 1, n - i - 1);
  }
  return vhost_ring_common_fill_slot (&ring->common, slot, &walk);
}

/* A chain that is one indirect descriptor. */
static G_GNUC_NO_INLINE gboolean
walk_table (VhostPackedDevice *ring, VhostSlot *slot, guint64 addr, guint64 rest)
{
  const Desc desc = { addr, rest };
  guint n;
  const VhostRingDesc *table = get_table (ring, desc, &n);

  slot->head = get_id (desc);
  slot->n_descs = 1;
  return table != NULL && walk_entries (ring, slot, table, n);
}

/* A chain of several entries, or in several regions: goes on from @desc, with what is in @slot. */
static G_GNUC_NO_INLINE gboolean
walk_on (VhostPackedDevice *ring, VhostSlot *slot, Cursor cursor, guint64 addr, guint64 rest)
{
  Desc desc = { addr, rest };
  VhostRingWalk walk = vhost_ring_resume_walk (slot);
  guint room = ring->common.size - cursor.n_fetched;

  for (;;) {
    guint position;

    if (walk.n == room || (get_flags (desc) & VHOST_RING_DESC_INDIRECT) || ring->copies != NULL ||
        !vhost_ring_common_add_plain (&ring->common, slot->iov, &walk, desc.addr,
                                      vhost_fetched_get_length (desc), is_writable (desc)))
      return walk_slowly (ring, slot, walk, cursor, desc);
    if (!(get_flags (desc) & VHOST_RING_DESC_NEXT))
      return fill_slot (ring, slot, &walk, get_id (desc), walk.n);
    position = cursor.position + walk.n;
    position -= position < ring->common.size ? 0 : ring->common.size;
    desc = fetch_desc (&ring->desc[position]);
  }
}

/* This is where the time goes: chains of one and of two buffers are done here, whatever is more or
 * unusual elsewhere. */
static VHOST_ALWAYS_INLINE gboolean
walk_chain (VhostPackedDevice *ring, VhostSlot *slot, Cursor cursor, Desc first)
{
  guint position = cursor.position + 1u;
  Desc second;

  if ((get_flags (first) & VHOST_RING_DESC_INDIRECT) && ring->copies == NULL)
    return walk_table (ring, slot, first.addr, first.rest);
  if (G_UNLIKELY (ring->copies != NULL) || !put_plain (ring, slot, 0, first)) {
    vhost_ring_clear_slot (slot);
    return walk_on (ring, slot, cursor, first.addr, first.rest);
  }
  vhost_ring_fill_slot_with_one (slot, vhost_fetched_get_length (first), is_writable (first));
  slot->head = get_id (first);
  slot->n_descs = 1;
  if (!(get_flags (first) & VHOST_RING_DESC_NEXT))
    return TRUE;
  second = fetch_desc (&ring->desc[position < ring->common.size ? position : 0]);
  if ((get_flags (second) & (VHOST_RING_DESC_INDIRECT | VHOST_RING_DESC_NEXT)) != 0 ||
      cursor.n_fetched + 1 >= ring->common.size || !put_plain (ring, slot, 1, second) ||
      !fill_slot_with_two (slot, first, second))
    return walk_on (ring, slot, cursor, second.addr, second.rest);
  slot->head = get_id (second);
  slot->n_descs = 2;
  return TRUE;
}

/* --- Pop ----------------------------------------------------------------------------------- */

/* Takes note of what was popped: all up to @now. */
static inline void
commit (VhostPackedDevice *ring, Cursor now, guint n)
{
  guint n_descs = now.n_fetched - ring->n_fetched;
  guint n_seen = MIN (ring->n_seen, n_descs);

  ring->avail_position = now.position;
  ring->avail_wrap = now.wrap;
  ring->n_fetched = now.n_fetched;
  ring->n_seen -= n_seen;
  ring->n_seen_total += n_descs - n_seen;
  ring->common.n_popped += n;
  ring->common.n_in_flight += n;
}

/* Pops up to @n chains, for which there are slots. */
static inline guint
pop_ready (VhostPackedDevice *ring, VhostSlot **slots, guint n)
{
  VhostRingCommon *common = &ring->common;
  Cursor cursor = { ring->avail_position, ring->avail_wrap, ring->n_fetched };
  guint i;

  for (i = 0; i < n && cursor.n_fetched < common->size; i++) {
    Desc desc = fetch_desc (&ring->desc[cursor.position]);
    VhostSlot *slot = slots[i];

    if (!is_available (get_flags (desc), cursor.wrap) || !walk_chain (ring, slot, cursor, desc) ||
        G_UNLIKELY (!vhost_ring_common_check_head (common, slot->head)))
      break;
    common->by_head[slot->head] = slot;
    slot->position = common->n_popped + i;
    cursor.n_fetched += slot->n_descs;
    vhost_packed_advance (&cursor.position, &cursor.wrap, slot->n_descs, common->size);
  }
  commit (ring, cursor, i);
  return i;
}

guint
vhost_packed_device_pop (VhostPackedDevice *ring, VhostSlot **slots, guint max)
{
  VhostRingCommon *common = &ring->common;
  guint n;

  if (vhost_ring_common_is_broken (common))
    return 0;
  max = MIN (max, common->size - ring->n_fetched);
  if (G_UNLIKELY (common->n_free < max))
    vhost_ring_common_add_free_slots (common, max);
  vhost_ring_common_take_slots (common, slots, max);
  n = pop_ready (ring, slots, max);
  vhost_ring_common_return_slots (common, slots + n, max - n);
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

    if ((get_flags (desc) & VHOST_RING_DESC_INDIRECT) && n > 1)
      return set_fault (ring, VHOST_RING_FAULT_INDIRECT_NEXT, n);
    if (!walk_entry (ring, taken, &walk, desc))
      return FALSE;
  }
  if (!fill_slot (ring, taken, &walk.gathered, walk.id, walk.n) ||
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
  vhost_ring_common_keep_budget (common, &slot, 1);
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

/* Length, id and flags of an entry as one word: nobody sees a part of it. */
static inline guint64
make_used (const VhostSlot *slot, guint32 length, gboolean wrap)
{
  guint64 flags = wrap ? VHOST_PACKED_DESC_AVAIL | VHOST_PACKED_DESC_USED : 0;

  length = MIN (length, slot->writable_size);
  if (length > 0)
    flags |= VHOST_RING_DESC_WRITE;
  return GUINT64_TO_LE (length | (guint64) slot->head << 32 | flags << 48);
}

static inline guint64 *
get_used_word (VhostPackedDesc *desc)
{
  return (guint64 *) &desc->len;
}

/* The first entry is written last: the driver sees all of the batch, or nothing. */
guint
vhost_packed_device_push (VhostPackedDevice *ring, VhostSlot **slots, const guint32 *lengths,
                          guint n)
{
  VhostRingCommon *common = &ring->common;
  VhostSlot **free_slots = common->free_slots + common->n_free;
  VhostSlot **by_head = common->by_head;
  guint64 *first = get_used_word (&ring->desc[ring->used_position]);
  guint16 position = ring->used_position;
  gboolean wrap = ring->used_wrap;
  guint64 first_word = 0;
  guint n_pushed = 0, n_descs = 0;

  vhost_ring_common_keep_budget (common, slots, n);
  for (guint i = 0; i < n; i++) {
    VhostSlot *slot = slots[i];
    guint64 word = make_used (slot, lengths[i], wrap);

    if (G_UNLIKELY (by_head[slot->head] != slot))
      continue;
    by_head[slot->head] = NULL;
    *free_slots++ = slot;
    if (n_pushed == 0)
      first_word = word;
    else
      __atomic_store_n (get_used_word (&ring->desc[position]), word, __ATOMIC_RELAXED);
    vhost_packed_advance (&position, &wrap, slot->n_descs, common->size);
    n_descs += slot->n_descs;
    n_pushed++;
  }
  ring->used_position = position;
  ring->used_wrap = wrap;
  ring->n_fetched -= n_descs;
  ring->n_unsignalled += n_descs;
  common->n_in_flight -= n_pushed;
  common->n_free += n_pushed;
  if (G_LIKELY (n_pushed > 0))
    __atomic_store_n (first, first_word, __ATOMIC_RELEASE);
  return n_pushed;
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
