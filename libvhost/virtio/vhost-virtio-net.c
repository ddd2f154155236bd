/* SPDX-License-Identifier: BSD-3-Clause */
/* A ready network card: joins the queues of any back-end with a TAP interface, with sockets or with
 * a switch.
 *
 * Owns the pairs of queues, which are served in vhost-virtio-net-lane.c. On the control thread.
 * (VIRTIO 1.4, section 5.1) */

#include "virtio/vhost-virtio-net.h"

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "virtio/vhost-virtio-net-config-private.h"
#include "virtio/vhost-virtio-net-private.h"
#include "virtio/vhost-virtio-net-tap-private.h"

struct _VhostVirtioNet {
  GObject parent_instance;

  VhostBackend *backend;
  char *mac;
  guint mtu;
  guint n_lanes;
  VhostNetLane **lanes; /* NULL until there is a port */
  VhostNetTap *taps;    /* of each lane */
  guint n_taken;        /* descriptors */

  VhostNetPort *port; /* NULL: none of a switch */
  VhostNetAdmitFunc admit;
};

G_DEFINE_FINAL_TYPE (VhostVirtioNet, vhost_virtio_net, G_TYPE_OBJECT)

enum {
  PROP_BACKEND = 1,
  PROP_MAC,
  PROP_MTU,
  PROP_RX_FRAMES,
  PROP_TX_FRAMES,
  PROP_RX_DROPS,
  PROP_TX_DROPS,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

/* --- Back-end ------------------------------------------------------------------------------ */

static guint
get_header_size (VhostBackend *backend)
{
  return vhost_backend_has_feature (backend, VHOST_FEATURE_VERSION_1) ||
                 vhost_backend_has_feature (backend, VHOST_NET_FEATURE_MRG_RXBUF)
             ? VHOST_NET_HEADER
             : VHOST_NET_SHORT_HEADER;
}

static void
set_up_tap (VhostVirtioNet *self, guint i)
{
  g_autoptr (GError) error = NULL;

  if (!self->taps[i].has_header ||
      vhost_net_tap_set_up (self->lanes[i]->fd, get_header_size (self->backend),
                            vhost_net_config_get_accepted (self->backend), &error))
    return;
  vhost_backend_report_failure (self->backend, error);
}

static void
adopt_features (VhostVirtioNet *self)
{
  gboolean mergeable = vhost_backend_has_feature (self->backend, VHOST_NET_FEATURE_MRG_RXBUF);
  VHOST_BACKEND_PAUSE (self->backend);

  for (guint i = 0; i < self->n_lanes; i++) {
    vhost_net_lane_set_layout (self->lanes[i], get_header_size (self->backend), mergeable);
    set_up_tap (self, i);
  }
}

static void
on_features_changed (VhostBackend *backend, VhostVirtioNet *self)
{
  adopt_features (self);
}

static VhostNetLane *
find_lane (VhostVirtioNet *self, VhostQueue *queue)
{
  guint i = vhost_queue_get_index (queue) / 2;

  return i < self->n_lanes ? self->lanes[i] : NULL;
}

/* A frame must not go to a queue that nobody looks at. */
static void
choose_tap_queues (VhostVirtioNet *self)
{
  for (guint i = 0; i < self->n_taken; i++) {
    VhostQueue *queue = self->lanes[i]->receive;

    if (self->taps[i].multi_queue)
      vhost_net_tap_set_queue (self->lanes[i]->fd,
                               vhost_queue_is_started (queue) && vhost_queue_is_enabled (queue));
  }
}

static void
on_receive_changed (VhostQueue *queue, GParamSpec *pspec, VhostVirtioNet *self)
{
  choose_tap_queues (self);
}

static void
admit_queue (VhostVirtioNet *self, VhostNetLane *lane, VhostQueue *queue)
{
  g_autoptr (GError) error = NULL;

  if (self->admit (self->port, vhost_queue_get_reactor (queue))) {
    *(queue == lane->receive ? &lane->can_receive : &lane->can_send) = TRUE;
    return;
  }
  vhost_set_error (&error, VHOST_ERROR_BAD_STATE,
                   "queue %u is not served by the thread of the switch",
                   vhost_queue_get_index (queue));
  vhost_backend_report_failure (self->backend, error);
}

static void
on_queue_started (VhostBackend *backend, VhostQueue *queue, VhostVirtioNet *self)
{
  VhostNetLane *lane = find_lane (self, queue);

  if (lane != NULL && self->port != NULL && vhost_queue_get_reactor (queue) != NULL)
    admit_queue (self, lane, queue);
}

/* --- Ports --------------------------------------------------------------------------------- */

static gboolean
check_queues (VhostVirtioNet *self, GError **error)
{
  guint n = vhost_backend_get_n_queues (self->backend);

  return n % 2 == 0 || vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                                        "a network card has pairs of queues, not %u", n);
}

static gboolean
make_lanes (VhostVirtioNet *self, GError **error)
{
  if (self->lanes != NULL)
    return TRUE;
  if (!check_queues (self, error) ||
      !vhost_net_config_offer (self->backend, self->mac, self->mtu, error))
    return FALSE;
  self->n_lanes = vhost_backend_get_n_queues (self->backend) / 2;
  self->lanes = g_new0 (VhostNetLane *, self->n_lanes);
  self->taps = g_new0 (VhostNetTap, self->n_lanes);
  for (guint i = 0; i < self->n_lanes; i++) {
    VhostQueue *receive = vhost_backend_get_queue (self->backend, 2 * i);
    VhostQueue *transmit = vhost_backend_get_queue (self->backend, 2 * i + 1);

    self->lanes[i] = vhost_net_lane_new (receive, transmit);
    g_signal_connect_object (receive, "notify::started", G_CALLBACK (on_receive_changed), self, 0);
    g_signal_connect_object (receive, "notify::enabled", G_CALLBACK (on_receive_changed), self, 0);
  }
  adopt_features (self);
  return TRUE;
}

static gboolean
check_free (VhostVirtioNet *self, guint n_taken, GError **error)
{
  if (self->port == NULL && n_taken < vhost_backend_get_n_queues (self->backend) / 2)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                          "each pair of queues of the card has a port already");
}

static gboolean
take_checked (VhostVirtioNet *self, int *fd, GError **error)
{
  guint i = self->n_taken;
  VhostNetTap tap;

  if (!check_free (self, i, error) || !vhost_net_tap_inspect (*fd, &tap, error) ||
      !make_lanes (self, error))
    return FALSE;
  if (tap.has_header && i == 0)
    vhost_net_config_offer_offloads (self->backend);
  {
    VHOST_BACKEND_PAUSE (self->backend);

    self->taps[i] = tap;
    self->n_taken++;
    vhost_net_lane_take_fd (self->lanes[i], vhost_fd_steal (fd), tap.has_header);
    set_up_tap (self, i);
    vhost_net_lane_attach (self->lanes[i]);
  }
  choose_tap_queues (self);
  return TRUE;
}

/* Descriptors of the interface, as many as there are pairs. */
static gboolean
open_all (VhostVirtioNet *self, const char *name, VhostFdSet *fds, GError **error)
{
  guint n = vhost_backend_get_n_queues (self->backend) / 2;

  if (n > G_N_ELEMENTS (fds->fd))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "a TAP interface takes %u pairs of queues at most, not %u",
                            (guint) G_N_ELEMENTS (fds->fd), n);
  while (fds->n < n) {
    int fd = vhost_net_tap_open (name, n > 1, error);

    if (fd < 0)
      return FALSE;
    fds->fd[fds->n++] = fd;
  }
  return TRUE;
}

static void
drop_lanes (VhostVirtioNet *self)
{
  VHOST_BACKEND_PAUSE (self->backend);

  for (guint i = 0; i < self->n_lanes; i++) {
    VhostNetLane *lane = self->lanes[i];

    g_signal_handlers_disconnect_by_func (lane->receive, on_receive_changed, self);
    vhost_net_lane_detach (lane);
    vhost_net_lane_unref (lane);
  }
  self->n_lanes = self->n_taken = 0;
  g_clear_pointer (&self->lanes, g_free);
  g_clear_pointer (&self->taps, g_free);
}

/* --- For a switch -------------------------------------------------------------------------- */

gboolean
vhost_virtio_net_join (VhostVirtioNet *self, VhostNetPort *port, VhostNetSendFunc send,
                       VhostNetAdmitFunc admit, GError **error)
{
  if (!check_free (self, self->n_taken > 0 ? G_MAXUINT : 0, error) || !make_lanes (self, error))
    return FALSE;
  self->port = port;
  self->admit = admit;
  for (guint i = 0; i < self->n_lanes; i++) {
    VhostNetLane *lane = self->lanes[i];
    VHOST_BACKEND_PAUSE (self->backend);

    lane->send = send;
    lane->port = port;
    vhost_net_lane_attach (lane);
    on_queue_started (self->backend, lane->receive, self);
    on_queue_started (self->backend, lane->transmit, self);
  }
  return TRUE;
}

void
vhost_virtio_net_leave (VhostVirtioNet *self)
{
  drop_lanes (self);
  self->port = NULL;
}

VhostNetPort *
vhost_virtio_net_get_port (VhostVirtioNet *self)
{
  return self->port;
}

VhostBackend *
vhost_virtio_net_get_backend (VhostVirtioNet *self)
{
  return self->backend;
}

VhostNetLane **
vhost_virtio_net_get_lanes (VhostVirtioNet *self, guint *n_lanes)
{
  *n_lanes = self->n_lanes;
  return self->lanes;
}

/* --- Object -------------------------------------------------------------------------------- */

static guint64
sum_counters (VhostVirtioNet *self, gsize offset)
{
  guint64 sum = 0;

  for (guint i = 0; i < self->n_lanes; i++)
    sum += __atomic_load_n (&G_STRUCT_MEMBER (guint64, self->lanes[i], offset), __ATOMIC_RELAXED);
  return sum;
}

static void
vhost_virtio_net_constructed (GObject *object)
{
  VhostVirtioNet *self = VHOST_VIRTIO_NET (object);

  G_OBJECT_CLASS (vhost_virtio_net_parent_class)->constructed (object);
  if (self->backend == NULL)
    return;
  g_signal_connect_object (self->backend, "features-changed", G_CALLBACK (on_features_changed),
                           self, 0);
  g_signal_connect_object (self->backend, "queue-started", G_CALLBACK (on_queue_started), self, 0);
}

static void
vhost_virtio_net_dispose (GObject *object)
{
  VhostVirtioNet *self = VHOST_VIRTIO_NET (object);

  if (self->backend != NULL)
    drop_lanes (self);
  g_clear_object (&self->backend);
  G_OBJECT_CLASS (vhost_virtio_net_parent_class)->dispose (object);
}

static void
vhost_virtio_net_finalize (GObject *object)
{
  g_free (VHOST_VIRTIO_NET (object)->mac);
  G_OBJECT_CLASS (vhost_virtio_net_parent_class)->finalize (object);
}

static void
vhost_virtio_net_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostVirtioNet *self = VHOST_VIRTIO_NET (object);

  switch (id) {
  case PROP_BACKEND:
    g_value_set_object (value, self->backend);
    break;
  case PROP_MAC:
    g_value_set_string (value, self->mac);
    break;
  case PROP_MTU:
    g_value_set_uint (value, self->mtu);
    break;
  case PROP_RX_FRAMES:
    g_value_set_uint64 (value, sum_counters (self, offsetof (VhostNetLane, n_received)));
    break;
  case PROP_TX_FRAMES:
    g_value_set_uint64 (value, sum_counters (self, offsetof (VhostNetLane, n_sent)));
    break;
  case PROP_RX_DROPS:
    g_value_set_uint64 (value, sum_counters (self, offsetof (VhostNetLane, n_receive_drops)));
    break;
  case PROP_TX_DROPS:
    g_value_set_uint64 (value, sum_counters (self, offsetof (VhostNetLane, n_send_drops)));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_virtio_net_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostVirtioNet *self = VHOST_VIRTIO_NET (object);

  switch (id) {
  case PROP_BACKEND:
    self->backend = g_value_dup_object (value);
    break;
  case PROP_MAC:
    g_free (self->mac);
    self->mac = g_value_dup_string (value);
    break;
  case PROP_MTU:
    self->mtu = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static GParamSpec *
new_counter (const char *name)
{
  return g_param_spec_uint64 (name, NULL, NULL, 0, G_MAXUINT64, 0,
                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
}

static void
vhost_virtio_net_class_init (VhostVirtioNetClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = vhost_virtio_net_constructed;
  object_class->dispose = vhost_virtio_net_dispose;
  object_class->finalize = vhost_virtio_net_finalize;
  object_class->get_property = vhost_virtio_net_get_property;
  object_class->set_property = vhost_virtio_net_set_property;

  /**
   * VhostVirtioNet:backend:
   *
   * What carries the device; its `device-id` has to be %VHOST_DEVICE_ID_NETWORK, and it has two
   * queues for each pair.
   *
   * Since: 1.0
   */
  props[PROP_BACKEND] =
      g_param_spec_object ("backend", NULL, NULL, VHOST_TYPE_BACKEND,
                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioNet:mac:
   *
   * The driver's MAC address, as in “52:54:00:12:34:56”; %NULL, as from the start: it makes one up.
   * In force from the moment on at which the card gets a port.
   *
   * Since: 1.0
   */
  props[PROP_MAC] =
      g_param_spec_string ("mac", NULL, NULL, NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioNet:mtu:
   *
   * The largest packet that the driver may send, in bytes without the Ethernet header; 0, as from
   * the start: nothing is said. In force from the moment on at which the card gets a port.
   *
   * Since: 1.0
   */
  props[PROP_MTU] = g_param_spec_uint ("mtu", NULL, NULL, 0, G_MAXUINT16, 0,
                                       G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioNet:rx-frames:
   *
   * How many frames the driver has received. Any thread may read the counters.
   *
   * Since: 1.0
   */
  props[PROP_RX_FRAMES] = new_counter ("rx-frames");
  /**
   * VhostVirtioNet:tx-frames:
   *
   * How many frames of the driver went on.
   *
   * Since: 1.0
   */
  props[PROP_TX_FRAMES] = new_counter ("tx-frames");
  /**
   * VhostVirtioNet:rx-drops:
   *
   * How many frames for the driver were lost: they fit in no buffer, there was none, or they were
   * no frames.
   *
   * Since: 1.0
   */
  props[PROP_RX_DROPS] = new_counter ("rx-drops");
  /**
   * VhostVirtioNet:tx-drops:
   *
   * How many frames of the driver were lost: too short, too long, with a header that asks for what
   * was not offered, or not taken by the port.
   *
   * Since: 1.0
   */
  props[PROP_TX_DROPS] = new_counter ("tx-drops");
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
vhost_virtio_net_init (VhostVirtioNet *self)
{
}

/**
 * vhost_virtio_net_new:
 * @backend: a back-end of a network card, that nobody has connected to yet
 *
 * Makes a card that @backend carries. Give it a port before the back-end is started.
 *
 * Returns: (transfer full): a card, still without a port
 *
 * Since: 1.0
 */
VhostVirtioNet *
vhost_virtio_net_new (VhostBackend *backend)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), NULL);

  return g_object_new (VHOST_TYPE_VIRTIO_NET, "backend", backend, NULL);
}

/**
 * vhost_virtio_net_open_tap:
 * @net: a card without a port
 * @name: a TAP interface of this network namespace; one that does not exist is made, and lives as
 * long as the card
 * @error: return location
 *
 * Joins all queues of the card with a TAP interface. Checksums and the cutting of segments are left
 * to the kernel, or to the driver, as the driver likes.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE for a card that has a port, with
 * %VHOST_ERROR_INVALID_VALUE for a number of queues or a `mac` that cannot be, or with a
 * `G_IO_ERROR`
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_net_open_tap (VhostVirtioNet *self, const char *name, GError **error)
{
  g_auto (VhostFdSet) fds = { 0 };

  g_return_val_if_fail (VHOST_IS_VIRTIO_NET (self), FALSE);
  g_return_val_if_fail (name != NULL, FALSE);
  g_return_val_if_fail (self->backend != NULL, FALSE);

  if (!check_free (self, self->n_taken > 0 ? G_MAXUINT : 0, error) || !make_lanes (self, error) ||
      !open_all (self, name, &fds, error))
    return FALSE;
  for (guint i = 0; i < fds.n; i++) {
    if (!take_checked (self, &fds.fd[i], error))
      return FALSE;
  }
  return TRUE;
}

/**
 * vhost_virtio_net_take_fd:
 * @net: a card
 * @fd: a TAP interface with `IFF_NO_PI`, or a socket that keeps datagrams apart, each of which is a
 * frame; the card owns it from now on, also when this fails
 * @error: return location
 *
 * Joins the next pair of queues with a descriptor: call it once for each pair. A TAP interface with
 * `IFF_VNET_HDR` does the work that [method@Vhost.VirtioNet.open_tap] speaks of; others get whole
 * frames.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE when each pair has a port, with
 * %VHOST_ERROR_BAD_FDS for another kind of descriptor, with %VHOST_ERROR_INVALID_VALUE as above, or
 * with a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_net_take_fd (VhostVirtioNet *self, int fd, GError **error)
{
  VHOST_AUTO_FD owned = fd;

  g_return_val_if_fail (VHOST_IS_VIRTIO_NET (self), FALSE);
  g_return_val_if_fail (self->backend != NULL, FALSE);

  return take_checked (self, &owned, error);
}
