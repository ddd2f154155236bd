/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O address space of a VDUSE device, as far as it was looked at. */
#pragma once

#include "memory/vhost-memory-private.h"
#include "vduse/vhost-vduse-node-private.h"

/* Nothing of it yet. Tables of an address space are views, in which more may come. */
VhostMemory *vhost_vduse_memory_new (void);

/* @memory and the part of the address space that holds @address; @memory itself when it has it
 * already. A reference; NULL with an error. */
VhostMemory *vhost_vduse_memory_extend (VhostMemory *memory, VhostVduseNode *node, guint64 address,
                                        GError **error);

/* @memory without what lies in @first to @last; a reference. */
VhostMemory *vhost_vduse_memory_forget (VhostMemory *memory, guint64 first, guint64 last);
