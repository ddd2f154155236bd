/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes requests apart, in whatever pieces they come, and writes their status. The driver may
 * change its memory at any time: header and ranges are copied out once, the copies are checked.
 *
 * Owns nothing. On the queue's thread. (VIRTIO 1.4, section 5.2.6) */

#include "virtio/vhost-virtio-blk-command-private.h"

#include <string.h>

typedef struct {
  guint32 type;
  guint32 reserved;
  guint64 sector;
} Header;

typedef struct {
  guint64 sector;
  guint32 n_sectors;
  guint32 flags;
} Range;

#define RANGE_UNMAP 1u

/* What a failed request leaves unwritten is filled up with zeroes, so that the length that is
 * reported is true and includes the status; more than this is not worth it. */
#define FILL_MAX (1024 * 1024)

/* Copies @size bytes from the front of @transfer, which has them. */
static void
take (VhostBlkTransfer *transfer, gpointer data, guint32 size)
{
  guint8 *to = data;

  while (size > 0) {
    guint32 n = (guint32) MIN (size, transfer->iov->iov_len);

    memcpy (to, transfer->iov->iov_base, n);
    vhost_blk_transfer_advance (transfer, n);
    to += n;
    size -= n;
  }
}

gboolean
vhost_blk_command_parse (VhostBlkCommand *command, VhostSlot *slot)
{
  struct iovec *writable = slot->iov + slot->n_readable;
  struct iovec *last = writable + slot->n_writable - 1;
  Header header = { .type = (guint32) VHOST_BLK_TYPE_NONE };

  if (G_UNLIKELY (slot->writable_size == 0))
    return FALSE;
  command->slot = slot;
  command->status = (guint8 *) last->iov_base + --last->iov_len;
  command->read = (VhostBlkTransfer){
    .iov = writable,
    .n_iov = slot->n_writable - (last->iov_len == 0),
    .left = slot->writable_size - 1,
  };
  command->write = (VhostBlkTransfer){
    .is_write = TRUE,
    .iov = slot->iov,
    .n_iov = slot->n_readable,
    .left = slot->readable_size,
  };
  if (G_LIKELY (slot->readable_size >= sizeof header))
    take (&command->write, &header, sizeof header);
  command->type = GUINT32_FROM_LE (header.type);
  command->sector = GUINT64_FROM_LE (header.sector);
  return TRUE;
}

gboolean
vhost_blk_command_place (const VhostBlkCommand *command, VhostBlkTransfer *transfer,
                         const VhostBlkFile *file)
{
  if (transfer->left % VHOST_BLK_SECTOR != 0 ||
      command->sector > vhost_blk_file_get_size (file) / VHOST_BLK_SECTOR)
    return FALSE;
  transfer->offset = command->sector * VHOST_BLK_SECTOR;
  return vhost_blk_file_contains (file, transfer->offset, transfer->left);
}

/* --- Ranges -------------------------------------------------------------------------------- */

static VhostBlkStatus
check_range (const Range *range, guint32 type, const VhostBlkFile *file, VhostBlkRange *checked)
{
  guint64 sector = GUINT64_FROM_LE (range->sector);
  guint32 n_sectors = GUINT32_FROM_LE (range->n_sectors);
  guint32 flags = GUINT32_FROM_LE (range->flags);

  if ((flags & ~RANGE_UNMAP) != 0 || (flags != 0 && type == VHOST_BLK_TYPE_DISCARD))
    return VHOST_BLK_STATUS_UNSUPP;
  if (n_sectors > VHOST_BLK_MAX_RANGE_SECTORS ||
      sector > vhost_blk_file_get_size (file) / VHOST_BLK_SECTOR)
    return VHOST_BLK_STATUS_IOERR;
  *checked = (VhostBlkRange){ sector * VHOST_BLK_SECTOR, (guint64) n_sectors * VHOST_BLK_SECTOR,
                              (flags & RANGE_UNMAP) != 0 };
  return vhost_blk_file_contains (file, checked->offset, checked->length) ? VHOST_BLK_STATUS_OK
                                                                          : VHOST_BLK_STATUS_IOERR;
}

VhostBlkStatus
vhost_blk_command_read_ranges (const VhostBlkCommand *command, const VhostBlkFile *file,
                               VhostBlkRange *ranges, guint *n)
{
  VhostBlkTransfer data = command->write;
  guint n_ranges = data.left / sizeof (Range);
  VhostBlkStatus status = VHOST_BLK_STATUS_OK;

  if (n_ranges == 0 || n_ranges > VHOST_BLK_MAX_RANGES || data.left % sizeof (Range) != 0)
    return VHOST_BLK_STATUS_IOERR;
  for (guint i = 0; i < n_ranges && status == VHOST_BLK_STATUS_OK; i++) {
    Range range;

    take (&data, &range, sizeof range);
    status = check_range (&range, command->type, file, &ranges[i]);
  }
  *n = n_ranges;
  return status;
}

/* --- Answers ------------------------------------------------------------------------------- */

void
vhost_blk_command_answer (VhostBlkCommand *command, const void *data, guint32 size)
{
  const guint8 *from = data;

  size = MIN (size, command->read.left);
  while (size > 0) {
    guint32 n = (guint32) MIN (size, command->read.iov->iov_len);

    memcpy (command->read.iov->iov_base, from, n);
    vhost_blk_transfer_advance (&command->read, n);
    from += n;
    size -= n;
  }
}

guint32
vhost_blk_command_finish (VhostBlkCommand *command, VhostBlkStatus status)
{
  VhostBlkTransfer *read = &command->read;

  while (G_UNLIKELY (read->left > 0 && read->left <= FILL_MAX)) {
    guint32 n = (guint32) read->iov->iov_len;

    memset (read->iov->iov_base, 0, n);
    vhost_blk_transfer_advance (read, n);
  }
  *command->status = (guint8) status;
  return command->slot->writable_size - (read->left > 0 ? read->left + 1 : 0);
}
