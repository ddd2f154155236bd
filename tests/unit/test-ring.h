/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest for the tests of rings: memory of three regions, two of them adjacent, and a split ring
 * that is written by hand, so that it can be written wrongly. */
#pragma once

#include <string.h>
#include <sys/mman.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "ring/vhost-ring-private.h"

#define GUEST_BASE 0x100000
#define GUEST_BASE_SIZE 0x200000
#define GUEST_NEXT (GUEST_BASE + GUEST_BASE_SIZE) /* begins where the first region ends */
#define GUEST_NEXT_SIZE 0x100000
#define GUEST_END (GUEST_NEXT + GUEST_NEXT_SIZE)
#define GUEST_APART 0x800000
#define GUEST_APART_SIZE 0x10000
#define GUEST_USER_OFFSET 0x7f0000000000

#define GUEST_DESC GUEST_BASE
#define GUEST_AVAIL (GUEST_BASE + 0x80000)
#define GUEST_USED (GUEST_BASE + 0xa0000)
#define GUEST_TABLES (GUEST_BASE + 0xf0000)
#define GUEST_BUFFERS (GUEST_BASE + 0x100000)

typedef struct {
  VhostMemory *memory;
  int base_fd;
  guint16 size;
  VhostRingDesc *desc;
  VhostRingAvail *avail;
  VhostRingUsed *used;
} Guest;

static inline VhostMemory *
guest_add_region (VhostMemory *memory, guint64 address, guint64 size, int fd)
{
  g_autoptr (VhostMemory) old = memory;
  g_autoptr (VhostMemoryRegion) region = NULL;
  VhostMemory *sum;

  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  region = vhost_memory_region_map (address, size, address + GUEST_USER_OFFSET, fd, 0, NULL);
  g_assert_nonnull (region);
  sum = vhost_memory_add (old, region, NULL);
  g_assert_nonnull (sum);
  return sum;
}

static inline gpointer
guest_at (const Guest *guest, guint64 address)
{
  gpointer host = vhost_memory_find_range (guest->memory, VHOST_ADDRESS_GUEST, address, 1);

  g_assert_nonnull (host);
  return host;
}

static inline void
guest_init (Guest *guest, guint size)
{
  VHOST_AUTO_FD next = memfd_create ("next", MFD_CLOEXEC);
  VHOST_AUTO_FD apart = memfd_create ("apart", MFD_CLOEXEC);

  guest->base_fd = memfd_create ("base", MFD_CLOEXEC);
  guest->memory = vhost_memory_new ();
  guest->memory = guest_add_region (guest->memory, GUEST_BASE, GUEST_BASE_SIZE, guest->base_fd);
  guest->memory = guest_add_region (guest->memory, GUEST_NEXT, GUEST_NEXT_SIZE, next);
  guest->memory = guest_add_region (guest->memory, GUEST_APART, GUEST_APART_SIZE, apart);
  guest->size = (guint16) size;
  guest->desc = guest_at (guest, GUEST_DESC);
  guest->avail = guest_at (guest, GUEST_AVAIL);
  guest->used = guest_at (guest, GUEST_USED);
}

static inline void
guest_clear (Guest *guest)
{
  vhost_fd_clear (&guest->base_fd);
  g_clear_pointer (&guest->memory, vhost_memory_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Guest, guest_clear)

static inline void
write_desc (VhostRingDesc *desc, guint64 address, guint32 length, guint16 flags, guint16 next)
{
  *desc = (VhostRingDesc){ GUINT64_TO_LE (address), GUINT32_TO_LE (length), GUINT16_TO_LE (flags),
                           GUINT16_TO_LE (next) };
}

static inline void
guest_write_desc (Guest *guest, guint index, guint64 address, guint32 length, guint16 flags,
                  guint16 next)
{
  write_desc (&guest->desc[index], address, length, flags, next);
}

static inline void
guest_set_avail_idx (Guest *guest, guint16 idx)
{
  vhost_ring_store16_release (&guest->avail->idx, idx);
}

static inline void
guest_offer (Guest *guest, guint16 head)
{
  guint16 idx = vhost_ring_load16 (&guest->avail->idx);

  vhost_ring_store16 (&guest->avail->ring[idx & (guest->size - 1)], head);
  guest_set_avail_idx (guest, idx + 1);
}

/* Offers @head as a chain of one buffer of @length bytes. */
static inline void
guest_offer_buffer (Guest *guest, guint16 head, guint32 length, gboolean writable)
{
  guest_write_desc (guest, head, GUEST_BUFFERS + head * 256, length,
                    writable ? VHOST_RING_DESC_WRITE : 0, 0);
  guest_offer (guest, head);
}

static inline void
guest_set_used_event (Guest *guest, guint16 event)
{
  vhost_ring_store16 (vhost_ring_get_used_event (guest->avail, guest->size), event);
}

static inline guint16
guest_get_avail_event (const Guest *guest)
{
  return vhost_ring_load16 (vhost_ring_get_avail_event (guest->used, guest->size));
}
