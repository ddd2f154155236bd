/* SPDX-License-Identifier: BSD-3-Clause */
/* A device served to the kernel: made, opened, closed, removed. A session is the time for which it
 * is open; the device outlives it, and waits for the next process that opens it. Everything runs in
 * the thread-default main context of open(). (<linux/vduse.h>) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "vduse/vhost-vduse-backend-private.h"

G_DEFINE_FINAL_TYPE (VhostVduseBackend, vhost_vduse_backend, VHOST_TYPE_BACKEND)

#define DEFAULT_QUEUE_SIZE 256
#define MAX_QUEUE_SIZE 32768

/* What the kernel stores when queues are started already. */
#define RUNNING                                                                                    \
  (VHOST_STATUS_ACKNOWLEDGE | VHOST_STATUS_DRIVER | VHOST_STATUS_FEATURES_OK |                     \
   VHOST_STATUS_DRIVER_OK)

enum {
  PROP_NAME = 1,
  PROP_QUEUE_SIZE,
  PROP_VENDOR_ID,
  PROP_RECOVERY_FILE,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

/**
 * vhost_vduse_backend_new:
 * @device_id: what the device is
 * @n_queues: how many queues it has, 1 to 256
 *
 * Makes a device that the kernel does not know yet.
 *
 * Returns: (transfer full): the back-end
 *
 * Since: 1.0
 */
VhostVduseBackend *
vhost_vduse_backend_new (VhostDeviceId device_id, guint n_queues)
{
  return g_object_new (VHOST_VDUSE_TYPE_BACKEND, "device-id", device_id, "n-queues", n_queues,
                       NULL);
}

void
vhost_vduse_backend_take_ops (VhostVduseBackend *backend, VhostOps *ops)
{
  vhost_vduse_node_clear (&backend->node);
  vhost_vduse_node_init (&backend->node, ops);
}

static gboolean
open_node (VhostVduseBackend *backend, const char *name, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (backend));
  const VhostVduseDescription description = {
    .device_id = priv->device_id,
    .vendor_id = backend->vendor_id,
    .features = vhost_vduse_backend_get_offered (backend),
    .n_queues = priv->n_queues,
    .config = priv->config,
    .config_size = priv->config_size,
  };

  return vhost_vduse_node_open (&backend->node, name, &description, error);
}

/* Also for a device that was there: the process that made it may have died before this. */
static gboolean
set_up_queues (VhostVduseBackend *backend, GError **error)
{
  for (guint i = 0; i < vhost_backend_get_n_queues (VHOST_BACKEND (backend)); i++) {
    if (!vhost_vduse_node_set_queue_size (&backend->node, i, backend->queue_size, error))
      return FALSE;
  }
  return TRUE;
}

/* A driver that was there before us goes on. */
static gboolean
resume (VhostVduseBackend *backend, GError **error)
{
  gboolean running;

  if (!vhost_vduse_backend_is_running (backend, &running, error))
    return FALSE;
  if (!running)
    return TRUE;
  if (!vhost_vduse_backend_accept_features (backend, error) ||
      !vhost_vduse_backend_start_queues (backend, TRUE, error))
    return FALSE;
  vhost_backend_set_status (VHOST_BACKEND (backend), RUNNING);
  return TRUE;
}

/**
 * vhost_vduse_backend_open:
 * @backend: a back-end
 * @name: of the device: at most 255 bytes, and no `/` among them
 * @error: return location
 *
 * Makes the device, and serves it in the thread-default main context from now on. When there is
 * one of this name that nobody serves, because its process ended or died, goes on with it: the
 * driver notices nothing but the delay. Which buffers the process before had not completed is known
 * from [property@Vhost.VduseBackend:recovery-file]; without one a split queue goes on behind what
 * was used, which is right for a device that uses its buffers in order, and packed queues are not
 * offered.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the back-end is open already or the
 *   driver cannot go on, `G_IO_ERROR_NOT_FOUND` when the kernel has no VDUSE,
 *   `G_IO_ERROR_PERMISSION_DENIED`, `G_IO_ERROR_BUSY` when another process serves the device,
 *   `G_IO_ERROR_INVALID_ARGUMENT` when the kernel does not serve such a device, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_vduse_backend_open (VhostVduseBackend *backend, const char *name, GError **error)
{
  g_return_val_if_fail (VHOST_VDUSE_IS_BACKEND (backend), FALSE);
  g_return_val_if_fail (name != NULL, FALSE);

  if (backend->reactor != NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the back-end is open already");
  if (!vhost_vduse_backend_open_record (backend, error))
    return FALSE;
  if (!open_node (backend, name, error)) {
    vhost_vduse_backend_close_record (backend);
    return FALSE;
  }
  g_free (backend->name);
  backend->name = g_strdup (name);
  backend->reactor = vhost_reactor_get ();
  vhost_backend_begin_session (VHOST_BACKEND (backend), backend->reactor);
  if (set_up_queues (backend, error) && vhost_vduse_backend_watch (backend, error) &&
      resume (backend, error)) {
    g_object_notify_by_pspec (G_OBJECT (backend), properties[PROP_NAME]);
    return TRUE;
  }
  vhost_vduse_backend_close (backend);
  return FALSE;
}

/**
 * vhost_vduse_backend_close:
 * @backend: a back-end
 *
 * Stops serving. The device stays: its driver waits for a process that opens it again, and the
 * kernel gives it up when one that is asked something does not come in time (30 s, unless
 * `/sys/class/vduse/NAME/msg_timeout` says otherwise).
 *
 * Since: 1.0
 */
void
vhost_vduse_backend_close (VhostVduseBackend *backend)
{
  g_return_if_fail (VHOST_VDUSE_IS_BACKEND (backend));

  if (backend->reactor == NULL)
    return;
  vhost_watch_clear (&backend->watch);
  vhost_vduse_backend_forget_drains (backend);
  vhost_vduse_backend_forget_interrupts (backend);
  g_clear_pointer (&backend->reactor, vhost_reactor_unref);
  vhost_backend_end_session (VHOST_BACKEND (backend));
  vhost_vduse_backend_close_record (backend);
  vhost_vduse_node_close (&backend->node);
}

/**
 * vhost_vduse_backend_is_open:
 * @backend: a back-end
 *
 * Tells whether the device is served.
 *
 * Returns: whether it was opened, and neither closed nor given up by the kernel
 *
 * Since: 1.0
 */
gboolean
vhost_vduse_backend_is_open (VhostVduseBackend *backend)
{
  g_return_val_if_fail (VHOST_VDUSE_IS_BACKEND (backend), FALSE);

  return backend->reactor != NULL;
}

/**
 * vhost_vduse_backend_destroy:
 * @backend: a back-end that was opened
 * @error: return location
 *
 * Stops serving, if need be, and removes the device. It has to be taken off the vDPA bus before:
 * `vdpa dev del NAME`.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_BUSY` when the device is on the bus,
 *   `G_IO_ERROR_NOT_FOUND` when there is none, %VHOST_ERROR_BAD_STATE when none was opened, or
 *   another error
 *
 * Since: 1.0
 */
gboolean
vhost_vduse_backend_destroy (VhostVduseBackend *backend, GError **error)
{
  g_return_val_if_fail (VHOST_VDUSE_IS_BACKEND (backend), FALSE);

  if (backend->name == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no device was opened");
  vhost_vduse_backend_close (backend);
  return vhost_vduse_node_destroy (&backend->node, backend->name, error);
}

static void
vhost_vduse_backend_config_changed (VhostBackend *base)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (base);
  VhostBackendPrivate *priv = vhost_backend_get_private (base);
  g_autoptr (GError) error = NULL;

  if (backend->reactor == NULL || priv->config_size == 0)
    return;
  if (vhost_vduse_node_set_config (&backend->node, priv->config, priv->config_size, &error))
    vhost_vduse_backend_interrupt_config (backend);
  else
    vhost_backend_report_failure (base, error);
}

/* --- The object ------------------------------------------------------------------------------- */

static void
vhost_vduse_backend_dispose (GObject *object)
{
  vhost_vduse_backend_close (VHOST_VDUSE_BACKEND (object));
  G_OBJECT_CLASS (vhost_vduse_backend_parent_class)->dispose (object);
}

static void
vhost_vduse_backend_finalize (GObject *object)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (object);

  vhost_vduse_node_clear (&backend->node);
  g_free (backend->name);
  g_free (backend->recovery_file);
  G_OBJECT_CLASS (vhost_vduse_backend_parent_class)->finalize (object);
}

static void
vhost_vduse_backend_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (object);

  switch (id) {
  case PROP_NAME:
    g_value_set_string (value, backend->name);
    break;
  case PROP_QUEUE_SIZE:
    g_value_set_uint (value, backend->queue_size);
    break;
  case PROP_VENDOR_ID:
    g_value_set_uint (value, backend->vendor_id);
    break;
  case PROP_RECOVERY_FILE:
    g_value_set_string (value, backend->recovery_file);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_vduse_backend_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (object);

  switch (id) {
  case PROP_QUEUE_SIZE:
    backend->queue_size = g_value_get_uint (value);
    break;
  case PROP_VENDOR_ID:
    backend->vendor_id = g_value_get_uint (value);
    break;
  case PROP_RECOVERY_FILE:
    g_free (backend->recovery_file);
    backend->recovery_file = g_value_dup_string (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;

  /**
   * VhostVduseBackend:name:
   *
   * The name of the device that was opened last.
   *
   * Since: 1.0
   */
  properties[PROP_NAME] =
      g_param_spec_string ("name", NULL, NULL, NULL,
                           G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVduseBackend:queue-size:
   *
   * How many descriptors a driver may give each queue: 1 to 32768, from the start 256. In force
   * when the device is opened.
   *
   * Since: 1.0
   */
  properties[PROP_QUEUE_SIZE] =
      g_param_spec_uint ("queue-size", NULL, NULL, 1, MAX_QUEUE_SIZE, DEFAULT_QUEUE_SIZE, writable);
  /**
   * VhostVduseBackend:vendor-id:
   *
   * The vendor that the device names to its driver. In force when the device is made.
   *
   * Since: 1.0
   */
  properties[PROP_VENDOR_ID] =
      g_param_spec_uint ("vendor-id", NULL, NULL, 0, G_MAXUINT, 0, writable);
  /**
   * VhostVduseBackend:recovery-file: (type filename)
   *
   * Where the queues record what is in flight: a file of this device alone, which is made when it
   * is missing, best on tmpfs. The process that serves the device after a crash does again just
   * what was not completed. %NULL from the start: nothing is recorded, and RING_PACKED is not
   * offered. In force when the device is opened.
   *
   * Since: 1.0
   */
  properties[PROP_RECOVERY_FILE] =
      g_param_spec_string ("recovery-file", NULL, NULL, NULL, writable);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_vduse_backend_class_init (VhostVduseBackendClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  VhostBackendClass *backend_class = VHOST_BACKEND_CLASS (klass);

  object_class->dispose = vhost_vduse_backend_dispose;
  object_class->finalize = vhost_vduse_backend_finalize;
  object_class->get_property = vhost_vduse_backend_get_property;
  object_class->set_property = vhost_vduse_backend_set_property;
  backend_class->config_changed = vhost_vduse_backend_config_changed;
  backend_class->queue_drained = vhost_vduse_backend_answer_drained;
  backend_class->queue_called = vhost_vduse_backend_interrupt;
  backend_class->memory_missed = vhost_vduse_backend_find_memory;
  install_properties (object_class);
}

static void
vhost_vduse_backend_init (VhostVduseBackend *backend)
{
  vhost_vduse_node_init (&backend->node, vhost_ops_new ());
  backend->recovery_fd = -1;
}
