/* SPDX-License-Identifier: BSD-3-Clause */
/* What a vDPA device reaches of this process: nothing but what is mapped, because it never asks.
 * The mappings belong to the open file: a reset leaves them with the kernel, which would refuse the
 * next ones at the same place. Runs on the thread of the device. (Linux, drivers/vhost/vdpa.c) */

#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-vdpa-private.h"
#include "memory/vhost-memory-private.h"

static gboolean
send (VhostKernelVdpa *vdpa, guint type, guint asid, guint64 iova, guint64 size, gconstpointer host,
      guint access, GError **error)
{
  return vhost_kernel_send_iotlb (VHOST_KERNEL_DEVICE (vdpa), type, asid, iova, size, host, access,
                                  error);
}

/* --- All memory at its guest physical address ------------------------------------------------- */

static gboolean
unmap_old (VhostKernelVdpa *vdpa, GError **error)
{
  for (; vdpa->mapped->len > 0; g_array_set_size (vdpa->mapped, vdpa->mapped->len - 1)) {
    const VhostKernelVdpaRange *range =
        &g_array_index (vdpa->mapped, VhostKernelVdpaRange, vdpa->mapped->len - 1);

    if (!send (vdpa, VHOST_IOTLB_INVALIDATE, 0, range->iova, range->size, NULL, 0, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
map_region (VhostKernelVdpa *vdpa, const VhostMemoryRegion *region, GError **error)
{
  const VhostKernelVdpaRange range = { region->guest_address, region->size };

  if (!send (vdpa, VHOST_IOTLB_UPDATE, 0, range.iova, range.size, region->host, VHOST_ACCESS_RW,
             error))
    return FALSE;
  g_array_append_val (vdpa->mapped, range);
  return TRUE;
}

static gboolean
map_all (VhostKernelVdpa *vdpa, VhostMemory *memory, GError **error)
{
  if (!unmap_old (vdpa, error))
    return FALSE;
  for (guint i = 0; i < memory->n_regions; i++) {
    if (!map_region (vdpa, memory->regions[i], error))
      return FALSE;
  }
  return TRUE;
}

/* As one change, where the kernel can: the device hears of it once. A batch that was begun is
 * ended, whatever happened in it. */
static gboolean
replace_mappings (VhostKernelVdpa *vdpa, VhostMemory *memory, GError **error)
{
  gboolean batch = vhost_kernel_device_has_kernel_feature (VHOST_KERNEL_DEVICE (vdpa),
                                                           VHOST_KERNEL_FEATURE_IOTLB_BATCH);
  gboolean done;

  if (batch && !vhost_kernel_vdpa_begin_batch (vdpa, 0, error))
    return FALSE;
  done = map_all (vdpa, memory, error);
  return (!batch || vhost_kernel_vdpa_end_batch (vdpa, 0, done ? error : NULL)) && done;
}

static gboolean
vdpa_set_memory (VhostDevice *device, VhostMemory *memory, GCancellable *cancellable,
                 GError **error)
{
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (self);

  if (!vhost_kernel_check_open (self, VHOST_KERNEL_CALL_WRITE_IOTLB, error) ||
      !replace_mappings (VHOST_KERNEL_VDPA (device), memory, error))
    return FALSE;
  vhost_memory_ref (memory);
  g_clear_pointer (&state->memory, vhost_memory_unref);
  state->memory = memory;
  return TRUE;
}

void
vhost_kernel_vdpa_memory_init_iface (VhostDeviceInterface *iface)
{
  iface->set_memory = vdpa_set_memory;
  iface->set_log_base = NULL;
  iface->set_log_fd = NULL;
}

/* --- One by one ------------------------------------------------------------------------------- */

/**
 * vhost_kernel_vdpa_map:
 * @vdpa: a device
 * @asid: number of the address space
 * @iova: I/O address of the first byte
 * @region: what to map, whole; the caller keeps it until it is unmapped
 * @writable: whether the device may write to it
 * @error: return location
 *
 * Lets the device reach a region at an I/O address. The kernel takes whole pages only, and nothing
 * over what is mapped.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_REFUSED when the kernel does not take it,
 *   %VHOST_ERROR_NOT_NEGOTIATED when the device has one address space only, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_map (VhostKernelVdpa *vdpa, guint asid, guint64 iova, VhostMemoryRegion *region,
                       gboolean writable, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);
  g_return_val_if_fail (region != NULL, FALSE);

  return send (vdpa, VHOST_IOTLB_UPDATE, asid, iova, region->size, region->host,
               writable ? VHOST_ACCESS_RW : VHOST_ACCESS_RO, error);
}

/**
 * vhost_kernel_vdpa_unmap:
 * @vdpa: a device
 * @asid: number of the address space
 * @iova: I/O address of the first byte
 * @size: bytes
 * @error: return location
 *
 * Ends what was mapped in a range, and holds all of it or parts.
 *
 * Returns: %TRUE, or %FALSE with an error as of [method@Vhost.KernelVdpa.map]
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_unmap (VhostKernelVdpa *vdpa, guint asid, guint64 iova, guint64 size,
                         GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  return send (vdpa, VHOST_IOTLB_INVALIDATE, asid, iova, size, NULL, 0, error);
}

/**
 * vhost_kernel_vdpa_begin_batch:
 * @vdpa: a device
 * @asid: number of the address space
 * @error: return location
 *
 * Begins a change of many mappings, of which the device hears once, at the end. Needs
 * %VHOST_KERNEL_FEATURE_IOTLB_BATCH.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_begin_batch (VhostKernelVdpa *vdpa, guint asid, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  return send (vdpa, VHOST_IOTLB_BATCH_BEGIN, asid, 0, 0, NULL, 0, error);
}

/**
 * vhost_kernel_vdpa_end_batch:
 * @vdpa: a device
 * @asid: number of the address space
 * @error: return location
 *
 * Puts into force what was mapped and unmapped since [method@Vhost.KernelVdpa.begin_batch].
 *
 * Returns: %TRUE, or %FALSE with an error: the device refuses, or did not answer
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_vdpa_end_batch (VhostKernelVdpa *vdpa, guint asid, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_VDPA (vdpa), FALSE);

  return send (vdpa, VHOST_IOTLB_BATCH_END, asid, 0, 0, NULL, 0, error);
}
