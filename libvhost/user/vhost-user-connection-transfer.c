/* SPDX-License-Identifier: BSD-3-Clause */
/* Sends and receives single messages, and waits for the socket where there is no loop to do so; the
 * back-end channel is served meanwhile. Runs on the thread that asks. (vhost-user, “Communication”,
 * “Back-end communication”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-state-private.h"
#include "user/vhost-user-message-private.h"

/* Waits until @condition holds, what waits can be sent or @other was served, whichever comes first.
 */
static gboolean
wait_for (VhostUserConnection *connection, GIOCondition condition, gint64 deadline,
          VhostUserConnection *other, GCancellable *cancellable, GError **error)
{
  GIOCondition wanted = other != NULL ? vhost_user_connection_get_condition (other) : 0;
  GPollFD fds[2] = {
    { .fd = connection->fd, .events = condition },
    { .fd = wanted != 0 ? other->fd : -1, .events = wanted },
  };

  if (vhost_user_output_is_waiting (&connection->output))
    fds[0].events |= G_IO_OUT;
  if (!vhost_user_io_wait (fds, deadline, cancellable, error))
    return FALSE;
  if ((fds[0].revents & G_IO_OUT) != 0 && condition == G_IO_IN &&
      vhost_user_output_flush (&connection->output, connection->fd, error) == VHOST_USER_IO_FAILED)
    return FALSE;
  if (fds[1].revents != 0)
    vhost_user_connection_process (fds[1].revents, other);
  return TRUE;
}

static gboolean
finish_receive (VhostUserConnection *connection, VhostUserFrame *frame, GError **error)
{
  GError *own = NULL;

  vhost_user_frame_move (frame, &connection->input.frame);
  vhost_user_frame_check (connection->role, frame, connection->protocol_features, &own);
  vhost_user_frame_show (connection->role, "←", frame, own);
  if (own == NULL)
    return TRUE;
  vhost_user_frame_clear (frame);
  return vhost_user_connection_fail (connection, own, error);
}

gboolean
vhost_user_connection_receive_frame (VhostUserConnection *connection, VhostUserFrame *frame,
                                     gint64 deadline, VhostUserConnection *other,
                                     GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostUserConnection) self = g_object_ref (connection);
  VhostUserIo result = VHOST_USER_IO_AGAIN;
  GError *own = NULL;

  if (self->reactor != NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "messages are read in the loop already");
  while (result == VHOST_USER_IO_AGAIN) {
    if (!vhost_user_connection_check_open (self, error))
      return FALSE;
    result = vhost_user_connection_read (self, &own);
    if (result == VHOST_USER_IO_AGAIN &&
        !wait_for (self, G_IO_IN, deadline, other, cancellable, error))
      return FALSE;
  }
  if (result == VHOST_USER_IO_DONE)
    return finish_receive (self, frame, error);
  if (result == VHOST_USER_IO_END)
    vhost_set_error (&own, VHOST_ERROR_DISCONNECTED, "the peer has left");
  return vhost_user_connection_fail (self, own, error);
}

gboolean
vhost_user_connection_queue_frame (VhostUserConnection *connection, const VhostUserFrame *frame,
                                   GError **error)
{
  GError *own = NULL;

  if (!vhost_user_connection_check_open (connection, error))
    return FALSE;
  vhost_user_frame_show (connection->role, "→", frame, NULL);
  if (vhost_user_output_send (&connection->output, connection->fd, frame, &own) ==
      VHOST_USER_IO_FAILED)
    return vhost_user_connection_fail (connection, own, error);
  return TRUE;
}

static VhostUserIo
wait_for_output (VhostUserConnection *connection, VhostUserConnection *other,
                 GCancellable *cancellable, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + connection->timeout * (gint64) 1000;
  VhostUserIo result = VHOST_USER_IO_AGAIN;

  while (result == VHOST_USER_IO_AGAIN) {
    if (!wait_for (connection, G_IO_OUT, deadline, other, cancellable, error))
      return VHOST_USER_IO_FAILED;
    result = vhost_user_output_flush (&connection->output, connection->fd, error);
  }
  return result;
}

gboolean
vhost_user_connection_send_frame_serving (VhostUserConnection *connection,
                                          const VhostUserFrame *frame, VhostUserConnection *other,
                                          GCancellable *cancellable, GError **error)
{
  VhostUserIo result;
  GError *own = NULL;

  if (!vhost_user_connection_check_open (connection, error) ||
      g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  vhost_user_frame_show (connection->role, "→", frame, NULL);
  result = vhost_user_output_send (&connection->output, connection->fd, frame, &own);
  if (result == VHOST_USER_IO_AGAIN && connection->reactor == NULL)
    result = wait_for_output (connection, other, cancellable, &own);
  if (result == VHOST_USER_IO_FAILED)
    return vhost_user_connection_fail (connection, own, error);
  vhost_user_connection_update (connection);
  return TRUE;
}
