/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what is known of UUIDs: which are valid. Pure functions, any thread. (vhost-user,
 * “VhostUserShared”; RFC 9562, “Nil UUID”, “Max UUID”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-uuid-private.h"

static gboolean
is_filled_with (const guint8 *uuid, guint8 byte)
{
  for (guint i = 0; i < VHOST_USER_UUID_SIZE; i++) {
    if (uuid[i] != byte)
      return FALSE;
  }
  return TRUE;
}

gboolean
vhost_user_uuid_check (const guint8 *uuid, gsize length, GError **error)
{
  if (length != VHOST_USER_UUID_SIZE)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "a UUID of %" G_GSIZE_FORMAT " bytes, must be 16", length);
  if (is_filled_with (uuid, 0) || is_filled_with (uuid, 0xff))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "the %s UUID names no object",
                            uuid[0] == 0 ? "nil" : "max");
  return TRUE;
}

GBytes *
vhost_user_uuid_new (const guint8 uuid[VHOST_USER_UUID_SIZE])
{
  return g_bytes_new (uuid, VHOST_USER_UUID_SIZE);
}
