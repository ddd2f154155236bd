/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of a driver queue: bytes in, bytes out. Data is copied into shared memory when it is
 * added and out of it when it is collected, so that the device cannot change what the caller sees.
 *
 * Owns the requests that are outstanding. One thread. (VIRTIO 1.4, sections 2.7.13 and 2.7.14) */

#include "ring/vhost-driver-queue-state-private.h"

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

/* The device's part begins on a cache line of its own. */
#define PART_ALIGNMENT 64

static gboolean
check_usable (const VhostDriverQueue *self, GError **error)
{
  g_autofree char *reason = NULL;

  if (self->ring.common.error.fault != VHOST_RING_FAULT_NONE) {
    reason = vhost_ring_error_to_string (&self->ring.common.error);
    return vhost_set_error (error, VHOST_ERROR_BROKEN_QUEUE, "queue %u: %s", self->index, reason);
  }
  if (self->shut_down != NULL) {
    g_propagate_error (error, g_error_copy (self->shut_down));
    return FALSE;
  }
  return TRUE;
}

/* --- Add ----------------------------------------------------------------------------------- */

static gboolean
check_sizes (const VhostDriverQueue *self, gsize length, gsize response_size, GError **error)
{
  gsize most = MIN (vhost_arena_get_size (self->arena), G_MAXUINT32);

  if (length == 0 && response_size == 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "queue %u: nothing to send or receive", self->index);
  if (length > most || response_size > most ||
      VHOST_ALIGN_UP (length, PART_ALIGNMENT) + response_size > most)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "queue %u: %" G_GSIZE_FORMAT " + %" G_GSIZE_FORMAT
                            " bytes are more than %" G_GSIZE_FORMAT " bytes of buffer memory",
                            self->index, length, response_size, most);
  return TRUE;
}

static guint
next_token (VhostDriverQueue *self)
{
  self->last_token += self->last_token == G_MAXUINT ? 2 : 1;
  return self->last_token;
}

/* Puts the bytes at @host, and the chain into the ring. */
static gboolean
add_chain (VhostDriverQueue *self, VhostDriverRequest *request, guint8 *host, const guint8 *data,
           gsize length, gsize response_size)
{
  gsize offset = VHOST_ALIGN_UP (length, PART_ALIGNMENT);
  VhostDriverPiece pieces[VHOST_DRIVER_QUEUE_MAX_PIECES];
  guint n = 0;

  if (length > 0) {
    memcpy (host, data, length);
    pieces[n++] = (VhostDriverPiece){ request->address, (guint32) length };
  }
  if (response_size > 0)
    pieces[n] = (VhostDriverPiece){ request->address + offset, (guint32) response_size };
  request->answer = host + offset;
  request->answer_size = response_size;
  if (self->ignores_lengths)
    memset (request->answer, 0, response_size);
  return vhost_driver_ring_add (&self->ring, pieces, n, response_size > 0, request);
}

static VhostDriverRequest *
add_request (VhostDriverQueue *self, const guint8 *data, gsize length, gsize response_size,
             GError **error)
{
  g_autofree VhostDriverRequest *request = g_new0 (VhostDriverRequest, 1);
  guint8 *host;

  if (!check_usable (self, error) || !check_sizes (self, length, response_size, error))
    return NULL;

  request->size = VHOST_ALIGN_UP (length, PART_ALIGNMENT) + response_size;
  host = vhost_arena_alloc (self->arena, request->size, &request->address);
  if (host == NULL) {
    vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "queue %u: no buffer memory is free",
                     self->index);
    return NULL;
  }
  if (!add_chain (self, request, host, data, length, response_size)) {
    vhost_arena_free (self->arena, request->address, request->size);
    vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "queue %u: no descriptor is free", self->index);
    return NULL;
  }
  request->token = next_token (self);
  return g_steal_pointer (&request);
}

/**
 * vhost_driver_queue_add:
 * @queue: a queue
 * @data: (nullable) (array length=length): bytes for the device to read, or %NULL
 * @length: bytes
 * @response_size: how many bytes the device may write; 0 for none
 * @error: return location
 *
 * Adds a buffer. The device does not see it before [method@Vhost.DriverQueue.kick].
 *
 * Returns: a token that names the buffer when it is collected, or 0 with %VHOST_ERROR_QUEUE_FULL
 * when there is no room until more is collected, %VHOST_ERROR_INVALID_VALUE when there is nothing
 * to add or it can never fit, or the reason why the queue has ended
 *
 * Since: 1.0
 */
guint
vhost_driver_queue_add (VhostDriverQueue *self, const guint8 *data, gsize length,
                        gsize response_size, GError **error)
{
  const VhostDriverRequest *request;

  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), 0);
  g_return_val_if_fail (data != NULL || length == 0, 0);

  request = add_request (self, data, length, response_size, error);
  return request != NULL ? request->token : 0;
}

/* A kick that fails is told by whatever is called next. */
static void
kick_in_band (VhostDriverQueue *self)
{
  g_autoptr (VhostDriverQueue) keep = g_object_ref (self);
  g_autoptr (GError) error = NULL;

  if (!self->kick_func (self, self->kick_data, &error))
    vhost_driver_queue_shut_down (self, error);
}

/**
 * vhost_driver_queue_kick:
 * @queue: a queue
 *
 * Makes what was added visible, and kicks the device if it wants that.
 *
 * Since: 1.0
 */
void
vhost_driver_queue_kick (VhostDriverQueue *self)
{
  g_return_if_fail (VHOST_IS_DRIVER_QUEUE (self));

  if (!vhost_driver_ring_publish (&self->ring))
    return;
  if (self->kick_func != NULL)
    kick_in_band (self);
  else
    vhost_fd_signal_event (self->kick_fd);
}

void
vhost_driver_queue_free_request (VhostDriverQueue *self, VhostDriverRequest *request)
{
  vhost_arena_free (self->arena, request->address, request->size);
  g_free (request);
}

/* --- Collect ------------------------------------------------------------------------------- */

/* The next used buffer, without those nobody waits for; NULL when there is none or the ring is
 * broken.
 * */
static VhostDriverBuffer *
take_used (VhostDriverQueue *self)
{
  gpointer cookie;
  guint32 length;

  while (vhost_driver_ring_collect (&self->ring, &cookie, &length)) {
    VhostDriverRequest *request = cookie;
    VhostDriverBuffer *buffer = NULL;

    if (self->ignores_lengths)
      length = (guint32) request->answer_size;
    if (!request->abandoned) {
      guint8 *data = g_malloc (MAX (length, 1));

      memcpy (data, request->answer, length);
      buffer = vhost_driver_buffer_new_take (request->token, data, length);
    }
    vhost_driver_queue_free_request (self, request);
    if (buffer != NULL)
      return buffer;
  }
  return NULL;
}

/* The same, and when there is none the device is asked for a notification. */
static VhostDriverBuffer *
take_used_or_arm (VhostDriverQueue *self)
{
  for (;;) {
    VhostDriverBuffer *buffer = take_used (self);

    if (buffer != NULL || self->ring.common.error.fault != VHOST_RING_FAULT_NONE ||
        !vhost_driver_ring_enable_notifications (&self->ring))
      return buffer;
  }
}

/**
 * vhost_driver_queue_collect:
 * @queue: a queue
 * @error: return location
 *
 * Takes the next buffer that the device has used, without waiting.
 *
 * Returns: (transfer full) (nullable): the buffer; %NULL without an error when there is none, or
 * with %VHOST_ERROR_BROKEN_QUEUE when the device broke the rules
 *
 * Since: 1.0
 */
VhostDriverBuffer *
vhost_driver_queue_collect (VhostDriverQueue *self, GError **error)
{
  VhostDriverBuffer *buffer;

  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), NULL);

  buffer = g_queue_pop_head (&self->kept);
  if (buffer == NULL)
    buffer = take_used_or_arm (self);
  if (buffer == NULL && self->ring.common.error.fault != VHOST_RING_FAULT_NONE)
    check_usable (self, error);
  return buffer;
}

static gint64
get_deadline (const VhostDriverQueue *self)
{
  return g_get_monotonic_time () + (gint64) self->timeout * 1000;
}

static gboolean
wait_for_call (VhostDriverQueue *self, gint64 deadline, GCancellable *cancellable, GError **error)
{
  int fd = self->kick_func != NULL ? -1 : self->call_fd;
  int result = self->wait_func != NULL
                   ? self->wait_func (fd, deadline, self->wait_data, cancellable, error)
                   : vhost_fd_wait_readable (fd, deadline, cancellable, error);

  if (result == 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "queue %u: no answer within %u ms",
                            self->index, self->timeout);
  if (result < 0)
    return FALSE;
  vhost_fd_drain_event (self->call_fd);
  return TRUE;
}

static VhostDriverBuffer *
wait_for_used (VhostDriverQueue *self, gint64 deadline, GCancellable *cancellable, GError **error)
{
  gboolean last = FALSE; /* a device that only ever notifies must not hold us */

  for (;;) {
    VhostDriverBuffer *buffer = take_used_or_arm (self);

    if (buffer != NULL)
      return buffer;
    if (!check_usable (self, error))
      return NULL;
    if (last)
      break;
    if (!wait_for_call (self, deadline, cancellable, error))
      return NULL;
    last = g_get_monotonic_time () >= deadline;
  }
  vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "queue %u: no answer within %u ms", self->index,
                   self->timeout);
  return NULL;
}

/**
 * vhost_driver_queue_wait:
 * @queue: a queue
 * @cancellable: (nullable): ends the wait
 * @error: return location
 *
 * Takes the next buffer that the device has used, and waits for it if need be, as long as
 * [property@Vhost.DriverQueue:timeout] says. Blocks the thread.
 *
 * Returns: (transfer full): the buffer, or %NULL with %VHOST_ERROR_TIMED_OUT,
 *   %VHOST_ERROR_BROKEN_QUEUE, `G_IO_ERROR_CANCELLED` or the reason why the queue has ended
 *
 * Since: 1.0
 */
VhostDriverBuffer *
vhost_driver_queue_wait (VhostDriverQueue *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostDriverQueue) keep = NULL; /* the device may leave meanwhile */
  VhostDriverBuffer *buffer;

  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), NULL);

  keep = g_object_ref (self);
  buffer = g_queue_pop_head (&self->kept);
  if (buffer == NULL)
    buffer = wait_for_used (self, get_deadline (self), cancellable, error);
  return buffer;
}

static void
keep_buffer (VhostDriverQueue *self, VhostDriverBuffer *buffer)
{
  g_queue_push_tail (&self->kept, buffer);
  if (self->reactor != NULL)
    vhost_reactor_queue_task (self->reactor, &self->used_task);
}

/**
 * vhost_driver_queue_request:
 * @queue: a queue
 * @data: (nullable) (array length=length): bytes for the device to read, or %NULL
 * @length: bytes
 * @response_size: how many bytes the device may write; 0 for none
 * @cancellable: (nullable): ends the wait
 * @out_length: (out): how many bytes the device wrote
 * @error: return location
 *
 * Adds a buffer, kicks, and waits until the device has used it, as long as
 * [property@Vhost.DriverQueue:timeout] says. Other buffers that come meanwhile are kept for
 * [method@Vhost.DriverQueue.collect]. Blocks the thread.
 *
 * Returns: (transfer full) (array length=out_length): what the device wrote, or %NULL with an error
 * as of [method@Vhost.DriverQueue.add] and [method@Vhost.DriverQueue.wait]
 *
 * Since: 1.0
 */
guint8 *
vhost_driver_queue_request (VhostDriverQueue *self, const guint8 *data, gsize length,
                            gsize response_size, GCancellable *cancellable, gsize *out_length,
                            GError **error)
{
  g_autoptr (VhostDriverQueue) keep = NULL; /* the device may leave meanwhile */
  gint64 deadline;
  VhostDriverRequest *request;
  guint token;

  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), NULL);
  g_return_val_if_fail (data != NULL || length == 0, NULL);

  *out_length = 0;
  keep = g_object_ref (self);
  deadline = get_deadline (self);
  request = add_request (self, data, length, response_size, error);
  if (request == NULL)
    return NULL;
  token = request->token;
  vhost_driver_queue_kick (self);

  for (;;) {
    g_autoptr (VhostDriverBuffer) buffer = wait_for_used (self, deadline, cancellable, error);

    if (buffer == NULL) {
      request->abandoned = TRUE; /* still with the device */
      return NULL;
    }
    if (vhost_driver_buffer_get_token (buffer) == token)
      return vhost_driver_buffer_steal_data (buffer, out_length);
    keep_buffer (self, g_steal_pointer (&buffer));
  }
}
