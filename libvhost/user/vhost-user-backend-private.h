/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a back-end, shared by the files that serve its requests. Control thread. */
#pragma once

#include "endpoint/vhost-backend-private.h"
#include "user/vhost-user-backend.h"
#include "user/vhost-user-connection-private.h"
#include "user/vhost-user-retry-private.h"
#include "user/vhost-user-gpu-connection.h"

typedef enum {
  VHOST_USER_TRANSFER_NONE,
  VHOST_USER_TRANSFER_ACTIVE,
  VHOST_USER_TRANSFER_DONE,
  VHOST_USER_TRANSFER_FAILED,
} VhostUserTransferStage;

/* The internal state on its way in or out. */
typedef struct {
  VhostUserTransferStage stage;
  gboolean loading;
  int fd; /* until the application was told */
  VhostTask task;
  gboolean checking; /* a CHECK_DEVICE_STATE waits for the end */
  GSource *deadline;
  guint timeout; /* ms */
} VhostUserBackendTransfer;

typedef struct _VhostUserInBand VhostUserInBand;

struct _VhostUserBackend {
  VhostBackend parent_instance;

  /* how front-ends come */
  VhostReactor *reactor;
  char *path;
  int listen_fd;
  VhostWatch *listen_watch;
  GSource *listen_retry; /* accept() had no descriptor left */

  /* how it comes to a front-end */
  char *peer_path;          /* NULL: it was not open()ed */
  guint reconnect_interval; /* ms; 0: off */
  VhostUserRetry retry;
  GSource *retry_timer;

  /* the session */
  VhostUserConnection *connection;
  VhostUserConnection *channel;
  guint64 offered_protocol; /* property */
  guint64 acked_protocol;
  gboolean owned;
  GArray *slots; /* vhost-user-backend-memory.c: regions that came one at a time; or NULL */
  gboolean features_set;
  VhostInflightArea *early_area; /* that came before the features; or NULL */

  /* a GET_VRING_BASE whose answer waits for buffers in flight */
  VhostVring *draining;
  GSource *drain_deadline;
  guint drain_timeout; /* ms */
  guint timeout;       /* ms, of one message */

  /* an IOTLB invalidation whose answer waits for buffers in flight */
  gboolean invalidating;
  GSource *invalidate_deadline;

  /* our own requests, on the channel */
  GQueue calls; /* those whose answers are due, in the order they will come */
  GSource *call_deadline;
  VhostUserInBand *in_band;                          /* of each queue, or NULL */
  GHashTable *objects;                               /* UUID → descriptor, of what we export */
  guint64 shmem_sizes[VHOST_USER_MAX_SHMEM_REGIONS]; /* by shmid; 0: unused */
  VhostUserFsDialect fs_dialect;                     /* property */

  VhostUserBackendTransfer transfer;
  VhostUserGpuConnection *gpu; /* to the display, or NULL */
  guint max_mtu;               /* property */
  guint mtu;                   /* property; 0: not told */
};

/* Protocol features whose requests are served here, and that may be offered to any front-end. */
#define VHOST_USER_BACKEND_PROTOCOL_FEATURES                                                       \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MQ) |                                                    \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD) |                                             \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK) |                                             \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) |                                           \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIG) |                                                \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RESET_DEVICE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS) |                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_STATUS) | VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RARP) | \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MTU) |                                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CRYPTO_SESSION) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD) |                                       \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_HOST_NOTIFIER) |                                         \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_SHARED_OBJECT) |                                         \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_DEVICE_STATE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_SHMEM) |                                                 \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES))

/* Those that are offered only when the application says so: QEMU accepts the first two without
 * having them, of the third only one half is served, and the fourth lets handles die early. */
#define VHOST_USER_BACKEND_OPTIONAL_FEATURES                                                       \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS) |                                  \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP) |                                              \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CROSS_ENDIAN) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT))

#define VHOST_USER_NET_FEATURE_MTU 3 /* VIRTIO_NET_F_MTU */

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

/* vhost-user-backend-log.c */
gboolean vhost_user_backend_set_log_base (VhostUserBackend *backend, VhostUserFrame *frame,
                                          VhostUserFrame *reply, GError **error);
gboolean vhost_user_backend_set_log_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                        VhostUserFrame *reply, GError **error);

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
void vhost_user_backend_decide_inflight (VhostUserBackend *backend);

/* vhost-user-backend.c */
guint64 vhost_user_backend_get_offered (
    VhostUserBackend *backend); /* features, transport bits too */
guint64 vhost_user_backend_get_offered_protocol (VhostUserBackend *backend);
void vhost_user_backend_emit_refused (VhostUserBackend *backend, guint request,
                                      const GError *error);
void vhost_user_backend_drop_connection (VhostUserBackend *backend);
gboolean vhost_user_backend_check_closed (VhostUserBackend *backend, GError **error);
void vhost_user_backend_use_current_context (VhostUserBackend *backend);
gboolean vhost_user_backend_take_connection (VhostUserBackend *backend, int fd, GError **error);

/* vhost-user-backend-reconnect.c: nothing to do for a back-end that does not reconnect. */
void vhost_user_backend_reconnect_later (VhostUserBackend *backend);
void vhost_user_backend_stop_reconnecting (VhostUserBackend *backend);

/* vhost-user-backend-properties.c */
void vhost_user_backend_install_properties (GObjectClass *object_class);

/* vhost-user-backend-channel.c: requests of ours. */
gboolean vhost_user_backend_take_channel (VhostUserBackend *backend, int fd, GError **error);
void vhost_user_backend_drop_channel (VhostUserBackend *backend);

/* Takes an answer; NULL when none was negotiated, or when @error kept it from coming. */
typedef void (*VhostUserReplyFunc) (VhostUserBackend *backend, VhostUserFrame *answer,
                                    const GError *error, gpointer data);

/* Sends @frame, whose descriptors stay the caller's; @func is called once with the answer. @is_due:
 * the channel ends when it does not come in time. FALSE: it was not even sent, and @func is not
 * called. Never blocks. */
gboolean vhost_user_backend_send (VhostUserBackend *backend, VhostUserFrame *frame, gboolean is_due,
                                  VhostUserReplyFunc func, gpointer data, GError **error);
/* Makes the result of @task of an answer, which is NULL when none was negotiated. */
typedef void (*VhostUserAnswerFunc) (VhostUserBackend *backend, GTask *task,
                                     VhostUserFrame *answer);

/* The same with @task, which is taken, and finished by @func with the answer, or with the error
 * that kept one from coming. */
gboolean vhost_user_backend_call (VhostUserBackend *backend, VhostUserFrame *frame, GTask *task,
                                  VhostUserAnswerFunc func);
/* How many of these wait for their answer. */
guint vhost_user_backend_count_calls (VhostUserBackend *backend, guint request);
/* A VhostUserReplyFunc: tells of a refusal that nobody else hears of. */
void vhost_user_backend_report_refusal (VhostUserBackend *backend, VhostUserFrame *answer,
                                        const GError *error, gpointer data);
void vhost_user_backend_install_channel (void);

/* An answer that says just whether it was done; @answer as above. */
gboolean vhost_user_backend_check_answer (GTask *task, VhostUserFrame *answer);
void vhost_user_backend_finish_call (VhostUserBackend *backend, GTask *task,
                                     VhostUserFrame *answer);

/* vhost-user-backend-objects.c */
gboolean vhost_user_backend_get_shared_object (VhostUserBackend *backend, VhostUserFrame *frame,
                                               VhostUserFrame *reply, GError **error);
void vhost_user_backend_forget_objects (VhostUserBackend *backend);

/* vhost-user-backend-shmem.c */
gboolean vhost_user_backend_has_shmem (VhostUserBackend *backend);
gboolean vhost_user_backend_get_shmem_config (VhostUserBackend *backend, VhostUserFrame *frame,
                                              VhostUserFrame *reply, GError **error);

/* vhost-user-gpu-socket.c */
gboolean vhost_user_backend_set_gpu_socket (VhostUserBackend *backend, VhostUserFrame *frame,
                                            VhostUserFrame *reply, GError **error);
void vhost_user_backend_drop_gpu (VhostUserBackend *backend);
void vhost_user_backend_install_gpu (GObjectClass *object_class);

/* vhost-user-backend-state.c */
void vhost_user_backend_install_transfer (GObjectClass *object_class);
void vhost_user_backend_init_transfer (VhostUserBackend *backend);
gboolean vhost_user_backend_can_transfer (VhostUserBackend *backend);
void vhost_user_backend_forget_transfer (VhostUserBackend *backend);
gboolean vhost_user_backend_set_device_state_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                                 VhostUserFrame *reply, GError **error);
gboolean vhost_user_backend_check_device_state (VhostUserBackend *backend, VhostUserFrame *frame,
                                                VhostUserFrame *reply, GError **error);
