/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations: every page of the view against a plain map after random changes; joining, access,
 * room, questions, ranges that are none. */

#include <string.h>
#include <sys/mman.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "memory/vhost-iotlb-private.h"

#define PAGE VHOST_IOTLB_PAGE
#define N_PAGES 64 /* of I/O addresses that the random changes touch */
#define USER 0x700000
#define RW VHOST_MEMORY_READ_WRITE

typedef struct {
  VhostMemory *memory;
  VhostIotlb *iotlb;
  const guint8 *used; /* a byte that a buffer lies in, or NULL */
} Fixture;

static gboolean
is_used (const guint8 *host, guint64 size, gpointer data)
{
  const Fixture *fixture = data;

  return fixture->used != NULL && (guint64) (fixture->used - host) < size;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  VHOST_AUTO_FD fd = memfd_create ("test", MFD_CLOEXEC);
  g_autoptr (VhostMemory) none = vhost_memory_new ();
  g_autoptr (VhostMemory) one = NULL;
  g_autoptr (VhostMemoryRegion) low = NULL;
  g_autoptr (VhostMemoryRegion) high = NULL;

  g_assert_cmpint (ftruncate (fd, 256 * PAGE), ==, 0);
  low = vhost_memory_region_map (0, 128 * PAGE, USER, fd, 0, NULL);
  high = vhost_memory_region_map (1 << 30, 128 * PAGE, USER + 128 * PAGE, fd, 128 * PAGE, NULL);
  one = vhost_memory_add (none, low, NULL);
  fixture->memory = vhost_memory_add (one, high, NULL);
  fixture->iotlb = vhost_iotlb_new (fixture->memory, is_used, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  vhost_iotlb_free (fixture->iotlb);
  vhost_memory_unref (fixture->memory);
}

static void
update (Fixture *fixture, guint page, guint n, guint to, guint access)
{
  g_assert_true (vhost_iotlb_update (fixture->iotlb, (guint64) page * PAGE, n * PAGE,
                                     USER + to * PAGE, access, NULL));
}

static guint
invalidate (Fixture *fixture, guint64 address, guint64 size)
{
  g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (VhostSpan));

  g_assert_true (vhost_iotlb_invalidate (fixture->iotlb, address, size, lost, NULL));
  return lost->len;
}

static guint
count_rows (Fixture *fixture)
{
  return vhost_iotlb_get_view (fixture->iotlb)->n_guest;
}

static guint8 *
find (Fixture *fixture, guint64 address, guint access)
{
  const VhostSpan *hint = NULL;
  guint64 contiguous;

  return vhost_memory_find_guest (vhost_iotlb_get_view (fixture->iotlb), &hint, address, access,
                                  &contiguous);
}

static guint8 *
get_host (Fixture *fixture, guint page)
{
  return vhost_memory_find_range (fixture->memory, VHOST_ADDRESS_USER, USER + page * PAGE, 1);
}

static void
test_random_changes (Fixture *fixture, gconstpointer data)
{
  guint place[N_PAGES] = { 0 }; /* plus one */
  guint access[N_PAGES] = { 0 };

  for (guint turn = 0; turn < 5000; turn++) {
    guint first = (guint) g_test_rand_int_range (0, N_PAGES);
    guint n = (guint) g_test_rand_int_range (1, (gint) MIN (N_PAGES - first, 12) + 1);
    guint to = (guint) g_test_rand_int_range (0, 256 - 12);
    guint kind = (guint) g_test_rand_int_range (1, 4);
    gboolean ends = g_test_rand_int_range (0, 3) == 0;

    if (g_test_rand_bit ())
      to = first + 100; /* often the same place, over the border of the regions */
    if (ends)
      invalidate (fixture, first * PAGE, n * PAGE);
    else
      update (fixture, first, n, to, kind);
    for (guint i = first; i < first + n; i++) {
      guint moved = to + (i - first) + 1;

      access[i] = ends ? 0 : kind | (place[i] == moved ? access[i] : 0);
      place[i] = ends ? 0 : moved;
    }
    for (guint i = 0; i < N_PAGES; i++) {
      guint8 *expected = place[i] > 0 ? get_host (fixture, place[i] - 1) : NULL;

      for (guint wanted = 1; wanted <= 3; wanted++)
        g_assert_true (find (fixture, i * PAGE + 7, wanted) ==
                       ((access[i] & wanted) == wanted && expected ? expected + 7 : NULL));
    }
  }
}

static void
test_neighbours_are_joined (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < 64; i += 2)
    update (fixture, i, 1, i, RW);
  g_assert_cmpuint (count_rows (fixture), ==, 32);
  for (guint i = 1; i < 64; i += 2)
    update (fixture, i, 1, i, RW);
  g_assert_cmpuint (count_rows (fixture), ==, 1);
  g_assert_cmpuint (invalidate (fixture, 5 * PAGE, PAGE), ==, 1);
  g_assert_cmpuint (count_rows (fixture), ==, 2);
  g_assert_cmpuint (invalidate (fixture, 0, 0), ==, 2);
  g_assert_cmpuint (count_rows (fixture), ==, 0);
}

static void
test_views_do_not_change (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VhostMemory) old = NULL;

  update (fixture, 1, 1, 1, RW);
  old = vhost_memory_ref (vhost_iotlb_get_view (fixture->iotlb));
  update (fixture, 1, 1, 1, VHOST_MEMORY_READ); /* is known */
  g_assert_true (vhost_iotlb_get_view (fixture->iotlb) == old);
  invalidate (fixture, PAGE, PAGE);
  g_assert_null (find (fixture, PAGE, 0));
  g_assert_nonnull (vhost_memory_find_range (old, VHOST_ADDRESS_GUEST, PAGE, PAGE));
}

static void
refuse (Fixture *fixture, guint64 address, guint64 size, guint64 user, guint access)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (vhost_iotlb_update (fixture->iotlb, address, size, user, access, &error));
  g_assert_nonnull (error);
  g_assert_cmpuint (count_rows (fixture), ==, 1);
}

static void
test_what_is_no_range_changes_nothing (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (VhostSpan));

  update (fixture, 1, 1, 1, RW);
  refuse (fixture, 0, 0, USER, RW);
  refuse (fixture, G_MAXUINT64, 2, USER, RW);
  refuse (fixture, 1, G_MAXUINT64, USER, RW);
  refuse (fixture, 0, PAGE, USER - 1, RW);
  refuse (fixture, 0, 256 * PAGE + 1, USER, RW);
  refuse (fixture, 0, PAGE, USER, 0);
  refuse (fixture, 0, PAGE, USER, 4);
  g_assert_false (vhost_iotlb_invalidate (fixture->iotlb, PAGE, 0, lost, NULL));
  g_assert_false (vhost_iotlb_invalidate (fixture->iotlb, PAGE, G_MAXUINT64, lost, NULL));
  g_assert_cmpuint (lost->len + count_rows (fixture), ==, 1);
}

static void
test_the_last_address (Fixture *fixture, gconstpointer data)
{
  guint64 last = G_MAXUINT64 - PAGE + 1;

  g_assert_true (vhost_iotlb_update (fixture->iotlb, last, PAGE, USER, RW, NULL));
  update (fixture, 0, 1, 1, RW); /* its host address follows */
  g_assert_cmpuint (count_rows (fixture), ==, 2);
  g_assert_true (find (fixture, G_MAXUINT64, RW) == get_host (fixture, 0) + PAGE - 1);
  g_assert_cmpuint (invalidate (fixture, last, PAGE), ==, 1);
  g_assert_cmpuint (count_rows (fixture), ==, 1);
}

static void
test_the_oldest_makes_room (Fixture *fixture, gconstpointer data)
{
  update (fixture, 1, 1, 9, RW);
  fixture->used = get_host (fixture, 9);
  for (guint i = 0; i < VHOST_IOTLB_MAX_ROWS; i++)
    update (fixture, 1000 + 2 * i, 1, i % 8, RW);
  g_assert_cmpuint (count_rows (fixture), ==, VHOST_IOTLB_MAX_ROWS);
  g_assert_null (find (fixture, PAGE, 0));
  g_assert_nonnull (find (fixture, 1000 * PAGE, 0));
  g_assert_cmpuint (invalidate (fixture, PAGE, PAGE), ==, 1); /* it is in use, and forgotten */
  fixture->used = NULL;
  g_assert_cmpuint (invalidate (fixture, PAGE, PAGE), ==, 0);
}

static VhostIotlbVerdict
judge (Fixture *fixture, guint64 address, guint access, gint64 now)
{
  VhostIotlbMiss miss = { address, access };

  return vhost_iotlb_judge (fixture->iotlb, &miss, now, 100);
}

static void
test_questions (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpint (judge (fixture, PAGE, RW, 0), ==, VHOST_IOTLB_ASK);
  g_assert_cmpint (judge (fixture, PAGE + 9, VHOST_MEMORY_READ, 1), ==, VHOST_IOTLB_WAIT);
  g_assert_cmpint (judge (fixture, PAGE, RW, 101), ==, VHOST_IOTLB_ASK);
  update (fixture, 1, 1, 1, VHOST_MEMORY_READ); /* the first of two answers */
  g_assert_cmpint (judge (fixture, PAGE, RW, 102), ==, VHOST_IOTLB_WAIT);
  update (fixture, 1, 1, 1, VHOST_MEMORY_READ);
  g_assert_cmpint (judge (fixture, PAGE, RW, 103), ==, VHOST_IOTLB_DENY);
  g_assert_cmpint (judge (fixture, PAGE, RW, 104), ==, VHOST_IOTLB_WAIT);
  invalidate (fixture, PAGE, PAGE);
  g_assert_false (vhost_iotlb_is_asking (fixture->iotlb));
  for (guint i = 0; i < VHOST_IOTLB_MAX_ASKED; i++)
    g_assert_cmpint (judge (fixture, i * PAGE, RW, 200), ==, VHOST_IOTLB_ASK);
  g_assert_cmpint (judge (fixture, 1000 * PAGE, RW, 200), ==, VHOST_IOTLB_WAIT);
  g_assert_cmpint (judge (fixture, 1000 * PAGE, RW, 301), ==, VHOST_IOTLB_ASK);
}

static void
test_a_flush_takes_other_regions (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VhostMemory) none = vhost_memory_new ();

  update (fixture, 1, 1, 1, RW);
  vhost_iotlb_flush (fixture->iotlb, none);
  g_assert_cmpuint (count_rows (fixture), ==, 0);
  g_assert_false (vhost_iotlb_update (fixture->iotlb, 0, PAGE, USER, RW, NULL));
}

#define ADD(name) g_test_add ("/iotlb/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD (random_changes);
  ADD (neighbours_are_joined);
  ADD (views_do_not_change);
  ADD (what_is_no_range_changes_nothing);
  ADD (the_last_address);
  ADD (the_oldest_makes_room);
  ADD (questions);
  ADD (a_flush_takes_other_regions);
  return g_test_run ();
}
