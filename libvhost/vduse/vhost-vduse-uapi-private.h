/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface of /dev/vduse, version 0: one address space, which is all that a device here needs.
 * Version 1 keeps each number and layout that is used here. */
#pragma once

#include <glib.h>
#include <sys/ioctl.h>
#include <linux/vduse.h>

#define VHOST_VDUSE_API_VERSION G_GUINT64_CONSTANT (0)

G_STATIC_ASSERT (sizeof (struct vduse_dev_config) == 336);
G_STATIC_ASSERT (sizeof (struct vduse_iotlb_entry) == 32);
G_STATIC_ASSERT (sizeof (struct vduse_vq_config) == 32);
G_STATIC_ASSERT (sizeof (struct vduse_vq_info) == 48);
G_STATIC_ASSERT (sizeof (struct vduse_dev_request) == 152);
G_STATIC_ASSERT (sizeof (struct vduse_dev_response) == 152);
