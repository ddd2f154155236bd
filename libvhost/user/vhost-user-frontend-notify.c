/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of the device interface that does without event descriptors: kicks as messages, waiting
 * for what comes on the channel; and the byte order of legacy rings. One thread. (vhost-user,
 * “In-band notifications”, CROSS_ENDIAN) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-io-private.h"
#include "user/vhost-user-frontend-private.h"

static gboolean
call_state (VhostDevice *device, VhostUserFrontendCode code, guint index, guint num,
            GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.state);
  frame.payload.state.index = index;
  frame.payload.state.num = num;
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

static gboolean
frontend_set_vring_endian (VhostDevice *device, guint index, gboolean big_endian,
                           GCancellable *cancellable, GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_SET_VRING_ENDIAN, index, big_endian ? 1 : 0,
                     cancellable, error);
}

static gboolean
frontend_has_in_band_notifications (VhostDevice *device)
{
  return vhost_user_frontend_has_protocol_feature (
      VHOST_USER_FRONTEND (device), VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS);
}

static gboolean
frontend_kick_vring (VhostDevice *device, guint index, GCancellable *cancellable, GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_VRING_KICK, index, 0, cancellable, error);
}

static gboolean
check_channel (VhostUserFrontend *frontend, GError **error)
{
  if (frontend->connection == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end");
  if (frontend->channel == NULL || !vhost_user_connection_is_open (frontend->channel))
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end channel");
  if (frontend->busy)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "a request is being answered");
  return TRUE;
}

static gboolean
frontend_wait (VhostDevice *device, guint timeout, GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (VHOST_USER_FRONTEND (device));
  gint64 deadline = g_get_monotonic_time () + timeout * G_TIME_SPAN_MILLISECOND;
  GPollFD fds[2];

  if (!check_channel (frontend, error))
    return FALSE;
  fds[0] = (GPollFD){ vhost_user_connection_peek_fd (frontend->channel), G_IO_IN, 0 };
  fds[1] = (GPollFD){ vhost_user_connection_peek_fd (frontend->connection), G_IO_IN, 0 };
  while (fds[0].revents == 0 && fds[1].revents == 0) {
    if (!vhost_user_io_wait (fds, deadline, cancellable, error))
      return FALSE;
  }
  if (fds[0].revents != 0)
    vhost_user_connection_process_input (frontend->channel);
  if (fds[1].revents != 0 && frontend->connection != NULL)
    vhost_user_frontend_check_peer (frontend);
  return frontend->connection != NULL ||
         vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the back-end has left");
}

void
vhost_user_frontend_init_notify (VhostDeviceInterface *iface)
{
  iface->set_vring_endian = frontend_set_vring_endian;
  iface->has_in_band_notifications = frontend_has_in_band_notifications;
  iface->kick_vring = frontend_kick_vring;
  iface->wait = frontend_wait;
}
