/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <sys/uio.h>
#include <glib.h>

G_BEGIN_DECLS

/**
 * VhostSlot: (skip)
 * @iov: where the chain's buffers are mapped: @n_readable pieces, then @n_writable
 * @readable_size: bytes in the readable pieces
 * @writable_size: bytes in the writable pieces
 * @n_readable: pieces that the device may read
 * @n_writable: pieces that the device may write
 *
 * A chain as [method@Vhost.Queue.pop_batch] gives it: checked, and translated. Slots are the
 * queue's, which allocates them once; what they say is not to be changed. The bytes themselves are
 * shared with the driver, which may change them at any time.
 *
 * Since: 1.0
 */
typedef struct _VhostSlot VhostSlot;

struct _VhostSlot {
  struct iovec *iov;
  guint32 readable_size;
  guint32 writable_size;
  guint16 n_readable;
  guint16 n_writable;

  /*< private >*/
  guint16 head;     /* or buffer id */
  guint16 n_descs;  /* packed: entries of the ring that it takes */
  guint32 position; /* how many chains were popped before it, modulo 2^32 */
  guint32 written;  /* of a handle: contiguous bytes from the start that were, or may have been,
                       written */
  struct iovec inline_iov[8]; /* with two pieces, all that is hot is in one cache line */
  gpointer pin;       /* of the queue: the memory it was popped under; NULL: the present one */
  guint32 generation; /* of the queue: the handle that may use it; 0: none */
  guint8 completed;   /* of the queue: waits to be pushed */
  guint8 scattered;   /* of a handle: bytes were written behind a gap */
  gboolean refetched; /* it was in flight when the process before ended: the ring has moved on */
  guint16 n_room;     /* iovecs that fit in iov */
  guint16 first;      /* packed: the first of n_descs, when there is an inflight record */
  guint16 entry;      /* packed: of the inflight record */
  guint8 padding[6];
};

G_END_DECLS
