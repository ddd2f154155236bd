/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that only one kind of device knows, and that no other transport has: network cards and
 * crypto devices. One thread. (vhost-user, SEND_RARP, NET_SET_MTU, CREATE_CRYPTO_SESSION,
 * CLOSE_CRYPTO_SESSION) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-crypto-session-private.h"
#include "user/vhost-user-frontend-private.h"

#define MAC_SIZE 6

static gboolean
call_number (VhostUserFrontend *frontend, VhostUserFrontendCode code, guint64 number,
             GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.u64);
  frame.payload.u64 = number;
  return vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

/* "52:54:00:12:34:56" and nothing else. */
static gboolean
parse_mac (const char *text, guint8 mac[MAC_SIZE], GError **error)
{
  const char *at = text;

  for (guint i = 0; i < MAC_SIZE; i++) {
    if (!g_ascii_isxdigit (at[0]) || !g_ascii_isxdigit (at[1]) ||
        at[2] != (i < MAC_SIZE - 1 ? ':' : '\0'))
      return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "SEND_RARP: “%s” is no MAC", text);
    mac[i] = (guint8) (g_ascii_xdigit_value (at[0]) << 4 | g_ascii_xdigit_value (at[1]));
    at += 3;
  }
  return TRUE;
}

/**
 * vhost_user_frontend_send_rarp:
 * @frontend: a front-end
 * @mac: the guest's MAC: "52:54:00:12:34:56"
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Has a network card announce, after a migration, that the guest is now here.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_REFUSED,
 *   %VHOST_ERROR_INVALID_VALUE when @mac is none, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_send_rarp (VhostUserFrontend *frontend, const char *mac,
                               GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);
  g_return_val_if_fail (mac != NULL, FALSE);

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SEND_RARP,
                                    sizeof frame.payload.u64);
  return parse_mac (mac, frame.payload.bytes, error) &&
         vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

/**
 * vhost_user_frontend_set_mtu:
 * @frontend: a front-end
 * @mtu: bytes
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Tells a network card the largest packet that the guest will send.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_REFUSED when the device
 *   cannot do it, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_set_mtu (VhostUserFrontend *frontend, guint mtu, GCancellable *cancellable,
                             GError **error)
{
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  return call_number (frontend, VHOST_USER_FRONTEND_CODE_NET_SET_MTU, mtu, cancellable, error);
}

/**
 * vhost_user_frontend_create_crypto_session:
 * @frontend: a front-end
 * @session: what the session is to do
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Makes a session of a crypto device.
 *
 * Returns: the number of the session; -1 with %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_REFUSED
 * when the device cannot do it, %VHOST_ERROR_INVALID_VALUE when @session is not valid, or another
 * error
 *
 * Since: 1.0
 */
gint64
vhost_user_frontend_create_crypto_session (VhostUserFrontend *frontend,
                                           VhostUserCryptoSession *session,
                                           GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };
  gint64 id;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), -1);
  g_return_val_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session), -1);

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_CREATE_CRYPTO_SESSION,
                                    VHOST_USER_CRYPTO_SESSION_SIZE);
  if (!vhost_user_crypto_session_store (session, &frame, error)) {
    g_prefix_error (error, "CREATE_CRYPTO_SESSION: ");
    return -1;
  }
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error))
    return -1;
  id = vhost_user_crypto_session_load_id (&reply);
  if (id >= 0)
    return id;
  vhost_set_error (error, VHOST_ERROR_REFUSED, "CREATE_CRYPTO_SESSION: the back-end refused");
  return -1;
}

/**
 * vhost_user_frontend_close_crypto_session:
 * @frontend: a front-end
 * @id: number of the session
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Ends a session of a crypto device.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_REFUSED when the device has no such session, or
 * another error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_close_crypto_session (VhostUserFrontend *frontend, gint64 id,
                                          GCancellable *cancellable, GError **error)
{
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  return call_number (frontend, VHOST_USER_FRONTEND_CODE_CLOSE_CRYPTO_SESSION, (guint64) id,
                      cancellable, error);
}
