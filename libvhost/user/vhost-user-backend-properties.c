/* SPDX-License-Identifier: BSD-3-Clause */
/* The properties of a vhost-user back-end, and what they are at first. */

#include "user/vhost-user-backend-private.h"
#include <libvhost/vhost-enum-types.h>

#define DEFAULT_TIMEOUT_MS 10000
#define STATE_TIMEOUT_MS 60000

enum {
  PROP_PROTOCOL_FEATURES = 1,
  PROP_ACKED_PROTOCOL_FEATURES,
  PROP_TIMEOUT,
  PROP_DRAIN_TIMEOUT,
  PROP_RECONNECT_INTERVAL,
  PROP_FS_DIALECT,
  PROP_STATE_TIMEOUT,
  PROP_MAX_MTU,
  PROP_MTU,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (object);

  switch (id) {
  case PROP_PROTOCOL_FEATURES:
    g_value_set_uint64 (value, backend->offered_protocol);
    break;
  case PROP_ACKED_PROTOCOL_FEATURES:
    g_value_set_uint64 (value, backend->acked_protocol);
    break;
  case PROP_TIMEOUT:
    g_value_set_uint (value, backend->timeout);
    break;
  case PROP_DRAIN_TIMEOUT:
    g_value_set_uint (value, backend->drain_timeout);
    break;
  case PROP_RECONNECT_INTERVAL:
    g_value_set_uint (value, backend->reconnect_interval);
    break;
  case PROP_FS_DIALECT:
    g_value_set_enum (value, backend->fs_dialect);
    break;
  case PROP_STATE_TIMEOUT:
    g_value_set_uint (value, backend->transfer.timeout);
    break;
  case PROP_MAX_MTU:
    g_value_set_uint (value, backend->max_mtu);
    break;
  case PROP_MTU:
    g_value_set_uint (value, backend->mtu);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (object);

  switch (id) {
  case PROP_PROTOCOL_FEATURES:
    backend->offered_protocol = g_value_get_uint64 (value);
    break;
  case PROP_TIMEOUT:
    backend->timeout = g_value_get_uint (value);
    break;
  case PROP_DRAIN_TIMEOUT:
    backend->drain_timeout = g_value_get_uint (value);
    break;
  case PROP_RECONNECT_INTERVAL:
    backend->reconnect_interval = g_value_get_uint (value);
    break;
  case PROP_FS_DIALECT:
    if (backend->connection == NULL)
      backend->fs_dialect = g_value_get_enum (value);
    break;
  case PROP_STATE_TIMEOUT:
    backend->transfer.timeout = g_value_get_uint (value);
    break;
  case PROP_MAX_MTU:
    backend->max_mtu = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

void
vhost_user_backend_install_properties (GObjectClass *object_class)
{
  const GParamFlags writable = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;

  /**
   * VhostUserBackend:protocol-features:
   *
   * Bits of [enum@Vhost.UserProtocolFeature] that may be offered. Those that need something the
   * device does not have, as CONFIG without a configuration space, are left out. With LOG_SHMFD
   * goes the feature LOG_ALL, and a device without it cannot migrate.
   * INBAND_NOTIFICATIONS, XEN_MMAP and CROSS_ENDIAN are not among them from the start: QEMU would
   * accept the first two and then not keep to them, and of the last only little-endian rings are
   * served.
   *
   * Since: 1.0
   */
  properties[PROP_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("protocol-features", NULL, NULL, 0, G_MAXUINT64,
                           VHOST_USER_BACKEND_PROTOCOL_FEATURES, writable);
  /**
   * VhostUserBackend:acked-protocol-features:
   *
   * The protocol features in use; 0 before they are negotiated.
   *
   * Since: 1.0
   */
  properties[PROP_ACKED_PROTOCOL_FEATURES] =
      g_param_spec_uint64 ("acked-protocol-features", NULL, NULL, 0, G_MAXUINT64, 0,
                           G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostUserBackend:timeout:
   *
   * How long a front-end may take to finish a message it began, or to read an answer, in
   * milliseconds. In force from the next connection on.
   *
   * Since: 1.0
   */
  properties[PROP_TIMEOUT] =
      g_param_spec_uint ("timeout", NULL, NULL, 1, G_MAXINT, DEFAULT_TIMEOUT_MS, writable);
  /**
   * VhostUserBackend:drain-timeout:
   *
   * How long a queue that is being stopped waits for buffers in flight, in milliseconds. What was
   * fetched last and not pushed by then goes back to the ring; anything else is given up.
   *
   * Since: 1.0
   */
  properties[PROP_DRAIN_TIMEOUT] =
      g_param_spec_uint ("drain-timeout", NULL, NULL, 1, G_MAXINT, DEFAULT_TIMEOUT_MS, writable);
  /**
   * VhostUserBackend:reconnect-interval:
   *
   * Whether [method@Vhost.UserBackend.open] connects again after the front-end has left, and waits
   * for one that does not listen yet: the pause between two attempts, in milliseconds. It doubles
   * from attempt to attempt, up to one second. 0, as from the start, is off. In force from the next
   * open() on.
   *
   * Since: 1.0
   */
  properties[PROP_RECONNECT_INTERVAL] =
      g_param_spec_uint ("reconnect-interval", NULL, NULL, 0, G_MAXINT, 0, writable);
  /**
   * VhostUserBackend:fs-dialect:
   *
   * Which draft's numbers [method@Vhost.UserBackend.fs_request_async] uses. The features whose
   * requests these numbers hide are not offered. Cannot be changed while a front-end is connected.
   *
   * Since: 1.0
   */
  properties[PROP_FS_DIALECT] = g_param_spec_enum (
      "fs-dialect", NULL, NULL, VHOST_TYPE_USER_FS_DIALECT, VHOST_USER_FS_DIALECT_NONE, writable);
  /**
   * VhostUserBackend:state-timeout:
   *
   * How long the front-end's question whether the transfer of the internal state succeeded waits
   * for [method@Vhost.UserBackend.complete_transfer], in milliseconds. Then the transfer has
   * failed.
   *
   * Since: 1.0
   */
  properties[PROP_STATE_TIMEOUT] =
      g_param_spec_uint ("state-timeout", NULL, NULL, 1, G_MAXINT, STATE_TIMEOUT_MS, writable);
  /**
   * VhostUserBackend:max-mtu:
   *
   * The largest MTU that a network card takes, in bytes: what NET_SET_MTU asks beyond it, or below
   * 68, is refused. The MTU protocol feature is offered when the device is a network card that
   * offers the MTU feature (bit 3).
   *
   * Since: 1.0
   */
  properties[PROP_MAX_MTU] =
      g_param_spec_uint ("max-mtu", NULL, NULL, 68, G_MAXUINT16, G_MAXUINT16, writable);
  /**
   * VhostUserBackend:mtu:
   *
   * The MTU that the front-end has set, in bytes; 0 when it has not.
   *
   * Since: 1.0
   */
  properties[PROP_MTU] = g_param_spec_uint ("mtu", NULL, NULL, 0, G_MAXUINT16, 0,
                                            G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  object_class->get_property = get_property;
  object_class->set_property = set_property;
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}
