/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves a pair of queues. Frames of the driver go to the port as they lie in guest memory; what
 * comes from a descriptor is read into private memory and put into buffers. While there are none
 * the descriptor is not looked at: its queue fills, not ours.
 *
 * Owns the descriptor. Each queue on its own thread. (VIRTIO 1.4, sections 5.1.6.1 to 5.1.6.4) */

#include "virtio/vhost-virtio-net-lane-private.h"

#include <limits.h>
#include <string.h>
#include "core/vhost-fd-private.h"

#define FRAMES_PER_TURN 256
#define PUBLISH_AFTER 8
#define SCRATCH_SIZE (VHOST_NET_HEADER + VHOST_NET_MAX_FRAME + 1) /* one more: too long */

VhostNetLane *
vhost_net_lane_new (VhostQueue *receive, VhostQueue *transmit)
{
  VhostNetLane *lane = g_atomic_rc_box_new0 (VhostNetLane);

  lane->receive = g_object_ref (receive);
  lane->transmit = g_object_ref (transmit);
  lane->stock.queue = receive;
  lane->fd = -1;
  vhost_net_lane_set_layout (lane, VHOST_NET_SHORT_HEADER, FALSE);
  return lane;
}

VhostNetLane *
vhost_net_lane_ref (VhostNetLane *lane)
{
  return g_atomic_rc_box_acquire (lane);
}

static void
lane_clear (gpointer data)
{
  VhostNetLane *lane = data;

  vhost_fd_clear (&lane->fd);
  g_free (lane->scratch);
  g_object_unref (lane->receive);
  g_object_unref (lane->transmit);
}

void
vhost_net_lane_unref (VhostNetLane *lane)
{
  g_atomic_rc_box_release_full (lane, lane_clear);
}

/* --- To the port --------------------------------------------------------------------------- */

/* One that is full loses the frame, as a wire does. */
static gboolean
send_pieces (VhostNetLane *lane, const struct iovec *iov, guint n)
{
  gssize sent;

  if (n > IOV_MAX)
    return FALSE;
  do
    sent = writev (lane->fd, iov, (int) n);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

/* The kernel reads the header from guest memory, once, and checks it. */
static gboolean
send_slot (VhostNetLane *lane, VhostSlot *slot)
{
  VhostNetFrame frame;

  if (lane->port_has_header)
    return vhost_net_slot_has_frame (slot, lane->header_size) &&
           send_pieces (lane, slot->iov, slot->n_readable);
  return vhost_net_frame_strip (&frame, slot, lane->header_size) &&
         send_pieces (lane, frame.iov, frame.n_iov);
}

static void
send_to_fd (VhostNetLane *lane, VhostSlot **slots, guint n)
{
  guint n_sent = 0;

  for (guint i = 0; i < n; i++)
    n_sent += send_slot (lane, slots[i]) ? 1 : 0;
  vhost_queue_count (&lane->n_sent, n_sent);
  vhost_queue_count (&lane->n_send_drops, n - n_sent);
}

static void
on_transmit (VhostQueue *queue, gpointer data)
{
  static const guint32 lengths[VHOST_NET_BATCH];
  VhostNetLane *lane = data;
  VhostSlot *slots[VHOST_NET_BATCH];
  guint n_ends = lane->n_ends;
  guint n;

  while ((n = vhost_queue_pop_batch (queue, slots, VHOST_NET_BATCH)) > 0) {
    if (lane->send != NULL)
      lane->send (lane, slots, n);
    if (lane->n_ends != n_ends)
      return; /* the slots are gone */
    vhost_queue_push_batch (queue, slots, lengths, n);
  }
  vhost_queue_notify (queue);
}

/* --- From the port ------------------------------------------------------------------------- */

/* FALSE: there is none now, or never again. */
static gboolean
read_frame (VhostNetLane *lane)
{
  gssize n;

  if (lane->scratch == NULL)
    lane->scratch = g_malloc (SCRATCH_SIZE);
  do
    n = read (lane->fd, lane->scratch, SCRATCH_SIZE);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN)
    lane->port_failed = TRUE;
  lane->n_waits = n > 0 ? (guint32) n : 0;
  return n >= 0;
}

static gboolean
take_scratch (VhostNetLane *lane, VhostNetFrame *frame, struct iovec *piece)
{
  guint n_header = lane->port_has_header ? lane->header_size : 0;

  if (lane->n_waits < n_header + VHOST_NET_MIN_FRAME ||
      lane->n_waits > n_header + VHOST_NET_MAX_FRAME)
    return FALSE;
  memset (frame->head, 0, VHOST_NET_HEADER);
  memcpy (frame->head + VHOST_NET_HEADER - n_header, lane->scratch, n_header);
  *piece = (struct iovec){ lane->scratch + n_header, lane->n_waits - n_header };
  frame->n_head = VHOST_NET_HEADER;
  frame->iov = piece;
  frame->n_iov = 1;
  frame->size = (guint32) piece->iov_len;
  return TRUE;
}

/* FALSE: it waits for buffers. */
static gboolean
deliver (VhostNetLane *lane)
{
  VhostNetPut put = VHOST_NET_PUT_NEVER;
  VhostNetFrame frame;
  struct iovec piece;

  if (take_scratch (lane, &frame, &piece))
    put = vhost_net_stock_put (&lane->stock, &frame, PUBLISH_AFTER);
  if (put == VHOST_NET_PUT_NO_ROOM)
    return FALSE;
  vhost_queue_count (put == VHOST_NET_PUT_DONE ? &lane->n_received : &lane->n_receive_drops, 1);
  lane->n_waits = 0;
  return TRUE;
}

/* TRUE: the descriptor is what is waited for, not the driver. */
static gboolean
receive (VhostNetLane *lane)
{
  guint n_frames = 0;
  gboolean has_room;

  while ((has_room = vhost_net_stock_fill (&lane->stock, PUBLISH_AFTER))) {
    if (n_frames++ == FRAMES_PER_TURN || (lane->n_waits == 0 && !read_frame (lane)))
      break;
    has_room = deliver (lane);
    if (!has_room)
      break;
    if (lane->stock.n_full >= PUBLISH_AFTER)
      vhost_net_stock_publish (&lane->stock);
  }
  vhost_net_stock_settle (&lane->stock);
  return has_room;
}

static void
on_port (guint32 events, gpointer data)
{
  g_autoptr (VhostNetLane) lane = vhost_net_lane_ref (data);
  guint64 n_before = lane->n_received;
  gboolean wants_more = receive (lane);

  if ((events & (EPOLLHUP | EPOLLERR)) && wants_more && lane->n_received == n_before)
    lane->port_failed = TRUE;
  if (!wants_more || lane->port_failed)
    vhost_watch_clear (&lane->watch);
}

static void
watch_port (VhostNetLane *lane)
{
  VhostReactor *reactor = vhost_queue_get_reactor (lane->receive);

  if (lane->watch == NULL && !lane->port_failed && reactor != NULL)
    lane->watch = vhost_reactor_add_watch (reactor, lane->fd, EPOLLIN, on_port, lane, NULL);
}

/* The driver has added buffers. For those that a switch fills nobody waits. */
static void
on_receive_kick (VhostQueue *queue, gpointer data)
{
  VhostNetLane *lane = data;

  if (lane->fd < 0)
    return;
  if (receive (lane))
    watch_port (lane);
  else
    vhost_watch_clear (&lane->watch);
}

/* --- Control ------------------------------------------------------------------------------- */

/* What came for the driver before is not for the next one. */
static void
on_receive_end (VhostQueue *queue, gpointer data)
{
  VhostNetLane *lane = data;

  vhost_watch_clear (&lane->watch);
  lane->n_waits = 0;
  lane->stock.n_full = lane->stock.n_slots = 0;
  lane->can_receive = FALSE;
}

static void
on_transmit_end (VhostQueue *queue, gpointer data)
{
  VhostNetLane *lane = data;

  lane->n_ends++;
  lane->can_send = FALSE;
}

void
vhost_net_lane_take_fd (VhostNetLane *lane, int fd, gboolean has_header)
{
  lane->fd = fd;
  lane->port_has_header = has_header;
  lane->send = send_to_fd;
}

void
vhost_net_lane_set_layout (VhostNetLane *lane, guint header_size, gboolean mergeable)
{
  lane->header_size = lane->stock.header_size = header_size;
  lane->stock.mergeable = mergeable;
}

static void
release_lane (gpointer data)
{
  vhost_net_lane_unref (data);
}

void
vhost_net_lane_attach (VhostNetLane *lane)
{
  vhost_queue_set_end_func (lane->receive, on_receive_end, lane);
  vhost_queue_set_end_func (lane->transmit, on_transmit_end, lane);
  vhost_queue_set_kick_func (lane->receive, on_receive_kick, vhost_net_lane_ref (lane),
                             release_lane);
  vhost_queue_set_kick_func (lane->transmit, on_transmit, vhost_net_lane_ref (lane), release_lane);
}

void
vhost_net_lane_detach (VhostNetLane *lane)
{
  vhost_net_stock_settle (&lane->stock);
  on_receive_end (lane->receive, lane);
  lane->can_send = FALSE;
  vhost_queue_set_end_func (lane->receive, NULL, NULL);
  vhost_queue_set_end_func (lane->transmit, NULL, NULL);
  vhost_queue_set_kick_func (lane->receive, NULL, NULL, NULL);
  vhost_queue_set_kick_func (lane->transmit, NULL, NULL, NULL);
}
