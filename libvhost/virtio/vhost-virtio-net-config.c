/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of a network card, and its features.
 *
 * Owns nothing. Control thread. (VIRTIO 1.4, sections 5.1.3 and 5.1.4) */

#include "virtio/vhost-virtio-net-config-private.h"

#include <stdio.h>
#include "core/vhost-error-private.h"

/* Little endian. */
typedef struct {
  guint8 mac[6];
  guint16 status;
  guint16 max_virtqueue_pairs;
  guint16 mtu;
} Config;

G_STATIC_ASSERT (sizeof (Config) == 12);

#define STATUS_LINK_UP 1

static gboolean
parse_mac (const char *text, guint8 *mac, GError **error)
{
  guint bytes[6];
  int end = 0;

  if (sscanf (text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
              &bytes[4], &bytes[5], &end) != 6 ||
      end != 17 || text[end] != '\0' || (bytes[0] & 1) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "“%s” is not the MAC address of one card", text);
  for (guint i = 0; i < 6; i++)
    mac[i] = (guint8) bytes[i];
  return TRUE;
}

gboolean
vhost_net_config_offer (VhostBackend *backend, const char *mac, guint mtu, GError **error)
{
  guint n_pairs = vhost_backend_get_n_queues (backend) / 2;
  Config config = {
    .status = GUINT16_TO_LE (STATUS_LINK_UP),
    .max_virtqueue_pairs = GUINT16_TO_LE ((guint16) n_pairs),
    .mtu = GUINT16_TO_LE ((guint16) mtu),
  };

  if (mac != NULL && !parse_mac (mac, config.mac, error))
    return FALSE;
  vhost_backend_set_config (backend, (const guint8 *) &config, sizeof config);
  vhost_backend_add_feature (backend, VHOST_NET_FEATURE_MRG_RXBUF);
  vhost_backend_add_feature (backend, VHOST_NET_FEATURE_STATUS);
  if (mac != NULL)
    vhost_backend_add_feature (backend, VHOST_NET_FEATURE_MAC);
  if (mtu > 0)
    vhost_backend_add_feature (backend, VHOST_NET_FEATURE_MTU);
  if (n_pairs > 1)
    vhost_backend_add_feature (backend, VHOST_NET_FEATURE_MQ);
  return TRUE;
}

static const VhostNetFeature offloads[] = {
  VHOST_NET_FEATURE_CSUM,       VHOST_NET_FEATURE_HOST_TSO4,  VHOST_NET_FEATURE_HOST_TSO6,
  VHOST_NET_FEATURE_HOST_ECN,   VHOST_NET_FEATURE_GUEST_CSUM, VHOST_NET_FEATURE_GUEST_TSO4,
  VHOST_NET_FEATURE_GUEST_TSO6, VHOST_NET_FEATURE_GUEST_ECN,
};

void
vhost_net_config_offer_offloads (VhostBackend *backend)
{
  for (guint i = 0; i < G_N_ELEMENTS (offloads); i++)
    vhost_backend_add_feature (backend, offloads[i]);
}

guint64
vhost_net_config_get_accepted (VhostBackend *backend)
{
  return vhost_backend_get_private (backend)->acked;
}
