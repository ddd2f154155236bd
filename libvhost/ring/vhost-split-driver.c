/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side of a split ring: hands chains to a device and takes them back.
 *
 * Owns the shadow of the descriptor table; the ring is borrowed and only ever written, except for
 * the used ring, each field of which is loaded once and checked. One thread at a time. (VIRTIO 1.4,
 * sections 2.7.13 and 2.7.14) */

#include "ring/vhost-split-driver-private.h"

void
vhost_split_driver_init (VhostSplitDriver *ring, guint16 size, gboolean event_idx, gpointer desc,
                         gpointer avail, gpointer used)
{
  *ring = (VhostSplitDriver){ .desc = desc, .avail = avail, .used = used };
  vhost_driver_common_init (&ring->common, size, event_idx);
}

void
vhost_split_driver_clear (VhostSplitDriver *ring)
{
  g_free (ring->common.shadow);
  *ring = (VhostSplitDriver){ 0 };
}

/* --- Making available ---------------------------------------------------------------------- */

static inline void
write_desc (VhostRingDesc *desc, guint64 address, guint32 length, guint16 flags, guint16 next)
{
  desc->addr = GUINT64_TO_LE (address);
  desc->len = GUINT32_TO_LE (length);
  desc->flags = GUINT16_TO_LE (flags);
  desc->next = GUINT16_TO_LE (next);
}

static inline guint16
get_piece_flags (guint i, guint n_readable, guint n)
{
  return (i >= n_readable ? VHOST_RING_DESC_WRITE : 0) | (i + 1 < n ? VHOST_RING_DESC_NEXT : 0);
}

/* Takes the first @n free descriptors, in the order of the free list; returns the first. */
static guint16
take_descs (VhostSplitDriver *ring, guint n)
{
  guint16 head = ring->common.free_head;

  for (guint i = 0; i < n; i++)
    ring->common.free_head = ring->common.shadow[ring->common.free_head].next;
  ring->common.n_free -= n;
  ring->common.shadow[head].n_descs = n;
  return head;
}

static guint16
add_direct (VhostSplitDriver *ring, const VhostDriverPiece *pieces, guint n_readable, guint n)
{
  guint16 head = take_descs (ring, n);

  for (guint i = 0, index = head; i < n; i++, index = ring->common.shadow[index].next)
    write_desc (&ring->desc[index], pieces[i].address, pieces[i].length,
                get_piece_flags (i, n_readable, n), ring->common.shadow[index].next);
  return head;
}

static guint16
add_indirect (VhostSplitDriver *ring, const VhostDriverPiece *pieces, guint n_readable, guint n)
{
  guint16 head = take_descs (ring, 1);
  gsize first = (gsize) head * ring->common.indirect_max;

  for (guint i = 0; i < n; i++)
    write_desc (&ring->common.indirect[first + i], pieces[i].address, pieces[i].length,
                get_piece_flags (i, n_readable, n), (guint16) (i + 1));
  write_desc (&ring->desc[head], ring->common.indirect_address + VHOST_RING_DESC_BYTES (first),
              VHOST_RING_DESC_BYTES (n), VHOST_RING_DESC_INDIRECT, 0);
  return head;
}

gboolean
vhost_split_driver_add (VhostSplitDriver *ring, const VhostDriverPiece *pieces, guint n_readable,
                        guint n_writable, gpointer cookie)
{
  guint n = n_readable + n_writable;
  gboolean indirect = vhost_driver_common_is_indirect (&ring->common, n);
  guint16 head;

  if (n == 0 || ring->common.n_free < (indirect ? 1 : n))
    return FALSE;
  head = indirect ? add_indirect (ring, pieces, n_readable, n)
                  : add_direct (ring, pieces, n_readable, n);
  ring->common.shadow[head].writable_size =
      vhost_driver_get_writable_size (pieces + n_readable, n_writable);
  ring->common.shadow[head].cookie = cookie;
  ring->common.shadow[head].sequence = ring->n_added++;
  vhost_ring_store16 (&ring->avail->ring[ring->avail_idx & (ring->common.size - 1)], head);
  ring->avail_idx++;
  ring->common.n_outstanding++;
  return TRUE;
}

gboolean
vhost_split_driver_publish (VhostSplitDriver *ring)
{
  guint16 before = ring->kicked_idx;
  guint16 now = ring->avail_idx;
  gboolean valid = ring->kicked_valid;

  if (now == before)
    return FALSE;
  vhost_ring_store16_release (&ring->avail->idx, now);
  ring->kicked_idx = now;
  ring->kicked_valid = TRUE;
  ring->n_published = ring->n_added;
  vhost_ring_full_barrier ();

  if (!ring->common.event_idx)
    return !(vhost_ring_load16 (&ring->used->flags) & VHOST_RING_USED_NO_NOTIFY);
  return !valid ||
         vhost_ring_has_crossed (
             vhost_ring_load16 (vhost_ring_get_avail_event (ring->used, ring->common.size)), before,
             now);
}

/* --- Taking back --------------------------------------------------------------------------- */

static void
free_chain (VhostSplitDriver *ring, guint16 head)
{
  guint16 last = head;

  for (guint i = 1; i < ring->common.shadow[head].n_descs; i++)
    last = ring->common.shadow[last].next;
  ring->common.shadow[last].next = ring->common.free_head;
  ring->common.free_head = head;
  ring->common.n_free += ring->common.shadow[head].n_descs;
  ring->common.shadow[head].n_descs = 0;
  ring->common.n_outstanding--;
}

gboolean
vhost_split_driver_collect (VhostSplitDriver *ring, gpointer *cookie, guint32 *length)
{
  guint16 idx = vhost_ring_load16_acquire (&ring->used->idx);
  const VhostRingUsedElem *elem = &ring->used->ring[ring->last_used & (ring->common.size - 1)];
  guint32 id;

  if (idx == ring->last_used || ring->common.error.fault != VHOST_RING_FAULT_NONE)
    return FALSE;
  if ((guint16) (idx - ring->last_used) > ring->common.n_outstanding)
    return vhost_driver_common_set_fault (&ring->common, VHOST_RING_FAULT_INDEX_JUMP, idx);
  id = vhost_ring_load32 (&elem->id);
  if (!vhost_driver_common_check_id (&ring->common, id))
    return FALSE;

  *length = MIN (vhost_ring_load32 (&elem->len), ring->common.shadow[id].writable_size);
  *cookie = ring->common.shadow[id].cookie;
  free_chain (ring, (guint16) id);
  ring->last_used++;
  return TRUE;
}

void
vhost_split_driver_disable_notifications (VhostSplitDriver *ring)
{
  if (!ring->common.event_idx) /* with it, used_event just stays behind */
    vhost_ring_store16 (&ring->avail->flags, VHOST_RING_AVAIL_NO_INTERRUPT);
}

gboolean
vhost_split_driver_enable_notifications (VhostSplitDriver *ring)
{
  if (ring->common.event_idx)
    vhost_ring_store16 (vhost_ring_get_used_event (ring->avail, ring->common.size),
                        ring->last_used);
  else
    vhost_ring_store16 (&ring->avail->flags, 0);
  vhost_ring_full_barrier ();
  return vhost_ring_load16 (&ring->used->idx) != ring->last_used;
}

/* --- Another device ------------------------------------------------------------------------ */

/* Marks the heads that are in the used ring and were not collected. */
static gboolean
mark_used (VhostSplitDriver *ring, guint16 idx, gboolean *used)
{
  if ((guint16) (idx - ring->last_used) > ring->common.n_outstanding)
    return vhost_driver_common_set_fault (&ring->common, VHOST_RING_FAULT_INDEX_JUMP, idx);
  for (guint16 i = ring->last_used; i != idx; i++) {
    guint32 id = vhost_ring_load32 (&ring->used->ring[i & (ring->common.size - 1)].id);

    if (!vhost_driver_common_check_id (&ring->common, id))
      return FALSE;
    if (used[id])
      return vhost_driver_common_set_fault (&ring->common, VHOST_RING_FAULT_NOT_OUTSTANDING, id);
    used[id] = TRUE;
  }
  return TRUE;
}

static int
compare_age (gconstpointer a, gconstpointer b, gpointer data)
{
  const VhostDriverShadow *shadow = data;
  guint64 first = shadow[*(const guint16 *) a].sequence;
  guint64 second = shadow[*(const guint16 *) b].sequence;

  return first < second ? -1 : first > second;
}

gboolean
vhost_split_driver_offer_again (VhostSplitDriver *ring)
{
  guint16 idx = vhost_ring_load16_acquire (&ring->used->idx);
  g_autofree gboolean *used = g_new0 (gboolean, ring->common.size);
  g_autofree guint16 *heads = g_new (guint16, ring->common.size);
  guint n = 0;

  if (ring->common.error.fault != VHOST_RING_FAULT_NONE || !mark_used (ring, idx, used))
    return FALSE;
  for (guint i = 0; i < ring->common.size; i++) {
    const VhostDriverShadow *chain = &ring->common.shadow[i];

    if (chain->n_descs > 0 && !used[i] && chain->sequence < ring->n_published)
      heads[n++] = (guint16) i;
  }
  if (n != (guint16) (ring->kicked_idx - idx))
    return vhost_driver_common_set_fault (&ring->common, VHOST_RING_FAULT_INDEX_JUMP, idx);
  g_qsort_with_data (heads, (int) n, sizeof *heads, compare_age, ring->common.shadow);
  for (guint i = 0; i < n; i++)
    vhost_ring_store16 (&ring->avail->ring[(idx + i) & (ring->common.size - 1)], heads[i]);
  vhost_ring_full_barrier ();
  return TRUE;
}
