/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a kernel device, and what the files of the room share. One thread. */
#pragma once

#include "core/vhost-features-private.h"
#include "core/vhost-reactor-private.h"
#include "kernel/vhost-kernel-calls-private.h"
#include "kernel/vhost-kernel-device.h"

/* How a kind of device differs from the others. */
typedef struct {
  const char *path;   /* where it is by default; NULL: there is none */
  const char *module; /* which module of the kernel has it */
  guint n_queues;     /* 0: found out by trying */
  /* Asks how many queues there are: 0 with an error. May be NULL. */
  guint (*count_queues) (VhostKernelDevice *device, GError **error);
  /* The device has an owner, features and queues. May be NULL. */
  gboolean (*open) (VhostKernelDevice *device, GError **error);
  /* Feature bits that the kernel means for the process, not for its guest. */
  guint64 hidden_features;
  /* Those of them that are to be set. May be NULL. */
  guint64 (*get_own_features) (VhostKernelDevice *device);
  /* Starts or stops queue @index, or the whole device when @whole. May be NULL. */
  gboolean (*set_running) (VhostKernelDevice *device, guint index, gboolean running,
                           GError **error);
  gboolean whole;
  gboolean no_used_lengths; /* it says 0 whatever it wrote */
  /* The descriptor is about to be closed. May be NULL. */
  void (*close) (VhostKernelDevice *device);
} VhostKernelKind;

typedef struct {
  VhostKernelDevice *device;
  guint index;
  guint num;            /* 0: not set */
  gboolean placed;      /* it has addresses */
  gboolean enabled;     /* as the VMM wants it */
  gboolean running;     /* as the kernel knows it */
  gboolean foreign_err; /* the VMM gave an error descriptor */
  int kick_fd;          /* the VMM's, duplicated; -1: none */
  int call_fd;          /* our own, watched; -1 when somebody else has it */
  int err_fd;
  VhostWatch *call_watch;
  VhostWatch *err_watch;
} VhostKernelQueue;

typedef struct {
  VhostOps *ops;
  VhostReactor *reactor;
  int fd;
  guint n_queues;
  VhostKernelQueue *queues;
  guint64 offered;         /* as the kernel said */
  guint64 features;        /* as it was told */
  guint64 kernel_features; /* accepted; bits of VhostKernelFeature */
  VhostMemory *memory;     /* which the kernel has */
  guint8 *log_map;         /* where the kernel logs, from log_offset on */
  gsize log_size;
  gsize log_offset;
  gboolean fork_from_owner; /* property */
} VhostKernelDevicePrivate;

/* vhost-kernel-device.c */
VhostKernelDevicePrivate *vhost_kernel_get_state (VhostKernelDevice *device);
const VhostKernelKind *vhost_kernel_get_kind (VhostKernelDevice *device);
/* For tests: before it is opened. Takes @ops. */
void vhost_kernel_set_ops (VhostKernelDevice *device, VhostOps *ops);
gboolean vhost_kernel_check_open (VhostKernelDevice *device, VhostKernelCall call, GError **error);
/* Makes a request; the error names it and the reason. */
gboolean vhost_kernel_call (VhostKernelDevice *device, VhostKernelCall call, gpointer argument,
                            GError **error);
gboolean vhost_kernel_call_sized (VhostKernelDevice *device, VhostKernelCall call,
                                  gpointer argument, gsize size, GError **error);
/* The same without an error: a result, or a negated errno. The device is open. */
int vhost_kernel_try (VhostKernelDevice *device, VhostKernelCall call, gpointer argument,
                      gsize size);
/* The result of a request that this kernel, or this kind of device, does not have. */
gboolean vhost_kernel_is_unknown (int result);
gboolean vhost_kernel_tell_features (VhostKernelDevice *device, guint64 features, GError **error);

/* vhost-kernel-error.c */
gboolean vhost_kernel_set_error (GError **error, VhostKernelCall call, int code);
gboolean vhost_kernel_set_open_error (GError **error, const char *path, const char *module,
                                      int code);

/* vhost-kernel-vring.c */
void vhost_kernel_vring_init_iface (VhostDeviceInterface *iface);
VhostKernelQueue *vhost_kernel_find_queue (VhostKernelDevice *device, VhostKernelCall call,
                                           guint index, GError **error);
/* The bytes that a split ring has to have where. */
gboolean vhost_kernel_check_ring (guint num, guint64 desc, guint64 avail, guint64 used, guint64 log,
                                  GError **error);
gboolean vhost_kernel_call_vring (VhostKernelDevice *device, VhostKernelCall call, guint index,
                                  guint num, GError **error);
guint vhost_kernel_ask_vring (VhostKernelDevice *device, VhostKernelCall call, guint index,
                              GError **error);
gboolean vhost_kernel_is_running (VhostKernelDevice *device);
/* All queues that were set up. */
gboolean vhost_kernel_set_all_enabled (VhostKernelDevice *device, gboolean enable, GError **error);

/* vhost-kernel-memory.c */
void vhost_kernel_memory_init_iface (VhostDeviceInterface *iface);
void vhost_kernel_drop_log (VhostKernelDevice *device);
gboolean vhost_kernel_check_log (VhostKernelDevice *device, VhostMemory *memory, GError **error);

/* vhost-kernel-notify.c */
void vhost_kernel_notify_init_iface (VhostDeviceInterface *iface);
gboolean vhost_kernel_watch_err (VhostKernelQueue *queue, GError **error);
void vhost_kernel_queue_init (VhostKernelQueue *queue, VhostKernelDevice *device, guint index);
void vhost_kernel_queue_clear (VhostKernelQueue *queue);

/* vhost-kernel-iotlb.c: one message each. @type is VHOST_IOTLB_UPDATE, …; an @asid other than 0
 * needs IOTLB_ASID. */
gboolean vhost_kernel_send_iotlb (VhostKernelDevice *device, guint type, guint asid, guint64 iova,
                                  guint64 size, gconstpointer host, guint access, GError **error);
/* What the kernel wants to know: 1 a message, 0 none, -1 an error. */
int vhost_kernel_read_miss (VhostKernelDevice *device, guint64 *iova, guint *access,
                            GError **error);
