/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side of a split ring: fills the descriptor table, trusts nothing that the device wrote.
 * (VIRTIO 1.4, 2.7.13 and 2.7.14) One thread at a time. */
#pragma once

#include "ring/vhost-driver-common-private.h"

typedef struct {
  VhostDriverCommon common;

  VhostRingDesc *desc;
  VhostRingAvail *avail;
  VhostRingUsed *used;

  guint16 avail_idx; /* ours; published to avail->idx by publish() */
  guint16 kicked_idx;
  gboolean kicked_valid;
  guint16 last_used;
  guint64 n_added;
  guint64 n_published;
} VhostSplitDriver;

/* The three parts must be zeroed and mapped; all of it lies in memory the caller keeps. */
void vhost_split_driver_init (VhostSplitDriver *ring, guint16 size, gboolean event_idx,
                              gpointer desc, gpointer avail, gpointer used);
void vhost_split_driver_clear (VhostSplitDriver *ring);

/* Puts one chain of n_readable + n_writable pieces in; not yet visible. FALSE when it does not fit.
 * More than one piece goes into an indirect table when there is one. */
gboolean vhost_split_driver_add (VhostSplitDriver *ring, const VhostDriverPiece *pieces,
                                 guint n_readable, guint n_writable, gpointer cookie);

/* Makes what was added visible; TRUE when the device wants a kick. */
gboolean vhost_split_driver_publish (VhostSplitDriver *ring);

/* One used chain; FALSE when there is none or the ring is broken (ring->error). *length is clamped
 * to the chain's writable size. */
gboolean vhost_split_driver_collect (VhostSplitDriver *ring, gpointer *cookie, guint32 *length);

void vhost_split_driver_disable_notifications (VhostSplitDriver *ring);

/* Asks for a call at the next used chain; TRUE when one is there already. */
gboolean vhost_split_driver_enable_notifications (VhostSplitDriver *ring);

/* The device has left; another one goes on at used->idx, and will fetch from there what is
 * available. Puts what was published and not used there, oldest first. FALSE: the used ring does
 * not fit what is outstanding, and the ring is broken. */
gboolean vhost_split_driver_offer_again (VhostSplitDriver *ring);
