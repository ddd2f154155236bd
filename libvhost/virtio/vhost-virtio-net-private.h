/* SPDX-License-Identifier: BSD-3-Clause */
/* What a switch knows of a network card. Control thread. */
#pragma once

#include "core/vhost-reactor-private.h"
#include "virtio/vhost-virtio-net-lane-private.h"
#include "virtio/vhost-virtio-net.h"

/* A port of a switch. */
typedef struct _VhostNetPort VhostNetPort;

/* A queue has started: is it served by the thread of the switch? */
typedef gboolean (*VhostNetAdmitFunc) (VhostNetPort *port, VhostReactor *reactor);

/* Joins the card with @port, which sends on what its drivers send. */
gboolean vhost_virtio_net_join (VhostVirtioNet *net, VhostNetPort *port, VhostNetSendFunc send,
                                VhostNetAdmitFunc admit, GError **error);
void vhost_virtio_net_leave (VhostVirtioNet *net);

VhostNetPort *vhost_virtio_net_get_port (VhostVirtioNet *net);
VhostBackend *vhost_virtio_net_get_backend (VhostVirtioNet *net);
VhostNetLane **vhost_virtio_net_get_lanes (VhostVirtioNet *net, guint *n_lanes);
