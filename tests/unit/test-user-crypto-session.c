/* SPDX-License-Identifier: BSD-3-Clause */
/* The payload of a crypto session: what any bytes are read as, and what is written. */

#include <string.h>
#include "user/vhost-user-crypto-session-private.h"

#define CIPHER 0x002
#define AKCIPHER 0x404

static void
init_frame (VhostUserFrame *frame, guint64 op_code)
{
  vhost_user_frame_init (frame, VHOST_USER_FRONTEND_CODE_CREATE_CRYPTO_SESSION, 0,
                         VHOST_USER_CRYPTO_SESSION_SIZE);
  memcpy (frame->payload.bytes, &op_code, sizeof op_code);
}

/* Whatever comes, keys are inside their fields, and what was read is what is written. */
static void
test_any_bytes (void)
{
  const guint32 op_codes[] = { CIPHER, 0x102, 0x202, 0x302, AKCIPHER };
  VhostUserFrame frame = { 0 }, copy = { 0 };
  guint n_loaded = 0;

  for (guint round = 0; round < 20000; round++) {
    guint32 length = (guint32) g_test_rand_int () >> g_test_rand_int_range (0, 32);
    g_autoptr (VhostUserCryptoSession) session = NULL;
    g_autoptr (VhostUserCryptoSession) again = NULL;
    g_autofree guint8 *key = NULL, *auth_key = NULL, *key_again = NULL;
    gsize size, auth_size, size_again;

    init_frame (&frame, op_codes[round % G_N_ELEMENTS (op_codes)]);
    for (guint i = 8; i < VHOST_USER_CRYPTO_SESSION_SIZE; i++)
      frame.payload.bytes[i] = (guint8) g_test_rand_int ();
    for (guint offset = 12; offset <= 24; offset += 4)
      memcpy (frame.payload.bytes + offset, &length, sizeof length);
    session = vhost_user_crypto_session_load (&frame, NULL);
    if (session == NULL)
      continue;
    n_loaded++;
    key = vhost_user_crypto_session_get_key (session, &size);
    auth_key = vhost_user_crypto_session_get_auth_key (session, &auth_size);
    g_assert_cmpuint (size, ==, length);
    g_assert_cmpuint (auth_size, <=, 512);
    g_assert_cmpuint (size, <=, vhost_user_crypto_session_is_asymmetric (session) ? 1024 : 64);
    init_frame (&copy, 0);
    g_assert_true (vhost_user_crypto_session_store (session, &copy, NULL));
    again = vhost_user_crypto_session_load (&copy, NULL);
    key_again = vhost_user_crypto_session_get_key (again, &size_again);
    g_assert_cmpmem (key, size, key_again, size_again);
  }
  g_assert_cmpuint (n_loaded, >, 1000);
  g_assert_cmpuint (n_loaded, <, 19000);
}

static void
test_lies (void)
{
  const struct {
    guint64 op_code;
    guint offset;
    guint32 most;
  } rows[] = { { CIPHER, 12, 64 }, { CIPHER, 24, 512 }, { AKCIPHER, 16, 1024 } };
  VhostUserFrame frame = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    for (guint32 surplus = 0; surplus < 2; surplus++) {
      guint32 length = rows[i].most + surplus;
      g_autoptr (GError) error = NULL;
      g_autoptr (VhostUserCryptoSession) session = NULL;

      init_frame (&frame, rows[i].op_code);
      memcpy (frame.payload.bytes + rows[i].offset, &length, sizeof length);
      session = vhost_user_crypto_session_load (&frame, &error);
      g_assert_cmpint (session == NULL, ==, surplus > 0);
      g_assert_cmpint (error != NULL, ==, surplus > 0);
    }
  }
}

static void
test_session_number (void)
{
  const gint64 ids[] = { 0, 1, -1, G_MAXINT64, G_MININT64 };
  VhostUserFrame frame = { 0 };

  init_frame (&frame, CIPHER);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    vhost_user_crypto_session_store_id (&frame, ids[i]);
    g_assert_cmpint (vhost_user_crypto_session_load_id (&frame), ==, ids[i]);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/user-crypto-session/any-bytes", test_any_bytes);
  g_test_add_func ("/user-crypto-session/lies", test_lies);
  g_test_add_func ("/user-crypto-session/session-number", test_session_number);
  return g_test_run ();
}
