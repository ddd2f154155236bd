/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of requests, and what of each argument is different in every run. The numbers are the
 * kernel's own macros; several carry the wrong direction, so the flags say what really happens.
 * Immutable. (<linux/vhost.h>) */

#include <string.h>
#include "kernel/vhost-kernel-calls-private.h"

static int
hide_number (int fd)
{
  return fd < 0 ? fd : 0;
}

static void
hide_fd (VhostOps *ops, gpointer argument, gsize size)
{
  int *fd = argument;

  *fd = hide_number (*fd);
}

static void
hide_vring_file (VhostOps *ops, gpointer argument, gsize size)
{
  struct vhost_vring_file *file = argument;

  file->fd = hide_number (file->fd);
}

static void
hide_pointer (VhostOps *ops, gpointer argument, gsize size)
{
  memset (argument, 0, size);
}

static void
hide_memory_table (VhostOps *ops, gpointer argument, gsize size)
{
  struct vhost_memory *table = argument;

  vhost_ops_forget_memory (ops);
  for (guint i = 0; i < table->nregions; i++) {
    struct vhost_memory_region *region = &table->regions[i];

    vhost_ops_name_memory (ops, region->userspace_addr, region->memory_size,
                           region->guest_phys_addr);
    region->userspace_addr = vhost_ops_hide_address (ops, region->userspace_addr);
  }
}

static void
hide_vring_addr (VhostOps *ops, gpointer argument, gsize size)
{
  struct vhost_vring_addr *addr = argument;

  addr->desc_user_addr = vhost_ops_hide_address (ops, addr->desc_user_addr);
  addr->used_user_addr = vhost_ops_hide_address (ops, addr->used_user_addr);
  addr->avail_user_addr = vhost_ops_hide_address (ops, addr->avail_user_addr);
}

/* Both forms of the message have the rest at the same place. */
static void
hide_iotlb (VhostOps *ops, gpointer argument, gsize size)
{
  struct vhost_iotlb_msg *message = &((struct vhost_msg_v2 *) argument)->iotlb;

  if (message->type != VHOST_IOTLB_UPDATE)
    return;
  if (vhost_ops_hide_address (ops, message->uaddr) == message->uaddr)
    vhost_ops_name_memory (ops, message->uaddr, message->size, message->iova);
  message->uaddr = vhost_ops_hide_address (ops, message->uaddr);
}

#define ROW(name, flags, size, hide)                                                               \
  [VHOST_KERNEL_CALL_##name] = { #name, VHOST_##name, flags, size, hide }

/* clang-format off */
const VhostCall vhost_kernel_calls[VHOST_KERNEL_N_CALLS] = {
  ROW (GET_FEATURES, VHOST_CALL_OUT, sizeof (guint64), NULL),
  ROW (SET_FEATURES, VHOST_CALL_IN, sizeof (guint64), NULL),
  ROW (SET_OWNER, 0, 0, NULL),
  ROW (RESET_OWNER, 0, 0, NULL),
  ROW (SET_MEM_TABLE, VHOST_CALL_IN, sizeof (struct vhost_memory), hide_memory_table),
  ROW (SET_LOG_BASE, VHOST_CALL_IN, sizeof (guint64), hide_pointer),
  ROW (SET_LOG_FD, VHOST_CALL_IN, sizeof (int), hide_fd),
  ROW (NEW_WORKER, VHOST_CALL_OUT, sizeof (struct vhost_worker_state), NULL),
  ROW (FREE_WORKER, VHOST_CALL_IN, sizeof (struct vhost_worker_state), NULL),
  ROW (SET_VRING_NUM, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (SET_VRING_ADDR, VHOST_CALL_IN, sizeof (struct vhost_vring_addr), hide_vring_addr),
  ROW (SET_VRING_BASE, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (GET_VRING_BASE, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (SET_VRING_ENDIAN, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (GET_VRING_ENDIAN, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (ATTACH_VRING_WORKER, VHOST_CALL_IN, sizeof (struct vhost_vring_worker), NULL),
  ROW (GET_VRING_WORKER, VHOST_CALL_BOTH, sizeof (struct vhost_vring_worker), NULL),
  ROW (SET_VRING_KICK, VHOST_CALL_IN, sizeof (struct vhost_vring_file), hide_vring_file),
  ROW (SET_VRING_CALL, VHOST_CALL_IN, sizeof (struct vhost_vring_file), hide_vring_file),
  ROW (SET_VRING_ERR, VHOST_CALL_IN, sizeof (struct vhost_vring_file), hide_vring_file),
  ROW (SET_VRING_BUSYLOOP_TIMEOUT, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (GET_VRING_BUSYLOOP_TIMEOUT, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (SET_BACKEND_FEATURES, VHOST_CALL_IN, sizeof (guint64), NULL),
  ROW (GET_BACKEND_FEATURES, VHOST_CALL_OUT, sizeof (guint64), NULL),
  ROW (NET_SET_BACKEND, VHOST_CALL_IN, sizeof (struct vhost_vring_file), hide_vring_file),
  ROW (SCSI_SET_ENDPOINT, VHOST_CALL_IN, sizeof (struct vhost_scsi_target), NULL),
  ROW (SCSI_CLEAR_ENDPOINT, VHOST_CALL_IN, sizeof (struct vhost_scsi_target), NULL),
  ROW (SCSI_GET_ABI_VERSION, VHOST_CALL_OUT, sizeof (int), NULL),
  ROW (SCSI_SET_EVENTS_MISSED, VHOST_CALL_IN, sizeof (guint32), NULL),
  ROW (SCSI_GET_EVENTS_MISSED, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VSOCK_SET_GUEST_CID, VHOST_CALL_IN, sizeof (guint64), NULL),
  ROW (VSOCK_SET_RUNNING, VHOST_CALL_IN, sizeof (int), NULL),
  ROW (VDPA_GET_DEVICE_ID, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VDPA_GET_STATUS, VHOST_CALL_OUT, sizeof (guint8), NULL),
  ROW (VDPA_SET_STATUS, VHOST_CALL_IN, sizeof (guint8), NULL),
  ROW (VDPA_GET_CONFIG, VHOST_CALL_BOTH, sizeof (struct vhost_vdpa_config), NULL),
  ROW (VDPA_SET_CONFIG, VHOST_CALL_IN, sizeof (struct vhost_vdpa_config), NULL),
  ROW (VDPA_SET_VRING_ENABLE, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (VDPA_GET_VRING_NUM, VHOST_CALL_OUT, sizeof (guint16), NULL),
  ROW (VDPA_SET_CONFIG_CALL, VHOST_CALL_IN, sizeof (int), hide_fd),
  ROW (VDPA_GET_IOVA_RANGE, VHOST_CALL_OUT, sizeof (struct vhost_vdpa_iova_range), NULL),
  ROW (VDPA_GET_CONFIG_SIZE, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VDPA_GET_AS_NUM, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VDPA_GET_VRING_GROUP, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (VDPA_SET_GROUP_ASID, VHOST_CALL_IN, sizeof (struct vhost_vring_state), NULL),
  ROW (VDPA_SUSPEND, 0, 0, NULL),
  ROW (VDPA_RESUME, 0, 0, NULL),
  ROW (VDPA_GET_VRING_DESC_GROUP, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (VDPA_GET_VQS_COUNT, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VDPA_GET_GROUP_NUM, VHOST_CALL_OUT, sizeof (guint32), NULL),
  ROW (VDPA_GET_VRING_SIZE, VHOST_CALL_BOTH, sizeof (struct vhost_vring_state), NULL),
  ROW (GET_FEATURES_ARRAY, VHOST_CALL_BOTH, sizeof (struct vhost_features_array), NULL),
  ROW (SET_FEATURES_ARRAY, VHOST_CALL_IN, sizeof (struct vhost_features_array), NULL),
  ROW (SET_FORK_FROM_OWNER, VHOST_CALL_IN, sizeof (guint8), NULL),
  ROW (GET_FORK_FROM_OWNER, VHOST_CALL_OUT, sizeof (guint8), NULL),
  [VHOST_KERNEL_CALL_WRITE_IOTLB] = { "WRITE_IOTLB", 0, VHOST_CALL_IN,
                                      sizeof (struct vhost_msg_v2), hide_iotlb },
  [VHOST_KERNEL_CALL_READ_IOTLB] = { "READ_IOTLB", 0, VHOST_CALL_OUT,
                                     sizeof (struct vhost_msg_v2), NULL },
};
/* clang-format on */
