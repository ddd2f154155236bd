/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a ring, of either format. */
#pragma once

#include "ring/vhost-packed-device-private.h"
#include "ring/vhost-split-device-private.h"

typedef struct {
  gboolean packed;
  union {
    VhostRingCommon common;
    VhostSplitDevice split;
    VhostPackedDevice packed_ring;
  };
} VhostDeviceRing;

static inline void
vhost_device_ring_init (VhostDeviceRing *ring, gboolean packed, guint16 size, gboolean event_idx,
                        gboolean indirect)
{
  ring->packed = packed;
  if (packed)
    vhost_packed_device_init (&ring->packed_ring, size, event_idx, indirect);
  else
    vhost_split_device_init (&ring->split, size, event_idx, indirect);
}

static inline void
vhost_device_ring_clear (VhostDeviceRing *ring)
{
  if (ring->packed)
    vhost_packed_device_clear (&ring->packed_ring);
  else
    vhost_split_device_clear (&ring->split);
}

static inline void
vhost_device_ring_set_memory (VhostDeviceRing *ring, const VhostMemory *memory, gpointer desc,
                              gpointer avail, gpointer used)
{
  if (ring->packed)
    vhost_packed_device_set_memory (&ring->packed_ring, memory, desc, avail, used);
  else
    vhost_split_device_set_memory (&ring->split, memory, desc, avail, used);
}

static inline void
vhost_device_ring_start (VhostDeviceRing *ring, guint32 base)
{
  if (ring->packed)
    vhost_packed_device_start (&ring->packed_ring, base);
  else
    vhost_split_device_start (&ring->split, (guint16) base);
}

/* In the form of SET_VRING_BASE. */
static inline guint32
vhost_device_ring_get_base (const VhostDeviceRing *ring)
{
  if (ring->packed)
    return vhost_packed_device_get_base (&ring->packed_ring);
  return ring->split.last_avail;
}

static inline guint
vhost_device_ring_pop (VhostDeviceRing *ring, VhostSlot **slots, guint max)
{
  if (ring->packed)
    return vhost_packed_device_pop (&ring->packed_ring, slots, max);
  return vhost_split_device_pop (&ring->split, slots, max);
}

static inline gboolean
vhost_device_ring_unpop (VhostDeviceRing *ring, VhostSlot *slot)
{
  if (ring->packed)
    return vhost_packed_device_unpop (&ring->packed_ring, slot);
  return vhost_split_device_unpop (&ring->split, slot);
}

static inline guint
vhost_device_ring_rewind (VhostDeviceRing *ring)
{
  if (ring->packed)
    return vhost_packed_device_rewind (&ring->packed_ring);
  return vhost_split_device_rewind (&ring->split);
}

static inline guint
vhost_device_ring_push (VhostDeviceRing *ring, VhostSlot **slots, const guint32 *lengths, guint n)
{
  if (ring->packed)
    return vhost_packed_device_push (&ring->packed_ring, slots, lengths, n);
  return vhost_split_device_push (&ring->split, slots, lengths, n);
}

static inline gboolean
vhost_device_ring_is_empty (VhostDeviceRing *ring)
{
  if (ring->packed)
    return vhost_packed_device_is_empty (&ring->packed_ring);
  return vhost_split_device_is_empty (&ring->split);
}

/* A mark that moves when something that had not been seen before became available. */
static inline guint32
vhost_device_ring_get_seen (const VhostDeviceRing *ring)
{
  if (ring->packed)
    return ring->packed_ring.n_seen_total;
  return ring->split.avail_seen;
}

/* Is something known to be there? Loads nothing. */
static inline gboolean
vhost_device_ring_has_seen_more (const VhostDeviceRing *ring)
{
  if (ring->packed)
    return ring->packed_ring.n_seen > 0;
  return ring->split.avail_seen != ring->split.last_avail;
}

static inline void
vhost_device_ring_disable_notifications (VhostDeviceRing *ring)
{
  if (ring->packed)
    vhost_packed_device_disable_notifications (&ring->packed_ring);
  else
    vhost_split_device_disable_notifications (&ring->split);
}

static inline gboolean
vhost_device_ring_enable_notifications (VhostDeviceRing *ring)
{
  if (ring->packed)
    return vhost_packed_device_enable_notifications (&ring->packed_ring);
  return vhost_split_device_enable_notifications (&ring->split);
}

static inline gboolean
vhost_device_ring_needs_notify (VhostDeviceRing *ring)
{
  if (ring->packed)
    return vhost_packed_device_needs_notify (&ring->packed_ring);
  return vhost_split_device_needs_notify (&ring->split);
}
