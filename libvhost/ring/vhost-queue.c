/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a queue as its user sees it: pop, push, notify, counters, descriptors.
 *
 * Owns the kick, call and err descriptors. On the thread in whose main context the queue was
 * started. (VIRTIO 1.4, section 2.6) */

#include "ring/vhost-queue-state-private.h"

#include "core/vhost-fd-private.h"

/**
 * VhostQueue:
 *
 * The device side of a virtqueue. The driver makes chains available, [method@Vhost.Queue.pop] takes
 * them, the device reads and writes them, [method@Vhost.Queue.push] gives them back, and
 * [method@Vhost.Queue.notify] tells the driver.
 *
 * A driver that breaks the rules breaks its queue, and nothing else: nothing more is popped, chains
 * in flight can still be pushed, and [method@Vhost.Queue.dup_error] says what was wrong, until the
 * queue is started again.
 *
 * Belongs to one thread: the one in whose main context it was started.
 *
 * Since: 1.0
 */
G_DEFINE_FINAL_TYPE (VhostQueue, vhost_queue, G_TYPE_OBJECT)

enum {
  PROP_INDEX = 1,
  PROP_SIZE,
  PROP_STARTED,
  PROP_ENABLED,
  PROP_KICKS,
  PROP_CHAINS,
  PROP_NOTIFICATIONS,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

static void
vhost_queue_init (VhostQueue *self)
{
  self->kick_fd = -1;
  self->call_fd = -1;
  self->err_fd = -1;
  self->held = g_array_new (FALSE, FALSE, sizeof (VhostQueueHeld));
  vhost_queue_init_dispatch (self);
  vhost_queue_init_iotlb (self);
}

static void
vhost_queue_dispose (GObject *object)
{
  VhostQueue *self = VHOST_QUEUE (object);

  self->observer = NULL;
  vhost_queue_finish_stop (self);
  g_clear_pointer (&self->kick, vhost_queue_kick_release);
  g_clear_pointer (&self->log.pages, vhost_dirty_log_unref);
  G_OBJECT_CLASS (vhost_queue_parent_class)->dispose (object);
}

static void
vhost_queue_finalize (GObject *object)
{
  VhostQueue *self = VHOST_QUEUE (object);

  vhost_fd_clear (&self->kick_fd);
  vhost_fd_clear (&self->call_fd);
  vhost_fd_clear (&self->err_fd);
  g_clear_error (&self->error);
  g_array_unref (self->held);
  g_clear_object (&self->worker);
  G_OBJECT_CLASS (vhost_queue_parent_class)->finalize (object);
}

static void
vhost_queue_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostQueue *self = VHOST_QUEUE (object);

  switch (id) {
  case PROP_INDEX:
    g_value_set_uint (value, self->index);
    break;
  case PROP_SIZE:
    g_value_set_uint (value, self->setup.size);
    break;
  case PROP_STARTED:
    g_value_set_boolean (value, self->started);
    break;
  case PROP_ENABLED:
    g_value_set_boolean (value, self->enabled);
    break;
  case PROP_KICKS:
    g_value_set_uint64 (value, __atomic_load_n (&self->n_kicks, __ATOMIC_RELAXED));
    break;
  case PROP_CHAINS:
    g_value_set_uint64 (value, __atomic_load_n (&self->n_chains, __ATOMIC_RELAXED));
    break;
  case PROP_NOTIFICATIONS:
    g_value_set_uint64 (value, __atomic_load_n (&self->n_notifications, __ATOMIC_RELAXED));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static GParamSpec *
new_counter (const char *name, const char *blurb)
{
  return g_param_spec_uint64 (name, NULL, blurb, 0, G_MAXUINT64, 0,
                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
}

static void
vhost_queue_class_init (VhostQueueClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->dispose = vhost_queue_dispose;
  object_class->finalize = vhost_queue_finalize;
  object_class->get_property = vhost_queue_get_property;

  /**
   * VhostQueue:index: (getter get_index)
   *
   * Which queue of its device this is, from 0.
   *
   * Since: 1.0
   */
  props[PROP_INDEX] = g_param_spec_uint ("index", NULL, NULL, 0, G_MAXUINT, 0, flags);

  /**
   * VhostQueue:size: (getter get_size)
   *
   * How many entries the ring has; 0 before it was started.
   *
   * Since: 1.0
   */
  props[PROP_SIZE] = g_param_spec_uint ("size", NULL, NULL, 0, VHOST_RING_MAX_SIZE, 0, flags);

  /**
   * VhostQueue:started: (getter is_started)
   *
   * Whether chains may be fetched from the ring.
   *
   * Since: 1.0
   */
  props[PROP_STARTED] = g_param_spec_boolean ("started", NULL, NULL, FALSE, flags);

  /**
   * VhostQueue:enabled: (getter is_enabled)
   *
   * Whether the front-end has enabled the queue. Only a queue that is started and enabled is
   * served.
   *
   * Since: 1.0
   */
  props[PROP_ENABLED] = g_param_spec_boolean ("enabled", NULL, NULL, FALSE, flags);

  /**
   * VhostQueue:kicks:
   *
   * How often a kick woke the queue up. Several kicks may be one wake-up.
   *
   * Since: 1.0
   */
  props[PROP_KICKS] = new_counter ("kicks", NULL);

  /**
   * VhostQueue:chains:
   *
   * How many chains were popped, less those that were given back with [method@Vhost.Queue.unpop].
   *
   * Since: 1.0
   */
  props[PROP_CHAINS] = new_counter ("chains", NULL);

  /**
   * VhostQueue:notifications:
   *
   * How often the driver was notified.
   *
   * Since: 1.0
   */
  props[PROP_NOTIFICATIONS] = new_counter ("notifications", NULL);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

VhostQueue *
vhost_queue_new (guint index, VhostQueueObserver observer, gpointer data)
{
  VhostQueue *self = g_object_new (VHOST_TYPE_QUEUE, NULL);

  self->index = index;
  self->observer = observer;
  self->observer_data = data;
  return self;
}

/* --- State --------------------------------------------------------------------------------- */

/**
 * vhost_queue_get_index: (get-property index)
 * @queue: a queue
 *
 * Tells which queue of the device it is.
 *
 * Returns: which queue of its device this is, from 0
 *
 * Since: 1.0
 */
guint
vhost_queue_get_index (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), 0);
  return self->index;
}

/**
 * vhost_queue_get_size: (get-property size)
 * @queue: a queue
 *
 * Tells how many descriptors the queue has.
 *
 * Returns: how many entries the ring has; 0 before it was started
 *
 * Since: 1.0
 */
guint
vhost_queue_get_size (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), 0);
  return self->setup.size;
}

/**
 * vhost_queue_is_started: (get-property started)
 * @queue: a queue
 *
 * Tells whether the queue has a ring and may be used.
 *
 * Returns: whether chains may be fetched from the ring
 *
 * Since: 1.0
 */
gboolean
vhost_queue_is_started (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  return self->started;
}

/**
 * vhost_queue_is_enabled: (get-property enabled)
 * @queue: a queue
 *
 * Tells whether the front-end has enabled the queue.
 *
 * Returns: whether the front-end has enabled the queue
 *
 * Since: 1.0
 */
gboolean
vhost_queue_is_enabled (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  return self->enabled;
}

/**
 * vhost_queue_dup_error:
 * @queue: a queue
 *
 * Why the queue is broken. Starting it again makes it whole.
 *
 * Returns: (transfer full) (nullable): a %VHOST_ERROR_BROKEN_QUEUE that names the queue, the reason
 * and the offending value, or %NULL when the queue is not broken
 *
 * Since: 1.0
 */
GError *
vhost_queue_dup_error (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), NULL);
  return self->error != NULL ? g_error_copy (self->error) : NULL;
}

/**
 * vhost_queue_get_n_in_flight:
 * @queue: a queue
 *
 * Counts the chains that were popped and not pushed.
 *
 * Returns: how many chains were popped and neither pushed nor given back
 *
 * Since: 1.0
 */
guint
vhost_queue_get_n_in_flight (VhostQueue *self)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), 0);
  return self->ring.common.n_in_flight - self->held->len;
}

/* --- Pop ----------------------------------------------------------------------------------- */

/* What was read while memory went away may be zeros that no driver wrote: give it back, and break.
 */
static gboolean
survives_lost_memory (VhostQueue *self, VhostSlot **slots, guint n)
{
  if (vhost_memory_find_broken (self->pin->memory) == NULL && !vhost_queue_has_lost_area (self)) {
    self->sigbus_seen = vhost_sigbus_get_count ();
    return TRUE;
  }
  while (n > 0)
    vhost_queue_unpop_ring (self, slots[--n]);
  vhost_queue_check_memory (self);
  return FALSE;
}

guint
vhost_queue_pop_slots (VhostQueue *self, VhostSlot **slots, guint max)
{
  guint n;

  if (G_UNLIKELY (!vhost_queue_is_running (self)))
    return 0;
  if (self->dispatching)
    max = MIN (max, self->budget);

  n = vhost_queue_pop_ring (self, slots, max);
  if (n == 0 && !self->dispatching && vhost_queue_arm (self) && vhost_queue_is_running (self))
    n = vhost_queue_pop_ring (self, slots, max);
  if (!vhost_queue_has_ring (self))
    return 0; /* it broke, and was ended from the observer */
  if (n < max && G_UNLIKELY (self->ring.common.misses.n > 0))
    vhost_queue_note_misses (self);
  if (G_UNLIKELY (vhost_sigbus_get_count () != self->sigbus_seen) &&
      !survives_lost_memory (self, slots, n))
    return 0;
  if (n == 0) {
    vhost_queue_check_fault (self);
    return 0;
  }
  if (self->dispatching)
    self->budget -= n;
  vhost_queue_count (&self->n_chains, n);
  return n;
}

/**
 * vhost_queue_pop:
 * @queue: a queue
 *
 * Takes the next chain that the driver made available. Pop until there is none: only then the
 * driver is asked to kick for the next one.
 *
 * On the queue's thread.
 *
 * Returns: (transfer full) (nullable): the chain, or %NULL when there is none, or the queue is
 * stopped, disabled or broken
 *
 * Since: 1.0
 */
VhostChain *
vhost_queue_pop (VhostQueue *self)
{
  VhostSlot *slot;

  g_return_val_if_fail (VHOST_IS_QUEUE (self), NULL);
  return vhost_queue_pop_slots (self, &slot, 1) == 1 ? vhost_chain_new (self, slot) : NULL;
}

/**
 * vhost_queue_unpop:
 * @queue: a queue
 * @chain: the chain that was popped last
 *
 * Gives a chain back to the ring as if it had not been popped; it is the next one to be popped
 * again. The handle is dead afterwards.
 *
 * On the queue's thread.
 *
 * Returns: %FALSE, and nothing has changed, when @chain is dead or was not the last one popped
 *
 * Since: 1.0
 */
gboolean
vhost_queue_unpop (VhostQueue *self, VhostChain *chain)
{
  VhostSlot *slot;

  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (chain != NULL, FALSE);

  slot = vhost_chain_get_slot (chain, self);
  if (slot != NULL && self->log.pages != NULL)
    vhost_queue_log_slots (self, &slot, NULL, 1);
  if (slot == NULL || !vhost_queue_unpop_ring (self, slot))
    return FALSE;
  slot->generation = 0;
  vhost_queue_unpin (self, &slot, 1);
  vhost_queue_count (&self->n_chains, (guint64) -1);
  if (self->draining)
    vhost_queue_complete_stop_when_drained (self);
  return TRUE;
}

/* --- Push ---------------------------------------------------------------------------------- */

/* The handles are dead; the slots stay taken until the ring can be written. */
static void
hold_back (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n)
{
  if (self->log.pages != NULL)
    vhost_queue_log_slots (self, slots, lengths, n);
  for (guint i = 0; i < n; i++) {
    const VhostQueueHeld held = { slots[i]->head, lengths[i] };

    if (self->ring.common.by_head[held.head] != slots[i] || slots[i]->completed)
      continue;
    slots[i]->completed = TRUE;
    g_array_append_val (self->held, held);
  }
}

void
vhost_queue_push_slots (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n)
{
  if (G_UNLIKELY (self->paused))
    hold_back (self, slots, lengths, n);
  else
    vhost_queue_push_ring (self, slots, lengths, n);
  vhost_queue_unpin (self, slots, n);
  vhost_queue_check_memory (self);
  if (G_UNLIKELY (self->draining))
    vhost_queue_complete_stop_when_drained (self);
}

/**
 * vhost_queue_push:
 * @queue: a queue
 * @chain: a chain that was popped from it
 * @written: bytes written, from the start of the writable part
 *
 * Gives a chain back to the driver. Not more is reported as written than was written through @chain
 * without a gap. The handle is dead afterwards. The driver is not told: call
 * [method@Vhost.Queue.notify] after the last of several.
 *
 * On the queue's thread.
 *
 * Returns: %FALSE, and nothing has changed, when @chain is dead or of another queue
 *
 * Since: 1.0
 */
gboolean
vhost_queue_push (VhostQueue *self, VhostChain *chain, gsize written)
{
  VhostSlot *slot;
  guint32 length;

  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (chain != NULL, FALSE);

  slot = vhost_chain_get_slot (chain, self);
  if (slot == NULL)
    return FALSE;
  length = (guint32) MIN (written, slot->written);
  slot->generation = 0;
  vhost_queue_push_slots (self, &slot, &length, 1);
  return TRUE;
}

/* The slots of @n live chains, each once, whose handles are dead from now on; or NULL, and nothing
 * has changed. */
static VhostSlot **
claim_slots (VhostQueue *self, VhostChain *const *chains, guint n)
{
  g_autofree VhostSlot **slots = g_new (VhostSlot *, n);
  g_autofree guint32 *generations = g_new (guint32, n);

  for (guint i = 0; i < n; i++) {
    slots[i] = vhost_chain_get_slot (chains[i], self);
    if (slots[i] == NULL) {
      while (i-- > 0)
        slots[i]->generation = generations[i];
      return NULL;
    }
    generations[i] = slots[i]->generation;
    slots[i]->generation = 0;
  }
  return g_steal_pointer (&slots);
}

/**
 * vhost_queue_push_all:
 * @queue: a queue
 * @chains: (array length=n_chains): chains that were popped from it, each once
 * @n_chains: how many
 *
 * Gives several chains back at once: the driver sees all of them or none. A network device that
 * spreads a packet over several buffers has to. As written is reported what was written through
 * each chain from its start without a gap. The handles are dead afterwards. The driver is not told:
 * call [method@Vhost.Queue.notify].
 *
 * On the queue's thread.
 *
 * Returns: %FALSE, and nothing has changed, when one is dead, of another queue, or named twice
 *
 * Since: 1.0
 */
gboolean
vhost_queue_push_all (VhostQueue *self, VhostChain **chains, guint n_chains)
{
  g_autofree VhostSlot **slots = NULL;
  g_autofree guint32 *lengths = NULL;

  g_return_val_if_fail (VHOST_IS_QUEUE (self), FALSE);
  g_return_val_if_fail (chains != NULL || n_chains == 0, FALSE);

  if (n_chains == 0)
    return TRUE;
  slots = n_chains <= self->ring.common.size ? claim_slots (self, chains, n_chains) : NULL;
  if (slots == NULL)
    return FALSE;
  lengths = g_new (guint32, n_chains);
  for (guint i = 0; i < n_chains; i++)
    lengths[i] = slots[i]->written;
  vhost_queue_push_slots (self, slots, lengths, n_chains);
  return TRUE;
}

static void
call_observer (VhostQueue *self)
{
  if (self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_CALL, self->observer_data);
}

/**
 * vhost_queue_notify:
 * @queue: a queue
 *
 * Tells the driver about the chains that were pushed, if it wants to know.
 *
 * On the queue's thread.
 *
 * Since: 1.0
 */
void
vhost_queue_notify (VhostQueue *self)
{
  g_return_if_fail (VHOST_IS_QUEUE (self));

  if (!vhost_queue_has_ring (self) || self->paused)
    return;
  if (!vhost_device_ring_needs_notify (&self->ring) || (self->call_fd < 0 && !self->call_in_band))
    return;
  vhost_queue_count (&self->n_notifications, 1);
  if (self->call_fd >= 0)
    vhost_fd_signal_event (self->call_fd);
  else
    call_observer (self);
}

/* --- Descriptors --------------------------------------------------------------------------- */

void
vhost_queue_take_kick_fd (VhostQueue *self, int fd)
{
  VHOST_AUTO_FD old = self->kick_fd;

  vhost_queue_clear_watch (self);
  self->kick_fd = fd;
  self->kick_is_pipe = vhost_fd_is_pipe (fd);
  if (self->started)
    vhost_queue_rewatch (self);
}

void
vhost_queue_take_call_fd (VhostQueue *self, int fd)
{
  VHOST_AUTO_FD old = self->call_fd;

  self->call_fd = fd;
  self->call_in_band = FALSE;
  if (fd >= 0)
    vhost_fd_signal_event (fd);
}

void
vhost_queue_call_in_band (VhostQueue *self)
{
  vhost_queue_take_call_fd (self, -1);
  self->call_in_band = TRUE;
  if (vhost_queue_has_ring (self))
    call_observer (self);
}

gboolean
vhost_queue_is_called_in_band (VhostQueue *self)
{
  return self->call_in_band;
}

void
vhost_queue_take_err_fd (VhostQueue *self, int fd)
{
  VHOST_AUTO_FD old = self->err_fd;

  self->err_fd = fd;
}
