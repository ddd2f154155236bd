/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a queue: where its ring lies, its descriptors, its properties, and the watch
 * that emits its signal. What it does with buffers is in vhost-driver-queue-transfer.c.
 *
 * One thread. (VIRTIO 1.4, section 2.7) */

#include "ring/vhost-driver-queue-state-private.h"

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

#define PART_ALIGNMENT 64
#define DEFAULT_TIMEOUT_MS 10000

/* Offsets of the parts of a ring. */
typedef struct {
  gsize avail; /* of a packed ring: the driver's event area, with room to spare */
  gsize used;
  gsize indirect;
  gsize end;
} RingLayout;

/**
 * VhostDriverQueue:
 *
 * The driver side of a virtqueue. [method@Vhost.DriverQueue.request] sends bytes and waits for the
 * answer; [method@Vhost.DriverQueue.add], [method@Vhost.DriverQueue.kick] and
 * [method@Vhost.DriverQueue.collect] do the same step by step, for many at a time.
 *
 * The device is not trusted: what it reports is checked, and a device that breaks the rules breaks
 * the queue.
 *
 * Belongs to one thread.
 *
 * Since: 1.0
 */
G_DEFINE_FINAL_TYPE (VhostDriverQueue, vhost_driver_queue, G_TYPE_OBJECT)

enum {
  PROP_INDEX = 1,
  PROP_SIZE,
  PROP_TIMEOUT,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];
static guint used_signal;

static void on_used_task (gpointer data);

/* --- Life ---------------------------------------------------------------------------------- */

static void
vhost_driver_queue_init (VhostDriverQueue *self)
{
  self->timeout = DEFAULT_TIMEOUT_MS;
  self->kick_fd = -1;
  self->call_fd = -1;
  g_queue_init (&self->kept);
  vhost_task_init (&self->used_task, on_used_task, self);
}

static void
vhost_driver_queue_dispose (GObject *object)
{
  vhost_driver_queue_stop_watching (VHOST_DRIVER_QUEUE (object));
  G_OBJECT_CLASS (vhost_driver_queue_parent_class)->dispose (object);
}

static void
vhost_driver_queue_finalize (GObject *object)
{
  VhostDriverQueue *self = VHOST_DRIVER_QUEUE (object);

  for (guint i = 0; i < self->ring.common.size; i++) {
    if (self->ring.common.shadow[i].n_descs > 0)
      vhost_driver_queue_free_request (self, self->ring.common.shadow[i].cookie);
  }
  vhost_driver_ring_clear (&self->ring);
  g_clear_pointer (&self->arena, vhost_arena_unref);
  g_queue_clear_full (&self->kept, (GDestroyNotify) vhost_driver_buffer_unref);
  g_clear_error (&self->shut_down);
  vhost_fd_clear (&self->kick_fd);
  vhost_fd_clear (&self->call_fd);
  G_OBJECT_CLASS (vhost_driver_queue_parent_class)->finalize (object);
}

static void
vhost_driver_queue_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostDriverQueue *self = VHOST_DRIVER_QUEUE (object);

  switch (id) {
  case PROP_INDEX:
    g_value_set_uint (value, self->index);
    break;
  case PROP_SIZE:
    g_value_set_uint (value, self->ring.common.size);
    break;
  case PROP_TIMEOUT:
    g_value_set_uint (value, self->timeout);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_driver_queue_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  switch (id) {
  case PROP_TIMEOUT:
    vhost_driver_queue_set_timeout (VHOST_DRIVER_QUEUE (object), g_value_get_uint (value));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_driver_queue_class_init (VhostDriverQueueClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->dispose = vhost_driver_queue_dispose;
  object_class->finalize = vhost_driver_queue_finalize;
  object_class->get_property = vhost_driver_queue_get_property;
  object_class->set_property = vhost_driver_queue_set_property;

  /**
   * VhostDriverQueue:index: (getter get_index)
   *
   * Which queue of its device this is, from 0.
   *
   * Since: 1.0
   */
  props[PROP_INDEX] =
      g_param_spec_uint ("index", NULL, NULL, 0, G_MAXUINT, 0, flags | G_PARAM_READABLE);

  /**
   * VhostDriverQueue:size: (getter get_size)
   *
   * How many entries the ring has.
   *
   * Since: 1.0
   */
  props[PROP_SIZE] =
      g_param_spec_uint ("size", NULL, NULL, 0, VHOST_RING_MAX_SIZE, 0, flags | G_PARAM_READABLE);

  /**
   * VhostDriverQueue:timeout: (getter get_timeout) (setter set_timeout)
   *
   * How long [method@Vhost.DriverQueue.wait] and [method@Vhost.DriverQueue.request] wait, in
   * milliseconds.
   *
   * Since: 1.0
   */
  props[PROP_TIMEOUT] = g_param_spec_uint ("timeout", NULL, NULL, 0, G_MAXUINT, DEFAULT_TIMEOUT_MS,
                                           flags | G_PARAM_READWRITE);

  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * VhostDriverQueue::used:
   * @queue: the queue
   *
   * The device has used buffers: collect until there is none. Emitted in the main context in which
   * [method@Vhost.DriverQueue.start_watching] was called.
   *
   * Since: 1.0
   */
  used_signal = g_signal_new ("used", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                              NULL, G_TYPE_NONE, 0);
}

static RingLayout
lay_out (guint size)
{
  RingLayout layout;

  layout.avail = VHOST_RING_DESC_BYTES (size);
  layout.used = VHOST_ALIGN_UP (layout.avail + VHOST_RING_AVAIL_BYTES (size), PART_ALIGNMENT);
  layout.indirect = VHOST_ALIGN_UP (layout.used + VHOST_RING_USED_BYTES (size), PART_ALIGNMENT);
  layout.end = layout.indirect + VHOST_DRIVER_QUEUE_MAX_PIECES * VHOST_RING_DESC_BYTES (size);
  return layout;
}

gsize
vhost_driver_queue_get_ring_bytes (guint size)
{
  return VHOST_ALIGN_UP (lay_out (size).end, 4096);
}

VhostDriverQueue *
vhost_driver_queue_new (guint index, guint size, gboolean packed, gboolean event_idx,
                        gboolean indirect, VhostArena *arena, guint8 *ring, guint64 guest_address,
                        GError **error)
{
  g_autoptr (VhostDriverQueue) self = g_object_new (VHOST_TYPE_DRIVER_QUEUE, NULL);
  RingLayout layout;

  if (size == 0 || size > VHOST_RING_MAX_SIZE || (!packed && (size & (size - 1)) != 0)) {
    vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "queue %u: size %u is not a %s up to %u",
                     index, size, packed ? "number" : "power of two", VHOST_RING_MAX_SIZE);
    return NULL;
  }
  self->kick_fd = vhost_fd_new_event (error);
  if (self->kick_fd < 0)
    return NULL;
  self->call_fd = vhost_fd_new_event (error);
  if (self->call_fd < 0)
    return NULL;

  layout = lay_out (size);
  self->index = index;
  self->arena = vhost_arena_ref (arena);
  self->addresses =
      (VhostDriverRing){ guest_address, guest_address + layout.avail, guest_address + layout.used };
  vhost_driver_ring_init (&self->ring, packed, (guint16) size, event_idx, ring, ring + layout.avail,
                          ring + layout.used);
  if (indirect)
    vhost_driver_common_set_indirect (&self->ring.common, ring + layout.indirect,
                                      guest_address + layout.indirect,
                                      VHOST_DRIVER_QUEUE_MAX_PIECES);
  return g_steal_pointer (&self);
}

void
vhost_driver_queue_get_ring (VhostDriverQueue *self, VhostDriverRing *ring)
{
  *ring = self->addresses;
}

int
vhost_driver_queue_peek_kick_fd (VhostDriverQueue *self)
{
  return self->kick_fd;
}

void
vhost_driver_queue_shut_down (VhostDriverQueue *self, const GError *reason)
{
  if (self->shut_down == NULL)
    self->shut_down = g_error_copy (reason);
  self->wait_func = NULL;
}

void
vhost_driver_queue_set_wait_func (VhostDriverQueue *self, VhostDriverWaitFunc func, gpointer data)
{
  self->wait_func = func;
  self->wait_data = data;
}

/* A ring that breaks by it is told of by the next call. */
void
vhost_driver_queue_offer_again (VhostDriverQueue *self)
{
  vhost_driver_ring_offer_again (&self->ring);
}

void
vhost_driver_queue_set_kick_func (VhostDriverQueue *self, VhostDriverQueueKickFunc func,
                                  gpointer data)
{
  self->kick_func = func;
  self->kick_data = data;
}

void
vhost_driver_queue_ignore_lengths (VhostDriverQueue *queue)
{
  queue->ignores_lengths = TRUE;
}

void
vhost_driver_queue_call (VhostDriverQueue *self)
{
  vhost_fd_signal_event (self->call_fd);
}

guint32
vhost_driver_queue_get_base (VhostDriverQueue *self)
{
  return vhost_driver_ring_get_base (&self->ring);
}

/* What the device used before it went may wait to be collected, and nobody notifies again. */
void
vhost_driver_queue_resume (VhostDriverQueue *self)
{
  g_clear_error (&self->shut_down);
  vhost_fd_signal_event (self->kick_fd);
  vhost_fd_signal_event (self->call_fd);
}

/* --- State --------------------------------------------------------------------------------- */

/**
 * vhost_driver_queue_get_index: (get-property index)
 * @queue: a queue
 *
 * Tells which queue of the device it is.
 *
 * Returns: which queue of its device this is, from 0
 *
 * Since: 1.0
 */
guint
vhost_driver_queue_get_index (VhostDriverQueue *self)
{
  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), 0);
  return self->index;
}

/**
 * vhost_driver_queue_get_size: (get-property size)
 * @queue: a queue
 *
 * Tells how many descriptors the queue has.
 *
 * Returns: how many entries the ring has
 *
 * Since: 1.0
 */
guint
vhost_driver_queue_get_size (VhostDriverQueue *self)
{
  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), 0);
  return self->ring.common.size;
}

/**
 * vhost_driver_queue_get_n_outstanding:
 * @queue: a queue
 *
 * Counts the buffers that were added and not collected.
 *
 * Returns: how many buffers were added and not used by the device yet
 *
 * Since: 1.0
 */
guint
vhost_driver_queue_get_n_outstanding (VhostDriverQueue *self)
{
  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), 0);
  return self->ring.common.n_outstanding;
}

/**
 * vhost_driver_queue_get_timeout: (get-property timeout)
 * @queue: a queue
 *
 * Tells how long a call waits for the device.
 *
 * Returns: how long to wait for the device, in milliseconds
 *
 * Since: 1.0
 */
guint
vhost_driver_queue_get_timeout (VhostDriverQueue *self)
{
  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), 0);
  return self->timeout;
}

/**
 * vhost_driver_queue_set_timeout: (set-property timeout)
 * @queue: a queue
 * @timeout: milliseconds; 0 looks once and does not wait
 *
 * Sets how long [method@Vhost.DriverQueue.wait] and [method@Vhost.DriverQueue.request] wait for the
 * device.
 *
 * Since: 1.0
 */
void
vhost_driver_queue_set_timeout (VhostDriverQueue *self, guint timeout)
{
  g_return_if_fail (VHOST_IS_DRIVER_QUEUE (self));

  if (self->timeout == timeout)
    return;
  self->timeout = timeout;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TIMEOUT]);
}

/**
 * vhost_driver_queue_peek_call_fd:
 * @queue: a queue
 *
 * The descriptor that becomes readable when the device notifies: for loops other than GLib's.
 *
 * Returns: a file descriptor, which stays the queue's
 *
 * Since: 1.0
 */
int
vhost_driver_queue_peek_call_fd (VhostDriverQueue *self)
{
  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), -1);
  return self->call_fd;
}

/* --- Watch --------------------------------------------------------------------------------- */

static void
on_used_task (gpointer data)
{
  g_autoptr (VhostDriverQueue) self = g_object_ref (data);

  /* Nothing used yet: the device is asked to notify. */
  if (g_queue_is_empty (&self->kept) && !vhost_driver_ring_enable_notifications (&self->ring))
    return;
  g_signal_emit (self, used_signal, 0);
}

static void
on_call (guint32 events, gpointer data)
{
  VhostDriverQueue *self = data;

  vhost_fd_drain_event (self->call_fd);
  on_used_task (self);
}

/**
 * vhost_driver_queue_start_watching:
 * @queue: a queue
 * @error: return location
 *
 * Emits [signal@Vhost.DriverQueue::used] from now on, in the thread-default main context of the
 * caller, when the device has used buffers; also for those that it has used already.
 *
 * Returns: %FALSE with a `G_IO_ERROR` when the call descriptor cannot be watched
 *
 * Since: 1.0
 */
gboolean
vhost_driver_queue_start_watching (VhostDriverQueue *self, GError **error)
{
  g_autoptr (VhostReactor) reactor = NULL;

  g_return_val_if_fail (VHOST_IS_DRIVER_QUEUE (self), FALSE);

  if (self->reactor != NULL)
    return TRUE;
  reactor = vhost_reactor_get ();
  self->watch =
      vhost_reactor_add_watch (reactor, self->call_fd, EPOLLIN | EPOLLET, on_call, self, error);
  if (self->watch == NULL)
    return FALSE;
  self->reactor = g_steal_pointer (&reactor);
  vhost_reactor_queue_task (self->reactor, &self->used_task);
  return TRUE;
}

/**
 * vhost_driver_queue_stop_watching:
 * @queue: a queue
 *
 * Ends what [method@Vhost.DriverQueue.start_watching] began.
 *
 * Since: 1.0
 */
void
vhost_driver_queue_stop_watching (VhostDriverQueue *self)
{
  g_return_if_fail (VHOST_IS_DRIVER_QUEUE (self));

  vhost_watch_clear (&self->watch);
  vhost_task_cancel (&self->used_task);
  g_clear_pointer (&self->reactor, vhost_reactor_unref);
}
