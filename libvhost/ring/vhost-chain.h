/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

#define VHOST_TYPE_CHAIN (vhost_chain_get_type ())

/**
 * VhostChain:
 *
 * The descriptors of one buffer that the driver made available: first bytes to read, then room to
 * write. A handle: once the chain was pushed, or its queue stopped, it is dead, and each call on it
 * reads and writes nothing.
 *
 * Belongs to the thread of its queue.
 *
 * Since: 1.0
 */
typedef struct _VhostChain VhostChain;

VHOST_AVAILABLE_IN_1_0
GType vhost_chain_get_type (void);

VHOST_AVAILABLE_IN_1_0
VhostChain *vhost_chain_ref (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
void vhost_chain_unref (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_chain_is_alive (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
guint vhost_chain_get_head (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
gsize vhost_chain_get_readable_size (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
gsize vhost_chain_get_writable_size (VhostChain *chain);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_chain_read (VhostChain *chain, gsize offset, gsize size, gsize *length);

VHOST_AVAILABLE_IN_1_0
gsize vhost_chain_write (VhostChain *chain, gsize offset, const guint8 *data, gsize length);

VHOST_AVAILABLE_IN_1_0
gsize vhost_chain_fill (VhostChain *chain, gsize offset, guint8 byte, gsize size);

VHOST_AVAILABLE_IN_1_0
gsize vhost_chain_write_from_chain (VhostChain *chain, gsize offset, gsize size, VhostChain *source,
                                    gsize source_offset);

VHOST_AVAILABLE_IN_1_0
gssize vhost_chain_read_to_fd (VhostChain *chain, gsize offset, gsize size, int fd,
                               gint64 fd_offset, GError **error);

VHOST_AVAILABLE_IN_1_0
gssize vhost_chain_write_from_fd (VhostChain *chain, gsize offset, gsize size, int fd,
                                  gint64 fd_offset, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostChain, vhost_chain_unref)

G_END_DECLS
