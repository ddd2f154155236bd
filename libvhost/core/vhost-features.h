/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

/**
 * VhostDeviceId:
 * @VHOST_DEVICE_ID_NONE: not known
 * @VHOST_DEVICE_ID_NETWORK: network card
 * @VHOST_DEVICE_ID_BLOCK: block device
 * @VHOST_DEVICE_ID_CONSOLE: console
 * @VHOST_DEVICE_ID_ENTROPY: entropy source
 * @VHOST_DEVICE_ID_BALLOON: memory balloon
 * @VHOST_DEVICE_ID_SCSI: SCSI host
 * @VHOST_DEVICE_ID_P9: 9P transport
 * @VHOST_DEVICE_ID_GPU: graphics adapter
 * @VHOST_DEVICE_ID_INPUT: input device
 * @VHOST_DEVICE_ID_VSOCK: socket device
 * @VHOST_DEVICE_ID_CRYPTO: crypto device
 * @VHOST_DEVICE_ID_IOMMU: IOMMU
 * @VHOST_DEVICE_ID_MEM: memory device
 * @VHOST_DEVICE_ID_SOUND: sound device
 * @VHOST_DEVICE_ID_FS: file system
 * @VHOST_DEVICE_ID_PMEM: persistent memory
 * @VHOST_DEVICE_ID_RPMB: replay-protected memory block
 * @VHOST_DEVICE_ID_I2C: I²C adapter
 * @VHOST_DEVICE_ID_CAN: CAN controller
 * @VHOST_DEVICE_ID_GPIO: GPIO controller
 *
 * What a device is. (VIRTIO 1.4, section 5, “Device Types”)
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_DEVICE_ID_NONE = 0,
  VHOST_DEVICE_ID_NETWORK = 1,
  VHOST_DEVICE_ID_BLOCK = 2,
  VHOST_DEVICE_ID_CONSOLE = 3,
  VHOST_DEVICE_ID_ENTROPY = 4,
  VHOST_DEVICE_ID_BALLOON = 5,
  VHOST_DEVICE_ID_SCSI = 8,
  VHOST_DEVICE_ID_P9 = 9,
  VHOST_DEVICE_ID_GPU = 16,
  VHOST_DEVICE_ID_INPUT = 18,
  VHOST_DEVICE_ID_VSOCK = 19,
  VHOST_DEVICE_ID_CRYPTO = 20,
  VHOST_DEVICE_ID_IOMMU = 23,
  VHOST_DEVICE_ID_MEM = 24,
  VHOST_DEVICE_ID_SOUND = 25,
  VHOST_DEVICE_ID_FS = 26,
  VHOST_DEVICE_ID_PMEM = 27,
  VHOST_DEVICE_ID_RPMB = 28,
  VHOST_DEVICE_ID_I2C = 34,
  VHOST_DEVICE_ID_CAN = 36,
  VHOST_DEVICE_ID_GPIO = 41,
} VhostDeviceId;

/**
 * VhostFeature:
 * @VHOST_FEATURE_NOTIFY_ON_EMPTY: legacy: notify when the ring runs empty
 * @VHOST_FEATURE_LOG_ALL: dirty logging of all writes to guest memory
 * @VHOST_FEATURE_ANY_LAYOUT: legacy: any descriptor layout
 * @VHOST_FEATURE_INDIRECT_DESC: indirect descriptors
 * @VHOST_FEATURE_EVENT_IDX: used_event and avail_event
 * @VHOST_FEATURE_PROTOCOL_FEATURES: vhost-user protocol features; never shown to a driver
 * @VHOST_FEATURE_VERSION_1: VIRTIO 1.0 or later
 * @VHOST_FEATURE_ACCESS_PLATFORM: the device sees IOVAs
 * @VHOST_FEATURE_RING_PACKED: packed virtqueues
 * @VHOST_FEATURE_IN_ORDER: buffers are used in the order they were made available
 * @VHOST_FEATURE_ORDER_PLATFORM: platform memory ordering
 * @VHOST_FEATURE_SR_IOV: single root I/O virtualization
 * @VHOST_FEATURE_NOTIFICATION_DATA: kicks carry data
 * @VHOST_FEATURE_NOTIF_CONFIG_DATA: kicks carry device-supplied data
 * @VHOST_FEATURE_RING_RESET: single queues can be reset
 * @VHOST_FEATURE_ADMIN_VQ: administration queues
 * @VHOST_FEATURE_SUSPEND: the device can be suspended
 *
 * Bit *numbers* of the device-independent features. (VIRTIO 1.4, section 6; vhost-user, “Feature
 * bits”)
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_FEATURE_NOTIFY_ON_EMPTY = 24,
  VHOST_FEATURE_LOG_ALL = 26,
  VHOST_FEATURE_ANY_LAYOUT = 27,
  VHOST_FEATURE_INDIRECT_DESC = 28,
  VHOST_FEATURE_EVENT_IDX = 29,
  VHOST_FEATURE_PROTOCOL_FEATURES = 30,
  VHOST_FEATURE_VERSION_1 = 32,
  VHOST_FEATURE_ACCESS_PLATFORM = 33,
  VHOST_FEATURE_RING_PACKED = 34,
  VHOST_FEATURE_IN_ORDER = 35,
  VHOST_FEATURE_ORDER_PLATFORM = 36,
  VHOST_FEATURE_SR_IOV = 37,
  VHOST_FEATURE_NOTIFICATION_DATA = 38,
  VHOST_FEATURE_NOTIF_CONFIG_DATA = 39,
  VHOST_FEATURE_RING_RESET = 40,
  VHOST_FEATURE_ADMIN_VQ = 41,
  VHOST_FEATURE_SUSPEND = 43,
} VhostFeature;

/**
 * VhostBlkFeature:
 * @VHOST_BLK_FEATURE_SIZE_MAX: size_max is valid
 * @VHOST_BLK_FEATURE_SEG_MAX: seg_max is valid
 * @VHOST_BLK_FEATURE_GEOMETRY: geometry is valid
 * @VHOST_BLK_FEATURE_RO: read-only
 * @VHOST_BLK_FEATURE_BLK_SIZE: blk_size is valid
 * @VHOST_BLK_FEATURE_FLUSH: the flush command
 * @VHOST_BLK_FEATURE_TOPOLOGY: topology is valid
 * @VHOST_BLK_FEATURE_CONFIG_WCE: the cache mode can be switched
 * @VHOST_BLK_FEATURE_MQ: several queues
 * @VHOST_BLK_FEATURE_DISCARD: the discard command
 * @VHOST_BLK_FEATURE_WRITE_ZEROES: the write-zeroes command
 * @VHOST_BLK_FEATURE_LIFETIME: the lifetime command
 * @VHOST_BLK_FEATURE_SECURE_ERASE: the secure-erase command
 *
 * Bit numbers of a block device's features. (VIRTIO 1.4, section 5.2.3)
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_BLK_FEATURE_SIZE_MAX = 1,
  VHOST_BLK_FEATURE_SEG_MAX = 2,
  VHOST_BLK_FEATURE_GEOMETRY = 4,
  VHOST_BLK_FEATURE_RO = 5,
  VHOST_BLK_FEATURE_BLK_SIZE = 6,
  VHOST_BLK_FEATURE_FLUSH = 9,
  VHOST_BLK_FEATURE_TOPOLOGY = 10,
  VHOST_BLK_FEATURE_CONFIG_WCE = 11,
  VHOST_BLK_FEATURE_MQ = 12,
  VHOST_BLK_FEATURE_DISCARD = 13,
  VHOST_BLK_FEATURE_WRITE_ZEROES = 14,
  VHOST_BLK_FEATURE_LIFETIME = 15,
  VHOST_BLK_FEATURE_SECURE_ERASE = 16,
} VhostBlkFeature;

/**
 * VhostConsoleFeature:
 * @VHOST_CONSOLE_FEATURE_SIZE: cols and rows are valid
 * @VHOST_CONSOLE_FEATURE_MULTIPORT: several ports and a control queue pair
 * @VHOST_CONSOLE_FEATURE_EMERG_WRITE: emergency write
 *
 * Bit numbers of a console's features. (VIRTIO 1.4, section 5.3.3)
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_CONSOLE_FEATURE_SIZE = 0,
  VHOST_CONSOLE_FEATURE_MULTIPORT = 1,
  VHOST_CONSOLE_FEATURE_EMERG_WRITE = 2,
} VhostConsoleFeature;

/**
 * VhostStatus:
 * @VHOST_STATUS_ACKNOWLEDGE: the driver has noticed the device
 * @VHOST_STATUS_DRIVER: the driver knows how to drive it
 * @VHOST_STATUS_DRIVER_OK: the driver is set up
 * @VHOST_STATUS_FEATURES_OK: feature negotiation is complete
 * @VHOST_STATUS_NEEDS_RESET: the device hit an error it cannot recover from
 * @VHOST_STATUS_FAILED: the driver has given up
 *
 * The device status byte. (VIRTIO 1.4, section 2.1)
 *
 * Since: 1.0
 */
typedef enum { /*< flags >*/
  VHOST_STATUS_ACKNOWLEDGE = 1,
  VHOST_STATUS_DRIVER = 2,
  VHOST_STATUS_DRIVER_OK = 4,
  VHOST_STATUS_FEATURES_OK = 8,
  VHOST_STATUS_NEEDS_RESET = 64,
  VHOST_STATUS_FAILED = 128,
} VhostStatus;

VHOST_AVAILABLE_IN_1_0
const char *vhost_device_id_get_name (VhostDeviceId device_id);

VHOST_AVAILABLE_IN_1_0
const char *vhost_feature_get_name (VhostDeviceId device_id, guint bit);

VHOST_AVAILABLE_IN_1_0
char *vhost_features_to_string (VhostDeviceId device_id, guint64 features);

G_END_DECLS
