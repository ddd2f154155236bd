/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side of a packed ring: trusts nothing that the device wrote. (VIRTIO 1.4, 2.8.21
 * and 2.8.22) One thread at a time. */
#pragma once

#include "ring/vhost-driver-common-private.h"

typedef struct {
  VhostDriverCommon common;

  VhostPackedDesc *desc;
  VhostPackedEvent *driver;       /* when we want to be notified */
  const VhostPackedEvent *device; /* when the device wants to be kicked */

  guint16 avail_position;
  guint16 used_position;
  gboolean avail_wrap;
  gboolean used_wrap;

  /* What was added and is not published: its first entry's flags hold everything back. */
  VhostPackedDesc *unpublished;
  guint64 unpublished_word;
  guint n_unkicked; /* entries since the last kick decision */
  gboolean kicked_valid;
} VhostPackedDriver;

/* As their namesakes of a split ring. */
void vhost_packed_driver_init (VhostPackedDriver *ring, guint16 size, gboolean event_idx,
                               gpointer desc, gpointer driver, gpointer device);
void vhost_packed_driver_clear (VhostPackedDriver *ring);
gboolean vhost_packed_driver_add (VhostPackedDriver *ring, const VhostDriverPiece *pieces,
                                  guint n_readable, guint n_writable, gpointer cookie);
gboolean vhost_packed_driver_publish (VhostPackedDriver *ring);
gboolean vhost_packed_driver_collect (VhostPackedDriver *ring, gpointer *cookie, guint32 *length);
void vhost_packed_driver_disable_notifications (VhostPackedDriver *ring);
gboolean vhost_packed_driver_enable_notifications (VhostPackedDriver *ring);
