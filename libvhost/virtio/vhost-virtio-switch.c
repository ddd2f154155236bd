/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies frames from the chains of one driver into the buffers of others, with what the sender said
 * in the header left out: nothing is offered that it could ask for.
 *
 * Owns the ports, each a card that it keeps. Cards come and go on the control thread; frames are on
 * the one thread that serves all the queues. (IEEE 802.1Q, section 8.7: learning; nothing ages) */

#include "virtio/vhost-virtio-switch.h"

#include "core/vhost-error-private.h"
#include "endpoint/vhost-backend-private.h"
#include "virtio/vhost-virtio-net-private.h"
#include "virtio/vhost-virtio-switch-table-private.h"

#define MAX_PORTS 1024

struct _VhostVirtioSwitch {
  GObject parent_instance;

  GPtrArray *ports;
  VhostSwitchTable table;
  GPtrArray *touched;    /* lanes into which this turn has put frames */
  guint n_left;          /* frames of this batch */
  VhostReactor *reactor; /* of the first queue that started; NULL while no port has any */
};

G_DEFINE_FINAL_TYPE (VhostVirtioSwitch, vhost_virtio_switch, G_TYPE_OBJECT)

struct _VhostNetPort {
  VhostVirtioSwitch *network;
  VhostVirtioNet *net;
  guint n_stations;
  gulong on_disconnected;
};

/* --- Where to ------------------------------------------------------------------------------ */

/* A station that has moved is believed; one that a full port sends is not. */
static void
learn (VhostVirtioSwitch *self, VhostNetPort *port, guint64 source)
{
  VhostNetPort *before = vhost_switch_table_find (&self->table, source);

  if (G_LIKELY (before == port))
    return;
  if (vhost_switch_table_is_group (source) || port->n_stations == VHOST_SWITCH_STATIONS)
    return;
  if (before != NULL)
    before->n_stations--;
  port->n_stations++;
  vhost_switch_table_set (&self->table, source, port);
}

/* What came by one queue leaves by one queue, and so stays in order. */
static VhostNetLane *
choose_lane (VhostNetPort *port, guint number)
{
  guint n;
  VhostNetLane **lanes = vhost_virtio_net_get_lanes (port->net, &n);

  for (guint i = 0; i < n; i++) {
    VhostNetLane *lane = lanes[(number + i) % n];

    if (lane->can_receive && vhost_queue_is_enabled (lane->receive))
      return lane;
  }
  return NULL;
}

/* --- Frames -------------------------------------------------------------------------------- */

static void
put (VhostVirtioSwitch *self, VhostNetLane *lane, VhostNetFrame *frame)
{
  VhostNetPut result;

  if (!lane->is_touched) {
    lane->is_touched = TRUE;
    g_ptr_array_add (self->touched, vhost_net_lane_ref (lane));
  }
  result = vhost_net_stock_put (&lane->stock, frame, self->n_left);
  vhost_queue_count (result == VHOST_NET_PUT_DONE ? &lane->n_received : &lane->n_receive_drops, 1);
}

/* Putting may break the queue of the receiver, and its owner may do anything then: even take ports
 * away, or end the sender. */
static void
flood (VhostVirtioSwitch *self, VhostNetLane *from, VhostNetFrame *frame)
{
  guint number = vhost_queue_get_index (from->transmit) / 2;

  for (guint i = 0; i < self->ports->len && from->can_send; i++) {
    VhostNetPort *port = self->ports->pdata[i];
    VhostNetLane *lane = port != from->port ? choose_lane (port, number) : NULL;

    if (lane != NULL)
      put (self, lane, frame);
  }
}

static void
forward (VhostVirtioSwitch *self, VhostNetLane *from, VhostNetFrame *frame)
{
  const guint8 *addresses = frame->head + VHOST_NET_HEADER;
  guint64 target = vhost_switch_table_key (addresses);
  VhostNetPort *port = NULL;
  VhostNetLane *lane;

  learn (self, from->port, vhost_switch_table_key (addresses + 6));
  if (!vhost_switch_table_is_group (target))
    port = vhost_switch_table_find (&self->table, target);
  if (port == NULL) {
    flood (self, from, frame);
  } else if (port != from->port) {
    lane = choose_lane (port, vhost_queue_get_index (from->transmit) / 2);
    if (lane != NULL)
      put (self, lane, frame);
  }
}

static void
settle (VhostVirtioSwitch *self)
{
  while (self->touched->len > 0) {
    g_autoptr (VhostNetLane) lane =
        g_ptr_array_steal_index_fast (self->touched, self->touched->len - 1);

    lane->is_touched = FALSE;
    vhost_net_stock_settle (&lane->stock);
  }
}

/* Of a batch, all frames for one receiver are published together. */
static void
send_frames (VhostNetLane *from, VhostSlot **slots, guint n)
{
  VhostNetPort *port = from->port;
  g_autoptr (VhostVirtioSwitch) self = g_object_ref (port->network);
  guint n_sent = 0;

  for (guint i = 0; i < n && from->can_send; i++) {
    VhostNetFrame frame;

    self->n_left = n - i;
    if (!vhost_net_frame_parse (&frame, slots[i], from->header_size))
      continue;
    n_sent++;
    forward (self, from, &frame);
  }
  vhost_queue_count (&from->n_sent, n_sent);
  vhost_queue_count (&from->n_send_drops, n - n_sent);
  settle (self);
}

/* --- Ports --------------------------------------------------------------------------------- */

static gboolean
has_rings (VhostVirtioSwitch *self)
{
  for (guint i = 0; i < self->ports->len; i++) {
    guint n;
    VhostNetPort *port = self->ports->pdata[i];
    VhostNetLane **lanes = vhost_virtio_net_get_lanes (port->net, &n);

    for (guint j = 0; j < n; j++) {
      if (lanes[j]->can_receive || lanes[j]->can_send)
        return TRUE;
    }
  }
  return FALSE;
}

/* The first queue says which thread it is. */
static gboolean
admit (VhostNetPort *port, VhostReactor *reactor)
{
  VhostVirtioSwitch *self = port->network;

  if (self->reactor != reactor && !has_rings (self)) {
    g_clear_pointer (&self->reactor, vhost_reactor_unref);
    self->reactor = vhost_reactor_ref (reactor);
  }
  return self->reactor == reactor;
}

/* No frame is on its way until what is returned is let go. */
static GPtrArray *
pause_ports (VhostVirtioSwitch *self)
{
  GPtrArray *pauses = g_ptr_array_new_with_free_func ((GDestroyNotify) vhost_backend_resume);

  for (guint i = 0; i < self->ports->len; i++) {
    const VhostNetPort *port = self->ports->pdata[i];

    g_ptr_array_add (pauses, vhost_backend_pause (vhost_virtio_net_get_backend (port->net)));
  }
  return pauses;
}

static void
forget_stations (VhostBackend *backend, VhostNetPort *port)
{
  g_autoptr (GPtrArray) paused G_GNUC_UNUSED = pause_ports (port->network);

  vhost_switch_table_remove_port (&port->network->table, port);
  port->n_stations = 0;
}

static VhostNetPort *
port_new (VhostVirtioSwitch *self, VhostVirtioNet *net)
{
  VhostNetPort *port = g_new0 (VhostNetPort, 1);

  port->network = self;
  port->net = g_object_ref (net);
  port->on_disconnected = g_signal_connect (vhost_virtio_net_get_backend (net), "disconnected",
                                            G_CALLBACK (forget_stations), port);
  return port;
}

static void
port_free (gpointer data)
{
  VhostNetPort *port = data;
  VhostBackend *backend = vhost_virtio_net_get_backend (port->net);

  if (backend != NULL)
    g_clear_signal_handler (&port->on_disconnected, backend);
  g_object_unref (port->net);
  g_free (port);
}

/* --- Object -------------------------------------------------------------------------------- */

static void
vhost_virtio_switch_dispose (GObject *object)
{
  VhostVirtioSwitch *self = VHOST_VIRTIO_SWITCH (object);

  while (self->ports->len > 0) {
    VhostNetPort *port = self->ports->pdata[self->ports->len - 1];

    vhost_virtio_switch_remove (self, port->net);
  }
  g_clear_pointer (&self->reactor, vhost_reactor_unref);
  G_OBJECT_CLASS (vhost_virtio_switch_parent_class)->dispose (object);
}

static void
vhost_virtio_switch_finalize (GObject *object)
{
  VhostVirtioSwitch *self = VHOST_VIRTIO_SWITCH (object);

  g_ptr_array_unref (self->ports);
  g_ptr_array_unref (self->touched);
  vhost_switch_table_clear (&self->table);
  G_OBJECT_CLASS (vhost_virtio_switch_parent_class)->finalize (object);
}

static void
vhost_virtio_switch_class_init (VhostVirtioSwitchClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = vhost_virtio_switch_dispose;
  G_OBJECT_CLASS (klass)->finalize = vhost_virtio_switch_finalize;
}

static void
vhost_virtio_switch_init (VhostVirtioSwitch *self)
{
  self->ports = g_ptr_array_new_with_free_func (port_free);
  self->touched = g_ptr_array_new ();
  vhost_switch_table_resize (&self->table, 1);
}

/**
 * vhost_virtio_switch_new:
 *
 * Makes a switch without ports.
 *
 * Returns: (transfer full): the switch
 *
 * Since: 1.0
 */
VhostVirtioSwitch *
vhost_virtio_switch_new (void)
{
  return g_object_new (VHOST_TYPE_VIRTIO_SWITCH, NULL);
}

/**
 * vhost_virtio_switch_add:
 * @network: a switch
 * @net: a card without a port
 * @error: return location
 *
 * Plugs a card in; the switch keeps it. At most 256 MAC addresses are learnt at each port, and
 * forgotten when its front-end leaves.
 *
 * All queues that the switch serves are to be on one thread. One that starts on another is not
 * served, and its back-end emits `device-failed`.
 *
 * On the thread of the back-ends.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE for a card that has a port, or when the 1024 of the
 * switch are in use, with %VHOST_ERROR_INVALID_VALUE for a number of queues or a `mac` that cannot
 * be
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_switch_add (VhostVirtioSwitch *self, VhostVirtioNet *net, GError **error)
{
  g_autoptr (GPtrArray) paused G_GNUC_UNUSED = NULL;
  VhostNetPort *port;

  g_return_val_if_fail (VHOST_IS_VIRTIO_SWITCH (self), FALSE);
  g_return_val_if_fail (VHOST_IS_VIRTIO_NET (net), FALSE);
  g_return_val_if_fail (vhost_virtio_net_get_backend (net) != NULL, FALSE);

  if (self->ports->len == MAX_PORTS)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the switch has %u ports, and no more",
                            MAX_PORTS);
  port = port_new (self, net);
  paused = pause_ports (self);
  vhost_switch_table_resize (&self->table, self->ports->len + 1);
  if (!vhost_virtio_net_join (net, port, send_frames, admit, error)) {
    port_free (port);
    return FALSE;
  }
  g_ptr_array_add (self->ports, port);
  return TRUE;
}

/**
 * vhost_virtio_switch_remove:
 * @network: a switch
 * @net: one of its cards
 *
 * Unplugs a card, which has no port then. Nothing if it is not plugged in here.
 *
 * On the thread of the back-ends.
 *
 * Since: 1.0
 */
void
vhost_virtio_switch_remove (VhostVirtioSwitch *self, VhostVirtioNet *net)
{
  g_autoptr (GPtrArray) paused G_GNUC_UNUSED = NULL;
  VhostNetPort *port;

  g_return_if_fail (VHOST_IS_VIRTIO_SWITCH (self));
  g_return_if_fail (VHOST_IS_VIRTIO_NET (net));

  port = vhost_virtio_net_get_port (net);
  if (port == NULL || port->network != self)
    return;
  paused = pause_ports (self);
  vhost_virtio_net_leave (net);
  vhost_switch_table_remove_port (&self->table, port);
  g_ptr_array_remove (self->ports, port);
}
