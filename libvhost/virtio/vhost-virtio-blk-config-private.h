/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of a block device. */
#pragma once

#include "virtio/vhost-virtio-blk-file-private.h"

/* Offers the features of a disk that is kept in @file, and shows it. */
void vhost_blk_config_offer (VhostBackend *backend, const VhostBlkFile *file);

/* Shows how long @file is now; TRUE when that is news. */
gboolean vhost_blk_config_update_size (VhostBackend *backend, const VhostBlkFile *file);

/* A new driver: the cache is on. */
void vhost_blk_config_reset (VhostBackend *backend);

/* Has a write to be on the disk when it is complete? */
gboolean vhost_blk_config_is_write_through (VhostBackend *backend);
