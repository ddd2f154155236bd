/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end whose queues are served by workers: the control thread pauses them while it changes or
 * looks at a queue, and what a queue has to say comes back from there. (docs/threading.md) */

#include "endpoint/vhost-backend-private.h"
#include "ring/vhost-worker-private.h"

/* --- Down: pausing ------------------------------------------------------------------------- */

static int
compare_workers (gconstpointer a, gconstpointer b)
{
  gconstpointer first = *(gconstpointer *) a;
  gconstpointer second = *(gconstpointer *) b;

  return first < second ? -1 : first > second;
}

/* Each worker once, in the order of their addresses; NULL when there is none. */
static GPtrArray *
collect_workers (VhostBackendPrivate *priv)
{
  GPtrArray *workers = NULL;

  for (guint i = 0; priv->vrings != NULL && i < priv->n_queues; i++) {
    VhostWorker *worker = vhost_queue_get_worker (priv->vrings[i].queue);

    if (worker == NULL)
      continue;
    if (workers == NULL)
      workers = g_ptr_array_new_with_free_func (g_object_unref);
    if (!g_ptr_array_find (workers, worker, NULL))
      g_ptr_array_add (workers, g_object_ref (worker));
  }
  if (workers != NULL)
    g_ptr_array_sort (workers, compare_workers);
  return workers;
}

VhostBackendPause *
vhost_backend_pause (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->n_pauses++ == 0) {
    priv->paused = collect_workers (priv);
    for (guint i = 0; priv->paused != NULL && i < priv->paused->len; i++)
      vhost_worker_pause (priv->paused->pdata[i]);
  }
  return g_object_ref (backend);
}

void
vhost_backend_resume (VhostBackendPause *pause)
{
  g_autoptr (VhostBackend) backend = pause;
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (GPtrArray) workers = NULL;

  if (--priv->n_pauses > 0)
    return;
  workers = g_steal_pointer (&priv->paused);
  for (guint i = 0; workers != NULL && i < workers->len; i++)
    vhost_worker_resume (workers->pdata[i]);
}

/* --- Up: what a queue has to say ----------------------------------------------------------- */

static void
report_broken (VhostBackend *backend, VhostQueue *queue)
{
  g_autoptr (GError) error = vhost_queue_dup_error (queue);

  VHOST_BACKEND_GET_CLASS (backend)->queue_broken (backend, queue);
  vhost_backend_report_failure (backend, error);
}

static void
handle_event (VhostBackend *backend, VhostQueue *queue, VhostQueueEvent event)
{
  switch (event) {
  case VHOST_QUEUE_EVENT_KICK:
    vhost_backend_emit_kick (backend, queue);
    break;
  case VHOST_QUEUE_EVENT_BROKEN:
    report_broken (backend, queue);
    break;
  case VHOST_QUEUE_EVENT_CALL:
    VHOST_BACKEND_GET_CLASS (backend)->queue_called (backend, queue);
    break;
  case VHOST_QUEUE_EVENT_MISSED:
    vhost_backend_note_misses (backend, queue);
    break;
  case VHOST_QUEUE_EVENT_RELEASED:
    vhost_backend_note_released (backend);
    break;
  case VHOST_QUEUE_EVENT_DRAINED:
    VHOST_BACKEND_GET_CLASS (backend)->queue_drained (backend, queue);
    break;
  case VHOST_QUEUE_EVENT_LOGGED:
    vhost_backend_tell_logged (backend);
    break;
  }
}

typedef struct {
  VhostBackend *backend;
  VhostQueue *queue;
  VhostQueueEvent event;
} PostedEvent;

static void
free_posted (gpointer data)
{
  PostedEvent *posted = data;

  g_object_unref (posted->queue);
  g_object_unref (posted->backend);
  g_free (posted);
}

/* Whatever was true when it was posted may have changed since. */
static gboolean
is_still_true (const PostedEvent *posted)
{
  switch (posted->event) {
  case VHOST_QUEUE_EVENT_BROKEN:
    return vhost_queue_is_broken (posted->queue);
  case VHOST_QUEUE_EVENT_DRAINED:
    return !vhost_queue_is_started (posted->queue) &&
           vhost_queue_get_n_in_flight (posted->queue) == 0;
  default:
    return TRUE;
  }
}

static gboolean
deliver_posted (gpointer data)
{
  PostedEvent *posted = data;

  VHOST_BACKEND_PAUSE (posted->backend);
  if (vhost_backend_get_private (posted->backend)->reactor != NULL && is_still_true (posted))
    handle_event (posted->backend, posted->queue, posted->event);
  return G_SOURCE_REMOVE;
}

static void
post_event (VhostBackend *backend, VhostQueue *queue, VhostQueueEvent event)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  PostedEvent *posted = g_new (PostedEvent, 1);

  *posted = (PostedEvent){ g_object_ref (backend), g_object_ref (queue), event };
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_static_name (source, "vhost-queue-event");
  g_source_set_callback (source, deliver_posted, posted, free_posted);
  g_source_attach (source,
                   vhost_reactor_get_context (vhost_backend_get_private (backend)->reactor));
}

void
vhost_backend_on_queue_event (VhostQueue *queue, VhostQueueEvent event, gpointer backend)
{
  gboolean here = event == VHOST_QUEUE_EVENT_KICK || event == VHOST_QUEUE_EVENT_LOGGED;

  if (!here && vhost_queue_is_on_worker (queue))
    post_event (backend, queue, event);
  else
    handle_event (backend, queue, event);
}
