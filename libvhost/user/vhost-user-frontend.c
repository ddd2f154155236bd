/* SPDX-License-Identifier: BSD-3-Clause */
/* Drives a device that is served at the other end of a vhost-user socket: opening, requests and
 * their answers, the back-end channel. One thread: calls block on the socket, with a deadline, and
 * serve the channel while they wait; between calls the thread-default main context of open()
 * watches for the back-end to leave. (vhost-user, “Communication”, REPLY_ACK, “Back-end
 * communication”) */

#include <errno.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-socket-private.h"

G_DEFINE_FINAL_TYPE_WITH_CODE (
    VhostUserFrontend, vhost_user_frontend, G_TYPE_OBJECT,
    G_IMPLEMENT_INTERFACE (VHOST_TYPE_DEVICE, (GInterfaceInitFunc) vhost_user_frontend_init_device))

#define DEFAULT_TIMEOUT_MS 10000
#define MAX_QUEUES 256

enum {
  PROP_PROTOCOL_FEATURES = 1,
  PROP_ACKED_PROTOCOL_FEATURES,
  PROP_TIMEOUT,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

static void
drop_connection (VhostUserFrontend *frontend)
{
  vhost_watch_clear (&frontend->idle_watch);
  vhost_task_cancel (&frontend->config_task);
  if (frontend->channel != NULL)
    vhost_user_connection_close (frontend->channel);
  if (frontend->connection != NULL)
    vhost_user_connection_close (frontend->connection);
  g_clear_object (&frontend->channel);
  g_clear_object (&frontend->connection);
  g_clear_pointer (&frontend->memory, vhost_memory_unref);
  g_clear_pointer (&frontend->reactor, vhost_reactor_unref);
  frontend->acked_protocol = 0;
  frontend->offered = 0;
  frontend->n_queues = 0;
}

/* An opening that fails is told by its own error alone. */
static void
fail_connection (VhostUserFrontend *frontend, const GError *error)
{
  gboolean was_open = frontend->idle_watch != NULL;

  g_object_ref (frontend);
  drop_connection (frontend);
  if (was_open)
    g_signal_emit_by_name (frontend, "disconnected", error);
  g_object_unref (frontend);
}

void
vhost_user_frontend_init_request (VhostUserFrame *frame, VhostUserFrontendCode code, guint32 size)
{
  vhost_user_frame_init (frame, code, VHOST_USER_FLAGS_VERSION, size);
}

static gboolean
is_protocol_acked (VhostUserFrontend *frontend, guint bit)
{
  return vhost_word_has (frontend->acked_protocol, bit);
}

static gboolean
check_gate (VhostUserFrontend *frontend, const VhostUserRule *rule, GError **error)
{
  if (rule->gate >= 0 && !is_protocol_acked (frontend, (guint) rule->gate))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "protocol feature %s was not negotiated",
                            vhost_user_protocol_feature_get_name ((guint) rule->gate));
  if (rule->feature >= 0 && !vhost_word_has (frontend->offered, (guint) rule->feature))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "feature %s is not offered",
                            vhost_feature_get_name (VHOST_DEVICE_ID_NONE, (guint) rule->feature));
  return TRUE;
}

/* A back-end answers GET_VRING_BASE when nothing is in flight any more; how long it waits for that
 * itself is often as long as we wait for an answer. */
static gint64
get_deadline (VhostUserFrontend *frontend, guint32 request)
{
  gint64 patience = request == VHOST_USER_FRONTEND_CODE_GET_VRING_BASE ? 2 : 1;

  return g_get_monotonic_time () + patience * frontend->timeout * G_TIME_SPAN_MILLISECOND;
}

static gboolean
receive_answer (VhostUserFrontend *frontend, guint32 request, VhostUserFrame *reply,
                GCancellable *cancellable, GError **error)
{
  if (!vhost_user_connection_receive_frame (frontend->connection, reply,
                                            get_deadline (frontend, request), frontend->channel,
                                            cancellable, error))
    return FALSE;
  if (reply->request == request)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "answered with request %u", reply->request);
}

/* FALSE: the stream is out of step, or there is none. */
static gboolean
exchange (VhostUserFrontend *frontend, VhostUserFrame *frame, VhostUserFrame *reply,
          GCancellable *cancellable, GError **error)
{
  if (!vhost_user_connection_send_frame (frontend->connection, frame, cancellable, error))
    return FALSE;
  return reply == NULL || receive_answer (frontend, frame->request, reply, cancellable, error);
}

static gboolean
check_call (VhostUserFrontend *frontend, const VhostUserRule *rule, GCancellable *cancellable,
            GError **error)
{
  if (frontend->connection == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end");
  return !g_cancellable_set_error_if_cancelled (cancellable, error) &&
         check_gate (frontend, rule, error);
}

gboolean
vhost_user_frontend_call (VhostUserFrontend *frontend, VhostUserFrame *frame, VhostUserFrame *reply,
                          GCancellable *cancellable, GError **error)
{
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_FRONTEND, frame->request);
  g_auto (VhostUserFrame) ack = { 0 };
  g_autoptr (GError) reason = NULL;
  gboolean wants_ack =
      reply == NULL && (rule->reply == VHOST_USER_REPLY_ACK_ALWAYS ||
                        is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK));

  if (!check_call (frontend, rule, cancellable, error)) {
    g_prefix_error (error, "%s: ", rule->name);
    return FALSE;
  }
  if (wants_ack)
    frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
  if (!exchange (frontend, frame, wants_ack ? &ack : reply, cancellable, &reason)) {
    g_prefix_error (&reason, "%s: ", rule->name);
    fail_connection (frontend, reason);
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  if (wants_ack && ack.payload.u64 != 0)
    return vhost_set_error (error, VHOST_ERROR_REFUSED, "%s: the back-end refused", rule->name);
  return TRUE;
}

/* Between two requests a back-end has nothing to say on this socket: it left, or it broke the
 * protocol. */
static void
on_idle_event (guint32 events, gpointer data)
{
  VhostUserFrontend *frontend = data;
  g_autoptr (GError) error = NULL;
  guint8 byte;
  gssize n = recv (vhost_user_connection_peek_fd (frontend->connection), &byte, 1,
                   MSG_PEEK | MSG_DONTWAIT);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0)
    vhost_set_error (&error, VHOST_ERROR_PROTOCOL, "the back-end sent a message unasked");
  fail_connection (frontend, error);
}

static void
emit_config_changed (gpointer data)
{
  g_signal_emit_by_name (data, "config-changed");
}

static gboolean
serve_channel_request (VhostUserFrontend *frontend, const VhostUserFrame *frame, GError **error)
{
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_BACKEND, frame->request);

  if (!check_gate (frontend, rule, error))
    return FALSE;
  if (frame->request != VHOST_USER_BACKEND_CODE_CONFIG_CHANGE_MSG)
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "its feature is not in use");
  vhost_reactor_queue_task (frontend->reactor, &frontend->config_task);
  return TRUE;
}

static void
on_channel_request (VhostUserConnection *channel, VhostUserFrame *frame, gpointer data)
{
  VhostUserFrontend *frontend = data;
  g_auto (VhostUserFrame) ack = { 0 };
  g_autoptr (GError) error = NULL;
  gboolean done = serve_channel_request (frontend, frame, &error);

  if (!done)
    g_info ("%s: %s", vhost_user_get_request_name (VHOST_USER_ROLE_BACKEND, frame->request),
            error->message);
  if ((frame->flags & VHOST_USER_FLAGS_NEED_REPLY) == 0 ||
      !is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK))
    return;
  vhost_user_frame_init (&ack, frame->request, VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         sizeof ack.payload.u64);
  ack.payload.u64 = done ? 0 : 1;
  vhost_user_connection_send_frame (channel, &ack, NULL, NULL);
}

/* The channel alone may break: the device goes on, its requests no longer arrive. */
static void
on_channel_closed (VhostUserConnection *channel, const GError *error, gpointer data)
{
  VhostUserFrontend *frontend = data;

  if (frontend->channel == channel)
    g_clear_object (&frontend->channel);
}

static gboolean
open_channel (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  g_auto (VhostUserFrame) frame = { 0 };
  int pair[2];

  /* The end that is handed over blocks: some back-ends count on it. */
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot make the back-end channel");
  frontend->channel = vhost_user_connection_new_take_fd (pair[0], VHOST_USER_ROLE_BACKEND, FALSE);
  vhost_user_connection_set_protocol_features (frontend->channel, frontend->acked_protocol);
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_BACKEND_REQ_FD, 0);
  frame.fds = (VhostFdSet){ .n = 1, .fd = { pair[1] } };
  return vhost_user_connection_start (frontend->channel, frontend->reactor, on_channel_request,
                                      on_channel_closed, frontend, error) &&
         vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

static gboolean
ask_number (VhostUserFrontend *frontend, VhostUserFrontendCode code, guint64 *number,
            GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  vhost_user_frontend_init_request (&frame, code, 0);
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error))
    return FALSE;
  *number = reply.payload.u64;
  return TRUE;
}

static gboolean
negotiate_protocol (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  if (!vhost_word_has (frontend->offered, VHOST_FEATURE_PROTOCOL_FEATURES))
    return TRUE;
  if (!ask_number (frontend, VHOST_USER_FRONTEND_CODE_GET_PROTOCOL_FEATURES,
                   &frontend->offered_protocol, cancellable, error))
    return FALSE;
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_PROTOCOL_FEATURES,
                                    sizeof frame.payload.u64);
  frame.payload.u64 = frontend->offered_protocol & frontend->wanted_protocol &
                      VHOST_USER_FRONTEND_PROTOCOL_FEATURES;
  if (!vhost_word_has (frame.payload.u64, VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD))
    frame.payload.u64 &= ~VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT);
  if (!vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error))
    return FALSE;
  frontend->acked_protocol = frame.payload.u64;
  vhost_user_connection_set_protocol_features (frontend->connection, frontend->acked_protocol);
  return TRUE;
}

static gboolean
ask_limits (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  guint64 n_queues = MAX_QUEUES;
  guint64 n_slots = VHOST_USER_MAX_TABLE_REGIONS;

  if (is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_MQ) &&
      !ask_number (frontend, VHOST_USER_FRONTEND_CODE_GET_QUEUE_NUM, &n_queues, cancellable, error))
    return FALSE;
  if (is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS) &&
      !ask_number (frontend, VHOST_USER_FRONTEND_CODE_GET_MAX_MEM_SLOTS, &n_slots, cancellable,
                   error))
    return FALSE;
  if (n_queues == 0 || n_slots == 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "the back-end has %" G_GUINT64_FORMAT
                            " queues and room for %" G_GUINT64_FORMAT " memory regions",
                            n_queues, n_slots);
  frontend->n_queues = (guint) MIN (n_queues, MAX_QUEUES);
  frontend->n_slots = (guint) MIN (n_slots, VHOST_USER_MAX_SLOTS);
  return TRUE;
}

static gboolean
shake_hands (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  return ask_number (frontend, VHOST_USER_FRONTEND_CODE_GET_FEATURES, &frontend->offered,
                     cancellable, error) &&
         negotiate_protocol (frontend, cancellable, error) &&
         ask_limits (frontend, cancellable, error) &&
         (!is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) ||
          open_channel (frontend, cancellable, error)) &&
         vhost_device_set_owner (VHOST_DEVICE (frontend), cancellable, error);
}

static gboolean
take_connection (VhostUserFrontend *frontend, int fd, GCancellable *cancellable, GError **error)
{
  frontend->reactor = vhost_reactor_get ();
  frontend->connection = vhost_user_connection_new_take_fd (fd, VHOST_USER_ROLE_FRONTEND, TRUE);
  g_object_set (frontend->connection, "timeout", frontend->timeout, NULL);
  if (shake_hands (frontend, cancellable, error)) {
    frontend->idle_watch = vhost_reactor_add_watch (
        frontend->reactor, vhost_user_connection_peek_fd (frontend->connection),
        EPOLLIN | EPOLLRDHUP, on_idle_event, frontend, error);
    if (frontend->idle_watch != NULL)
      return TRUE;
  }
  drop_connection (frontend);
  return FALSE;
}

static gboolean
check_closed (VhostUserFrontend *frontend, GError **error)
{
  if (frontend->connection == NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the front-end is open already");
}

/**
 * vhost_user_frontend_new:
 *
 * Makes a front-end without a back-end.
 *
 * Returns: (transfer full): the front-end
 *
 * Since: 1.0
 */
VhostUserFrontend *
vhost_user_frontend_new (void)
{
  return g_object_new (VHOST_USER_TYPE_FRONTEND, NULL);
}

/**
 * vhost_user_frontend_open:
 * @frontend: a front-end
 * @path: (type filename): the socket at which the back-end listens
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Connects to a back-end and begins a session: protocol features, limits, back-end channel, owner.
 * Blocks, each step for [property@Vhost.UserFrontend:timeout] at most.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when it is open already, a #GIOErrorEnum
 * when nobody listens, or another #VhostError when the back-end does not keep to the protocol
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_open (VhostUserFrontend *frontend, const char *path, GCancellable *cancellable,
                          GError **error)
{
  int fd;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  if (!check_closed (frontend, error))
    return FALSE;
  fd = vhost_user_socket_connect (
      path, g_get_monotonic_time () + frontend->timeout * G_TIME_SPAN_MILLISECOND, cancellable,
      error);
  return fd >= 0 && take_connection (frontend, fd, cancellable, error);
}

/**
 * vhost_user_frontend_open_fd:
 * @frontend: a front-end
 * @fd: a connected Unix stream socket; duplicated
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * As [method@Vhost.UserFrontend.open], on a socket that is connected already.
 *
 * Returns: %TRUE, or %FALSE with an error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_open_fd (VhostUserFrontend *frontend, int fd, GCancellable *cancellable,
                             GError **error)
{
  gboolean listening;
  int copy;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  if (!check_closed (frontend, error) || !vhost_user_socket_check (fd, &listening, error))
    return FALSE;
  if (listening)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "the socket is not connected");
  copy = vhost_fd_dup (fd, error);
  return copy >= 0 && take_connection (frontend, copy, cancellable, error);
}

/**
 * vhost_user_frontend_close:
 * @frontend: a front-end
 *
 * Leaves the back-end. The front-end can be opened again.
 *
 * Since: 1.0
 */
void
vhost_user_frontend_close (VhostUserFrontend *frontend)
{
  g_return_if_fail (VHOST_USER_IS_FRONTEND (frontend));

  drop_connection (frontend);
}

/**
 * vhost_user_frontend_is_open:
 * @frontend: a front-end
 *
 * Tells whether there is a connection.
 *
 * Returns: whether there is a back-end
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_is_open (VhostUserFrontend *frontend)
{
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  return frontend->connection != NULL;
}

/**
 * vhost_user_frontend_has_protocol_feature:
 * @frontend: a front-end
 * @bit: a #VhostUserProtocolFeature
 *
 * Tells whether a protocol feature is in use.
 *
 * Returns: whether the protocol feature is in use
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_has_protocol_feature (VhostUserFrontend *frontend, guint bit)
{
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  return is_protocol_acked (frontend, bit);
}

static void
vhost_user_frontend_dispose (GObject *object)
{
  drop_connection (VHOST_USER_FRONTEND (object));
  vhost_user_frontend_drop_inflight (VHOST_DEVICE (object));
  G_OBJECT_CLASS (vhost_user_frontend_parent_class)->dispose (object);
}

static void
vhost_user_frontend_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (object);

  switch (id) {
  case PROP_PROTOCOL_FEATURES:
    g_value_set_uint64 (value, frontend->wanted_protocol);
    break;
  case PROP_ACKED_PROTOCOL_FEATURES:
    g_value_set_uint64 (value, frontend->acked_protocol);
    break;
  case PROP_TIMEOUT:
    g_value_set_uint (value, frontend->timeout);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_frontend_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (object);

  switch (id) {
  case PROP_PROTOCOL_FEATURES:
    frontend->wanted_protocol = g_value_get_uint64 (value);
    break;
  case PROP_TIMEOUT:
    frontend->timeout = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_frontend_class_init (VhostUserFrontendClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;

  object_class->dispose = vhost_user_frontend_dispose;
  object_class->get_property = vhost_user_frontend_get_property;
  object_class->set_property = vhost_user_frontend_set_property;

  /**
   * VhostUserFrontend:protocol-features:
   *
   * Bits of [enum@Vhost.UserProtocolFeature] that may be negotiated.
   *
   * Since: 1.0
   */
  properties[PROP_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("protocol-features", NULL, NULL, 0, G_MAXUINT64,
                           VHOST_USER_FRONTEND_DEFAULT_PROTOCOL_FEATURES, writable);
  /**
   * VhostUserFrontend:acked-protocol-features:
   *
   * The protocol features in use; 0 without a back-end.
   *
   * Since: 1.0
   */
  properties[PROP_ACKED_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("acked-protocol-features", NULL, NULL, 0, G_MAXUINT64, 0,
                           G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostUserFrontend:timeout:
   *
   * How long to wait for an answer, in milliseconds; twice as long when a queue is stopped, because
   * buffers in flight are waited for. A back-end that does not answer in time is left.
   *
   * Since: 1.0
   */
  properties[PROP_TIMEOUT] =
      g_param_spec_uint ("timeout", NULL, NULL, 1, G_MAXINT, DEFAULT_TIMEOUT_MS, writable);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_user_frontend_init (VhostUserFrontend *frontend)
{
  frontend->inflight_fd = -1;
  vhost_task_init (&frontend->config_task, emit_config_changed, frontend);
}
