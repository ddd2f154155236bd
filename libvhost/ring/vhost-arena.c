/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffer memory of a driver: which pages of a range of guest memory are taken. The map of pages is
 * private; the device sees only the memory itself. One thread. */

#include "ring/vhost-driver-queue-private.h"

#include <string.h>

#define PAGE_SIZE 4096

struct _VhostArena {
  guint ref_count;
  VhostMemory *memory;
  guint8 *host;
  guint64 guest_address;
  gsize n_pages;
  gsize cursor;  /* where the next search begins */
  guint8 *taken; /* one byte for each page */
};

static gsize
count_pages (gsize size)
{
  return size / PAGE_SIZE + (size % PAGE_SIZE != 0);
}

VhostArena *
vhost_arena_new (VhostMemory *memory, guint64 guest_address, guint64 size)
{
  guint8 *host = vhost_memory_find_range (memory, VHOST_ADDRESS_GUEST, guest_address, size);
  VhostArena *arena;

  g_return_val_if_fail (host != NULL, NULL);

  arena = g_new0 (VhostArena, 1);
  arena->ref_count = 1;
  arena->memory = vhost_memory_ref (memory);
  arena->host = host;
  arena->guest_address = guest_address;
  arena->n_pages = size / PAGE_SIZE;
  arena->taken = g_malloc0 (arena->n_pages);
  return arena;
}

VhostArena *
vhost_arena_ref (VhostArena *arena)
{
  arena->ref_count++;
  return arena;
}

void
vhost_arena_unref (VhostArena *arena)
{
  if (--arena->ref_count > 0)
    return;
  vhost_memory_unref (arena->memory);
  g_free (arena->taken);
  g_free (arena);
}

void
vhost_arena_move (VhostArena *arena, guint64 offset)
{
  arena->guest_address += offset;
}

gsize
vhost_arena_get_size (VhostArena *arena)
{
  return arena->n_pages * PAGE_SIZE;
}

/* First page of @n free ones that begin in [from, to), or n_pages. */
static gsize
find_free_pages (const VhostArena *arena, gsize n, gsize from, gsize to)
{
  for (gsize first = from; first < to && n <= arena->n_pages - first;) {
    const guint8 *obstacle = memchr (arena->taken + first, 1, n);

    if (obstacle == NULL)
      return first;
    first = (gsize) (obstacle - arena->taken) + 1;
  }
  return arena->n_pages;
}

guint8 *
vhost_arena_alloc (VhostArena *arena, gsize size, guint64 *guest_address)
{
  gsize n = MAX (count_pages (size), 1);
  gsize first = find_free_pages (arena, n, arena->cursor, arena->n_pages);

  if (first == arena->n_pages)
    first = find_free_pages (arena, n, 0, arena->cursor);
  if (first == arena->n_pages)
    return NULL;
  memset (arena->taken + first, 1, n);
  arena->cursor = (first + n) % arena->n_pages;
  *guest_address = arena->guest_address + first * PAGE_SIZE;
  return arena->host + first * PAGE_SIZE;
}

void
vhost_arena_free (VhostArena *arena, guint64 guest_address, gsize size)
{
  gsize first = (gsize) (guest_address - arena->guest_address) / PAGE_SIZE;

  memset (arena->taken + first, 0, MAX (count_pages (size), 1));
}
