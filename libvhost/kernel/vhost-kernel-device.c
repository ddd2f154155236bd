/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the open device, its features and its owner: what all kinds of kernel devices have in
 * common, and their base class. Runs on the thread that opened it. (Linux, drivers/vhost/vhost.c)
 */

#include <errno.h>
#include <fcntl.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-device-private.h"

#define MAX_QUEUES 1026 /* of vhost-scsi: 1024, and two for control and events */

/* All that VhostKernelFeature names. */
#define KERNEL_FEATURES (G_GUINT64_CONSTANT (0x1fe))

enum {
  PROP_FORK_FROM_OWNER = 1,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

static void vhost_kernel_device_init_iface (VhostDeviceInterface *iface);

G_DEFINE_ABSTRACT_TYPE_WITH_CODE (VhostKernelDevice, vhost_kernel_device, G_TYPE_OBJECT,
                                  G_ADD_PRIVATE (VhostKernelDevice)
                                      G_IMPLEMENT_INTERFACE (VHOST_TYPE_DEVICE,
                                                             vhost_kernel_device_init_iface))

VhostKernelDevicePrivate *
vhost_kernel_get_state (VhostKernelDevice *device)
{
  return vhost_kernel_device_get_instance_private (device);
}

const VhostKernelKind *
vhost_kernel_get_kind (VhostKernelDevice *device)
{
  return VHOST_KERNEL_DEVICE_GET_CLASS (device)->kind;
}

void
vhost_kernel_set_ops (VhostKernelDevice *device, VhostOps *ops)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  g_clear_pointer (&state->ops, vhost_ops_free);
  state->ops = ops;
}

/* --- requests --- */

gboolean
vhost_kernel_check_open (VhostKernelDevice *device, VhostKernelCall call, GError **error)
{
  if (vhost_kernel_get_state (device)->fd >= 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "%s: the device is not open",
                          vhost_kernel_calls[call].name);
}

int
vhost_kernel_try (VhostKernelDevice *device, VhostKernelCall call, gpointer argument, gsize size)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  return vhost_ops_call (state->ops, state->fd, &vhost_kernel_calls[call], argument, size);
}

gboolean
vhost_kernel_call_sized (VhostKernelDevice *device, VhostKernelCall call, gpointer argument,
                         gsize size, GError **error)
{
  int result;

  if (!vhost_kernel_check_open (device, call, error))
    return FALSE;
  result = vhost_kernel_try (device, call, argument, size);
  return result >= 0 || vhost_kernel_set_error (error, call, -result);
}

gboolean
vhost_kernel_call (VhostKernelDevice *device, VhostKernelCall call, gpointer argument,
                   GError **error)
{
  return vhost_kernel_call_sized (device, call, argument, vhost_kernel_calls[call].size, error);
}

/* The kernel looks for a queue in the argument of a request that it does not know. */
gboolean
vhost_kernel_is_unknown (int result)
{
  return result == -ENOTTY || result == -EFAULT || result == -ENOBUFS;
}

/* --- opening --- */

static gboolean
choose_worker (VhostKernelDevice *device, GError **error)
{
  guint8 wanted = vhost_kernel_get_state (device)->fork_from_owner, found = 1;
  int result = vhost_kernel_try (device, VHOST_KERNEL_CALL_GET_FORK_FROM_OWNER, &found, 1);

  if (result >= 0 && found == wanted)
    return TRUE;
  if (result < 0 && wanted)
    return TRUE; /* whatever this kernel does */
  result = vhost_kernel_try (device, VHOST_KERNEL_CALL_SET_FORK_FROM_OWNER, &wanted, 1);
  if (result == -EPERM)
    result = -ENOTTY; /* what has no owner yet refuses all that it does not know */
  return result >= 0 ||
         vhost_kernel_set_error (error, VHOST_KERNEL_CALL_SET_FORK_FROM_OWNER, -result);
}

/* A device that was handed over may have an owner already: this process, or another one. */
static gboolean
take_ownership (VhostKernelDevice *device, GError **error)
{
  struct vhost_vring_state base = { 0 };
  int result = vhost_kernel_try (device, VHOST_KERNEL_CALL_SET_OWNER, NULL, 0);

  if (result == -EBUSY &&
      vhost_kernel_try (device, VHOST_KERNEL_CALL_GET_VRING_BASE, &base, sizeof base) >= 0)
    return TRUE;
  return result >= 0 || vhost_kernel_set_error (error, VHOST_KERNEL_CALL_SET_OWNER, -result);
}

static gboolean
negotiate_kernel_features (VhostKernelDevice *device, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  guint64 features = 0;
  int result =
      vhost_kernel_try (device, VHOST_KERNEL_CALL_GET_BACKEND_FEATURES, &features, sizeof features);

  state->kernel_features = 0;
  features &= KERNEL_FEATURES;
  if (result < 0 || features == 0)
    return vhost_kernel_is_unknown (result) || result >= 0 ||
           vhost_kernel_set_error (error, VHOST_KERNEL_CALL_GET_BACKEND_FEATURES, -result);
  if (!vhost_kernel_call (device, VHOST_KERNEL_CALL_SET_BACKEND_FEATURES, &features, error))
    return FALSE;
  state->kernel_features = features;
  return TRUE;
}

static gboolean
has_queue (VhostKernelDevice *device, guint index)
{
  struct vhost_vring_state base = { .index = index };

  return vhost_kernel_try (device, VHOST_KERNEL_CALL_GET_VRING_BASE, &base, sizeof base) >= 0;
}

/* No request tells their number, but each refuses a queue that is not there. */
static guint
count_queues (VhostKernelDevice *device)
{
  guint low = 0, high = MAX_QUEUES + 1;

  while (high - low > 1) {
    guint middle = low + (high - low) / 2;

    if (has_queue (device, middle - 1))
      low = middle;
    else
      high = middle;
  }
  return low;
}

static void
make_queues (VhostKernelDevice *device, guint n_queues)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  state->n_queues = n_queues;
  state->queues = g_new0 (VhostKernelQueue, n_queues);
  for (guint i = 0; i < n_queues; i++)
    vhost_kernel_queue_init (&state->queues[i], device, i);
}

static gboolean
set_up (VhostKernelDevice *device, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  const VhostKernelKind *kind = vhost_kernel_get_kind (device);
  guint n_queues = kind->n_queues;

  if (!choose_worker (device, error) || !take_ownership (device, error) ||
      !vhost_kernel_call (device, VHOST_KERNEL_CALL_GET_FEATURES, &state->offered, error) ||
      !negotiate_kernel_features (device, error))
    return FALSE;
  if (kind->count_queues != NULL)
    n_queues = kind->count_queues (device, error);
  else if (n_queues == 0)
    n_queues = count_queues (device);
  if (n_queues == 0) {
    if (error != NULL && *error == NULL)
      vhost_set_error (error, VHOST_ERROR_FAILED, "the device has no queues");
    return FALSE;
  }
  make_queues (device, n_queues);
  return kind->open == NULL || kind->open (device, error);
}

static gboolean
open_taken (VhostKernelDevice *device, int fd, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  state->fd = fd;
  state->reactor = vhost_reactor_get ();
  if (set_up (device, error))
    return TRUE;
  vhost_kernel_device_close (device);
  return FALSE;
}

static gboolean
check_closed (VhostKernelDevice *device, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  if (state->fd >= 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the device is open already");
  if (state->ops == NULL)
    state->ops = vhost_ops_new ();
  return TRUE;
}

/**
 * vhost_kernel_device_open:
 * @device: a device
 * @path: (nullable): where it is; %NULL where the kernel has it, as `/dev/vhost-net`
 * @error: return location
 *
 * Opens a new instance of the device, and makes this process its owner: only this process, and none
 * that it forks, can use it.
 *
 * Returns: %TRUE, or %FALSE with an error: `G_IO_ERROR_NOT_FOUND` when the kernel does not have the
 *   module, `G_IO_ERROR_PERMISSION_DENIED`, or another one that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_open (VhostKernelDevice *device, const char *path, GError **error)
{
  const VhostKernelKind *kind;
  VhostKernelDevicePrivate *state;
  int fd;

  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);

  kind = vhost_kernel_get_kind (device);
  state = vhost_kernel_get_state (device);
  if (!check_closed (device, error))
    return FALSE;
  if (path == NULL)
    path = kind->path;
  if (path == NULL)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s needs a path",
                            G_OBJECT_TYPE_NAME (device));
  fd = vhost_ops_open (state->ops, path, O_RDWR | O_NONBLOCK);
  if (fd < 0)
    return vhost_kernel_set_open_error (error, path, kind->module, -fd);
  if (open_taken (device, fd, error))
    return TRUE;
  g_prefix_error (error, "%s: ", path);
  return FALSE;
}

/**
 * vhost_kernel_device_open_fd:
 * @device: a device
 * @fd: an open device of its kind; duplicated
 * @error: return location
 *
 * Uses a device that somebody else has opened, with more rights perhaps, and makes this process its
 * owner.
 *
 * Returns: %TRUE, or %FALSE with an error: `G_IO_ERROR_BUSY` when another process owns it, or
 *   another one that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_open_fd (VhostKernelDevice *device, int fd, GError **error)
{
  int copy;

  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);
  g_return_val_if_fail (fd >= 0, FALSE);

  if (!check_closed (device, error))
    return FALSE;
  copy = vhost_fd_dup (fd, error);
  return copy >= 0 && open_taken (device, copy, error);
}

/**
 * vhost_kernel_device_close:
 * @device: a device
 *
 * Stops the device and lets it go, if it is open. Memory and descriptors that it was given are free
 * afterwards. It can be opened again.
 *
 * Since: 1.0
 */
void
vhost_kernel_device_close (VhostKernelDevice *device)
{
  VhostKernelDevicePrivate *state;

  g_return_if_fail (VHOST_IS_KERNEL_DEVICE (device));

  state = vhost_kernel_get_state (device);
  if (state->fd < 0)
    return;
  if (vhost_kernel_get_kind (device)->close != NULL)
    vhost_kernel_get_kind (device)->close (device);
  for (guint i = 0; i < state->n_queues; i++)
    vhost_kernel_queue_clear (&state->queues[i]);
  g_clear_pointer (&state->queues, g_free);
  state->n_queues = 0;
  vhost_fd_clear (&state->fd); /* from here on the kernel uses nothing of ours */
  g_clear_pointer (&state->memory, vhost_memory_unref);
  vhost_kernel_drop_log (device);
  g_clear_pointer (&state->reactor, vhost_reactor_unref);
  state->features = state->offered = state->kernel_features = 0;
}

/**
 * vhost_kernel_device_is_open:
 * @device: a device
 *
 * Tells whether the device is open.
 *
 * Returns: whether it is so
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_is_open (VhostKernelDevice *device)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);

  return vhost_kernel_get_state (device)->fd >= 0;
}

/**
 * vhost_kernel_device_peek_fd:
 * @device: a device
 *
 * Looks at the descriptor of the device.
 *
 * Returns: the descriptor, which stays the device's; -1 when it is not open
 *
 * Since: 1.0
 */
int
vhost_kernel_device_peek_fd (VhostKernelDevice *device)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), -1);

  return vhost_kernel_get_state (device)->fd;
}

/**
 * vhost_kernel_device_has_kernel_feature:
 * @device: a device
 * @bit: a #VhostKernelFeature
 *
 * Tells what the device can do beside VIRTIO.
 *
 * Returns: whether the kernel offered it, and it was accepted
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_has_kernel_feature (VhostKernelDevice *device, guint bit)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);

  return vhost_word_has (vhost_kernel_get_state (device)->kernel_features, bit);
}

/* --- features and owner --- */

static guint64
kernel_get_features (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (self);

  if (!vhost_kernel_call (self, VHOST_KERNEL_CALL_GET_FEATURES, &state->offered, error))
    return 0;
  return state->offered & ~vhost_kernel_get_kind (self)->hidden_features;
}

/* Features are settled while queues run; only logging comes and goes. */
static gboolean
check_features (VhostKernelDevice *device, guint64 features, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  const guint64 log_all = VHOST_BIT (VHOST_FEATURE_LOG_ALL);
  guint64 unknown = features & ~state->offered;

  if (unknown != 0) {
    g_autofree char *names = vhost_features_to_string (VHOST_DEVICE_ID_NONE, unknown);

    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "SET_FEATURES: not offered: %s",
                            names);
  }
  if (((features ^ state->features) & ~log_all) != 0 && vhost_kernel_is_running (device))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "SET_FEATURES: queues run, and only LOG_ALL may change");
  if ((features & log_all) != 0 && state->log_map == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_FEATURES: LOG_ALL without a log");
  return TRUE;
}

gboolean
vhost_kernel_tell_features (VhostKernelDevice *device, guint64 features, GError **error)
{
  const VhostKernelKind *kind = vhost_kernel_get_kind (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  features &= ~kind->hidden_features;
  if (kind->get_own_features != NULL)
    features |= kind->get_own_features (device);
  if (!vhost_kernel_check_open (device, VHOST_KERNEL_CALL_SET_FEATURES, error) ||
      !check_features (device, features, error) ||
      !vhost_kernel_call (device, VHOST_KERNEL_CALL_SET_FEATURES, &features, error))
    return FALSE;
  state->features = features;
  return TRUE;
}

static gboolean
kernel_set_features (VhostDevice *device, guint64 features, GCancellable *cancellable,
                     GError **error)
{
  return vhost_kernel_tell_features (VHOST_KERNEL_DEVICE (device), features, error);
}

static gboolean
kernel_set_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  return vhost_kernel_call (VHOST_KERNEL_DEVICE (device), VHOST_KERNEL_CALL_SET_OWNER, NULL, error);
}

/* The kernel forgets memory, queues and log with their owner. */
static gboolean
kernel_reset_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (self);

  if (!vhost_kernel_call (self, VHOST_KERNEL_CALL_RESET_OWNER, NULL, error))
    return FALSE;
  for (guint i = 0; i < state->n_queues; i++)
    vhost_kernel_queue_clear (&state->queues[i]);
  g_clear_pointer (&state->memory, vhost_memory_unref);
  vhost_kernel_drop_log (self);
  return TRUE;
}

static guint
kernel_get_n_queues (VhostDevice *device)
{
  return vhost_kernel_get_state (VHOST_KERNEL_DEVICE (device))->n_queues;
}

static gboolean
kernel_has_used_lengths (VhostDevice *device)
{
  return !vhost_kernel_get_kind (VHOST_KERNEL_DEVICE (device))->no_used_lengths;
}

static void
vhost_kernel_device_init_iface (VhostDeviceInterface *iface)
{
  iface->get_features = kernel_get_features;
  iface->set_features = kernel_set_features;
  iface->set_owner = kernel_set_owner;
  iface->reset_owner = kernel_reset_owner;
  iface->get_n_queues = kernel_get_n_queues;
  iface->has_used_lengths = kernel_has_used_lengths;
  vhost_kernel_memory_init_iface (iface);
  vhost_kernel_vring_init_iface (iface);
  vhost_kernel_notify_init_iface (iface);
}

/* --- object --- */

static void
vhost_kernel_device_dispose (GObject *object)
{
  vhost_kernel_device_close (VHOST_KERNEL_DEVICE (object));
  G_OBJECT_CLASS (vhost_kernel_device_parent_class)->dispose (object);
}

static void
vhost_kernel_device_finalize (GObject *object)
{
  g_clear_pointer (&vhost_kernel_get_state (VHOST_KERNEL_DEVICE (object))->ops, vhost_ops_free);
  G_OBJECT_CLASS (vhost_kernel_device_parent_class)->finalize (object);
}

static void
vhost_kernel_device_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_FORK_FROM_OWNER)
    g_value_set_boolean (value,
                         vhost_kernel_get_state (VHOST_KERNEL_DEVICE (object))->fork_from_owner);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
vhost_kernel_device_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_FORK_FROM_OWNER)
    vhost_kernel_get_state (VHOST_KERNEL_DEVICE (object))->fork_from_owner =
        g_value_get_boolean (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
vhost_kernel_device_class_init (VhostKernelDeviceClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = vhost_kernel_device_dispose;
  object_class->finalize = vhost_kernel_device_finalize;
  object_class->get_property = vhost_kernel_device_get_property;
  object_class->set_property = vhost_kernel_device_set_property;

  /**
   * VhostKernelDevice:fork-from-owner:
   *
   * Whether the kernel's worker is a thread of this process, with its limits and its cgroup; else
   * it belongs to the kernel. Older kernels do not let one choose: they have the one or the other.
   * In force at the next opening, which fails if %FALSE cannot be had.
   *
   * Since: 1.0
   */
  properties[PROP_FORK_FROM_OWNER] =
      g_param_spec_boolean ("fork-from-owner", NULL, NULL, TRUE,
                            G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_kernel_device_init (VhostKernelDevice *device)
{
  vhost_kernel_get_state (device)->fd = -1;
}
