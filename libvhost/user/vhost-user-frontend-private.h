/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a front-end, shared by its files. One thread, the one that opened it. */
#pragma once

#include "core/vhost-features-private.h"
#include "memory/vhost-memory-private.h"
#include "user/vhost-user-connection-private.h"
#include "user/vhost-user-frontend-session-private.h"
#include "user/vhost-user-frontend.h"
#include "user/vhost-user-retry-private.h"

typedef struct _VhostUserFrontendShmem VhostUserFrontendShmem;

struct _VhostUserFrontend {
  GObject parent_instance;

  VhostReactor *reactor;
  VhostUserConnection *connection;
  VhostUserConnection *channel;
  VhostWatch *idle_watch; /* sees the back-end leave between two requests */
  VhostTask config_task;  /* config-changed is told from the loop, never from inside a request */

  guint64 wanted_protocol; /* property */
  guint64 offered;
  guint64 offered_protocol;
  guint64 acked_protocol;
  guint n_queues;
  guint n_slots;
  guint timeout;       /* ms */
  VhostMemory *memory; /* what the back-end has */

  /* reconnecting */
  char *path;                /* where the back-end is, or comes */
  int listen_fd;             /* -1: we connect */
  guint reconnect_interval;  /* ms; 0: off */
  guint reconnect_timeout;   /* ms */
  VhostUserSession *session; /* NULL: a back-end that leaves is gone */
  gboolean reconnecting;
  gboolean replaying; /* inside an attempt */
  int left_fd;        /* of the back-end that left, or is about to; -1: none */
  gint64 reconnect_deadline, next_attempt;
  gint64 call_deadline; /* of the caller, while replaying; or -1 */
  VhostUserRetry retry;
  GSource *retry_timer;
  gboolean calling; /* an answer is waited for: no other request may be made from inside */

  /* what the back-end asked for on the channel */
  VhostUserFrame *answer;        /* of the request whose signal is being emitted, or NULL */
  GHashTable *objects;           /* UUIDs that it exports */
  VhostUserFrontendShmem *shmem; /* NULL until its regions are known */
  VhostUserFsDialect fs_dialect; /* property */
  VhostTask notify_task;         /* queue-notify and queue-error of the queues below */
  guint32 called[256 / 32];
  guint32 broken[256 / 32];

  VhostIommu *iommu; /* or NULL */
  guint64 acked;     /* features in use */
  guint n_updates;   /* translations that were sent, and their answers have not come */

  guint state_timeout;    /* ms */
  guint64 max_state_size; /* bytes */
  int inflight_fd;        /* over all connections; -1: none */
  VhostUserInflightArea inflight;
};

/* Protocol features that are accepted unless the application says otherwise. */
#define VHOST_USER_FRONTEND_PROTOCOL_FEATURES                                                      \
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
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CROSS_ENDIAN) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CRYPTO_SESSION) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD) |                                       \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_HOST_NOTIFIER) |                                         \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_SHARED_OBJECT) |                                         \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_DEVICE_STATE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_SHMEM) |                                                 \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES))

/* Those that are negotiated only when the application wants them. */
#define VHOST_USER_FRONTEND_OPTIONAL_FEATURES                                                      \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS) |                                  \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP) |                                              \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT))

/* Makes a request: no payload yet, zeroed up to @size. */
void vhost_user_frontend_init_request (VhostUserFrame *frame, VhostUserFrontendCode code,
                                       guint32 size);

/* Sends @frame, whose descriptors stay the caller's, and waits for the answer: into @reply when the
 * request has one of its own, else for the ack if those were negotiated. A request whose gate is
 * shut is not sent. An answer that does not come, or is wrong, ends the connection: nobody could
 * say any more which answer belongs to which request. */
gboolean vhost_user_frontend_call (VhostUserFrontend *frontend, VhostUserFrame *frame,
                                   VhostUserFrame *reply, GCancellable *cancellable,
                                   GError **error);

/* Was what @rule asks for negotiated? */
gboolean vhost_user_frontend_check_gate (VhostUserFrontend *frontend, const VhostUserRule *rule,
                                         GError **error);

/* vhost-user-frontend-channel.c: serves the requests of the back-end. */
gboolean vhost_user_frontend_open_channel (VhostUserFrontend *frontend, GCancellable *cancellable,
                                           GError **error);
gboolean vhost_user_frontend_check_index (VhostUserFrontend *frontend, guint64 index,
                                          GError **error);
/* Emits a signal whose handlers may answer the request. */
void vhost_user_frontend_emit_request (VhostUserFrontend *frontend, VhostUserFrame *answer,
                                       guint signal, gpointer argument);
void vhost_user_frontend_install_channel (GObjectClass *object_class);

/* vhost-user-frontend-objects.c */
void vhost_user_frontend_install_objects (GObjectClass *object_class);
gboolean vhost_user_frontend_add_object (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                         GError **error);
gboolean vhost_user_frontend_remove_object (VhostUserFrontend *frontend,
                                            const VhostUserFrame *frame, GError **error);
gboolean vhost_user_frontend_lookup_object (VhostUserFrontend *frontend,
                                            const VhostUserFrame *frame, VhostUserFrame *answer,
                                            GError **error);
void vhost_user_frontend_forget_objects (VhostUserFrontend *frontend);

/* vhost-user-frontend-shmem.c */
void vhost_user_frontend_install_shmem (GObjectClass *object_class);
gboolean vhost_user_frontend_map_shmem (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                        GError **error);
gboolean vhost_user_frontend_unmap_shmem (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                          GError **error);
void vhost_user_frontend_reset_shmem (VhostUserFrontend *frontend);
void vhost_user_frontend_forget_shmem (VhostUserFrontend *frontend);

/* vhost-user-frontend-host-notifier.c */
void vhost_user_frontend_install_host_notifier (void);
gboolean vhost_user_frontend_hears_host_notifier (VhostUserFrontend *frontend);
gboolean vhost_user_frontend_serve_host_notifier (VhostUserFrontend *frontend,
                                                  const VhostUserFrame *frame, GError **error);

/* vhost-user-frontend-notify.c: the part of the device interface that does without descriptors */
void vhost_user_frontend_init_notify (VhostDeviceInterface *iface);
void vhost_user_frontend_init_calls (VhostUserFrontend *frontend);
void vhost_user_frontend_forget_calls (VhostUserFrontend *frontend);
gboolean vhost_user_frontend_serve_vring_call (VhostUserFrontend *frontend,
                                               const VhostUserFrame *frame, GError **error);
gboolean vhost_user_frontend_serve_vring_err (VhostUserFrontend *frontend,
                                              const VhostUserFrame *frame, GError **error);

/* vhost-user-frontend-inflight.c */
gboolean vhost_user_frontend_request_inflight (VhostDevice *device, guint n_queues,
                                               guint queue_size, GCancellable *cancellable,
                                               GError **error);
gboolean vhost_user_frontend_give_inflight (VhostDevice *device, GCancellable *cancellable,
                                            GError **error);
void vhost_user_frontend_drop_inflight (VhostDevice *device);

/* vhost-user-frontend-iotlb.c */
void vhost_user_frontend_init_iotlb (VhostDeviceInterface *iface);
gboolean vhost_user_frontend_serve_iotlb (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                          GError **error);
/* Takes the answers to @n translations, which must be the next to come: of those that n_updates
 * counts, the ones that were sent before a request come before its own answer. */
gboolean vhost_user_frontend_take_updates (VhostUserFrontend *frontend, guint n,
                                           GCancellable *cancellable, GError **error);

/* vhost-user-frontend-log.c */
gboolean vhost_user_frontend_set_log_base (VhostDevice *device, int fd, guint64 size,
                                           guint64 offset, GCancellable *cancellable,
                                           GError **error);
gboolean vhost_user_frontend_set_log_fd (VhostDevice *device, int fd, GCancellable *cancellable,
                                         GError **error);

/* vhost-user-frontend-device.c */
/* Are addresses in rings I/O addresses? */
gboolean vhost_user_frontend_has_iommu (VhostUserFrontend *frontend);
/* What a guest address is to the back-end, and how far its region goes on from there. */
gboolean vhost_user_frontend_find_address (VhostUserFrontend *frontend, guint64 guest_address,
                                           guint64 *user_address, guint64 *contiguous,
                                           GError **error);
void vhost_user_frontend_init_device (gpointer iface, gpointer data);

/* vhost-user-frontend.c */
gboolean vhost_user_frontend_take_connection (VhostUserFrontend *frontend, int fd,
                                              GCancellable *cancellable, GError **error);
void vhost_user_frontend_drop_connection (VhostUserFrontend *frontend);
void vhost_user_frontend_forget_session (VhostUserFrontend *frontend);

/* The socket is readable though nothing was asked. FALSE: the back-end is gone for good. */
gboolean vhost_user_frontend_check_idle (VhostUserFrontend *frontend, GError **error);

/* vhost-user-frontend-reconnect.c */
/* The back-end has left. FALSE: it is not looked for again. */
gboolean vhost_user_frontend_begin_reconnect (VhostUserFrontend *frontend, const GError *error);
void vhost_user_frontend_end_reconnect (VhostUserFrontend *frontend);

/* Is there a back-end? Waits while one is being reconnected to. */
gboolean vhost_user_frontend_check_open (VhostUserFrontend *frontend, GCancellable *cancellable,
                                         GError **error);

/* See vhost_device_wait_readable(). */
gboolean vhost_user_frontend_wait_readable (VhostDevice *device, int fd, guint timeout,
                                            GCancellable *cancellable, GError **error);

/* vhost-user-frontend-open.c */
int vhost_user_frontend_accept_fd (VhostUserFrontend *frontend, GError **error);
