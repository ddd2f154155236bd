/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the table of which protocol feature needs which. Constant data, any thread. (vhost-user,
 * “Protocol features”, “In-band notifications”) */

#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-dependencies-private.h"

#define BIT(name) VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_##name)

static const struct {
  guint bit;
  guint64 needs;
} dependencies[] = {
  { VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS, BIT (REPLY_ACK) | BIT (BACKEND_REQ) },
  { VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT, BIT (INFLIGHT_SHMFD) },
};

static guint64
find_missing (guint64 features, gsize row)
{
  return vhost_word_has (features, dependencies[row].bit) ? dependencies[row].needs & ~features : 0;
}

guint64
vhost_user_protocol_features_drop_orphans (guint64 features)
{
  for (gsize i = 0; i < G_N_ELEMENTS (dependencies); i++) {
    if (find_missing (features, i) != 0)
      features &= ~VHOST_BIT (dependencies[i].bit);
  }
  return features;
}

gboolean
vhost_user_protocol_features_check (guint64 features, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (dependencies); i++) {
    guint64 missing = find_missing (features, i);
    g_autofree char *names = NULL;

    if (missing == 0)
      continue;
    names = vhost_user_protocol_features_to_string (missing);
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s without %s",
                            vhost_user_protocol_feature_get_name (dependencies[i].bit), names);
  }
  return TRUE;
}
