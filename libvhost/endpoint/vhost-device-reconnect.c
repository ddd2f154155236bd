/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device tells when its other side leaves and comes back, and how a program without a main
 * loop notices. Runs on the thread of the implementation. (vhost-user, “Communication”) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "endpoint/vhost-device-private.h"

void
vhost_device_add_reconnect_signals (void)
{
  /**
   * VhostDevice::reconnecting:
   * @device: the device
   *
   * The other side has left, and is looked for again. [signal@Vhost.Device::reconnected] or
   * [signal@Vhost.Device::disconnected] follows. Only from devices that were told to reconnect.
   *
   * Since: 1.0
   */
  g_signal_new ("reconnecting", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 0);

  /**
   * VhostDevice::resuming:
   * @device: the device
   *
   * The device is there again, and its rings are about to go on at their used indexes: the moment
   * to put in order what they have available. Between [signal@Vhost.Device::reconnecting] and
   * [signal@Vhost.Device::reconnected], once for each attempt that comes so far. The device must
   * not be called from here.
   *
   * Since: 1.0
   */
  g_signal_new ("resuming", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                0);

  /**
   * VhostDevice::reconnected:
   * @device: the device
   *
   * The device has everything again that had been set, and its queues go on.
   *
   * Since: 1.0
   */
  g_signal_new ("reconnected", VHOST_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 0);
}

static gboolean
wait_readable (int fd, guint timeout, GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + timeout * (gint64) 1000;
  int result = vhost_fd_wait_readable (fd, deadline, cancellable, error);

  if (result == 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "nothing came within %u ms", timeout);
  return result > 0;
}

/**
 * vhost_device_wait_readable:
 * @device: the device
 * @fd: what to wait for, such as the call descriptor of a queue
 * @timeout: milliseconds; 0 looks once
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Waits until a descriptor becomes readable, and does meanwhile what the device needs: answers its
 * requests, notices that it leaves, reconnects. For programs that run no main loop. Blocks.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_TIMED_OUT, %VHOST_ERROR_DISCONNECTED when the device
 *   is gone for good, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_device_wait_readable (VhostDevice *device, int fd, guint timeout, GCancellable *cancellable,
                            GError **error)
{
  VhostDeviceInterface *iface;

  g_return_val_if_fail (VHOST_IS_DEVICE (device), FALSE);
  g_return_val_if_fail (fd >= 0, FALSE);

  iface = VHOST_DEVICE_GET_IFACE (device);
  if (iface->wait_readable == NULL)
    return wait_readable (fd, timeout, cancellable, error);
  return iface->wait_readable (device, fd, timeout, cancellable, error);
}
