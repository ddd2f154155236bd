/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of a driver: a file that no back-end can cut short. One thread. */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "driver/vhost-driver-private.h"

/* Guest and user address of the memory. Not 0, which some back-ends take for “not set”. */
#define GUEST_BASE G_GUINT64_CONSTANT (0x40000000)
#define GUEST_STEP G_GUINT64_CONSTANT (0x40000000)

static int
make_sealed_file (guint64 size, GError **error)
{
  VHOST_AUTO_FD fd = memfd_create ("vhost-driver", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd < 0 || ftruncate (fd, (off_t) size) < 0 ||
      fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot make %" G_GUINT64_FORMAT " bytes of memory",
                                size);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

/* Every other start is elsewhere, so that the device can be given the new memory before it lets go
 * of the old. */
static guint64
choose_base (guint64 base, guint64 size)
{
  if (base != GUEST_BASE)
    return GUEST_BASE;
  return GUEST_BASE + (size + GUEST_STEP - 1) / GUEST_STEP * GUEST_STEP;
}

gboolean
vhost_driver_make_memory (VhostDriver *driver, GError **error)
{
  guint64 size = driver->memory_size;
  VHOST_AUTO_FD fd = make_sealed_file (size, error);
  g_autoptr (VhostMemoryRegion) region = NULL;
  g_autoptr (VhostMemory) none = vhost_memory_new ();

  if (fd < 0)
    return FALSE;
  driver->base = choose_base (driver->base, size);
  region = vhost_memory_region_new (driver->base, size, driver->base, fd, 0, error);
  driver->memory = region != NULL ? vhost_memory_add (none, region, error) : NULL;
  return driver->memory != NULL;
}
