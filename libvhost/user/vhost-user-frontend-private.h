/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a front-end, shared by its two files. One thread, the one that opened it. */
#pragma once

#include "core/vhost-features-private.h"
#include "memory/vhost-memory-private.h"
#include "user/vhost-user-connection-private.h"
#include "user/vhost-user-frontend.h"

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

  gboolean busy;         /* a request is being answered: no other may be made from inside */
  VhostTask notify_task; /* queue-notify and queue-error; vhost-user-frontend-channel.c */
  guint32 called[256 / 32];
  guint32 broken[256 / 32];
};

#define VHOST_USER_FRONTEND_PROTOCOL_FEATURES                                                      \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MQ) |                                                    \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK) |                                             \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) |                                           \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIG) |                                                \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RESET_DEVICE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS) |                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_STATUS) | VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RARP) | \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MTU) |                                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CROSS_ENDIAN) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CRYPTO_SESSION) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD) |                                       \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_HOST_NOTIFIER) |                                         \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES))

/* Those that are negotiated only when the application wants them. */
#define VHOST_USER_FRONTEND_OPTIONAL_FEATURES                                                      \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS) |                                  \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP))

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

/* Looks for what a back-end does between two requests: it leaves, or it breaks the protocol. */
void vhost_user_frontend_check_peer (VhostUserFrontend *frontend);

/* vhost-user-frontend-channel.c: requests of the back-end that belong to a protocol feature each */
void vhost_user_frontend_install_channel (void);
void vhost_user_frontend_init_channel (VhostUserFrontend *frontend);
void vhost_user_frontend_forget_calls (VhostUserFrontend *frontend);
gboolean vhost_user_frontend_hears_host_notifier (VhostUserFrontend *frontend);
gboolean vhost_user_frontend_serve_vring_call (VhostUserFrontend *frontend,
                                               const VhostUserFrame *frame, GError **error);
gboolean vhost_user_frontend_serve_vring_err (VhostUserFrontend *frontend,
                                              const VhostUserFrame *frame, GError **error);
gboolean vhost_user_frontend_serve_host_notifier (VhostUserFrontend *frontend,
                                                  const VhostUserFrame *frame, GError **error);

/* vhost-user-frontend-notify.c: the part of the device interface that does without descriptors */
void vhost_user_frontend_init_notify (VhostDeviceInterface *iface);

/* vhost-user-frontend-device.c */
void vhost_user_frontend_init_device (gpointer iface, gpointer data);
