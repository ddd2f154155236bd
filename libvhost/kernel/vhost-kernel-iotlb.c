/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages by which a device behind an IOMMU learns what I/O addresses mean: written to its
 * descriptor; what it misses is read from there. Either form of the message, as was negotiated.
 * Runs on the thread of the device. (Linux, struct vhost_msg and vhost_msg_v2) */

#include <errno.h>
#include <string.h>
#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-device-private.h"

typedef union {
  struct vhost_msg first;
  struct vhost_msg_v2 second;
} Message;

/* The kernel reads less, but says that it took all of it. */
G_STATIC_ASSERT (sizeof (Message) == 72);

static gboolean
has_feature (VhostKernelDevice *device, guint bit)
{
  return vhost_word_has (vhost_kernel_get_state (device)->kernel_features, bit);
}

static gboolean
check_message (VhostKernelDevice *device, guint type, guint asid, guint64 iova, guint64 size,
               guint access, GError **error)
{
  const gboolean ranged = type == VHOST_IOTLB_UPDATE || type == VHOST_IOTLB_INVALIDATE;

  if (asid != 0 && !has_feature (device, VHOST_KERNEL_FEATURE_IOTLB_ASID))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "WRITE_IOTLB: the device has one address space, and no %u", asid);
  if (!ranged && !has_feature (device, VHOST_KERNEL_FEATURE_IOTLB_BATCH))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "WRITE_IOTLB: the device takes no batches");
  if (ranged && (size == 0 || iova + size - 1 < iova))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "WRITE_IOTLB: %" G_GUINT64_FORMAT " bytes at 0x%" G_GINT64_MODIFIER
                            "x are no range",
                            size, iova);
  if (type == VHOST_IOTLB_UPDATE && (access < VHOST_ACCESS_RO || access > VHOST_ACCESS_RW))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "WRITE_IOTLB: access %u", access);
  return TRUE;
}

/* The body of a message of all zeroes, padding as well. */
static struct vhost_iotlb_msg *
begin_message (VhostKernelDevice *device, Message *message, guint asid)
{
  memset (message, 0, sizeof *message);
  if (!has_feature (device, VHOST_KERNEL_FEATURE_IOTLB_MSG_V2)) {
    message->first.type = VHOST_IOTLB_MSG;
    return &message->first.iotlb;
  }
  message->second.type = VHOST_IOTLB_MSG_V2;
  message->second.asid = asid;
  return &message->second.iotlb;
}

gboolean
vhost_kernel_send_iotlb (VhostKernelDevice *device, guint type, guint asid, guint64 iova,
                         guint64 size, gconstpointer host, guint access, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_WRITE_IOTLB;
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  struct vhost_iotlb_msg *body;
  Message message;
  gssize n;

  if (!vhost_kernel_check_open (device, call, error) ||
      !check_message (device, type, asid, iova, size, access, error))
    return FALSE;
  body = begin_message (device, &message, asid);
  body->iova = iova;
  body->size = size;
  body->uaddr = GPOINTER_TO_SIZE (host);
  body->perm = (guint8) access;
  body->type = (guint8) type;
  n = vhost_ops_write (state->ops, state->fd, &vhost_kernel_calls[call], &message, sizeof message);
  if (n == (gssize) sizeof message)
    return TRUE;
  if (n >= 0 || n == -EFAULT) /* the kernel has no other word for a message that it refuses */
    return vhost_set_error (error, VHOST_ERROR_REFUSED,
                            "WRITE_IOTLB: 0x%" G_GINT64_MODIFIER "x, %" G_GUINT64_FORMAT
                            " bytes: the kernel refuses",
                            iova, size);
  return vhost_kernel_set_error (error, call, (int) -n);
}

int
vhost_kernel_read_miss (VhostKernelDevice *device, guint64 *iova, guint *access, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_READ_IOTLB;
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  const struct vhost_iotlb_msg *body;
  Message message = { 0 };
  gssize n;

  if (!vhost_kernel_check_open (device, call, error))
    return -1;
  n = vhost_ops_read (state->ops, state->fd, &vhost_kernel_calls[call], &message, sizeof message);
  if (n == -EAGAIN)
    return 0;
  if (n < 0) {
    vhost_kernel_set_error (error, call, (int) -n);
    return -1;
  }
  body = message.first.type == VHOST_IOTLB_MSG ? &message.first.iotlb : &message.second.iotlb;
  if (n != (gssize) sizeof message || body->type != VHOST_IOTLB_MISS) {
    vhost_set_error (error, VHOST_ERROR_PROTOCOL, "READ_IOTLB: %d bytes, and no miss", (int) n);
    return -1;
  }
  *iova = body->iova;
  *access = body->perm;
  return 1;
}
