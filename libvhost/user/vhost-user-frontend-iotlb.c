/* SPDX-License-Identifier: BSD-3-Clause */
/* Translations for a back-end behind an IOMMU. A MISS comes on the channel, perhaps while an answer
 * is waited for on the main socket, by a back-end that gives it only when it has the translation:
 * so the UPDATE goes out at once, behind whatever was sent before, and its answer is taken in its
 * turn. Only then the MISS is answered. One thread, that of the front-end. (vhost-user, “IOMMU
 * support”, IOTLB_MSG) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

/* --- Updates ------------------------------------------------------------------------------- */

static void
init_message (VhostUserFrame *frame, guint8 type, guint64 iova, guint64 size)
{
  vhost_user_frontend_init_request (frame, VHOST_USER_FRONTEND_CODE_IOTLB_MSG,
                                    sizeof frame->payload.iotlb);
  frame->payload.iotlb.iova = iova;
  frame->payload.iotlb.size = size;
  frame->payload.iotlb.type = type;
}

/* As much of @mapping from @offset on as one region holds. FALSE: the back-end does not have that
 * memory. */
static gboolean
describe_piece (VhostUserFrontend *frontend, const VhostIommuMapping *mapping, guint64 offset,
                VhostUserFrame *frame, GError **error)
{
  guint64 guest = vhost_iommu_mapping_get_guest_address (mapping) + offset;
  guint64 left = vhost_iommu_mapping_get_size (mapping) - offset;
  guint64 user, contiguous;

  if (!vhost_user_frontend_find_address (frontend, guest, &user, &contiguous, error))
    return FALSE;
  init_message (frame, VHOST_USER_IOTLB_TYPE_UPDATE,
                vhost_iommu_mapping_get_iova (mapping) + offset, MIN (left, contiguous));
  frame->payload.iotlb.user_address = user;
  frame->payload.iotlb.perm = (guint8) vhost_iommu_mapping_get_access (mapping);
  return TRUE;
}

static gboolean
check_mapping (const VhostIommuMapping *mapping, GError **error)
{
  guint64 iova = vhost_iommu_mapping_get_iova (mapping);
  guint64 size = vhost_iommu_mapping_get_size (mapping);
  guint access = vhost_iommu_mapping_get_access (mapping);

  if (size > 0 && iova + (size - 1) >= iova && access > 0 && access <= VHOST_MEMORY_READ_WRITE)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "0x%" G_GINT64_MODIFIER "x bytes at I/O address 0x%" G_GINT64_MODIFIER
                          "x for access %u are no translation",
                          size, iova, access);
}

static gboolean
check_in_use (VhostUserFrontend *frontend, GError **error)
{
  if (vhost_user_frontend_has_iommu (frontend))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                          "IOTLB_MSG: ACCESS_PLATFORM was not accepted");
}

/* --- Misses -------------------------------------------------------------------------------- */

/* Not waited for. */
static gboolean
send_update (VhostUserFrontend *frontend, VhostUserFrame *frame, GError **error)
{
  frame->flags |= VHOST_USER_FLAGS_NEED_REPLY;
  if (frontend->calling
          ? !vhost_user_connection_queue_frame (frontend->connection, frame, error)
          : !vhost_user_connection_send_frame (frontend->connection, frame, NULL, error))
    return FALSE;
  frontend->n_updates++;
  return TRUE;
}

static gboolean
serve_miss (VhostUserFrontend *frontend, const VhostUserIotlb *miss, GError **error)
{
  g_autoptr (VhostIommu) iommu = g_object_ref (frontend->iommu);
  g_autoptr (VhostIommuMapping) mapping = vhost_iommu_translate (iommu, miss->iova, miss->perm);
  VhostUserFrame frame = { 0 };
  guint64 offset;

  if (frontend->connection == NULL)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the back-end was left");
  if (mapping == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "I/O address 0x%" G_GINT64_MODIFIER "x is not mapped", miss->iova);
  if (!check_mapping (mapping, error))
    return FALSE;
  offset = miss->iova - vhost_iommu_mapping_get_iova (mapping);
  if (offset >= vhost_iommu_mapping_get_size (mapping))
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "the translation does not hold I/O address 0x%" G_GINT64_MODIFIER "x",
                            miss->iova);
  /* From its beginning, when that is in the same region. */
  if (!describe_piece (frontend, mapping, 0, &frame, NULL) || frame.payload.iotlb.size <= offset)
    offset = miss->iova - vhost_iommu_mapping_get_iova (mapping);
  else
    offset = 0;
  return describe_piece (frontend, mapping, offset, &frame, error) &&
         send_update (frontend, &frame, error);
}

gboolean
vhost_user_frontend_serve_iotlb (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                 GError **error)
{
  const VhostUserIotlb *message = &frame->payload.iotlb;
  g_autoptr (VhostIommu) iommu = NULL;

  if (!check_in_use (frontend, error))
    return FALSE;
  if (message->perm == 0 || message->perm > VHOST_MEMORY_READ_WRITE)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "access %u is none", message->perm);
  if (message->type == VHOST_USER_IOTLB_TYPE_MISS)
    return serve_miss (frontend, message, error);
  if (message->type != VHOST_USER_IOTLB_TYPE_ACCESS_FAIL)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "type %u is neither a miss nor a failed access", message->type);
  iommu = g_object_ref (frontend->iommu);
  vhost_iommu_report_fault (iommu, message->iova, message->perm);
  return TRUE;
}

/* --- Answers to updates -------------------------------------------------------------------- */

static gboolean
take_answer (VhostUserFrontend *frontend, gint64 deadline, GCancellable *cancellable,
             GError **error)
{
  g_autoptr (VhostUserConnection) channel = NULL;
  g_auto (VhostUserFrame) answer = { 0 };

  g_set_object (&channel, frontend->channel);
  if (!vhost_user_connection_receive_frame (frontend->connection, &answer, deadline, channel,
                                            cancellable, error))
    return FALSE;
  if (answer.request != VHOST_USER_FRONTEND_CODE_IOTLB_MSG)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "answered with request %u",
                            answer.request);
  if (answer.payload.u64 != 0)
    g_info ("IOTLB_MSG: the back-end refused a translation it had asked for");
  frontend->n_updates--;
  return TRUE;
}

gboolean
vhost_user_frontend_take_updates (VhostUserFrontend *frontend, guint n, GCancellable *cancellable,
                                  GError **error)
{
  gint64 deadline = g_get_monotonic_time () + 2 * frontend->timeout * G_TIME_SPAN_MILLISECOND;

  for (; n > 0; n--) {
    if (!take_answer (frontend, deadline, cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/* --- The device interface ------------------------------------------------------------------ */

static gboolean
frontend_set_iommu (VhostDevice *device, VhostIommu *iommu, GError **error)
{
  g_set_object (&VHOST_USER_FRONTEND (device)->iommu, iommu);
  return TRUE;
}

static gboolean
frontend_update_iotlb (VhostDevice *device, const VhostIommuMapping *mapping,
                       GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  guint64 size = vhost_iommu_mapping_get_size (mapping);

  if (!check_in_use (frontend, error) || !check_mapping (mapping, error))
    return FALSE;
  for (guint64 offset = 0; offset < size;) {
    VhostUserFrame frame = { 0 };

    if (!describe_piece (frontend, mapping, offset, &frame, error) ||
        !vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error))
      return FALSE;
    offset += frame.payload.iotlb.size;
  }
  return TRUE;
}

static gboolean
frontend_invalidate_iotlb (VhostDevice *device, guint64 iova, guint64 size,
                           GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  VhostUserFrame frame = { 0 };

  init_message (&frame, VHOST_USER_IOTLB_TYPE_INVALIDATE, iova, size);
  return check_in_use (frontend, error) &&
         vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

void
vhost_user_frontend_init_iotlb (VhostDeviceInterface *iface)
{
  iface->set_iommu = frontend_set_iommu;
  iface->update_iotlb = frontend_update_iotlb;
  iface->invalidate_iotlb = frontend_invalidate_iotlb;
}
