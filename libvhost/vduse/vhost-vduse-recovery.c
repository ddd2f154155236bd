/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the file in which the queues record what is in flight, so that the process that opens the
 * device next knows what to do again. Its layout is that of vhost-user's inflight area. Control
 * thread. (vhost-user, “Inflight I/O tracking”) */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "ring/vhost-inflight-area-private.h"
#include "vduse/vhost-vduse-backend-private.h"

gboolean
vhost_vduse_backend_open_record (VhostVduseBackend *backend, GError **error)
{
  VHOST_AUTO_FD fd = -1;

  if (backend->recovery_file == NULL)
    return TRUE;
  fd = open (backend->recovery_file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (fd < 0)
    return vhost_set_error_from_errno (error, errno, "cannot open the recovery file %s",
                                       backend->recovery_file);
  if (flock (fd, LOCK_EX | LOCK_NB) < 0)
    return vhost_set_error_from_errno (error, errno == EWOULDBLOCK ? EBUSY : errno,
                                       "cannot lock the recovery file %s", backend->recovery_file);
  backend->recovery_fd = vhost_fd_steal (&fd);
  return TRUE;
}

void
vhost_vduse_backend_close_record (VhostVduseBackend *backend)
{
  vhost_fd_clear (&backend->recovery_fd);
}

/* Whether there is a whole record already. A file that is too short grows, with zeros. */
static gboolean
prepare_file (VhostVduseBackend *backend, guint64 size, gboolean *whole, GError **error)
{
  struct stat status;

  if (fstat (backend->recovery_fd, &status) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot look at the recovery file %s",
                                       backend->recovery_file);
  *whole = (guint64) status.st_size >= size;
  if (*whole || ftruncate (backend->recovery_fd, (off_t) size) == 0)
    return TRUE;
  return vhost_set_error_from_errno (error, errno, "cannot make room in the recovery file %s",
                                     backend->recovery_file);
}

gboolean
vhost_vduse_backend_use_record (VhostVduseBackend *backend, gboolean *resuming, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  guint n_queues = vhost_backend_get_n_queues (base);
  gboolean packed = vhost_backend_has_feature (base, VHOST_FEATURE_RING_PACKED);
  guint64 size = vhost_inflight_area_get_bytes (packed, n_queues, backend->queue_size, error);
  VhostInflightArea *area;
  gboolean whole;

  if (backend->recovery_fd < 0) {
    *resuming = FALSE;
    return TRUE;
  }
  if (size == 0 || !prepare_file (backend, size, &whole, error))
    return FALSE;
  area = vhost_inflight_area_new (backend->recovery_fd, 0, size, packed, n_queues,
                                  backend->queue_size, error);
  if (area == NULL)
    return FALSE;
  *resuming = *resuming && whole;
  if (!*resuming)
    vhost_inflight_area_blank (area);
  vhost_backend_take_inflight (base, area);
  return TRUE;
}
