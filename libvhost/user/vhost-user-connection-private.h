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
/* A whole message that breaks the rule of its request: the stream is still in step and goes on. The
 * descriptors of @frame are closed already; its payload may be of any size, even none. */
typedef void (*VhostUserBadFrameFunc) (VhostUserConnection *connection, const VhostUserFrame *frame,
                                       const GError *error, gpointer data);
/* The stream has ended: @error is NULL for a clean end between two messages. Called once, from the
 * loop and never from inside another call; not after vhost_user_connection_close (). */
typedef void (*VhostUserClosedFunc) (VhostUserConnection *connection, const GError *error,
                                     gpointer data);

/* Takes @fd. @role: whose requests the socket carries; @requester: are we that side (we send
 * requests and receive answers)? */
VhostUserConnection *vhost_user_connection_new_take_fd (int fd, VhostUserRole role,
                                                        gboolean requester);

/* Reads messages in the loop of @reactor from now on. The functions may close, pause and free the
 * connection. Whoever lets go of it closes it first: @data is in use until then. */
gboolean vhost_user_connection_start (VhostUserConnection *connection, VhostReactor *reactor,
                                      VhostUserFrameFunc frame_func,
                                      VhostUserClosedFunc closed_func, gpointer data,
                                      GError **error);

/* Without one, such a message fails the connection. @func gets the data of the start. */
void vhost_user_connection_set_bad_frame_func (VhostUserConnection *connection,
                                               VhostUserBadFrameFunc func);

/* Stops and goes on reading (an answer is still owed). A peer that leaves meanwhile is noticed;
 * what it sent before is dropped then. */
void vhost_user_connection_set_paused (VhostUserConnection *connection, gboolean paused);

/* Which layouts are in force. */
void vhost_user_connection_set_protocol_features (VhostUserConnection *connection,
                                                  guint64 protocol_features);

/* Sends what the socket takes of @frame now; the rest goes out from the loop, or fails the
 * connection at the deadline. Descriptors stay the caller's, and are duplicated when they must
 * wait. More than 64 KiB waiting: the connection is failed. Without a loop (not started) it blocks
 * until sent, the deadline, or cancelled. The connection is of no use after an error. While it
 * blocks, @other (or NULL), which is started, is served: a peer may wait for an answer there before
 * it reads here. */
gboolean vhost_user_connection_send_frame_serving (VhostUserConnection *connection,
                                                   const VhostUserFrame *frame,
                                                   VhostUserConnection *other,
                                                   GCancellable *cancellable, GError **error);

static inline gboolean
vhost_user_connection_send_frame (VhostUserConnection *connection, const VhostUserFrame *frame,
                                  GCancellable *cancellable, GError **error)
{
  return vhost_user_connection_send_frame_serving (connection, frame, NULL, cancellable, error);
}

/* The same, but never blocks: what the socket does not take is sent by whoever is waiting on this
 * connection now, or sends the next message. For use from within such a wait. */
gboolean vhost_user_connection_queue_frame (VhostUserConnection *connection,
                                            const VhostUserFrame *frame, GError **error);

/* Blocks for one whole message; the connection must not be started. @deadline: monotonic µs, or -1.
 * While it waits, @other (or NULL), which is started, is served: its frame function is called for
 * each message that comes. After a timeout or a cancellation the connection is still open and in
 * step: whoever does not want the message any more closes it. @frame must be empty or new. */
gboolean vhost_user_connection_receive_frame (VhostUserConnection *connection,
                                              VhostUserFrame *frame, gint64 deadline,
                                              VhostUserConnection *other, GCancellable *cancellable,
                                              GError **error);

/* For a started connection in a poll of the caller's own: what to poll its descriptor for (0:
 * nothing), and what to call with the result. */
GIOCondition vhost_user_connection_get_condition (VhostUserConnection *connection);
void vhost_user_connection_process (guint32 condition, gpointer connection);

/* The socket, to be watched between two calls; -1 once it is closed. */
int vhost_user_connection_peek_fd (VhostUserConnection *connection);

/* The socket, to see when the peer closes it, even after we did; -1 with an error. */
int vhost_user_connection_dup_fd (VhostUserConnection *connection, GError **error);
