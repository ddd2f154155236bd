/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a ring, of either format. */
#pragma once

#include "ring/vhost-packed-driver-private.h"
#include "ring/vhost-split-driver-private.h"

typedef struct {
  gboolean packed;
  union {
    VhostDriverCommon common;
    VhostSplitDriver split;
    VhostPackedDriver packed_ring;
  };
} VhostDriverSideRing;

static inline void
vhost_driver_ring_init (VhostDriverSideRing *ring, gboolean packed, guint16 size,
                        gboolean event_idx, gpointer desc, gpointer avail, gpointer used)
{
  ring->packed = packed;
  if (packed)
    vhost_packed_driver_init (&ring->packed_ring, size, event_idx, desc, avail, used);
  else
    vhost_split_driver_init (&ring->split, size, event_idx, desc, avail, used);
}

static inline void
vhost_driver_ring_clear (VhostDriverSideRing *ring)
{
  if (ring->packed)
    vhost_packed_driver_clear (&ring->packed_ring);
  else
    vhost_split_driver_clear (&ring->split);
}

static inline gboolean
vhost_driver_ring_add (VhostDriverSideRing *ring, const VhostDriverPiece *pieces, guint n_readable,
                       guint n_writable, gpointer cookie)
{
  if (ring->packed)
    return vhost_packed_driver_add (&ring->packed_ring, pieces, n_readable, n_writable, cookie);
  return vhost_split_driver_add (&ring->split, pieces, n_readable, n_writable, cookie);
}

static inline gboolean
vhost_driver_ring_publish (VhostDriverSideRing *ring)
{
  if (ring->packed)
    return vhost_packed_driver_publish (&ring->packed_ring);
  return vhost_split_driver_publish (&ring->split);
}

static inline gboolean
vhost_driver_ring_collect (VhostDriverSideRing *ring, gpointer *cookie, guint32 *length)
{
  if (ring->packed)
    return vhost_packed_driver_collect (&ring->packed_ring, cookie, length);
  return vhost_split_driver_collect (&ring->split, cookie, length);
}

static inline gboolean
vhost_driver_ring_enable_notifications (VhostDriverSideRing *ring)
{
  if (ring->packed)
    return vhost_packed_driver_enable_notifications (&ring->packed_ring);
  return vhost_split_driver_enable_notifications (&ring->split);
}

/* A packed ring has no index at which another device could go on: there is nothing to put in order,
 * and whoever reconnects refuses it. */
static inline gboolean
vhost_driver_ring_offer_again (VhostDriverSideRing *ring)
{
  return ring->packed || vhost_split_driver_offer_again (&ring->split);
}

/* Where a device goes on, in the form of SET_VRING_BASE, with nothing known of what is in flight.
 */
static inline guint32
vhost_driver_ring_get_base (const VhostDriverSideRing *ring)
{
  guint16 position;

  if (!ring->packed)
    return vhost_ring_load16 (&ring->split.used->idx);
  position =
      ring->packed_ring.used_position | (ring->packed_ring.used_wrap ? VHOST_PACKED_WRAP : 0);
  return position | (guint32) position << 16;
}
