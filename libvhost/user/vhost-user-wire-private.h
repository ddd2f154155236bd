/* SPDX-License-Identifier: BSD-3-Clause */
/* Payload layouts, as they lie on the wire: natural C layout, host byte order, tail padding
 * included. (vhost-user, “Message specification”) */
#pragma once

#include "core/vhost-fd-private.h"
#include "core/vhost-features.h"
#include "user/vhost-user-protocol.h"

#define VHOST_USER_HEADER_SIZE 12
#define VHOST_USER_MAX_PAYLOAD 4096
#define VHOST_USER_MAX_CONFIG 256
#define VHOST_USER_MAX_TABLE_REGIONS 8 /* in SET_MEM_TABLE */
#define VHOST_USER_MAX_SHMEM_REGIONS 256
#define VHOST_USER_UUID_SIZE 16
#define VHOST_USER_FS_ENTRIES 8
#define VHOST_USER_MAX_SLOTS 509 /* with ADD_MEM_REG */
#define VHOST_USER_VRING_INDEX_MASK 0xff
#define VHOST_USER_VRING_NOFD 0x100

typedef struct {
  guint32 index;
  guint32 num;
} VhostUserVringState;

typedef struct {
  guint32 index;
  guint32 flags;
  guint64 desc;
  guint64 used;
  guint64 avail;
  guint64 log;
} VhostUserVringAddr;

typedef struct {
  guint64 guest_address;
  guint64 size;
  guint64 user_address;
  guint64 mmap_offset;
} VhostUserRegion; /* with XEN_MMAP two u32 follow: flags, domid */

typedef struct {
  guint32 n_regions;
  guint32 padding;
  VhostUserRegion region[VHOST_USER_MAX_TABLE_REGIONS];
} VhostUserMemTable;

typedef struct {
  guint64 padding;
  VhostUserRegion region;
} VhostUserSingleRegion;

typedef struct {
  guint64 mmap_size;
  guint64 mmap_offset;
} VhostUserLogBase;

/* Of an IOTLB_MSG: asked by the back-end; said by the front-end, twice; told by the back-end. */
#define VHOST_USER_IOTLB_TYPE_MISS 1
#define VHOST_USER_IOTLB_TYPE_UPDATE 2
#define VHOST_USER_IOTLB_TYPE_INVALIDATE 3
#define VHOST_USER_IOTLB_TYPE_ACCESS_FAIL 4

typedef struct {
  guint64 iova;
  guint64 size;
  guint64 user_address;
  guint8 perm;
  guint8 type;
  guint8 padding[6];
} VhostUserIotlb;

typedef struct {
  guint32 offset;
  guint32 size;
  guint32 flags;
  guint8 data[VHOST_USER_MAX_CONFIG];
} VhostUserConfigSpace;

typedef struct {
  guint64 index;
  guint64 size;
  guint64 offset;
} VhostUserVringArea;

typedef struct {
  guint64 mmap_size;
  guint64 mmap_offset;
  guint16 num_queues;
  guint16 queue_size;
  guint32 padding;
} VhostUserInflightArea;

typedef struct {
  guint32 direction;
  guint32 phase;
} VhostUserStateTransfer;

typedef struct {
  guint8 shmid;
  guint8 padding[7];
  guint64 fd_offset;
  guint64 shm_offset;
  guint64 len;
  guint64 flags;
} VhostUserShmemMap;

typedef struct {
  guint32 n_regions;
  guint32 padding;
  guint64 memory_sizes[VHOST_USER_MAX_SHMEM_REGIONS];
} VhostUserShmemConfig;

#define VHOST_USER_SHMEM_WRITABLE 1u    /* in the flags of a mapping */
#define VHOST_USER_TRANSFER_NOFD 0x100u /* in the answer to SET_DEVICE_STATE_FD */

/* Of virtio-fs, in drafts only; a length of 0 is an unused entry. */
typedef struct {
  guint64 fd_offset[VHOST_USER_FS_ENTRIES];
  guint64 cache_offset[VHOST_USER_FS_ENTRIES];
  guint64 len[VHOST_USER_FS_ENTRIES];
  guint64 flags[VHOST_USER_FS_ENTRIES];
} VhostUserFsEntries;

#define VHOST_USER_CRYPTO_SESSION_SIZE 1072

G_STATIC_ASSERT (sizeof (VhostUserVringState) == 8);
G_STATIC_ASSERT (sizeof (VhostUserVringAddr) == 40);
G_STATIC_ASSERT (sizeof (VhostUserRegion) == 32);
G_STATIC_ASSERT (sizeof (VhostUserMemTable) == 8 + 8 * 32);
G_STATIC_ASSERT (sizeof (VhostUserSingleRegion) == 40);
G_STATIC_ASSERT (sizeof (VhostUserLogBase) == 16);
G_STATIC_ASSERT (sizeof (VhostUserIotlb) == 32);
G_STATIC_ASSERT (sizeof (VhostUserConfigSpace) == 12 + VHOST_USER_MAX_CONFIG);
G_STATIC_ASSERT (sizeof (VhostUserVringArea) == 24);
G_STATIC_ASSERT (sizeof (VhostUserInflightArea) == 24);
G_STATIC_ASSERT (sizeof (VhostUserStateTransfer) == 8);
G_STATIC_ASSERT (sizeof (VhostUserShmemMap) == 40);
G_STATIC_ASSERT (sizeof (VhostUserShmemConfig) == 2056);
G_STATIC_ASSERT (sizeof (VhostUserFsEntries) == 256);

/* One message, whole: header, payload, and the descriptors it owns. */
typedef struct {
  guint32 request;
  guint32 flags;
  guint32 size;
  union {
    guint8 bytes[VHOST_USER_MAX_PAYLOAD];
    guint64 u64;
    VhostUserVringState state;
    VhostUserVringAddr addr;
    VhostUserMemTable table;
    VhostUserSingleRegion region;
    VhostUserLogBase log;
    VhostUserIotlb iotlb;
    VhostUserConfigSpace config;
    VhostUserVringArea area;
    VhostUserInflightArea inflight;
    VhostUserStateTransfer transfer;
    VhostUserShmemMap shmem_map;
    VhostUserShmemConfig shmem_config;
    VhostUserFsEntries fs;
    guint8 uuid[VHOST_USER_UUID_SIZE];
  } payload;
  VhostFdSet fds;
} VhostUserFrame;

/* Moves what @from holds into @to, which must be empty or new; @from is empty then. */
void vhost_user_frame_move (VhostUserFrame *to, VhostUserFrame *from);

/* Makes @frame a request (flags 1) or, with VHOST_USER_FLAGS_REPLY in @flags, an answer; payload
 * zeroed up to @size, no descriptors. The frame must be empty or new. */
void vhost_user_frame_init (VhostUserFrame *frame, guint32 request, guint32 flags, guint32 size);
void vhost_user_frame_clear (VhostUserFrame *frame); /* closes what it owns */

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VhostUserFrame, vhost_user_frame_clear)
