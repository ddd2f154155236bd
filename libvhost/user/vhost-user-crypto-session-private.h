/* SPDX-License-Identifier: BSD-3-Clause */
/* A crypto session and the 1072 bytes that describe it on the wire. */
#pragma once

#include <gio/gio.h>
#include "user/vhost-user-crypto-session.h"
#include "user/vhost-user-wire-private.h"

/* Fails when a length lies, or the kind of session is not known. @frame is of the right size. */
VhostUserCryptoSession *vhost_user_crypto_session_load (const VhostUserFrame *frame,
                                                        GError **error);

/* Writes the payload of @frame, whose session number stays 0. Fails when a key is too long. */
gboolean vhost_user_crypto_session_store (VhostUserCryptoSession *session, VhostUserFrame *frame,
                                          GError **error);

gint64 vhost_user_crypto_session_load_id (const VhostUserFrame *frame);
void vhost_user_crypto_session_store_id (VhostUserFrame *frame, gint64 id);
