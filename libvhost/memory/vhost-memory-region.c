/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns one mapping of guest memory. Immutable, any thread. The file behind it is the peer's and may
 * be cut short at any time: it is measured before it is mapped, and the SIGBUS guard stands behind
 * each mapping. (vhost-user, “Memory region description”, “Multiple memory regions”) */

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "memory/vhost-memory-private.h"

G_DEFINE_BOXED_TYPE (VhostMemoryRegion, vhost_memory_region, vhost_memory_region_ref,
                     vhost_memory_region_unref)

/* Offsets and lengths of a mapping are multiples of this: the size of a huge page on hugetlbfs. */
static gsize
get_page_size (int fd)
{
  struct statfs fs;

  if (fstatfs (fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0)
    return (gsize) fs.f_bsize;
  return (gsize) sysconf (_SC_PAGESIZE);
}

static gboolean
check_numbers (guint64 guest_address, guint64 size, guint64 user_address, guint64 offset,
               GError **error)
{
  if (size == 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "memory region of no size");
  if (guest_address + (size - 1) < guest_address || user_address + (size - 1) < user_address)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "memory region of 0x%" G_GINT64_MODIFIER
                            "x bytes at guest 0x%" G_GINT64_MODIFIER "x, user 0x%" G_GINT64_MODIFIER
                            "x wraps around the address space",
                            size, guest_address, user_address);
  if (offset + size < offset || offset + size > G_MAXINT64)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "memory region of 0x%" G_GINT64_MODIFIER
                            "x bytes at file offset 0x%" G_GINT64_MODIFIER "x overflows",
                            size, offset);
  return TRUE;
}

static gboolean
check_file (int fd, guint64 end, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot look at the file of a memory region");
  if (!S_ISREG (status.st_mode))
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "the descriptor of a memory region is not a file in memory");
  if ((guint64) status.st_size < end)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "memory region ends at byte 0x%" G_GINT64_MODIFIER
                            "x of a file of 0x%" G_GINT64_MODIFIER "x bytes",
                            end, (guint64) status.st_size);
  return TRUE;
}

static gboolean
map_file (VhostMemoryRegion *region, int fd, int flags, GError **error)
{
  guint64 start = region->offset - region->offset % region->page_size;
  guint64 end = region->offset + region->size;
  guint64 length = (end - start + region->page_size - 1) / region->page_size * region->page_size;
  void *base =
      mmap (NULL, length, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, (off_t) start);

  if (base == MAP_FAILED)
    return vhost_set_error_from_errno (
        error, errno, "cannot map a memory region of 0x%" G_GINT64_MODIFIER "x bytes",
        region->size);
  /* Guest memory has no place in our core dumps; a kernel that does not know this is as good. */
  madvise (base, length, MADV_DONTDUMP);
  region->map_base = base;
  region->map_length = length;
  region->host = region->map_base + (region->offset - start);
  vhost_sigbus_register (region->map_base, region->map_length, region->page_size, &region->broken);
  return TRUE;
}

static VhostMemoryRegion *
map_region (guint64 guest_address, guint64 size, guint64 user_address, int fd, guint64 offset,
            int flags, GError **error)
{
  g_autoptr (VhostMemoryRegion) region = g_new0 (VhostMemoryRegion, 1);

  g_atomic_ref_count_init (&region->ref_count);
  region->fd = -1;
  region->guest_address = guest_address;
  region->user_address = user_address;
  region->size = size;
  region->offset = offset;
  region->page_size = get_page_size (fd);
  if (!map_file (region, fd, flags, error))
    return NULL;
  return g_steal_pointer (&region);
}

VhostMemoryRegion *
vhost_memory_region_map (guint64 guest_address, guint64 size, guint64 user_address, int fd,
                         guint64 offset, GError **error)
{
  if (!check_numbers (guest_address, size, user_address, offset, error) ||
      !check_file (fd, offset + size, error))
    return NULL;
  return map_region (guest_address, size, user_address, fd, offset, MAP_SHARED, error);
}

VhostMemoryRegion *
vhost_memory_region_map_device (guint64 address, guint64 size, int fd, guint64 offset,
                                gboolean writable, GError **error)
{
  if (!check_numbers (address, size, address, offset, error))
    return NULL;
  return map_region (address, size, address, fd, offset, writable ? MAP_SHARED : MAP_PRIVATE,
                     error);
}

/**
 * vhost_memory_region_new: (constructor)
 * @guest_address: guest physical address of the first byte
 * @size: bytes; not 0
 * @user_address: the front-end's address of the first byte; an opaque key for everybody else
 * @fd: a memfd, or a file on tmpfs or hugetlbfs; duplicated
 * @offset: where in the file the region begins, in bytes; need not be page aligned
 * @error: return location
 *
 * Maps a piece of a file as guest memory, readable and writable, shared. The region holds a
 * descriptor, so that it can be handed to a back-end. May be called from any thread.
 *
 * Returns: (transfer full): the region, or %NULL with %VHOST_ERROR_BAD_MEMORY when the numbers are
 *   impossible or the file is too short, or a #GIOErrorEnum when it cannot be mapped
 *
 * Since: 1.0
 */
VhostMemoryRegion *
vhost_memory_region_new (guint64 guest_address, guint64 size, guint64 user_address, int fd,
                         guint64 offset, GError **error)
{
  VHOST_AUTO_FD copy = vhost_fd_dup (fd, error);
  VhostMemoryRegion *region;

  if (copy < 0)
    return NULL;
  region = vhost_memory_region_map (guest_address, size, user_address, copy, offset, error);
  if (region != NULL)
    region->fd = vhost_fd_steal (&copy);
  return region;
}

/**
 * vhost_memory_region_ref:
 * @region: a region
 *
 * Takes one more reference. May be called from any thread.
 *
 * Returns: (transfer full): @region
 *
 * Since: 1.0
 */
VhostMemoryRegion *
vhost_memory_region_ref (VhostMemoryRegion *region)
{
  g_atomic_ref_count_inc (&region->ref_count);
  return region;
}

/**
 * vhost_memory_region_unref:
 * @region: (transfer full): a region
 *
 * Drops a reference; the last one unmaps. May be called from any thread.
 *
 * Since: 1.0
 */
void
vhost_memory_region_unref (VhostMemoryRegion *region)
{
  if (!g_atomic_ref_count_dec (&region->ref_count))
    return;
  if (region->map_base != NULL) {
    vhost_sigbus_unregister (region->map_base);
    munmap (region->map_base, region->map_length);
  }
  vhost_fd_clear (&region->fd);
  g_free (region);
}

/**
 * vhost_memory_region_get_guest_address:
 * @region: a region
 *
 * Tells where the guest sees the region.
 *
 * Returns: guest physical address of the first byte
 *
 * Since: 1.0
 */
guint64
vhost_memory_region_get_guest_address (VhostMemoryRegion *region)
{
  return region->guest_address;
}

/**
 * vhost_memory_region_get_size:
 * @region: a region
 *
 * Tells how large the region is.
 *
 * Returns: its size in bytes
 *
 * Since: 1.0
 */
guint64
vhost_memory_region_get_size (VhostMemoryRegion *region)
{
  return region->size;
}

/**
 * vhost_memory_region_get_user_address:
 * @region: a region
 *
 * Tells where the front-end has mapped the region.
 *
 * Returns: the front-end's address of the first byte
 *
 * Since: 1.0
 */
guint64
vhost_memory_region_get_user_address (VhostMemoryRegion *region)
{
  return region->user_address;
}

/**
 * vhost_memory_region_get_offset:
 * @region: a region
 *
 * Tells where in its file the region begins.
 *
 * Returns: the offset in bytes
 *
 * Since: 1.0
 */
guint64
vhost_memory_region_get_offset (VhostMemoryRegion *region)
{
  return region->offset;
}

/**
 * vhost_memory_region_peek_fd:
 * @region: a region
 *
 * Looks at the descriptor of the file, which stays the region's.
 *
 * Returns: the descriptor; -1 for a region that came from a peer, whose
 *   descriptor is closed once it is mapped
 *
 * Since: 1.0
 */
int
vhost_memory_region_peek_fd (VhostMemoryRegion *region)
{
  return region->fd;
}

/**
 * vhost_memory_region_is_broken:
 * @region: a region
 *
 * Tells whether the file behind the mapping went away under it: it was cut short, or no page was
 * left for it. Queues in such memory are broken. May be called from any thread.
 *
 * Returns: %TRUE when at least one page of the region is lost
 *
 * Since: 1.0
 */
gboolean
vhost_memory_region_is_broken (VhostMemoryRegion *region)
{
  return g_atomic_int_get (&region->broken) != 0;
}
