/* SPDX-License-Identifier: BSD-3-Clause */
/* A split ring whose device left and is followed by another one: what the new device will fetch. */

#include "ring/vhost-split-driver-private.h"
#include "test-ring.h"

#define SIZE 16

static guint16
add (VhostSplitDriver *driver)
{
  const VhostDriverPiece piece = { 0x1000, 16 };
  guint16 head = driver->common.free_head;

  g_assert_true (vhost_split_driver_add (driver, &piece, 0, 1, NULL));
  return head;
}

static void
use (Guest *guest, guint32 id)
{
  guint16 idx = vhost_ring_load16 (&guest->used->idx);

  guest->used->ring[idx & (SIZE - 1)].id = GUINT32_TO_LE (id);
  vhost_ring_store16_release (&guest->used->idx, idx + 1);
}

/* The ring holds exactly @heads from the used index on. */
static void
assert_available (Guest *guest, const GArray *heads)
{
  guint16 idx = vhost_ring_load16 (&guest->used->idx);

  g_assert_cmpuint ((guint16) (vhost_ring_load16 (&guest->avail->idx) - idx), ==, heads->len);
  for (guint i = 0; i < heads->len; i++)
    g_assert_cmpuint (vhost_ring_load16 (&guest->avail->ring[(guint16) (idx + i) & (SIZE - 1)]), ==,
                      g_array_index (heads, guint16, i));
}

/* Adds, publishes, uses in any order, collects and loses its device, at random, round the indexes.
 */
static void
test_random (void)
{
  g_auto (Guest) guest = { 0 };
  g_autoptr (GArray) waiting = g_array_new (FALSE, FALSE, sizeof (guint16)); /* oldest first */
  VhostSplitDriver driver;
  guint n_hidden = 0; /* at the end of waiting: not published */
  guint n_resumed = 0;
  gpointer cookie;
  guint32 length;

  guest_init (&guest, SIZE);
  vhost_split_driver_init (&driver, SIZE, FALSE, guest.desc, guest.avail, guest.used);
  for (guint step = 0; step < 1000000; step++) {
    guint what = (guint) g_test_rand_int_range (0, 16);

    if (what < 6 && driver.common.n_free > 0) {
      guint16 head = add (&driver);

      g_array_append_val (waiting, head);
      n_hidden++;
    } else if (what < 9) {
      vhost_split_driver_publish (&driver);
      n_hidden = 0;
    } else if (what < 12 && waiting->len > n_hidden) {
      guint i = (guint) g_test_rand_int_range (0, (gint32) (waiting->len - n_hidden));

      use (&guest, g_array_index (waiting, guint16, i));
      g_array_remove_index (waiting, i);
    } else if (what < 15) {
      vhost_split_driver_collect (&driver, &cookie, &length);
    } else {
      g_assert_true (vhost_split_driver_offer_again (&driver));
      vhost_split_driver_publish (&driver);
      n_hidden = 0;
      assert_available (&guest, waiting);
      n_resumed++;
    }
    g_assert_cmpint (driver.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  }
  g_assert_cmpuint (n_resumed, >, 10000);
  g_assert_cmpuint (driver.n_added, >, 2 * G_MAXUINT16);
  vhost_split_driver_clear (&driver);
}

typedef void (*Attack) (Guest *guest);

static void
jump (Guest *guest)
{
  vhost_ring_store16 (&guest->used->idx, 5);
}

static void
go_back (Guest *guest)
{
  vhost_ring_store16 (&guest->used->idx, 0xffff);
}

static void
use_beyond (Guest *guest)
{
  use (guest, SIZE);
}

static void
use_twice (Guest *guest)
{
  use (guest, 1);
  use (guest, 1);
}

static void
use_free (Guest *guest)
{
  use (guest, 9);
}

static void
use_unpublished (Guest *guest)
{
  use (guest, 3);
}

static void
test_hostile (void)
{
  const Attack attacks[] = { jump, go_back, use_beyond, use_twice, use_free, use_unpublished };

  for (guint i = 0; i < G_N_ELEMENTS (attacks); i++) {
    g_auto (Guest) guest = { 0 };
    VhostSplitDriver driver;

    guest_init (&guest, SIZE);
    vhost_split_driver_init (&driver, SIZE, FALSE, guest.desc, guest.avail, guest.used);
    for (guint n = 0; n < 3; n++)
      add (&driver);
    vhost_split_driver_publish (&driver);
    add (&driver); /* head 3 */
    attacks[i](&guest);
    g_assert_false (vhost_split_driver_offer_again (&driver));
    g_assert_cmpint (driver.common.error.fault, !=, VHOST_RING_FAULT_NONE);
    vhost_split_driver_clear (&driver);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/split-driver/another-device", test_random);
  g_test_add_func ("/hostile/H092-before-another-device", test_hostile);
  return g_test_run ();
}
