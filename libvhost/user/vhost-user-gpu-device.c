/* SPDX-License-Identifier: BSD-3-Clause */
/* The graphics device's side of a display socket: sends what is to be shown, and asks what there is
 * to show it on. What breaks the protocol is not sent. Control thread. (vhost-user-gpu, “Messages”)
 */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-gpu-private.h"

#define KNOWN_FEATURES                                                                             \
  (VHOST_BIT (VHOST_USER_GPU_PROTOCOL_FEATURE_EDID) |                                              \
   VHOST_BIT (VHOST_USER_GPU_PROTOCOL_FEATURE_DMABUF2))
#define MAX_CALLS 16

/* A request whose answer is due; without a task it is the negotiation. */
typedef struct {
  guint request;
  GTask *task;
} Call;

static guint signal_ready;

static void
call_free (Call *call)
{
  g_clear_object (&call->task);
  g_free (call);
}

static void
push_call (VhostUserGpuConnection *connection, guint request, GTask *task)
{
  Call *call = g_new0 (Call, 1);

  call->request = request;
  call->task = task;
  g_queue_push_tail (&connection->calls, call);
}

gboolean
vhost_user_gpu_device_begin (VhostUserGpuConnection *connection, GError **error)
{
  push_call (connection, VHOST_USER_GPU_CODE_GET_PROTOCOL_FEATURES, NULL);
  return vhost_user_gpu_connection_send (connection, VHOST_USER_GPU_CODE_GET_PROTOCOL_FEATURES, 0,
                                         NULL, 0, NULL, 0, -1, error);
}

/* The answer to DMABUF_UPDATE comes when the display has drawn, which may be never. */
gboolean
vhost_user_gpu_device_is_waiting (VhostUserGpuConnection *connection)
{
  const Call *call = g_queue_peek_head (&connection->calls);

  return call != NULL && call->request != VHOST_USER_GPU_CODE_DMABUF_UPDATE;
}

void
vhost_user_gpu_device_fail_calls (VhostUserGpuConnection *connection, const GError *error)
{
  GQueue calls = connection->calls;

  g_queue_init (&connection->calls);
  for (Call *call = g_queue_pop_head (&calls); call != NULL; call = g_queue_pop_head (&calls)) {
    if (call->task != NULL)
      g_task_return_error (call->task, error != NULL
                                           ? g_error_copy (error)
                                           : g_error_new (VHOST_ERROR, VHOST_ERROR_DISCONNECTED,
                                                          "the display has left"));
    call_free (call);
  }
}

static gboolean
finish_negotiation (VhostUserGpuConnection *connection, GError **error)
{
  guint64 offered;

  memcpy (&offered, connection->payload->data, sizeof offered);
  connection->features = offered & KNOWN_FEATURES;
  if (!vhost_user_gpu_connection_send (connection, VHOST_USER_GPU_CODE_SET_PROTOCOL_FEATURES, 0,
                                       &connection->features, sizeof connection->features, NULL, 0,
                                       -1, error))
    return FALSE;
  g_signal_emit (connection, signal_ready, 0);
  return TRUE;
}

gboolean
vhost_user_gpu_device_take_answer (VhostUserGpuConnection *connection, GError **error)
{
  Call *call = g_queue_peek_head (&connection->calls);

  if (call == NULL || call->request != connection->header.request)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%s: an answer that nobody waits for",
                            vhost_user_gpu_rule_find (connection->header.request)->name);
  if (connection->fds.n > 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "%s: %u descriptors in an answer",
                            vhost_user_gpu_rule_find (call->request)->name, connection->fds.n);
  g_queue_pop_head (&connection->calls);
  connection->input_deadline = 0;
  if (call->task != NULL)
    g_task_return_pointer (call->task,
                           g_bytes_new (connection->payload->data, connection->payload->len),
                           (GDestroyNotify) g_bytes_unref);
  else if (!finish_negotiation (connection, error)) {
    call_free (call);
    return FALSE;
  }
  call_free (call);
  return TRUE;
}

/* Checks as the display will, then sends. */
static gboolean
send_checked (VhostUserGpuConnection *connection, guint request, gconstpointer payload, gsize size,
              const guint8 *extra, gsize n_extra, int fd, GError **error)
{
  const VhostUserGpuHeader header = { request, 0, (guint32) (size + n_extra) };

  if (connection->fd < 0 || connection->is_display)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no display");
  return vhost_user_gpu_request_check (&header, payload, fd >= 0, connection->features,
                                       connection->scanouts, error) &&
         vhost_user_gpu_connection_send (connection, request, 0, payload, size, extra, n_extra, fd,
                                         error);
}

/* Takes @task. */
static void
send_call (VhostUserGpuConnection *connection, guint request, gconstpointer payload, gsize size,
           GTask *task)
{
  GError *error = NULL;

  if (connection->calls.length >= MAX_CALLS)
    vhost_set_error (&error, VHOST_ERROR_QUEUE_FULL, "%u requests wait for an answer",
                     connection->calls.length);
  if (error == NULL && send_checked (connection, request, payload, size, NULL, 0, -1, &error)) {
    push_call (connection, request, task);
    vhost_user_gpu_connection_update (connection);
    return;
  }
  g_task_return_error (task, error);
  g_object_unref (task);
}

static GBytes *
finish_call (VhostUserGpuConnection *connection, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, connection), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * vhost_user_gpu_connection_send_scanout:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout, below 16
 * @width: pixels
 * @height: pixels; 0 for both switches it off
 * @error: return location
 *
 * Sets the size of what a scanout shows.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_INVALID_VALUE (more than 16384 a side, or 2²⁶ in
 * all), %VHOST_ERROR_QUEUE_FULL when the display does not keep up, or %VHOST_ERROR_DISCONNECTED
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_send_scanout (VhostUserGpuConnection *connection, guint scanout_id,
                                        guint width, guint height, GError **error)
{
  const VhostUserGpuScanout scanout = { scanout_id, width, height };

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (!send_checked (connection, VHOST_USER_GPU_CODE_SCANOUT, &scanout, sizeof scanout, NULL, 0, -1,
                     error))
    return FALSE;
  connection->scanouts[scanout_id] = (VhostUserGpuSize){ width, height };
  return TRUE;
}

/**
 * vhost_user_gpu_connection_send_update:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @x: left edge
 * @y: upper edge
 * @width: pixels
 * @height: pixels
 * @pixels: (array length=length): 4 bytes for each pixel, x8r8g8b8, line by line
 * @length: bytes in @pixels
 * @error: return location
 *
 * Changes a part of a scanout, within the size that was sent before.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_INVALID_VALUE (outside the scanout),
 * %VHOST_ERROR_BAD_SIZE, %VHOST_ERROR_QUEUE_FULL when the display does not keep up, or
 * %VHOST_ERROR_DISCONNECTED
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_send_update (VhostUserGpuConnection *connection, guint scanout_id,
                                       guint x, guint y, guint width, guint height,
                                       const guint8 *pixels, gsize length, GError **error)
{
  const VhostUserGpuUpdate update = { scanout_id, x, y, width, height };

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (length > 4 * VHOST_USER_GPU_MAX_PIXELS)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE, "%" G_GSIZE_FORMAT " bytes of pixels",
                            length);
  return send_checked (connection, VHOST_USER_GPU_CODE_UPDATE, &update, sizeof update, pixels,
                       length, -1, error);
}

/**
 * vhost_user_gpu_connection_send_cursor_pos:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @x: where its hot spot is
 * @y: where its hot spot is
 * @visible: whether it is shown at all
 * @error: return location
 *
 * Moves or hides the cursor.
 *
 * Returns: %TRUE, or %FALSE with an error as from [method@Vhost.UserGpuConnection.send_scanout]
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_send_cursor_pos (VhostUserGpuConnection *connection, guint scanout_id,
                                           guint x, guint y, gboolean visible, GError **error)
{
  const VhostUserGpuCursorPos pos = { scanout_id, x, y };

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  return send_checked (
      connection, visible ? VHOST_USER_GPU_CODE_CURSOR_POS : VHOST_USER_GPU_CODE_CURSOR_POS_HIDE,
      &pos, sizeof pos, NULL, 0, -1, error);
}

/**
 * vhost_user_gpu_connection_send_cursor:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @x: where its hot spot is
 * @y: where its hot spot is
 * @hot_x: the hot spot within the picture
 * @hot_y: the hot spot within the picture
 * @pixels: (array length=length): 64×64 pixels of 4 bytes
 * @length: bytes in @pixels, 16384
 * @error: return location
 *
 * Changes what the cursor looks like.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_SIZE or an error as from
 *   [method@Vhost.UserGpuConnection.send_scanout]
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_send_cursor (VhostUserGpuConnection *connection, guint scanout_id,
                                       guint x, guint y, guint hot_x, guint hot_y,
                                       const guint8 *pixels, gsize length, GError **error)
{
  VhostUserGpuCursorUpdate update = { { scanout_id, x, y }, hot_x, hot_y, { 0 } };

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (length != sizeof update.data)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE, "a cursor of %" G_GSIZE_FORMAT " bytes",
                            length);
  memcpy (update.data, pixels, length);
  return send_checked (connection, VHOST_USER_GPU_CODE_CURSOR_UPDATE, &update, sizeof update, NULL,
                       0, -1, error);
}

/**
 * vhost_user_gpu_connection_send_dmabuf:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @fd: the dma-buf, which stays the caller's; -1 to show none, and then @width and @height are 0
 * @width: pixels
 * @height: pixels
 * @stride: bytes of a line
 * @fourcc: format, a DRM code
 * @flags: bit 0: upside down
 * @modifier: DRM modifier of the format; 0 is linear
 * @error: return location
 *
 * Shows a dma-buf on a scanout, as DMABUF_SCANOUT2 when the display knows that.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_NOT_NEGOTIATED when @modifier is not 0 and the
 * display takes none, %VHOST_ERROR_BAD_FDS, or an error as from
 * [method@Vhost.UserGpuConnection.send_scanout]
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_send_dmabuf (VhostUserGpuConnection *connection, guint scanout_id, int fd,
                                       guint width, guint height, guint stride, guint fourcc,
                                       guint flags, guint64 modifier, GError **error)
{
  const VhostUserGpuDmabuf dmabuf = {
    scanout_id, 0, 0, width, height, width, height, stride, flags, (gint32) fourcc, modifier,
  };
  gboolean second;

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  second = modifier != 0 ||
           vhost_word_has (connection->features, VHOST_USER_GPU_PROTOCOL_FEATURE_DMABUF2);
  if (!send_checked (
          connection,
          second ? VHOST_USER_GPU_CODE_DMABUF_SCANOUT2 : VHOST_USER_GPU_CODE_DMABUF_SCANOUT,
          &dmabuf, second ? sizeof dmabuf : VHOST_USER_GPU_DMABUF_SIZE, NULL, 0, fd, error))
    return FALSE;
  connection->scanouts[scanout_id] = (VhostUserGpuSize){ width, height };
  return TRUE;
}

/**
 * vhost_user_gpu_connection_update_dmabuf_async:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @x: left edge of what changed
 * @y: upper edge
 * @width: pixels
 * @height: pixels
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the display has drawn it
 * @user_data: for @callback
 *
 * Says that a dma-buf changed. The next change waits until the display has drawn this one.
 *
 * Since: 1.0
 */
void
vhost_user_gpu_connection_update_dmabuf_async (VhostUserGpuConnection *connection, guint scanout_id,
                                               guint x, guint y, guint width, guint height,
                                               GCancellable *cancellable,
                                               GAsyncReadyCallback callback, gpointer user_data)
{
  const VhostUserGpuUpdate update = { scanout_id, x, y, width, height };
  GTask *task;

  g_return_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection));

  task = g_task_new (connection, cancellable, callback, user_data);
  for (GList *link = connection->calls.head; link != NULL; link = link->next) {
    const Call *call = link->data;

    if (call->request == VHOST_USER_GPU_CODE_DMABUF_UPDATE) {
      g_task_return_new_error (task, VHOST_ERROR, VHOST_ERROR_BAD_STATE,
                               "the display has not drawn the update before");
      g_object_unref (task);
      return;
    }
  }
  send_call (connection, VHOST_USER_GPU_CODE_DMABUF_UPDATE, &update, sizeof update, task);
}

/**
 * vhost_user_gpu_connection_update_dmabuf_finish:
 * @connection: a connection, of the device
 * @result: what the callback got
 * @error: return location
 *
 * Says whether the display has drawn.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE (the update before is not drawn) or an
 * error as from [method@Vhost.UserGpuConnection.send_update]
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_update_dmabuf_finish (VhostUserGpuConnection *connection,
                                                GAsyncResult *result, GError **error)
{
  g_autoptr (GBytes) nothing = finish_call (connection, result, error);

  return nothing != NULL;
}

/**
 * vhost_user_gpu_connection_get_display_info_async:
 * @connection: a connection, of the device
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (scope async): called when the display has answered
 * @user_data: for @callback
 *
 * Asks for the screens.
 *
 * Since: 1.0
 */
void
vhost_user_gpu_connection_get_display_info_async (VhostUserGpuConnection *connection,
                                                  GCancellable *cancellable,
                                                  GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection));

  send_call (connection, VHOST_USER_GPU_CODE_GET_DISPLAY_INFO, NULL, 0,
             g_task_new (connection, cancellable, callback, user_data));
}

/**
 * vhost_user_gpu_connection_get_display_info_finish:
 * @connection: a connection, of the device
 * @result: what the callback got
 * @error: return location
 *
 * Gives the screens, as virtio-gpu hands them to the driver.
 *
 * Returns: (transfer full): a virtio_gpu_resp_display_info of 408 bytes; %NULL with an error as
 * from [method@Vhost.UserGpuConnection.send_scanout]
 *
 * Since: 1.0
 */
GBytes *
vhost_user_gpu_connection_get_display_info_finish (VhostUserGpuConnection *connection,
                                                   GAsyncResult *result, GError **error)
{
  return finish_call (connection, result, error);
}

/**
 * vhost_user_gpu_connection_get_edid_async:
 * @connection: a connection, of the device
 * @scanout_id: number of the scanout
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (scope async): called when the display has answered
 * @user_data: for @callback
 *
 * Asks for the description of a screen.
 *
 * Since: 1.0
 */
void
vhost_user_gpu_connection_get_edid_async (VhostUserGpuConnection *connection, guint scanout_id,
                                          GCancellable *cancellable, GAsyncReadyCallback callback,
                                          gpointer user_data)
{
  const guint32 id = scanout_id;

  g_return_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection));

  send_call (connection, VHOST_USER_GPU_CODE_GET_EDID, &id, sizeof id,
             g_task_new (connection, cancellable, callback, user_data));
}

/**
 * vhost_user_gpu_connection_get_edid_finish:
 * @connection: a connection, of the device
 * @result: what the callback got
 * @error: return location
 *
 * Gives the description, as virtio-gpu hands it to the driver.
 *
 * Returns: (transfer full): a virtio_gpu_resp_edid of 1056 bytes; %NULL with
 * %VHOST_ERROR_NOT_NEGOTIATED or an error as from [method@Vhost.UserGpuConnection.send_scanout]
 *
 * Since: 1.0
 */
GBytes *
vhost_user_gpu_connection_get_edid_finish (VhostUserGpuConnection *connection, GAsyncResult *result,
                                           GError **error)
{
  return finish_call (connection, result, error);
}

void
vhost_user_gpu_device_install (GObjectClass *object_class)
{
  /**
   * VhostUserGpuConnection::ready:
   * @connection: the connection, of the device
   *
   * The protocol features are negotiated; see
   * [method@Vhost.UserGpuConnection.has_protocol_feature].
   *
   * Since: 1.0
   */
  signal_ready = g_signal_new ("ready", G_TYPE_FROM_CLASS (object_class), G_SIGNAL_RUN_LAST, 0,
                               NULL, NULL, NULL, G_TYPE_NONE, 0);
}
