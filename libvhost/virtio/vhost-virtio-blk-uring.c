/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns an io_uring, in which the descriptors of the disk are registered. Guest memory is not: that
 * would fetch and pin all of it.
 *
 * One thread at a time. */

#include "virtio/vhost-virtio-blk-uring-private.h"

#ifdef VHOST_HAVE_LIBURING

#include <liburing.h>

#define MAX_ENTRIES 256
#define MAX_COMPLETIONS 4096
#define REAP_AT_ONCE 32

/* A copy out of the page cache that is longer than this is not made by the thread that submits. */
#define INLINE_MAX (256 * 1024)

struct _VhostBlkUring {
  struct io_uring ring;
  gboolean buffered; /* the main descriptor goes through the page cache */
};

static gboolean
set_up (struct io_uring *ring, guint n_entries)
{
  struct io_uring_params params = {
    .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN,
    .cq_entries = CLAMP (2 * n_entries, 16, MAX_COMPLETIONS),
  };

  n_entries = CLAMP (n_entries, 8, MAX_ENTRIES);
  if (io_uring_queue_init_params (n_entries, ring, &params) == 0)
    return TRUE;
  params.flags = 0; /* a kernel before 5.19 */
  return io_uring_queue_init_params (n_entries, ring, &params) == 0;
}

gboolean
vhost_blk_uring_is_allowed (void)
{
  struct io_uring ring;

  if (!set_up (&ring, 1))
    return FALSE;
  io_uring_queue_exit (&ring);
  return TRUE;
}

VhostBlkUring *
vhost_blk_uring_new (const VhostBlkFile *file, guint n_entries, int event_fd)
{
  g_autofree VhostBlkUring *uring = g_new0 (VhostBlkUring, 1);

  if (!set_up (&uring->ring, n_entries))
    return NULL;
  uring->buffered = !file->direct;
  if (io_uring_register_files (&uring->ring, file->fds, VHOST_BLK_N_ACCESSES) < 0 ||
      io_uring_register_eventfd (&uring->ring, event_fd) < 0) {
    io_uring_queue_exit (&uring->ring);
    return NULL;
  }
  return g_steal_pointer (&uring);
}

void
vhost_blk_uring_free (VhostBlkUring *uring)
{
  io_uring_queue_exit (&uring->ring);
  g_free (uring);
}

/* One piece needs no vector. */
static void
prepare (struct io_uring_sqe *sqe, const VhostBlkTransfer *transfer)
{
  const struct iovec *iov = transfer->iov;
  int fd = transfer->access;

  if (transfer->n_iov == 1 && transfer->is_write)
    io_uring_prep_write (sqe, fd, iov->iov_base, (guint) iov->iov_len, transfer->offset);
  else if (transfer->n_iov == 1)
    io_uring_prep_read (sqe, fd, iov->iov_base, (guint) iov->iov_len, transfer->offset);
  else if (transfer->is_write)
    io_uring_prep_writev (sqe, fd, iov, transfer->n_iov, transfer->offset);
  else
    io_uring_prep_readv (sqe, fd, iov, transfer->n_iov, transfer->offset);
  sqe->rw_flags = transfer->through ? RWF_DSYNC : 0;
}

gboolean
vhost_blk_uring_submit (VhostBlkUring *uring)
{
  int n = 1;

  while (io_uring_sq_ready (&uring->ring) > 0 && (n > 0 || n == -EINTR))
    n = io_uring_submit (&uring->ring);
  return io_uring_sq_ready (&uring->ring) == 0;
}

gboolean
vhost_blk_uring_add (VhostBlkUring *uring, const VhostBlkTransfer *transfer, gpointer tag)
{
  struct io_uring_sqe *sqe = io_uring_get_sqe (&uring->ring);

  if (sqe == NULL) {
    vhost_blk_uring_submit (uring);
    sqe = io_uring_get_sqe (&uring->ring);
  }
  if (sqe == NULL)
    return FALSE;
  prepare (sqe, transfer);
  io_uring_sqe_set_flags (
      sqe, IOSQE_FIXED_FILE | (uring->buffered && transfer->left > INLINE_MAX ? IOSQE_ASYNC : 0));
  io_uring_sqe_set_data (sqe, tag);
  return TRUE;
}

guint
vhost_blk_uring_reap (VhostBlkUring *uring, VhostBlkUringFunc func, gpointer data)
{
  struct io_uring_cqe *cqes[REAP_AT_ONCE];
  guint total = 0;
  guint n;

  while ((n = io_uring_peek_batch_cqe (&uring->ring, cqes, REAP_AT_ONCE)) > 0) {
    gpointer tags[REAP_AT_ONCE];
    int results[REAP_AT_ONCE];

    for (guint i = 0; i < n; i++) {
      tags[i] = io_uring_cqe_get_data (cqes[i]);
      results[i] = cqes[i]->res;
    }
    io_uring_cq_advance (&uring->ring, n);
    for (guint i = 0; i < n; i++)
      func (tags[i], results[i], data);
    total += n;
  }
  return total;
}

#else

gboolean
vhost_blk_uring_is_allowed (void)
{
  return FALSE;
}

VhostBlkUring *
vhost_blk_uring_new (const VhostBlkFile *file, guint n_entries, int event_fd)
{
  return NULL;
}

void
vhost_blk_uring_free (VhostBlkUring *uring)
{
}

gboolean
vhost_blk_uring_add (VhostBlkUring *uring, const VhostBlkTransfer *transfer, gpointer tag)
{
  return FALSE;
}

gboolean
vhost_blk_uring_submit (VhostBlkUring *uring)
{
  return TRUE;
}

guint
vhost_blk_uring_reap (VhostBlkUring *uring, VhostBlkUringFunc func, gpointer data)
{
  return 0;
}

#endif
