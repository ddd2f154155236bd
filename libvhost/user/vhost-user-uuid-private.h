/* SPDX-License-Identifier: BSD-3-Clause */
/* What names a shared object: 16 bytes in the order of RFC 4122. */
#pragma once

#include <gio/gio.h>
#include "user/vhost-user-wire-private.h"

/* Back-ends and front-ends keep no more than this of one connection. */
#define VHOST_USER_MAX_OBJECTS 256

/* The nil and the max UUID name nothing. */
gboolean vhost_user_uuid_check (const guint8 *uuid, gsize length, GError **error);
GBytes *vhost_user_uuid_new (const guint8 uuid[VHOST_USER_UUID_SIZE]); /* a key */
