/* SPDX-License-Identifier: BSD-3-Clause */
/* Which thread serves a queue. Control thread, but for what says otherwise. */

#include "ring/vhost-queue-state-private.h"

#include "core/vhost-error-private.h"

/**
 * vhost_queue_set_worker:
 * @queue: a queue that has no ring: before it is started, or after it has stopped
 * @worker: (nullable): a worker that runs, or %NULL for the thread of the back-end
 * @error: return location for an error
 *
 * Has the queue served on a thread of its own from its next start on, and over restarts. Its
 * handler, be it a kick function or the signal, then runs on that thread, and its chains belong to
 * it. All other signals of the back-end stay where they were.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE when the queue has a ring, or the worker does not run
 *
 * Since: 1.0
 */
gboolean
vhost_queue_set_worker (VhostQueue *self, VhostWorker *worker, GError **error)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (worker == NULL || VHOST_IS_WORKER (worker), FALSE);

  if (vhost_queue_has_ring (self))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u has not been stopped",
                            self->index);
  if (worker != NULL && !vhost_worker_is_running (worker))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "queue %u cannot be served by a worker that was not started",
                            self->index);
  g_set_object (&self->worker, worker);
  return TRUE;
}

/**
 * vhost_queue_get_worker:
 * @queue: a queue
 *
 * Tells which worker serves the queue.
 *
 * Returns: (transfer none) (nullable): the worker, or %NULL when the thread of the back-end does
 *
 * Since: 1.0
 */
VhostWorker *
vhost_queue_get_worker (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), NULL);
  return self->worker;
}

VhostQueuePause *
vhost_queue_pause (VhostQueue *self)
{
  if (self->worker == NULL)
    return NULL;
  vhost_worker_pause (self->worker);
  return g_object_ref (self->worker);
}

void
vhost_queue_resume (VhostQueuePause *pause)
{
  g_autoptr (VhostWorker) worker = pause;

  vhost_worker_resume (worker);
}

gboolean
vhost_queue_is_on_worker (VhostQueue *self)
{
  return self->worker != NULL && vhost_worker_is_current (self->worker);
}
