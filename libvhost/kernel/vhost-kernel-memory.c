/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the memory that the kernel has of this process: the guest's, and the log of what of it was
 * written. Both stay mapped as long as the kernel may use them. Runs on the thread of the device.
 * (Linux, SET_MEM_TABLE and SET_LOG_BASE) */

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-device-private.h"
#include "memory/vhost-memory-private.h"

#define MAX_REGIONS_FILE "/sys/module/vhost/parameters/max_mem_regions"
#define DEFAULT_MAX_REGIONS 64
#define PAGE 4096 /* of the kernel's interface, whatever those of the machine are */

static guint
get_max_regions (void)
{
  g_autofree char *text = NULL;
  guint64 found;

  if (g_file_get_contents (MAX_REGIONS_FILE, &text, NULL, NULL) &&
      g_ascii_string_to_unsigned (g_strstrip (text), 10, 1, G_MAXUINT16, &found, NULL))
    return (guint) found;
  return DEFAULT_MAX_REGIONS;
}

static gboolean
check_region (const VhostMemoryRegion *region, GError **error)
{
  guint64 host = GPOINTER_TO_SIZE (region->host);

  if (((region->guest_address | region->size | host) & (PAGE - 1)) == 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                          "SET_MEM_TABLE: the region at 0x%" G_GINT64_MODIFIER
                          "x is not made of whole pages of %u bytes",
                          region->guest_address, PAGE);
}

static gboolean
check_table (VhostMemory *memory, GError **error)
{
  guint limit = get_max_regions ();

  if (memory->n_regions == 0 || memory->n_regions > limit)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "SET_MEM_TABLE: %u memory regions; the kernel takes 1 to %u",
                            memory->n_regions, limit);
  for (guint i = 0; i < memory->n_regions; i++) {
    if (!check_region (memory->regions[i], error))
      return FALSE;
  }
  return TRUE;
}

static struct vhost_memory *
make_table (VhostMemory *memory, gsize *size)
{
  struct vhost_memory *table;

  *size = sizeof *table + memory->n_regions * sizeof table->regions[0];
  table = g_malloc0 (*size);
  table->nregions = memory->n_regions;
  for (guint i = 0; i < memory->n_regions; i++)
    table->regions[i] = (struct vhost_memory_region){
      .guest_phys_addr = memory->regions[i]->guest_address,
      .memory_size = memory->regions[i]->size,
      .userspace_addr = GPOINTER_TO_SIZE (memory->regions[i]->host),
    };
  return table;
}

static gboolean
kernel_set_memory (VhostDevice *device, VhostMemory *memory, GCancellable *cancellable,
                   GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_MEM_TABLE;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (self);
  g_autofree struct vhost_memory *table = NULL;
  gsize size;

  if (!vhost_kernel_check_open (self, call, error) || !check_table (memory, error) ||
      !vhost_kernel_check_log (self, memory, error))
    return FALSE;
  table = make_table (memory, &size);
  if (!vhost_kernel_call_sized (self, call, table, size, error))
    return FALSE;
  g_clear_pointer (&state->memory, vhost_memory_unref);
  state->memory = vhost_memory_ref (memory);
  return TRUE;
}

/* --- log --- */

/* Bytes of a log that has a bit for each page of this memory. */
static guint64
get_log_bytes (VhostMemory *memory)
{
  const VhostMemoryRegion *last;

  if (memory == NULL || memory->n_regions == 0)
    return 0;
  last = memory->regions[memory->n_regions - 1]; /* they are in order */
  return (last->guest_address + last->size - 1) / PAGE / 8 + 1;
}

static gboolean
check_log_size (VhostMemory *memory, guint64 size, GError **error)
{
  if (size >= get_log_bytes (memory))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "the log of %" G_GUINT64_FORMAT
                          " bytes is too small: the memory needs %" G_GUINT64_FORMAT,
                          size, get_log_bytes (memory));
}

gboolean
vhost_kernel_check_log (VhostKernelDevice *device, VhostMemory *memory, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  return !vhost_word_has (state->features, VHOST_FEATURE_LOG_ALL) ||
         check_log_size (memory, state->log_size, error);
}

static void
unmap_log (guint8 *log, gsize length)
{
  if (log != NULL)
    munmap (log, length);
}

void
vhost_kernel_drop_log (VhostKernelDevice *device)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  unmap_log (g_steal_pointer (&state->log_map), state->log_offset + state->log_size);
  state->log_size = state->log_offset = 0;
}

static gboolean
check_log_file (int fd, guint64 size, guint64 offset, GError **error)
{
  struct stat status;

  if (size == 0 || size > G_MAXINT64 - offset || offset > G_MAXINT64)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "SET_LOG_BASE: no log of %" G_GUINT64_FORMAT " bytes", size);
  if (fstat (fd, &status) < 0)
    return vhost_set_error_from_errno (error, errno, "SET_LOG_BASE");
  if ((guint64) status.st_size >= offset + size)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                          "SET_LOG_BASE: the file is shorter than %" G_GUINT64_FORMAT " bytes",
                          offset + size);
}

/* The kernel writes through our mapping, so that it stays until another takes its place. */
static gboolean
kernel_set_log_base (VhostDevice *device, int fd, guint64 size, guint64 offset,
                     GCancellable *cancellable, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_LOG_BASE;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (self);
  guint64 base;
  guint8 *map;

  if (!vhost_kernel_check_open (self, call, error) || !check_log_file (fd, size, offset, error) ||
      !check_log_size (state->memory, size, error))
    return FALSE;
  map = mmap (NULL, offset + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    return vhost_set_error_from_errno (error, errno, "SET_LOG_BASE");
  base = GPOINTER_TO_SIZE (map + offset);
  if (!vhost_kernel_call (self, call, &base, error)) {
    unmap_log (map, offset + size);
    return FALSE;
  }
  vhost_kernel_drop_log (self);
  state->log_map = map;
  state->log_size = size;
  state->log_offset = offset;
  return TRUE;
}

static gboolean
kernel_set_log_fd (VhostDevice *device, int fd, GCancellable *cancellable, GError **error)
{
  return vhost_kernel_call (VHOST_KERNEL_DEVICE (device), VHOST_KERNEL_CALL_SET_LOG_FD, &fd, error);
}

void
vhost_kernel_memory_init_iface (VhostDeviceInterface *iface)
{
  iface->set_memory = kernel_set_memory;
  iface->set_log_base = kernel_set_log_base;
  iface->set_log_fd = kernel_set_log_fd;
}
