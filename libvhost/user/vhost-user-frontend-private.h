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
  int inflight_fd;     /* over all connections; -1: none */
  VhostUserInflightArea inflight;
};

/* Protocol features that are accepted unless the application says otherwise. */
#define VHOST_USER_FRONTEND_DEFAULT_PROTOCOL_FEATURES                                              \
  (VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_MQ) |                                                    \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK) |                                             \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) |                                           \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIG) |                                                \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD) |                                        \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_RESET_DEVICE) |                                          \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS) |                                   \
   VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_STATUS))

/* More than these cannot be accepted. */
#define VHOST_USER_FRONTEND_PROTOCOL_FEATURES                                                      \
  (VHOST_USER_FRONTEND_DEFAULT_PROTOCOL_FEATURES |                                                 \
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

/* vhost-user-frontend-inflight.c */
gboolean vhost_user_frontend_request_inflight (VhostDevice *device, guint n_queues,
                                               guint queue_size, GCancellable *cancellable,
                                               GError **error);
gboolean vhost_user_frontend_give_inflight (VhostDevice *device, GCancellable *cancellable,
                                            GError **error);
void vhost_user_frontend_drop_inflight (VhostDevice *device);

/* vhost-user-frontend-device.c */
void vhost_user_frontend_init_device (gpointer iface, gpointer data);
