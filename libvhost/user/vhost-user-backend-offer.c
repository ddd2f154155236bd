/* SPDX-License-Identifier: BSD-3-Clause */
/* Decides which protocol features are offered: those that the device has, and whose requests
 * somebody answers. Control thread. (vhost-user, “Protocol features”) */

#include "user/vhost-user-backend-extra-private.h"
#include "user/vhost-user-dependencies-private.h"

#define BIT(name) VHOST_BIT (VHOST_USER_PROTOCOL_FEATURE_##name)

static guint64
find_unserved (VhostUserBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (backend));
  gboolean net = priv->device_id == VHOST_DEVICE_ID_NETWORK;
  gboolean crypto = priv->device_id == VHOST_DEVICE_ID_CRYPTO;
  guint64 unserved = vhost_user_fs_get_hidden_features (backend->fs_dialect);

  if (priv->config_size == 0)
    unserved |= BIT (CONFIG);
  if (!net || !vhost_user_backend_hears_rarp (backend))
    unserved |= BIT (RARP);
  if (!net || !vhost_word_has (priv->features, VHOST_USER_NET_FEATURE_MTU))
    unserved |= BIT (MTU);
  if (!vhost_user_backend_has_shmem (backend))
    unserved |= BIT (SHMEM);
  if (!vhost_user_backend_can_transfer (backend))
    unserved |= BIT (DEVICE_STATE);
  if (!crypto || !vhost_user_backend_hears_crypto (backend))
    unserved |= BIT (CRYPTO_SESSION);
  return unserved;
}

gboolean
vhost_user_backend_can_translate (VhostUserBackend *backend)
{
  const guint64 needed = BIT (BACKEND_REQ) | BIT (REPLY_ACK);

  return (vhost_user_backend_get_offered_protocol (backend) & needed) == needed;
}

guint64
vhost_user_backend_choose_offer (VhostUserBackend *backend, guint64 features)
{
  features &= VHOST_USER_BACKEND_PROTOCOL_FEATURES | VHOST_USER_BACKEND_OPTIONAL_FEATURES;
  return vhost_user_protocol_features_drop_orphans (features & ~find_unserved (backend));
}
