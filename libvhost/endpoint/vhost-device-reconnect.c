/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device tells when its other side leaves and comes back. Runs on the thread of the
 * implementation. (vhost-user, “Communication”) */

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
