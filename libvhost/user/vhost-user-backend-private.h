/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a back-end, shared by the files that serve its requests. Control thread. */
#pragma once

#include "endpoint/vhost-backend-private.h"
#include "user/vhost-user-backend.h"
#include "user/vhost-user-connection-private.h"

struct _VhostUserBackend {
  VhostBackend parent_instance;

  /* how front-ends come */
  VhostReactor *reactor;
  char *path;
  int listen_fd;
  VhostWatch *listen_watch;
  GSource *listen_retry; /* accept() had no descriptor left */

  /* the session */
  VhostUserConnection *connection;
  VhostUserConnection *channel;
  guint64 offered_protocol; /* property */
  guint64 acked_protocol;
  gboolean owned;
  gboolean features_set;

  /* a GET_VRING_BASE whose answer waits for buffers in flight */
  VhostVring *draining;
  GSource *drain_deadline;
  guint drain_timeout; /* ms */
  guint timeout;       /* ms, of one message */
};

/* Protocol features that are offered unless the application says otherwise. */
#define VHOST_USER_BACKEND_DEFAULT_PROTOCOL_FEATURES                                               \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MQ) |                                                    \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK) |                                             \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) |                                           \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIG) |                                                \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RESET_DEVICE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS) |                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_STATUS))

/* Those whose requests are served here; more than these cannot be offered. */
#define VHOST_USER_BACKEND_PROTOCOL_FEATURES                                                       \
  (VHOST_USER_BACKEND_DEFAULT_PROTOCOL_FEATURES |                                                  \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT))

/* Serves one request; @reply is prepared for those that have a body. An error says what was wrong,
 * without the name of the request. */
typedef gboolean (*VhostUserHandler) (VhostUserBackend *backend, VhostUserFrame *frame,
                                      VhostUserFrame *reply, GError **error);

/* vhost-user-backend-requests.c: checks gate and state, calls the handler, answers. */
void vhost_user_backend_serve (VhostUserConnection *connection, VhostUserFrame *frame,
                               gpointer data);
void vhost_user_backend_refuse (VhostUserConnection *connection, const VhostUserFrame *frame,
                                const GError *error, gpointer data);
void vhost_user_backend_answer_drained (VhostUserBackend *backend);
void vhost_user_backend_forget_drain (VhostUserBackend *backend);

/* vhost-user-backend-memory.c */
gboolean vhost_user_backend_set_mem_table (VhostUserBackend *backend, VhostUserFrame *frame,
                                           VhostUserFrame *reply, GError **error);
gboolean vhost_user_backend_add_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                         VhostUserFrame *reply, GError **error);
gboolean vhost_user_backend_rem_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                         VhostUserFrame *reply, GError **error);

/* vhost-user-backend-inflight.c */
gboolean vhost_user_backend_get_inflight_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                             VhostUserFrame *reply, GError **error);
gboolean vhost_user_backend_set_inflight_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                             VhostUserFrame *reply, GError **error);
/* May @vring stop with chains in flight, because they are recorded? */
gboolean vhost_user_backend_may_leave_in_flight (VhostUserBackend *backend, VhostVring *vring);

/* vhost-user-backend.c */
guint64 vhost_user_backend_get_offered (
    VhostUserBackend *backend); /* features, transport bits too */
guint64 vhost_user_backend_get_offered_protocol (VhostUserBackend *backend);
gboolean vhost_user_backend_take_channel (VhostUserBackend *backend, int fd, GError **error);
void vhost_user_backend_emit_refused (VhostUserBackend *backend, guint request,
                                      const GError *error);
void vhost_user_backend_drop_connection (VhostUserBackend *backend);
