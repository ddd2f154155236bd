/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the mapping of an inflight area: one region for each queue, all of one size. The numbers and
 * the file come from the front-end; the SIGBUS guard stands behind the mapping. Immutable once its
 * format is decided, but for what the queues write into it; any thread. (vhost-user, “Inflight I/O
 * tracking”) */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "ring/vhost-inflight-area-private.h"
#include "ring/vhost-inflight-private.h"

guint64
vhost_inflight_area_get_bytes (gboolean packed, guint n_queues, guint queue_size, GError **error)
{
  if (n_queues == 0 || n_queues > VHOST_INFLIGHT_MAX_QUEUES || queue_size == 0 ||
      queue_size > VHOST_RING_MAX_SIZE) {
    vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                     "%u queues of %u descriptors; 1 to %d of 1 to %d are possible", n_queues,
                     queue_size, VHOST_INFLIGHT_MAX_QUEUES, VHOST_RING_MAX_SIZE);
    return 0;
  }
  return (guint64) n_queues * vhost_inflight_get_stride (packed, queue_size);
}

int
vhost_inflight_area_make_file (guint64 size, GError **error)
{
  VHOST_AUTO_FD fd = memfd_create ("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd < 0 || ftruncate (fd, (off_t) size) < 0 ||
      fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    vhost_set_error_from_errno (
        error, errno, "cannot make an inflight area of %" G_GUINT64_FORMAT " bytes", size);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

VhostInflightArea *
vhost_inflight_area_new (int fd, guint64 offset, guint64 size, gboolean packed, guint n_queues,
                         guint queue_size, GError **error)
{
  g_autoptr (VhostInflightArea) area = NULL;
  guint64 needed = vhost_inflight_area_get_bytes (packed, n_queues, queue_size, error);

  if (needed == 0)
    return NULL;
  if (size < needed || offset % 8 != 0) {
    vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                     "inflight area of %" G_GUINT64_FORMAT " bytes at offset %" G_GUINT64_FORMAT
                     "; %u queues of %u need %" G_GUINT64_FORMAT " at a multiple of 8",
                     size, offset, n_queues, queue_size, needed);
    return NULL;
  }
  area = g_new0 (VhostInflightArea, 1);
  g_atomic_ref_count_init (&area->ref_count);
  area->packed = packed;
  area->n_queues = n_queues;
  area->queue_size = queue_size;
  area->memory = vhost_memory_region_map (0, needed, 0, fd, offset, error);
  if (area->memory == NULL) {
    g_prefix_error (error, "inflight area: ");
    return NULL;
  }
  return g_steal_pointer (&area);
}

void
vhost_inflight_area_decide (VhostInflightArea *area, gboolean packed)
{
  if (area->undecided)
    area->packed = packed;
  area->undecided = FALSE;
}

VhostInflightArea *
vhost_inflight_area_ref (VhostInflightArea *area)
{
  g_atomic_ref_count_inc (&area->ref_count);
  return area;
}

void
vhost_inflight_area_unref (VhostInflightArea *area)
{
  if (!g_atomic_ref_count_dec (&area->ref_count))
    return;
  g_clear_pointer (&area->memory, vhost_memory_region_unref);
  g_free (area);
}

gpointer
vhost_inflight_area_get_region (VhostInflightArea *area, guint index)
{
  gsize stride = vhost_inflight_get_stride (area->packed, area->queue_size);

  return index < area->n_queues ? area->memory->host + index * stride : NULL;
}

gboolean
vhost_inflight_area_is_broken (VhostInflightArea *area)
{
  return g_atomic_int_get (&area->memory->broken) != 0;
}

void
vhost_inflight_area_blank (VhostInflightArea *area)
{
  for (guint i = 0; i < area->n_queues; i++)
    vhost_inflight_blank (vhost_inflight_area_get_region (area, i), area->packed);
}
