/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

/**
 * VhostUserGpuCode:
 * @VHOST_USER_GPU_CODE_GET_PROTOCOL_FEATURES: what the display can do
 * @VHOST_USER_GPU_CODE_SET_PROTOCOL_FEATURES: what of it is used
 * @VHOST_USER_GPU_CODE_GET_DISPLAY_INFO: the screens
 * @VHOST_USER_GPU_CODE_CURSOR_POS: show the cursor there
 * @VHOST_USER_GPU_CODE_CURSOR_POS_HIDE: hide the cursor
 * @VHOST_USER_GPU_CODE_CURSOR_UPDATE: what the cursor looks like
 * @VHOST_USER_GPU_CODE_SCANOUT: size of a scanout
 * @VHOST_USER_GPU_CODE_UPDATE: pixels
 * @VHOST_USER_GPU_CODE_DMABUF_SCANOUT: show a dma-buf
 * @VHOST_USER_GPU_CODE_DMABUF_UPDATE: the dma-buf changed
 * @VHOST_USER_GPU_CODE_GET_EDID: description of a screen
 * @VHOST_USER_GPU_CODE_DMABUF_SCANOUT2: show a dma-buf, with a modifier
 *
 * Requests of a graphics device to its display. (vhost-user-gpu, “Message types”)
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_USER_GPU_CODE_GET_PROTOCOL_FEATURES = 1,
  VHOST_USER_GPU_CODE_SET_PROTOCOL_FEATURES = 2,
  VHOST_USER_GPU_CODE_GET_DISPLAY_INFO = 3,
  VHOST_USER_GPU_CODE_CURSOR_POS = 4,
  VHOST_USER_GPU_CODE_CURSOR_POS_HIDE = 5,
  VHOST_USER_GPU_CODE_CURSOR_UPDATE = 6,
  VHOST_USER_GPU_CODE_SCANOUT = 7,
  VHOST_USER_GPU_CODE_UPDATE = 8,
  VHOST_USER_GPU_CODE_DMABUF_SCANOUT = 9,
  VHOST_USER_GPU_CODE_DMABUF_UPDATE = 10,
  VHOST_USER_GPU_CODE_GET_EDID = 11,
  VHOST_USER_GPU_CODE_DMABUF_SCANOUT2 = 12,
} VhostUserGpuCode;

/**
 * VhostUserGpuProtocolFeature:
 * @VHOST_USER_GPU_PROTOCOL_FEATURE_EDID: GET_EDID
 * @VHOST_USER_GPU_PROTOCOL_FEATURE_DMABUF2: DMABUF_SCANOUT2
 *
 * Bit *numbers* of the protocol features between a graphics device and its display.
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_USER_GPU_PROTOCOL_FEATURE_EDID = 0,
  VHOST_USER_GPU_PROTOCOL_FEATURE_DMABUF2 = 1,
} VhostUserGpuProtocolFeature;

#define VHOST_USER_TYPE_GPU_CONNECTION (vhost_user_gpu_connection_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserGpuConnection, vhost_user_gpu_connection, VHOST_USER, GPU_CONNECTION,
                      GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserGpuConnection *vhost_user_gpu_connection_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_open_fd (VhostUserGpuConnection *connection, int fd,
                                            gboolean is_display, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_gpu_connection_close (VhostUserGpuConnection *connection);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_is_open (VhostUserGpuConnection *connection);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_has_protocol_feature (VhostUserGpuConnection *connection,
                                                         guint bit);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_send_scanout (VhostUserGpuConnection *connection,
                                                 guint scanout_id, guint width, guint height,
                                                 GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_send_update (VhostUserGpuConnection *connection,
                                                guint scanout_id, guint x, guint y, guint width,
                                                guint height, const guint8 *pixels, gsize length,
                                                GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_send_cursor_pos (VhostUserGpuConnection *connection,
                                                    guint scanout_id, guint x, guint y,
                                                    gboolean visible, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_send_cursor (VhostUserGpuConnection *connection,
                                                guint scanout_id, guint x, guint y, guint hot_x,
                                                guint hot_y, const guint8 *pixels, gsize length,
                                                GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_send_dmabuf (VhostUserGpuConnection *connection,
                                                guint scanout_id, int fd, guint width, guint height,
                                                guint stride, guint fourcc, guint flags,
                                                guint64 modifier, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_gpu_connection_update_dmabuf_async (VhostUserGpuConnection *connection,
                                                    guint scanout_id, guint x, guint y, guint width,
                                                    guint height, GCancellable *cancellable,
                                                    GAsyncReadyCallback callback,
                                                    gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_update_dmabuf_finish (VhostUserGpuConnection *connection,
                                                         GAsyncResult *result, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_gpu_connection_get_display_info_async (VhostUserGpuConnection *connection,
                                                       GCancellable *cancellable,
                                                       GAsyncReadyCallback callback,
                                                       gpointer user_data);

VHOST_AVAILABLE_IN_1_0
GBytes *vhost_user_gpu_connection_get_display_info_finish (VhostUserGpuConnection *connection,
                                                           GAsyncResult *result, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_gpu_connection_get_edid_async (VhostUserGpuConnection *connection, guint scanout_id,
                                               GCancellable *cancellable,
                                               GAsyncReadyCallback callback, gpointer user_data);

VHOST_AVAILABLE_IN_1_0
GBytes *vhost_user_gpu_connection_get_edid_finish (VhostUserGpuConnection *connection,
                                                   GAsyncResult *result, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_set_screen (VhostUserGpuConnection *connection, guint scanout_id,
                                               guint width, guint height, const guint8 *edid,
                                               gsize length, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_gpu_connection_complete_update (VhostUserGpuConnection *connection,
                                                    GError **error);

G_END_DECLS
