/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells of the hardware behind a device, which the front-end maps for the guest. Control
 * thread. (vhost-user, VRING_HOST_NOTIFIER_MSG) */

#include <unistd.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"

static gboolean
check_queue (VhostUserBackend *backend, VhostQueue *queue, GError **error)
{
  guint index = vhost_queue_get_index (queue);

  return vhost_backend_get_queue (VHOST_BACKEND (backend), index) == queue ||
         vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "VRING_HOST_NOTIFIER_MSG: queue %u is another device's", index);
}

static gboolean
check_area (int fd, guint64 offset, guint64 size, GError **error)
{
  guint64 page = (guint64) sysconf (_SC_PAGESIZE);

  if (fd >= 0 && size == page && offset % page == 0 && offset <= G_MAXINT64 - size)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "VRING_HOST_NOTIFIER_MSG: 0x%" G_GINT64_MODIFIER
                          "x bytes at 0x%" G_GINT64_MODIFIER
                          "x of descriptor %d; one page of 0x%" G_GINT64_MODIFIER "x it must be",
                          size, offset, fd, page);
}

/**
 * vhost_user_backend_set_host_notifier:
 * @backend: a back-end
 * @queue: one of its queues
 * @fd: a descriptor that can be mapped, as that of a VFIO device; it stays the caller's
 * @offset: where in @fd the doorbell is; a multiple of the page size
 * @size: bytes of it: the page size
 * @error: return location
 *
 * Asks the front-end to map a doorbell of the hardware for the guest, so that kicks of @queue no
 * longer pass through the front-end. Does not wait: [signal@Vhost.UserBackend::request-refused] is
 * emitted if the front-end will not, and kicks go on to come as before. Needs a running queue: a
 * suspended device says nothing.
 *
 * Returns: %TRUE when the request was sent, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED,
 *   %VHOST_ERROR_DISCONNECTED, %VHOST_ERROR_BAD_STATE when no queue runs, %VHOST_ERROR_QUEUE_FULL
 *   or %VHOST_ERROR_INVALID_VALUE
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_set_host_notifier (VhostUserBackend *backend, VhostQueue *queue, int fd,
                                      guint64 offset, guint64 size, GError **error)
{
  VhostUserFrame frame = { 0 };

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);
  g_return_val_if_fail (VHOST_IS_QUEUE (queue), FALSE);

  if (!check_queue (backend, queue, error) || !check_area (fd, offset, size, error))
    return FALSE;
  vhost_user_frame_init (&frame, VHOST_USER_BACKEND_CODE_VRING_HOST_NOTIFIER_MSG,
                         VHOST_USER_FLAGS_VERSION, sizeof frame.payload.area);
  frame.payload.area = (VhostUserVringArea){ vhost_queue_get_index (queue), size, offset };
  frame.fds = (VhostFdSet){ .n = 1, .fd = { fd } }; /* borrowed: the frame is not cleared */
  return vhost_user_backend_send (backend, &frame, TRUE, vhost_user_backend_report_refusal, NULL,
                                  error);
}

/**
 * vhost_user_backend_remove_host_notifier:
 * @backend: a back-end
 * @queue: one of its queues
 * @error: return location
 *
 * Takes back what [method@Vhost.UserBackend.set_host_notifier] asked for, while a queue runs.
 *
 * Returns: %TRUE when the request was sent, or %FALSE with an error
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_remove_host_notifier (VhostUserBackend *backend, VhostQueue *queue,
                                         GError **error)
{
  VhostUserFrame frame = { 0 };

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);
  g_return_val_if_fail (VHOST_IS_QUEUE (queue), FALSE);

  if (!check_queue (backend, queue, error))
    return FALSE;
  vhost_user_frame_init (&frame, VHOST_USER_BACKEND_CODE_VRING_HOST_NOTIFIER_MSG,
                         VHOST_USER_FLAGS_VERSION, sizeof frame.payload.area);
  frame.payload.area.index = vhost_queue_get_index (queue) | VHOST_USER_VRING_NOFD;
  return vhost_user_backend_send (backend, &frame, TRUE, vhost_user_backend_report_refusal, NULL,
                                  error);
}
