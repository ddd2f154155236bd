/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/ring/vhost-queue.h>

G_BEGIN_DECLS

#define VHOST_TYPE_WORKER (vhost_worker_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostWorker, vhost_worker, VHOST, WORKER, GObject)

/**
 * VhostWorkerFunc:
 * @user_data: what was given with the function
 *
 * A piece of work for the thread of a worker.
 *
 * Since: 1.0
 */
typedef void (*VhostWorkerFunc) (gpointer user_data);

VHOST_AVAILABLE_IN_1_0
VhostWorker *vhost_worker_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_worker_start (VhostWorker *worker, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_worker_is_running (VhostWorker *worker);

VHOST_AVAILABLE_IN_1_0
void vhost_worker_invoke (VhostWorker *worker, VhostWorkerFunc func, gpointer user_data,
                          GDestroyNotify destroy);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_queue_set_worker (VhostQueue *queue, VhostWorker *worker, GError **error);

VHOST_AVAILABLE_IN_1_0
VhostWorker *vhost_queue_get_worker (VhostQueue *queue);

G_END_DECLS
