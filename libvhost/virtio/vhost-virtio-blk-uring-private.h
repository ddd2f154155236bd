/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes of one queue through io_uring, where it was built in and the kernel allows it.
 * One thread at a time. */
#pragma once

#include "virtio/vhost-virtio-blk-file-private.h"

typedef struct _VhostBlkUring VhostBlkUring;

/* @result: bytes that were moved, or a negative errno. */
typedef void (*VhostBlkUringFunc) (gpointer tag, int result, gpointer data);

/* Can there be one at all? */
gboolean vhost_blk_uring_is_allowed (void);

/* @event_fd is signalled when something is complete; both are borrowed. NULL when it cannot be had.
 */
VhostBlkUring *vhost_blk_uring_new (const VhostBlkFile *file, guint n_entries, int event_fd);

/* Nothing may be in flight. */
void vhost_blk_uring_free (VhostBlkUring *uring);

/* @transfer and its pieces must stay as they are until it is complete. FALSE: not now. */
gboolean vhost_blk_uring_add (VhostBlkUring *uring, const VhostBlkTransfer *transfer, gpointer tag);

/* Hands over what was added. FALSE: not all of it; try again. */
gboolean vhost_blk_uring_submit (VhostBlkUring *uring);

/* Calls @func for each that is complete; it may add. Returns how many there were. */
guint vhost_blk_uring_reap (VhostBlkUring *uring, VhostBlkUringFunc func, gpointer data);
