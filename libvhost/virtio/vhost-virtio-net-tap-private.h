/* SPDX-License-Identifier: BSD-3-Clause */
/* TAP interfaces: opened, looked at and set up. */
#pragma once

#include <gio/gio.h>

/* What a descriptor is, as far as a port is concerned. */
typedef struct {
  gboolean is_tap;
  gboolean has_header;  /* frames begin with a virtio_net_hdr */
  gboolean multi_queue; /* one of several of the same interface */
} VhostNetTap;

/* A descriptor of the interface @name, which is made if there is none, or -1. */
int vhost_net_tap_open (const char *name, gboolean multi_queue, GError **error);

/* Nothing but a TAP interface or a socket that keeps frames apart will do. Makes it non-blocking.
 */
gboolean vhost_net_tap_inspect (int fd, VhostNetTap *tap, GError **error);

/* What the driver does itself: features that were accepted, bits of VhostNetFeature. */
gboolean vhost_net_tap_set_up (int fd, guint header_size, guint64 features, GError **error);

/* Does the kernel give frames to this one of several descriptors? */
void vhost_net_tap_set_queue (int fd, gboolean attached);
