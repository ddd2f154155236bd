/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side of a packed ring: hands chains to a device and takes them back.
 *
 * Owns the shadow of the buffer ids; the ring is borrowed. Each field that the device can write is
 * loaded once and checked. One thread at a time. (VIRTIO 1.4, sections 2.8.21 and 2.8.22) */

#include "ring/vhost-packed-driver-private.h"
#include "ring/vhost-packed-private.h"

void
vhost_packed_driver_init (VhostPackedDriver *ring, guint16 size, gboolean event_idx, gpointer desc,
                          gpointer driver, gpointer device)
{
  *ring = (VhostPackedDriver){
    .desc = desc,
    .driver = driver,
    .device = device,
    .avail_wrap = TRUE,
    .used_wrap = TRUE,
  };
  vhost_driver_common_init (&ring->common, size, event_idx);
}

void
vhost_packed_driver_clear (VhostPackedDriver *ring)
{
  g_free (ring->common.shadow);
  *ring = (VhostPackedDriver){ 0 };
}

/* --- Making available ---------------------------------------------------------------------- */

static inline guint16
get_avail_flags (gboolean wrap)
{
  return wrap ? VHOST_PACKED_DESC_AVAIL : VHOST_PACKED_DESC_USED;
}

/* Length, id and flags are one word, which both sides load and store whole. */
static inline guint64 *
get_word (const VhostPackedDesc *desc)
{
  return (guint64 *) &desc->len;
}

static inline guint64
make_word (guint32 length, guint16 id, guint16 flags)
{
  return GUINT64_TO_LE (length | (guint64) id << 32 | (guint64) flags << 48);
}

/* The flags of the first entry since the last publish() are kept back, and all behind it with them.
 * The device may look at an entry while it is written: nothing is stored in parts. */
static void
write_entry (VhostPackedDriver *ring, guint64 address, guint32 length, guint16 id, guint16 flags)
{
  VhostPackedDesc *desc = &ring->desc[ring->avail_position];
  guint64 word = make_word (length, id, flags | get_avail_flags (ring->avail_wrap));

  __atomic_store_n (&desc->addr, GUINT64_TO_LE (address), __ATOMIC_RELAXED);
  if (ring->unpublished == NULL) {
    ring->unpublished = desc;
    ring->unpublished_word = word;
  } else {
    __atomic_store_n (get_word (desc), word, __ATOMIC_RELAXED);
  }
  vhost_packed_advance (&ring->avail_position, &ring->avail_wrap, 1, ring->common.size);
}

static inline guint16
get_kind (guint i, guint n_readable)
{
  return i >= n_readable ? VHOST_RING_DESC_WRITE : 0;
}

static void
add_direct (VhostPackedDriver *ring, guint16 id, const VhostDriverPiece *pieces, guint n_readable,
            guint n)
{
  for (guint i = 0; i < n; i++)
    write_entry (ring, pieces[i].address, pieces[i].length, id,
                 get_kind (i, n_readable) | (i + 1 < n ? VHOST_RING_DESC_NEXT : 0));
}

static void
add_indirect (VhostPackedDriver *ring, guint16 id, const VhostDriverPiece *pieces, guint n_readable,
              guint n)
{
  gsize first = (gsize) id * ring->common.indirect_max;
  VhostPackedDesc *table = (VhostPackedDesc *) ring->common.indirect + first;

  for (guint i = 0; i < n; i++)
    table[i] = (VhostPackedDesc){
      .addr = GUINT64_TO_LE (pieces[i].address),
      .len = GUINT32_TO_LE (pieces[i].length),
      .flags = GUINT16_TO_LE (get_kind (i, n_readable)),
    };
  write_entry (ring, ring->common.indirect_address + VHOST_RING_DESC_BYTES (first),
               VHOST_RING_DESC_BYTES (n), id, VHOST_RING_DESC_INDIRECT);
}

gboolean
vhost_packed_driver_add (VhostPackedDriver *ring, const VhostDriverPiece *pieces, guint n_readable,
                         guint n_writable, gpointer cookie)
{
  VhostDriverCommon *common = &ring->common;
  guint n = n_readable + n_writable;
  gboolean indirect = vhost_driver_common_is_indirect (common, n);
  guint n_entries = indirect ? 1 : n;
  guint16 id = common->free_head;
  VhostDriverShadow *shadow;

  if (n == 0 || common->n_free < n_entries)
    return FALSE;
  shadow = &common->shadow[id];
  common->free_head = shadow->next;
  common->n_free -= n_entries;
  common->n_outstanding++;
  shadow->n_descs = (guint16) n_entries;
  shadow->writable_size = vhost_driver_get_writable_size (pieces + n_readable, n_writable);
  shadow->cookie = cookie;
  if (indirect)
    add_indirect (ring, id, pieces, n_readable, n);
  else
    add_direct (ring, id, pieces, n_readable, n);
  ring->n_unkicked += n_entries;
  return TRUE;
}

gboolean
vhost_packed_driver_publish (VhostPackedDriver *ring)
{
  guint n = ring->n_unkicked;
  gboolean valid = ring->kicked_valid;
  guint32 event;

  if (ring->unpublished == NULL)
    return FALSE;
  __atomic_store_n (get_word (ring->unpublished), ring->unpublished_word, __ATOMIC_RELEASE);
  ring->unpublished = NULL;
  ring->n_unkicked = 0;
  ring->kicked_valid = TRUE;
  vhost_ring_full_barrier ();

  event = vhost_ring_load32 ((const guint32 *) ring->device);
  switch (event >> 16 & 3) {
  case VHOST_PACKED_EVENT_DISABLE:
    return FALSE;
  case VHOST_PACKED_EVENT_SPECIFIC:
    return !ring->common.event_idx || !valid || n >= ring->common.size ||
           vhost_packed_has_passed ((guint16) event, ring->avail_position, ring->avail_wrap, n,
                                    ring->common.size);
  default:
    return TRUE;
  }
}

/* --- Taking back --------------------------------------------------------------------------- */

static inline gboolean
is_used (guint16 flags, gboolean wrap)
{
  const guint16 bits = VHOST_PACKED_DESC_AVAIL | VHOST_PACKED_DESC_USED;

  return (flags & bits) == (wrap ? bits : 0);
}

static gboolean
is_next_used (const VhostPackedDriver *ring, guint64 *word)
{
  const guint64 *shared = get_word (&ring->desc[ring->used_position]);

  *word = GUINT64_FROM_LE (__atomic_load_n (shared, __ATOMIC_ACQUIRE));
  return ring->common.n_outstanding > 0 && is_used ((guint16) (*word >> 48), ring->used_wrap);
}

static void
free_id (VhostPackedDriver *ring, guint16 id)
{
  VhostDriverCommon *common = &ring->common;
  VhostDriverShadow *shadow = &common->shadow[id];

  vhost_packed_advance (&ring->used_position, &ring->used_wrap, shadow->n_descs, common->size);
  common->n_free += shadow->n_descs;
  common->n_outstanding--;
  shadow->n_descs = 0;
  shadow->next = common->free_head;
  common->free_head = id;
}

gboolean
vhost_packed_driver_collect (VhostPackedDriver *ring, gpointer *cookie, guint32 *length)
{
  guint64 word;
  guint16 id;

  if (ring->common.error.fault != VHOST_RING_FAULT_NONE || !is_next_used (ring, &word))
    return FALSE;
  id = (guint16) (word >> 32);
  if (!vhost_driver_common_check_id (&ring->common, id))
    return FALSE;

  *length = 0;
  if (word >> 48 & VHOST_RING_DESC_WRITE)
    *length = MIN ((guint32) word, ring->common.shadow[id].writable_size);
  *cookie = ring->common.shadow[id].cookie;
  free_id (ring, id);
  return TRUE;
}

void
vhost_packed_driver_disable_notifications (VhostPackedDriver *ring)
{
  vhost_ring_store16 (&ring->driver->flags, VHOST_PACKED_EVENT_DISABLE);
}

gboolean
vhost_packed_driver_enable_notifications (VhostPackedDriver *ring)
{
  guint64 word;

  if (ring->common.event_idx) {
    vhost_ring_store16 (&ring->driver->position,
                        ring->used_position | (ring->used_wrap ? VHOST_PACKED_WRAP : 0));
    vhost_ring_store16_release (&ring->driver->flags, VHOST_PACKED_EVENT_SPECIFIC);
  } else {
    vhost_ring_store16 (&ring->driver->flags, VHOST_PACKED_EVENT_ENABLE);
  }
  vhost_ring_full_barrier ();
  return is_next_used (ring, &word);
}
