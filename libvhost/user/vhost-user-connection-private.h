/* SPDX-License-Identifier: BSD-3-Clause */
/* What the endpoints of this room do with a connection. */
#pragma once

#include <gio/gio.h>
#include "core/vhost-reactor-private.h"
#include "user/vhost-user-connection.h"
#include "user/vhost-user-rules-private.h"

/* @frame is the callee's to keep from (steal descriptors); it is cleared after the call. */
typedef void (*VhostUserFrameFunc) (VhostUserConnection *connection, VhostUserFrame *frame,
                                    gpointer data);
/* The stream has ended: @error is NULL for a clean end between two messages. Called once, from the loop. */
typedef void (*VhostUserClosedFunc) (VhostUserConnection *connection, const GError *error,
                                     gpointer data);

/* Takes @fd. @role: whose requests the socket carries; @requester: are we that side (we send requests and
 * receive answers)? */
VhostUserConnection *vhost_user_connection_new_take_fd (int fd, VhostUserRole role,
                                                        gboolean requester);

/* Reads messages in the loop of @reactor from now on. */
gboolean vhost_user_connection_start (VhostUserConnection *connection, VhostReactor *reactor,
                                      VhostUserFrameFunc frame_func,
                                      VhostUserClosedFunc closed_func, gpointer data,
                                      GError **error);

/* Stops and goes on reading (an answer is still owed). */
void vhost_user_connection_set_paused (VhostUserConnection *connection, gboolean paused);

/* Which layouts are in force. */
void vhost_user_connection_set_protocol_features (VhostUserConnection *connection,
                                                  guint64 protocol_features);

/* Queues @frame and sends what the socket takes now; the rest goes out from the loop, or fails the
 * connection at the deadline. Descriptors are duplicated when they must wait. More than 64 KiB waiting:
 * the connection is failed. Without a loop (not started) it blocks until sent, the deadline, or cancelled. */
gboolean vhost_user_connection_send_frame (VhostUserConnection *connection,
                                           const VhostUserFrame *frame, GCancellable *cancellable,
                                           GError **error);

/* Blocks for one whole message; the connection must not be started. @deadline: monotonic µs. While it waits,
 * @other (or NULL) is served: its frame function is called for each message that arrives there. */
gboolean vhost_user_connection_receive_frame (VhostUserConnection *connection,
                                              VhostUserFrame *frame, gint64 deadline,
                                              VhostUserConnection *other,
                                              GCancellable *cancellable, GError **error);
