/* SPDX-License-Identifier: BSD-3-Clause */
/* The two booleans of each ring, started and enabled, and what must have been said before it can
 * start, in whatever order it is said. Control thread. (vhost-user, “Ring states”; VIRTIO 1.4,
 * section 2.6) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "endpoint/vhost-backend-private.h"

VhostVring *
vhost_backend_find_vring (VhostBackend *backend, guint64 index, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (index < priv->n_queues)
    return &priv->vrings[index];
  vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                   "queue %" G_GUINT64_FORMAT " of a device that has %u", index, priv->n_queues);
  return NULL;
}

gboolean
vhost_backend_any_started (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; i < priv->n_queues; i++) {
    if (vhost_queue_is_started (priv->vrings[i].queue))
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_stopped (VhostVring *vring, GError **error)
{
  if (!vhost_queue_is_started (vring->queue))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u is running",
                          vhost_queue_get_index (vring->queue));
}

static gboolean
is_packed (VhostBackend *backend)
{
  return vhost_backend_has_feature (backend, VHOST_FEATURE_RING_PACKED);
}

gboolean
vhost_vring_set_num (VhostBackend *backend, VhostVring *vring, guint num, GError **error)
{
  if (!check_stopped (vring, error))
    return FALSE;
  if (num == 0 || num > 32768 || (!is_packed (backend) && (num & (num - 1)) != 0))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "a %s ring of %u descriptors; a %s up to 32768 is needed",
                            is_packed (backend) ? "packed" : "split", num,
                            is_packed (backend) ? "number" : "power of two");
  vring->setup.size = num;
  vring->has_num = TRUE;
  if (vring->start_wanted)
    vhost_vring_start_pending (backend, vring);
  return TRUE;
}

gboolean
vhost_vring_set_base (VhostBackend *backend, VhostVring *vring, guint32 base, GError **error)
{
  if (!check_stopped (vring, error))
    return FALSE;
  if (!is_packed (backend) && base > G_MAXUINT16)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "base 0x%x of a split ring is more than 16 bits", base);
  vring->setup.base = base;
  return TRUE;
}

static gboolean
check_alignment (const VhostQueueSetup *addr, GError **error)
{
  if (addr->desc % 16 == 0 && addr->avail % (addr->packed ? 4 : 2) == 0 && addr->used % 4 == 0)
    return TRUE;
  return vhost_set_error (
      error, VHOST_ERROR_BAD_ADDRESS,
      "ring at 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER
      "x: descriptors, available and used ring need 16, 2 and 4 bytes alignment",
      addr->desc, addr->avail, addr->used);
}

/* While the ring runs only its log flag may change. */
static gboolean
check_running_addr (VhostVring *vring, const VhostQueueSetup *addr, GError **error)
{
  if (!vhost_queue_is_started (vring->queue))
    return TRUE;
  if (addr->desc == vring->setup.desc && addr->avail == vring->setup.avail &&
      addr->used == vring->setup.used)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u is running: its ring cannot move",
                          vhost_queue_get_index (vring->queue));
}

gboolean
vhost_vring_set_addr (VhostBackend *backend, VhostVring *vring, const VhostQueueSetup *addr,
                      guint flags, guint64 log, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  VhostQueueSetup wanted = vring->setup;

  wanted.packed = is_packed (backend);
  wanted.kind = priv->iotlb != NULL ? VHOST_ADDRESS_GUEST : addr->kind;
  wanted.desc = addr->desc;
  wanted.avail = addr->avail;
  wanted.used = addr->used;
  if (flags > 1)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "unknown ring flags 0x%x", flags);
  if (!check_alignment (&wanted, error) || !check_running_addr (vring, addr, error))
    return FALSE;
  if (vring->has_num && priv->memory != NULL && priv->iotlb == NULL &&
      !vhost_queue_check_setup (&wanted, priv->memory, error))
    return FALSE;
  vring->setup = wanted;
  vring->flags = flags;
  vring->log = log;
  vring->has_addr = TRUE;
  vhost_vring_update_log (backend, vring);
  if (vring->start_wanted)
    vhost_vring_start_pending (backend, vring);
  return TRUE;
}

static gboolean
is_complete (VhostBackend *backend, VhostVring *vring)
{
  return vring->has_num && vring->has_addr && vhost_backend_get_memory (backend) != NULL &&
         vhost_vring_is_within_reach (backend, vring);
}

static gboolean
start_now (VhostBackend *backend, VhostVring *vring, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  vring->setup.packed = is_packed (backend);
  vring->setup.event_idx = vhost_word_has (priv->acked, VHOST_FEATURE_EVENT_IDX);
  vring->setup.indirect = vhost_word_has (priv->acked, VHOST_FEATURE_INDIRECT_DESC);
  vring->setup.inflight = priv->inflight;
  if (!vhost_queue_start (vring->queue, &vring->setup, vhost_backend_get_view (backend),
                          priv->reactor, error))
    return FALSE;
  vring->start_wanted = FALSE;
  if (priv->config_announced) {
    priv->config_announced = FALSE;
    VHOST_BACKEND_GET_CLASS (backend)->config_changed (backend);
  }
  vhost_backend_emit_queue (backend, vring->queue, TRUE);
  return TRUE;
}

gboolean
vhost_vring_start (VhostBackend *backend, VhostVring *vring, int kick_fd, GError **error)
{
  VHOST_AUTO_FD fd = kick_fd;

  if (fd >= 0 && !vhost_fd_check_event (fd, error))
    return FALSE;
  vring->setup.packed = is_packed (backend);
  if (!vhost_queue_is_started (vring->queue) && is_complete (backend, vring) &&
      !vhost_queue_check_setup (&vring->setup, vhost_backend_get_view (backend), error))
    return FALSE;
  vhost_queue_take_kick_fd (vring->queue, vhost_fd_steal (&fd));
  if (vhost_queue_is_started (vring->queue))
    return TRUE;
  vring->start_wanted = TRUE;
  return !is_complete (backend, vring) || start_now (backend, vring, error);
}

void
vhost_vring_start_pending (VhostBackend *backend, VhostVring *vring)
{
  g_autoptr (GError) error = NULL;

  if (is_complete (backend, vring) && !start_now (backend, vring, &error))
    vhost_backend_report_failure (backend, error);
}

void
vhost_vring_set_enabled (VhostVring *vring, gboolean enabled)
{
  vhost_queue_set_enabled (vring->queue, enabled);
}

gboolean
vhost_vring_stop (VhostBackend *backend, VhostVring *vring)
{
  gboolean drained;

  vring->start_wanted = FALSE;
  if (!vhost_queue_is_started (vring->queue))
    return TRUE;
  vring->stopping = TRUE;
  drained = vhost_queue_stop (vring->queue);
  vhost_backend_emit_queue (backend, vring->queue, FALSE);
  return drained || vhost_queue_get_n_in_flight (vring->queue) == 0;
}

guint32
vhost_vring_finish_stop (VhostBackend *backend, VhostVring *vring)
{
  guint lost;

  if (vring->stopping) {
    vring->stopping = FALSE;
    lost = vhost_queue_finish_stop (vring->queue);
    vring->setup.base = vhost_queue_get_base (vring->queue);
    if (lost > 0)
      g_info ("queue %u was stopped with %u buffers that nobody gave back",
              vhost_queue_get_index (vring->queue), lost);
  }
  vhost_queue_take_kick_fd (vring->queue, -1);
  vhost_queue_take_call_fd (vring->queue, -1);
  vhost_backend_flush_idle_iotlb (backend);
  return vring->setup.base;
}

void
vhost_backend_stop_vrings (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; priv->vrings != NULL && i < priv->n_queues; i++) {
    VhostVring *vring = &priv->vrings[i];

    vhost_vring_stop (backend, vring);
    vhost_queue_forget_tracking (vring->queue); /* what is left is for the next session */
    vhost_vring_finish_stop (backend, vring);
    vhost_vring_set_enabled (vring, FALSE);
    *vring = (VhostVring){ .queue = vring->queue };
    vhost_vring_update_log (backend, vring);
  }
}

void
vhost_backend_take_inflight (VhostBackend *backend, VhostInflightArea *area)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (VhostInflightArea) old = g_steal_pointer (&priv->inflight);

  priv->inflight = area;
}
