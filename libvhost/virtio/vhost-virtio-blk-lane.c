/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what is in flight between one ring and the disk: reads and writes go through io_uring or,
 * where there is none, through threads; whatever else takes a while is a thread's anyway. Either
 * signals one descriptor, which hangs on the reactor of the queue.
 *
 * The ring can be let go at any time, by a front-end that leaves. Then the lane is a stray: each
 * transfer keeps the memory that it is about, and while there is a stray the disk takes no new
 * requests, so that no old write comes after a newer one.
 *
 * On the queue's thread, strays on that of the control plane; run_todo() on threads of its own. */

#include "virtio/vhost-virtio-blk-lane-private.h"

#include <string.h>
#include "core/vhost-fd-private.h"
#include "virtio/vhost-virtio-blk-uring-private.h"

#define MAX_THREADS 16
#define INLINE_IOVECS 16

typedef struct _Request Request;

struct _Request {
  VhostBlkLane *lane;
  VhostBlkCommand command;
  VhostBlkStatus status;
  VhostMemory *memory; /* what the pieces are in */
  Request *next;
  struct iovec *iov; /* copies: the slot may go */
  union {
    struct iovec iov[INLINE_IOVECS];
    VhostBlkRange ranges[VHOST_BLK_MAX_RANGES];
  } inlined;
  guint n_ranges;
};

typedef struct {
  Request *first;
  Request **last;
} RequestList;

struct _VhostBlkLane {
  guint ref_count; /* one is the queue's, one that of all that is in flight */
  VhostBlkDisk *disk;
  VhostQueue *queue; /* NULL: its ring is gone */
  VhostBlkBatch batch;
  guint n_in_flight;
  gboolean is_busy;  /* completing: whatever ends meanwhile is closed afterwards */
  gboolean is_stray; /* its ring is gone, and it is not idle */
  Request *unused;

  int event_fd;
  VhostWatch *watch;
  VhostBlkUring *uring; /* NULL: threads */
  gboolean has_added;   /* since uring was told */
  GThreadPool *threads; /* NULL until one is needed */

  GMutex lock; /* of the two lists */
  RequestList todo;
  RequestList done;
};

/* --- Lists --------------------------------------------------------------------------------- */

static void
list_init (RequestList *list)
{
  list->first = NULL;
  list->last = &list->first;
}

static void
list_append (RequestList *list, Request *request)
{
  request->next = NULL;
  *list->last = request;
  list->last = &request->next;
}

static Request *
list_take_first (RequestList *list)
{
  Request *request = list->first;

  if (request != NULL && (list->first = request->next) == NULL)
    list->last = &list->first;
  return request;
}

static Request *
list_take_all (RequestList *list)
{
  Request *first = list->first;

  list_init (list);
  return first;
}

/* --- Batches ------------------------------------------------------------------------------- */

void
vhost_blk_batch_publish (VhostBlkBatch *batch, VhostQueue *queue)
{
  guint n = batch->n;

  batch->n = 0;
  if (n > 0)
    vhost_queue_push_batch (queue, batch->slots, batch->lengths, n);
}

/* --- Requests ------------------------------------------------------------------------------ */

static Request *
request_new (VhostBlkLane *lane, const VhostBlkCommand *command)
{
  Request *request = lane->unused;

  if (request != NULL)
    lane->unused = request->next;
  else
    request = g_new (Request, 1);
  request->lane = lane;
  request->command = *command;
  request->memory = vhost_memory_ref (vhost_queue_get_slot_memory (lane->queue, command->slot));
  request->iov = request->inlined.iov;
  return request;
}

static void
request_recycle (Request *request)
{
  if (request->iov != request->inlined.iov)
    g_free (request->iov);
  vhost_memory_unref (request->memory);
  request->next = request->lane->unused;
  request->lane->unused = request;
}

static VhostBlkTransfer *
get_transfer (VhostBlkCommand *command)
{
  return command->type == VHOST_BLK_TYPE_IN ? &command->read : &command->write;
}

static void
copy_pieces (Request *request, VhostBlkTransfer *transfer)
{
  if (transfer->n_iov > INLINE_IOVECS)
    request->iov = g_new (struct iovec, transfer->n_iov);
  memcpy (request->iov, transfer->iov, transfer->n_iov * sizeof *transfer->iov);
  transfer->iov = request->iov;
}

/* --- Doing it ------------------------------------------------------------------------------ */

static VhostBlkStatus
to_status (int number)
{
  return number == 0 ? VHOST_BLK_STATUS_OK : VHOST_BLK_STATUS_IOERR;
}

static int
clear_ranges (VhostBlkFile *file, gboolean discard, const VhostBlkRange *ranges, guint n)
{
  int number = 0;

  for (guint i = 0; i < n && number == 0; i++) {
    const VhostBlkRange *range = &ranges[i];

    number = discard ? vhost_blk_file_discard (file, range->offset, range->length)
                     : vhost_blk_file_write_zeroes (file, range->offset, range->length,
                                                    range->may_unmap);
  }
  return number;
}

VhostBlkStatus
vhost_blk_file_run (VhostBlkFile *file, VhostBlkCommand *command, const VhostBlkRange *ranges,
                    guint n_ranges)
{
  switch (command->type) {
  case VHOST_BLK_TYPE_IN:
  case VHOST_BLK_TYPE_OUT:
    return to_status (vhost_blk_file_transfer (file, get_transfer (command)));
  case VHOST_BLK_TYPE_FLUSH:
    return to_status (vhost_blk_file_flush (file));
  default:
    return to_status (
        clear_ranges (file, command->type == VHOST_BLK_TYPE_DISCARD, ranges, n_ranges));
  }
}

static void on_event (guint32 events, gpointer data);

/* --- Ending -------------------------------------------------------------------------------- */

static void
close_descriptors (VhostBlkLane *lane)
{
  vhost_watch_clear (&lane->watch);
  g_clear_pointer (&lane->uring, vhost_blk_uring_free);
  if (lane->threads != NULL)
    g_thread_pool_free (g_steal_pointer (&lane->threads), FALSE, TRUE);
  vhost_fd_clear (&lane->event_fd);
}

static void
lane_free (VhostBlkLane *lane)
{
  close_descriptors (lane);
  if (lane->queue != NULL)
    vhost_queue_set_end_func (lane->queue, NULL, NULL);
  g_clear_object (&lane->queue);
  while (lane->unused != NULL) {
    Request *request = lane->unused;

    lane->unused = request->next;
    g_free (request);
  }
  g_mutex_clear (&lane->lock);
  vhost_blk_disk_unref (lane->disk);
  g_free (lane);
}

void
vhost_blk_lane_unref (VhostBlkLane *lane)
{
  if (--lane->ref_count == 0)
    lane_free (lane);
}

static gboolean
watch_on (VhostBlkLane *lane, VhostReactor *reactor)
{
  lane->watch =
      vhost_reactor_add_watch (reactor, lane->event_fd, EPOLLIN | EPOLLET, on_event, lane, NULL);
  return lane->watch != NULL;
}

/* From here on it belongs to this thread. */
static void
become_stray (VhostBlkLane *lane)
{
  g_autoptr (VhostReactor) reactor = vhost_reactor_get ();

  lane->is_stray = TRUE;
  g_atomic_int_inc (&lane->disk->n_strays);
  watch_on (lane, reactor);
}

static void
end_stray (VhostBlkLane *lane)
{
  VhostBlkDisk *disk = lane->disk;

  lane->is_stray = FALSE;
  if (g_atomic_int_dec_and_test (&disk->n_strays) && disk->strays_gone != NULL)
    disk->strays_gone (disk->data);
}

/* After the ring has gone. */
static void
settle (VhostBlkLane *lane)
{
  if (lane->n_in_flight == 0)
    close_descriptors (lane);
  else if (!lane->is_stray)
    become_stray (lane);
}

/* The ring is let go, with its slots. */
static void
on_end (VhostQueue *queue, gpointer data)
{
  VhostBlkLane *lane = data;

  vhost_queue_set_end_func (queue, NULL, NULL);
  lane->queue = NULL;
  lane->batch.n = 0;
  vhost_watch_clear (&lane->watch);
  if (!lane->is_busy)
    settle (lane);
  g_object_unref (queue);
}

/* Nothing is in flight any more. */
static void
become_idle (VhostBlkLane *lane)
{
  if (lane->queue == NULL)
    close_descriptors (lane);
  if (lane->is_stray)
    end_stray (lane);
  vhost_blk_lane_unref (lane);
}

gboolean
vhost_blk_lane_is_ended (const VhostBlkLane *lane)
{
  return lane->queue == NULL;
}

/* --- Completing ---------------------------------------------------------------------------- */

static void
complete (Request *request, VhostBlkStatus status)
{
  VhostBlkLane *lane = request->lane;

  if (lane->queue != NULL)
    vhost_blk_batch_add (&lane->batch, request->command.slot,
                         vhost_blk_command_finish (&request->command, status));
  if (lane->queue != NULL && lane->batch.n == VHOST_BLK_BATCH)
    vhost_blk_batch_publish (&lane->batch, lane->queue);
  request_recycle (request);
  lane->n_in_flight--;
}

static void
run_todo (gpointer token, gpointer data)
{
  VhostBlkLane *lane = data;
  Request *request;
  gboolean first;

  g_mutex_lock (&lane->lock);
  request = list_take_first (&lane->todo);
  g_mutex_unlock (&lane->lock);
  if (request == NULL)
    return;
  request->status = vhost_blk_file_run (lane->disk->file, &request->command,
                                        request->inlined.ranges, request->n_ranges);

  g_mutex_lock (&lane->lock);
  first = lane->done.first == NULL;
  list_append (&lane->done, request);
  g_mutex_unlock (&lane->lock);
  if (first)
    vhost_fd_signal_event (lane->event_fd);
}

/* Without a single thread to be had it is done here. */
static void
give_to_thread (VhostBlkLane *lane, Request *request)
{
  if (lane->threads == NULL)
    lane->threads = g_thread_pool_new (run_todo, lane, MAX_THREADS, FALSE, NULL);
  g_mutex_lock (&lane->lock);
  list_append (&lane->todo, request);
  g_mutex_unlock (&lane->lock);
  if (!g_thread_pool_push (lane->threads, lane, NULL) &&
      g_thread_pool_get_num_threads (lane->threads) == 0)
    run_todo (lane, lane);
}

static void
give_transfer (VhostBlkLane *lane, Request *request)
{
  VhostBlkTransfer *transfer = get_transfer (&request->command);

  if (lane->uring == NULL || !vhost_blk_uring_add (lane->uring, transfer, request))
    give_to_thread (lane, request);
  else
    lane->has_added = TRUE;
}

/* Short is not an error: the rest is asked for. What io_uring does not like a thread may: it knows
 * what to do about alignment, and EAGAIN is no answer there. */
static void
on_uring_result (gpointer tag, int result, gpointer data)
{
  VhostBlkLane *lane = data;
  Request *request = tag;
  VhostBlkTransfer *transfer = get_transfer (&request->command);

  if (G_LIKELY (result > 0 && (guint32) result == transfer->left)) {
    vhost_blk_transfer_advance (transfer, (guint32) result);
    complete (request, VHOST_BLK_STATUS_OK);
  } else if (result > 0) {
    vhost_blk_transfer_advance (transfer, (guint32) result);
    give_transfer (lane, request);
  } else if (result == -EAGAIN || result == -EINTR || result == -EINVAL) {
    give_to_thread (lane, request);
  } else {
    complete (request, VHOST_BLK_STATUS_IOERR);
  }
}

static void
collect_done (VhostBlkLane *lane)
{
  Request *request;

  if (lane->threads == NULL)
    return;
  g_mutex_lock (&lane->lock);
  request = list_take_all (&lane->done);
  g_mutex_unlock (&lane->lock);
  while (request != NULL) {
    Request *next = request->next;

    complete (request, request->status);
    request = next;
  }
}

static void
collect_from_uring (VhostBlkLane *lane)
{
  do {
    if (lane->has_added && !vhost_blk_uring_submit (lane->uring)) {
      vhost_fd_signal_event (lane->event_fd); /* later, then */
      return;
    }
    lane->has_added = FALSE;
  } while (vhost_blk_uring_reap (lane->uring, on_uring_result, lane) > 0 && lane->has_added);
}

static void
publish (VhostBlkLane *lane)
{
  if (lane->queue != NULL)
    vhost_blk_batch_publish (&lane->batch, lane->queue);
  if (lane->queue != NULL)
    vhost_queue_notify (lane->queue);
}

void
vhost_blk_lane_push_on (VhostBlkLane *lane)
{
  guint n_before = lane->n_in_flight;

  if (n_before == 0 || lane->is_busy)
    return;
  lane->is_busy = TRUE;
  if (lane->uring != NULL)
    collect_from_uring (lane);
  collect_done (lane);
  if (lane->n_in_flight < n_before)
    publish (lane);
  lane->is_busy = FALSE;
  if (lane->n_in_flight == 0)
    become_idle (lane);
  else if (lane->queue == NULL)
    settle (lane);
}

static void
on_event (guint32 events, gpointer data)
{
  vhost_blk_lane_push_on (data);
}

/* --- Starting ------------------------------------------------------------------------------ */

static Request *
start (VhostBlkLane *lane, const VhostBlkCommand *command)
{
  if (lane->n_in_flight++ == 0)
    lane->ref_count++;
  return request_new (lane, command);
}

void
vhost_blk_lane_start_transfer (VhostBlkLane *lane, const VhostBlkCommand *command)
{
  Request *request = start (lane, command);

  copy_pieces (request, get_transfer (&request->command));
  give_transfer (lane, request);
}

void
vhost_blk_lane_start_slow (VhostBlkLane *lane, const VhostBlkCommand *command,
                           const VhostBlkRange *ranges, guint n_ranges)
{
  Request *request = start (lane, command);

  for (guint i = 0; i < n_ranges; i++)
    request->inlined.ranges[i] = ranges[i];
  request->n_ranges = n_ranges;
  give_to_thread (lane, request);
}

VhostBlkLane *
vhost_blk_lane_new (VhostBlkDisk *disk, VhostQueue *queue)
{
  VhostBlkLane *lane = g_new0 (VhostBlkLane, 1);

  lane->ref_count = 1;
  lane->disk = vhost_blk_disk_ref (disk);
  g_mutex_init (&lane->lock);
  list_init (&lane->todo);
  list_init (&lane->done);
  lane->event_fd = vhost_fd_new_event (NULL);
  if (lane->event_fd < 0 || !watch_on (lane, vhost_queue_get_reactor (queue))) {
    lane_free (lane);
    return NULL;
  }
  if (disk->use_uring)
    lane->uring = vhost_blk_uring_new (disk->file, vhost_queue_get_size (queue), lane->event_fd);
  lane->queue = g_object_ref (queue);
  vhost_queue_set_end_func (queue, on_end, lane);
  return lane;
}

/* --- Disk ---------------------------------------------------------------------------------- */

VhostBlkDisk *
vhost_blk_disk_ref (VhostBlkDisk *disk)
{
  g_atomic_ref_count_inc (&disk->ref_count);
  return disk;
}

void
vhost_blk_disk_unref (VhostBlkDisk *disk)
{
  if (!g_atomic_ref_count_dec (&disk->ref_count))
    return;
  vhost_blk_file_unref (disk->file);
  g_free (disk);
}
