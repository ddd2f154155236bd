/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side of a packed ring. (VIRTIO 1.4, 2.8) One thread at a time. */
#pragma once

#include "ring/vhost-ring-common-private.h"

typedef struct {
  VhostRingCommon common;

  /* mapped ring parts; replaced when the memory table is */
  VhostPackedDesc *desc;
  const VhostPackedEvent *driver; /* when the driver wants to be notified */
  VhostPackedEvent *device;       /* when we want to be kicked */

  VhostPackedDesc *copies; /* of the entries in flight, by position; NULL: not wanted */

  guint16 avail_position; /* next entry to fetch */
  guint16 used_position;  /* next entry to write */
  gboolean avail_wrap;
  gboolean used_wrap;
  guint n_fetched;      /* entries of the chains in flight */
  guint n_seen;         /* entries from avail_position on that were seen to be available */
  guint32 n_seen_total; /* since the start, modulo 2^32 */
  guint n_unsignalled;  /* entries used since the last notification decision */
  gboolean signalled_valid;
} VhostPackedDevice;

void vhost_packed_device_init (VhostPackedDevice *ring, guint16 size, gboolean event_idx,
                               gboolean indirect);
void vhost_packed_device_clear (VhostPackedDevice *ring);
void vhost_packed_device_set_memory (VhostPackedDevice *ring, const VhostMemory *memory,
                                     gpointer desc, gpointer driver, gpointer device);

/* Is @base one that a ring of @size can have? */
gboolean vhost_packed_device_check_base (guint32 base, guint16 size);

/* @base: bits 0 to 14 next entry to fetch, bit 15 its wrap counter; bits 16 to 31 the same of the
 * next entry to write. An upper half of 0 is taken to be missing, as some front-ends send it:
 * nothing is in flight then. */
void vhost_packed_device_start (VhostPackedDevice *ring, guint32 base);

/* The same, with chains in flight: the half of the used position counts even if it is 0. */
void vhost_packed_device_start_between (VhostPackedDevice *ring, guint32 base);
guint32 vhost_packed_device_get_base (const VhostPackedDevice *ring);

/* As their namesakes of a split ring. */
guint vhost_packed_device_pop (VhostPackedDevice *ring, VhostSlot **slots, guint max);
/* Pops once more a chain that has been fetched from the ring already, from copies of its @n
 * entries. */
gboolean vhost_packed_device_refetch (VhostPackedDevice *ring, const VhostPackedDesc *copies,
                                      guint n, VhostSlot **slot);

/* Keeps copies of what is fetched from now on. */
void vhost_packed_device_keep_copies (VhostPackedDevice *ring);

gboolean vhost_packed_device_unpop (VhostPackedDevice *ring, VhostSlot *slot);
guint vhost_packed_device_rewind (VhostPackedDevice *ring);
guint vhost_packed_device_push (VhostPackedDevice *ring, VhostSlot **slots, const guint32 *lengths,
                                guint n);
gboolean vhost_packed_device_is_empty (VhostPackedDevice *ring);
void vhost_packed_device_disable_notifications (VhostPackedDevice *ring);
gboolean vhost_packed_device_enable_notifications (VhostPackedDevice *ring);
gboolean vhost_packed_device_needs_notify (VhostPackedDevice *ring);
