/* SPDX-License-Identifier: BSD-3-Clause */
/* What a crypto session is to do, and its keys; read from and written to a payload that is made of
 * the structures of a 64-bit host. The pointers among them mean nothing here: they are not read,
 * and written as 0. (vhost-user, CREATE_CRYPTO_SESSION; VIRTIO 1.4, section 5.9.7.2) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-crypto-session-private.h"

/* VIRTIO_CRYPTO_…_CREATE_SESSION: the service in bits 8 and up, then the operation. */
#define SERVICE_AKCIPHER 4
#define CREATE_SESSION 2
#define CREATE_SESSION_AKCIPHER 4

#define OP_CODE_OFFSET 0
#define SESSION_ID_OFFSET (VHOST_USER_CRYPTO_SESSION_SIZE - 8)

enum {
  PROP_OP_CODE = 1,
  PROP_ALGORITHM,
  PROP_HASH_ALGORITHM,
  PROP_HASH_RESULT_LENGTH,
  PROP_ADDITIONAL_LENGTH,
  PROP_OP_TYPE,
  PROP_DIRECTION,
  PROP_HASH_MODE,
  PROP_CHAIN_ORDER,
  PROP_KEY_TYPE,
  PROP_PADDING_ALGORITHM,
  N_PROPERTIES,
};

/* Where a value lies. */
typedef struct {
  guint16 offset; /* 0: nowhere */
  guint16 width;
} Place;

static const struct {
  Place symmetric;
  Place asymmetric;
} places[N_PROPERTIES] = {
  [PROP_ALGORITHM] = { { 8, 4 }, { 8, 4 } },
  [PROP_HASH_ALGORITHM] = { { 16, 4 }, { 36, 4 } },
  [PROP_HASH_RESULT_LENGTH] = { { 20, 4 }, { 0, 0 } },
  [PROP_ADDITIONAL_LENGTH] = { { 28, 4 }, { 0, 0 } },
  [PROP_OP_TYPE] = { { 32, 1 }, { 0, 0 } },
  [PROP_DIRECTION] = { { 33, 1 }, { 0, 0 } },
  [PROP_HASH_MODE] = { { 34, 1 }, { 0, 0 } },
  [PROP_CHAIN_ORDER] = { { 35, 1 }, { 0, 0 } },
  [PROP_KEY_TYPE] = { { 0, 0 }, { 12, 4 } },
  [PROP_PADDING_ALGORITHM] = { { 0, 0 }, { 32, 4 } },
};

/* Where a key lies, and its length. */
typedef struct {
  const char *name;
  guint16 length_offset;
  guint16 offset;
  guint16 size;
} KeyPlace;

static const KeyPlace cipher_key = { "key", 12, 56, 64 };
static const KeyPlace auth_key = { "authentication key", 24, 120, 512 };
static const KeyPlace asymmetric_key = { "key", 16, 40, 1024 };

/**
 * VhostUserCryptoSession:
 *
 * What a driver asks of a crypto device before it sends data: an operation, its algorithms and its
 * keys. Numbers are those of the VIRTIO specification.
 *
 * A plain record; use it from one thread at a time.
 *
 * Since: 1.0
 */
struct _VhostUserCryptoSession {
  GObject parent_instance;

  guint32 values[N_PROPERTIES];
  GBytes *key;
  GBytes *auth_key;
};

G_DEFINE_FINAL_TYPE (VhostUserCryptoSession, vhost_user_crypto_session, G_TYPE_OBJECT)

static GParamSpec *properties[N_PROPERTIES];

static guint64
load_number (const VhostUserFrame *frame, Place place)
{
  guint64 u64 = 0;
  guint32 u32 = 0;
  const guint8 *at = frame->payload.bytes + place.offset;

  if (place.width == 1)
    return *at;
  if (place.width == 4) {
    memcpy (&u32, at, sizeof u32);
    return u32;
  }
  memcpy (&u64, at, sizeof u64);
  return u64;
}

static void
store_number (VhostUserFrame *frame, Place place, guint64 value)
{
  guint32 u32 = (guint32) value;
  guint8 *at = frame->payload.bytes + place.offset;

  if (place.width == 1)
    *at = (guint8) value;
  else if (place.width == 4)
    memcpy (at, &u32, sizeof u32);
  else
    memcpy (at, &value, sizeof value);
}

static gboolean
is_asymmetric (guint64 op_code)
{
  return op_code >> 8 == SERVICE_AKCIPHER;
}

/* The services of a session: cipher, hash, MAC, AEAD and AKCIPHER. */
static gboolean
check_op_code (guint64 op_code, GError **error)
{
  guint wanted = is_asymmetric (op_code) ? CREATE_SESSION_AKCIPHER : CREATE_SESSION;

  if (op_code >> 8 <= SERVICE_AKCIPHER && (op_code & 0xff) == wanted)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "op code 0x%" G_GINT64_MODIFIER "x creates no session", op_code);
}

static gboolean
load_key (const VhostUserFrame *frame, const KeyPlace *place, GBytes **key, GError **error)
{
  guint64 length = load_number (frame, (Place){ place->length_offset, 4 });

  if (length > place->size)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%s of %" G_GUINT64_FORMAT " bytes in a field of %u", place->name,
                            length, place->size);
  g_bytes_unref (*key);
  *key = g_bytes_new (frame->payload.bytes + place->offset, length);
  return TRUE;
}

static gboolean
store_key (VhostUserFrame *frame, const KeyPlace *place, GBytes *key, GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (key, &length);

  if (length > place->size)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%s of %" G_GSIZE_FORMAT " bytes; at most %u", place->name, length,
                            place->size);
  store_number (frame, (Place){ place->length_offset, 4 }, length);
  if (length > 0)
    memcpy (frame->payload.bytes + place->offset, data, length);
  return TRUE;
}

static Place
find_place (const VhostUserCryptoSession *session, guint property)
{
  return is_asymmetric (session->values[PROP_OP_CODE]) ? places[property].asymmetric
                                                       : places[property].symmetric;
}

VhostUserCryptoSession *
vhost_user_crypto_session_load (const VhostUserFrame *frame, GError **error)
{
  guint64 op_code = load_number (frame, (Place){ OP_CODE_OFFSET, 8 });
  g_autoptr (VhostUserCryptoSession) session = NULL;

  if (!check_op_code (op_code, error))
    return NULL;
  session = vhost_user_crypto_session_new ((guint) op_code);
  for (guint i = PROP_OP_CODE + 1; i < N_PROPERTIES; i++) {
    Place place = find_place (session, i);

    if (place.width > 0)
      session->values[i] = (guint32) load_number (frame, place);
  }
  if (is_asymmetric (op_code) ? !load_key (frame, &asymmetric_key, &session->key, error)
                              : !load_key (frame, &cipher_key, &session->key, error) ||
                                    !load_key (frame, &auth_key, &session->auth_key, error))
    return NULL;
  return g_steal_pointer (&session);
}

gboolean
vhost_user_crypto_session_store (VhostUserCryptoSession *session, VhostUserFrame *frame,
                                 GError **error)
{
  guint32 op_code = session->values[PROP_OP_CODE];

  if (!check_op_code (op_code, error))
    return FALSE;
  store_number (frame, (Place){ OP_CODE_OFFSET, 8 }, op_code);
  for (guint i = PROP_OP_CODE + 1; i < N_PROPERTIES; i++) {
    Place place = find_place (session, i);

    if (place.width > 0)
      store_number (frame, place, session->values[i]);
  }
  if (is_asymmetric (op_code))
    return store_key (frame, &asymmetric_key, session->key, error);
  return store_key (frame, &cipher_key, session->key, error) &&
         store_key (frame, &auth_key, session->auth_key, error);
}

gint64
vhost_user_crypto_session_load_id (const VhostUserFrame *frame)
{
  return (gint64) load_number (frame, (Place){ SESSION_ID_OFFSET, 8 });
}

void
vhost_user_crypto_session_store_id (VhostUserFrame *frame, gint64 id)
{
  store_number (frame, (Place){ SESSION_ID_OFFSET, 8 }, (guint64) id);
}

/**
 * vhost_user_crypto_session_new:
 * @op_code: the operation: `VIRTIO_CRYPTO_CIPHER_CREATE_SESSION` (2) or another `…_CREATE_SESSION`
 *
 * Makes a session without keys, all other values 0, for
 * [method@Vhost.UserFrontend.create_crypto_session].
 *
 * Returns: (transfer full): the session
 *
 * Since: 1.0
 */
VhostUserCryptoSession *
vhost_user_crypto_session_new (guint op_code)
{
  return g_object_new (VHOST_USER_TYPE_CRYPTO_SESSION, "op-code", op_code, NULL);
}

static guint8 *
copy_key (GBytes *key, gsize *length)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (key, &size);

  *length = size;
  return g_memdup2 (data, size);
}

static void
set_key (GBytes **key, const guint8 *data, gsize length)
{
  g_bytes_unref (*key);
  *key = g_bytes_new (data, length);
}

/**
 * vhost_user_crypto_session_get_key:
 * @session: a session
 * @length: (out): bytes returned
 *
 * Reads the key of the cipher, or the key of an asymmetric session.
 *
 * Returns: (transfer full) (array length=length) (nullable): the bytes; none when there is no key
 *
 * Since: 1.0
 */
guint8 *
vhost_user_crypto_session_get_key (VhostUserCryptoSession *session, gsize *length)
{
  g_return_val_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session), NULL);

  return copy_key (session->key, length);
}

/**
 * vhost_user_crypto_session_set_key:
 * @session: a session
 * @data: (array length=length): the bytes
 * @length: how many: up to 64, or 1024 in an asymmetric session
 *
 * Sets what [method@Vhost.UserCryptoSession.get_key] reads.
 *
 * Since: 1.0
 */
void
vhost_user_crypto_session_set_key (VhostUserCryptoSession *session, const guint8 *data,
                                   gsize length)
{
  g_return_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session));

  set_key (&session->key, data, length);
}

/**
 * vhost_user_crypto_session_get_auth_key:
 * @session: a session
 * @length: (out): bytes returned
 *
 * Reads the authentication key of a symmetric session.
 *
 * Returns: (transfer full) (array length=length) (nullable): the bytes; none when there is no key
 *
 * Since: 1.0
 */
guint8 *
vhost_user_crypto_session_get_auth_key (VhostUserCryptoSession *session, gsize *length)
{
  g_return_val_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session), NULL);

  return copy_key (session->auth_key, length);
}

/**
 * vhost_user_crypto_session_set_auth_key:
 * @session: a session
 * @data: (array length=length): the bytes
 * @length: how many: up to 512
 *
 * Sets what [method@Vhost.UserCryptoSession.get_auth_key] reads.
 *
 * Since: 1.0
 */
void
vhost_user_crypto_session_set_auth_key (VhostUserCryptoSession *session, const guint8 *data,
                                        gsize length)
{
  g_return_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session));

  set_key (&session->auth_key, data, length);
}

/**
 * vhost_user_crypto_session_is_asymmetric:
 * @session: a session
 *
 * Tells which kind of session it is: which of the properties mean something.
 *
 * Returns: whether the operation is of the AKCIPHER service
 *
 * Since: 1.0
 */
gboolean
vhost_user_crypto_session_is_asymmetric (VhostUserCryptoSession *session)
{
  g_return_val_if_fail (VHOST_USER_IS_CRYPTO_SESSION (session), FALSE);

  return is_asymmetric (session->values[PROP_OP_CODE]);
}

static void
vhost_user_crypto_session_finalize (GObject *object)
{
  VhostUserCryptoSession *session = VHOST_USER_CRYPTO_SESSION (object);

  g_bytes_unref (session->key);
  g_bytes_unref (session->auth_key);
  G_OBJECT_CLASS (vhost_user_crypto_session_parent_class)->finalize (object);
}

static void
vhost_user_crypto_session_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_value_set_uint (value, VHOST_USER_CRYPTO_SESSION (object)->values[id]);
}

static void
vhost_user_crypto_session_set_property (GObject *object, guint id, const GValue *value,
                                        GParamSpec *pspec)
{
  VHOST_USER_CRYPTO_SESSION (object)->values[id] = g_value_get_uint (value);
}

static GParamSpec *
new_number (const char *name, guint maximum)
{
  return g_param_spec_uint (name, NULL, NULL, 0, maximum, 0,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
}

static void
vhost_user_crypto_session_class_init (VhostUserCryptoSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = vhost_user_crypto_session_finalize;
  object_class->get_property = vhost_user_crypto_session_get_property;
  object_class->set_property = vhost_user_crypto_session_set_property;

  /**
   * VhostUserCryptoSession:op-code:
   *
   * The operation: a `VIRTIO_CRYPTO_…_CREATE_SESSION`.
   *
   * Since: 1.0
   */
  properties[PROP_OP_CODE] =
      g_param_spec_uint ("op-code", NULL, NULL, 0, G_MAXUINT, 0,
                         G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  /**
   * VhostUserCryptoSession:algorithm:
   *
   * The cipher, or the asymmetric algorithm.
   *
   * Since: 1.0
   */
  properties[PROP_ALGORITHM] = new_number ("algorithm", G_MAXUINT);
  /**
   * VhostUserCryptoSession:hash-algorithm:
   *
   * The hash or MAC, or the hash of RSA padding.
   *
   * Since: 1.0
   */
  properties[PROP_HASH_ALGORITHM] = new_number ("hash-algorithm", G_MAXUINT);
  /**
   * VhostUserCryptoSession:hash-result-length:
   *
   * Bytes of a hash. Not checked against its algorithm. Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_HASH_RESULT_LENGTH] = new_number ("hash-result-length", G_MAXUINT);
  /**
   * VhostUserCryptoSession:additional-length:
   *
   * Bytes of additional authenticated data; no array belongs to it. Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_ADDITIONAL_LENGTH] = new_number ("additional-length", G_MAXUINT);
  /**
   * VhostUserCryptoSession:op-type:
   *
   * A cipher alone (1), or chained with a hash (2). Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_OP_TYPE] = new_number ("op-type", G_MAXUINT8);
  /**
   * VhostUserCryptoSession:direction:
   *
   * Encrypt (1) or decrypt (2). Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_DIRECTION] = new_number ("direction", G_MAXUINT8);
  /**
   * VhostUserCryptoSession:hash-mode:
   *
   * Plain (1), with the authentication key (2) or nested (3). Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_HASH_MODE] = new_number ("hash-mode", G_MAXUINT8);
  /**
   * VhostUserCryptoSession:chain-order:
   *
   * Hash first (1) or cipher first (2). Symmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_CHAIN_ORDER] = new_number ("chain-order", G_MAXUINT8);
  /**
   * VhostUserCryptoSession:key-type:
   *
   * A public (1) or private (2) key. Asymmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_KEY_TYPE] = new_number ("key-type", G_MAXUINT);
  /**
   * VhostUserCryptoSession:padding-algorithm:
   *
   * Raw (0) or PKCS#1 (1). Asymmetric sessions only.
   *
   * Since: 1.0
   */
  properties[PROP_PADDING_ALGORITHM] = new_number ("padding-algorithm", G_MAXUINT);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_user_crypto_session_init (VhostUserCryptoSession *session)
{
  session->key = g_bytes_new (NULL, 0);
  session->auth_key = g_bytes_new (NULL, 0);
}
