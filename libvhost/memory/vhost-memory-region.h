/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

#define VHOST_TYPE_MEMORY_REGION (vhost_memory_region_get_type ())

/**
 * VhostMemoryRegion:
 *
 * One mapped piece of a guest's memory: a range of guest physical addresses (GPA), the front-end's
 * own address of it (UVA), and a shared mapping of the file behind it.
 *
 * Immutable; may be used from any thread.
 *
 * Since: 1.0
 */
typedef struct _VhostMemoryRegion VhostMemoryRegion;

VHOST_AVAILABLE_IN_1_0
GType vhost_memory_region_get_type (void);

VHOST_AVAILABLE_IN_1_0
VhostMemoryRegion *vhost_memory_region_new (guint64 guest_address, guint64 size,
                                            guint64 user_address, int fd, guint64 offset,
                                            GError **error);

VHOST_AVAILABLE_IN_1_0
VhostMemoryRegion *vhost_memory_region_ref (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
void vhost_memory_region_unref (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_memory_region_get_guest_address (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_memory_region_get_size (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_memory_region_get_user_address (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_memory_region_get_offset (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
int vhost_memory_region_peek_fd (VhostMemoryRegion *region);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_memory_region_is_broken (VhostMemoryRegion *region);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostMemoryRegion, vhost_memory_region_unref)

G_END_DECLS
