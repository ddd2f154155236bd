/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the queues of a kernel device as far as its VMM sets them up, and starts and stops them. All
 * that can be checked is checked before the kernel sees it. Runs on the thread of the device.
 * (Linux, vhost_vring_ioctl; VIRTIO 1.4, section 2.7) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-device-private.h"
#include "memory/vhost-memory-private.h"

#define MAX_NUM 32768
#define MAX_BASE 0xffff

#define DESC_ALIGNMENT 16
#define AVAIL_ALIGNMENT 2
#define USED_ALIGNMENT 4
#define DESC_BYTES(num) (16 * (guint64) (num))
#define AVAIL_BYTES(num) (6 + 2 * (guint64) (num))
#define USED_BYTES(num) (6 + 8 * (guint64) (num))

VhostKernelQueue *
vhost_kernel_find_queue (VhostKernelDevice *device, VhostKernelCall call, guint index,
                         GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  if (!vhost_kernel_check_open (device, call, error))
    return NULL;
  if (index < state->n_queues)
    return &state->queues[index];
  vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s: queue %u; the device has %u",
                   vhost_kernel_calls[call].name, index, state->n_queues);
  return NULL;
}

static gboolean
check_stopped (VhostKernelQueue *queue, VhostKernelCall call, GError **error)
{
  if (!queue->running)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "%s: queue %u is running",
                          vhost_kernel_calls[call].name, queue->index);
}

static VhostKernelQueue *
find_stopped (VhostKernelDevice *device, VhostKernelCall call, guint index, GError **error)
{
  VhostKernelQueue *queue = vhost_kernel_find_queue (device, call, index, error);

  return queue != NULL && check_stopped (queue, call, error) ? queue : NULL;
}

gboolean
vhost_kernel_call_vring (VhostKernelDevice *device, VhostKernelCall call, guint index, guint num,
                         GError **error)
{
  struct vhost_vring_state vring = { index, num };

  return vhost_kernel_find_queue (device, call, index, error) != NULL &&
         vhost_kernel_call (device, call, &vring, error);
}

guint
vhost_kernel_ask_vring (VhostKernelDevice *device, VhostKernelCall call, guint index,
                        GError **error)
{
  struct vhost_vring_state vring = { index, 0 };

  if (vhost_kernel_find_queue (device, call, index, error) == NULL ||
      !vhost_kernel_call (device, call, &vring, error))
    return 0;
  return vring.num;
}

/* --- size and place --- */

static gboolean
kernel_set_vring_num (VhostDevice *device, guint index, guint num, GCancellable *cancellable,
                      GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_NUM;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelQueue *queue = find_stopped (self, call, index, error);

  if (queue == NULL)
    return FALSE;
  if (num == 0 || num > MAX_NUM || (num & (num - 1)) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "SET_VRING_NUM: %u is no power of two from 1 to %u", num, MAX_NUM);
  if (!vhost_kernel_call_vring (self, call, index, num, error))
    return FALSE;
  queue->num = num;
  return TRUE;
}

static gboolean
check_part (const char *part, guint64 address, guint64 alignment, guint64 size, GError **error)
{
  if (address % alignment == 0 && address + size >= address)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "SET_VRING_ADDR: the %s at 0x%" G_GINT64_MODIFIER
                          "x is not aligned to %" G_GUINT64_FORMAT ", or beyond all addresses",
                          part, address, alignment);
}

gboolean
vhost_kernel_check_ring (guint num, guint64 desc, guint64 avail, guint64 used, guint64 log,
                         GError **error)
{
  if (num == 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "SET_VRING_ADDR: the queue has no size");
  return check_part ("descriptor table", desc, DESC_ALIGNMENT, DESC_BYTES (num), error) &&
         check_part ("available ring", avail, AVAIL_ALIGNMENT, AVAIL_BYTES (num), error) &&
         check_part ("used ring", used, USED_ALIGNMENT, USED_BYTES (num), error) &&
         check_part ("log", log, USED_ALIGNMENT, USED_BYTES (num), error);
}

static gboolean
find_part (VhostMemory *memory, const char *part, guint64 address, guint64 size, __u64 *found,
           GError **error)
{
  guint8 *host =
      memory != NULL ? vhost_memory_find_range (memory, VHOST_ADDRESS_GUEST, address, size) : NULL;

  *found = GPOINTER_TO_SIZE (host);
  if (host != NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                          "SET_VRING_ADDR: the %s at 0x%" G_GINT64_MODIFIER
                          "x is in no memory that the kernel has",
                          part, address);
}

/* The kernel works with addresses of this process. What it logs goes by the guest's: that address
 * stays as it is. Behind an IOMMU all others do as well, because the kernel asks for them. */
static gboolean
translate_ring (VhostKernelDevicePrivate *state, guint num, struct vhost_vring_addr *addr,
                GError **error)
{
  if (vhost_word_has (state->features, VHOST_FEATURE_ACCESS_PLATFORM))
    return TRUE;
  return find_part (state->memory, "descriptor table", addr->desc_user_addr, DESC_BYTES (num),
                    &addr->desc_user_addr, error) &&
         find_part (state->memory, "available ring", addr->avail_user_addr, AVAIL_BYTES (num),
                    &addr->avail_user_addr, error) &&
         find_part (state->memory, "used ring", addr->used_user_addr, USED_BYTES (num),
                    &addr->used_user_addr, error);
}

static gboolean
kernel_set_vring_addr (VhostDevice *device, guint index, guint flags, guint64 desc, guint64 avail,
                       guint64 used, guint64 log, GCancellable *cancellable, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_ADDR;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelQueue *queue = vhost_kernel_find_queue (self, call, index, error);
  struct vhost_vring_addr addr = {
    .index = index,
    .flags = flags,
    .desc_user_addr = desc,
    .used_user_addr = used,
    .avail_user_addr = avail,
    .log_guest_addr = log,
  };

  if (queue == NULL)
    return FALSE;
  if ((flags & ~(1U << VHOST_VRING_F_LOG)) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "SET_VRING_ADDR: flags 0x%x", flags);
  if (!vhost_kernel_check_ring (queue->num, desc, avail, used, log, error) ||
      !translate_ring (vhost_kernel_get_state (self), queue->num, &addr, error) ||
      !vhost_kernel_call (self, call, &addr, error))
    return FALSE;
  queue->placed = TRUE;
  return TRUE;
}

/* --- running --- */

gboolean
vhost_kernel_is_running (VhostKernelDevice *device)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  for (guint i = 0; i < state->n_queues; i++) {
    if (state->queues[i].running)
      return TRUE;
  }
  return FALSE;
}

static gboolean
run_queue (VhostKernelQueue *queue, gboolean running, GError **error)
{
  if (queue->running == running)
    return TRUE;
  if (!vhost_kernel_get_kind (queue->device)
           ->set_running (queue->device, queue->index, running, error))
    return FALSE;
  queue->running = running;
  return TRUE;
}

static gboolean
is_ready (VhostKernelDevicePrivate *state)
{
  gboolean ready = FALSE;

  for (guint i = 0; i < state->n_queues; i++) {
    if (state->queues[i].placed && !state->queues[i].enabled)
      return FALSE;
    ready |= state->queues[i].enabled;
  }
  return ready;
}

/* All queues that were set up, or none. The kernel forgets kicks that come while a device rests. */
static gboolean
run_whole (VhostKernelDevice *device, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);
  gboolean running = is_ready (state);

  if (running == vhost_kernel_is_running (device))
    return TRUE;
  if (!vhost_kernel_get_kind (device)->set_running (device, 0, running, error))
    return FALSE;
  for (guint i = 0; i < state->n_queues; i++) {
    state->queues[i].running = running && state->queues[i].enabled;
    if (state->queues[i].running)
      vhost_fd_signal_event (state->queues[i].kick_fd);
  }
  return TRUE;
}

static gboolean
enable_queue (VhostKernelQueue *queue, gboolean enable, GError **error)
{
  gboolean before = queue->enabled;

  if (enable && !queue->placed)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u has no addresses yet",
                            queue->index);
  queue->enabled = enable;
  if (vhost_kernel_get_kind (queue->device)->whole ? run_whole (queue->device, error)
                                                   : run_queue (queue, enable, error))
    return TRUE;
  queue->enabled = before;
  return FALSE;
}

gboolean
vhost_kernel_set_all_enabled (VhostKernelDevice *device, gboolean enable, GError **error)
{
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (device);

  for (guint i = 0; i < state->n_queues; i++) {
    if (state->queues[i].placed && !enable_queue (&state->queues[i], enable, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
kernel_set_vring_enable (VhostDevice *device, guint index, gboolean enable,
                         GCancellable *cancellable, GError **error)
{
  VhostKernelQueue *queue = vhost_kernel_find_queue (
      VHOST_KERNEL_DEVICE (device), VHOST_KERNEL_CALL_SET_VRING_KICK, index, error);

  return queue != NULL && enable_queue (queue, enable, error);
}

static gboolean
kernel_set_vring_kick (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                       GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_KICK;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelQueue *queue = vhost_kernel_find_queue (self, call, index, error);
  struct vhost_vring_file file = { index, fd };
  VHOST_AUTO_FD copy = -1;

  if (queue == NULL || !vhost_kernel_watch_err (queue, error) ||
      !vhost_kernel_call (self, call, &file, error))
    return FALSE;
  if (fd >= 0 && (copy = vhost_fd_dup (fd, error)) < 0)
    return FALSE;
  vhost_fd_clear (&queue->kick_fd);
  queue->kick_fd = vhost_fd_steal (&copy);
  return TRUE;
}

/* --- where a queue goes on --- */

static gboolean
kernel_set_vring_base (VhostDevice *device, guint index, guint32 base, GCancellable *cancellable,
                       GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_BASE;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);

  if (find_stopped (self, call, index, error) == NULL)
    return FALSE;
  if (base > MAX_BASE)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "SET_VRING_BASE: %u is above %u",
                            base, MAX_BASE);
  return vhost_kernel_call_vring (self, call, index, base, error);
}

static guint32
kernel_get_vring_base (VhostDevice *device, guint index, GCancellable *cancellable, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_GET_VRING_BASE;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);
  VhostKernelQueue *queue = vhost_kernel_find_queue (self, call, index, error);

  if (queue == NULL || !enable_queue (queue, FALSE, error))
    return 0;
  return vhost_kernel_ask_vring (self, call, index, error);
}

/* --- what is set beside --- */

static gboolean
kernel_set_vring_endian (VhostDevice *device, guint index, gboolean big_endian,
                         GCancellable *cancellable, GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_ENDIAN;
  VhostKernelDevice *self = VHOST_KERNEL_DEVICE (device);

  return find_stopped (self, call, index, error) != NULL &&
         vhost_kernel_call_vring (self, call, index,
                                  big_endian ? VHOST_VRING_BIG_ENDIAN : VHOST_VRING_LITTLE_ENDIAN,
                                  error);
}

/**
 * vhost_kernel_device_is_vring_big_endian:
 * @device: a device
 * @index: the queue
 * @error: return location
 *
 * Asks for the byte order of a legacy ring. Few kernels are built to tell.
 *
 * Returns: whether the ring is big endian; %FALSE with an error, `G_IO_ERROR_NOT_SUPPORTED` when
 *   the kernel knows one order only
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_is_vring_big_endian (VhostKernelDevice *device, guint index, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);

  return vhost_kernel_ask_vring (device, VHOST_KERNEL_CALL_GET_VRING_ENDIAN, index, error) ==
         VHOST_VRING_BIG_ENDIAN;
}

/**
 * vhost_kernel_device_set_vring_busyloop_timeout:
 * @device: a device
 * @index: the queue
 * @timeout: microseconds; 0 for none
 * @error: return location
 *
 * Says how long the kernel looks for more to do before it waits for a kick. Only network devices
 * do.
 *
 * Returns: %TRUE, or %FALSE with an error that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_device_set_vring_busyloop_timeout (VhostKernelDevice *device, guint index,
                                                guint timeout, GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), FALSE);

  return vhost_kernel_call_vring (device, VHOST_KERNEL_CALL_SET_VRING_BUSYLOOP_TIMEOUT, index,
                                  timeout, error);
}

/**
 * vhost_kernel_device_get_vring_busyloop_timeout:
 * @device: a device
 * @index: the queue
 * @error: return location
 *
 * Asks what [method@Vhost.KernelDevice.set_vring_busyloop_timeout] has set.
 *
 * Returns: microseconds; 0 also with an error
 *
 * Since: 1.0
 */
guint
vhost_kernel_device_get_vring_busyloop_timeout (VhostKernelDevice *device, guint index,
                                                GError **error)
{
  g_return_val_if_fail (VHOST_IS_KERNEL_DEVICE (device), 0);

  return vhost_kernel_ask_vring (device, VHOST_KERNEL_CALL_GET_VRING_BUSYLOOP_TIMEOUT, index,
                                 error);
}

void
vhost_kernel_vring_init_iface (VhostDeviceInterface *iface)
{
  iface->set_vring_num = kernel_set_vring_num;
  iface->set_vring_addr = kernel_set_vring_addr;
  iface->set_vring_base = kernel_set_vring_base;
  iface->get_vring_base = kernel_get_vring_base;
  iface->set_vring_kick = kernel_set_vring_kick;
  iface->set_vring_enable = kernel_set_vring_enable;
  iface->set_vring_endian = kernel_set_vring_endian;
}
