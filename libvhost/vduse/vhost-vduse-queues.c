/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues as the driver left them in the kernel: read there when DRIVER_OK comes, or when a process
 * takes over from one that died; and the memory they lie in. Control thread. (<linux/vduse.h>,
 * VDUSE_VQ_GET_INFO; VIRTIO 1.4, section 3.1.1) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "vduse/vhost-vduse-backend-private.h"

#define ACCESS_PLATFORM VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM)

/* A packed ring has no index to go on at: it is for devices that record what is in flight. */
guint64
vhost_vduse_backend_get_offered (VhostVduseBackend *backend)
{
  guint64 features = vhost_backend_get_private (VHOST_BACKEND (backend))->features;

  if (backend->recovery_file == NULL)
    features &= ~VHOST_BIT (VHOST_FEATURE_RING_PACKED);
  return features | ACCESS_PLATFORM;
}

/* ACCESS_PLATFORM is between the kernel and us: nobody has to be asked for translations. */
gboolean
vhost_vduse_backend_accept_features (VhostVduseBackend *backend, GError **error)
{
  guint64 offered = vhost_vduse_backend_get_offered (backend);
  guint64 accepted;

  return vhost_vduse_node_get_features (&backend->node, &accepted, error) &&
         vhost_backend_accept_features (VHOST_BACKEND (backend), offered & ~ACCESS_PLATFORM,
                                        accepted & ~ACCESS_PLATFORM, error);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static gboolean
extend (VhostVduseBackend *backend, VhostMemory **memory, guint64 address, GError **error)
{
  VhostMemory *sum = vhost_vduse_memory_extend (*memory, &backend->node, address, error);

  if (sum == NULL)
    return FALSE;
  vhost_memory_unref (*memory);
  *memory = sum;
  return TRUE;
}

static gboolean
map_ring (VhostVduseBackend *backend, VhostMemory **memory, guint64 desc, guint64 avail,
          guint64 used, GError **error)
{
  return extend (backend, memory, desc, error) && extend (backend, memory, avail, error) &&
         extend (backend, memory, used, error);
}

/* The rings are looked up at once, or they would rest until somebody else needs their pages. */
void
vhost_vduse_backend_update_memory (VhostVduseBackend *backend, guint64 first, guint64 last)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (VHOST_BACKEND (backend));
  VhostMemory *memory;

  if (priv->memory == NULL)
    return;
  memory = vhost_vduse_memory_forget (priv->memory, first, last);
  for (guint i = 0; i < priv->n_queues; i++) {
    const VhostQueueSetup *setup = &priv->vrings[i].setup;
    g_autoptr (GError) error = NULL;

    if (vhost_queue_is_started (priv->vrings[i].queue) &&
        !map_ring (backend, &memory, setup->desc, setup->avail, setup->used, &error))
      g_info ("queue %u rests: %s", i, error->message);
  }
  vhost_backend_take_memory (VHOST_BACKEND (backend), memory);
}

gboolean
vhost_vduse_backend_find_memory (VhostBackend *base, guint64 address, guint access)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (base);
  VhostMemory *before = vhost_backend_get_memory (base);
  g_autoptr (VhostMemory) memory = NULL;
  const VhostSpan *hint = NULL;
  g_autoptr (GError) error = NULL;
  guint64 contiguous;

  memory = vhost_vduse_memory_extend (before, &backend->node, address, &error);
  if (memory == NULL) {
    g_info ("%s", error->message);
    return FALSE;
  }
  if (vhost_memory_find_guest (memory, &hint, address, access, &contiguous) == NULL)
    return FALSE;
  if (memory != before)
    vhost_backend_take_memory (base, g_steal_pointer (&memory));
  return TRUE;
}

void
vhost_vduse_backend_forget_memory (VhostVduseBackend *backend)
{
  vhost_backend_take_memory (VHOST_BACKEND (backend), vhost_vduse_memory_new ());
}

/* --- Where a queue goes on -------------------------------------------------------------------- */

guint32
vhost_vduse_get_base (const struct vduse_vq_info *info, gboolean packed)
{
  const struct vduse_vq_state_packed *state = &info->packed;

  if (!packed)
    return info->split.avail_index;
  return (state->last_avail_idx & 0x7fffu) | (state->last_avail_counter & 1u) << 15 |
         (state->last_used_idx & 0x7fffu) << 16 | (guint32) (state->last_used_counter & 1u) << 31;
}

/* What was used is done; the kernel knows only where the driver began. */
static gboolean
find_resume_base (VhostMemory *memory, const struct vduse_vq_info *info, gboolean packed,
                  guint32 *base, GError **error)
{
  guint8 *host;
  guint16 index;

  if (packed)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "queue %u: a packed ring goes on from a whole recovery file only",
                            info->index);
  host = vhost_memory_find_range (memory, VHOST_ADDRESS_GUEST, info->device_addr, 4);
  if (host == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "queue %u: used ring at 0x%" G_GINT64_MODIFIER "x is not mapped",
                            info->index, (guint64) info->device_addr);
  memcpy (&index, host + 2, sizeof index);
  *base = GUINT16_FROM_LE (index);
  return TRUE;
}

/* --- Starting --------------------------------------------------------------------------------- */

static gboolean
start_queue (VhostVduseBackend *backend, const struct vduse_vq_info *info, guint32 start,
             GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  VhostVring *vring = vhost_backend_find_vring (base, info->index, error);
  const VhostQueueSetup ring = { .kind = VHOST_ADDRESS_GUEST,
                                 .desc = info->desc_addr,
                                 .avail = info->driver_addr,
                                 .used = info->device_addr };
  VHOST_AUTO_FD kick = vhost_fd_new_event (error);

  if (kick < 0 || !vhost_vring_set_num (base, vring, info->num, error) ||
      !vhost_vring_set_base (base, vring, start, error) ||
      !vhost_vring_set_addr (base, vring, &ring, 0, 0, error) ||
      !vhost_vduse_node_set_kick (&backend->node, info->index, kick, error))
    return FALSE;
  vhost_queue_call_in_band (vring->queue);
  if (!vhost_vring_start (base, vring, vhost_fd_steal (&kick), error))
    return FALSE;
  vhost_vring_set_enabled (vring, TRUE);
  return TRUE;
}

static gboolean
start_ready_queue (VhostVduseBackend *backend, const struct vduse_vq_info *info, gboolean resuming,
                   gboolean recorded, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  VhostQueue *queue = vhost_backend_get_queue (base, info->index);
  gboolean packed = vhost_backend_has_feature (base, VHOST_FEATURE_RING_PACKED);
  guint32 start = vhost_vduse_get_base (info, packed);

  if (!info->ready || vhost_queue_is_started (queue))
    return TRUE;
  if (resuming && !recorded &&
      !find_resume_base (vhost_backend_get_memory (base), info, packed, &start, error))
    return FALSE;
  if (!start_queue (backend, info, start, error))
    return FALSE;
  if (resuming)
    vhost_vduse_backend_interrupt (base, queue); /* the one before may have used buffers silently */
  return TRUE;
}

static struct vduse_vq_info *
read_queues (VhostVduseBackend *backend, GError **error)
{
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));
  g_autofree struct vduse_vq_info *infos = g_new0 (struct vduse_vq_info, n_queues);

  for (guint i = 0; i < n_queues; i++) {
    if (!vhost_vduse_node_get_queue (&backend->node, i, &infos[i], error))
      return NULL;
  }
  return g_steal_pointer (&infos);
}

gboolean
vhost_vduse_backend_is_running (VhostVduseBackend *backend, gboolean *running, GError **error)
{
  g_autofree struct vduse_vq_info *infos = read_queues (backend, error);

  if (infos == NULL)
    return FALSE;
  *running = FALSE;
  for (guint i = 0; i < vhost_backend_get_n_queues (VHOST_BACKEND (backend)); i++)
    *running |= infos[i].ready != 0;
  return TRUE;
}

static VhostMemory *
map_rings (VhostVduseBackend *backend, const struct vduse_vq_info *infos, guint n, GError **error)
{
  g_autoptr (VhostMemory) memory = vhost_vduse_memory_new ();

  for (guint i = 0; i < n; i++) {
    if (infos[i].ready && !map_ring (backend, &memory, infos[i].desc_addr, infos[i].driver_addr,
                                     infos[i].device_addr, error)) {
      g_prefix_error (error, "queue %u: ", i);
      return NULL;
    }
  }
  return g_steal_pointer (&memory);
}

gboolean
vhost_vduse_backend_start_queues (VhostVduseBackend *backend, gboolean resuming, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  guint n = vhost_backend_get_n_queues (base);
  g_autofree struct vduse_vq_info *infos = read_queues (backend, error);
  gboolean recorded = resuming;
  VhostMemory *memory;

  if (infos == NULL || !vhost_vduse_backend_use_record (backend, &recorded, error))
    return FALSE;
  memory = map_rings (backend, infos, n, error);
  if (memory == NULL)
    return FALSE;
  vhost_backend_take_memory (base, memory);
  for (guint i = 0; i < n; i++) {
    if (!start_ready_queue (backend, &infos[i], resuming, recorded, error))
      return FALSE;
  }
  return TRUE;
}
