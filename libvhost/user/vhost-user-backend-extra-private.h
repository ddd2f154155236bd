/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of a back-end that belong to one protocol feature each. Control thread. */
#pragma once

#include "user/vhost-user-backend-private.h"

#define VHOST_USER_BACKEND_HANDLER(name)                                                           \
  gboolean vhost_user_backend_##name (VhostUserBackend *backend, VhostUserFrame *frame,            \
                                      VhostUserFrame *reply, GError **error)

/* vhost-user-backend-offer.c: @features without those that the device or the application has not
 * got what it takes for. */
guint64 vhost_user_backend_choose_offer (VhostUserBackend *backend, guint64 features);
/* Is everything offered that ACCESS_PLATFORM needs, to ask for translations? */
gboolean vhost_user_backend_can_translate (VhostUserBackend *backend);

/* vhost-user-backend-net.c: SEND_RARP, NET_SET_MTU */
void vhost_user_backend_install_net (void);
gboolean vhost_user_backend_hears_rarp (VhostUserBackend *backend);
VHOST_USER_BACKEND_HANDLER (send_rarp);
VHOST_USER_BACKEND_HANDLER (net_set_mtu);

/* vhost-user-backend-crypto.c: CRYPTO_SESSION */
void vhost_user_backend_install_crypto (void);
gboolean vhost_user_backend_hears_crypto (VhostUserBackend *backend);
VHOST_USER_BACKEND_HANDLER (create_crypto_session);
VHOST_USER_BACKEND_HANDLER (close_crypto_session);
/* How the request fails: itself, with a session number that is none. FALSE: it has not even the
 * size for that. */
gboolean vhost_user_backend_fail_crypto (const VhostUserFrame *frame, VhostUserFrame *reply);

/* vhost-user-backend-iotlb.c: IOTLB_MSG, either way */
VHOST_USER_BACKEND_HANDLER (iotlb_msg);
void vhost_user_backend_ask_iotlb (VhostBackend *backend, guint64 address, guint access,
                                   gboolean denied);
void vhost_user_backend_answer_invalidate (VhostBackend *backend);
void vhost_user_backend_forget_invalidate (VhostUserBackend *backend);

/* vhost-user-backend-notify.c: SET_VRING_ENDIAN, INBAND_NOTIFICATIONS */
VHOST_USER_BACKEND_HANDLER (set_vring_endian);
VHOST_USER_BACKEND_HANDLER (vring_kick);
/* What SET_VRING_CALL and SET_VRING_ERR said of @queue: is there a descriptor? */
void vhost_user_backend_set_call_kind (VhostUserBackend *backend, VhostQueue *queue, gboolean fd);
void vhost_user_backend_set_err_kind (VhostUserBackend *backend, VhostQueue *queue, gboolean fd);
void vhost_user_backend_call_queue (VhostBackend *backend, VhostQueue *queue);
void vhost_user_backend_report_broken (VhostBackend *backend, VhostQueue *queue);
void vhost_user_backend_resume_calls (VhostUserBackend *backend); /* there is a new channel */
