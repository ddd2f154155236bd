/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables: overlap, lookup at every edge against a plain search, reads across regions. */

#include <string.h>
#include <sys/mman.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "memory/vhost-memory-private.h"
#include "test-fds.h"

#define PAGE 4096

static VhostMemoryRegion *
make_region (guint64 guest, guint64 size, guint64 user)
{
  VHOST_AUTO_FD fd = memfd_create ("test", MFD_CLOEXEC);
  VhostMemoryRegion *region;

  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  region = vhost_memory_region_map (guest, size, user, fd, 0, NULL);
  g_assert_nonnull (region);
  return region;
}

static void
add (VhostMemory **memory, guint64 guest, guint64 size, guint64 user)
{
  g_autoptr (VhostMemoryRegion) region = make_region (guest, size, user);
  VhostMemory *sum = vhost_memory_add (*memory, region, NULL);

  g_assert_nonnull (sum);
  vhost_memory_unref (*memory);
  *memory = sum;
}

static void
assert_overlaps (VhostMemory *memory, guint64 guest, guint64 size, guint64 user, const char *what)
{
  g_autoptr (VhostMemoryRegion) region = make_region (guest, size, user);
  g_autoptr (GError) error = NULL;

  g_assert_null (vhost_memory_add (memory, region, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_MEMORY);
  g_assert_nonnull (strstr (error->message, what));
}

static void
test_overlap (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();

  add (&memory, 4 * PAGE, 4 * PAGE, 0x100000);
  assert_overlaps (memory, 4 * PAGE, 4 * PAGE, 0x200000, "guest physical");
  assert_overlaps (memory, 7 * PAGE, 4 * PAGE, 0x200000, "guest physical");
  assert_overlaps (memory, PAGE, 4 * PAGE, 0x200000, "guest physical");
  assert_overlaps (memory, 5 * PAGE, PAGE, 0x200000, "guest physical");
  assert_overlaps (memory, 100 * PAGE, PAGE, 0x100000 + 3 * PAGE, "user");
  add (&memory, 8 * PAGE, PAGE, 0x100000 + 4 * PAGE);
  add (&memory, 3 * PAGE, PAGE, 0x100000 - PAGE);
  g_assert_cmpuint (vhost_memory_get_n_regions (memory), ==, 3);
  g_assert_cmpuint (vhost_memory_region_get_guest_address (vhost_memory_get_region (memory, 0)), ==,
                    3 * PAGE);
  g_assert_null (vhost_memory_get_region (memory, 3));
}

static void
test_remove (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();
  g_autoptr (VhostMemory) rest = NULL;
  g_autoptr (GError) error = NULL;

  add (&memory, 0, PAGE, 0x100000);
  add (&memory, 4 * PAGE, PAGE, 0x200000);
  g_assert_null (vhost_memory_remove (memory, 0, 2 * PAGE, 0x100000, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_MEMORY);
  rest = vhost_memory_remove (memory, 0, PAGE, 0x100000, NULL);
  g_assert_cmpuint (vhost_memory_get_n_regions (rest), ==, 1);
  g_assert_cmpuint (vhost_memory_get_n_regions (memory), ==, 2);
  g_assert_null (vhost_memory_find_range (rest, VHOST_ADDRESS_USER, 0x100000, 1));
  g_assert_nonnull (vhost_memory_find_range (memory, VHOST_ADDRESS_USER, 0x100000, 1));
}

/* Every address near an edge, with a hint from anywhere: the same answer as a walk through all
 * regions. */
static void
test_lookup (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();
  const VhostSpan *hint = NULL;

  for (guint i = 0; i < 40; i++)
    add (&memory, i * (guint64) 8 * PAGE, (i % 8 + 1) * PAGE, (40 - i) * (guint64) 0x1000000);
  for (guint i = 0; i < 40; i++) {
    const VhostMemoryRegion *region = memory->regions[i];

    for (int delta = -2; delta <= 2; delta++) {
      guint64 address = region->guest_address + region->size + (guint64) delta;
      guint64 contiguous = 0;
      guint8 *expected = delta < 0 ? region->host + region->size + delta : NULL;

      if (i % 8 == 7 && i < 39 && delta >= 0)
        expected = memory->regions[i + 1]->host + delta; /* the next one touches */

      g_assert_true (vhost_memory_find_guest (memory, &hint, address, 0, &contiguous) == expected);
      if (delta < 0)
        g_assert_cmpuint (contiguous, ==, (guint64) -delta);
    }
    g_assert_true (vhost_memory_find_range (memory, VHOST_ADDRESS_USER, region->user_address,
                                            region->size) == region->host);
    g_assert_null (vhost_memory_find_range (memory, VHOST_ADDRESS_USER, region->user_address,
                                            region->size + 1));
    g_assert_null (vhost_memory_find_range (memory, VHOST_ADDRESS_USER, region->user_address + 1,
                                            G_MAXUINT64));
  }
}

static void
test_read_write (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes = NULL;
  gsize length;

  add (&memory, 0, PAGE, 0x100000);
  add (&memory, PAGE, PAGE, 0x500000);
  g_assert_true (vhost_memory_write (memory, PAGE - 3, (const guint8 *) "abcdef", 6, NULL));
  bytes = vhost_memory_read (memory, PAGE - 3, 6, &length, NULL);
  g_assert_cmpmem (bytes, length, "abcdef", 6);
  g_assert_false (vhost_memory_write (memory, 2 * PAGE - 1, (const guint8 *) "xy", 2, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_ADDRESS);
  g_assert_cmpint (memory->regions[1]->host[PAGE - 1], ==, 0);
  g_clear_error (&error);
  g_assert_null (vhost_memory_read (memory, 0, G_MAXSIZE, &length, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_ADDRESS);
}

static void
test_broken (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();

  add (&memory, 0, PAGE, 0x100000);
  add (&memory, PAGE, PAGE, 0x500000);
  g_assert_null (vhost_memory_find_broken (memory));
  memory->regions[1]->broken = 1;
  g_assert_true (vhost_memory_find_broken (memory) == memory->regions[1]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/hostile/H031-overlap", test_overlap);
  add_fd_test ("/memory/remove", test_remove);
  add_fd_test ("/memory/lookup", test_lookup);
  add_fd_test ("/memory/read-write", test_read_write);
  add_fd_test ("/memory/broken", test_broken);
  return g_test_run ();
}
