/* SPDX-License-Identifier: BSD-3-Clause */
/* The layout of regions and tables, and the lookup that the rings use. */
#pragma once

#include "memory/vhost-memory.h"

struct _VhostMemoryRegion {
  gatomicrefcount ref_count;
  guint64 guest_address;
  guint64 user_address;
  guint64 size;
  guint64 offset;
  int fd;           /* kept only by regions that will be handed to a peer; else -1 */
  guint8 *host;     /* where guest_address is mapped here */
  guint8 *map_base; /* what mmap returned, aligned to the page size of the file system */
  gsize map_length;
  gsize page_size;
  int broken; /* set by the SIGBUS guard, atomically: the file behind the mapping went away */
};

/* What a device may do to memory; the numbers are those of the IOTLB messages. */
#define VHOST_MEMORY_READ 1
#define VHOST_MEMORY_WRITE 2
#define VHOST_MEMORY_READ_WRITE 3

/* One row of a lookup table: [start, start + size) is at host. */
typedef struct {
  guint64 start;
  guint64 size;
  guint8 *host;
  guint32 access; /* VHOST_MEMORY_READ and _WRITE */
  guint32 age;    /* of an IOTLB: counts up with each translation that came */
} VhostSpan;

struct _VhostMemory {
  gatomicrefcount ref_count;
  VhostMemory *base; /* of a view through an IOTLB: the table whose regions it shows; else NULL */
  guint n_regions;
  VhostMemoryRegion **regions; /* by guest address; a view borrows those of its base */
  guint n_guest;
  VhostSpan *by_guest;         /* by guest address, in a view by I/O address */
  VhostSpan *by_user;          /* by user address */
  VhostMemoryRegion **by_host; /* by host address */
};

typedef enum {
  VHOST_ADDRESS_GUEST, /* GPA */
  VHOST_ADDRESS_USER,  /* UVA */
} VhostAddressKind;

/* Maps a region whose descriptor the caller keeps: the mapping is all that is held. */
VhostMemoryRegion *vhost_memory_region_map (guint64 guest_address, guint64 size,
                                            guint64 user_address, int fd, guint64 offset,
                                            GError **error);

/* The same for a part of an I/O address space, whose file the kernel names: it may be of any kind,
 * and has no size. What is written to a part that is not @writable reaches nobody. */
VhostMemoryRegion *vhost_memory_region_map_device (guint64 address, guint64 size, int fd,
                                                   guint64 offset, gboolean writable,
                                                   GError **error);

/* Row of @table that holds @address, found by bisection; NULL when there is none. */
const VhostSpan *vhost_span_search (const VhostSpan *table, guint n, guint64 address);

/* @base through an IOTLB: @n rows of I/O addresses, sorted and taken, in place of guest physical
 * ones. What is not in them may come: it is missing, not wrong. */
VhostMemory *vhost_memory_new_view (VhostMemory *base, VhostSpan *rows, guint n);

/* The table itself, or what it is a view of: it keeps the mappings alive. */
static inline VhostMemory *
vhost_memory_get_base (VhostMemory *memory)
{
  return memory->base != NULL ? memory->base : memory;
}

/* Host address of guest @address and in *@contiguous how many bytes from there on are in the same
 * region; NULL when it is in none, or not for @access. @hint remembers the last row that may be
 * read and written, so that who finds his address in it has no access to check, and belongs to the
 * caller. */
static inline guint8 *
vhost_memory_find_guest (const VhostMemory *memory, const VhostSpan **hint, guint64 address,
                         guint access, guint64 *contiguous)
{
  const VhostSpan *span = *hint;

  if (G_UNLIKELY (span == NULL || address - span->start >= span->size)) {
    span = vhost_span_search (memory->by_guest, memory->n_guest, address);
    if (span == NULL || (span->access & access) != access)
      return NULL;
    if (span->access == VHOST_MEMORY_READ_WRITE)
      *hint = span;
  }
  *contiguous = span->size - (address - span->start);
  return span->host + (address - span->start);
}

/* Host address of [@address, @address + @size), which must lie inside one region; else NULL. */
guint8 *vhost_memory_find_range (const VhostMemory *memory, VhostAddressKind kind, guint64 address,
                                 guint64 size);

/* The region that is mapped around @host, which came out of one of the calls above. */
VhostMemoryRegion *vhost_memory_find_host (const VhostMemory *memory, const guint8 *host);

/* The first region whose file went away, or NULL. */
VhostMemoryRegion *vhost_memory_find_broken (const VhostMemory *memory);

/* SIGBUS guard (vhost-sigbus.c): a page of a registered mapping that lost its file is replaced by a
 * private zero page and *@broken is set, from the signal handler. */
void vhost_sigbus_register (guint8 *base, gsize length, gsize page_size, int *broken);
void vhost_sigbus_unregister (guint8 *base);

/* Grows with each page the guard replaced, in any mapping: a user of guest memory compares it with
 * the value it saw last, and looks for broken regions only when it moved. */
guint vhost_sigbus_get_count (void);
