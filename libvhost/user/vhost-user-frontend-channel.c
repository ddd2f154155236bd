/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end asks for on its channel: to be called or broken without a descriptor, and to have
 * a doorbell mapped. Calls are only noted here, and told from the loop: they may come in the middle
 * of a request. One thread. (vhost-user, “Back-end message types”) */

#include <string.h>
#include <unistd.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

static guint signal_host_notifier;

static gboolean
check_index (VhostUserFrontend *frontend, guint64 index, GError **error)
{
  if (index < frontend->n_queues)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "queue %" G_GUINT64_FORMAT " of a device that has %u", index,
                          frontend->n_queues);
}

static void
note (VhostUserFrontend *frontend, guint32 *word, guint index)
{
  word[index / 32] |= 1u << index % 32;
  vhost_reactor_queue_task (frontend->reactor, &frontend->notify_task);
}

gboolean
vhost_user_frontend_serve_vring_call (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                      GError **error)
{
  if (!check_index (frontend, frame->payload.state.index, error))
    return FALSE;
  note (frontend, frontend->called, frame->payload.state.index);
  return TRUE;
}

gboolean
vhost_user_frontend_serve_vring_err (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                     GError **error)
{
  if (!check_index (frontend, frame->payload.state.index, error))
    return FALSE;
  note (frontend, frontend->broken, frame->payload.state.index);
  return TRUE;
}

/* Whoever listens may close the front-end, which forgets what is still noted. */
static void
emit_noted (VhostUserFrontend *frontend, guint32 *words, const char *signal)
{
  for (guint index = 0; index < 256; index++) {
    guint32 bit = 1u << index % 32;

    if ((words[index / 32] & bit) == 0)
      continue;
    words[index / 32] &= ~bit;
    g_signal_emit_by_name (frontend, signal, index);
  }
}

static void
on_notify_task (gpointer data)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (data);

  emit_noted (frontend, frontend->called, "queue-notify");
  emit_noted (frontend, frontend->broken, "queue-error");
}

void
vhost_user_frontend_forget_calls (VhostUserFrontend *frontend)
{
  vhost_task_cancel (&frontend->notify_task);
  memset (frontend->called, 0, sizeof frontend->called);
  memset (frontend->broken, 0, sizeof frontend->broken);
}

void
vhost_user_frontend_init_channel (VhostUserFrontend *frontend)
{
  vhost_task_init (&frontend->notify_task, on_notify_task, frontend);
}

/* --- Host notifiers ---------------------------------------------------------------------- */

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

  if (!check_index (frontend, index, error))
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
vhost_user_frontend_install_channel (void)
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
