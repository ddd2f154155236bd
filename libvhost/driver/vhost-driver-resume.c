/* SPDX-License-Identifier: BSD-3-Clause */
/* Goes on with a device whose process was replaced: same memory, same queues, nothing lost. One
 * thread. (vhost-user, “Inflight I/O tracking”) */

#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "driver/vhost-driver-private.h"

/* A ring may hold requests of which nobody knows any more how far they got. Those of a split ring
 * begin where the used ring ends; the positions of a packed one are lost with the device. */
static gboolean
check_resume (VhostDriver *driver, GError **error)
{
  gboolean packed = vhost_word_has (driver->features, VHOST_FEATURE_RING_PACKED);
  guint n = 0;

  if (!driver->resumable)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "there is nothing to resume");
  for (guint i = 0; i < driver->n_queues; i++)
    n += vhost_driver_queue_get_n_outstanding (driver->queues[i]);
  if (packed && !driver->tracked && n > 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "%u requests in packed rings are lost: the device did not record them",
                            n);
  if (vhost_device_get_n_queues (driver->device) >= driver->n_queues)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%u queues; the device has %u now",
                          driver->n_queues, vhost_device_get_n_queues (driver->device));
}

/* What was used out of order is not offered a second time, and nothing else is passed over. */
void
vhost_driver_offer_again (VhostDriver *driver)
{
  for (guint i = 0; driver->queues != NULL && i < driver->n_queues; i++) {
    if (driver->queues[i] != NULL)
      vhost_driver_queue_offer_again (driver->queues[i]);
  }
}

static gboolean
negotiate_again (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  g_autofree char *names = NULL;
  guint64 missing = driver->features;
  g_autoptr (GError) reason = NULL;

  missing &= ~vhost_device_get_features (driver->device, cancellable, &reason);
  if (reason != NULL) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  if (missing == 0)
    return vhost_device_set_features (driver->device, driver->features, cancellable, error);
  names = vhost_features_to_string (VHOST_DEVICE_ID_NONE, missing);
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "no longer offered: %s", names);
}

/**
 * vhost_driver_resume:
 * @driver: a driver whose device has left
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Goes on with the same memory and queues, once the device has been opened again: after its process
 * crashed, or was replaced. The queues are the same objects; what was added and not collected is
 * still outstanding, and what the device had completed is not done again. Packed rings can go on
 * only if nothing is outstanding, or if the device records what is in flight (INFLIGHT_SHMFD).
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when there is nothing to resume or requests
 *   would be lost, or another error; the driver can be resumed later, with the device opened again
 *
 * Since: 1.0
 */
gboolean
vhost_driver_resume (VhostDriver *driver, GCancellable *cancellable, GError **error)
{
  const guint ok = VHOST_STATUS_ACKNOWLEDGE | VHOST_STATUS_DRIVER | VHOST_STATUS_FEATURES_OK;

  g_return_val_if_fail (VHOST_IS_DRIVER (driver), FALSE);

  if (!check_resume (driver, error))
    return FALSE;
  vhost_driver_offer_again (driver);
  driver->started =
      negotiate_again (driver, cancellable, error) &&
      vhost_driver_tell_status (driver, ok, cancellable, error) &&
      (!driver->tracked || vhost_device_give_inflight (driver->device, cancellable, error)) &&
      vhost_device_set_memory (driver->device, driver->memory, cancellable, error) &&
      vhost_driver_start_queues (driver, cancellable, error) &&
      vhost_driver_tell_status (driver, ok | VHOST_STATUS_DRIVER_OK, cancellable, error);
  if (!driver->started)
    return FALSE;
  driver->resumable = FALSE;
  for (guint i = 0; i < driver->n_queues; i++)
    vhost_driver_queue_resume (driver->queues[i]);
  return TRUE;
}
