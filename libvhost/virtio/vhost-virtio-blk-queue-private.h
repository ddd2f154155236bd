/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue of a disk. */
#pragma once

#include "virtio/vhost-virtio-blk-lane-private.h"

/* Serves @queue from @disk, until somebody else does. */
void vhost_blk_queue_attach (VhostQueue *queue, VhostBlkDisk *disk);
