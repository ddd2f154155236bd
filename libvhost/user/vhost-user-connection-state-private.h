/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a connection, shared by vhost-user-connection.c (life, properties, the loop) and
 * vhost-user-connection-transfer.c (single messages, waiting). */
#pragma once

#include "user/vhost-user-connection-io-private.h"
#include "user/vhost-user-connection-private.h"

struct _VhostUserConnection {
  GObject parent_instance;

  int fd;              /* -1: closed */
  gboolean watched_on; /* somebody waits on a duplicate for the peer to close */
  VhostUserRole role;
  gboolean requester;
  guint64 protocol_features;
  guint timeout; /* ms */
  VhostUserInput input;
  VhostUserOutput output;

  /* From the start on. */
  VhostReactor *reactor;
  VhostWatch *watch;      /* while there is something to watch for */
  GSource *timer;         /* while something is pending */
  gint64 input_deadline;  /* of the message that has begun, or 0 */
  gint64 output_deadline; /* of the message that waits first, or 0 */
  gboolean paused;
  VhostTask closed_task;
  GError *closed_error;

  VhostUserFrameFunc frame_func;
  VhostUserBadFrameFunc bad_frame_func; /* NULL: such a message fails the connection */
  VhostUserClosedFunc closed_func;
  gpointer data;
};

/* Ends the connection with @own, which is taken, and hands the caller the same error. FALSE. */
gboolean vhost_user_connection_fail (VhostUserConnection *connection, GError *own, GError **error);

gboolean vhost_user_connection_check_open (VhostUserConnection *connection, GError **error);

VhostUserIo vhost_user_connection_read (VhostUserConnection *connection, GError **error);

/* To be called after everything that reads, writes or pauses. */
void vhost_user_connection_update (VhostUserConnection *connection);
