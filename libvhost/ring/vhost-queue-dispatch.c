/* SPDX-License-Identifier: BSD-3-Clause */
/* How a queue wakes up, and how it breaks. A kick says only that there may be buffers: the handler
 * runs once, notifications are switched on again and the ring is looked at again. A worker polls
 * the ring for a while before. Everything that could lose a wake-up is in look() and
 * vhost_queue_arm().
 *
 * On the queue's thread. (VIRTIO 1.4, sections 2.7.7 and 2.7.13; vhost-user, “Ring states”) */

#include "ring/vhost-queue-state-private.h"

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

/* How often the handler is called on end before the other queues of the loop have their turn. */
#define MAX_ROUNDS 4

/* --- Breaking ------------------------------------------------------------------------------ */

void
vhost_queue_fail (VhostQueue *self, GError *error)
{
  g_autoptr (VhostQueue) keep = g_object_ref (self);
  g_autoptr (GError) owned = error;

  if (self->error != NULL)
    return;
  self->error = g_steal_pointer (&owned);
  vhost_queue_clear_watch (self);
  if (self->err_fd >= 0)
    vhost_fd_signal_event (self->err_fd);
  if (self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_BROKEN, self->observer_data);
}

void
vhost_queue_check_fault (VhostQueue *self)
{
  g_autofree char *reason = NULL;

  if (G_LIKELY (self->ring.common.error.fault == VHOST_RING_FAULT_NONE || self->error != NULL))
    return;
  reason = vhost_ring_error_to_string (&self->ring.common.error);
  vhost_queue_fail (self, g_error_new (VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE, "queue %u: %s",
                                       self->index, reason));
}

gboolean
vhost_queue_check_memory (VhostQueue *self)
{
  guint count = vhost_sigbus_get_count ();
  const VhostMemoryRegion *region;

  if (G_LIKELY (count == self->sigbus_seen))
    return TRUE;
  self->sigbus_seen = count;
  region = vhost_memory_find_broken (self->pin->memory);
  if (region == NULL && !vhost_queue_has_lost_area (self))
    return TRUE;
  self->ring.common.error =
      (VhostRingError){ VHOST_RING_FAULT_MEMORY, region != NULL ? region->guest_address : 0 };
  vhost_queue_check_fault (self);
  return FALSE;
}

/* --- Looking ------------------------------------------------------------------------------- */

gboolean
vhost_queue_arm (VhostQueue *self)
{
  gboolean more = vhost_device_ring_enable_notifications (&self->ring);

  if (G_UNLIKELY (self->log.ring))
    vhost_queue_log_event (self);
  vhost_queue_check_fault (self);
  return more || vhost_device_ring_has_seen_more (&self->ring);
}

static void
call_handler (VhostQueue *self)
{
  if (self->kick != NULL) {
    VhostQueueKick *kick = g_rc_box_acquire (self->kick);

    kick->func (self, kick->data);
    vhost_queue_kick_release (kick);
  } else if (self->observer != NULL) {
    self->observer (self, VHOST_QUEUE_EVENT_KICK, self->observer_data);
  }
}

/* The handler has let the queue go: look() alone still holds it. */
static gboolean
is_abandoned (VhostQueue *self)
{
  return g_atomic_int_get (&G_OBJECT (self)->ref_count) == 1;
}

static gboolean
is_empty (VhostQueue *self)
{
  return !vhost_queue_has_recovered (self) && vhost_device_ring_is_empty (&self->ring);
}

/* The ring is known to be empty: look at it for a while, if the thread does that. Not where buffers
 * are in flight: what they wait for needs the processor more. */
static gboolean
start_poll (VhostQueue *self)
{
  if (!vhost_reactor_can_poll (self->reactor) || vhost_queue_get_n_in_flight (self) > 0)
    return FALSE;
  vhost_reactor_start_poll (self->reactor, &self->poll);
  return TRUE;
}

/* Calls the handler if there is something for it. TRUE when it has to be called again: the ring is
 * not empty, and either it takes buffers or there are some that it has not seen. One that leaves
 * buffers for later is called again when more come, not before. */
static gboolean
serve_once (VhostQueue *self)
{
  VhostDeviceRing *ring = &self->ring;
  guint64 n_before = self->n_chains;
  gboolean empty, progress;
  guint32 seen;

  vhost_device_ring_disable_notifications (ring);
  if (G_UNLIKELY (self->log.ring))
    vhost_queue_log_event (self);
  empty = is_empty (self);
  if (!vhost_queue_check_memory (self))
    return FALSE;
  if (empty) {
    vhost_queue_check_fault (self);
    return vhost_queue_is_running (self) && !start_poll (self) && vhost_queue_arm (self);
  }

  seen = vhost_device_ring_get_seen (ring);
  self->budget = ring->common.size;
  call_handler (self);
  if (!vhost_queue_is_running (self) || is_abandoned (self))
    return FALSE;

  if (vhost_reactor_can_poll (self->reactor) && is_empty (self) && start_poll (self))
    return FALSE;
  vhost_queue_arm (self);
  progress = self->n_chains != n_before || vhost_device_ring_get_seen (ring) != seen;
  return vhost_queue_is_running (self) && progress &&
         (vhost_device_ring_has_seen_more (ring) || vhost_queue_has_recovered (self));
}

static void
look (VhostQueue *self)
{
  g_autoptr (VhostQueue) keep = g_object_ref (self);

  if (self->dispatching)
    return; /* the handler runs a loop of its own; the ring is looked at when it returns */
  self->dispatching = TRUE;
  for (guint round = 0; vhost_queue_is_running (self); round++) {
    if (round == MAX_ROUNDS) {
      vhost_reactor_queue_task (self->reactor, &self->look_task);
      break;
    }
    if (!serve_once (self))
      break;
  }
  self->dispatching = FALSE;
}

static void
on_look_task (gpointer data)
{
  look (data);
}

static void
on_kick (guint32 events, gpointer data)
{
  VhostQueue *self = data;

  if (self->kick_is_pipe) /* an eventfd is edge-triggered whatever it holds */
    vhost_fd_drain_event (self->kick_fd);
  vhost_queue_count (&self->n_kicks, 1);
  look (self);
}

static void
on_poll (VhostPollStep step, gpointer data)
{
  VhostQueue *self = data;

  if (step == VHOST_POLL_END ? vhost_queue_arm (self) : !vhost_device_ring_is_empty (&self->ring))
    look (self);
  else
    vhost_queue_check_fault (self);
}

/* --- Watching ------------------------------------------------------------------------------ */

void
vhost_queue_init_dispatch (VhostQueue *self)
{
  vhost_task_init (&self->look_task, on_look_task, self);
  vhost_poll_init (&self->poll, on_poll, self);
}

void
vhost_queue_clear_watch (VhostQueue *self)
{
  vhost_watch_clear (&self->watch);
  vhost_task_cancel (&self->look_task);
  vhost_poll_cancel (&self->poll);
}

gboolean
vhost_queue_update_watch (VhostQueue *self, GError **error)
{
  if (!vhost_queue_is_running (self)) {
    vhost_queue_clear_watch (self);
    return TRUE;
  }
  if (self->watch == NULL && self->kick_fd >= 0) {
    self->watch = vhost_reactor_add_watch (self->reactor, self->kick_fd, EPOLLIN | EPOLLET, on_kick,
                                           self, error);
    if (self->watch == NULL)
      return FALSE;
  }
  vhost_reactor_queue_task (self->reactor, &self->look_task);
  return TRUE;
}

void
vhost_queue_rewatch (VhostQueue *self)
{
  GError *error = NULL;

  if (vhost_queue_update_watch (self, &error))
    return;
  g_prefix_error (&error, "queue %u: ", self->index);
  vhost_queue_fail (self, error);
}

void
vhost_queue_kick (VhostQueue *self)
{
  vhost_queue_count (&self->n_kicks, 1);
  if (self->worker == NULL || vhost_queue_is_on_worker (self))
    look (self);
  else if (vhost_queue_is_running (self))
    vhost_reactor_queue_task (self->reactor, &self->look_task);
}

void
vhost_queue_look_later (VhostQueue *self)
{
  if (vhost_queue_is_running (self))
    vhost_reactor_queue_task (self->reactor, &self->look_task);
}

/* --- Handler ------------------------------------------------------------------------------- */

static void
clear_kick (gpointer data)
{
  VhostQueueKick *kick = data;

  if (kick->destroy != NULL)
    kick->destroy (kick->data);
}

void
vhost_queue_kick_release (VhostQueueKick *kick)
{
  g_rc_box_release_full (kick, clear_kick);
}

/**
 * vhost_queue_set_kick_func:
 * @queue: a queue
 * @func: (nullable) (scope notified) (closure user_data) (destroy destroy): serves the queue, or
 * %NULL to go back to the signal of the object that owns the queue
 * @user_data: given to @func
 * @destroy: (nullable): called with @user_data when @func will not be called again
 *
 * Lets a function serve the queue, instead of the signal. It is called once per wake-up, when there
 * are buffers, and may do anything: stop or free the queue, or replace itself. At most as many
 * chains as the queue has entries can be popped in one call; with more to come it is called again,
 * and other queues in between.
 *
 * On the thread of the back-end, or from the handler.
 *
 * Since: 1.0
 */
void
vhost_queue_set_kick_func (VhostQueue *self, VhostQueueKickFunc func, gpointer user_data,
                           GDestroyNotify destroy)
{
  VhostQueueKick *old;

  g_return_if_fail (VHOST_IS_QUEUE (self));

  VHOST_QUEUE_PAUSE (self);
  old = g_steal_pointer (&self->kick);
  if (func != NULL) {
    self->kick = g_rc_box_new0 (VhostQueueKick);
    *self->kick = (VhostQueueKick){ func, user_data, destroy };
    vhost_queue_look_later (self);
  }
  if (old != NULL)
    vhost_queue_kick_release (old);
}
