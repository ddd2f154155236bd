/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns a vhost-user socket: messages in and out, their deadlines, and the one way it ends. Runs in
 * the main context in which it was started, or, not started, in whichever thread waits on it.
 * (vhost-user, “Communication”) */

#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-state-private.h"
#include "user/vhost-user-message-private.h"

#define MESSAGES_PER_WAKE_UP 16
#define DEFAULT_TIMEOUT 10000 /* ms */

/**
 * VhostUserConnection:
 *
 * A vhost-user socket whose messages are sent and received one by one.
 *
 * [class@Vhost.UserFrontend] and [class@Vhost.UserBackend] have connections of their own. This
 * class is for programs that speak the protocol themselves, such as a test that sends what no
 * honest peer would send. Use it from one thread at a time.
 *
 * Since: 1.0
 */
G_DEFINE_FINAL_TYPE (VhostUserConnection, vhost_user_connection, G_TYPE_OBJECT)

enum {
  PROP_TIMEOUT = 1,
  PROP_PROTOCOL_FEATURES,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];

/* Lets go of everything but the reactor, on which the end may have to be told. The peer sees the
 * end even if somebody kept the descriptor that ours was duplicated from. */
static void
release (VhostUserConnection *connection)
{
  if (connection->timer != NULL)
    g_source_destroy (connection->timer);
  g_clear_pointer (&connection->timer, g_source_unref);
  vhost_watch_clear (&connection->watch);
  vhost_user_input_clear (&connection->input);
  vhost_user_output_clear (&connection->output);
  if (connection->fd >= 0)
    shutdown (connection->fd, connection->watched_on ? SHUT_WR : SHUT_RDWR);
  vhost_fd_clear (&connection->fd);
}

/* Ends the connection; takes @error. */
static void
fail (VhostUserConnection *connection, GError *error)
{
  g_autoptr (GError) owned = error;

  if (connection->fd < 0)
    return;
  release (connection);
  connection->closed_error = g_steal_pointer (&owned);
  if (connection->reactor != NULL)
    vhost_reactor_queue_task (connection->reactor, &connection->closed_task);
}

static void
tell_closed (gpointer data)
{
  g_autoptr (VhostUserConnection) connection = g_object_ref (data);
  g_autoptr (GError) error = g_steal_pointer (&connection->closed_error);

  if (connection->closed_func != NULL)
    connection->closed_func (connection, error, connection->data);
}

gboolean
vhost_user_connection_fail (VhostUserConnection *connection, GError *own, GError **error)
{
  if (error != NULL)
    *error = g_error_copy (own);
  fail (connection, own);
  return FALSE;
}

gboolean
vhost_user_connection_check_open (VhostUserConnection *connection, GError **error)
{
  if (connection->fd >= 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the connection is closed");
}

/* Deadlines and watch */

static gboolean
can_read (VhostUserConnection *connection)
{
  return connection->fd >= 0 && !connection->paused && connection->frame_func != NULL;
}

static void
update_deadline (VhostUserConnection *connection, gint64 *deadline, gboolean pending)
{
  if (!pending)
    *deadline = 0;
  else if (*deadline == 0)
    *deadline = g_get_monotonic_time () + connection->timeout * (gint64) 1000;
}

static gboolean on_deadline (gpointer data);

static void
update_timer (VhostUserConnection *connection)
{
  gint64 input = connection->input_deadline > 0 ? connection->input_deadline : G_MAXINT64;
  gint64 output = connection->output_deadline > 0 ? connection->output_deadline : G_MAXINT64;

  if (MIN (input, output) == G_MAXINT64) {
    if (connection->timer != NULL)
      g_source_destroy (connection->timer);
    g_clear_pointer (&connection->timer, g_source_unref);
    return;
  }
  if (connection->timer == NULL) {
    connection->timer = g_timeout_source_new (connection->timeout);
    g_source_set_static_name (connection->timer, "vhost-user-deadline");
    g_source_set_callback (connection->timer, on_deadline, connection, NULL);
    g_source_attach (connection->timer, vhost_reactor_get_context (connection->reactor));
  }
  g_source_set_ready_time (connection->timer, MIN (input, output));
}

GIOCondition
vhost_user_connection_get_condition (VhostUserConnection *connection)
{
  return (can_read (connection) ? G_IO_IN : 0) |
         (vhost_user_output_is_waiting (&connection->output) ? G_IO_OUT : 0);
}

/* While paused nothing is read, and only the peer's leaving is watched for. A hang-up is told
 * whether asked for or not: with nothing to do there must be no watch. */
static gboolean
update_watch (VhostUserConnection *connection, GError **error)
{
  guint32 events = vhost_user_connection_get_condition (connection) | /* the bits are epoll's */
                   (connection->paused ? EPOLLRDHUP : 0);

  if (events == 0)
    vhost_watch_clear (&connection->watch);
  else if (connection->watch != NULL)
    vhost_watch_set_events (connection->watch, events);
  else
    connection->watch = vhost_reactor_add_watch (connection->reactor, connection->fd, events,
                                                 vhost_user_connection_process, connection, error);
  return events == 0 || connection->watch != NULL;
}

void
vhost_user_connection_update (VhostUserConnection *connection)
{
  GError *error = NULL;
  gboolean reading = can_read (connection) && vhost_user_input_is_partial (&connection->input);

  if (connection->fd < 0 || connection->reactor == NULL)
    return;
  update_deadline (connection, &connection->input_deadline, reading);
  update_deadline (connection, &connection->output_deadline,
                   vhost_user_output_is_waiting (&connection->output));
  update_timer (connection);
  if (!update_watch (connection, &error))
    fail (connection, error);
}

static gboolean
on_deadline (gpointer data)
{
  VhostUserConnection *connection = data;
  gint64 now = g_get_monotonic_time ();

  g_clear_pointer (&connection->timer, g_source_unref);
  if (connection->input_deadline > 0 && connection->input_deadline <= now)
    fail (connection,
          g_error_new (VHOST_ERROR, VHOST_ERROR_TIMED_OUT,
                       "the rest of a message did not come within %u ms", connection->timeout));
  else if (connection->output_deadline > 0 && connection->output_deadline <= now)
    fail (connection,
          g_error_new (VHOST_ERROR, VHOST_ERROR_TIMED_OUT,
                       "the peer did not read what it was sent within %u ms", connection->timeout));
  vhost_user_connection_update (connection);
  return G_SOURCE_REMOVE;
}

/* Receiving */

static void
deliver_bad (VhostUserConnection *connection, VhostUserFrame *frame, GError *error)
{
  g_autoptr (GError) owned = error;

  vhost_fd_set_clear (&frame->fds);
  if (connection->bad_frame_func != NULL)
    connection->bad_frame_func (connection, frame, error, connection->data);
  else
    fail (connection, g_steal_pointer (&owned));
}

/* The frame is moved out first: whoever is called may close or free the connection. */
static void
deliver (VhostUserConnection *connection)
{
  g_auto (VhostUserFrame) frame = { 0 };
  GError *error = NULL;

  vhost_user_frame_move (&frame, &connection->input.frame);
  connection->input_deadline = 0;
  vhost_user_frame_check (connection->role, &frame, connection->protocol_features, &error);
  vhost_user_frame_show (connection->role, "←", &frame, error);
  if (error != NULL)
    deliver_bad (connection, &frame, error);
  else
    connection->frame_func (connection, &frame, connection->data);
}

VhostUserIo
vhost_user_connection_read (VhostUserConnection *connection, GError **error)
{
  return vhost_user_input_read (&connection->input, connection->fd, connection->role,
                                connection->requester, error);
}

static void
process_input (VhostUserConnection *self)
{
  VhostUserIo result = VHOST_USER_IO_DONE;
  GError *error = NULL;

  for (guint i = 0; i < MESSAGES_PER_WAKE_UP && can_read (self) && result == VHOST_USER_IO_DONE;
       i++) {
    result = vhost_user_connection_read (self, &error);
    if (result == VHOST_USER_IO_DONE)
      deliver (self);
  }
  if (result == VHOST_USER_IO_END || result == VHOST_USER_IO_FAILED)
    fail (self, error);
  vhost_user_connection_update (self);
}

static void
flush_output (VhostUserConnection *connection)
{
  guint n_waiting = connection->output.chunks.length;
  GError *error = NULL;

  if (vhost_user_output_flush (&connection->output, connection->fd, &error) == VHOST_USER_IO_FAILED)
    fail (connection, error);
  if (connection->output.chunks.length < n_waiting)
    connection->output_deadline = 0; /* the next one gets its own */
  vhost_user_connection_update (connection);
}

void
vhost_user_connection_process (guint32 events, gpointer data)
{
  g_autoptr (VhostUserConnection) connection = g_object_ref (data);

  if (vhost_user_output_is_waiting (&connection->output))
    flush_output (connection);
  if (connection->paused && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    fail (connection, NULL); /* what it sent before and is still unread was for nobody */
  else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
    process_input (connection);
}

/* What the endpoints set up */

VhostUserConnection *
vhost_user_connection_new_take_fd (int fd, VhostUserRole role, gboolean requester)
{
  VhostUserConnection *connection = g_object_new (VHOST_USER_TYPE_CONNECTION, NULL);

  connection->fd = fd;
  connection->role = role;
  connection->requester = requester;
  return connection;
}

gboolean
vhost_user_connection_start (VhostUserConnection *connection, VhostReactor *reactor,
                             VhostUserFrameFunc frame_func, VhostUserClosedFunc closed_func,
                             gpointer data, GError **error)
{
  if (!vhost_user_connection_check_open (connection, error))
    return FALSE;
  if (connection->reactor != NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "messages are read in the loop already");
  connection->reactor = vhost_reactor_ref (reactor);
  connection->frame_func = frame_func;
  connection->closed_func = closed_func;
  connection->data = data;
  if (update_watch (connection, error)) {
    vhost_user_connection_update (connection);
    return TRUE;
  }
  g_clear_pointer (&connection->reactor, vhost_reactor_unref);
  connection->frame_func = NULL;
  return FALSE;
}

void
vhost_user_connection_set_bad_frame_func (VhostUserConnection *connection,
                                          VhostUserBadFrameFunc func)
{
  connection->bad_frame_func = func;
}

void
vhost_user_connection_set_paused (VhostUserConnection *connection, gboolean paused)
{
  connection->paused = paused;
  vhost_user_connection_update (connection);
}

void
vhost_user_connection_set_protocol_features (VhostUserConnection *connection,
                                             guint64 protocol_features)
{
  connection->protocol_features = protocol_features;
}

/* The public face */

static void
vhost_user_connection_init (VhostUserConnection *connection)
{
  connection->fd = -1;
  connection->timeout = DEFAULT_TIMEOUT;
  vhost_task_init (&connection->closed_task, tell_closed, connection);
}

static void
vhost_user_connection_finalize (GObject *object)
{
  vhost_user_connection_close (VHOST_USER_CONNECTION (object));
  G_OBJECT_CLASS (vhost_user_connection_parent_class)->finalize (object);
}

static void
vhost_user_connection_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostUserConnection *connection = VHOST_USER_CONNECTION (object);

  switch (id) {
  case PROP_TIMEOUT:
    g_value_set_uint (value, connection->timeout);
    break;
  case PROP_PROTOCOL_FEATURES:
    g_value_set_uint64 (value, connection->protocol_features);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_connection_set_property (GObject *object, guint id, const GValue *value,
                                    GParamSpec *pspec)
{
  VhostUserConnection *connection = VHOST_USER_CONNECTION (object);

  switch (id) {
  case PROP_TIMEOUT:
    connection->timeout = g_value_get_uint (value);
    break;
  case PROP_PROTOCOL_FEATURES:
    connection->protocol_features = g_value_get_uint64 (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_connection_class_init (VhostUserConnectionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = vhost_user_connection_finalize;
  object_class->get_property = vhost_user_connection_get_property;
  object_class->set_property = vhost_user_connection_set_property;

  /**
   * VhostUserConnection:timeout:
   *
   * How long to wait for a message, for the rest of one, and for the peer to take one:
   * milliseconds.
   *
   * Since: 1.0
   */
  properties[PROP_TIMEOUT] =
      g_param_spec_uint ("timeout", NULL, NULL, 1, G_MAXUINT, DEFAULT_TIMEOUT,
                         G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);

  /**
   * VhostUserConnection:protocol-features:
   *
   * The protocol features in force, a word of [enum@Vhost.UserProtocolFeature] bits. They decide
   * how some payloads are laid out.
   *
   * Since: 1.0
   */
  properties[PROP_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("protocol-features", NULL, NULL, 0, G_MAXUINT64, 0,
                           G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, properties);
}

/**
 * vhost_user_connection_new:
 * @fd: a connected socket; it is duplicated
 * @role: whose requests the socket carries
 * @requester: whether this side sends them and receives the answers, or the other way round
 *
 * Makes a connection of a socket. It is closed from the beginning when @fd cannot be duplicated.
 *
 * Returns: (transfer full): a new connection
 *
 * Since: 1.0
 */
VhostUserConnection *
vhost_user_connection_new (int fd, VhostUserRole role, gboolean requester)
{
  return vhost_user_connection_new_take_fd (vhost_fd_dup (fd, NULL), role, requester);
}

/**
 * vhost_user_connection_send:
 * @connection: a connection
 * @message: what to send; it need not obey any rule
 * @cancellable: (nullable): to stop waiting
 * @error: return location for an error
 *
 * Sends a message as it is. Blocks until the socket has taken it, for at most
 * [property@Vhost.UserConnection:timeout]. The connection is closed after an error, because half of
 * the message may be gone.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_DISCONNECTED, %VHOST_ERROR_TIMED_OUT,
 * %VHOST_ERROR_BAD_FDS (more than 32, nothing was sent) or a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gboolean
vhost_user_connection_send (VhostUserConnection *connection, VhostUserMessage *message,
                            GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame;

  return vhost_user_message_peek_frame (message, &frame, error) &&
         vhost_user_connection_send_frame (connection, &frame, cancellable, error);
}

/**
 * vhost_user_connection_receive:
 * @connection: a connection
 * @cancellable: (nullable): to stop waiting
 * @error: return location for an error
 *
 * Waits for the next message, for at most [property@Vhost.UserConnection:timeout]. It has passed
 * every check of [method@Vhost.UserMessage.check]; a message that does not closes the connection.
 * After %VHOST_ERROR_TIMED_OUT the connection is still good.
 *
 * Returns: (transfer full): the message, or %NULL with a [error@Vhost.Error]
 * (%VHOST_ERROR_DISCONNECTED when the peer has left) or a `G_IO_ERROR`
 *
 * Since: 1.0
 */
VhostUserMessage *
vhost_user_connection_receive (VhostUserConnection *connection, GCancellable *cancellable,
                               GError **error)
{
  gint64 deadline = g_get_monotonic_time () + connection->timeout * (gint64) 1000;
  g_auto (VhostUserFrame) frame = { 0 };

  if (!vhost_user_connection_receive_frame (connection, &frame, deadline, NULL, cancellable, error))
    return NULL;
  return vhost_user_message_new_take_frame (connection->role, &frame);
}

/**
 * vhost_user_connection_close:
 * @connection: a connection
 *
 * Closes the socket. What waits to be sent is lost, and nobody is told. Does nothing when it is
 * closed already.
 *
 * Since: 1.0
 */
void
vhost_user_connection_close (VhostUserConnection *connection)
{
  vhost_task_cancel (&connection->closed_task);
  release (connection);
  connection->frame_func = NULL;
  g_clear_pointer (&connection->reactor, vhost_reactor_unref);
  g_clear_error (&connection->closed_error);
}

/**
 * vhost_user_connection_is_open:
 * @connection: a connection
 *
 * Tells whether messages can be sent. That the peer has left is known only after an attempt to send
 * or receive.
 *
 * Returns: %TRUE until the connection is closed, by either side or after an error
 *
 * Since: 1.0
 */
gboolean
vhost_user_connection_is_open (VhostUserConnection *connection)
{
  return connection->fd >= 0;
}

int
vhost_user_connection_peek_fd (VhostUserConnection *connection)
{
  return connection->fd;
}

int
vhost_user_connection_dup_fd (VhostUserConnection *connection, GError **error)
{
  connection->watched_on = TRUE;
  return vhost_fd_dup (connection->fd, error);
}
