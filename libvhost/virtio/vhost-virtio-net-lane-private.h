/* SPDX-License-Identifier: BSD-3-Clause */
/* A pair of queues of a network card, and the port behind it. */
#pragma once

#include "virtio/vhost-virtio-net-frame-private.h"

typedef struct _VhostNetLane VhostNetLane;

/* Sends the frames in chains of the driver on. They are pushed afterwards. */
typedef void (*VhostNetSendFunc) (VhostNetLane *lane, VhostSlot **slots, guint n);

/* Counted: a switch may be in the middle of it when its card goes. */
struct _VhostNetLane {
  VhostQueue *receive;
  VhostQueue *transmit;
  guint header_size;
  VhostNetStock stock;

  /* Each queue may be on a thread of its own: what follows is of that of the receive queue. */
  int fd; /* of both, and never changes; -1: there is a switch, or nothing */
  gboolean port_has_header;
  gboolean port_failed;
  guint8 *scratch; /* one frame with its header, as it came from fd */
  guint32 n_waits; /* bytes in there that wait for buffers */
  VhostWatch *watch;

  VhostNetSendFunc send;
  gpointer port;     /* of a switch */
  gboolean can_send; /* the queues run on the thread of the switch */
  gboolean can_receive;
  gboolean is_touched; /* the switch has put frames into stock */
  guint n_ends;        /* how often the transmit queue lost its ring */

  guint64 n_received; /* frames given to the driver; each counter has one writer */
  guint64 n_sent;     /* frames of the driver that went on */
  guint64 n_receive_drops;
  guint64 n_send_drops;
};

VhostNetLane *vhost_net_lane_new (VhostQueue *receive, VhostQueue *transmit);
VhostNetLane *vhost_net_lane_ref (VhostNetLane *lane);
void vhost_net_lane_unref (VhostNetLane *lane);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostNetLane, vhost_net_lane_unref)

/* The following on the control thread, while the queues rest between two handlers. */

/* Takes @fd, which gives a frame at each read and takes one at each write. */
void vhost_net_lane_take_fd (VhostNetLane *lane, int fd, gboolean has_header);

/* What was negotiated. */
void vhost_net_lane_set_layout (VhostNetLane *lane, guint header_size, gboolean mergeable);

/* Serves the queues from now on; and no longer. */
void vhost_net_lane_attach (VhostNetLane *lane);
void vhost_net_lane_detach (VhostNetLane *lane);
