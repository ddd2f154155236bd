/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the table of all requests: one row says what a message carries, how it is answered and when
 * it is allowed. Constant data, any thread. (vhost-user, “Front-end message types”, “Back-end
 * message types”) */

#include "core/vhost-features-private.h"
#include "user/vhost-user-rules-private.h"

#define FRONTEND(code) .request = VHOST_USER_FRONTEND_CODE_##code, .name = #code
#define BACKEND(code) .request = VHOST_USER_BACKEND_CODE_##code, .name = #code

/* What the request carries: nothing; a payload; a payload and descriptors. */
#define EMPTY .layout = VHOST_USER_LAYOUT_NONE
#define BODY(shape) .layout = VHOST_USER_LAYOUT_##shape
#define BODY_FD(shape, n) .layout = VHOST_USER_LAYOUT_##shape, .fds = VHOST_USER_FDS_##n

/* How it is answered: when asked for; always; with a payload; with a payload and descriptors. */
#define ACK .reply = VHOST_USER_REPLY_ACK
#define ACK_ALWAYS .reply = VHOST_USER_REPLY_ACK_ALWAYS
#define ACK_LOG .reply = VHOST_USER_REPLY_LOG
#define GIVES(shape) .reply = VHOST_USER_REPLY_BODY, .reply_layout = VHOST_USER_LAYOUT_##shape
#define GIVES_FD(shape, n) GIVES (shape), .reply_fds = VHOST_USER_FDS_##n

/* What must have been negotiated: nothing; a protocol feature; a VIRTIO feature; both. */
#define FREE .gate = -1, .feature = -1
#define GATE(bit) .gate = VHOST_USER_PROTOCOL_FEATURE_##bit, .feature = -1
#define FEATURE(bit) .gate = -1, .feature = VHOST_FEATURE_##bit
#define GATE_AND(bit, virtio) .gate = VHOST_USER_PROTOCOL_FEATURE_##bit, .feature = virtio

#define ONLY(id) .device = VHOST_DEVICE_ID_##id
#define WHEN(when) .state = VHOST_USER_STATE_##when

#define NET_MTU 3 /* VIRTIO_NET_F_MTU */

/* clang-format off */
static const VhostUserRule frontend_rules[] = {
  { FRONTEND (GET_FEATURES),          EMPTY,                           GIVES (FEATURES),                 FREE },
  { FRONTEND (SET_FEATURES),          BODY (FEATURES),                 ACK,                              FREE },
  { FRONTEND (SET_OWNER),             EMPTY,                           ACK,                              FREE, WHEN (UNOWNED) },
  { FRONTEND (RESET_OWNER),           EMPTY,                           ACK,                              FREE },
  { FRONTEND (SET_MEM_TABLE),         BODY_FD (MEM_TABLE, PER_REGION), ACK,                              FREE },
  { FRONTEND (SET_LOG_BASE),          BODY_FD (LOG_BASE, LOG),         ACK_LOG,                          FREE },
  { FRONTEND (SET_LOG_FD),            BODY_FD (NONE, ONE),             ACK,                              FREE },
  { FRONTEND (SET_VRING_NUM),         BODY (VRING_STATE),              ACK,                              FREE, WHEN (STOPPED) },
  { FRONTEND (SET_VRING_ADDR),        BODY (VRING_ADDR),               ACK,                              FREE },
  { FRONTEND (SET_VRING_BASE),        BODY (VRING_STATE),              ACK,                              FREE, WHEN (STOPPED) },
  { FRONTEND (GET_VRING_BASE),        BODY (VRING_STATE),              GIVES (VRING_STATE),              FREE },
  { FRONTEND (SET_VRING_KICK),        BODY_FD (VRING_FD, BY_NOFD),     ACK,                              FREE },
  { FRONTEND (SET_VRING_CALL),        BODY_FD (VRING_FD, BY_NOFD),     ACK,                              FREE },
  { FRONTEND (SET_VRING_ERR),         BODY_FD (VRING_FD, BY_NOFD),     ACK,                              FREE },
  { FRONTEND (GET_PROTOCOL_FEATURES), EMPTY,                           GIVES (PROTOCOL_FEATURES),        FEATURE (PROTOCOL_FEATURES) },
  { FRONTEND (SET_PROTOCOL_FEATURES), BODY (PROTOCOL_FEATURES),        ACK,                              FEATURE (PROTOCOL_FEATURES) },
  { FRONTEND (GET_QUEUE_NUM),         EMPTY,                           GIVES (U64),                      GATE (MQ) },
  { FRONTEND (SET_VRING_ENABLE),      BODY (VRING_STATE),              ACK,                              FEATURE (PROTOCOL_FEATURES) },
  { FRONTEND (SEND_RARP),             BODY (U64),                      ACK,                              GATE (RARP), ONLY (NETWORK) },
  { FRONTEND (NET_SET_MTU),           BODY (U64),                      ACK,                              GATE_AND (MTU, NET_MTU), ONLY (NETWORK) },
  { FRONTEND (SET_BACKEND_REQ_FD),    BODY_FD (NONE, ONE),             ACK,                              GATE (BACKEND_REQ) },
  { FRONTEND (IOTLB_MSG),             BODY (IOTLB),                    ACK_ALWAYS,                       FEATURE (ACCESS_PLATFORM) },
  { FRONTEND (SET_VRING_ENDIAN),      BODY (VRING_STATE),              ACK,                              GATE (CROSS_ENDIAN), WHEN (STOPPED) },
  { FRONTEND (GET_CONFIG),            BODY (CONFIG),                   GIVES (CONFIG),                   GATE (CONFIG) },
  { FRONTEND (SET_CONFIG),            BODY (CONFIG),                   ACK,                              GATE (CONFIG) },
  { FRONTEND (CREATE_CRYPTO_SESSION), BODY (CRYPTO_SESSION),           GIVES (CRYPTO_SESSION),           GATE (CRYPTO_SESSION), ONLY (CRYPTO) },
  { FRONTEND (CLOSE_CRYPTO_SESSION),  BODY (U64),                      ACK,                              GATE (CRYPTO_SESSION), ONLY (CRYPTO) },
  { FRONTEND (POSTCOPY_ADVISE),       EMPTY,                           GIVES_FD (NONE, ONE),             GATE (PAGEFAULT) },
  { FRONTEND (POSTCOPY_LISTEN),       EMPTY,                           ACK_ALWAYS,                       GATE (PAGEFAULT) },
  { FRONTEND (POSTCOPY_END),          EMPTY,                           ACK_ALWAYS,                       GATE (PAGEFAULT) },
  { FRONTEND (GET_INFLIGHT_FD),       BODY (INFLIGHT),                 GIVES_FD (INFLIGHT, ZERO_OR_ONE), GATE (INFLIGHT_SHMFD), WHEN (ALL_STOPPED) },
  { FRONTEND (SET_INFLIGHT_FD),       BODY_FD (INFLIGHT, ONE),         ACK,                              GATE (INFLIGHT_SHMFD), WHEN (ALL_STOPPED) },
  { FRONTEND (GPU_SET_SOCKET),        BODY_FD (NONE, ONE),             ACK,                              FREE, ONLY (GPU) },
  { FRONTEND (RESET_DEVICE),          EMPTY,                           ACK,                              GATE (RESET_DEVICE) },
  { FRONTEND (VRING_KICK),            BODY (VRING_STATE),              ACK,                              GATE (INBAND_NOTIFICATIONS) },
  { FRONTEND (GET_MAX_MEM_SLOTS),     EMPTY,                           GIVES (U64),                      GATE (CONFIGURE_MEM_SLOTS) },
  { FRONTEND (ADD_MEM_REG),           BODY_FD (REGION, ONE),           ACK,                              GATE (CONFIGURE_MEM_SLOTS) },
  { FRONTEND (REM_MEM_REG),           BODY_FD (REGION, ZERO_OR_ONE),   ACK,                              GATE (CONFIGURE_MEM_SLOTS) },
  { FRONTEND (SET_STATUS),            BODY (U64),                      ACK,                              GATE (STATUS) },
  { FRONTEND (GET_STATUS),            EMPTY,                           GIVES (U64),                      GATE (STATUS) },
  { FRONTEND (GET_SHARED_OBJECT),     BODY (SHARED_OBJECT),            GIVES_FD (NONE, ZERO_OR_ONE),     GATE (SHARED_OBJECT) },
  { FRONTEND (SET_DEVICE_STATE_FD),   BODY_FD (TRANSFER, ONE),         GIVES_FD (U64, ZERO_OR_ONE),      GATE (DEVICE_STATE), WHEN (ALL_STOPPED) },
  { FRONTEND (CHECK_DEVICE_STATE),    EMPTY,                           GIVES (U64),                      GATE (DEVICE_STATE), WHEN (ALL_STOPPED) },
  { FRONTEND (GET_SHMEM_CONFIG),      EMPTY,                           GIVES (SHMEM_CONFIG),             GATE (SHMEM) },
};

static const VhostUserRule backend_rules[] = {
  { BACKEND (IOTLB_MSG),               BODY (IOTLB),                  ACK,                         GATE_AND (BACKEND_REQ, VHOST_FEATURE_ACCESS_PLATFORM) },
  { BACKEND (CONFIG_CHANGE_MSG),       EMPTY,                         ACK,                         GATE (CONFIG) },
  { BACKEND (VRING_HOST_NOTIFIER_MSG), BODY_FD (VRING_AREA, BY_NOFD), ACK,                         GATE (HOST_NOTIFIER) },
  { BACKEND (VRING_CALL),              BODY (VRING_STATE),            ACK,                         GATE (INBAND_NOTIFICATIONS) },
  { BACKEND (VRING_ERR),               BODY (VRING_STATE),            ACK,                         GATE (INBAND_NOTIFICATIONS) },
  { BACKEND (SHARED_OBJECT_ADD),       BODY (SHARED_OBJECT),          ACK,                         GATE (SHARED_OBJECT) },
  { BACKEND (SHARED_OBJECT_REMOVE),    BODY (SHARED_OBJECT),          ACK,                         GATE (SHARED_OBJECT) },
  { BACKEND (SHARED_OBJECT_LOOKUP),    BODY (SHARED_OBJECT),          GIVES_FD (U64, ZERO_OR_ONE), GATE (SHARED_OBJECT) },
  { BACKEND (SHMEM_MAP),               BODY_FD (SHMEM_MAP, ONE),      ACK,                         GATE (SHMEM) },
  { BACKEND (SHMEM_UNMAP),             BODY (SHMEM_MAP),              ACK,                         GATE (SHMEM) },
};
/* clang-format on */

/* The drafts of virtio-fs: the same requests, from another number on. */
#define FS(number, what, fds, bit)                                                                 \
  {                                                                                                \
    .request = number, .name = "FS_" #what, BODY_FD (FS, fds), ACK, GATE (bit)                     \
  }
#define FS_RULES(first)                                                                            \
  {                                                                                                \
    FS (first, MAP, ONE, BACKEND_SEND_FD), FS ((first) + 1, UNMAP, NONE, BACKEND_REQ),             \
        FS ((first) + 2, SYNC, NONE, BACKEND_REQ), FS ((first) + 3, IO, ONE, BACKEND_SEND_FD)      \
  }

static const struct {
  guint n;
  VhostUserRule rules[4];
} fs_dialects[] = {
  [VHOST_USER_FS_DIALECT_DRAFT_2020_01] = { 3, FS_RULES (4) },
  [VHOST_USER_FS_DIALECT_DRAFT_2020_03] = { 4, FS_RULES (4) },
  [VHOST_USER_FS_DIALECT_DRAFT_2020_07] = { 4, FS_RULES (6) },
  [VHOST_USER_FS_DIALECT_DRAFT_2024] = { 4, FS_RULES (1000) },
};

VhostUserRole
vhost_user_role_of_channel (VhostUserFsDialect dialect)
{
  return VHOST_USER_ROLE_BACKEND + dialect;
}

guint
vhost_user_fs_get_number (VhostUserFsDialect dialect, VhostUserFsRequest request)
{
  return request < fs_dialects[dialect].n ? fs_dialects[dialect].rules[request].request : 0;
}

guint64
vhost_user_fs_get_hidden_features (VhostUserFsDialect dialect)
{
  guint64 hidden = 0;

  for (guint i = 0; i < fs_dialects[dialect].n; i++) {
    guint request = fs_dialects[dialect].rules[i].request;

    if (request <= G_N_ELEMENTS (backend_rules))
      hidden |= VHOST_BIT (backend_rules[request - 1].gate);
  }
  return hidden;
}

static const VhostUserRule *
find_fs_rule (VhostUserRole role, guint request)
{
  guint dialect = role > VHOST_USER_ROLE_BACKEND ? role - VHOST_USER_ROLE_BACKEND : 0;
  guint first = fs_dialects[dialect].rules[0].request;

  return request >= first && request - first < fs_dialects[dialect].n
             ? &fs_dialects[dialect].rules[request - first]
             : NULL;
}

const VhostUserRule *
vhost_user_rules_get (VhostUserRole role, guint *n)
{
  if (role == VHOST_USER_ROLE_FRONTEND) {
    *n = G_N_ELEMENTS (frontend_rules);
    return frontend_rules;
  }
  *n = G_N_ELEMENTS (backend_rules);
  return backend_rules;
}

const VhostUserRule *
vhost_user_rule_find (VhostUserRole role, guint request)
{
  guint n;
  const VhostUserRule *rules = vhost_user_rules_get (role, &n);
  const VhostUserRule *fs_rule = find_fs_rule (role, request);

  if (fs_rule != NULL)
    return fs_rule;
  return request >= 1 && request <= n ? &rules[request - 1] : NULL;
}

/**
 * vhost_user_get_request_name:
 * @role: whose requests
 * @request: number of a request
 *
 * The specification's name of a request: "SET_VRING_NUM". May be called from any thread.
 *
 * Returns: (transfer none) (nullable): the name, or %NULL when the number is not known
 *
 * Since: 1.0
 */
const char *
vhost_user_get_request_name (VhostUserRole role, guint request)
{
  const VhostUserRule *rule = vhost_user_rule_find (role, request);

  return rule != NULL ? rule->name : NULL;
}
