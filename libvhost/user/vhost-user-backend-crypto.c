/* SPDX-License-Identifier: BSD-3-Clause */
/* Crypto sessions, which the application makes and ends. Only hosts of 64 bits have the payload
 * that others have. Control thread. (vhost-user, CREATE_CRYPTO_SESSION and CLOSE_CRYPTO_SESSION) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"
#include "user/vhost-user-crypto-session-private.h"

static guint signal_create;
static guint signal_close;

gboolean
vhost_user_backend_hears_crypto (VhostUserBackend *backend)
{
  return GLIB_SIZEOF_VOID_P == 8 && g_signal_has_handler_pending (backend, signal_create, 0, FALSE);
}

/* The answer is the request with a session number. */
static void
echo (const VhostUserFrame *frame, VhostUserFrame *reply, gint64 id)
{
  memcpy (reply->payload.bytes, frame->payload.bytes, frame->size);
  reply->size = frame->size;
  vhost_user_crypto_session_store_id (reply, id);
}

gboolean
vhost_user_backend_fail_crypto (const VhostUserFrame *frame, VhostUserFrame *reply)
{
  if (frame->size != VHOST_USER_CRYPTO_SESSION_SIZE)
    return FALSE;
  echo (frame, reply, -1);
  return TRUE;
}

gboolean
vhost_user_backend_create_crypto_session (VhostUserBackend *backend, VhostUserFrame *frame,
                                          VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostUserCryptoSession) session = vhost_user_crypto_session_load (frame, error);
  gint64 id = 0;

  if (session == NULL)
    return FALSE;
  g_signal_emit (backend, signal_create, 0, session, &id);
  if (id <= 0)
    return vhost_set_error (error, VHOST_ERROR_REFUSED, "the device made no session");
  echo (frame, reply, id);
  return TRUE;
}

gboolean
vhost_user_backend_close_crypto_session (VhostUserBackend *backend, VhostUserFrame *frame,
                                         VhostUserFrame *reply, GError **error)
{
  guint64 id = frame->payload.u64;
  gboolean closed = FALSE;

  if (id > 0 && id <= G_MAXINT64)
    g_signal_emit (backend, signal_close, 0, (gint64) id, &closed);
  if (closed)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "there is no session %" G_GUINT64_FORMAT, id);
}

void
vhost_user_backend_install_crypto (void)
{
  /**
   * VhostUserBackend::create-crypto-session:
   * @backend: the back-end
   * @session: what the session is to do; its lengths have been checked against the arrays they
   * belong to, its algorithms have not
   *
   * The driver wants a session. The CRYPTO_SESSION protocol feature is offered when the device is a
   * crypto device, the host has 64 bits, and somebody has connected to this signal. Sessions that
   * are left over end with [signal@Vhost.Backend::disconnected].
   *
   * Returns: the number of the new session, greater than 0; anything else refuses it
   *
   * Since: 1.0
   */
  signal_create = g_signal_new ("create-crypto-session", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST,
                                0, g_signal_accumulator_first_wins, NULL, NULL, G_TYPE_INT64, 1,
                                VHOST_USER_TYPE_CRYPTO_SESSION);
  /**
   * VhostUserBackend::close-crypto-session:
   * @backend: the back-end
   * @id: number of the session
   *
   * The driver is done with a session.
   *
   * Returns: %FALSE when there is no such session
   *
   * Since: 1.0
   */
  signal_close =
      g_signal_new ("close-crypto-session", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0,
                    g_signal_accumulator_first_wins, NULL, NULL, G_TYPE_BOOLEAN, 1, G_TYPE_INT64);
}
