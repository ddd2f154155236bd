/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the descriptors of a disk's file or block device and knows what each kind of file can do:
 * alignment of O_DIRECT, reads that do not wait, holes and zeroes.
 *
 * Opened on the control thread, used on any. Nothing here knows of VIRTIO. */

#include "virtio/vhost-virtio-blk-file-private.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

#define ZEROES_AT_ONCE (64 * 1024)
#define PAGE 4096

/* --- Opening ------------------------------------------------------------------------------- */

static gboolean
check_kind (VhostBlkFile *file, int fd, const char *path, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot look at %s", path);
  file->is_device = S_ISBLK (status.st_mode);
  if (file->is_device || S_ISREG (status.st_mode))
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE,
               "%s is neither a file nor a block device", path);
  return FALSE;
}

/* O_NONBLOCK, so that a FIFO does not hold us up, must not stay: io_uring would not wait. */
static int
open_checked (VhostBlkFile *file, const char *path, int flags, GError **error)
{
  VHOST_AUTO_FD fd = open (path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

  if (fd < 0) {
    vhost_set_error_from_errno (error, errno, "cannot open %s", path);
    return -1;
  }
  if (!check_kind (file, fd, path, error))
    return -1;
  if (fcntl (fd, F_SETFL, flags & O_DIRECT) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot use %s", path);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

static void
learn_file_system (VhostBlkFile *file)
{
  struct statfs status;

  if (file->is_device || fstatfs (file->fds[VHOST_BLK_ACCESS_MAIN], &status) < 0)
    return;
  file->is_memory = status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
}

static void
learn_block_sizes (VhostBlkFile *file)
{
  int fd = file->fds[VHOST_BLK_ACCESS_MAIN];
  struct stat status;
  int logical = VHOST_BLK_SECTOR;
  guint physical = PAGE;

  if (file->is_device) {
    ioctl (fd, BLKSSZGET, &logical);
    ioctl (fd, BLKPBSZGET, &physical);
  } else if (fstat (fd, &status) == 0) {
    physical = (guint) status.st_blksize;
  }
  file->block_size = (guint) logical;
  file->physical_block_size = MAX (physical, file->block_size);
}

/* What is not known is found out by EINVAL. */
static void
learn_alignment (VhostBlkFile *file)
{
  file->memory_alignment = file->place_alignment = MAX (file->block_size, VHOST_BLK_SECTOR);
#ifdef STATX_DIOALIGN
  struct statx status;

  if (statx (file->fds[VHOST_BLK_ACCESS_MAIN], "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) && status.stx_dio_mem_align > 0 &&
      status.stx_dio_offset_align > 0) {
    file->memory_alignment = status.stx_dio_mem_align;
    file->place_alignment = status.stx_dio_offset_align;
  }
#endif
}

/* The same file again, whatever the path names by now. */
static int
open_buffered (VhostBlkFile *file, int mode, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", file->fds[VHOST_BLK_ACCESS_MAIN]);

  return open_checked (file, path, mode, error);
}

static VhostBlkFile *
file_new (void)
{
  VhostBlkFile *file = g_new0 (VhostBlkFile, 1);

  g_atomic_ref_count_init (&file->ref_count);
  file->fds[VHOST_BLK_ACCESS_MAIN] = file->fds[VHOST_BLK_ACCESS_BUFFERED] = -1;
  file->block_size = VHOST_BLK_SECTOR;
  file->physical_block_size = PAGE;
  file->memory_alignment = file->place_alignment = 1;
  return file;
}

VhostBlkFile *
vhost_blk_file_open (const char *path, VhostVirtioBlkFlags flags, GError **error)
{
  g_autoptr (VhostBlkFile) file = file_new ();
  int mode = (flags & VHOST_VIRTIO_BLK_FLAGS_READ_ONLY) ? O_RDONLY : O_RDWR;
  int *fds = file->fds;

  file->read_only = mode == O_RDONLY;
  file->direct = (flags & VHOST_VIRTIO_BLK_FLAGS_DIRECT) != 0;
  fds[0] = open_checked (file, path, mode | (file->direct ? O_DIRECT : 0), error);
  if (fds[0] < 0)
    return NULL;
  fds[1] = file->direct ? open_buffered (file, mode, error) : fds[0];
  if (fds[1] < 0)
    return NULL;
  learn_file_system (file);
  learn_block_sizes (file);
  file->direct = file->direct && !file->is_memory;
  if (file->direct)
    learn_alignment (file);
  file->try_reads = file->try_writes = !file->direct && !file->is_memory;
  return vhost_blk_file_measure (file, error) ? g_steal_pointer (&file) : NULL;
}

VhostBlkFile *
vhost_blk_file_new_null (guint64 size)
{
  VhostBlkFile *file = file_new ();

  file->size = size / VHOST_BLK_SECTOR * VHOST_BLK_SECTOR;
  return file;
}

VhostBlkFile *
vhost_blk_file_ref (VhostBlkFile *file)
{
  g_atomic_ref_count_inc (&file->ref_count);
  return file;
}

void
vhost_blk_file_unref (VhostBlkFile *file)
{
  if (!g_atomic_ref_count_dec (&file->ref_count))
    return;
  if (file->fds[1] != file->fds[0])
    vhost_fd_clear (&file->fds[1]);
  vhost_fd_clear (&file->fds[0]);
  g_free (file);
}

gboolean
vhost_blk_file_measure (VhostBlkFile *file, GError **error)
{
  off_t end;

  if (vhost_blk_file_is_null (file))
    return TRUE;
  end = lseek (file->fds[VHOST_BLK_ACCESS_MAIN], 0, SEEK_END);
  if (end < 0)
    return vhost_set_error_from_errno (error, errno, "cannot tell the size of the disk");
  __atomic_store_n (&file->size, (guint64) end / VHOST_BLK_SECTOR * VHOST_BLK_SECTOR,
                    __ATOMIC_RELAXED);
  return TRUE;
}

/* --- Reading and writing ------------------------------------------------------------------- */

void
vhost_blk_transfer_advance (VhostBlkTransfer *transfer, guint32 n)
{
  transfer->offset += n;
  transfer->left -= n;
  while (n > 0) {
    gsize piece = MIN (n, transfer->iov->iov_len);

    transfer->iov->iov_base = (guint8 *) transfer->iov->iov_base + piece;
    transfer->iov->iov_len -= piece;
    n -= (guint32) piece;
    if (transfer->iov->iov_len == 0) {
      transfer->iov++;
      transfer->n_iov--;
    }
  }
}

VhostBlkAccess
vhost_blk_file_choose_access (const VhostBlkFile *file, const VhostBlkTransfer *transfer)
{
  gsize memory = file->memory_alignment - 1;

  if (!file->direct)
    return VHOST_BLK_ACCESS_MAIN;
  if ((transfer->offset | transfer->left) & (file->place_alignment - 1))
    return VHOST_BLK_ACCESS_BUFFERED;
  for (guint i = 0; i < transfer->n_iov; i++) {
    if (((gsize) transfer->iov[i].iov_base | transfer->iov[i].iov_len) & memory)
      return VHOST_BLK_ACCESS_BUFFERED;
  }
  return VHOST_BLK_ACCESS_MAIN;
}

static gssize
move (const VhostBlkFile *file, const VhostBlkTransfer *transfer, int flags)
{
  int fd = file->fds[transfer->access];
  gssize n;

  if (transfer->through)
    flags |= RWF_DSYNC;
  do {
    n = transfer->is_write
            ? pwritev2 (fd, transfer->iov, (int) transfer->n_iov, (off_t) transfer->offset, flags)
            : preadv2 (fd, transfer->iov, (int) transfer->n_iov, (off_t) transfer->offset, flags);
  } while (n < 0 && errno == EINTR);
  return n;
}

gboolean
vhost_blk_file_try_transfer (VhostBlkFile *file, VhostBlkTransfer *transfer)
{
  int *try = transfer->is_write ? &file->try_writes : &file->try_reads;
  gssize n;

  if (!file->is_memory && (transfer->through || !__atomic_load_n (try, __ATOMIC_RELAXED)))
    return FALSE;
  n = move (file, transfer, file->is_memory ? 0 : RWF_NOWAIT);
  if (G_LIKELY (n == transfer->left))
    return TRUE;
  if (n > 0)
    vhost_blk_transfer_advance (transfer, (guint32) n);
  else if (n < 0 && errno == EOPNOTSUPP)
    __atomic_store_n (try, FALSE, __ATOMIC_RELAXED);
  return FALSE;
}

int
vhost_blk_file_transfer (VhostBlkFile *file, VhostBlkTransfer *transfer)
{
  while (transfer->left > 0) {
    gssize n = move (file, transfer, 0);

    if (n > 0)
      vhost_blk_transfer_advance (transfer, (guint32) n);
    else if (n == 0)
      return EIO; /* the file is shorter than it was */
    else if (errno == EINVAL && transfer->access == VHOST_BLK_ACCESS_MAIN && file->direct)
      transfer->access = VHOST_BLK_ACCESS_BUFFERED;
    else
      return errno;
  }
  return 0;
}

int
vhost_blk_file_flush (VhostBlkFile *file)
{
  if (vhost_blk_file_is_null (file))
    return 0;
  return fdatasync (file->fds[VHOST_BLK_ACCESS_MAIN]) == 0 ? 0 : errno;
}

/* --- Holes and zeroes ---------------------------------------------------------------------- */

static int
allocate (VhostBlkFile *file, int mode, guint64 offset, guint64 length)
{
  int result;

  do {
    result = fallocate (file->fds[VHOST_BLK_ACCESS_MAIN], mode | FALLOC_FL_KEEP_SIZE,
                        (off_t) offset, (off_t) length);
  } while (result < 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

/* Not what the kind of file can do, or not at this place. */
static gboolean
is_unsupported (int number)
{
  return number == EOPNOTSUPP || number == ENOSYS || number == ENOTTY || number == EINVAL;
}

int
vhost_blk_file_discard (VhostBlkFile *file, guint64 offset, guint64 length)
{
  const guint64 range[] = { offset, length };
  int number;

  if (vhost_blk_file_is_null (file) || length == 0)
    return 0;
  if (file->is_device)
    number = ioctl (file->fds[VHOST_BLK_ACCESS_MAIN], BLKDISCARD, range) == 0 ? 0 : errno;
  else
    number = allocate (file, FALLOC_FL_PUNCH_HOLE, offset, length);
  return is_unsupported (number) ? 0 : number; /* a hint */
}

static int
write_zeroes_by_hand (VhostBlkFile *file, guint64 offset, guint64 length)
{
  g_autofree guint8 *zeroes = g_malloc0 (ZEROES_AT_ONCE);

  while (length > 0) {
    guint32 n = (guint32) MIN (length, ZEROES_AT_ONCE);
    struct iovec iov = { zeroes, n };
    VhostBlkTransfer transfer = {
      .is_write = TRUE,
      .access = VHOST_BLK_ACCESS_BUFFERED,
      .offset = offset,
      .left = n,
      .n_iov = 1,
      .iov = &iov,
    };
    int number = vhost_blk_file_transfer (file, &transfer);

    if (number != 0)
      return number;
    offset += n;
    length -= n;
  }
  return 0;
}

/* fallocate() does for a block device what BLKZEROOUT does, and can give the space back as well. */
int
vhost_blk_file_write_zeroes (VhostBlkFile *file, guint64 offset, guint64 length, gboolean may_unmap)
{
  int number = EOPNOTSUPP;

  if (vhost_blk_file_is_null (file) || length == 0)
    return 0;
  if (may_unmap)
    number = allocate (file, FALLOC_FL_PUNCH_HOLE, offset, length);
  if (is_unsupported (number))
    number = allocate (file, FALLOC_FL_ZERO_RANGE, offset, length);
  return is_unsupported (number) ? write_zeroes_by_hand (file, offset, length) : number;
}
