/* SPDX-License-Identifier: BSD-3-Clause */
/* A vDPA device as vhost_vdpa shows it: its status, its configuration space, and what it can say of
 * itself. Opening and closing reset it. Runs on the thread that opened it. (Linux,
 * drivers/vhost/vdpa.c; VIRTIO 1.4, section 2.1) */

#include "kernel/vhost-kernel-vdpa.h"

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-vdpa-private.h"

#define RESET_TIMEOUT_MS 1000
#define RESET_POLL_US 500

static void vhost_kernel_vdpa_init_iface (VhostDeviceInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (VhostKernelVdpa, vhost_kernel_vdpa, VHOST_TYPE_KERNEL_DEVICE,
                               G_IMPLEMENT_INTERFACE (VHOST_TYPE_DEVICE,
                                                      vhost_kernel_vdpa_init_iface))

/**
 * vhost_kernel_vdpa_new:
 *
 * Makes a device that is not open. [method@Vhost.KernelDevice.open] needs its path.
 *
 * Returns: (transfer full): the device
 *
 * Since: 1.0
 */
VhostKernelVdpa *
vhost_kernel_vdpa_new (void)
{
  return g_object_new (VHOST_TYPE_KERNEL_VDPA, NULL);
}

/* --- Numbers ---------------------------------------------------------------------------------- */

static guint32
ask (VhostKernelVdpa *vdpa, VhostKernelCall call, GError **error)
{
  guint32 number = 0;

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), call, &number, error) ? number : 0;
}

/**
 * vhost_kernel_vdpa_get_device_id:
 * @vdpa: a device
 * @error: return location
 *
 * Asks what the device is.
 *
 * Returns: its number in the VIRTIO specification, %VHOST_DEVICE_ID_NONE with an error
 *
 * Since: 1.0
 */
VhostDeviceId
vhost_kernel_vdpa_get_device_id (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), VHOST_DEVICE_ID_NONE);

  return (VhostDeviceId) ask (vdpa, VHOST_KERNEL_CALL_VDPA_GET_DEVICE_ID, error);
}

/**
 * vhost_kernel_vdpa_get_config_size:
 * @vdpa: a device
 * @error: return location
 *
 * Asks how large the configuration space is.
 *
 * Returns: bytes; 0 also with an error
 *
 * Since: 1.0
 */
guint
vhost_kernel_vdpa_get_config_size (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), 0);

  return ask (vdpa, VHOST_KERNEL_CALL_VDPA_GET_CONFIG_SIZE, error);
}

/**
 * vhost_kernel_vdpa_get_max_queue_size:
 * @vdpa: a device
 * @error: return location
 *
 * Asks how many descriptors the largest queue may have.
 *
 * Returns: descriptors, 0 with an error
 *
 * Since: 1.0
 */
guint
vhost_kernel_vdpa_get_max_queue_size (VhostKernelVdpa *vdpa, GError **error)
{
  guint16 num = 0;

  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), 0);

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_GET_VRING_NUM, &num,
                            error)
             ? num
             : 0;
}

/**
 * vhost_kernel_vdpa_get_vring_size:
 * @vdpa: a device
 * @index: number of the queue, from 0
 * @error: return location
 *
 * Asks how many descriptors one queue has, or may have before it is set up.
 *
 * Returns: descriptors, 0 with `G_IO_ERROR_NOT_SUPPORTED` when kernel or device do not tell (Linux
 *   before 6.8), or another error
 *
 * Since: 1.0
 */
guint
vhost_kernel_vdpa_get_vring_size (VhostKernelVdpa *vdpa, guint index, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), 0);

  return vhost_kernel_ask_vring (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_GET_VRING_SIZE,
                                 index, error);
}

/**
 * vhost_kernel_vdpa_get_iova_range:
 * @vdpa: a device
 * @first: (out): the lowest I/O address that can be mapped
 * @last: (out): the highest one
 * @error: return location
 *
 * Asks where memory can be mapped.
 *
 * Returns: %TRUE, or %FALSE with an error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_get_iova_range (VhostKernelVdpa *vdpa, guint64 *first, guint64 *last,
                                  GError **error)
{
  struct vhost_vdpa_iova_range range = { 0 };
  gboolean known;

  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  known = vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_GET_IOVA_RANGE,
                             &range, error);
  *first = range.first;
  *last = range.last;
  return known;
}

/**
 * vhost_kernel_vdpa_get_n_groups:
 * @vdpa: a device
 * @error: return location
 *
 * Counts the groups of queues that can be put into address spaces.
 *
 * Returns: how many there are, 0 with an error
 *
 * Since: 1.0
 */
guint
vhost_kernel_vdpa_get_n_groups (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), 0);

  return ask (vdpa, VHOST_KERNEL_CALL_VDPA_GET_GROUP_NUM, error);
}

/**
 * vhost_kernel_vdpa_get_n_address_spaces:
 * @vdpa: a device
 * @error: return location
 *
 * Counts the address spaces of the device.
 *
 * Returns: how many there are, 0 with an error
 *
 * Since: 1.0
 */
guint
vhost_kernel_vdpa_get_n_address_spaces (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), 0);

  return ask (vdpa, VHOST_KERNEL_CALL_VDPA_GET_AS_NUM, error);
}

/* --- Status ----------------------------------------------------------------------------------- */

static guint
vdpa_get_status (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  guint8 status = 0;

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (device), VHOST_KERNEL_CALL_VDPA_GET_STATUS,
                            &status, error)
             ? status
             : 0;
}

static void
forget_queues (VhostKernelVdpa *vdpa)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (VHOST_KERNEL_DEVICE (vdpa));

  for (guint i = 0; i < state->n_queues; i++)
    vhost_kernel_queue_clear (&state->queues[i]);
  vdpa->suspended = FALSE;
}

/* A device may take its time to reset. */
static gboolean
wait_for_reset (VhostKernelVdpa *vdpa, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + RESET_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
  g_autoptr (GError) reason = NULL;

  while (vdpa_get_status (VHOST_DEVICE (vdpa), cancellable, &reason) != 0) {
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    if (g_get_monotonic_time () > deadline)
      return vhost_set_error (error, VHOST_ERROR_TIMED_OUT,
                              "VDPA_SET_STATUS: the device does not reset within %d ms",
                              RESET_TIMEOUT_MS);
    g_usleep (RESET_POLL_US);
  }
  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

static gboolean
check_accepted (VhostKernelVdpa *vdpa, guint status, GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint found = vdpa_get_status (VHOST_DEVICE (vdpa), NULL, &reason);

  if (reason != NULL) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  if ((status & ~found) == 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_REFUSED,
                          "VDPA_SET_STATUS 0x%x: the device refuses, and stays at 0x%x", status,
                          found);
}

static gboolean
vdpa_set_status (VhostDevice *device, guint status, GCancellable *cancellable, GError **error)
{
  VhostKernelVdpa *vdpa = VHOST_KERNEL_VDPA (device);
  guint8 value = (guint8) status;

  if (status > G_MAXUINT8)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "VDPA_SET_STATUS 0x%x", status);
  if (!vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_SET_STATUS, &value,
                          error))
    return FALSE;
  vdpa->status = status;
  if (status != 0)
    return check_accepted (vdpa, status, error);
  forget_queues (vdpa);
  return wait_for_reset (vdpa, cancellable, error);
}

static gboolean
vdpa_reset (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  return vdpa_set_status (device, 0, cancellable, error);
}

/* Before, the kernel says that it is done, whether the device can do it or not. */
static gboolean
check_live (VhostKernelVdpa *vdpa, VhostKernelCall call, GError **error)
{
  if ((vdpa->status & VHOST_STATUS_DRIVER_OK) != 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "%s: the driver does not run",
                          vhost_kernel_calls[call].name);
}

/**
 * vhost_kernel_vdpa_suspend:
 * @vdpa: a device
 * @error: return location
 *
 * Stops all queues where they are, and keeps all state: what
 * [method@Vhost.Device.get_vring_base] says then is exact. Needs %VHOST_KERNEL_FEATURE_SUSPEND.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_NOT_SUPPORTED` when the device cannot,
 *   %VHOST_ERROR_BAD_STATE before DRIVER_OK, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_suspend (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  if (!check_live (vdpa, VHOST_KERNEL_CALL_VDPA_SUSPEND, error) ||
      !vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_SUSPEND, NULL, error))
    return FALSE;
  vdpa->suspended = TRUE;
  return TRUE;
}

/**
 * vhost_kernel_vdpa_resume:
 * @vdpa: a device
 * @error: return location
 *
 * Lets a suspended device go on. Needs %VHOST_KERNEL_FEATURE_RESUME.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_NOT_SUPPORTED` when the device cannot,
 *   %VHOST_ERROR_BAD_STATE before DRIVER_OK, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_resume (VhostKernelVdpa *vdpa, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  if (!check_live (vdpa, VHOST_KERNEL_CALL_VDPA_RESUME, error) ||
      !vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_RESUME, NULL, error))
    return FALSE;
  vdpa->suspended = FALSE;
  return TRUE;
}

/* --- Configuration space ---------------------------------------------------------------------- */

static gboolean
check_config_range (VhostKernelDevice *device, VhostKernelCall call, guint offset, gsize size,
                    GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint total = vhost_kernel_vdpa_get_config_size (VHOST_KERNEL_VDPA (device), &reason);

  if (reason != NULL) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  if (size > 0 && offset <= total && size <= total - offset)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "%s: %" G_GSIZE_FORMAT
                          " bytes at %u of a configuration space of %u bytes",
                          vhost_kernel_calls[call].name, size, offset, total);
}

static struct vhost_vdpa_config *
new_config (guint offset, gsize size)
{
  struct vhost_vdpa_config *config = g_malloc0 (sizeof *config + size);

  config->off = offset;
  config->len = (guint32) size;
  return config;
}

static GBytes *
vdpa_get_config (VhostDevice *device, guint offset, guint size, GCancellable *cancellable,
                 GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_VDPA_GET_CONFIG;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  g_autofree struct vhost_vdpa_config *config = NULL;

  if (!check_config_range (self, call, offset, size, error))
    return NULL;
  config = new_config (offset, size);
  if (!vhost_kernel_call_sized (self, call, config, sizeof *config + size, error))
    return NULL;
  return g_bytes_new (config->buf, size);
}

static gboolean
vdpa_set_config (VhostDevice *device, guint offset, GBytes *data, GCancellable *cancellable,
                 GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_VDPA_SET_CONFIG;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  gsize size = g_bytes_get_size (data);
  g_autofree struct vhost_vdpa_config *config = NULL;

  if (!check_config_range (self, call, offset, size, error))
    return FALSE;
  config = new_config (offset, size);
  memcpy (config->buf, g_bytes_get_data (data, NULL), size);
  return vhost_kernel_call_sized (self, call, config, sizeof *config + size, error);
}

static void
on_config_changed (guint32 events, gpointer data)
{
  VhostKernelVdpa *vdpa = data;

  vhost_fd_drain_event (vdpa->config_fd);
  g_signal_emit_by_name (vdpa, "config-changed");
}

static gboolean
watch_config (VhostKernelVdpa *vdpa, GError **error)
{
  VhostKernelDevice *device = VHOST_KERNEL_DEVICE (vdpa);

  vdpa->config_fd = vhost_fd_new_event (error);
  if (vdpa->config_fd < 0 ||
      !vhost_kernel_call (device, VHOST_KERNEL_CALL_VDPA_SET_CONFIG_CALL, &vdpa->config_fd, error))
    return FALSE;
  vdpa->config_watch =
      vhost_reactor_add_watch (vhost_kernel_get_state (device)->reactor, vdpa->config_fd,
                               EPOLLIN | EPOLLET, on_config_changed, vdpa, error);
  return vdpa->config_watch != NULL;
}

/* --- The kind --------------------------------------------------------------------------------- */

static guint
count_queues (VhostKernelDevice *device, GError **error)
{
  return ask (VHOST_KERNEL_VDPA (device), VHOST_KERNEL_CALL_VDPA_GET_VQS_COUNT, error);
}

static gboolean
open_vdpa (VhostKernelDevice *device, GError **error)
{
  return watch_config (VHOST_KERNEL_VDPA (device), error);
}

/* Not for the driver to know: it gives addresses, and whose they are is seen to here. */
static guint64
get_own_features (VhostKernelDevice *device)
{
  return vhost_kernel_get_state (device)->offered & VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM);
}

static void
close_vdpa (VhostKernelDevice *device)
{
  VhostKernelVdpa *vdpa = VHOST_KERNEL_VDPA (device);

  vhost_watch_clear (&vdpa->config_watch);
  vhost_fd_clear (&vdpa->config_fd);
  g_array_set_size (vdpa->mapped, 0);
  vdpa->status = 0;
  vdpa->suspended = FALSE;
}

static const VhostKernelKind kind = {
  .module = "vhost_vdpa, and a device that is bound to it",
  .count_queues = count_queues,
  .open = open_vdpa,
  .hidden_features = VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM),
  .get_own_features = get_own_features,
  .set_running = vhost_kernel_vdpa_set_running,
  .close = close_vdpa,
};

static void
vhost_kernel_vdpa_init_iface (VhostDeviceInterface *iface)
{
  iface->reset_owner = NULL;
  iface->get_status = vdpa_get_status;
  iface->set_status = vdpa_set_status;
  iface->reset = vdpa_reset;
  iface->get_config = vdpa_get_config;
  iface->set_config = vdpa_set_config;
  vhost_kernel_vdpa_memory_init_iface (iface);
  vhost_kernel_vdpa_vring_init_iface (iface);
}

static void
vhost_kernel_vdpa_finalize (GObject *object)
{
  g_array_unref (VHOST_KERNEL_VDPA (object)->mapped);
  G_OBJECT_CLASS (vhost_kernel_vdpa_parent_class)->finalize (object);
}

static void
vhost_kernel_vdpa_class_init (VhostKernelVdpaClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vhost_kernel_vdpa_finalize;
  VHOST_KERNEL_DEVICE_CLASS (klass)->kind = &kind;
}

static void
vhost_kernel_vdpa_init (VhostKernelVdpa *vdpa)
{
  vdpa->config_fd = -1;
  vdpa->mapped = g_array_new (FALSE, FALSE, sizeof (VhostKernelVdpaRange));
}
