/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a split ring: alone, against a hostile device, and with random programs
 * against the device side of this library. */

#include "ring/vhost-split-device-private.h"
#include "ring/vhost-split-driver-private.h"
#include "test-ring.h"

#define MAX_PIECES 6

static void
driver_init (Guest *guest, VhostSplitDriver *driver, guint16 size, gboolean event_idx,
             gboolean indirect)
{
  guest_init (guest, size);
  vhost_split_driver_init (driver, size, event_idx, guest->desc, guest->avail, guest->used);
  if (indirect)
    vhost_driver_common_set_indirect (&driver->common, guest_at (guest, GUEST_NEXT), GUEST_NEXT,
                                      MAX_PIECES);
}

static void
use (Guest *guest, guint32 id, guint32 length)
{
  guint16 idx = vhost_ring_load16 (&guest->used->idx);
  VhostRingUsedElem *elem = &guest->used->ring[idx & (guest->size - 1)];

  elem->id = GUINT32_TO_LE (id);
  elem->len = GUINT32_TO_LE (length);
  vhost_ring_store16_release (&guest->used->idx, idx + 1);
}

static void
test_direct (void)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece pieces[] = { { 0x1000, 16 }, { 0x2000, 32 }, { 0x3000, 64 } };
  gpointer cookie;
  guint32 length;

  driver_init (&guest, &driver, 4, FALSE, FALSE);
  g_assert_false (vhost_split_driver_publish (&driver));
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 2, &driver));
  g_assert_false (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 0, &guest));
  g_assert_false (vhost_split_driver_add (&driver, pieces, 0, 0, NULL));
  g_assert_cmpuint (driver.common.n_outstanding, ==, 2);
  g_assert_cmpuint (guest.avail->idx, ==, 0);
  g_assert_true (vhost_split_driver_publish (&driver));
  g_assert_cmpuint (GUINT16_FROM_LE (guest.avail->idx), ==, 2);
  g_assert_cmpuint (GUINT16_FROM_LE (guest.desc[0].flags), ==, VHOST_RING_DESC_NEXT);
  g_assert_cmpuint (GUINT16_FROM_LE (guest.desc[2].flags), ==, VHOST_RING_DESC_WRITE);
  g_assert_cmpuint (GUINT32_FROM_LE (guest.desc[2].len), ==, 64);

  g_assert_false (vhost_split_driver_collect (&driver, &cookie, &length));
  use (&guest, 3, 0);
  use (&guest, 0, 5000);
  g_assert_true (vhost_split_driver_collect (&driver, &cookie, &length));
  g_assert_true (cookie == &guest);
  g_assert_true (vhost_split_driver_collect (&driver, &cookie, &length));
  g_assert_true (cookie == &driver);
  g_assert_cmpuint (length, ==, 96);
  g_assert_cmpuint (driver.common.n_free, ==, 4);
  vhost_split_driver_clear (&driver);
}

static void
test_indirect (void)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece pieces[] = { { 0x1000, 16 }, { 0x2000, 32 } };
  const VhostRingDesc *table;

  driver_init (&guest, &driver, 2, FALSE, TRUE);
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  g_assert_false (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  g_assert_cmpuint (GUINT16_FROM_LE (guest.desc[1].flags), ==, VHOST_RING_DESC_INDIRECT);
  g_assert_cmpuint (GUINT32_FROM_LE (guest.desc[1].len), ==, 32);
  table = guest_at (&guest, GUINT64_FROM_LE (guest.desc[1].addr));
  g_assert_cmpuint (GUINT64_FROM_LE (table[1].addr), ==, 0x2000);
  vhost_split_driver_clear (&driver);
}

static void
test_event_idx (void)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece piece = { 0x1000, 16 };

  driver_init (&guest, &driver, 8, TRUE, FALSE);
  vhost_ring_store16 (vhost_ring_get_avail_event (guest.used, 8), 3);
  for (guint i = 0; i < 6; i++) {
    g_assert_true (vhost_split_driver_add (&driver, &piece, 1, 0, NULL));
    g_assert_cmpint (vhost_split_driver_publish (&driver), ==, i == 0 || i == 3);
  }
  g_assert_false (vhost_split_driver_enable_notifications (&driver));
  use (&guest, 0, 0);
  g_assert_true (vhost_split_driver_enable_notifications (&driver));
  vhost_split_driver_clear (&driver);
}

/* --- Hostile devices ----------------------------------------------------------------------- */

static void
assert_rejected (guint32 id, guint16 used_idx, VhostRingFault fault)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece pieces[] = { { 0x1000, 16 }, { 0x2000, 32 } };
  gpointer cookie;
  guint32 length;

  driver_init (&guest, &driver, 8, FALSE, FALSE);
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 1, NULL));
  vhost_split_driver_publish (&driver);
  use (&guest, id, 0);
  vhost_ring_store16 (&guest.used->idx, used_idx);
  for (guint i = 0; i < 3; i++)
    g_assert_false (vhost_split_driver_collect (&driver, &cookie, &length));
  g_assert_cmpint (driver.common.error.fault, ==, fault);
  vhost_split_driver_clear (&driver);
}

static void
test_used_id (void)
{
  assert_rejected (8, 1, VHOST_RING_FAULT_HEAD_RANGE);
  assert_rejected (0x10000, 1, VHOST_RING_FAULT_HEAD_RANGE);
  assert_rejected (1, 1, VHOST_RING_FAULT_NOT_OUTSTANDING); /* the middle of a chain */
  assert_rejected (5, 1, VHOST_RING_FAULT_NOT_OUTSTANDING);
  assert_rejected (0, 3, VHOST_RING_FAULT_INDEX_JUMP);
  assert_rejected (0, 65535, VHOST_RING_FAULT_INDEX_JUMP);
}

static void
test_used_twice (void)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece piece = { 0x1000, 16 };
  gpointer cookie;
  guint32 length;

  driver_init (&guest, &driver, 8, FALSE, FALSE);
  g_assert_true (vhost_split_driver_add (&driver, &piece, 0, 1, NULL));
  g_assert_true (vhost_split_driver_add (&driver, &piece, 0, 1, NULL));
  vhost_split_driver_publish (&driver);
  use (&guest, 0, 4);
  use (&guest, 0, 4);
  g_assert_true (vhost_split_driver_collect (&driver, &cookie, &length));
  g_assert_false (vhost_split_driver_collect (&driver, &cookie, &length));
  g_assert_cmpint (driver.common.error.fault, ==, VHOST_RING_FAULT_NOT_OUTSTANDING);
  vhost_split_driver_clear (&driver);
}

/* What the device writes into the descriptor table does not lead the driver astray. */
static void
test_overwritten_table (void)
{
  g_auto (Guest) guest = { 0 };
  VhostSplitDriver driver;
  const VhostDriverPiece pieces[] = { { 0x1000, 16 }, { 0x2000, 32 }, { 0x3000, 4 } };
  gpointer cookie;
  guint32 length;

  driver_init (&guest, &driver, 8, FALSE, FALSE);
  for (guint i = 0; i < 1000; i++) {
    g_assert_true (vhost_split_driver_add (&driver, pieces, 1, 2, NULL));
    vhost_split_driver_publish (&driver);
    use (&guest, driver.avail->ring[i & 7], G_MAXUINT32);
    memset (guest.desc, 0xff, VHOST_RING_DESC_BYTES (8));
    memset (guest.avail, 0xff, VHOST_RING_AVAIL_BYTES (8));
    g_assert_true (vhost_split_driver_collect (&driver, &cookie, &length));
    g_assert_cmpuint (length, ==, 36);
    g_assert_cmpuint (driver.common.n_free, ==, 8);
  }
  vhost_split_driver_clear (&driver);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/split-driver/direct", test_direct);
  g_test_add_func ("/split-driver/indirect", test_indirect);
  g_test_add_func ("/split-driver/event-idx", test_event_idx);
  g_test_add_func ("/hostile/H092-used-id", test_used_id);
  g_test_add_func ("/hostile/H092-used-twice", test_used_twice);
  g_test_add_func ("/hostile/H092-overwritten-table", test_overwritten_table);
  return g_test_run ();
}
