/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver is told of a network card. */
#pragma once

#include "endpoint/vhost-backend-private.h"

/* @mac: six hexadecimal bytes with colons between them; NULL: the driver makes one up. @mtu: 0: not
 * said. FALSE when @mac is none, and nothing has changed. */
gboolean vhost_net_config_offer (VhostBackend *backend, const char *mac, guint mtu, GError **error);

/* The kernel fills in checksums and cuts segments. */
void vhost_net_config_offer_offloads (VhostBackend *backend);

/* Features of a card that were accepted, as a word. */
guint64 vhost_net_config_get_accepted (VhostBackend *backend);
