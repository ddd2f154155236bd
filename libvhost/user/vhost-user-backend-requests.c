/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves the requests of a front-end: one place decides whether a request is allowed and how it is
 * answered, one table says who does the work. Control thread. (vhost-user, “Communication”,
 * “Front-end message types”, REPLY_ACK) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"
#include "user/vhost-user-dependencies-private.h"

static gboolean
get_features (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
              GError **error)
{
  reply->payload.u64 = vhost_user_backend_get_offered (backend);
  return TRUE;
}

static gboolean
set_features (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
              GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  VhostBackendPrivate *priv = vhost_backend_get_private (base);
  guint64 offered = vhost_user_backend_get_offered (backend);
  guint64 acked = frame->payload.u64;

  /* QEMU 7.2 accepts it for vhost-user-input and -gpu without a look at the offer. It concerns the
   * front-end alone: a queue that is reset is stopped and started again. */
  if (!vhost_word_has (offered, VHOST_FEATURE_RING_RESET))
    acked &= ~VHOST_BIT (VHOST_FEATURE_RING_RESET);
  if (!vhost_backend_accept_features (base, offered, acked, error))
    return FALSE;
  backend->features_set = TRUE;
  vhost_user_backend_decide_inflight (backend);
  /* Without protocol features there is no SET_VRING_ENABLE: all rings are enabled. With them the
   * enable state is left alone. */
  for (guint i = 0; i < priv->n_queues; i++) {
    if (!vhost_word_has (acked, VHOST_FEATURE_PROTOCOL_FEATURES))
      vhost_vring_set_enabled (&priv->vrings[i], TRUE);
  }
  return TRUE;
}

static gboolean
get_protocol_features (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                       GError **error)
{
  reply->payload.u64 = vhost_user_backend_get_offered_protocol (backend);
  return TRUE;
}

static gboolean
set_protocol_features (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                       GError **error)
{
  guint64 wanted = frame->payload.u64;
  guint64 surplus = wanted & ~vhost_user_backend_get_offered_protocol (backend);

  if (surplus != 0) {
    g_autofree char *names = vhost_user_protocol_features_to_string (surplus);

    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "not offered: %s", names);
  }
  if (!vhost_user_protocol_features_check (wanted, error))
    return FALSE;
  if (wanted != backend->acked_protocol && vhost_backend_any_started (VHOST_BACKEND (backend)))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "changes while queues run");
  backend->acked_protocol = wanted;
  vhost_user_connection_set_protocol_features (backend->connection, wanted);
  return TRUE;
}

static gboolean
set_owner (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply, GError **error)
{
  backend->owned = TRUE;
  return TRUE;
}

/* Deprecated; of what the specification allows, disabling all rings harms least. */
static gboolean
reset_owner (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
             GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (backend));

  for (guint i = 0; i < priv->n_queues; i++)
    vhost_vring_set_enabled (&priv->vrings[i], FALSE);
  backend->owned = FALSE;
  return TRUE;
}

static VhostVring *
find_vring (VhostUserBackend *backend, guint64 index, GError **error)
{
  return vhost_backend_find_vring (VHOST_BACKEND (backend), index, error);
}

static gboolean
set_vring_num (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
               GError **error)
{
  VhostVring *vring = find_vring (backend, frame->payload.state.index, error);

  return vring != NULL &&
         vhost_vring_set_num (VHOST_BACKEND (backend), vring, frame->payload.state.num, error);
}

static gboolean
set_vring_addr (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                GError **error)
{
  const VhostUserVringAddr *addr = &frame->payload.addr;
  VhostVring *vring = find_vring (backend, addr->index, error);
  gboolean gpa =
      vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES);
  const VhostQueueSetup setup = {
    .kind = gpa ? VHOST_ADDRESS_GUEST : VHOST_ADDRESS_USER,
    .desc = addr->desc,
    .avail = addr->avail,
    .used = addr->used,
  };

  return vring != NULL && vhost_vring_set_addr (VHOST_BACKEND (backend), vring, &setup, addr->flags,
                                                addr->log, error);
}

static gboolean
set_vring_base (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                GError **error)
{
  VhostVring *vring = find_vring (backend, frame->payload.state.index, error);

  return vring != NULL &&
         vhost_vring_set_base (VHOST_BACKEND (backend), vring, frame->payload.state.num, error);
}

/* The descriptor of a kick, call or err message, or -1. The decoder has seen to it that there is
 * one exactly when the no-fd bit is clear. */
static int
steal_fd (VhostUserFrame *frame)
{
  return frame->fds.n > 0 ? vhost_fd_steal (&frame->fds.fd[0]) : -1;
}

static VhostVring *
find_vring_for_fd (VhostUserBackend *backend, VhostUserFrame *frame, GError **error)
{
  return find_vring (backend, frame->payload.u64 & VHOST_USER_VRING_INDEX_MASK, error);
}

static gboolean
set_vring_kick (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                GError **error)
{
  VhostVring *vring = find_vring_for_fd (backend, frame, error);

  return vring != NULL &&
         vhost_vring_start (VHOST_BACKEND (backend), vring, steal_fd (frame), error);
}

static gboolean
set_vring_call (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                GError **error)
{
  VhostVring *vring = find_vring_for_fd (backend, frame, error);
  gboolean has_fd = frame->fds.n > 0;

  if (vring == NULL || (has_fd && !vhost_fd_check_event (frame->fds.fd[0], error)))
    return FALSE;
  vhost_queue_take_call_fd (vring->queue, steal_fd (frame));
  vhost_user_backend_set_call_kind (backend, vring->queue, has_fd);
  return TRUE;
}

static gboolean
set_vring_err (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
               GError **error)
{
  VhostVring *vring = find_vring_for_fd (backend, frame, error);
  gboolean has_fd = frame->fds.n > 0;

  if (vring == NULL || (has_fd && !vhost_fd_check_event (frame->fds.fd[0], error)))
    return FALSE;
  vhost_queue_take_err_fd (vring->queue, steal_fd (frame));
  vhost_user_backend_set_err_kind (backend, vring->queue, has_fd);
  return TRUE;
}

static gboolean
set_vring_enable (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                  GError **error)
{
  VhostVring *vring = find_vring (backend, frame->payload.state.index, error);

  if (vring == NULL)
    return FALSE;
  if (frame->payload.state.num > 1)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "num is %u, must be 0 or 1",
                            frame->payload.state.num);
  vhost_vring_set_enabled (vring, frame->payload.state.num == 1);
  return TRUE;
}

static gboolean
on_drain_deadline (gpointer data)
{
  vhost_user_backend_answer_drained (data);
  return G_SOURCE_REMOVE;
}

/* Buffers are in flight: the answer waits until they are pushed, and no other request is read
 * before. */
static void
wait_for_drain (VhostUserBackend *backend, VhostVring *vring)
{
  backend->draining = vring;
  backend->drain_deadline = g_timeout_source_new (backend->drain_timeout);
  g_source_set_callback (backend->drain_deadline, on_drain_deadline, backend, NULL);
  g_source_attach (backend->drain_deadline, vhost_reactor_get_context (backend->reactor));
  vhost_user_connection_set_paused (backend->connection, TRUE);
}

static gboolean
get_vring_base (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                GError **error)
{
  VhostVring *vring = find_vring (backend, frame->payload.state.index, error);

  if (vring == NULL)
    return FALSE;
  reply->payload.state.index = frame->payload.state.index;
  if (vhost_user_backend_may_leave_in_flight (backend, vring))
    vhost_queue_leave_in_flight (vring->queue);
  if (!vhost_vring_stop (VHOST_BACKEND (backend), vring) &&
      !vhost_user_backend_may_leave_in_flight (backend, vring))
    wait_for_drain (backend, vring);
  else
    reply->payload.state.num = vhost_vring_finish_stop (VHOST_BACKEND (backend), vring);
  return TRUE;
}

void
vhost_user_backend_forget_drain (VhostUserBackend *backend)
{
  backend->draining = NULL;
  if (backend->drain_deadline != NULL) {
    g_source_destroy (backend->drain_deadline);
    g_clear_pointer (&backend->drain_deadline, g_source_unref);
  }
}

void
vhost_user_backend_answer_drained (VhostUserBackend *backend)
{
  g_auto (VhostUserFrame) reply = { 0 };
  VhostVring *vring = backend->draining;
  VHOST_BACKEND_PAUSE (VHOST_BACKEND (backend));

  vhost_user_backend_forget_drain (backend);
  vhost_user_frame_init (&reply, VHOST_USER_FRONTEND_CODE_GET_VRING_BASE,
                         VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         sizeof reply.payload.state);
  reply.payload.state.index = vhost_queue_get_index (vring->queue);
  reply.payload.state.num = vhost_vring_finish_stop (VHOST_BACKEND (backend), vring);
  vhost_user_connection_set_paused (backend->connection, FALSE);
  vhost_user_connection_send_frame (backend->connection, &reply, NULL, NULL);
}

static gboolean
get_queue_num (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
               GError **error)
{
  reply->payload.u64 = vhost_backend_get_n_queues (VHOST_BACKEND (backend));
  return TRUE;
}

static gboolean
set_backend_req_fd (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                    GError **error)
{
  return vhost_user_backend_take_channel (backend, vhost_fd_steal (&frame->fds.fd[0]), error);
}

/* An empty payload is how this request fails. */
static gboolean
get_config (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply, GError **error)
{
  const VhostUserConfigSpace *wanted = &frame->payload.config;

  reply->size = frame->size;
  reply->payload.config.offset = wanted->offset;
  reply->payload.config.size = wanted->size;
  reply->payload.config.flags = wanted->flags;
  if (vhost_backend_read_config (VHOST_BACKEND (backend), wanted->offset, wanted->size,
                                 reply->payload.config.data, error))
    return TRUE;
  reply->size = 0;
  return FALSE;
}

static gboolean
set_config (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply, GError **error)
{
  const VhostUserConfigSpace *config = &frame->payload.config;

  return vhost_backend_write_config (VHOST_BACKEND (backend), config->offset, config->size,
                                     config->data, config->flags == 1, error);
}

static gboolean
reset_device (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
              GError **error)
{
  vhost_backend_reset (VHOST_BACKEND (backend));
  return TRUE;
}

static gboolean
get_max_mem_slots (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply,
                   GError **error)
{
  reply->payload.u64 = VHOST_USER_MAX_SLOTS;
  return TRUE;
}

static gboolean
set_status (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply, GError **error)
{
  if (frame->payload.u64 > 0xff)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "status 0x%" G_GINT64_MODIFIER "x is more than 8 bits",
                            frame->payload.u64);
  vhost_backend_set_status (VHOST_BACKEND (backend), (guint) frame->payload.u64);
  return TRUE;
}

static gboolean
get_status (VhostUserBackend *backend, VhostUserFrame *frame, VhostUserFrame *reply, GError **error)
{
  reply->payload.u64 = vhost_backend_get_status (VHOST_BACKEND (backend));
  return TRUE;
}

#define HANDLER(code, func) [VHOST_USER_FRONTEND_CODE_##code] = func

/* A request without a row here belongs to a feature that is never offered. */
static const VhostUserHandler handlers[] = {
  HANDLER (GET_FEATURES, get_features),
  HANDLER (SET_FEATURES, set_features),
  HANDLER (SET_OWNER, set_owner),
  HANDLER (RESET_OWNER, reset_owner),
  HANDLER (SET_MEM_TABLE, vhost_user_backend_set_mem_table),
  HANDLER (SET_LOG_BASE, vhost_user_backend_set_log_base),
  HANDLER (SET_LOG_FD, vhost_user_backend_set_log_fd),
  HANDLER (SET_VRING_NUM, set_vring_num),
  HANDLER (SET_VRING_ADDR, set_vring_addr),
  HANDLER (SET_VRING_BASE, set_vring_base),
  HANDLER (GET_VRING_BASE, get_vring_base),
  HANDLER (SET_VRING_KICK, set_vring_kick),
  HANDLER (SET_VRING_CALL, set_vring_call),
  HANDLER (SET_VRING_ERR, set_vring_err),
  HANDLER (GET_PROTOCOL_FEATURES, get_protocol_features),
  HANDLER (SET_PROTOCOL_FEATURES, set_protocol_features),
  HANDLER (GET_QUEUE_NUM, get_queue_num),
  HANDLER (SET_VRING_ENABLE, set_vring_enable),
  HANDLER (SEND_RARP, vhost_user_backend_send_rarp),
  HANDLER (NET_SET_MTU, vhost_user_backend_net_set_mtu),
  HANDLER (SET_BACKEND_REQ_FD, set_backend_req_fd),
  HANDLER (IOTLB_MSG, vhost_user_backend_iotlb_msg),
  HANDLER (SET_VRING_ENDIAN, vhost_user_backend_set_vring_endian),
  HANDLER (GET_CONFIG, get_config),
  HANDLER (SET_CONFIG, set_config),
  HANDLER (CREATE_CRYPTO_SESSION, vhost_user_backend_create_crypto_session),
  HANDLER (CLOSE_CRYPTO_SESSION, vhost_user_backend_close_crypto_session),
  HANDLER (GET_INFLIGHT_FD, vhost_user_backend_get_inflight_fd),
  HANDLER (SET_INFLIGHT_FD, vhost_user_backend_set_inflight_fd),
  HANDLER (RESET_DEVICE, reset_device),
  HANDLER (VRING_KICK, vhost_user_backend_vring_kick),
  HANDLER (GET_MAX_MEM_SLOTS, get_max_mem_slots),
  HANDLER (ADD_MEM_REG, vhost_user_backend_add_mem_reg),
  HANDLER (REM_MEM_REG, vhost_user_backend_rem_mem_reg),
  HANDLER (SET_STATUS, set_status),
  HANDLER (GET_STATUS, get_status),
  HANDLER (GPU_SET_SOCKET, vhost_user_backend_set_gpu_socket),
  HANDLER (GET_SHARED_OBJECT, vhost_user_backend_get_shared_object),
  HANDLER (SET_DEVICE_STATE_FD, vhost_user_backend_set_device_state_fd),
  HANDLER (CHECK_DEVICE_STATE, vhost_user_backend_check_device_state),
  HANDLER (GET_SHMEM_CONFIG, vhost_user_backend_get_shmem_config),
};

static VhostUserHandler
find_handler (guint request)
{
  return request < G_N_ELEMENTS (handlers) ? handlers[request] : NULL;
}

/* Protocol features count as soon as they are offered: front-ends use them before SET_FEATURES, and
 * some never accept bit 30. */
static gboolean
check_gate (VhostUserBackend *backend, const VhostUserRule *rule, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  guint64 offered = vhost_user_backend_get_offered (backend);

  if (rule->device != VHOST_DEVICE_ID_NONE && rule->device != vhost_backend_get_device_id (base))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "is not for this device");
  if (rule->gate >= 0 && !vhost_word_has (backend->acked_protocol, (guint) rule->gate))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "protocol feature %s was not negotiated",
                            vhost_user_protocol_feature_get_name ((guint) rule->gate));
  if (rule->feature == VHOST_FEATURE_PROTOCOL_FEATURES && vhost_word_has (offered, rule->feature))
    return TRUE;
  /* QEMU sends NET_SET_MTU before SET_FEATURES. */
  if (rule->gate == VHOST_USER_PROTOCOL_FEATURE_MTU &&
      vhost_backend_get_private (base)->acked == 0 && vhost_word_has (offered, rule->feature))
    return TRUE;
  if (rule->feature >= 0 && !vhost_backend_has_feature (base, (guint) rule->feature))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "feature %s was not negotiated",
                            vhost_feature_get_name (rule->device, (guint) rule->feature));
  if (find_handler (rule->request) == NULL)
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "its feature is not offered");
  return TRUE;
}

/* Whether a single ring is stopped is checked where the ring is known. */
static gboolean
check_state (VhostUserBackend *backend, const VhostUserRule *rule, GError **error)
{
  if (rule->state == VHOST_USER_STATE_UNOWNED && backend->owned)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the session has an owner already");
  if (rule->state == VHOST_USER_STATE_OWNED && !backend->owned)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_OWNER must come first");
  if (rule->state == VHOST_USER_STATE_ALL_STOPPED &&
      vhost_backend_any_started (VHOST_BACKEND (backend)))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queues are running");
  return TRUE;
}

static gboolean
is_ack_wanted (VhostUserBackend *backend, const VhostUserRule *rule, guint32 flags)
{
  if (rule != NULL && rule->reply == VHOST_USER_REPLY_ACK_ALWAYS)
    return TRUE;
  return (flags & VHOST_USER_FLAGS_NEED_REPLY) != 0 &&
         vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK);
}

static void
send_ack (VhostUserBackend *backend, guint32 request, guint64 result)
{
  g_auto (VhostUserFrame) ack = { 0 };

  vhost_user_frame_init (&ack, request, VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         sizeof ack.payload.u64);
  ack.payload.u64 = result;
  vhost_user_connection_send_frame (backend->connection, &ack, NULL, NULL);
}

/* The form that some answers with a payload have for a failure; FALSE: this one has none. */
static gboolean
prepare_failure (const VhostUserRule *rule, VhostUserFrame *reply)
{
  switch (rule->request) {
  case VHOST_USER_FRONTEND_CODE_GET_CONFIG:
  case VHOST_USER_FRONTEND_CODE_GET_SHARED_OBJECT:
    reply->size = 0;
    return TRUE;
  case VHOST_USER_FRONTEND_CODE_GET_INFLIGHT_FD:
    reply->size = sizeof reply->payload.inflight; /* of no size: there is no area */
    reply->payload.inflight = (VhostUserInflightArea){ 0 };
    return TRUE;
  case VHOST_USER_FRONTEND_CODE_SET_DEVICE_STATE_FD:
  case VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE:
    reply->size = sizeof reply->payload.u64;
    reply->payload.u64 = rule->request == VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE
                             ? 1
                             : VHOST_USER_TRANSFER_NOFD | 1;
    return TRUE;
  default:
    return FALSE;
  }
}

/* Says that a request failed, in the form it has for that; one that has none, or that nobody waits
 * for, ends the connection, so that both sides agree on what is in force. */
static void
answer_failure (VhostUserBackend *backend, const VhostUserFrame *frame, VhostUserFrame *reply)
{
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_FRONTEND, frame->request);
  gboolean has_body = rule != NULL && rule->reply == VHOST_USER_REPLY_BODY;

  if (has_body && prepare_failure (rule, reply)) {
    vhost_user_connection_send_frame (backend->connection, reply, NULL, NULL);
  } else if (rule != NULL && rule->reply_layout == VHOST_USER_LAYOUT_CRYPTO_SESSION &&
             vhost_user_backend_fail_crypto (frame, reply)) {
    vhost_user_connection_send_frame (backend->connection, reply, NULL, NULL);
  } else if (!has_body && is_ack_wanted (backend, rule, frame->flags)) {
    send_ack (backend, frame->request, 1);
  } else {
    vhost_user_backend_drop_connection (backend);
  }
}

static void
answer_success (VhostUserBackend *backend, const VhostUserRule *rule, guint32 flags,
                const VhostUserFrame *reply)
{
  if (rule->reply == VHOST_USER_REPLY_BODY || rule->reply == VHOST_USER_REPLY_LOG)
    vhost_user_connection_send_frame (backend->connection, reply, NULL, NULL);
  else if (is_ack_wanted (backend, rule, flags))
    send_ack (backend, rule->request, 0);
}

static void
init_reply (const VhostUserRule *rule, VhostUserFrame *reply)
{
  guint32 size = 0;

  if (rule->reply_layout == VHOST_USER_LAYOUT_VRING_STATE)
    size = sizeof reply->payload.state;
  else if (rule->reply_layout == VHOST_USER_LAYOUT_INFLIGHT)
    size = sizeof reply->payload.inflight;
  else if (rule->reply == VHOST_USER_REPLY_LOG)
    size = sizeof reply->payload.log; /* no front-end stumbles over this form */
  else if (rule->reply == VHOST_USER_REPLY_BODY)
    size = sizeof reply->payload.u64;
  vhost_user_frame_init (reply, rule->request, VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         size);
}

void
vhost_user_backend_refuse (VhostUserConnection *connection, const VhostUserFrame *frame,
                           const GError *error, gpointer data)
{
  VhostUserBackend *backend = data;
  g_auto (VhostUserFrame) reply = { 0 };

  vhost_user_frame_init (&reply, frame->request, VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         0);
  vhost_user_backend_emit_refused (backend, frame->request, error);
  if (backend->connection == connection)
    answer_failure (backend, frame, &reply);
}

void
vhost_user_backend_serve (VhostUserConnection *connection, VhostUserFrame *frame, gpointer data)
{
  VhostUserBackend *backend = data;
  const VhostUserRule *rule = vhost_user_rule_find (VHOST_USER_ROLE_FRONTEND, frame->request);
  VHOST_BACKEND_PAUSE (VHOST_BACKEND (backend)); /* and stays */
  g_auto (VhostUserFrame) reply = { 0 };
  g_autoptr (GError) error = NULL;

  init_reply (rule, &reply);
  if (check_gate (backend, rule, &error) && check_state (backend, rule, &error) &&
      find_handler (rule->request) (backend, frame, &reply, &error)) {
    /* The handlers emit signals, and whoever listens may have ended the session. */
    if (backend->connection == connection && backend->draining == NULL &&
        !backend->transfer.checking && !backend->invalidating)
      answer_success (backend, rule, frame->flags, &reply);
    return;
  }
  g_prefix_error (&error, "%s: ", rule->name);
  vhost_user_backend_refuse (connection, frame, error, backend);
}
