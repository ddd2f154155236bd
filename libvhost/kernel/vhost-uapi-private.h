/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's interface, with what the headers of Debian 12 (Linux 6.1) do not have yet. The
 * values are ABI. Whether the running kernel knows them is found out by asking it. */
#pragma once

#include <linux/vhost.h>

#ifndef VHOST_SET_FORK_FROM_OWNER
#define VHOST_SET_FORK_FROM_OWNER _IOW (VHOST_VIRTIO, 0x84, __u8)
#define VHOST_GET_FORK_FROM_OWNER _IOR (VHOST_VIRTIO, 0x85, __u8)
#endif

#ifndef VHOST_GET_FEATURES_ARRAY
struct vhost_features_array {
  __u64 count;
  __u64 features[];
};
#define VHOST_GET_FEATURES_ARRAY _IOR (VHOST_VIRTIO, 0x83, struct vhost_features_array)
#define VHOST_SET_FEATURES_ARRAY _IOW (VHOST_VIRTIO, 0x83, struct vhost_features_array)
#endif

#ifndef VHOST_NEW_WORKER
struct vhost_worker_state {
  unsigned int worker_id;
};
struct vhost_vring_worker {
  unsigned int index;
  unsigned int worker_id;
};
#define VHOST_NEW_WORKER _IOR (VHOST_VIRTIO, 0x8, struct vhost_worker_state)
#define VHOST_FREE_WORKER _IOW (VHOST_VIRTIO, 0x9, struct vhost_worker_state)
#define VHOST_ATTACH_VRING_WORKER _IOW (VHOST_VIRTIO, 0x15, struct vhost_vring_worker)
#define VHOST_GET_VRING_WORKER _IOWR (VHOST_VIRTIO, 0x16, struct vhost_vring_worker)
#endif

#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME _IO (VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_VDPA_GET_VRING_DESC_GROUP
#define VHOST_VDPA_GET_VRING_DESC_GROUP _IOWR (VHOST_VIRTIO, 0x7F, struct vhost_vring_state)
#endif
#ifndef VHOST_VDPA_GET_VRING_SIZE
#define VHOST_VDPA_GET_VRING_SIZE _IOWR (VHOST_VIRTIO, 0x82, struct vhost_vring_state)
#endif
