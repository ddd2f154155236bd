/* SPDX-License-Identifier: BSD-3-Clause */
/* Drives a device that is served at the other end of a vhost-user socket: the handshake, requests
 * and their answers. One thread: calls block on the socket, with a deadline, and serve the channel
 * while they wait; between calls the thread-default main context of open() watches for the back-end
 * to leave. (vhost-user, “Communication”, REPLY_ACK) */

#include <errno.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-dependencies-private.h"
#include "user/vhost-user-frontend-private.h"
#include <libvhost/vhost-enum-types.h>

G_DEFINE_FINAL_TYPE_WITH_CODE (
    VhostUserFrontend, vhost_user_frontend, G_TYPE_OBJECT,
    G_IMPLEMENT_INTERFACE (VHOST_TYPE_DEVICE, (GInterfaceInitFunc) vhost_user_frontend_init_device))

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_RECONNECT_TIMEOUT_MS 30000
#define MAX_QUEUES 256
#define MAX_LEFT 3 /* back-ends that may leave over one request before it is given up */
#define STATE_TIMEOUT_MS 60000
#define MAX_STATE_SIZE (64 << 20)

enum {
  PROP_PROTOCOL_FEATURES = 1,
  PROP_ACKED_PROTOCOL_FEATURES,
  PROP_TIMEOUT,
  PROP_RECONNECT_INTERVAL,
  PROP_RECONNECT_TIMEOUT,
  PROP_FS_DIALECT,
  PROP_STATE_TIMEOUT,
  PROP_MAX_STATE_SIZE,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

void
vhost_user_frontend_drop_connection (VhostUserFrontend *frontend)
{
  vhost_watch_clear (&frontend->idle_watch);
  vhost_task_cancel (&frontend->config_task);
  vhost_user_frontend_forget_calls (frontend);
  if (frontend->channel != NULL)
    vhost_user_connection_close (frontend->channel);
  if (frontend->connection != NULL)
    vhost_user_connection_close (frontend->connection);
  g_clear_object (&frontend->channel);
  g_clear_object (&frontend->connection);
  g_clear_pointer (&frontend->memory, vhost_memory_unref);
  frontend->acked_protocol = 0;
  frontend->offered = 0;
  frontend->acked = 0;
  frontend->n_updates = 0;
  frontend->n_queues = 0;
  vhost_user_frontend_forget_objects (frontend);
  if (frontend->session != NULL)
    vhost_user_frontend_reset_shmem (frontend); /* the next one maps into the same regions */
  else
    vhost_user_frontend_forget_shmem (frontend);
}

void
vhost_user_frontend_forget_session (VhostUserFrontend *frontend)
{
  vhost_user_frontend_end_reconnect (frontend);
  vhost_fd_clear (&frontend->left_fd);
  g_clear_pointer (&frontend->session, vhost_user_session_free);
  g_clear_pointer (&frontend->reactor, vhost_reactor_unref);
  vhost_user_frontend_forget_shmem (frontend);
}

/* An opening that fails is told by its own error alone. */
static void
fail_connection (VhostUserFrontend *frontend, const GError *error)
{
  gboolean was_open = frontend->idle_watch != NULL;

  g_object_ref (frontend);
  if (!was_open) {
    vhost_user_frontend_drop_connection (frontend);
  } else if (!vhost_user_frontend_begin_reconnect (frontend, error)) {
    vhost_user_frontend_drop_connection (frontend);
    vhost_user_frontend_forget_session (frontend);
    g_signal_emit_by_name (frontend, "disconnected", error);
  }
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

gboolean
vhost_user_frontend_check_gate (VhostUserFrontend *frontend, const VhostUserRule *rule,
                                GError **error)
{
  if (rule->gate >= 0 && !is_protocol_acked (frontend, (guint) rule->gate))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "protocol feature %s was not negotiated",
                            vhost_user_protocol_feature_get_name ((guint) rule->gate));
  if (rule->feature >= 0 && !vhost_word_has (frontend->offered, (guint) rule->feature))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "feature %s is not offered",
                            vhost_feature_get_name (rule->device, (guint) rule->feature));
  return TRUE;
}

/* A back-end answers GET_VRING_BASE when nothing is in flight any more, and an IOTLB invalidation
 * when nothing lies there; how long it waits for that itself is often as long as we wait for an
 * answer. */
static gint64
get_deadline (VhostUserFrontend *frontend, guint32 request)
{
  gint64 timeout = frontend->timeout;
  gint64 deadline;

  if (request == VHOST_USER_FRONTEND_CODE_GET_VRING_BASE ||
      request == VHOST_USER_FRONTEND_CODE_IOTLB_MSG)
    timeout *= 2;
  else if (request == VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE)
    timeout = frontend->state_timeout;
  deadline = g_get_monotonic_time () + timeout * G_TIME_SPAN_MILLISECOND;
  return frontend->call_deadline < 0 ? deadline : MIN (deadline, frontend->call_deadline);
}

static gboolean
receive_answer (VhostUserFrontend *frontend, guint32 request, VhostUserFrame *reply,
                GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostUserConnection) channel = NULL;

  /* Whoever serves the channel may close the front-end. */
  g_set_object (&channel, frontend->channel);
  if (!vhost_user_connection_receive_frame (frontend->connection, reply,
                                            get_deadline (frontend, request), channel, cancellable,
                                            error))
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
  guint n_before = frontend->n_updates;
  gboolean done;

  frontend->calling = TRUE;
  done = vhost_user_connection_send_frame_serving (frontend->connection, frame, frontend->channel,
                                                   cancellable, error) &&
         vhost_user_frontend_take_updates (frontend, n_before, cancellable, error) &&
         (reply == NULL || receive_answer (frontend, frame->request, reply, cancellable, error));
  while (done && frontend->n_updates > 0)
    done = vhost_user_frontend_take_updates (frontend, 1, cancellable, error);
  frontend->calling = FALSE;
  return done;
}

static gboolean
check_call (VhostUserFrontend *frontend, const VhostUserRule *rule, GCancellable *cancellable,
            GError **error)
{
  if (frontend->calling)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "another request waits for its answer; this is one of its signals");
  return vhost_user_frontend_check_open (frontend, cancellable, error) &&
         !g_cancellable_set_error_if_cancelled (cancellable, error) &&
         vhost_user_frontend_check_gate (frontend, rule, error);
}

/* What the back-end took is remembered for the next one. */
static gboolean
finish_call (VhostUserFrontend *frontend, const VhostUserRule *rule, const VhostUserFrame *frame,
             const VhostUserFrame *reply, const VhostUserFrame *ack, GError **error)
{
  if (ack != NULL && ack->payload.u64 != 0)
    return vhost_set_error (error, VHOST_ERROR_REFUSED, "%s: the back-end refused", rule->name);
  return frontend->session == NULL || frontend->replaying ||
         vhost_user_session_record (frontend->session, frame, reply, error);
}

/* TRUE: the back-end is being reconnected to, and the request can be made again. */
static gboolean
lose_back_end (VhostUserFrontend *frontend, const GError *reason)
{
  fail_connection (frontend, reason);
  return frontend->reconnecting && !frontend->replaying;
}

gboolean
vhost_user_frontend_call (VhostUserFrontend *frontend, VhostUserFrame *frame, VhostUserFrame *reply,
                          GCancellable *cancellable, GError **error)
{
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_FRONTEND, frame->request);
  g_auto (VhostUserFrame) ack = { 0 };
  g_autoptr (GError) reason = NULL;
  gboolean wants_ack, done = FALSE;
  guint n_left = 0;

  while (!done) {
    if (!check_call (frontend, rule, cancellable, error)) {
      g_prefix_error (error, "%s: ", rule->name);
      return FALSE;
    }
    wants_ack =
        reply == NULL && (rule->reply == VHOST_USER_REPLY_ACK_ALWAYS ||
                          is_protocol_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK));
    if (wants_ack)
      frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
    g_clear_error (&reason);
    done = exchange (frontend, frame, wants_ack ? &ack : reply, cancellable, &reason);
    g_prefix_error (&reason, "%s: ", rule->name);
    if (!done && (!lose_back_end (frontend, reason) || ++n_left == MAX_LEFT)) {
      g_propagate_error (error, g_steal_pointer (&reason));
      return FALSE;
    }
  }
  return finish_call (frontend, rule, frame, reply, wants_ack ? &ack : NULL, error);
}

/* Between two requests a back-end has nothing to say on this socket: it left, or it broke the
 * protocol. */
gboolean
vhost_user_frontend_check_idle (VhostUserFrontend *frontend, GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint8 byte;
  gssize n = recv (vhost_user_connection_peek_fd (frontend->connection), &byte, 1,
                   MSG_PEEK | MSG_DONTWAIT);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (n > 0 && frontend->n_updates > 0) {
    if (vhost_user_frontend_take_updates (frontend, 1, NULL, &reason))
      return TRUE;
  } else if (n > 0)
    vhost_set_error (&reason, VHOST_ERROR_PROTOCOL, "the back-end sent a message unasked");
  fail_connection (frontend, reason);
  if (frontend->reconnecting)
    return TRUE;
  if (reason == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the device has left");
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

static void
on_idle_event (guint32 events, gpointer data)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (data);

  vhost_user_frontend_check_idle (frontend, NULL);
}

static void
emit_config_changed (gpointer data)
{
  g_signal_emit_by_name (data, "config-changed");
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

/* As much as wanted; after that, what was in use. */
static guint64
get_wanted_protocol (VhostUserFrontend *frontend)
{
  return frontend->replaying ? vhost_user_session_get_protocol_features (frontend->session)
                             : frontend->wanted_protocol;
}

static guint64
choose_protocol (VhostUserFrontend *frontend)
{
  guint64 known = VHOST_USER_FRONTEND_PROTOCOL_FEATURES | VHOST_USER_FRONTEND_OPTIONAL_FEATURES;

  if (!vhost_user_frontend_hears_host_notifier (frontend))
    known &= ~VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_HOST_NOTIFIER);
  known &= ~vhost_user_fs_get_hidden_features (frontend->fs_dialect);
  return vhost_user_protocol_features_drop_orphans (frontend->offered_protocol &
                                                    get_wanted_protocol (frontend) & known);
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
  frame.payload.u64 = choose_protocol (frontend);
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
          vhost_user_frontend_open_channel (frontend, cancellable, error)) &&
         vhost_device_set_owner (VHOST_DEVICE (frontend), cancellable, error);
}

static gboolean
watch_connection (VhostUserFrontend *frontend, GError **error)
{
  frontend->idle_watch = vhost_reactor_add_watch (
      frontend->reactor, vhost_user_connection_peek_fd (frontend->connection), EPOLLIN | EPOLLRDHUP,
      on_idle_event, frontend, error);
  return frontend->idle_watch != NULL;
}

gboolean
vhost_user_frontend_take_connection (VhostUserFrontend *frontend, int fd, GCancellable *cancellable,
                                     GError **error)
{
  frontend->connection = vhost_user_connection_new_take_fd (fd, VHOST_USER_ROLE_FRONTEND, TRUE);
  g_object_set (frontend->connection, "timeout", frontend->timeout, NULL);
  if (frontend->session != NULL) {
    frontend->left_fd = vhost_user_connection_dup_fd (frontend->connection, error);
    if (frontend->left_fd < 0) {
      vhost_user_frontend_drop_connection (frontend);
      return FALSE;
    }
  }
  if (shake_hands (frontend, cancellable, error) &&
      (!frontend->replaying || vhost_user_session_replay (frontend, cancellable, error)) &&
      watch_connection (frontend, error))
    return TRUE;
  vhost_user_frontend_drop_connection (frontend);
  return FALSE;
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
  vhost_user_frontend_close (VHOST_USER_FRONTEND (object));
  vhost_user_frontend_drop_inflight (VHOST_DEVICE (object));
  g_clear_object (&VHOST_USER_FRONTEND (object)->iommu);
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
  case PROP_RECONNECT_INTERVAL:
    g_value_set_uint (value, frontend->reconnect_interval);
    break;
  case PROP_RECONNECT_TIMEOUT:
    g_value_set_uint (value, frontend->reconnect_timeout);
    break;
  case PROP_FS_DIALECT:
    g_value_set_enum (value, frontend->fs_dialect);
    break;
  case PROP_STATE_TIMEOUT:
    g_value_set_uint (value, frontend->state_timeout);
    break;
  case PROP_MAX_STATE_SIZE:
    g_value_set_uint64 (value, frontend->max_state_size);
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
  case PROP_RECONNECT_INTERVAL:
    frontend->reconnect_interval = g_value_get_uint (value);
    break;
  case PROP_RECONNECT_TIMEOUT:
    frontend->reconnect_timeout = g_value_get_uint (value);
    break;
  case PROP_FS_DIALECT:
    if (frontend->connection == NULL)
      frontend->fs_dialect = g_value_get_enum (value);
    break;
  case PROP_STATE_TIMEOUT:
    frontend->state_timeout = g_value_get_uint (value);
    break;
  case PROP_MAX_STATE_SIZE:
    frontend->max_state_size = g_value_get_uint64 (value);
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
   * Bits of [enum@Vhost.UserProtocolFeature] that may be negotiated. INBAND_NOTIFICATIONS and
   * XEN_MMAP are not among them from the start. Without MQ the number of queues is not asked for:
   * the way to drive a network card of DPDK, which may tell how many pairs it has.
   *
   * Since: 1.0
   */
  properties[PROP_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("protocol-features", NULL, NULL, 0, G_MAXUINT64,
                           VHOST_USER_FRONTEND_PROTOCOL_FEATURES, writable);
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
  /**
   * VhostUserFrontend:reconnect-interval:
   *
   * Whether to look for another back-end at the same place when the one there was has left or does
   * not answer: the pause between two attempts, in milliseconds. It doubles from attempt to
   * attempt, up to one second. 0, as from the start, is off. In force from the next opening on; a
   * front-end opened on a descriptor does not reconnect.
   *
   * The next back-end must offer at least the features, queues and memory slots that are in use. It
   * is told everything the last one was told, and a driver sees a pause; so does a call that is
   * made meanwhile. Crypto sessions and the socket of a display are the application's: what was
   * said with them is gone with the back-end, and [signal@Vhost.Device::reconnected] is when to
   * make them anew.
   *
   * With an area from [method@Vhost.Device.request_inflight], as [class@Vhost.Driver] gets one, the
   * next back-end does again just what the last one had not completed. Without, split rings go on
   * at their used index, and whoever writes available rings himself can reconnect only to a
   * back-end that uses buffers in the order in which they were made available; [class@Vhost.Driver]
   * sees to the order. Packed rings cannot go on without an area: %VHOST_FEATURE_RING_PACKED is
   * offered only with INFLIGHT_SHMFD, and a back-end that leaves started packed rings without an
   * area is the last.
   *
   * A request over which three back-ends in a row have left is given up, with
   * %VHOST_ERROR_DISCONNECTED.
   *
   * A back-end that does not answer in time still has the memory and might wake up: the next one is
   * looked for when it has closed its socket, or died.
   *
   * Since: 1.0
   */
  properties[PROP_RECONNECT_INTERVAL] =
      g_param_spec_uint ("reconnect-interval", NULL, NULL, 0, G_MAXINT, 0, writable);
  /**
   * VhostUserFrontend:reconnect-timeout:
   *
   * How long to try to reconnect before [signal@Vhost.Device::disconnected] is emitted, in
   * milliseconds.
   *
   * Since: 1.0
   */
  properties[PROP_RECONNECT_TIMEOUT] = g_param_spec_uint (
      "reconnect-timeout", NULL, NULL, 1, G_MAXINT, DEFAULT_RECONNECT_TIMEOUT_MS, writable);
  /**
   * VhostUserFrontend:fs-dialect:
   *
   * Which draft's numbers the virtio-fs requests of the back-end have; see
   * [signal@Vhost.UserFrontend::fs-request]. Cannot be changed while there is a back-end.
   *
   * Since: 1.0
   */
  properties[PROP_FS_DIALECT] = g_param_spec_enum (
      "fs-dialect", NULL, NULL, VHOST_TYPE_USER_FS_DIALECT, VHOST_USER_FS_DIALECT_NONE, writable);
  /**
   * VhostUserFrontend:state-timeout:
   *
   * How long the back-end may take to write or read its internal state, and once more to say that
   * it did, in milliseconds.
   *
   * Since: 1.0
   */
  properties[PROP_STATE_TIMEOUT] =
      g_param_spec_uint ("state-timeout", NULL, NULL, 1, G_MAXINT, STATE_TIMEOUT_MS, writable);
  /**
   * VhostUserFrontend:max-state-size:
   *
   * How many bytes of state [method@Vhost.UserFrontend.save_state] accepts.
   *
   * Since: 1.0
   */
  properties[PROP_MAX_STATE_SIZE] =
      g_param_spec_uint64 ("max-state-size", NULL, NULL, 1, G_MAXINT, MAX_STATE_SIZE, writable);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
  vhost_user_frontend_install_channel (object_class);
}

static void
vhost_user_frontend_init (VhostUserFrontend *frontend)
{
  frontend->listen_fd = -1;
  frontend->left_fd = -1;
  frontend->call_deadline = -1;
  frontend->inflight_fd = -1;
  vhost_task_init (&frontend->config_task, emit_config_changed, frontend);
  vhost_user_frontend_init_calls (frontend);
}
