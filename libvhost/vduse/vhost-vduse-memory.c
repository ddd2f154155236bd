/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps the I/O address space of a device part by part, when an address of it is first used: the
 * kernel tells of changes, not of what there is. A driver of this kernel has one large part of
 * bounce pages and a small one for each ring; one behind vhost-vdpa has its own memory. Control
 * thread. (<linux/vduse.h>, VDUSE_IOTLB_GET_FD) */

#include "vduse/vhost-vduse-memory-private.h"

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

/* A driver that maps its memory in crumbs cannot make us map without end. */
#define MAX_PARTS 4096

static guint
find_access (const VhostMemory *view, const VhostMemoryRegion *part)
{
  const VhostSpan *row = vhost_span_search (view->by_guest, view->n_guest, part->guest_address);

  return row != NULL ? row->access : 0;
}

/* A view of @parts. What a driver may do with one that @view does not have is @access. */
static VhostMemory *
show (VhostMemory *parts, const VhostMemory *view, guint access)
{
  VhostSpan *rows = g_new0 (VhostSpan, parts->n_regions + 1);

  for (guint i = 0; i < parts->n_regions; i++) {
    const VhostMemoryRegion *part = parts->regions[i];
    guint known = find_access (view, part);

    rows[i] = (VhostSpan){ .start = part->guest_address,
                           .size = part->size,
                           .host = part->host,
                           .access = known != 0 ? known : access };
  }
  return vhost_memory_new_view (parts, rows, parts->n_regions);
}

VhostMemory *
vhost_vduse_memory_new (void)
{
  g_autoptr (VhostMemory) none = vhost_memory_new ();

  return show (none, none, 0);
}

static gboolean
touches (VhostMemoryRegion *part, guint64 first, guint64 last)
{
  return part->guest_address <= last && part->guest_address + (part->size - 1) >= first;
}

VhostMemory *
vhost_vduse_memory_forget (VhostMemory *memory, guint64 first, guint64 last)
{
  g_autoptr (VhostMemory) rest = vhost_memory_new ();

  for (guint i = 0; i < memory->n_regions; i++) {
    VhostMemory *sum;

    if (touches (memory->regions[i], first, last))
      continue;
    sum = vhost_memory_add (rest, memory->regions[i], NULL);
    vhost_memory_unref (rest);
    rest = sum;
  }
  return show (rest, memory, 0);
}

static VhostMemoryRegion *
map_part (VhostVduseNode *node, guint64 address, guint *access, GError **error)
{
  struct vduse_iotlb_entry entry;
  VHOST_AUTO_FD fd = vhost_vduse_node_get_mapping (node, address, &entry, error);

  if (fd < 0)
    return NULL;
  *access = entry.perm & VHOST_MEMORY_READ_WRITE;
  return vhost_memory_region_map_device (entry.start, entry.last - entry.start + 1, fd,
                                         entry.offset, (*access & VHOST_MEMORY_WRITE) != 0, error);
}

VhostMemory *
vhost_vduse_memory_extend (VhostMemory *memory, VhostVduseNode *node, guint64 address,
                           GError **error)
{
  g_autoptr (VhostMemoryRegion) part = NULL;
  g_autoptr (VhostMemory) rest = NULL;
  g_autoptr (VhostMemory) sum = NULL;
  guint access;

  if (vhost_memory_find_range (memory, VHOST_ADDRESS_GUEST, address, 1) != NULL)
    return vhost_memory_ref (memory);
  if (memory->n_regions >= MAX_PARTS) {
    vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                     "the address space of “%s” is in more than %d parts", node->name, MAX_PARTS);
    return NULL;
  }
  part = map_part (node, address, &access, error);
  if (part == NULL)
    return NULL;
  /* What the kernel says now counts: coherent memory comes and goes without a word. */
  rest = vhost_vduse_memory_forget (memory, part->guest_address,
                                    part->guest_address + (part->size - 1));
  sum = vhost_memory_add (vhost_memory_get_base (rest), part, error);
  return sum != NULL ? show (sum, rest, access) : NULL;
}
