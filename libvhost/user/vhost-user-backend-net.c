/* SPDX-License-Identifier: BSD-3-Clause */
/* What only a network card is told: to announce a MAC after a migration, and how large packets may
 * be. Control thread. (vhost-user, SEND_RARP and NET_SET_MTU) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"

#define MIN_MTU 68 /* VIRTIO 1.4, section 5.1.4.1 */

static guint signal_rarp;

gboolean
vhost_user_backend_hears_rarp (VhostUserBackend *backend)
{
  return g_signal_has_handler_pending (backend, signal_rarp, 0, FALSE);
}

gboolean
vhost_user_backend_send_rarp (VhostUserBackend *backend, VhostUserFrame *frame,
                              VhostUserFrame *reply, GError **error)
{
  const guint8 *mac = frame->payload.bytes;
  g_autofree char *text = g_strdup_printf ("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                                           mac[3], mac[4], mac[5]);

  if ((mac[0] & 1) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s is no address of one card", text);
  g_signal_emit (backend, signal_rarp, 0, text);
  return TRUE;
}

gboolean
vhost_user_backend_net_set_mtu (VhostUserBackend *backend, VhostUserFrame *frame,
                                VhostUserFrame *reply, GError **error)
{
  guint64 mtu = frame->payload.u64;

  if (mtu < MIN_MTU || mtu > backend->max_mtu)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "an MTU of %" G_GUINT64_FORMAT " bytes; possible are %u to %u", mtu,
                            MIN_MTU, backend->max_mtu);
  backend->mtu = (guint) mtu;
  g_object_notify (G_OBJECT (backend), "mtu");
  return TRUE;
}

void
vhost_user_backend_install_net (void)
{
  /**
   * VhostUserBackend::rarp:
   * @backend: the back-end
   * @mac: the guest's MAC: "52:54:00:12:34:56"
   *
   * The guest has moved here: broadcast a RARP packet with @mac as its sender, so that switches
   * learn where it is. The RARP protocol feature is offered when the device is a network card and
   * somebody has connected to this signal.
   *
   * Since: 1.0
   */
  signal_rarp = g_signal_new ("rarp", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                              NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}
