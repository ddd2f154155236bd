/* SPDX-License-Identifier: BSD-3-Clause */
/* A device side on a ring that is written by hand. */
#pragma once

#include "ring/vhost-split-device-private.h"
#include "test-ring.h"

#define NEXT VHOST_RING_DESC_NEXT
#define WRITE VHOST_RING_DESC_WRITE
#define INDIRECT VHOST_RING_DESC_INDIRECT

typedef struct {
  Guest guest;
  VhostSplitDevice ring;
} Fixture;

static inline void
fixture_init (Fixture *f, guint16 size, gboolean event_idx, guint16 base)
{
  guest_init (&f->guest, size);
  guest_set_avail_idx (&f->guest, base);
  vhost_split_device_init (&f->ring, size, event_idx, TRUE);
  vhost_split_device_set_memory (&f->ring, f->guest.memory, f->guest.desc, f->guest.avail,
                                 f->guest.used);
  vhost_split_device_start (&f->ring, base);
}

static inline void
fixture_clear (Fixture *f)
{
  vhost_split_device_clear (&f->ring);
  guest_clear (&f->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static inline VhostSlot *
pop (Fixture *f)
{
  VhostSlot *slot = NULL;

  return vhost_split_device_pop (&f->ring, &slot, 1) == 1 ? slot : NULL;
}

static inline void
push (Fixture *f, VhostSlot *slot, guint32 length)
{
  vhost_split_device_push (&f->ring, &slot, &length, 1);
}

static inline void
assert_iov (Fixture *f, const VhostSlot *slot, guint i, guint64 address, gsize length)
{
  g_assert_true (slot->iov[i].iov_base == guest_at (&f->guest, address));
  g_assert_cmpuint (slot->iov[i].iov_len, ==, length);
}

/* Nothing comes out, now and later, for this reason. */
static inline void
assert_fault (Fixture *f, VhostRingFault fault)
{
  g_assert_null (pop (f));
  g_assert_cmpint (f->ring.common.error.fault, ==, fault);
  g_assert_null (pop (f));
  g_assert_true (vhost_split_device_is_empty (&f->ring));
  g_assert_cmpstr (vhost_ring_fault_get_text (fault), !=, "unknown fault");
}
