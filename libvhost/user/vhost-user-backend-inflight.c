/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight area as the front-end asks for it and hands it over: made here once, kept there,
 * given to each process that serves the device. Its layout hangs on the ring format: an area that
 * comes before the features has room for either. Control thread. (vhost-user, “Inflight I/O
 * tracking”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

static gboolean
check_request (VhostUserBackend *backend, const VhostUserInflightArea *wanted, GError **error)
{
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));

  if (wanted->num_queues > n_queues)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%u queues of a device that has %u",
                            wanted->num_queues, n_queues);
  return TRUE;
}

/* The format of the rings; before the features are known the one that needs more room, if it is
 * offered at all. */
static gboolean
may_be_packed (VhostUserBackend *backend)
{
  if (backend->features_set)
    return vhost_backend_has_feature (VHOST_BACKEND (backend), VHOST_FEATURE_RING_PACKED);
  return vhost_word_has (vhost_user_backend_get_offered (backend), VHOST_FEATURE_RING_PACKED);
}

static gboolean
take_area (VhostUserBackend *backend, const VhostUserInflightArea *wanted, gboolean packed, int fd,
           GError **error)
{
  VhostInflightArea *area =
      vhost_inflight_area_new (fd, wanted->mmap_offset, wanted->mmap_size, packed,
                               wanted->num_queues, wanted->queue_size, error);

  if (area == NULL)
    return FALSE;
  g_clear_pointer (&backend->early_area, vhost_inflight_area_unref);
  if (!backend->features_set && packed) {
    area->undecided = TRUE;
    backend->early_area = vhost_inflight_area_ref (area);
  }
  vhost_backend_take_inflight (VHOST_BACKEND (backend), area);
  return TRUE;
}

void
vhost_user_backend_decide_inflight (VhostUserBackend *backend)
{
  g_autoptr (VhostInflightArea) area = g_steal_pointer (&backend->early_area);

  if (area != NULL)
    vhost_inflight_area_decide (area, may_be_packed (backend));
}

gboolean
vhost_user_backend_get_inflight_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                    VhostUserFrame *reply, GError **error)
{
  VhostUserInflightArea made = { .num_queues = frame->payload.inflight.num_queues,
                                 .queue_size = frame->payload.inflight.queue_size };
  gboolean packed = may_be_packed (backend);
  VHOST_AUTO_FD fd = -1;

  if (!check_request (backend, &made, error))
    return FALSE;
  made.mmap_size = vhost_inflight_area_get_bytes (packed, made.num_queues, made.queue_size, error);
  if (made.mmap_size == 0)
    return FALSE;
  fd = vhost_inflight_area_make_file (made.mmap_size, error);
  if (fd < 0 || !take_area (backend, &made, packed, fd, error))
    return FALSE;
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
  gboolean packed = may_be_packed (backend);

  if (!backend->features_set && packed) /* one that was made for split rings is taken as that */
    packed = given->mmap_size >=
             vhost_inflight_area_get_bytes (TRUE, given->num_queues, given->queue_size, NULL);
  return check_request (backend, given, error) &&
         take_area (backend, given, packed, frame->fds.fd[0], error);
}

gboolean
vhost_user_backend_may_leave_in_flight (VhostUserBackend *backend, VhostVring *vring)
{
  return vhost_word_has (backend->acked_protocol,
                         VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT) &&
         vhost_queue_is_tracked (vring->queue);
}
