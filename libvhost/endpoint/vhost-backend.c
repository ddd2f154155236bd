/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what every served device has, whatever carries it: identity, features, status, memory and
 * queues. Control thread. (VIRTIO 1.4, section 2) */

#include <string.h>
#include <libvhost/vhost-enum-types.h>
#include "core/vhost-error-private.h"
#include "endpoint/vhost-backend-private.h"

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (VhostBackend, vhost_backend, G_TYPE_OBJECT)

#define DEFAULT_FEATURES                                                                           \
  (VHOST_BIT (VHOST_FEATURE_VERSION_1) | VHOST_BIT (VHOST_FEATURE_INDIRECT_DESC) |                 \
   VHOST_BIT (VHOST_FEATURE_EVENT_IDX) | VHOST_BIT (VHOST_FEATURE_RING_PACKED))

enum {
  PROP_DEVICE_ID = 1,
  PROP_N_QUEUES,
  PROP_FEATURES,
  PROP_ACKED_FEATURES,
  PROP_STATUS,
  PROP_UNLOGGED_PAGES,
  N_PROPERTIES,
};

enum {
  SIGNAL_KICK,
  SIGNAL_QUEUE_STARTED,
  SIGNAL_QUEUE_STOPPED,
  SIGNAL_FEATURES_CHANGED,
  SIGNAL_MEMORY_CHANGED,
  SIGNAL_CONFIG_READ,
  SIGNAL_CONFIG_WRITTEN,
  SIGNAL_RESET,
  SIGNAL_CONNECTED,
  SIGNAL_DISCONNECTED,
  SIGNAL_DEVICE_FAILED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

VhostBackendPrivate *
vhost_backend_get_private (VhostBackend *backend)
{
  return vhost_backend_get_instance_private (backend);
}

static void
vhost_backend_constructed (GObject *object)
{
  VhostBackend *backend = VHOST_BACKEND (object);
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  G_OBJECT_CLASS (vhost_backend_parent_class)->constructed (object);
  priv->vrings = g_new0 (VhostVring, priv->n_queues);
  for (guint i = 0; i < priv->n_queues; i++)
    priv->vrings[i].queue = vhost_queue_new (i, vhost_backend_on_queue_event, backend);
}

static void
vhost_backend_dispose (GObject *object)
{
  VhostBackend *backend = VHOST_BACKEND (object);

  vhost_backend_end_session (backend);
  G_OBJECT_CLASS (vhost_backend_parent_class)->dispose (object);
}

static void
vhost_backend_finalize (GObject *object)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (object));

  for (guint i = 0; i < priv->n_queues; i++) {
    vhost_queue_detach (priv->vrings[i].queue);
    g_object_unref (priv->vrings[i].queue);
  }
  g_free (priv->vrings);
  G_OBJECT_CLASS (vhost_backend_parent_class)->finalize (object);
}

static void
vhost_backend_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (object));

  switch (id) {
  case PROP_DEVICE_ID:
    g_value_set_enum (value, (int) priv->device_id);
    break;
  case PROP_N_QUEUES:
    g_value_set_uint (value, priv->n_queues);
    break;
  case PROP_FEATURES:
    g_value_set_uint64 (value, priv->features);
    break;
  case PROP_ACKED_FEATURES:
    g_value_set_uint64 (value, priv->acked);
    break;
  case PROP_STATUS:
    g_value_set_uint (value, priv->status);
    break;
  case PROP_UNLOGGED_PAGES:
    g_value_set_uint64 (value, vhost_backend_get_n_unlogged (VHOST_BACKEND (object)));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_backend_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (object));

  switch (id) {
  case PROP_DEVICE_ID:
    priv->device_id = (VhostDeviceId) g_value_get_enum (value);
    break;
  case PROP_N_QUEUES:
    priv->n_queues = g_value_get_uint (value);
    break;
  case PROP_FEATURES:
    priv->features = g_value_get_uint64 (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
ignore_config_change (VhostBackend *backend)
{
}

static void
ignore_queue (VhostBackend *backend, VhostQueue *queue)
{
}

static void
ignore_miss (VhostBackend *backend, guint64 address, guint access, gboolean denied)
{
}

static void
install_properties (GObjectClass *object_class)
{
  /**
   * VhostBackend:device-id:
   *
   * What the device is.
   *
   * Since: 1.0
   */
  properties[PROP_DEVICE_ID] =
      g_param_spec_enum ("device-id", NULL, NULL, VHOST_TYPE_DEVICE_ID, VHOST_DEVICE_ID_NONE,
                         G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostBackend:n-queues:
   *
   * How many queues the device has: 1 to 256.
   *
   * Since: 1.0
   */
  properties[PROP_N_QUEUES] =
      g_param_spec_uint ("n-queues", NULL, NULL, 1, VHOST_BACKEND_MAX_QUEUES, 1,
                         G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostBackend:features:
   *
   * The VIRTIO feature bits that the device offers. The bits of the transport are added to them.
   * From the start: VERSION_1, INDIRECT_DESC, EVENT_IDX and
   * RING_PACKED.
   *
   * Since: 1.0
   */
  properties[PROP_FEATURES] =
      g_param_spec_uint64 ("features", NULL, NULL, 0, G_MAXUINT64, DEFAULT_FEATURES,
                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  /**
   * VhostBackend:acked-features:
   *
   * The feature bits that are in use; 0 before they are negotiated.
   *
   * Since: 1.0
   */
  properties[PROP_ACKED_FEATURES] = g_param_spec_uint64 (
      "acked-features", NULL, NULL, 0, G_MAXUINT64, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostBackend:status:
   *
   * The device status that the driver wrote: bits of [flags@Vhost.Status]. 0 with a front-end that
   * does not tell.
   *
   * Since: 1.0
   */
  properties[PROP_STATUS] = g_param_spec_uint ("status", NULL, NULL, 0, 255, 0,
                                               G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  properties[PROP_UNLOGGED_PAGES] = vhost_backend_make_log_property ();
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static guint
new_signal (const char *name, guint n_params, GType first, GType second)
{
  return g_signal_new (name, VHOST_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                       G_TYPE_NONE, n_params, first, second);
}

static void
install_signals (void)
{
  /**
   * VhostBackend::kick:
   * @backend: the backend
   * @queue: the queue that has buffers
   *
   * The driver made buffers available. Pop until the queue is empty: a kick carries nothing, and
   * one emission stands for any number of them. Not emitted for a queue that has a kick function.
   *
   * Since: 1.0
   */
  signals[SIGNAL_KICK] = new_signal ("kick", 1, VHOST_TYPE_QUEUE, 0);
  /**
   * VhostBackend::queue-started:
   * @backend: the backend
   * @queue: the queue
   *
   * The queue's ring is known and may be used as soon as it is enabled as well.
   *
   * Since: 1.0
   */
  signals[SIGNAL_QUEUE_STARTED] = new_signal ("queue-started", 1, VHOST_TYPE_QUEUE, 0);
  /**
   * VhostBackend::queue-stopped:
   * @backend: the backend
   * @queue: the queue
   *
   * Nothing more can be popped. Push what is still held, or give it back: the front-end waits for
   * it.
   *
   * Since: 1.0
   */
  signals[SIGNAL_QUEUE_STOPPED] = new_signal ("queue-stopped", 1, VHOST_TYPE_QUEUE, 0);
  /**
   * VhostBackend::features-changed:
   * @backend: the backend
   *
   * The front-end accepted features; see [method@Vhost.Backend.has_feature].
   *
   * Since: 1.0
   */
  signals[SIGNAL_FEATURES_CHANGED] = new_signal ("features-changed", 0, 0, 0);
  /**
   * VhostBackend::memory-changed:
   * @backend: the backend
   *
   * There is a new table of guest memory; see [method@Vhost.Backend.get_memory].
   *
   * Since: 1.0
   */
  signals[SIGNAL_MEMORY_CHANGED] = new_signal ("memory-changed", 0, 0, 0);
  /**
   * VhostBackend::config-read:
   * @backend: the backend
   * @offset: first byte
   * @size: bytes
   *
   * The configuration space is about to be read: the last moment to bring it up to date with
   * [method@Vhost.Backend.set_config].
   *
   * Since: 1.0
   */
  signals[SIGNAL_CONFIG_READ] = new_signal ("config-read", 2, G_TYPE_UINT, G_TYPE_UINT);
  /**
   * VhostBackend::config-written:
   * @backend: the backend
   * @offset: first byte
   * @size: bytes
   *
   * The driver wrote to the configuration space; see [method@Vhost.Backend.get_config].
   *
   * Since: 1.0
   */
  signals[SIGNAL_CONFIG_WRITTEN] = new_signal ("config-written", 2, G_TYPE_UINT, G_TYPE_UINT);
  /**
   * VhostBackend::reset:
   * @backend: the backend
   *
   * The device is reset: all queues are stopped and disabled, what was popped is dead.
   *
   * Since: 1.0
   */
  signals[SIGNAL_RESET] = new_signal ("reset", 0, 0, 0);
  /**
   * VhostBackend::connected:
   * @backend: the backend
   *
   * A front-end has come.
   *
   * Since: 1.0
   */
  signals[SIGNAL_CONNECTED] = new_signal ("connected", 0, 0, 0);
  /**
   * VhostBackend::disconnected:
   * @backend: the backend
   *
   * The front-end has left. Its queues are stopped, its memory is unmapped.
   *
   * Since: 1.0
   */
  signals[SIGNAL_DISCONNECTED] = new_signal ("disconnected", 0, 0, 0);
  /**
   * VhostBackend::device-failed:
   * @backend: the backend
   * @error: what happened
   *
   * Something from outside broke the device: a queue whose ring obeys no rule, memory that went
   * away, a front-end whose messages cannot be served. Only what the error names is affected.
   *
   * Since: 1.0
   */
  signals[SIGNAL_DEVICE_FAILED] = new_signal ("device-failed", 1, G_TYPE_ERROR, 0);
}

static void
vhost_backend_class_init (VhostBackendClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = vhost_backend_constructed;
  object_class->dispose = vhost_backend_dispose;
  object_class->finalize = vhost_backend_finalize;
  object_class->get_property = vhost_backend_get_property;
  object_class->set_property = vhost_backend_set_property;
  klass->config_changed = ignore_config_change;
  klass->queue_drained = ignore_queue;
  klass->queue_called = ignore_queue;
  klass->queue_broken = ignore_queue;
  klass->iotlb_missed = ignore_miss;
  klass->iotlb_released = ignore_config_change;
  install_properties (object_class);
  install_signals ();
}

static void
vhost_backend_init (VhostBackend *backend)
{
  vhost_backend_get_private (backend)->log_fd = -1;
}

/**
 * vhost_backend_get_device_id:
 * @backend: a backend
 *
 * Tells what the device is.
 *
 * Returns: its number in the VIRTIO specification
 *
 * Since: 1.0
 */
VhostDeviceId
vhost_backend_get_device_id (VhostBackend *backend)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), VHOST_DEVICE_ID_NONE);

  return vhost_backend_get_private (backend)->device_id;
}

/**
 * vhost_backend_get_n_queues:
 * @backend: a backend
 *
 * Counts the queues of the device.
 *
 * Returns: how many there are, whether they are in use or not
 *
 * Since: 1.0
 */
guint
vhost_backend_get_n_queues (VhostBackend *backend)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), 0);

  return vhost_backend_get_private (backend)->n_queues;
}

/**
 * vhost_backend_get_queue:
 * @backend: a backend
 * @index: number of the queue, from 0
 *
 * Finds a queue: the same object for the life of @backend.
 *
 * Returns: (transfer none) (nullable): the queue, or %NULL when there is none of that number
 *
 * Since: 1.0
 */
VhostQueue *
vhost_backend_get_queue (VhostBackend *backend, guint index)
{
  VhostBackendPrivate *priv;

  g_return_val_if_fail (VHOST_IS_BACKEND (backend), NULL);

  priv = vhost_backend_get_private (backend);
  return index < priv->n_queues ? priv->vrings[index].queue : NULL;
}

/**
 * vhost_backend_add_feature:
 * @backend: a backend
 * @bit: number of a VIRTIO feature bit: #VhostFeature, #VhostBlkFeature, …
 *
 * Offers one feature more, to the next front-end that asks.
 *
 * Since: 1.0
 */
void
vhost_backend_add_feature (VhostBackend *backend, guint bit)
{
  g_return_if_fail (VHOST_IS_BACKEND (backend));
  g_return_if_fail (bit < 64);

  vhost_backend_get_private (backend)->features |= VHOST_BIT (bit);
  g_object_notify_by_pspec (G_OBJECT (backend), properties[PROP_FEATURES]);
}

/**
 * vhost_backend_remove_feature:
 * @backend: a backend
 * @bit: number of a VIRTIO feature bit
 *
 * No longer offers a feature.
 *
 * Since: 1.0
 */
void
vhost_backend_remove_feature (VhostBackend *backend, guint bit)
{
  g_return_if_fail (VHOST_IS_BACKEND (backend));
  g_return_if_fail (bit < 64);

  vhost_backend_get_private (backend)->features &= ~VHOST_BIT (bit);
  g_object_notify_by_pspec (G_OBJECT (backend), properties[PROP_FEATURES]);
}

/**
 * vhost_backend_has_feature:
 * @backend: a backend
 * @bit: number of a VIRTIO feature bit
 *
 * Tells whether a feature is in use.
 *
 * Returns: whether it was offered and accepted
 *
 * Since: 1.0
 */
gboolean
vhost_backend_has_feature (VhostBackend *backend, guint bit)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), FALSE);

  return vhost_word_has (vhost_backend_get_private (backend)->acked, bit);
}

/**
 * vhost_backend_get_memory:
 * @backend: a backend
 *
 * Looks at the memory that the front-end shares now; it may be another table after the next
 * message.
 *
 * Returns: (transfer none) (nullable): the table, or %NULL when none is shared
 *
 * Since: 1.0
 */
VhostMemory *
vhost_backend_get_memory (VhostBackend *backend)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), NULL);

  return vhost_backend_get_private (backend)->memory;
}

void
vhost_backend_begin_session (VhostBackend *backend, VhostReactor *reactor)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  priv->reactor = vhost_reactor_ref (reactor);
  g_signal_emit (backend, signals[SIGNAL_CONNECTED], 0);
}

void
vhost_backend_end_session (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  VHOST_BACKEND_PAUSE (backend);

  if (priv->reactor == NULL)
    return;
  vhost_backend_stop_vrings (backend);
  vhost_backend_forget_log (backend);
  g_clear_pointer (&priv->memory, vhost_memory_unref);
  g_clear_pointer (&priv->inflight, vhost_inflight_area_unref);
  priv->acked = 0;
  vhost_backend_update_view (backend);
  g_clear_pointer (&priv->reactor, vhost_reactor_unref);
  priv->features_refused = FALSE;
  priv->status = 0;
  priv->config_announced = FALSE;
  for (guint i = 0; i < priv->n_queues; i++)
    vhost_queue_take_err_fd (priv->vrings[i].queue, -1);
  g_signal_emit (backend, signals[SIGNAL_DISCONNECTED], 0);
}

void
vhost_backend_reset (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  vhost_backend_stop_vrings (backend);
  vhost_backend_flush_idle_iotlb (backend);
  if (priv->inflight != NULL)
    vhost_inflight_area_blank (priv->inflight);
  priv->status = 0;
  priv->features_refused = FALSE;
  g_signal_emit (backend, signals[SIGNAL_RESET], 0);
}

gboolean
vhost_backend_accept_features (VhostBackend *backend, guint64 offered, guint64 acked,
                               GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  guint64 changed = (priv->acked ^ acked) & ~VHOST_BIT (VHOST_FEATURE_LOG_ALL);
  g_autofree char *names = NULL;

  if ((acked & ~offered) != 0) {
    priv->features_refused = TRUE;
    names = vhost_features_to_string (priv->device_id, acked & ~offered);
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "not offered: %s", names);
  }
  if (changed != 0 && vhost_backend_any_started (backend)) {
    names = vhost_features_to_string (priv->device_id, changed);
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "changes %s while queues run", names);
  }
  priv->acked = acked;
  priv->features_refused = FALSE;
  vhost_backend_update_view (backend);
  vhost_backend_update_logs (backend);
  g_object_notify_by_pspec (G_OBJECT (backend), properties[PROP_ACKED_FEATURES]);
  g_signal_emit (backend, signals[SIGNAL_FEATURES_CHANGED], 0);
  return TRUE;
}

void
vhost_backend_set_status (VhostBackend *backend, guint status)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->features_refused)
    status &= ~(guint) VHOST_STATUS_FEATURES_OK;
  priv->status = status;
  g_object_notify_by_pspec (G_OBJECT (backend), properties[PROP_STATUS]);
}

guint
vhost_backend_get_status (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  guint status = priv->status;

  for (guint i = 0; i < priv->n_queues; i++) {
    if (vhost_queue_is_broken (priv->vrings[i].queue))
      status |= VHOST_STATUS_NEEDS_RESET;
  }
  return status;
}

void
vhost_backend_report_failure (VhostBackend *backend, const GError *error)
{
  g_info ("%s", error->message);
  g_signal_emit (backend, signals[SIGNAL_DEVICE_FAILED], 0, error);
}

void
vhost_backend_emit_config (VhostBackend *backend, gboolean written, guint offset, guint size)
{
  g_signal_emit (backend, signals[written ? SIGNAL_CONFIG_WRITTEN : SIGNAL_CONFIG_READ], 0, offset,
                 size);
}

void
vhost_backend_emit_memory (VhostBackend *backend)
{
  g_signal_emit (backend, signals[SIGNAL_MEMORY_CHANGED], 0);
}

void
vhost_backend_emit_queue (VhostBackend *backend, VhostQueue *queue, gboolean started)
{
  g_signal_emit (backend, signals[started ? SIGNAL_QUEUE_STARTED : SIGNAL_QUEUE_STOPPED], 0, queue);
}

void
vhost_backend_emit_kick (VhostBackend *backend, VhostQueue *queue)
{
  g_signal_emit (backend, signals[SIGNAL_KICK], 0, queue);
}
