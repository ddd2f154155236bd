/* SPDX-License-Identifier: BSD-3-Clause */
/* Positions in a packed ring, which both sides count alike. (VIRTIO 1.4, sections 2.8.1 and 2.8.10)
 */
#pragma once

#include "ring/vhost-ring-private.h"

#define VHOST_PACKED_POSITION_MASK 0x7fff

static inline void
vhost_packed_advance (guint16 *position, gboolean *wrap, guint n, guint16 size)
{
  guint sum = *position + n;

  if (G_UNLIKELY (sum >= size)) {
    sum -= size;
    *wrap = !*wrap;
  }
  *position = (guint16) sum;
}

/* Has the position @now, on its last @n steps, passed the one that the other side asked for? */
static inline gboolean
vhost_packed_has_passed (guint16 event, guint16 now, gboolean wrap, guint n, guint16 size)
{
  gboolean same_lap = ((event & VHOST_PACKED_WRAP) != 0) == wrap;
  guint16 wanted = event & VHOST_PACKED_POSITION_MASK;

  if (!same_lap)
    wanted -= size;
  return vhost_ring_has_crossed (wanted, (guint16) (now - n), now);
}
