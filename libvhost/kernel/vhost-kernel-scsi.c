/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the endpoint and the workers of a SCSI host of the kernel. Runs on the thread that opened
 * the device. (Linux, drivers/vhost/scsi.c) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-device-private.h"
#include "kernel/vhost-kernel-scsi.h"

struct _VhostKernelScsi {
  VhostKernelDevice parent_instance;

  struct vhost_scsi_target target; /* empty name: none */
};

G_DEFINE_FINAL_TYPE (VhostKernelScsi, vhost_kernel_scsi, VHOST_TYPE_KERNEL_DEVICE)

static gboolean
has_target (VhostKernelScsi *scsi)
{
  return scsi->target.vhost_wwpn[0] != '\0';
}

static gboolean
scsi_set_running (VhostKernelDevice *device, guint index, gboolean running, GError **error)
{
  VhostKernelScsi *scsi = VHOST_KERNEL_SCSI (device);

  if (!has_target (scsi))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "SCSI_SET_ENDPOINT: the device was given no target");
  return vhost_kernel_call (
      device, running ? VHOST_KERNEL_CALL_SCSI_SET_ENDPOINT : VHOST_KERNEL_CALL_SCSI_CLEAR_ENDPOINT,
      &scsi->target, error);
}

static void
scsi_close (VhostKernelDevice *device)
{
  memset (&VHOST_KERNEL_SCSI (device)->target, 0, sizeof (struct vhost_scsi_target));
}

/**
 * vhost_kernel_scsi_new:
 *
 * Makes a SCSI host, not open yet.
 *
 * Returns: (transfer full): the host
 *
 * Since: 1.0
 */
VhostKernelScsi *
vhost_kernel_scsi_new (void)
{
  return g_object_new (VHOST_TYPE_KERNEL_SCSI, NULL);
}

/**
 * vhost_kernel_scsi_set_endpoint:
 * @scsi: an open host, whose queues are stopped
 * @wwpn: the name of a target as configfs has it, like `naa.5001405…`; at most 223 bytes
 * @tpgt: number of the target portal group; kernels of today attach all groups of the name
 * @error: return location
 *
 * Says which target serves the host, from the moment its queues start; the kernel looks for it
 * then.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_scsi_set_endpoint (VhostKernelScsi *scsi, const char *wwpn, guint tpgt, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SCSI_SET_ENDPOINT;
  struct vhost_scsi_target target = { .abi_version = VHOST_SCSI_ABI_VERSION };

  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), FALSE);
  g_return_val_if_fail (wwpn != NULL, FALSE);

  if (!vhost_kernel_check_open (VHOST_KERNEL_DEVICE (scsi), call, error))
    return FALSE;
  if (vhost_kernel_is_running (VHOST_KERNEL_DEVICE (scsi)))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SCSI_SET_ENDPOINT: queues run");
  if (wwpn[0] == '\0' || strlen (wwpn) >= sizeof target.vhost_wwpn || tpgt > G_MAXUINT16)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "SCSI_SET_ENDPOINT: “%s”, group %u, cannot be a target", wwpn, tpgt);
  memcpy (target.vhost_wwpn, wwpn, strlen (wwpn));
  target.vhost_tpgt = (guint16) tpgt;
  scsi->target = target;
  return TRUE;
}

/**
 * vhost_kernel_scsi_clear_endpoint:
 * @scsi: an open host
 * @error: return location
 *
 * Lets go of the target, and stops the queues.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_scsi_clear_endpoint (VhostKernelScsi *scsi, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), FALSE);

  if (!vhost_kernel_set_all_enabled (VHOST_KERNEL_DEVICE (scsi), FALSE, error))
    return FALSE;
  scsi_close (VHOST_KERNEL_DEVICE (scsi));
  return TRUE;
}

static int
ask_number (VhostKernelScsi *scsi, VhostKernelCall call, GError **error)
{
  int number = 0;

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), call, &number, error) ? number : -1;
}

/**
 * vhost_kernel_scsi_get_abi_version:
 * @scsi: an open host
 * @error: return location
 *
 * Asks for the version of the kernel's interface.
 *
 * Returns: the version, 1 in all kernels known; -1 with an error
 *
 * Since: 1.0
 */
int
vhost_kernel_scsi_get_abi_version (VhostKernelScsi *scsi, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), -1);

  return ask_number (scsi, VHOST_KERNEL_CALL_SCSI_GET_ABI_VERSION, error);
}

/**
 * vhost_kernel_scsi_set_events_missed:
 * @scsi: an open host
 * @missed: what [method@Vhost.KernelScsi.get_events_missed] has told
 * @error: return location
 *
 * Restores, after a migration, whether events were lost.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_scsi_set_events_missed (VhostKernelScsi *scsi, guint missed, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), FALSE);

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_SCSI_SET_EVENTS_MISSED,
                            &missed, error);
}

/**
 * vhost_kernel_scsi_get_events_missed:
 * @scsi: an open host
 * @error: return location
 *
 * Asks whether the guest had no buffer for an event.
 *
 * Returns: 0 if none was lost; -1 with an error
 *
 * Since: 1.0
 */
int
vhost_kernel_scsi_get_events_missed (VhostKernelScsi *scsi, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), -1);

  return ask_number (scsi, VHOST_KERNEL_CALL_SCSI_GET_EVENTS_MISSED, error);
}

/* --- workers --- */

/**
 * vhost_kernel_scsi_add_worker:
 * @scsi: an open host
 * @error: return location
 *
 * Makes one more thread that serves queues, once they are attached to it
 * (`NEW_WORKER`).
 *
 * Returns: the worker's number; -1 with an error, `G_IO_ERROR_NOT_SUPPORTED` on a kernel that has
 *   one worker only
 *
 * Since: 1.0
 */
int
vhost_kernel_scsi_add_worker (VhostKernelScsi *scsi, GError **error)
{
  struct vhost_worker_state worker = { 0 };

  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), -1);

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_NEW_WORKER, &worker,
                            error)
             ? (int) worker.worker_id
             : -1;
}

/**
 * vhost_kernel_scsi_remove_worker:
 * @scsi: an open host
 * @worker: number of a worker
 * @error: return location
 *
 * Ends a worker to which no queue is attached (`FREE_WORKER`).
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_BUSY` when it has a queue, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_scsi_remove_worker (VhostKernelScsi *scsi, guint worker, GError **error)
{
  struct vhost_worker_state argument = { worker };

  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), FALSE);

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_FREE_WORKER, &argument,
                            error);
}

/**
 * vhost_kernel_scsi_attach_vring_worker:
 * @scsi: an open host
 * @index: the queue
 * @worker: number of a worker
 * @error: return location
 *
 * Has a queue served by another worker.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_scsi_attach_vring_worker (VhostKernelScsi *scsi, guint index, guint worker,
                                       GError **error)
{
  struct vhost_vring_worker argument = { index, worker };

  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), FALSE);

  return vhost_kernel_find_queue (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_ATTACH_VRING_WORKER,
                                  index, error) != NULL &&
         vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_ATTACH_VRING_WORKER,
                            &argument, error);
}

/**
 * vhost_kernel_scsi_get_vring_worker:
 * @scsi: an open host
 * @index: the queue
 * @error: return location
 *
 * Asks which worker serves a queue.
 *
 * Returns: the worker's number; -1 with an error
 *
 * Since: 1.0
 */
int
vhost_kernel_scsi_get_vring_worker (VhostKernelScsi *scsi, guint index, GError **error)
{
  struct vhost_vring_worker argument = { index, 0 };

  g_return_val_if_fail (VHOST_IS_KERNEL_SCSI (scsi), -1);

  if (vhost_kernel_find_queue (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_GET_VRING_WORKER,
                               index, error) == NULL ||
      !vhost_kernel_call (VHOST_KERNEL_DEVICE (scsi), VHOST_KERNEL_CALL_GET_VRING_WORKER, &argument,
                          error))
    return -1;
  return (int) argument.worker_id;
}

static void
vhost_kernel_scsi_class_init (VhostKernelScsiClass *klass)
{
  static const VhostKernelKind kind = {
    .path = "/dev/vhost-scsi",
    .module = "vhost_scsi",
    .set_running = scsi_set_running,
    .whole = TRUE,
    .no_used_lengths = TRUE,
    .close = scsi_close,
  };

  VHOST_KERNEL_DEVICE_CLASS (klass)->kind = &kind;
}

static void
vhost_kernel_scsi_init (VhostKernelScsi *scsi)
{
}
