/* SPDX-License-Identifier: BSD-3-Clause */
/* How a program does without event descriptors: kicks as messages, calls and errors from the
 * channel; and the byte order of legacy rings. Calls are only noted
 * when they come, and told from the loop: they may come in the middle of a request. One thread.
 * (vhost-user, “In-band notifications”, CROSS_ENDIAN) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

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
  if (!vhost_user_frontend_check_index (frontend, frame->payload.state.index, error))
    return FALSE;
  note (frontend, frontend->called, frame->payload.state.index);
  return TRUE;
}

gboolean
vhost_user_frontend_serve_vring_err (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                     GError **error)
{
  if (!vhost_user_frontend_check_index (frontend, frame->payload.state.index, error))
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
vhost_user_frontend_init_calls (VhostUserFrontend *frontend)
{
  vhost_task_init (&frontend->notify_task, on_notify_task, frontend);
}

/* --- Requests ------------------------------------------------------------------------------ */

static gboolean
call_state (VhostDevice *device, VhostUserFrontendCode code, guint index, guint num,
            GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.state);
  frame.payload.state.index = index;
  frame.payload.state.num = num;
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

static gboolean
frontend_set_vring_endian (VhostDevice *device, guint index, gboolean big_endian,
                           GCancellable *cancellable, GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_SET_VRING_ENDIAN, index, big_endian ? 1 : 0,
                     cancellable, error);
}

static gboolean
frontend_has_in_band_notifications (VhostDevice *device)
{
  return vhost_user_frontend_has_protocol_feature (
      VHOST_USER_FRONTEND (device), VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS);
}

static gboolean
frontend_kick_vring (VhostDevice *device, guint index, GCancellable *cancellable, GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_VRING_KICK, index, 0, cancellable, error);
}

void
vhost_user_frontend_init_notify (VhostDeviceInterface *iface)
{
  iface->set_vring_endian = frontend_set_vring_endian;
  iface->has_in_band_notifications = frontend_has_in_band_notifications;
  iface->kick_vring = frontend_kick_vring;
  iface->wait_readable = vhost_user_frontend_wait_readable;
}
