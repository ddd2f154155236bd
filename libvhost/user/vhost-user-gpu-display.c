/* SPDX-License-Identifier: BSD-3-Clause */
/* The display's side of a display socket: each request has been checked, and becomes a signal or an
 * answer. Control thread. (vhost-user-gpu, “Messages”; VIRTIO, “GPU Device”) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-gpu-private.h"

#define OFFERED_FEATURES                                                                           \
  (VHOST_BIT (VHOST_USER_GPU_PROTOCOL_FEATURE_EDID) |                                              \
   VHOST_BIT (VHOST_USER_GPU_PROTOCOL_FEATURE_DMABUF2))
#define RESPONSE_DISPLAY_INFO 0x1101
#define RESPONSE_EDID 0x1104

enum {
  SIGNAL_SCANOUT,
  SIGNAL_UPDATE,
  SIGNAL_CURSOR_MOVED,
  SIGNAL_CURSOR_UPDATE,
  SIGNAL_DMABUF_SCANOUT,
  SIGNAL_DMABUF_UPDATE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

static void
answer (VhostUserGpuConnection *connection, gconstpointer payload, gsize size)
{
  vhost_user_gpu_connection_send (connection, connection->header.request, VHOST_USER_GPU_REPLY,
                                  payload, size, NULL, 0, -1, NULL);
}

static void
answer_display_info (VhostUserGpuConnection *connection)
{
  connection->info.header.type = GUINT32_TO_LE (RESPONSE_DISPLAY_INFO);
  answer (connection, &connection->info, sizeof connection->info);
}

/* A screen without a description has an empty one. */
static void
answer_edid (VhostUserGpuConnection *connection, guint32 id)
{
  const VhostUserGpuEdid none = { .header.type = GUINT32_TO_LE (RESPONSE_EDID) };

  answer (connection, connection->edids[id] != NULL ? connection->edids[id] : &none, sizeof none);
}

static void
show_update (VhostUserGpuConnection *connection, const guint8 *payload, gsize size)
{
  VhostUserGpuUpdate update;
  g_autoptr (GBytes) pixels = g_bytes_new (payload + sizeof update, size - sizeof update);

  memcpy (&update, payload, sizeof update);
  g_signal_emit (connection, signals[SIGNAL_UPDATE], 0, update.scanout_id, update.x, update.y,
                 update.width, update.height, pixels);
}

static void
show_cursor (VhostUserGpuConnection *connection, const guint8 *payload)
{
  VhostUserGpuCursorUpdate update;
  g_autoptr (GBytes) pixels = NULL;

  memcpy (&update, payload, sizeof update);
  pixels = g_bytes_new (update.data, sizeof update.data);
  g_signal_emit (connection, signals[SIGNAL_CURSOR_UPDATE], 0, update.pos.scanout_id, update.pos.x,
                 update.pos.y, update.hot_x, update.hot_y, pixels);
}

static void
move_cursor (VhostUserGpuConnection *connection, const guint8 *payload, gboolean visible)
{
  VhostUserGpuCursorPos pos;

  memcpy (&pos, payload, sizeof pos);
  g_signal_emit (connection, signals[SIGNAL_CURSOR_MOVED], 0, pos.scanout_id, pos.x, pos.y,
                 visible);
}

static void
show_scanout (VhostUserGpuConnection *connection, const guint8 *payload)
{
  VhostUserGpuScanout scanout;

  memcpy (&scanout, payload, sizeof scanout);
  connection->scanouts[scanout.scanout_id] = (VhostUserGpuSize){ scanout.width, scanout.height };
  g_signal_emit (connection, signals[SIGNAL_SCANOUT], 0, scanout.scanout_id, scanout.width,
                 scanout.height);
}

static void
show_dmabuf (VhostUserGpuConnection *connection, const guint8 *payload, gsize size)
{
  VhostUserGpuDmabuf dmabuf = { 0 };
  VHOST_AUTO_FD fd = connection->fds.n > 0 ? vhost_fd_steal (&connection->fds.fd[0]) : -1;

  memcpy (&dmabuf, payload, size);
  connection->scanouts[dmabuf.scanout_id] = (VhostUserGpuSize){ dmabuf.width, dmabuf.height };
  g_signal_emit (connection, signals[SIGNAL_DMABUF_SCANOUT], 0, dmabuf.scanout_id, dmabuf.x,
                 dmabuf.y, dmabuf.width, dmabuf.height, fd, dmabuf.fd_stride, dmabuf.fourcc,
                 dmabuf.fd_flags, dmabuf.modifier);
}

/* Nothing is read until the application says that it has drawn. */
static void
show_dmabuf_update (VhostUserGpuConnection *connection, const guint8 *payload)
{
  VhostUserGpuUpdate update;

  memcpy (&update, payload, sizeof update);
  connection->drawing = TRUE;
  g_signal_emit (connection, signals[SIGNAL_DMABUF_UPDATE], 0, update.scanout_id, update.x,
                 update.y, update.width, update.height);
}

void
vhost_user_gpu_display_serve (VhostUserGpuConnection *connection)
{
  g_autofree guint8 *payload = g_memdup2 (connection->payload->data, connection->payload->len);
  gsize size = connection->payload->len;
  guint64 features = OFFERED_FEATURES;
  guint32 id = 0;

  switch (connection->header.request) {
  case VHOST_USER_GPU_CODE_GET_PROTOCOL_FEATURES:
    answer (connection, &features, sizeof features);
    break;
  case VHOST_USER_GPU_CODE_SET_PROTOCOL_FEATURES:
    memcpy (&features, payload, sizeof features);
    connection->features = features & OFFERED_FEATURES;
    break;
  case VHOST_USER_GPU_CODE_GET_DISPLAY_INFO:
    answer_display_info (connection);
    break;
  case VHOST_USER_GPU_CODE_CURSOR_POS:
  case VHOST_USER_GPU_CODE_CURSOR_POS_HIDE:
    move_cursor (connection, payload, connection->header.request == VHOST_USER_GPU_CODE_CURSOR_POS);
    break;
  case VHOST_USER_GPU_CODE_CURSOR_UPDATE:
    show_cursor (connection, payload);
    break;
  case VHOST_USER_GPU_CODE_SCANOUT:
    show_scanout (connection, payload);
    break;
  case VHOST_USER_GPU_CODE_UPDATE:
    show_update (connection, payload, size);
    break;
  case VHOST_USER_GPU_CODE_DMABUF_SCANOUT:
  case VHOST_USER_GPU_CODE_DMABUF_SCANOUT2:
    show_dmabuf (connection, payload, size);
    break;
  case VHOST_USER_GPU_CODE_DMABUF_UPDATE:
    show_dmabuf_update (connection, payload);
    break;
  case VHOST_USER_GPU_CODE_GET_EDID:
    memcpy (&id, payload, sizeof id);
    answer_edid (connection, id);
    break;
  }
}

/**
 * vhost_user_gpu_connection_set_screen:
 * @connection: a connection, of the display
 * @scanout_id: number of the scanout, below 16
 * @width: pixels; 0 for no screen
 * @height: pixels
 * @edid: (array length=length) (nullable): its description
 * @length: bytes in @edid, at most 1024
 * @error: return location
 *
 * Says what a device is told when it asks for the screens.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_INVALID_VALUE
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_set_screen (VhostUserGpuConnection *connection, guint scanout_id,
                                      guint width, guint height, const guint8 *edid, gsize length,
                                      GError **error)
{
  VhostUserGpuEdid *response;

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (scanout_id >= VHOST_USER_GPU_MAX_SCANOUTS || length > VHOST_USER_GPU_EDID_SIZE)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "scanout %u with an EDID of %" G_GSIZE_FORMAT " bytes", scanout_id,
                            length);
  connection->info.modes[scanout_id].width = GUINT32_TO_LE (width);
  connection->info.modes[scanout_id].height = GUINT32_TO_LE (height);
  connection->info.modes[scanout_id].enabled = GUINT32_TO_LE (width > 0 && height > 0);
  response = g_new0 (VhostUserGpuEdid, 1);
  response->header.type = GUINT32_TO_LE (RESPONSE_EDID);
  response->size = GUINT32_TO_LE ((guint32) length);
  if (length > 0)
    memcpy (response->edid, edid, length);
  g_free (connection->edids[scanout_id]);
  connection->edids[scanout_id] = response;
  return TRUE;
}

/**
 * vhost_user_gpu_connection_complete_update:
 * @connection: a connection, of the display
 * @error: return location
 *
 * Says that what [signal@Vhost.UserGpuConnection::dmabuf-update] told of is drawn. Until then
 * nothing more is read.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when there is nothing to draw
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_complete_update (VhostUserGpuConnection *connection, GError **error)
{
  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (!connection->drawing)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no update waits to be drawn");
  connection->drawing = FALSE;
  return vhost_user_gpu_connection_send (connection, VHOST_USER_GPU_CODE_DMABUF_UPDATE,
                                         VHOST_USER_GPU_REPLY, NULL, 0, NULL, 0, -1, error);
}

void
vhost_user_gpu_display_install (GObjectClass *object_class)
{
  const GType type = G_TYPE_FROM_CLASS (object_class);
  const GSignalFlags flags = G_SIGNAL_RUN_LAST;

  /**
   * VhostUserGpuConnection::scanout:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @width: pixels
   * @height: pixels; 0 for both when it is off
   *
   * A scanout has a new size.
   *
   * Since: 1.0
   */
  signals[SIGNAL_SCANOUT] = g_signal_new ("scanout", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE,
                                          3, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT);
  /**
   * VhostUserGpuConnection::update:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @x: left edge
   * @y: upper edge
   * @width: pixels
   * @height: pixels
   * @pixels: 4 bytes for each, x8r8g8b8, line by line
   *
   * A part of a scanout shows something else. It lies inside the scanout, and all its pixels are
   * there.
   *
   * Since: 1.0
   */
  signals[SIGNAL_UPDATE] =
      g_signal_new ("update", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE, 6, G_TYPE_UINT,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_BYTES);
  /**
   * VhostUserGpuConnection::cursor-moved:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @x: where it is
   * @y: where it is
   * @visible: whether it is shown
   *
   * The cursor is somewhere else, or hidden.
   *
   * Since: 1.0
   */
  signals[SIGNAL_CURSOR_MOVED] =
      g_signal_new ("cursor-moved", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE, 4, G_TYPE_UINT,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_BOOLEAN);
  /**
   * VhostUserGpuConnection::cursor-update:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @x: where it is
   * @y: where it is
   * @hot_x: the hot spot within the picture
   * @hot_y: the hot spot within the picture
   * @pixels: 64×64 pixels of 4 bytes
   *
   * The cursor looks different.
   *
   * Since: 1.0
   */
  signals[SIGNAL_CURSOR_UPDATE] =
      g_signal_new ("cursor-update", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE, 6, G_TYPE_UINT,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_BYTES);
  /**
   * VhostUserGpuConnection::dmabuf-scanout:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @x: left edge within the buffer
   * @y: upper edge within the buffer
   * @width: pixels
   * @height: pixels; 0 for both when it is off
   * @fd: the dma-buf, borrowed; -1 when it is off
   * @stride: bytes of a line
   * @fourcc: format, a DRM code
   * @flags: bit 0: upside down
   * @modifier: DRM modifier of the format
   *
   * A scanout shows a dma-buf. What it is and how long has not been checked.
   *
   * Since: 1.0
   */
  signals[SIGNAL_DMABUF_SCANOUT] =
      g_signal_new ("dmabuf-scanout", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE, 10,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_INT,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT64);
  /**
   * VhostUserGpuConnection::dmabuf-update:
   * @connection: the connection, of the display
   * @scanout_id: number of the scanout
   * @x: left edge
   * @y: upper edge
   * @width: pixels
   * @height: pixels
   *
   * A part of a dma-buf changed. Call [method@Vhost.UserGpuConnection.complete_update] when it is
   * drawn.
   *
   * Since: 1.0
   */
  signals[SIGNAL_DMABUF_UPDATE] =
      g_signal_new ("dmabuf-update", type, flags, 0, NULL, NULL, NULL, G_TYPE_NONE, 5, G_TYPE_UINT,
                    G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT, G_TYPE_UINT);
}
