/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_CRYPTO_SESSION (vhost_user_crypto_session_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserCryptoSession, vhost_user_crypto_session, VHOST_USER, CRYPTO_SESSION,
                      GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserCryptoSession *vhost_user_crypto_session_new (guint op_code);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_crypto_session_get_key (VhostUserCryptoSession *session, gsize *length);

VHOST_AVAILABLE_IN_1_0
void vhost_user_crypto_session_set_key (VhostUserCryptoSession *session, const guint8 *data,
                                        gsize length);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_crypto_session_get_auth_key (VhostUserCryptoSession *session, gsize *length);

VHOST_AVAILABLE_IN_1_0
void vhost_user_crypto_session_set_auth_key (VhostUserCryptoSession *session, const guint8 *data,
                                             gsize length);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_crypto_session_is_asymmetric (VhostUserCryptoSession *session);

G_END_DECLS
