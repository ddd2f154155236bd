/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells of the hardware behind a back-end, which it asks to have mapped for the guest. One
 * thread. (vhost-user, VRING_HOST_NOTIFIER_MSG) */

#include <unistd.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

static guint signal_host_notifier;

static gboolean
check_area (const VhostUserVringArea *area, GError **error)
{
  guint64 page = (guint64) sysconf (_SC_PAGESIZE);

  if (area->size == page && area->offset % page == 0 && area->offset <= G_MAXINT64 - area->size)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                          "x; one page of 0x%" G_GINT64_MODIFIER "x it must be",
                          area->size, area->offset, page);
}

static gboolean
check_fds_allowed (VhostUserFrontend *frontend, GError **error)
{
  return vhost_word_has (frontend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD) ||
         vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                          "protocol feature BACKEND_SEND_FD was not negotiated");
}

gboolean
vhost_user_frontend_serve_host_notifier (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                         GError **error)
{
  VhostUserVringArea area = frame->payload.area;
  guint index = area.index & VHOST_USER_VRING_INDEX_MASK;
  int fd = frame->fds.n > 0 ? frame->fds.fd[0] : -1;
  gboolean done = FALSE;

  if (!vhost_user_frontend_check_index (frontend, index, error))
    return FALSE;
  if (fd < 0)
    area = (VhostUserVringArea){ .index = index };
  else if (!check_fds_allowed (frontend, error) || !check_area (&area, error))
    return FALSE;
  g_signal_emit (frontend, signal_host_notifier, 0, index, fd, area.offset, area.size, &done);
  return done || vhost_set_error (error, VHOST_ERROR_REFUSED, "nobody maps it");
}

gboolean
vhost_user_frontend_hears_host_notifier (VhostUserFrontend *frontend)
{
  return g_signal_has_handler_pending (frontend, signal_host_notifier, 0, FALSE);
}

void
vhost_user_frontend_install_host_notifier (void)
{
  /**
   * VhostUserFrontend::host-notifier:
   * @frontend: the front-end
   * @index: the queue
   * @fd: what to map, shared and writable: one page; or -1 to take the mapping of before away. It
   * is closed afterwards: map or duplicate it
   * @offset: where in @fd the page begins
   * @size: bytes of it: the page size
   *
   * The back-end has a doorbell that the guest may ring by itself. The HOST_NOTIFIER protocol
   * feature is negotiated when somebody has connected to this signal before the front-end is
   * opened. @offset and @size have been checked, the kind of @fd has not.
   *
   * May come in the middle of a request: no request can be made from inside.
   *
   * Returns: whether it is done
   *
   * Since: 1.0
   */
  signal_host_notifier =
      g_signal_new ("host-notifier", VHOST_USER_TYPE_FRONTEND, G_SIGNAL_RUN_LAST, 0,
                    g_signal_accumulator_first_wins, NULL, NULL, G_TYPE_BOOLEAN, 4, G_TYPE_UINT,
                    G_TYPE_INT, G_TYPE_UINT64, G_TYPE_UINT64);
}
