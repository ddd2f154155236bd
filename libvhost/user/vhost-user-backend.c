/* SPDX-License-Identifier: BSD-3-Clause */
/* A device served over a vhost-user socket: how a front-end comes and goes, one at a time. While
 * one is there the next waits in the backlog of the listening socket. Everything runs in the
 * thread-default main context of listen(), open() or open_fd(). (vhost-user, “Communication”,
 * “Back-end communication”) */

#include <errno.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"
#include "user/vhost-user-socket-private.h"

G_DEFINE_FINAL_TYPE (VhostUserBackend, vhost_user_backend, VHOST_TYPE_BACKEND)

#define ACCEPT_RETRY_MS 1000

static guint signal_refused;

static void watch_listener (VhostUserBackend *backend);

guint64
vhost_user_backend_get_offered (VhostUserBackend *backend)
{
  guint64 features = vhost_backend_get_private (VHOST_BACKEND (backend))->features;

  if (!vhost_user_backend_can_translate (backend))
    features &= ~VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM);
  if (vhost_word_has (vhost_user_backend_get_offered_protocol (backend),
                      VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD))
    features |= VHOST_BIT (VHOST_FEATURE_LOG_ALL);
  return features | VHOST_BIT (VHOST_FEATURE_PROTOCOL_FEATURES);
}

guint64
vhost_user_backend_get_offered_protocol (VhostUserBackend *backend)
{
  return vhost_user_backend_choose_offer (backend, backend->offered_protocol);
}

void
vhost_user_backend_emit_refused (VhostUserBackend *backend, guint request, const GError *error)
{
  g_info ("%s", error->message);
  g_signal_emit (backend, signal_refused, 0, request, error);
}

/* Ends the session and waits for the next front-end, if there is a listening socket. */
void
vhost_user_backend_drop_connection (VhostUserBackend *backend)
{
  g_autoptr (VhostUserConnection) connection = g_steal_pointer (&backend->connection);

  VHOST_BACKEND_PAUSE (VHOST_BACKEND (backend));

  if (connection == NULL)
    return;
  vhost_user_backend_forget_drain (backend);
  vhost_user_backend_forget_invalidate (backend);
  vhost_user_backend_forget_transfer (backend);
  vhost_user_backend_drop_channel (backend);
  vhost_user_backend_forget_objects (backend);
  vhost_user_backend_drop_gpu (backend);
  vhost_user_connection_close (connection);
  backend->acked_protocol = 0;
  backend->owned = FALSE;
  backend->mtu = 0;
  backend->features_set = FALSE;
  g_clear_pointer (&backend->early_area, vhost_inflight_area_unref);
  vhost_backend_end_session (VHOST_BACKEND (backend));
  g_clear_pointer (&backend->in_band, g_free);
  watch_listener (backend);
  vhost_user_backend_reconnect_later (backend);
}

static void
on_connection_closed (VhostUserConnection *connection, const GError *error, gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);

  if (backend->connection != connection)
    return;
  if (error != NULL)
    vhost_backend_report_failure (VHOST_BACKEND (backend), error);
  vhost_user_backend_drop_connection (backend);
}

gboolean
vhost_user_backend_take_connection (VhostUserBackend *backend, int fd, GError **error)
{
  g_autoptr (VhostUserConnection) connection =
      vhost_user_connection_new_take_fd (fd, VHOST_USER_ROLE_FRONTEND, FALSE);

  g_object_set (connection, "timeout", backend->timeout, NULL);
  vhost_user_connection_set_bad_frame_func (connection, vhost_user_backend_refuse);
  if (!vhost_user_connection_start (connection, backend->reactor, vhost_user_backend_serve,
                                    on_connection_closed, backend, error))
    return FALSE;
  backend->connection = g_steal_pointer (&connection);
  vhost_backend_begin_session (VHOST_BACKEND (backend), backend->reactor);
  return TRUE;
}

static gboolean
on_accept_retry (gpointer data)
{
  VhostUserBackend *backend = data;

  g_clear_pointer (&backend->listen_retry, g_source_unref);
  watch_listener (backend);
  return G_SOURCE_REMOVE;
}

/* No descriptor is left for the front-end that waits. Trying again at once would spin. */
static void
retry_accept_later (VhostUserBackend *backend)
{
  vhost_watch_clear (&backend->listen_watch);
  backend->listen_retry = g_timeout_source_new (ACCEPT_RETRY_MS);
  g_source_set_callback (backend->listen_retry, on_accept_retry, backend, NULL);
  g_source_attach (backend->listen_retry, vhost_reactor_get_context (backend->reactor));
}

static void
on_listener_ready (guint32 events, gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  g_autoptr (GError) error = NULL;
  int fd = accept4 (backend->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (fd < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      retry_accept_later (backend);
    return;
  }
  vhost_watch_clear (&backend->listen_watch);
  if (!vhost_user_backend_take_connection (backend, fd, &error)) {
    vhost_backend_report_failure (VHOST_BACKEND (backend), error);
    retry_accept_later (backend);
  }
}

static void
watch_listener (VhostUserBackend *backend)
{
  g_autoptr (GError) error = NULL;

  if (backend->listen_fd < 0 || backend->listen_watch != NULL || backend->connection != NULL)
    return;
  backend->listen_watch = vhost_reactor_add_watch (backend->reactor, backend->listen_fd, EPOLLIN,
                                                   on_listener_ready, backend, &error);
  if (backend->listen_watch == NULL)
    vhost_backend_report_failure (VHOST_BACKEND (backend), error);
}

gboolean
vhost_user_backend_check_closed (VhostUserBackend *backend, GError **error)
{
  if (backend->listen_fd < 0 && backend->connection == NULL && backend->retry_timer == NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the back-end is open already");
}

void
vhost_user_backend_use_current_context (VhostUserBackend *backend)
{
  g_clear_pointer (&backend->reactor, vhost_reactor_unref);
  backend->reactor = vhost_reactor_get ();
}

static gboolean
take_listener (VhostUserBackend *backend, int fd)
{
  vhost_user_backend_use_current_context (backend);
  backend->listen_fd = fd;
  watch_listener (backend);
  return TRUE;
}

/**
 * vhost_user_backend_new:
 * @device_id: what the device is
 * @n_queues: how many queues it has, 1 to 256
 *
 * Makes a device that nobody can reach yet.
 *
 * Returns: (transfer full): the back-end
 *
 * Since: 1.0
 */
VhostUserBackend *
vhost_user_backend_new (VhostDeviceId device_id, guint n_queues)
{
  return g_object_new (VHOST_USER_TYPE_BACKEND, "device-id", device_id, "n-queues", n_queues, NULL);
}

/**
 * vhost_user_backend_listen:
 * @backend: a back-end
 * @path: (type filename): where the Unix socket is made
 * @error: return location
 *
 * Waits for front-ends, one after the other, in the thread-default main context. A dead socket at
 * @path is replaced; a live one or any other file is left alone.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the back-end is open already, or a
 *   #GIOErrorEnum when the socket cannot be made
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_listen (VhostUserBackend *backend, const char *path, GError **error)
{
  int fd;

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  if (!vhost_user_backend_check_closed (backend, error))
    return FALSE;
  fd = vhost_user_socket_listen (path, error);
  if (fd < 0)
    return FALSE;
  backend->path = g_strdup (path);
  return take_listener (backend, fd);
}

/**
 * vhost_user_backend_open_fd:
 * @backend: a back-end
 * @fd: a Unix stream socket, connected to a front-end or listening; duplicated
 * @error: return location
 *
 * Serves on a socket that somebody else made; which kind it is is found out.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the back-end is open already, or an
 * error when
 *   @fd is no such socket
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_open_fd (VhostUserBackend *backend, int fd, GError **error)
{
  gboolean listening;
  int copy;

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);

  if (!vhost_user_backend_check_closed (backend, error) ||
      !vhost_user_socket_check (fd, &listening, error))
    return FALSE;
  copy = vhost_fd_dup (fd, error);
  if (copy < 0)
    return FALSE;
  if (listening)
    return take_listener (backend, copy);
  vhost_user_backend_use_current_context (backend);
  return vhost_user_backend_take_connection (backend, copy, error);
}

/**
 * vhost_user_backend_close:
 * @backend: a back-end
 *
 * Ends the session with the front-end, if there is one, stops listening and removes the socket it
 * made. The back-end can be opened again.
 *
 * Since: 1.0
 */
void
vhost_user_backend_close (VhostUserBackend *backend)
{
  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  vhost_user_backend_stop_reconnecting (backend);
  vhost_watch_clear (&backend->listen_watch);
  if (backend->listen_retry != NULL) {
    g_source_destroy (backend->listen_retry);
    g_clear_pointer (&backend->listen_retry, g_source_unref);
  }
  if (backend->path != NULL)
    vhost_user_socket_unlink (backend->path, backend->listen_fd);
  g_clear_pointer (&backend->path, g_free);
  vhost_fd_clear (&backend->listen_fd);
  vhost_user_backend_drop_connection (backend);
  g_clear_pointer (&backend->reactor, vhost_reactor_unref);
}

/**
 * vhost_user_backend_is_connected:
 * @backend: a back-end
 *
 * Tells whether a front-end is connected.
 *
 * Returns: whether a front-end is there
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_is_connected (VhostUserBackend *backend)
{
  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);

  return backend->connection != NULL;
}

static void
vhost_user_backend_config_changed (VhostBackend *base)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);
  g_auto (VhostUserFrame) frame = { 0 };

  if (backend->channel == NULL ||
      !vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_CONFIG))
    return;
  vhost_user_frame_init (&frame, VHOST_USER_BACKEND_CODE_CONFIG_CHANGE_MSG,
                         VHOST_USER_FLAGS_VERSION, 0);
  vhost_user_connection_send_frame (backend->channel, &frame, NULL, NULL);
}

static void
vhost_user_backend_queue_drained (VhostBackend *base, VhostQueue *queue)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);

  if (backend->draining != NULL && backend->draining->queue == queue)
    vhost_user_backend_answer_drained (backend);
}

static void
vhost_user_backend_dispose (GObject *object)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (object);

  vhost_user_backend_close (backend);
  g_clear_pointer (&backend->slots, g_array_unref);
  G_OBJECT_CLASS (vhost_user_backend_parent_class)->dispose (object);
}

static void
vhost_user_backend_class_init (VhostUserBackendClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  VhostBackendClass *backend_class = VHOST_BACKEND_CLASS (klass);

  object_class->dispose = vhost_user_backend_dispose;
  backend_class->config_changed = vhost_user_backend_config_changed;
  backend_class->queue_drained = vhost_user_backend_queue_drained;
  backend_class->queue_called = vhost_user_backend_call_queue;
  backend_class->queue_broken = vhost_user_backend_report_broken;
  backend_class->iotlb_missed = vhost_user_backend_ask_iotlb;
  backend_class->iotlb_released = vhost_user_backend_answer_invalidate;
  vhost_user_backend_install_properties (object_class);
  vhost_user_backend_install_transfer (object_class);
  vhost_user_backend_install_gpu (object_class);
  vhost_user_backend_install_net ();
  vhost_user_backend_install_crypto ();
  vhost_user_backend_install_channel ();

  /**
   * VhostUserBackend::refused:
   * @backend: the back-end
   * @request: number of the request
   * @error: names the request and says why
   *
   * A request of the front-end was refused, and changed nothing. The session goes on when the
   * front-end asked for an answer; else it ends.
   *
   * Since: 1.0
   */
  signal_refused = g_signal_new ("refused", VHOST_USER_TYPE_BACKEND, G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 2, G_TYPE_UINT, G_TYPE_ERROR);
}

static void
vhost_user_backend_init (VhostUserBackend *backend)
{
  backend->listen_fd = -1;
  vhost_user_backend_init_transfer (backend);
}
