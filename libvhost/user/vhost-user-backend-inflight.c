/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight area as the front-end asks for it and hands it over: made here once, kept there,
 * given to each process that serves the device. Its layout hangs on the ring format, so features
 * come first. Control thread. (vhost-user, “Inflight I/O tracking”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

static gboolean
check_request (VhostUserBackend *backend, const VhostUserInflightArea *wanted, GError **error)
{
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));

  if (!backend->features_set)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_FEATURES must come first");
  if (wanted->num_queues > n_queues)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%u queues of a device that has %u",
                            wanted->num_queues, n_queues);
  return TRUE;
}

static VhostInflightArea *
map_area (VhostUserBackend *backend, const VhostUserInflightArea *area, int fd, GError **error)
{
  gboolean packed = vhost_backend_has_feature (VHOST_BACKEND (backend), VHOST_FEATURE_RING_PACKED);

  return vhost_inflight_area_new (fd, area->mmap_offset, area->mmap_size, packed, area->num_queues,
                                  area->queue_size, error);
}

gboolean
vhost_user_backend_get_inflight_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                    VhostUserFrame *reply, GError **error)
{
  VhostUserInflightArea made = { .num_queues = frame->payload.inflight.num_queues,
                                 .queue_size = frame->payload.inflight.queue_size };
  gboolean packed = vhost_backend_has_feature (VHOST_BACKEND (backend), VHOST_FEATURE_RING_PACKED);
  VHOST_AUTO_FD fd = -1;
  VhostInflightArea *area;

  if (!check_request (backend, &made, error))
    return FALSE;
  made.mmap_size = vhost_inflight_area_get_bytes (packed, made.num_queues, made.queue_size, error);
  if (made.mmap_size == 0)
    return FALSE;
  fd = vhost_inflight_area_make_file (made.mmap_size, error);
  area = fd >= 0 ? map_area (backend, &made, fd, error) : NULL;
  if (area == NULL)
    return FALSE;
  vhost_backend_take_inflight (VHOST_BACKEND (backend), area);
  reply->payload.inflight = made;
  reply->fds.n = 1;
  reply->fds.fd[0] = vhost_fd_steal (&fd);
  return TRUE;
}

gboolean
vhost_user_backend_set_inflight_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                    VhostUserFrame *reply, GError **error)
{
  const VhostUserInflightArea *given = &frame->payload.inflight;
  VhostInflightArea *area;

  if (!check_request (backend, given, error))
    return FALSE;
  area = map_area (backend, given, frame->fds.fd[0], error);
  if (area == NULL)
    return FALSE;
  vhost_backend_take_inflight (VHOST_BACKEND (backend), area);
  return TRUE;
}

gboolean
vhost_user_backend_may_leave_in_flight (VhostUserBackend *backend, VhostVring *vring)
{
  return vhost_word_has (backend->acked_protocol,
                         VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT) &&
         vhost_queue_is_tracked (vring->queue);
}
