/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/endpoint/vhost-iommu.h>
#include <libvhost/memory/vhost-memory.h>

G_BEGIN_DECLS

#define VHOST_TYPE_DEVICE (vhost_device_get_type ())

/**
 * VhostDevice:
 *
 * A device that this program drives, wherever it lives: what a VMM asks of it, request by request.
 * [class@Vhost.Driver] makes the requests for a program that only wants queues.
 *
 * Calls block, and belong to one thread at a time.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_INTERFACE (VhostDevice, vhost_device, VHOST, DEVICE, GObject)

/**
 * VhostDeviceInterface:
 * @get_features: see [method@Vhost.Device.get_features]
 * @set_features: see [method@Vhost.Device.set_features]
 * @set_owner: see [method@Vhost.Device.set_owner]
 * @reset_owner: see [method@Vhost.Device.reset_owner]
 * @get_n_queues: see [method@Vhost.Device.get_n_queues]
 * @set_memory: see [method@Vhost.Device.set_memory]
 * @set_log_base: see [method@Vhost.Device.set_log_base]
 * @set_log_fd: see [method@Vhost.Device.set_log_fd]
 * @set_vring_num: see [method@Vhost.Device.set_vring_num]
 * @set_vring_addr: see [method@Vhost.Device.set_vring_addr]
 * @set_vring_base: see [method@Vhost.Device.set_vring_base]
 * @get_vring_base: see [method@Vhost.Device.get_vring_base]
 * @set_vring_kick: see [method@Vhost.Device.set_vring_kick]
 * @set_vring_call: see [method@Vhost.Device.set_vring_call]
 * @set_vring_err: see [method@Vhost.Device.set_vring_err]
 * @set_vring_enable: see [method@Vhost.Device.set_vring_enable]
 * @get_config: see [method@Vhost.Device.get_config]
 * @set_config: see [method@Vhost.Device.set_config]
 * @get_status: see [method@Vhost.Device.get_status]
 * @set_status: see [method@Vhost.Device.set_status]
 * @reset: see [method@Vhost.Device.reset]
 * @set_vring_endian: see [method@Vhost.Device.set_vring_endian]
 * @has_in_band_notifications: see [method@Vhost.Device.has_in_band_notifications]
 * @kick_vring: see [method@Vhost.Device.kick_vring]
 * @wait_readable: see [method@Vhost.Device.wait_readable]
 * @request_inflight: see [method@Vhost.Device.request_inflight]
 * @give_inflight: see [method@Vhost.Device.give_inflight]
 * @drop_inflight: see [method@Vhost.Device.drop_inflight]
 * @has_used_lengths: see [method@Vhost.Device.has_used_lengths]
 * @set_iommu: see [method@Vhost.Device.set_iommu]
 * @update_iotlb: see [method@Vhost.Device.update_iotlb]
 * @invalidate_iotlb: see [method@Vhost.Device.invalidate_iotlb]
 * @reserved: room for later versions
 *
 * What a kind of device implements. A function that is missing is answered with
 * `G_IO_ERROR_NOT_SUPPORTED`.
 *
 * Since: 1.0
 */
struct _VhostDeviceInterface {
  GTypeInterface parent_iface;

  guint64 (*get_features) (VhostDevice *device, GCancellable *cancellable, GError **error);
  gboolean (*set_features) (VhostDevice *device, guint64 features, GCancellable *cancellable,
                            GError **error);
  gboolean (*set_owner) (VhostDevice *device, GCancellable *cancellable, GError **error);
  gboolean (*reset_owner) (VhostDevice *device, GCancellable *cancellable, GError **error);
  guint (*get_n_queues) (VhostDevice *device);
  gboolean (*set_memory) (VhostDevice *device, VhostMemory *memory, GCancellable *cancellable,
                          GError **error);
  gboolean (*set_log_base) (VhostDevice *device, int fd, guint64 size, guint64 offset,
                            GCancellable *cancellable, GError **error);
  gboolean (*set_log_fd) (VhostDevice *device, int fd, GCancellable *cancellable, GError **error);
  gboolean (*set_vring_num) (VhostDevice *device, guint index, guint num, GCancellable *cancellable,
                             GError **error);
  gboolean (*set_vring_addr) (VhostDevice *device, guint index, guint flags, guint64 desc,
                              guint64 avail, guint64 used, guint64 log, GCancellable *cancellable,
                              GError **error);
  gboolean (*set_vring_base) (VhostDevice *device, guint index, guint32 base,
                              GCancellable *cancellable, GError **error);
  guint32 (*get_vring_base) (VhostDevice *device, guint index, GCancellable *cancellable,
                             GError **error);
  gboolean (*set_vring_kick) (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                              GError **error);
  gboolean (*set_vring_call) (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                              GError **error);
  gboolean (*set_vring_err) (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                             GError **error);
  gboolean (*set_vring_enable) (VhostDevice *device, guint index, gboolean enable,
                                GCancellable *cancellable, GError **error);
  GBytes *(*get_config) (VhostDevice *device, guint offset, guint size, GCancellable *cancellable,
                         GError **error);
  gboolean (*set_config) (VhostDevice *device, guint offset, GBytes *data,
                          GCancellable *cancellable, GError **error);
  guint (*get_status) (VhostDevice *device, GCancellable *cancellable, GError **error);
  gboolean (*set_status) (VhostDevice *device, guint status, GCancellable *cancellable,
                          GError **error);
  gboolean (*reset) (VhostDevice *device, GCancellable *cancellable, GError **error);
  gboolean (*set_vring_endian) (VhostDevice *device, guint index, gboolean big_endian,
                                GCancellable *cancellable, GError **error);
  gboolean (*has_in_band_notifications) (VhostDevice *device);
  gboolean (*kick_vring) (VhostDevice *device, guint index, GCancellable *cancellable,
                          GError **error);
  gboolean (*wait_readable) (VhostDevice *device, int fd, guint timeout, GCancellable *cancellable,
                             GError **error);

  gboolean (*request_inflight) (VhostDevice *device, guint n_queues, guint queue_size,
                                GCancellable *cancellable, GError **error);
  gboolean (*give_inflight) (VhostDevice *device, GCancellable *cancellable, GError **error);
  void (*drop_inflight) (VhostDevice *device);

  gboolean (*has_used_lengths) (VhostDevice *device);
  gboolean (*set_iommu) (VhostDevice *device, VhostIommu *iommu, GError **error);
  gboolean (*update_iotlb) (VhostDevice *device, const VhostIommuMapping *mapping,
                            GCancellable *cancellable, GError **error);
  gboolean (*invalidate_iotlb) (VhostDevice *device, guint64 iova, guint64 size,
                                GCancellable *cancellable, GError **error);

  gpointer reserved[4];
};

VHOST_AVAILABLE_IN_1_0
guint64 vhost_device_get_features (VhostDevice *device, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_features (VhostDevice *device, guint64 features,
                                    GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_owner (VhostDevice *device, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_reset_owner (VhostDevice *device, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_device_get_n_queues (VhostDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_memory (VhostDevice *device, VhostMemory *memory,
                                  GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_log_base (VhostDevice *device, int fd, guint64 size, guint64 offset,
                                    GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_log_fd (VhostDevice *device, int fd, GCancellable *cancellable,
                                  GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_num (VhostDevice *device, guint index, guint num,
                                     GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_addr (VhostDevice *device, guint index, guint flags, guint64 desc,
                                      guint64 avail, guint64 used, guint64 log,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_base (VhostDevice *device, guint index, guint32 base,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
guint32 vhost_device_get_vring_base (VhostDevice *device, guint index, GCancellable *cancellable,
                                     GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_kick (VhostDevice *device, guint index, int fd,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_call (VhostDevice *device, guint index, int fd,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_err (VhostDevice *device, guint index, int fd,
                                     GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_enable (VhostDevice *device, guint index, gboolean enable,
                                        GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_device_get_config (VhostDevice *device, guint offset, guint size,
                                 GCancellable *cancellable, gsize *length, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_config (VhostDevice *device, guint offset, const guint8 *data,
                                  gsize length, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_device_get_status (VhostDevice *device, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_status (VhostDevice *device, guint status, GCancellable *cancellable,
                                  GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_reset (VhostDevice *device, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_vring_endian (VhostDevice *device, guint index, gboolean big_endian,
                                        GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_has_in_band_notifications (VhostDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_kick_vring (VhostDevice *device, guint index, GCancellable *cancellable,
                                  GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_wait_readable (VhostDevice *device, int fd, guint timeout,
                                     GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_request_inflight (VhostDevice *device, guint n_queues, guint queue_size,
                                        GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_give_inflight (VhostDevice *device, GCancellable *cancellable,
                                     GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_device_drop_inflight (VhostDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_has_used_lengths (VhostDevice *device);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_set_iommu (VhostDevice *device, VhostIommu *iommu, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_update_iotlb (VhostDevice *device, const VhostIommuMapping *mapping,
                                    GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_device_invalidate_iotlb (VhostDevice *device, guint64 iova, guint64 size,
                                        GCancellable *cancellable, GError **error);

G_END_DECLS
