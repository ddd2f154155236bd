/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of a vDPA device, where they differ from those that the kernel itself serves: they lie
 * at I/O addresses, may be packed, and stop with the whole device. Runs on the thread of the
 * device. (Linux, drivers/vhost/vdpa.c; VIRTIO 1.4, sections 2.7 and 2.8) */

#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-vdpa-private.h"
#include "ring/vhost-ring-private.h"

#define EVENT_BYTES 4 /* of either event area of a packed ring */

static gboolean
is_packed (VhostKernelDevice *device)
{
  return vhost_word_has (vhost_kernel_get_state (device)->features, VHOST_FEATURE_RING_PACKED);
}

static gboolean
check_part (const char *part, guint64 address, guint64 alignment, guint64 size, GError **error)
{
  if (address % alignment == 0 && address + (size - 1) >= address)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "SET_VRING_ADDR: the %s at 0x%" G_GINT64_MODIFIER
                          "x is not aligned to %" G_GUINT64_FORMAT ", or beyond all addresses",
                          part, address, alignment);
}

static gboolean
check_packed_ring (guint num, guint64 desc, guint64 avail, guint64 used, GError **error)
{
  if (num == 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_VRING_ADDR: the queue has no size");
  return check_part ("descriptor ring", desc, 16, VHOST_RING_DESC_BYTES (num), error) &&
         check_part ("driver event area", avail, 4, EVENT_BYTES, error) &&
         check_part ("device event area", used, 4, EVENT_BYTES, error);
}

/* Its log is kept by nobody: dirty pages are found by who stands between driver and device. */
static gboolean
vdpa_set_vring_addr (VhostDevice *device, guint index, guint flags, guint64 desc, guint64 avail,
                     guint64 used, guint64 log, GCancellable *cancellable, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_ADDR;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelQueue *queue = vhost_kernel_find_queue (self, call, index, error);
  struct vhost_vring_addr addr = {
    .index = index,
    .desc_user_addr = desc,
    .used_user_addr = used,
    .avail_user_addr = avail,
  };

  if (queue == NULL)
    return FALSE;
  if (flags != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "SET_VRING_ADDR: flags 0x%x; a vDPA device keeps no log", flags);
  if (!(is_packed (self) ? check_packed_ring (queue->num, desc, avail, used, error)
                         : vhost_kernel_check_ring (queue->num, desc, avail, used, 0, error)) ||
      !vhost_kernel_call (self, call, &addr, error))
    return FALSE;
  queue->placed = TRUE;
  return TRUE;
}

static gboolean
vdpa_set_vring_base (VhostDevice *device, guint index, guint32 base, GCancellable *cancellable,
                     GError **error)
{
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);

  if (!is_packed (self) && base > G_MAXUINT16)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "SET_VRING_BASE: 0x%x is no base of a split ring", base);
  return vhost_kernel_call_vring (self, VHOST_KERNEL_CALL_SET_VRING_BASE, index, base, error);
}

/* A queue cannot be stopped alone while the driver runs, unless the device can do neither: then
 * one that is behind VDUSE hears of it when it is asked where the queue is. */
gboolean
vhost_kernel_vdpa_set_running (VhostKernelDevice *device, guint index, gboolean running,
                               GError **error)
{
  VhostKernelVdpa *vdpa = VHOST_KERNEL_VDPA (device);
  gboolean live = (vdpa->status & VHOST_STATUS_DRIVER_OK) != 0;

  if (live && !running &&
      vhost_kernel_device_has_kernel_feature (device, VHOST_KERNEL_FEATURE_SUSPEND))
    return vdpa->suspended || vhost_kernel_vdpa_suspend (vdpa, error);
  return vhost_kernel_call_vring (device, VHOST_KERNEL_CALL_VDPA_SET_VRING_ENABLE, index, running,
                                  error);
}

void
vhost_kernel_vdpa_vring_init_iface (VhostDeviceInterface *iface)
{
  iface->set_vring_addr = vdpa_set_vring_addr;
  iface->set_vring_base = vdpa_set_vring_base;
}

/* --- Groups ----------------------------------------------------------------------------------- */

static int
ask_group (VhostKernelVdpa *vdpa, VhostKernelCall call, guint index, GError **error)
{
  g_autoptr (GError) reason = NULL;
  guint group = vhost_kernel_ask_vring (VHOST_KERNEL_DEVICE (vdpa), call, index, &reason);

  if (reason == NULL)
    return (int) MIN (group, G_MAXINT);
  g_propagate_error (error, g_steal_pointer (&reason));
  return -1;
}

/**
 * vhost_kernel_vdpa_get_vring_group:
 * @vdpa: a device
 * @index: number of the queue, from 0
 * @error: return location
 *
 * Asks which group a queue is in: those of one group are in one address space.
 *
 * Returns: the group, or -1 with `G_IO_ERROR_NOT_SUPPORTED` when the device knows no groups, or
 *   another error
 *
 * Since: 1.0
 */
int
vhost_kernel_vdpa_get_vring_group (VhostKernelVdpa *vdpa, guint index, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), -1);

  return ask_group (vdpa, VHOST_KERNEL_CALL_VDPA_GET_VRING_GROUP, index, error);
}

/**
 * vhost_kernel_vdpa_get_vring_desc_group:
 * @vdpa: a device
 * @index: number of the queue, from 0
 * @error: return location
 *
 * Asks which group the descriptors of a queue are in, where it is another one than that of its
 * buffers: see %VHOST_KERNEL_FEATURE_DESC_ASID.
 *
 * Returns: the group, or -1 with `G_IO_ERROR_NOT_SUPPORTED` when the device does not tell them
 *   apart, or another error
 *
 * Since: 1.0
 */
int
vhost_kernel_vdpa_get_vring_desc_group (VhostKernelVdpa *vdpa, guint index, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), -1);

  return ask_group (vdpa, VHOST_KERNEL_CALL_VDPA_GET_VRING_DESC_GROUP, index, error);
}

/**
 * vhost_kernel_vdpa_set_group_asid:
 * @vdpa: a device
 * @group: number of the group
 * @asid: number of the address space
 * @error: return location
 *
 * Puts the queues of a group into an address space. Before DRIVER_OK only.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_INVALID_VALUE when there is no such group,
 *   `G_IO_ERROR_NOT_SUPPORTED` when the device has one address space, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_set_group_asid (VhostKernelVdpa *vdpa, guint group, guint asid, GError **error)
{
  struct vhost_vring_state state = { group, asid };

  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (vdpa), VHOST_KERNEL_CALL_VDPA_SET_GROUP_ASID,
                            &state, error);
}
