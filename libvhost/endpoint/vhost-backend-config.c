/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of a served device: at most 256 bytes, of which a driver may write some.
 * Control thread. (VIRTIO 1.4, section 2.5; vhost-user, GET_CONFIG and SET_CONFIG) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "endpoint/vhost-backend-private.h"

/**
 * vhost_backend_set_config:
 * @backend: a backend
 * @data: (array length=length): the whole configuration space, little endian
 * @length: bytes; at most 256
 *
 * Sets the configuration space. What the driver may have read is not told to it: see
 * [method@Vhost.Backend.announce_config].
 *
 * Since: 1.0
 */
void
vhost_backend_set_config (VhostBackend *backend, const guint8 *data, gsize length)
{
  VhostBackendPrivate *priv;

  g_return_if_fail (VHOST_IS_BACKEND (backend));
  g_return_if_fail (length <= VHOST_BACKEND_MAX_CONFIG);

  priv = vhost_backend_get_private (backend);
  memset (priv->config, 0, sizeof priv->config);
  if (length > 0)
    memcpy (priv->config, data, length);
  priv->config_size = length;
}

/**
 * vhost_backend_get_config:
 * @backend: a backend
 * @length: (out): bytes returned
 *
 * Copies the whole configuration space.
 *
 * Returns: (transfer full) (array length=length): the bytes, with what the driver
 *   wrote
 *
 * Since: 1.0
 */
guint8 *
vhost_backend_get_config (VhostBackend *backend, gsize *length)
{
  VhostBackendPrivate *priv;

  g_return_val_if_fail (VHOST_IS_BACKEND (backend), NULL);

  priv = vhost_backend_get_private (backend);
  *length = priv->config_size;
  return g_memdup2 (priv->config, MAX (priv->config_size, 1));
}

/**
 * vhost_backend_set_config_writable:
 * @backend: a backend
 * @offset: first byte
 * @size: bytes
 *
 * Lets the driver write to a part of the configuration space. Nothing is writable from the start.
 *
 * Since: 1.0
 */
void
vhost_backend_set_config_writable (VhostBackend *backend, gsize offset, gsize size)
{
  g_return_if_fail (VHOST_IS_BACKEND (backend));
  g_return_if_fail (offset <= VHOST_BACKEND_MAX_CONFIG &&
                    size <= VHOST_BACKEND_MAX_CONFIG - offset);

  memset (vhost_backend_get_private (backend)->config_writable + offset, 1, size);
}

/**
 * vhost_backend_announce_config:
 * @backend: a backend
 *
 * Tells the front-end that the configuration space changed, so that the guest reads it again. While
 * all queues are stopped nothing may be said: then it is said when the first one starts.
 *
 * Since: 1.0
 */
void
vhost_backend_announce_config (VhostBackend *backend)
{
  VhostBackendPrivate *priv;

  g_return_if_fail (VHOST_IS_BACKEND (backend));

  priv = vhost_backend_get_private (backend);
  priv->config_announced = !vhost_backend_any_started (backend);
  if (!priv->config_announced)
    VHOST_BACKEND_GET_CLASS (backend)->config_changed (backend);
}

static gboolean
check_range (VhostBackendPrivate *priv, guint offset, guint size, GError **error)
{
  if (size > 0 && offset <= priv->config_size && size <= priv->config_size - offset)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "%u bytes at %u of a configuration space of %" G_GSIZE_FORMAT " bytes",
                          size, offset, priv->config_size);
}

gboolean
vhost_backend_read_config (VhostBackend *backend, guint offset, guint size, guint8 *data,
                           GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  vhost_backend_emit_config (backend, FALSE, offset, size);
  if (!check_range (priv, offset, size, error))
    return FALSE;
  memcpy (data, priv->config + offset, size);
  return TRUE;
}

gboolean
vhost_backend_write_config (VhostBackend *backend, guint offset, guint size, const guint8 *data,
                            gboolean migration, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (!check_range (priv, offset, size, error))
    return FALSE;
  for (guint i = offset; !migration && i < offset + size; i++) {
    if (!priv->config_writable[i])
      return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                              "byte %u of the configuration space is read-only", i);
  }
  memcpy (priv->config + offset, data, size);
  vhost_backend_emit_config (backend, TRUE, offset, size);
  return TRUE;
}
