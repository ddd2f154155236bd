/* SPDX-License-Identifier: BSD-3-Clause */
/* Dirty logging of a device: there is a log, LOG_ALL is in use, and each ring says for itself
 * whether its own writes count. Any of them may change at any time; the queues go on. Control
 * thread. (vhost-user, “Migration”) */

#include "core/vhost-fd-private.h"
#include "endpoint/vhost-backend-private.h"

#define FLAG_LOG 1 /* of a ring's address */

static VhostDirtyLog *
get_log (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  return vhost_word_has (priv->acked, VHOST_FEATURE_LOG_ALL) ? priv->log : NULL;
}

void
vhost_vring_update_log (VhostBackend *backend, VhostVring *vring)
{
  VhostDirtyLog *pages = get_log (backend);
  const VhostQueueLog log = {
    .pages = pages,
    .ring = pages != NULL && (vring->flags & FLAG_LOG) != 0,
    .ring_address = vring->log,
    .behind_iommu = vhost_backend_has_feature (backend, VHOST_FEATURE_ACCESS_PLATFORM),
    .tell = vhost_backend_get_private (backend)->log_fd >= 0,
  };

  vhost_queue_set_log (vring->queue, &log);
}

void
vhost_backend_update_logs (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; i < priv->n_queues; i++)
    vhost_vring_update_log (backend, &priv->vrings[i]);
}

/* No queue marks the old log any more when this returns. */
void
vhost_backend_take_log (VhostBackend *backend, VhostDirtyLog *log)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (VhostDirtyLog) old = g_steal_pointer (&priv->log);

  priv->log = log;
  vhost_backend_update_logs (backend);
  if (old != NULL)
    priv->n_unlogged += vhost_dirty_log_get_n_missed (old);
}

void
vhost_backend_take_log_fd (VhostBackend *backend, int fd)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  VHOST_AUTO_FD old = priv->log_fd;

  priv->log_fd = fd;
  vhost_backend_update_logs (backend);
}

void
vhost_backend_tell_logged (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->log_fd >= 0)
    vhost_fd_signal_event (priv->log_fd);
}

void
vhost_backend_forget_log (VhostBackend *backend)
{
  vhost_backend_take_log (backend, NULL);
  vhost_backend_take_log_fd (backend, -1);
  vhost_backend_get_private (backend)->n_unlogged = 0;
}

GParamSpec *
vhost_backend_make_log_property (void)
{
  /**
   * VhostBackend:unlogged-pages:
   *
   * How many pages of guest memory were written in this session and lie beyond the end of the dirty
   * log. More than 0 after a migration says that the front-end's log was too short.
   *
   * Since: 1.0
   */
  return g_param_spec_uint64 ("unlogged-pages", NULL, NULL, 0, G_MAXUINT64, 0,
                              G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
}

guint64
vhost_backend_get_n_unlogged (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  return priv->n_unlogged + (priv->log != NULL ? vhost_dirty_log_get_n_missed (priv->log) : 0);
}

/**
 * vhost_backend_mark_dirty:
 * @backend: a backend
 * @guest_address: guest physical address of the first byte
 * @length: bytes
 *
 * Tells a migration that the device has written to guest memory. Needed only for what is not
 * written through a chain, and after it was written; does nothing while nobody migrates.
 *
 * Since: 1.0
 */
void
vhost_backend_mark_dirty (VhostBackend *backend, guint64 guest_address, guint64 length)
{
  VhostDirtyLog *log;

  g_return_if_fail (VHOST_IS_BACKEND (backend));

  log = get_log (backend);
  if (log == NULL)
    return;
  vhost_dirty_log_mark (log, guest_address, length);
  vhost_backend_tell_logged (backend);
}
