/* SPDX-License-Identifier: BSD-3-Clause */
/* How the control thread and the thread of a worker keep out of each other's way. */
#pragma once

#include "core/vhost-reactor-private.h"
#include "ring/vhost-worker.h"

/* Of a worker that runs. */
VhostReactor *vhost_worker_get_reactor (VhostWorker *worker);

/* Is this its thread? */
gboolean vhost_worker_is_current (VhostWorker *worker);

/* Between the two the worker's thread stands still between two handlers, and all that belongs to it
 * belongs to the caller. Waits for the handler that runs. May be nested; who pauses several does so
 * in the order of their addresses. Nothing on the worker's own thread. */
void vhost_worker_pause (VhostWorker *worker);
void vhost_worker_resume (VhostWorker *worker);

/* The same for the worker of a queue, which may have none: until the end of the scope. */
typedef VhostWorker VhostQueuePause;

VhostQueuePause *vhost_queue_pause (VhostQueue *queue);
void vhost_queue_resume (VhostQueuePause *pause);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostQueuePause, vhost_queue_resume)

#define VHOST_QUEUE_PAUSE(queue)                                                                   \
  g_autoptr (VhostQueuePause) queue_pause G_GNUC_UNUSED = vhost_queue_pause (queue)

/* Is this the thread of the worker that serves the queue? */
gboolean vhost_queue_is_on_worker (VhostQueue *queue);
