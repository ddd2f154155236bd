/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/endpoint/vhost-backend.h>

G_BEGIN_DECLS

/**
 * VhostVirtioBlkFlags:
 * @VHOST_VIRTIO_BLK_FLAGS_NONE: none of the others
 * @VHOST_VIRTIO_BLK_FLAGS_READ_ONLY: the guest cannot change the disk
 * @VHOST_VIRTIO_BLK_FLAGS_DIRECT: past the page cache (`O_DIRECT`); what a guest does not align
 * goes through it all the same
 *
 * How [method@Vhost.VirtioBlk.open] opens a disk.
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_VIRTIO_BLK_FLAGS_NONE = 0,
  VHOST_VIRTIO_BLK_FLAGS_READ_ONLY = 1 << 0,
  VHOST_VIRTIO_BLK_FLAGS_DIRECT = 1 << 1,
} VhostVirtioBlkFlags;

/**
 * VhostVirtioBlkEngine:
 * @VHOST_VIRTIO_BLK_ENGINE_AUTO: io_uring where it can be had, threads elsewhere
 * @VHOST_VIRTIO_BLK_ENGINE_IO_URING: io_uring
 * @VHOST_VIRTIO_BLK_ENGINE_THREADS: threads that read and write
 *
 * What moves the data that is not in the page cache.
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_VIRTIO_BLK_ENGINE_AUTO,
  VHOST_VIRTIO_BLK_ENGINE_IO_URING,
  VHOST_VIRTIO_BLK_ENGINE_THREADS,
} VhostVirtioBlkEngine;

#define VHOST_TYPE_VIRTIO_BLK (vhost_virtio_blk_get_type ())

/**
 * VhostVirtioBlk:
 *
 * A ready block device: the content of a file or a block device, served through any
 * [class@Vhost.Backend]. Bytes move between guest memory and the disk without being copied: out of
 * the page cache at once, from the disk itself through io_uring, or threads where that is not
 * allowed.
 *
 * Serves as long as it lives: keep it. Belongs to the thread of its back-end.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostVirtioBlk, vhost_virtio_blk, VHOST, VIRTIO_BLK, GObject)

VHOST_AVAILABLE_IN_1_0
VhostVirtioBlk *vhost_virtio_blk_new (VhostBackend *backend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_blk_open (VhostVirtioBlk *disk, const char *path, VhostVirtioBlkFlags flags,
                                GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_blk_open_null (VhostVirtioBlk *disk, guint64 size, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_virtio_blk_refresh_size (VhostVirtioBlk *disk, GError **error);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_virtio_blk_get_size (VhostVirtioBlk *disk);

G_END_DECLS
