/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a vDPA device, shared by its files. One thread. */
#pragma once

#include "kernel/vhost-kernel-device-private.h"
#include "kernel/vhost-kernel-vdpa.h"

struct _VhostKernelVdpa {
  VhostKernelDevice parent_instance;

  guint status; /* as it was set */
  gboolean suspended;
  int config_fd; /* the kernel signals it when the configuration space changes */
  VhostWatch *config_watch;
  GArray *mapped; /* of VhostKernelVdpaRange: what set_memory() mapped */
};

typedef struct {
  guint64 iova;
  guint64 size;
} VhostKernelVdpaRange;

/* vhost-kernel-vdpa-memory.c */
void vhost_kernel_vdpa_memory_init_iface (VhostDeviceInterface *iface);

/* vhost-kernel-vdpa-vring.c */
void vhost_kernel_vdpa_vring_init_iface (VhostDeviceInterface *iface);
gboolean vhost_kernel_vdpa_set_running (VhostKernelDevice *device, guint index, gboolean running,
                                        GError **error);
