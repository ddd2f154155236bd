/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log of a migration: one bit in shared memory for each 4096 bytes of guest physical
 * memory. Whoever copies the guest clears the bits while we set them. (vhost-user, “Migration”) */
#pragma once

#include "memory/vhost-memory-private.h"

#define VHOST_DIRTY_LOG_PAGE 4096 /* whatever the pages of the host are */

/* A mapped log. Counted; its place and its size never change, and any thread may mark. */
typedef struct _VhostDirtyLog VhostDirtyLog;

/* Maps @size bytes at @offset of the file, which must be that long. @fd stays the caller's. */
VhostDirtyLog *vhost_dirty_log_map (int fd, guint64 size, guint64 offset, GError **error);
VhostDirtyLog *vhost_dirty_log_ref (VhostDirtyLog *log);
void vhost_dirty_log_unref (VhostDirtyLog *log);

/* After the bytes were written: sets the bit of each page that they touch, so that who finds a bit
 * finds the bytes. Pages beyond the end of the log are counted, and that is all. */
void vhost_dirty_log_mark (VhostDirtyLog *log, guint64 guest_address, guint64 length);

/* How many pages could not be marked. */
guint64 vhost_dirty_log_get_n_missed (const VhostDirtyLog *log);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostDirtyLog, vhost_dirty_log_unref)
