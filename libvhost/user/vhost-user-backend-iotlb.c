/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations as messages: what the device lacks is asked for on the channel, what the front-end
 * says comes with its requests. An INVALIDATE is answered once no buffer that the device holds lies
 * where it led, or at the deadline, when such buffers are taken away. Control thread. (vhost-user,
 * “IOMMU support”, IOTLB_MSG) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"

/* Without an answer the front-end is not asked more. */
#define MAX_UNANSWERED (2 * VHOST_IOTLB_MAX_ASKED)

/* --- Ours ---------------------------------------------------------------------------------- */

void
vhost_user_backend_ask_iotlb (VhostBackend *base, guint64 address, guint access, gboolean denied)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);
  g_auto (VhostUserFrame) frame = { 0 };
  g_autoptr (GError) error = NULL;

  if (vhost_user_backend_count_calls (backend, VHOST_USER_BACKEND_CODE_IOTLB_MSG) >= MAX_UNANSWERED)
    return; /* it is asked again later */
  vhost_user_frame_init (&frame, VHOST_USER_BACKEND_CODE_IOTLB_MSG, VHOST_USER_FLAGS_VERSION,
                         sizeof frame.payload.iotlb);
  frame.payload.iotlb.iova = address;
  frame.payload.iotlb.perm = (guint8) access;
  frame.payload.iotlb.type =
      denied ? VHOST_USER_IOTLB_TYPE_ACCESS_FAIL : VHOST_USER_IOTLB_TYPE_MISS;
  if (!vhost_user_backend_send (backend, &frame, FALSE, vhost_user_backend_report_refusal, NULL,
                                &error))
    g_info ("%s", error->message);
}

/* --- The front-end's ----------------------------------------------------------------------- */

void
vhost_user_backend_forget_invalidate (VhostUserBackend *backend)
{
  backend->invalidating = FALSE;
  if (backend->invalidate_deadline == NULL)
    return;
  g_source_destroy (backend->invalidate_deadline);
  g_clear_pointer (&backend->invalidate_deadline, g_source_unref);
}

void
vhost_user_backend_answer_invalidate (VhostBackend *base)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);
  g_auto (VhostUserFrame) ack = { 0 };

  if (!backend->invalidating)
    return;
  vhost_user_backend_forget_invalidate (backend);
  vhost_user_frame_init (&ack, VHOST_USER_FRONTEND_CODE_IOTLB_MSG,
                         VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY, sizeof ack.payload.u64);
  vhost_user_connection_set_paused (backend->connection, FALSE);
  vhost_user_connection_send_frame (backend->connection, &ack, NULL, NULL);
}

static gboolean
on_deadline (gpointer data)
{
  VHOST_BACKEND_PAUSE (VHOST_BACKEND (data));

  vhost_backend_revoke_iotlb (data);
  vhost_user_backend_answer_invalidate (data);
  return G_SOURCE_REMOVE;
}

static void
wait_for_release (VhostUserBackend *backend)
{
  backend->invalidating = TRUE;
  backend->invalidate_deadline = g_timeout_source_new (backend->drain_timeout);
  g_source_set_callback (backend->invalidate_deadline, on_deadline, backend, NULL);
  g_source_attach (backend->invalidate_deadline, vhost_reactor_get_context (backend->reactor));
  vhost_user_connection_set_paused (backend->connection, TRUE);
}

static gboolean
invalidate (VhostUserBackend *backend, const VhostUserIotlb *message, GError **error)
{
  VhostUserConnection *connection = backend->connection;
  gboolean busy;

  if (!vhost_backend_invalidate_iotlb (VHOST_BACKEND (backend), message->iova, message->size, &busy,
                                       error))
    return FALSE;
  if (busy && backend->connection == connection)
    wait_for_release (backend);
  return TRUE;
}

gboolean
vhost_user_backend_iotlb_msg (VhostUserBackend *backend, VhostUserFrame *frame,
                              VhostUserFrame *reply, GError **error)
{
  const VhostUserIotlb *message = &frame->payload.iotlb;

  switch (message->type) {
  case VHOST_USER_IOTLB_TYPE_UPDATE:
    return vhost_backend_update_iotlb (VHOST_BACKEND (backend), message->iova, message->size,
                                       message->user_address, message->perm, error);
  case VHOST_USER_IOTLB_TYPE_INVALIDATE:
    return invalidate (backend, message, error);
  default:
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "type %u is neither an update nor an invalidation", message->type);
  }
}
