/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes frames out of the chains of a driver, in whatever pieces they come, and puts them into the
 * buffers of one. Nobody keeps a buffer between two turns: a queue is drained whenever it rests.
 *
 * Owns nothing. On the queue's thread. (VIRTIO 1.4, section 5.1.6) */

#include "virtio/vhost-virtio-net-frame-private.h"

#include <string.h>

/* Of a header: what the device is asked to do. */
#define FLAGS_AT 0
#define FLAG_NEEDS_CSUM 1
#define GSO_TYPE_AT 1
#define N_BUFFERS_AT 10

/* --- Out of a chain ------------------------------------------------------------------------ */

/* Cuts @size bytes off the front of the pieces, which have them. */
static void
cut (VhostNetFrame *frame, guint8 *to, guint size)
{
  while (size > 0) {
    struct iovec *piece = frame->iov;
    guint n = (guint) MIN (size, piece->iov_len);

    memcpy (to, piece->iov_base, n);
    to += n;
    size -= n;
    piece->iov_base = (guint8 *) piece->iov_base + n;
    piece->iov_len -= n;
    if (piece->iov_len == 0) {
      frame->iov++;
      frame->n_iov--;
    }
  }
}

/* Nothing of that was offered to a driver whose header nobody else checks. */
static gboolean
asks_for_nothing (const guint8 *header)
{
  return (header[FLAGS_AT] & FLAG_NEEDS_CSUM) == 0 && header[GSO_TYPE_AT] == 0;
}

static gboolean
take_head (VhostNetFrame *frame, VhostSlot *slot, guint header_size, guint n_more)
{
  guint8 *header = frame->head + VHOST_NET_HEADER - header_size;
  gboolean fine;

  if (G_UNLIKELY (!vhost_net_slot_has_frame (slot, header_size)))
    return FALSE;
  frame->iov = slot->iov;
  frame->n_iov = slot->n_readable;
  frame->size = slot->readable_size - header_size;
  cut (frame, header, header_size + n_more);
  fine = asks_for_nothing (header);
  memset (frame->head, 0, VHOST_NET_HEADER);
  frame->n_head = VHOST_NET_HEADER + n_more;
  return fine;
}

gboolean
vhost_net_frame_strip (VhostNetFrame *frame, VhostSlot *slot, guint header_size)
{
  return take_head (frame, slot, header_size, 0);
}

gboolean
vhost_net_frame_parse (VhostNetFrame *frame, VhostSlot *slot, guint header_size)
{
  return take_head (frame, slot, header_size, VHOST_NET_ADDRESSES);
}

/* --- Stock --------------------------------------------------------------------------------- */

static gboolean
take_more (VhostNetStock *stock, guint at_once)
{
  guint n = MIN (at_once, G_N_ELEMENTS (stock->slots) - stock->n_slots);

  n = vhost_queue_pop_batch (stock->queue, stock->slots + stock->n_slots, n);
  stock->n_slots += n;
  return n > 0;
}

gboolean
vhost_net_stock_fill (VhostNetStock *stock, guint at_once)
{
  if (stock->n_slots == G_N_ELEMENTS (stock->slots))
    vhost_net_stock_publish (stock);
  return stock->n_full < stock->n_slots || take_more (stock, at_once);
}

void
vhost_net_stock_publish (VhostNetStock *stock)
{
  guint n = stock->n_full;

  if (n == 0)
    return;
  stock->n_full = 0;
  stock->n_slots -= n;
  vhost_queue_push_batch (stock->queue, stock->slots, stock->lengths, n);
  memmove (stock->slots, stock->slots + n, stock->n_slots * sizeof *stock->slots);
}

void
vhost_net_stock_settle (VhostNetStock *stock)
{
  guint n;

  vhost_net_stock_publish (stock);
  n = stock->n_slots;
  stock->n_slots = 0;
  vhost_queue_unpop_slots (stock->queue, stock->slots, n);
  vhost_queue_notify (stock->queue);
}

/* --- Into buffers -------------------------------------------------------------------------- */

/* Where the next byte goes. */
typedef struct {
  VhostSlot *const *slot;
  guint piece;
  gsize offset;
} Place;

static void
write_bytes (Place *place, const guint8 *from, gsize size)
{
  while (size > 0) {
    const VhostSlot *slot = *place->slot;
    const struct iovec *piece = &slot->iov[slot->n_readable + place->piece];
    gsize n = MIN (size, piece->iov_len - place->offset);

    memcpy ((guint8 *) piece->iov_base + place->offset, from, n);
    from += n;
    size -= n;
    place->offset += n;
    if (place->offset < piece->iov_len)
      return;
    place->offset = 0;
    if (++place->piece == slot->n_writable) {
      place->piece = 0;
      place->slot++;
    }
  }
}

/* How many slots from the first that is not full take @size bytes; 0: there are not enough. */
static guint
gather (VhostNetStock *stock, guint32 size, guint at_once)
{
  guint64 room = 0;
  guint n = 0;

  while (room < size) {
    if (stock->n_full + n == stock->n_slots && n < VHOST_NET_MAX_SPREAD &&
        stock->n_slots == G_N_ELEMENTS (stock->slots))
      vhost_net_stock_publish (stock);
    if (n == VHOST_NET_MAX_SPREAD ||
        (stock->n_full + n == stock->n_slots && !take_more (stock, at_once)))
      return 0;
    room += stock->slots[stock->n_full + n]->writable_size;
    n++;
    if (!stock->mergeable)
      return room < size ? 0 : 1;
  }
  return n;
}

/* All that the driver can add is here and is too small. */
static gboolean
is_exhausted (const VhostNetStock *stock)
{
  guint n = stock->n_slots - stock->n_full;

  return n > 0 && (!stock->mergeable || n >= VHOST_NET_MAX_SPREAD ||
                   n >= vhost_queue_get_size (stock->queue));
}

/* A short header has something else where the others have the number of buffers. */
static void
write_frame (const VhostNetFrame *frame, guint header_size, VhostSlot *const *slots, guint n_slots)
{
  Place place = { .slot = slots };
  guint unused = VHOST_NET_HEADER - header_size;
  guint32 left = frame->size + VHOST_NET_HEADER - frame->n_head;
  guint8 head[sizeof frame->head];

  memcpy (head, frame->head, sizeof head);
  if (unused == 0) {
    head[N_BUFFERS_AT] = (guint8) n_slots;
    head[N_BUFFERS_AT + 1] = (guint8) (n_slots >> 8);
  }
  write_bytes (&place, head + unused, frame->n_head - unused);
  for (const struct iovec *piece = frame->iov; left > 0; piece++) {
    guint32 n = (guint32) MIN (left, piece->iov_len);

    write_bytes (&place, piece->iov_base, n);
    left -= n;
  }
}

VhostNetPut
vhost_net_stock_put (VhostNetStock *stock, const VhostNetFrame *frame, guint at_once)
{
  guint32 left = frame->size + stock->header_size;
  guint n = gather (stock, left, at_once);
  VhostSlot *const *slots = stock->slots + stock->n_full;

  if (n == 0)
    return is_exhausted (stock) ? VHOST_NET_PUT_NEVER : VHOST_NET_PUT_NO_ROOM;
  if (G_UNLIKELY (slots[0]->writable_size < stock->header_size))
    return VHOST_NET_PUT_NEVER;
  write_frame (frame, stock->header_size, slots, n);
  for (guint i = 0; i < n; i++) {
    guint32 size = MIN (left, slots[i]->writable_size);

    stock->lengths[stock->n_full++] = size;
    left -= size;
  }
  return VHOST_NET_PUT_DONE;
}
