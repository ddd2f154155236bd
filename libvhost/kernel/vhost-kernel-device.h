/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/endpoint/vhost-device.h>

G_BEGIN_DECLS

#define VHOST_TYPE_KERNEL_DEVICE (vhost_kernel_device_get_type ())

/**
 * VhostKernelDevice:
 *
 * A device that the kernel serves: what all kinds of it have in common. The kernel works in the
 * memory of this process, on threads of its own.
 *
 * Belongs to the thread that opened it; signals are emitted in the main context that was the
 * thread's default then.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_DERIVABLE_TYPE (VhostKernelDevice, vhost_kernel_device, VHOST, KERNEL_DEVICE, GObject)

/**
 * VhostKernelDeviceClass:
 * @parent_class: the parent class
 *
 * What a kind of device is, which only this library knows.
 *
 * Since: 1.0
 */
struct _VhostKernelDeviceClass {
  GObjectClass parent_class;

  /*< private >*/
  gconstpointer kind;
  gpointer reserved[7];
};

/**
 * VhostKernelFeature:
 * @VHOST_KERNEL_FEATURE_IOTLB_MSG_V2: address space identifiers fit into IOTLB messages
 * @VHOST_KERNEL_FEATURE_IOTLB_BATCH: IOTLB messages can be grouped
 * @VHOST_KERNEL_FEATURE_IOTLB_ASID: address space identifiers mean something
 * @VHOST_KERNEL_FEATURE_SUSPEND: the device can be suspended
 * @VHOST_KERNEL_FEATURE_RESUME: and resumed
 * @VHOST_KERNEL_FEATURE_ENABLE_AFTER_DRIVER_OK: queues can be enabled while the driver runs
 * @VHOST_KERNEL_FEATURE_DESC_ASID: descriptors may be in an address space of their own
 * @VHOST_KERNEL_FEATURE_IOTLB_PERSIST: mappings outlive a reset
 *
 * Bit numbers of what a kernel device can do beside VIRTIO: the “backend features” of
 * `<linux/vhost.h>`. All that the kernel offers and this library knows are accepted.
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_KERNEL_FEATURE_IOTLB_MSG_V2 = 1,
  VHOST_KERNEL_FEATURE_IOTLB_BATCH = 2,
  VHOST_KERNEL_FEATURE_IOTLB_ASID = 3,
  VHOST_KERNEL_FEATURE_SUSPEND = 4,
  VHOST_KERNEL_FEATURE_RESUME = 5,
  VHOST_KERNEL_FEATURE_ENABLE_AFTER_DRIVER_OK = 6,
  VHOST_KERNEL_FEATURE_DESC_ASID = 7,
  VHOST_KERNEL_FEATURE_IOTLB_PERSIST = 8,
} VhostKernelFeature;

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_open (VhostKernelDevice *device, const char *path, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_open_fd (VhostKernelDevice *device, int fd, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_kernel_device_close (VhostKernelDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_is_open (VhostKernelDevice *device);

VHOST_AVAILABLE_IN_1_0
int vhost_kernel_device_peek_fd (VhostKernelDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_has_kernel_feature (VhostKernelDevice *device, guint bit);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_set_vring_busyloop_timeout (VhostKernelDevice *device, guint index,
                                                         guint timeout, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_kernel_device_get_vring_busyloop_timeout (VhostKernelDevice *device, guint index,
                                                      GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_kernel_device_is_vring_big_endian (VhostKernelDevice *device, guint index,
                                                  GError **error);

G_END_DECLS
