/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/memory/vhost-memory-region.h>

G_BEGIN_DECLS

#define VHOST_TYPE_MEMORY (vhost_memory_get_type ())

/**
 * VhostMemory:
 *
 * An immutable table of [struct@Vhost.MemoryRegion]s that do not overlap, neither in guest physical
 * nor in user addresses. A change makes a new table; the old one lives until its last user is done.
 *
 * May be used from any thread.
 *
 * Since: 1.0
 */
typedef struct _VhostMemory VhostMemory;

VHOST_AVAILABLE_IN_1_0
GType vhost_memory_get_type (void);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_memory_new (void);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_memory_ref (VhostMemory *memory);

VHOST_AVAILABLE_IN_1_0
void vhost_memory_unref (VhostMemory *memory);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_memory_add (VhostMemory *memory, VhostMemoryRegion *region, GError **error);

VHOST_AVAILABLE_IN_1_0
VhostMemory *vhost_memory_remove (VhostMemory *memory, guint64 guest_address, guint64 size,
                                  guint64 user_address, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_memory_get_n_regions (VhostMemory *memory);

VHOST_AVAILABLE_IN_1_0
VhostMemoryRegion *vhost_memory_get_region (VhostMemory *memory, guint index);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_memory_read (VhostMemory *memory, guint64 guest_address, gsize size, gsize *length,
                           GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_memory_write (VhostMemory *memory, guint64 guest_address, const guint8 *data,
                             gsize length, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostMemory, vhost_memory_unref)

G_END_DECLS
