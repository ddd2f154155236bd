/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the table of a guest's memory regions. A table never changes: adding and removing make a new
 * one that shares the regions, so whoever holds a table can use it without a lock, on any thread.
 */

#include <string.h>
#include "core/vhost-error-private.h"
#include "memory/vhost-memory-private.h"

G_DEFINE_BOXED_TYPE (VhostMemory, vhost_memory, vhost_memory_ref, vhost_memory_unref)

static VhostMemory *
memory_new_sized (guint n_regions)
{
  VhostMemory *memory = g_new0 (VhostMemory, 1);

  g_atomic_ref_count_init (&memory->ref_count);
  memory->n_regions = memory->n_guest = n_regions;
  memory->regions = g_new0 (VhostMemoryRegion *, n_regions + 1);
  memory->by_guest = g_new0 (VhostSpan, n_regions + 1);
  memory->by_user = g_new0 (VhostSpan, n_regions + 1);
  memory->by_host = g_new0 (VhostMemoryRegion *, n_regions + 1);
  return memory;
}

static int
compare_spans (const void *a, const void *b)
{
  guint64 left = ((const VhostSpan *) a)->start;
  guint64 right = ((const VhostSpan *) b)->start;

  return left < right ? -1 : left > right;
}

static int
compare_regions (const void *a, const void *b)
{
  guint64 left = (*(VhostMemoryRegion *const *) a)->guest_address;
  guint64 right = (*(VhostMemoryRegion *const *) b)->guest_address;

  return left < right ? -1 : left > right;
}

static VhostSpan
make_span (const VhostMemoryRegion *region, guint64 start)
{
  return (VhostSpan){ start, region->size, region->host, VHOST_MEMORY_READ_WRITE, 0 };
}

static int
compare_hosts (const void *a, const void *b)
{
  const guint8 *left = (*(VhostMemoryRegion *const *) a)->host;
  const guint8 *right = (*(VhostMemoryRegion *const *) b)->host;

  return left < right ? -1 : left > right;
}

/* The regions are set; sorts them and makes the lookup tables. */
static void
memory_index (VhostMemory *memory)
{
  qsort (memory->regions, memory->n_regions, sizeof *memory->regions, compare_regions);
  for (guint i = 0; i < memory->n_regions; i++) {
    VhostMemoryRegion *region = memory->regions[i];

    memory->by_guest[i] = make_span (region, region->guest_address);
    memory->by_user[i] = make_span (region, region->user_address);
    memory->by_host[i] = region;
  }
  qsort (memory->by_user, memory->n_regions, sizeof *memory->by_user, compare_spans);
  qsort (memory->by_host, memory->n_regions, sizeof *memory->by_host, compare_hosts);
}

const VhostSpan *
vhost_span_search (const VhostSpan *table, guint n, guint64 address)
{
  guint low = 0;

  while (low < n) {
    guint middle = low + (n - low) / 2;

    if (address < table[middle].start)
      n = middle;
    else if (address - table[middle].start < table[middle].size)
      return &table[middle];
    else
      low = middle + 1;
  }
  return NULL;
}

/**
 * vhost_memory_new: (constructor)
 *
 * Makes a table without regions. May be called from any thread.
 *
 * Returns: (transfer full): the table
 *
 * Since: 1.0
 */
VhostMemory *
vhost_memory_new (void)
{
  return memory_new_sized (0);
}

/**
 * vhost_memory_ref:
 * @memory: a table
 *
 * Takes one more reference. May be called from any thread.
 *
 * Returns: (transfer full): @memory
 *
 * Since: 1.0
 */
VhostMemory *
vhost_memory_ref (VhostMemory *memory)
{
  g_atomic_ref_count_inc (&memory->ref_count);
  return memory;
}

static void
free_regions (VhostMemory *memory)
{
  for (guint i = 0; i < memory->n_regions; i++)
    vhost_memory_region_unref (memory->regions[i]);
  g_free (memory->regions);
  g_free (memory->by_user);
  g_free (memory->by_host);
}

/**
 * vhost_memory_unref:
 * @memory: (transfer full): a table
 *
 * Drops a reference. May be called from any thread.
 *
 * Since: 1.0
 */
void
vhost_memory_unref (VhostMemory *memory)
{
  if (!g_atomic_ref_count_dec (&memory->ref_count))
    return;
  if (memory->base == NULL)
    free_regions (memory);
  else
    vhost_memory_unref (memory->base);
  g_free (memory->by_guest);
  g_free (memory);
}

VhostMemory *
vhost_memory_new_view (VhostMemory *base, VhostSpan *rows, guint n)
{
  VhostMemory *view = g_new (VhostMemory, 1);

  *view = *base;
  g_atomic_ref_count_init (&view->ref_count);
  view->base = vhost_memory_ref (base);
  view->n_guest = n;
  view->by_guest = rows;
  return view;
}

static gboolean
ranges_overlap (guint64 start_a, guint64 size_a, guint64 start_b, guint64 size_b)
{
  return start_a - start_b < size_b || start_b - start_a < size_a;
}

static gboolean
check_overlap (const VhostMemoryRegion *a, const VhostMemoryRegion *b, GError **error)
{
  const char *kind = NULL;

  if (ranges_overlap (a->guest_address, a->size, b->guest_address, b->size))
    kind = "guest physical";
  else if (ranges_overlap (a->user_address, a->size, b->user_address, b->size))
    kind = "user";
  if (kind == NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                          "memory regions at guest 0x%" G_GINT64_MODIFIER
                          "x and 0x%" G_GINT64_MODIFIER "x overlap in %s addresses",
                          a->guest_address, b->guest_address, kind);
}

/**
 * vhost_memory_add:
 * @memory: a table
 * @region: the region to add
 * @error: return location
 *
 * Makes a table that has one region more. May be called from any thread.
 *
 * Returns: (transfer full): the new table, or %NULL with %VHOST_ERROR_BAD_MEMORY when @region
 * overlaps one that is there, in guest physical or user addresses
 *
 * Since: 1.0
 */
VhostMemory *
vhost_memory_add (VhostMemory *memory, VhostMemoryRegion *region, GError **error)
{
  VhostMemory *sum;

  for (guint i = 0; i < memory->n_regions; i++) {
    if (!check_overlap (region, memory->regions[i], error))
      return NULL;
  }
  sum = memory_new_sized (memory->n_regions + 1);
  for (guint i = 0; i < memory->n_regions; i++)
    sum->regions[i] = vhost_memory_region_ref (memory->regions[i]);
  sum->regions[memory->n_regions] = vhost_memory_region_ref (region);
  memory_index (sum);
  return sum;
}

/**
 * vhost_memory_remove:
 * @memory: a table
 * @guest_address: guest physical address of the region
 * @size: bytes
 * @user_address: the front-end's address of the region
 * @error: return location
 *
 * Makes a table that has one region less: the one with exactly these numbers. May be called from
 * any thread.
 *
 * Returns: (transfer full): the new table, or %NULL with %VHOST_ERROR_BAD_MEMORY when there is no
 * such region
 *
 * Since: 1.0
 */
VhostMemory *
vhost_memory_remove (VhostMemory *memory, guint64 guest_address, guint64 size, guint64 user_address,
                     GError **error)
{
  VhostMemory *rest;
  guint found = memory->n_regions;

  for (guint i = 0; i < memory->n_regions; i++) {
    const VhostMemoryRegion *region = memory->regions[i];

    if (region->guest_address == guest_address && region->size == size &&
        region->user_address == user_address)
      found = i;
  }
  if (found == memory->n_regions) {
    vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                     "no memory region of 0x%" G_GINT64_MODIFIER
                     "x bytes at guest 0x%" G_GINT64_MODIFIER "x, user 0x%" G_GINT64_MODIFIER "x",
                     size, guest_address, user_address);
    return NULL;
  }
  rest = memory_new_sized (memory->n_regions - 1);
  for (guint i = 0, n = 0; i < memory->n_regions; i++) {
    if (i != found)
      rest->regions[n++] = vhost_memory_region_ref (memory->regions[i]);
  }
  memory_index (rest);
  return rest;
}

/**
 * vhost_memory_get_n_regions:
 * @memory: a table
 *
 * Counts the regions.
 *
 * Returns: how many there are
 *
 * Since: 1.0
 */
guint
vhost_memory_get_n_regions (VhostMemory *memory)
{
  return memory->n_regions;
}

/**
 * vhost_memory_get_region:
 * @memory: a table
 * @index: counted by guest address from 0
 *
 * Finds a region by its place in the order of guest addresses.
 *
 * Returns: (transfer none) (nullable): the region, or %NULL past the end
 *
 * Since: 1.0
 */
VhostMemoryRegion *
vhost_memory_get_region (VhostMemory *memory, guint index)
{
  return index < memory->n_regions ? memory->regions[index] : NULL;
}

guint8 *
vhost_memory_find_range (const VhostMemory *memory, VhostAddressKind kind, guint64 address,
                         guint64 size)
{
  gboolean is_guest = kind == VHOST_ADDRESS_GUEST;
  const VhostSpan *span =
      vhost_span_search (is_guest ? memory->by_guest : memory->by_user,
                         is_guest ? memory->n_guest : memory->n_regions, address);

  if (span == NULL || size > span->size - (address - span->start))
    return NULL;
  return span->host + (address - span->start);
}

VhostMemoryRegion *
vhost_memory_find_host (const VhostMemory *memory, const guint8 *host)
{
  guint low = 0;
  guint high = memory->n_regions;

  while (low < high) {
    guint middle = low + (high - low) / 2;
    VhostMemoryRegion *region = memory->by_host[middle];

    if (host < region->host)
      high = middle;
    else if ((guint64) (host - region->host) < region->size)
      return region;
    else
      low = middle + 1;
  }
  return NULL;
}

VhostMemoryRegion *
vhost_memory_find_broken (const VhostMemory *memory)
{
  for (guint i = 0; i < memory->n_regions; i++) {
    if (vhost_memory_region_is_broken (memory->regions[i]))
      return memory->regions[i];
  }
  return NULL;
}

static gboolean
check_range (VhostMemory *memory, guint64 address, gsize size, GError **error)
{
  const VhostSpan *hint = NULL;
  guint64 contiguous;

  while (size > 0) {
    if (vhost_memory_find_guest (memory, &hint, address, 0, &contiguous) == NULL)
      return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                              "guest address 0x%" G_GINT64_MODIFIER "x is in no memory region",
                              address);
    contiguous = MIN (contiguous, size);
    address += contiguous;
    size -= contiguous;
  }
  return TRUE;
}

/**
 * vhost_memory_read:
 * @memory: a table
 * @guest_address: guest physical address
 * @size: bytes to read; they may span regions that touch
 * @length: (out): bytes returned
 * @error: return location
 *
 * Copies bytes out of guest memory. May be called from any thread.
 *
 * Returns: (transfer full) (array length=length): the bytes, or %NULL with %VHOST_ERROR_BAD_ADDRESS
 * when not all of them are in the table
 *
 * Since: 1.0
 */
guint8 *
vhost_memory_read (VhostMemory *memory, guint64 guest_address, gsize size, gsize *length,
                   GError **error)
{
  const VhostSpan *hint = NULL;
  guint8 *data;

  *length = 0;
  if (!check_range (memory, guest_address, size, error))
    return NULL;
  data = g_malloc (size + 1);
  while (*length < size) {
    guint64 contiguous = 0;
    guint8 *host = vhost_memory_find_guest (memory, &hint, guest_address + *length, 0, &contiguous);
    gsize part = MIN (contiguous, size - *length);

    memcpy (data + *length, host, part);
    *length += part;
  }
  return data;
}

/**
 * vhost_memory_write:
 * @memory: a table
 * @guest_address: guest physical address
 * @data: (array length=length): what to write
 * @length: bytes; they may span regions that touch
 * @error: return location
 *
 * Copies bytes into guest memory: all of them, or none. May be called from any thread.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_ADDRESS when not all of the range is in the table
 *
 * Since: 1.0
 */
gboolean
vhost_memory_write (VhostMemory *memory, guint64 guest_address, const guint8 *data, gsize length,
                    GError **error)
{
  const VhostSpan *hint = NULL;
  gsize done = 0;

  if (!check_range (memory, guest_address, length, error))
    return FALSE;
  while (done < length) {
    guint64 contiguous = 0;
    guint8 *host = vhost_memory_find_guest (memory, &hint, guest_address + done, 0, &contiguous);
    gsize part = MIN (contiguous, length - done);

    memcpy (host, data + done, part);
    done += part;
  }
  return TRUE;
}
