/* SPDX-License-Identifier: BSD-3-Clause */
/* A socket device of the kernel: its context identifier, and whether it runs. Runs on the thread
 * that opened the device. (Linux, drivers/vhost/vsock.c) */

#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-device-private.h"
#include "kernel/vhost-kernel-vsock.h"

#define N_QUEUES 2
#define MIN_CID 3 /* 0 to 2: hypervisor, this machine, host */

struct _VhostKernelVsock {
  VhostKernelDevice parent_instance;
};

G_DEFINE_FINAL_TYPE (VhostKernelVsock, vhost_kernel_vsock, VHOST_TYPE_KERNEL_DEVICE)

static gboolean
vsock_set_running (VhostKernelDevice *device, guint index, gboolean running, GError **error)
{
  int argument = running ? 1 : 0;

  return vhost_kernel_call (device, VHOST_KERNEL_CALL_VSOCK_SET_RUNNING, &argument, error);
}

/**
 * vhost_kernel_vsock_new:
 *
 * Makes a socket device, not open yet.
 *
 * Returns: (transfer full): the device
 *
 * Since: 1.0
 */
VhostKernelVsock *
vhost_kernel_vsock_new (void)
{
  return g_object_new (VHOST_TYPE_KERNEL_VSOCK, NULL);
}

/**
 * vhost_kernel_vsock_set_guest_cid:
 * @vsock: an open device
 * @cid: from 3 to 0xfffffffe, and no other guest's
 * @error: return location
 *
 * Gives the guest its context identifier, under which sockets of the host find it.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_ADDRESS_IN_USE` when another guest has it, or another
 *   error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vsock_set_guest_cid (VhostKernelVsock *vsock, guint64 cid, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VSOCK (vsock), FALSE);

  if (cid < MIN_CID || cid >= G_MAXUINT32)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "VSOCK_SET_GUEST_CID: %" G_GUINT64_FORMAT " is not from %u to %u", cid,
                            MIN_CID, G_MAXUINT32 - 1);
  return vhost_kernel_call (VHOST_KERNEL_DEVICE (vsock), VHOST_KERNEL_CALL_VSOCK_SET_GUEST_CID,
                            &cid, error);
}

/**
 * vhost_kernel_vsock_start:
 * @vsock: a device whose queues are set up
 * @error: return location
 *
 * Lets the device work. Enabling its queues, as [class@Vhost.Driver] does, starts it as well: this
 * is for a device that was stopped by [method@Vhost.KernelVsock.stop].
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vsock_start (VhostKernelVsock *vsock, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VSOCK (vsock), FALSE);

  return vhost_kernel_set_all_enabled (VHOST_KERNEL_DEVICE (vsock), TRUE, error);
}

/**
 * vhost_kernel_vsock_stop:
 * @vsock: an open device
 * @error: return location
 *
 * Lets the device rest: what the host sends meanwhile waits, what is in the queues stays there.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vsock_stop (VhostKernelVsock *vsock, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VSOCK (vsock), FALSE);

  return vhost_kernel_set_all_enabled (VHOST_KERNEL_DEVICE (vsock), FALSE, error);
}

static void
vhost_kernel_vsock_class_init (VhostKernelVsockClass *klass)
{
  static const VhostKernelKind kind = {
    .path = "/dev/vhost-vsock",
    .module = "vhost_vsock",
    .n_queues = N_QUEUES,
    .set_running = vsock_set_running,
    .whole = TRUE,
  };

  VHOST_KERNEL_DEVICE_CLASS (klass)->kind = &kind;
}

static void
vhost_kernel_vsock_init (VhostKernelVsock *vsock)
{
}
