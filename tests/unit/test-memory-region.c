/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions: what may be mapped, where the bytes are, and what happens when the file goes away. */

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <gio/gio.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "memory/vhost-memory-private.h"
#include "test-fds.h"

#define SIZE (16 * 4096)

static int
make_file (gsize size)
{
  int fd = memfd_create ("test", MFD_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  return fd;
}

static void
test_offset (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = make_file (SIZE);
  g_autoptr (VhostMemoryRegion) region = NULL;

  g_assert_cmpint (pwrite (fd, "hello", 5, 5000), ==, 5);
  region = vhost_memory_region_new (0x1000, 8192, 0x7000, fd, 5000, NULL);
  g_assert_nonnull (region);
  g_assert_cmpmem (region->host, 5, "hello", 5);
  g_assert_cmpuint (vhost_memory_region_get_guest_address (region), ==, 0x1000);
  g_assert_cmpuint (vhost_memory_region_get_user_address (region), ==, 0x7000);
  g_assert_cmpuint (vhost_memory_region_get_size (region), ==, 8192);
  g_assert_cmpuint (vhost_memory_region_get_offset (region), ==, 5000);
  g_assert_cmpint (vhost_memory_region_peek_fd (region), !=, fd);
}

static void
assert_refused (guint64 guest, guint64 size, guint64 user, int fd, guint64 offset)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (vhost_memory_region_map (guest, size, user, fd, offset, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_MEMORY);
}

static void
test_numbers (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = make_file (SIZE);

  assert_refused (0, 0, 0, fd, 0);
  assert_refused (G_MAXUINT64 - 4095, 8192, 0, fd, 0);
  assert_refused (0, 8192, G_MAXUINT64 - 4095, fd, 0);
  assert_refused (0, 8192, 0, fd, G_MAXUINT64 - 4095);
  assert_refused (0, G_MAXINT64, 0, fd, 4096);
}

static void
test_last_byte (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = make_file (SIZE);
  g_autoptr (VhostMemoryRegion) region =
      vhost_memory_region_map (G_MAXUINT64 - 4095, 4096, G_MAXUINT64 - 4095, fd, 0, NULL);

  g_assert_nonnull (region);
}

static void
test_short_file (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = make_file (SIZE);

  assert_refused (0, SIZE + 1, 0, fd, 0);
  assert_refused (0, SIZE, 0, fd, 1);
}

static void
test_no_file (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  VHOST_AUTO_FD event = vhost_fd_new_event (NULL);
  VHOST_AUTO_FD read_only = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  g_autoptr (GError) error = NULL;

  assert_refused (0, 4096, 0, zero, 0);
  assert_refused (0, 4096, 0, event, 0);
  g_assert_null (vhost_memory_region_map (0, 4096, 0, read_only, 0, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
}

static void
test_shrink (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = make_file (SIZE);
  g_autoptr (VhostMemoryRegion) region = vhost_memory_region_map (0, SIZE, 0, fd, 0, NULL);
  g_autoptr (VhostMemoryRegion) whole = NULL;
  VHOST_AUTO_FD other = make_file (SIZE);
  guint count = vhost_sigbus_get_count ();

  whole = vhost_memory_region_map (0, SIZE, 0, other, 0, NULL);
  g_assert_cmpint (ftruncate (fd, 4096), ==, 0);
  region->host[0] = 1;
  g_assert_false (vhost_memory_region_is_broken (region));
  region->host[8191] = 7; /* SIGBUS */
  g_assert_true (vhost_memory_region_is_broken (region));
  g_assert_cmpint (region->host[8191], ==, 7);
  g_assert_cmpint (region->host[0], ==, 1);
  g_assert_false (vhost_memory_region_is_broken (whole));
  g_assert_cmpuint (vhost_sigbus_get_count (), ==, count + 1);
}

static void
touch_foreign_memory (void)
{
  VHOST_AUTO_FD fd = make_file (4096);
  volatile guint8 *foreign = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

  g_assert_cmpint (ftruncate (fd, 0), ==, 0);
  *foreign = 1;
}

/* A fault outside guest memory stays what it was. */
static void
test_foreign_fault (guint *n_fds, gconstpointer data)
{
  if (g_test_subprocess ()) {
    VHOST_AUTO_FD fd = make_file (4096);
    g_autoptr (VhostMemoryRegion) region = vhost_memory_region_map (0, 4096, 0, fd, 0, NULL);

    g_assert_nonnull (region);
    touch_foreign_memory ();
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/memory-region/offset", test_offset);
  add_fd_test ("/memory-region/last-byte", test_last_byte);
  add_fd_test ("/hostile/H026-H027-numbers", test_numbers);
  add_fd_test ("/hostile/H028-short-file", test_short_file);
  add_fd_test ("/hostile/H030-no-file", test_no_file);
  add_fd_test ("/hostile/H029-file-shrinks", test_shrink);
  add_fd_test ("/memory-region/foreign-fault", test_foreign_fault);
  return g_test_run ();
}
