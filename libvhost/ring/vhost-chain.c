/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles of chains. A handle names a slot of its queue and the generation it was popped in; once
 * the slot has moved on, the handle is dead. Bytes are copied straight from and to guest memory,
 * which the driver may change at any time: nothing is read twice, and only the writable part is
 * ever written.
 *
 * On the queue's thread. (VIRTIO 1.4, section 2.6) */

#include "ring/vhost-chain-private.h"

#include <errno.h>
#include <string.h>
#include "core/vhost-error-private.h"
#include "ring/vhost-queue-state-private.h"

struct _VhostChain {
  guint ref_count;
  VhostQueue *queue;
  guint16 head;
  guint32 generation;
};

G_DEFINE_BOXED_TYPE (VhostChain, vhost_chain, vhost_chain_ref, vhost_chain_unref)

VhostChain *
vhost_chain_new (VhostQueue *queue, VhostSlot *slot)
{
  VhostChain *chain = g_new (VhostChain, 1);

  queue->generation += queue->generation == G_MAXUINT32 ? 2 : 1;
  slot->generation = queue->generation;
  slot->written = 0;
  slot->scattered = FALSE;
  *chain = (VhostChain){ 1, g_object_ref (queue), slot->head, slot->generation };
  return chain;
}

VhostSlot *
vhost_chain_get_slot (VhostChain *chain, VhostQueue *queue)
{
  VhostSlot *slot;

  if (chain->queue != queue || chain->head >= queue->ring.common.size)
    return NULL;
  slot = queue->ring.common.by_head[chain->head];
  return slot != NULL && slot->generation == chain->generation ? slot : NULL;
}

static VhostSlot *
get_slot (VhostChain *chain)
{
  return vhost_chain_get_slot (chain, chain->queue);
}

/**
 * vhost_chain_ref:
 * @chain: a chain
 *
 * Takes one more reference.
 *
 * Returns: (transfer full): @chain
 *
 * Since: 1.0
 */
VhostChain *
vhost_chain_ref (VhostChain *chain)
{
  chain->ref_count++;
  return chain;
}

/**
 * vhost_chain_unref:
 * @chain: (transfer full): a chain
 *
 * Drops a reference. A chain that was not pushed stays in flight until its queue stops.
 *
 * Since: 1.0
 */
void
vhost_chain_unref (VhostChain *chain)
{
  if (--chain->ref_count > 0)
    return;
  g_object_unref (chain->queue);
  g_free (chain);
}

/**
 * vhost_chain_is_alive:
 * @chain: a chain
 *
 * Tells whether the chain still waits for its completion.
 *
 * Returns: whether the chain is still in flight: not pushed, and its queue has not ended
 *
 * Since: 1.0
 */
gboolean
vhost_chain_is_alive (VhostChain *chain)
{
  return get_slot (chain) != NULL;
}

/**
 * vhost_chain_get_head:
 * @chain: a chain
 *
 * Tells which descriptor the chain begins with; of use in logs.
 *
 * Returns: index of the chain's first descriptor: the same only for one chain in flight at a time
 *
 * Since: 1.0
 */
guint
vhost_chain_get_head (VhostChain *chain)
{
  return chain->head;
}

/**
 * vhost_chain_get_readable_size:
 * @chain: a chain
 *
 * Tells how much the driver gives.
 *
 * Returns: how many bytes the driver gives; 0 for a dead handle
 *
 * Since: 1.0
 */
gsize
vhost_chain_get_readable_size (VhostChain *chain)
{
  const VhostSlot *slot = get_slot (chain);

  return slot != NULL ? slot->readable_size : 0;
}

/**
 * vhost_chain_get_writable_size:
 * @chain: a chain
 *
 * Tells how much room the driver leaves for an answer.
 *
 * Returns: how many bytes the device may write; 0 for a dead handle
 *
 * Since: 1.0
 */
gsize
vhost_chain_get_writable_size (VhostChain *chain)
{
  const VhostSlot *slot = get_slot (chain);

  return slot != NULL ? slot->writable_size : 0;
}

/* --- Walking over the pieces --------------------------------------------------------------- */

typedef struct {
  const struct iovec *iov;
  gsize skip; /* of the first piece */
  gsize left;
} Cursor;

/* Where @size bytes from @offset on are, clamped to the @total that there are. */
static Cursor
cursor_new (const struct iovec *iov, gsize total, gsize offset, gsize size)
{
  Cursor cursor = { iov, offset, offset < total ? MIN (size, total - offset) : 0 };

  if (cursor.left == 0)
    return cursor;
  for (; cursor.skip >= cursor.iov->iov_len; cursor.iov++)
    cursor.skip -= cursor.iov->iov_len;
  return cursor;
}

static Cursor
cursor_new_readable (const VhostSlot *slot, gsize offset, gsize size)
{
  return slot != NULL ? cursor_new (slot->iov, slot->readable_size, offset, size)
                      : (Cursor){ NULL, 0, 0 };
}

static Cursor
cursor_new_writable (const VhostSlot *slot, gsize offset, gsize size)
{
  return slot != NULL ? cursor_new (slot->iov + slot->n_readable, slot->writable_size, offset, size)
                      : (Cursor){ NULL, 0, 0 };
}

static gboolean
cursor_next (Cursor *cursor, struct iovec *piece)
{
  if (cursor->left == 0)
    return FALSE;
  piece->iov_base = (guint8 *) cursor->iov->iov_base + cursor->skip;
  piece->iov_len = MIN (cursor->iov->iov_len - cursor->skip, cursor->left);
  cursor->left -= piece->iov_len;
  cursor->skip = 0;
  cursor->iov++;
  return TRUE;
}

/* used.len counts from the start and has no holes. */
static void
note_written (VhostSlot *slot, gsize offset, gsize size)
{
  if (offset > slot->written)
    slot->scattered = TRUE;
  else if (offset + size > slot->written)
    slot->written = (guint32) (offset + size);
}

/* --- Bytes --------------------------------------------------------------------------------- */

/**
 * vhost_chain_read:
 * @chain: a chain
 * @offset: bytes from the start of the readable part
 * @size: how many bytes to read at most; %G_MAXSIZE for all
 * @length: (out): how many bytes there were
 *
 * Copies bytes that the driver gives. The copy is what to check and to use: the driver may change
 * the original at any time.
 *
 * On the queue's thread.
 *
 * Returns: (transfer full) (array length=length): the bytes; fewer than @size at the end of the
 *   readable part, none beyond it and for a dead handle
 *
 * Since: 1.0
 */
guint8 *
vhost_chain_read (VhostChain *chain, gsize offset, gsize size, gsize *length)
{
  Cursor cursor = cursor_new_readable (get_slot (chain), offset, size);
  guint8 *bytes = g_malloc (MAX (cursor.left, 1));
  struct iovec piece;

  *length = 0;
  while (cursor_next (&cursor, &piece)) {
    memcpy (bytes + *length, piece.iov_base, piece.iov_len);
    *length += piece.iov_len;
  }
  return bytes;
}

/**
 * vhost_chain_write:
 * @chain: a chain
 * @offset: bytes from the start of the writable part
 * @data: (array length=length): what to write
 * @length: bytes
 *
 * Writes into the writable part, as far as it goes.
 *
 * On the queue's thread.
 *
 * Returns: how many bytes were written; 0 beyond the end and for a dead handle
 *
 * Since: 1.0
 */
gsize
vhost_chain_write (VhostChain *chain, gsize offset, const guint8 *data, gsize length)
{
  VhostSlot *slot = get_slot (chain);
  Cursor cursor = cursor_new_writable (slot, offset, length);
  struct iovec piece;
  gsize written = 0;

  while (cursor_next (&cursor, &piece)) {
    memcpy (piece.iov_base, data + written, piece.iov_len);
    written += piece.iov_len;
  }
  if (written > 0)
    note_written (slot, offset, written);
  return written;
}

/**
 * vhost_chain_fill:
 * @chain: a chain
 * @offset: bytes from the start of the writable part
 * @byte: what to write into each byte
 * @size: how many bytes to write at most; %G_MAXSIZE for all
 *
 * Fills a range of the writable part, as far as it goes.
 *
 * On the queue's thread.
 *
 * Returns: how many bytes were written; 0 beyond the end and for a dead handle
 *
 * Since: 1.0
 */
gsize
vhost_chain_fill (VhostChain *chain, gsize offset, guint8 byte, gsize size)
{
  VhostSlot *slot = get_slot (chain);
  Cursor cursor = cursor_new_writable (slot, offset, size);
  struct iovec piece;
  gsize written = 0;

  while (cursor_next (&cursor, &piece)) {
    memset (piece.iov_base, byte, piece.iov_len);
    written += piece.iov_len;
  }
  if (written > 0)
    note_written (slot, offset, written);
  return written;
}

/**
 * vhost_chain_write_from_chain:
 * @chain: a chain
 * @offset: bytes from the start of the writable part
 * @size: how many bytes at most; %G_MAXSIZE for all
 * @source: the chain to read from, of any queue and any device on this thread
 * @source_offset: bytes from the start of the readable part of @source
 *
 * Copies what the driver of @source gives into the writable part, from guest memory to guest
 * memory, as far as both go. The two parts may overlap.
 *
 * On the thread of both queues.
 *
 * Returns: how many bytes were copied; 0 beyond either end, and when either handle is dead
 *
 * Since: 1.0
 */
gsize
vhost_chain_write_from_chain (VhostChain *chain, gsize offset, gsize size, VhostChain *source,
                              gsize source_offset)
{
  VhostSlot *slot = get_slot (chain);
  Cursor from = cursor_new_readable (get_slot (source), source_offset, size);
  Cursor to = cursor_new_writable (slot, offset, from.left);
  struct iovec in = { NULL, 0 };
  struct iovec out = { NULL, 0 };
  gsize written = 0;

  while ((out.iov_len > 0 || cursor_next (&to, &out)) &&
         (in.iov_len > 0 || cursor_next (&from, &in))) {
    gsize n = MIN (in.iov_len, out.iov_len);

    memmove (out.iov_base, in.iov_base, n);
    in = (struct iovec){ (guint8 *) in.iov_base + n, in.iov_len - n };
    out = (struct iovec){ (guint8 *) out.iov_base + n, out.iov_len - n };
    written += n;
  }
  if (written > 0)
    note_written (slot, offset, written);
  return written;
}

/* --- Files --------------------------------------------------------------------------------- */

typedef struct {
  struct iovec iov[VHOST_RING_MAX_IOVECS];
  guint n;
} IovecList;

static void
list_pieces (Cursor *cursor, IovecList *list)
{
  list->n = 0;
  while (list->n < VHOST_RING_MAX_IOVECS && cursor_next (cursor, &list->iov[list->n]))
    list->n++;
}

static gboolean
check_alive (const VhostChain *chain, const VhostSlot *slot, GError **error)
{
  if (slot != NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "chain %u has been completed", chain->head);
}

static gssize
fail_transfer (const char *what, int fd, GError **error)
{
  if (errno == EFAULT)
    vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "cannot %s file descriptor %d: %s", what, fd,
                     "the file behind guest memory went away");
  else
    vhost_set_error_from_errno (error, errno, "cannot %s file descriptor %d", what, fd);
  return -1;
}

/**
 * vhost_chain_read_to_fd:
 * @chain: a chain
 * @offset: bytes from the start of the readable part
 * @size: how many bytes at most; %G_MAXSIZE for all
 * @fd: an open file descriptor, which stays the caller's
 * @fd_offset: where in the file, in bytes; -1 for its current position, and for what has none
 * @error: return location
 *
 * Writes what the driver gives into a file, straight out of guest memory. One system call: it may
 * transfer less than was asked for.
 *
 * On the queue's thread.
 *
 * Returns: how many bytes went into the file, or -1 with %VHOST_ERROR_BAD_STATE for a dead handle,
 *   %VHOST_ERROR_BAD_MEMORY when guest memory has lost its file, or a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gssize
vhost_chain_read_to_fd (VhostChain *chain, gsize offset, gsize size, int fd, gint64 fd_offset,
                        GError **error)
{
  const VhostSlot *slot = get_slot (chain);
  Cursor cursor = cursor_new_readable (slot, offset, size);
  IovecList list;
  gssize n;

  if (!check_alive (chain, slot, error))
    return -1;
  list_pieces (&cursor, &list);
  if (list.n == 0)
    return 0;
  do {
    n = fd_offset < 0 ? writev (fd, list.iov, (int) list.n)
                      : pwritev (fd, list.iov, (int) list.n, fd_offset);
  } while (n < 0 && errno == EINTR);
  return n >= 0 ? n : fail_transfer ("write to", fd, error);
}

/**
 * vhost_chain_write_from_fd:
 * @chain: a chain
 * @offset: bytes from the start of the writable part
 * @size: how many bytes at most; %G_MAXSIZE for all
 * @fd: an open file descriptor, which stays the caller's
 * @fd_offset: where in the file, in bytes; -1 for its current position, and for what has none
 * @error: return location
 *
 * Reads from a file straight into the writable part. One system call: it may transfer less than was
 * asked for, and 0 bytes at the end of the file.
 *
 * On the queue's thread.
 *
 * Returns: how many bytes came out of the file, or -1 with %VHOST_ERROR_BAD_STATE for a dead
 * handle, %VHOST_ERROR_BAD_MEMORY when guest memory has lost its file, or a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gssize
vhost_chain_write_from_fd (VhostChain *chain, gsize offset, gsize size, int fd, gint64 fd_offset,
                           GError **error)
{
  VhostSlot *slot = get_slot (chain);
  Cursor cursor = cursor_new_writable (slot, offset, size);
  IovecList list;
  gssize n;

  if (!check_alive (chain, slot, error))
    return -1;
  list_pieces (&cursor, &list);
  if (list.n == 0)
    return 0;
  do {
    n = fd_offset < 0 ? readv (fd, list.iov, (int) list.n)
                      : preadv (fd, list.iov, (int) list.n, fd_offset);
  } while (n < 0 && errno == EINTR);
  if (n < 0)
    return fail_transfer ("read from", fd, error);
  note_written (slot, offset, (gsize) n);
  return n;
}
