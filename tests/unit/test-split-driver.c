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
    vhost_split_driver_set_indirect (driver, guest_at (guest, GUEST_NEXT), GUEST_NEXT, MAX_PIECES);
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
  g_assert_cmpuint (driver.n_outstanding, ==, 2);
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
  g_assert_cmpuint (driver.n_free, ==, 4);
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
  g_assert_cmpint (driver.error.fault, ==, fault);
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
  g_assert_cmpint (driver.error.fault, ==, VHOST_RING_FAULT_NOT_OUTSTANDING);
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
    g_assert_cmpuint (driver.n_free, ==, 8);
  }
  vhost_split_driver_clear (&driver);
}

/* --- Both sides ---------------------------------------------------------------------------- */

/* A driver and a device that sleep until they are notified. Chain number n has pieces and a length
 * that follow from n; its cookie is n, and so are its first bytes. */
typedef struct {
  Guest guest;
  VhostSplitDriver driver;
  VhostSplitDevice device;
  GRand *rand;
  gboolean device_awake;
  gboolean driver_awake;
  guint n_added;
  guint n_collected;
  VhostSlot *in_flight[1024];
  guint n_in_flight;
} Program;

static guint
get_n_pieces (guint number)
{
  return 1 + number % MAX_PIECES;
}

static guint
get_n_readable (guint number)
{
  return number / MAX_PIECES % (get_n_pieces (number) + 1);
}

static guint32
get_piece_length (guint number, guint i)
{
  return 4 + (number * 7 + i * 13) % 60;
}

static guint64
get_piece_address (guint number, guint i)
{
  return GUEST_BUFFERS + (number % 2048) * 512 + i * 64;
}

static gboolean
add_chain (Program *p)
{
  guint number = p->n_added;
  VhostDriverPiece pieces[MAX_PIECES];

  for (guint i = 0; i < get_n_pieces (number); i++)
    pieces[i] = (VhostDriverPiece){ get_piece_address (number, i), get_piece_length (number, i) };
  if (!vhost_split_driver_add (&p->driver, pieces, get_n_readable (number),
                               get_n_pieces (number) - get_n_readable (number),
                               GUINT_TO_POINTER (number)))
    return FALSE;
  memcpy (guest_at (&p->guest, pieces[0].address), &number, sizeof number);
  p->n_added++;
  return TRUE;
}

static void
run_driver (Program *p)
{
  guint n_adds = (guint) g_rand_int_range (p->rand, 0, 40);
  gpointer cookie;
  guint32 length;

  while (vhost_split_driver_collect (&p->driver, &cookie, &length)) {
    guint number = GPOINTER_TO_UINT (cookie);
    guint32 writable = 0;

    for (guint i = get_n_readable (number); i < get_n_pieces (number); i++)
      writable += get_piece_length (number, i);
    g_assert_cmpuint (length, ==, writable - MIN (writable, number % 5));
    p->n_collected++;
  }
  g_assert_cmpint (p->driver.error.fault, ==, VHOST_RING_FAULT_NONE);
  while (n_adds-- > 0 && add_chain (p))
    ;
  if (vhost_split_driver_publish (&p->driver))
    p->device_awake = TRUE;
  p->driver_awake = vhost_split_driver_enable_notifications (&p->driver);
}

static void
check_slot (const VhostSlot *slot)
{
  guint number = *(guint *) slot->iov[0].iov_base;

  g_assert_cmpuint (slot->n_readable, ==, get_n_readable (number));
  g_assert_cmpuint (slot->n_writable, ==, get_n_pieces (number) - get_n_readable (number));
  for (guint i = 0; i < get_n_pieces (number); i++)
    g_assert_cmpuint (slot->iov[i].iov_len, ==, get_piece_length (number, i));
}

static void
run_device (Program *p)
{
  guint n;

  vhost_split_device_disable_notifications (&p->device);
  n = vhost_split_device_pop (&p->device, p->in_flight + p->n_in_flight,
                              (guint) g_rand_int_range (p->rand, 1, 40));
  g_assert_cmpint (p->device.error.fault, ==, VHOST_RING_FAULT_NONE);
  for (guint i = 0; i < n; i++)
    check_slot (p->in_flight[p->n_in_flight + i]);
  p->n_in_flight += n;

  if (vhost_split_device_is_empty (&p->device))
    p->device_awake = vhost_split_device_enable_notifications (&p->device);
}

static void
complete_some (Program *p)
{
  guint n =
      p->n_in_flight > 0 ? (guint) g_rand_int_range (p->rand, 0, (int) p->n_in_flight + 1) : 0;

  while (n-- > 0) {
    guint which = (guint) g_rand_int_range (p->rand, 0, (int) p->n_in_flight);
    VhostSlot *slot = p->in_flight[which];
    guint number = *(guint *) slot->iov[0].iov_base;
    guint32 length = slot->writable_size - MIN (slot->writable_size, number % 5);

    vhost_split_device_push (&p->device, &slot, &length, 1);
    p->in_flight[which] = p->in_flight[--p->n_in_flight];
  }
  if (vhost_split_device_needs_notify (&p->device))
    p->driver_awake = TRUE;
}

/* Whoever sleeps while there is something to do has lost a wake-up. */
static void
run_program (guint16 size, gboolean event_idx, gboolean indirect, guint n_chains)
{
  Program p = { .rand = g_rand_new_with_seed (size), .driver_awake = TRUE };

  driver_init (&p.guest, &p.driver, size, event_idx, indirect);
  vhost_split_device_init (&p.device, size, event_idx, indirect);
  vhost_split_device_set_memory (&p.device, p.guest.memory, p.guest.desc, p.guest.avail,
                                 p.guest.used);
  vhost_split_device_start (&p.device, 0);
  while (p.n_collected < n_chains) {
    if (p.driver_awake)
      run_driver (&p);
    if (p.device_awake && g_rand_boolean (p.rand))
      run_device (&p);
    complete_some (&p);
    if (!p.driver_awake && !p.device_awake && p.n_in_flight == 0) {
      g_assert_cmpuint (p.n_added, ==, p.n_collected);
      p.driver_awake = TRUE; /* it added nothing */
    }
  }
  vhost_split_device_clear (&p.device);
  vhost_split_driver_clear (&p.driver);
  guest_clear (&p.guest);
  g_rand_free (p.rand);
}

static void
test_random_programs (gconstpointer data)
{
  guint mode = GPOINTER_TO_UINT (data);
  const guint16 sizes[] = { 8, 16, 256, 1024 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    run_program (sizes[i], mode & 1, mode & 2, 70000);
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
  g_test_add_data_func ("/split-driver/random-programs/flags", GUINT_TO_POINTER (0),
                        test_random_programs);
  g_test_add_data_func ("/split-driver/random-programs/event-idx", GUINT_TO_POINTER (1),
                        test_random_programs);
  g_test_add_data_func ("/split-driver/random-programs/flags-indirect", GUINT_TO_POINTER (2),
                        test_random_programs);
  g_test_add_data_func ("/split-driver/random-programs/event-idx-indirect", GUINT_TO_POINTER (3),
                        test_random_programs);
  return g_test_run ();
}
