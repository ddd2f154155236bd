/* SPDX-License-Identifier: BSD-3-Clause */
/* What a disk is kept in, and one transfer between it and guest memory. */
#pragma once

#include <sys/uio.h>
#include <gio/gio.h>
#include "virtio/vhost-virtio-blk.h"

#define VHOST_BLK_SECTOR 512

/* Which of the two descriptors of a file. */
typedef enum {
  VHOST_BLK_ACCESS_MAIN,     /* the one that was asked for */
  VHOST_BLK_ACCESS_BUFFERED, /* through the page cache: for what O_DIRECT does not take */
  VHOST_BLK_N_ACCESSES,
} VhostBlkAccess;

/* A file, a block device or, with no descriptor, nothing. Shared by the threads that use it; but
 * for the size and what was learnt it never changes. */
typedef struct {
  gatomicrefcount ref_count;
  int fds[VHOST_BLK_N_ACCESSES]; /* the same number twice without O_DIRECT; -1: a null disk */
  gboolean is_device;
  gboolean is_memory; /* always there: tmpfs and its kin */
  gboolean read_only;
  gboolean direct;
  guint memory_alignment; /* of buffers and of places, with O_DIRECT */
  guint place_alignment;
  guint block_size; /* what the guest is told */
  guint physical_block_size;
  guint64 size;  /* bytes, whole sectors; atomic */
  int try_reads; /* RWF_NOWAIT is not refused; atomic */
  int try_writes;
} VhostBlkFile;

/* A read or a write. The pieces are what is left of it, and are used up. */
typedef struct {
  gboolean is_write;
  gboolean through; /* a write that has to be on the disk when it is done */
  VhostBlkAccess access;
  guint64 offset;
  guint32 left;
  guint n_iov;
  struct iovec *iov;
} VhostBlkTransfer;

VhostBlkFile *vhost_blk_file_open (const char *path, VhostVirtioBlkFlags flags, GError **error);
VhostBlkFile *vhost_blk_file_new_null (guint64 size);
VhostBlkFile *vhost_blk_file_ref (VhostBlkFile *file);
void vhost_blk_file_unref (VhostBlkFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostBlkFile, vhost_blk_file_unref)

/* Looks how long it is now. */
gboolean vhost_blk_file_measure (VhostBlkFile *file, GError **error);

static inline gboolean
vhost_blk_file_is_null (const VhostBlkFile *file)
{
  return file->fds[VHOST_BLK_ACCESS_MAIN] < 0;
}

static inline guint64
vhost_blk_file_get_size (const VhostBlkFile *file)
{
  return __atomic_load_n (&file->size, __ATOMIC_RELAXED);
}

static inline gboolean
vhost_blk_file_contains (const VhostBlkFile *file, guint64 offset, guint64 length)
{
  guint64 size = vhost_blk_file_get_size (file);

  return offset <= size && length <= size - offset;
}

/* @n bytes were moved. */
void vhost_blk_transfer_advance (VhostBlkTransfer *transfer, guint32 n);

/* Which descriptor takes it. */
VhostBlkAccess vhost_blk_file_choose_access (const VhostBlkFile *file,
                                             const VhostBlkTransfer *transfer);

/* Moves what can be moved without waiting. TRUE: it is done; else what is left is left. */
gboolean vhost_blk_file_try_transfer (VhostBlkFile *file, VhostBlkTransfer *transfer);

/* The following wait as long as it takes, on any thread, and return 0 or an errno. */
int vhost_blk_file_transfer (VhostBlkFile *file, VhostBlkTransfer *transfer);
int vhost_blk_file_flush (VhostBlkFile *file);
int vhost_blk_file_discard (VhostBlkFile *file, guint64 offset, guint64 length);
int vhost_blk_file_write_zeroes (VhostBlkFile *file, guint64 offset, guint64 length,
                                 gboolean may_unmap);
