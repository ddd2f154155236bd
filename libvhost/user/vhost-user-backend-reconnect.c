/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that connects to a front-end, again and again if it was told to: while nobody listens
 * there yet, and after the front-end has left. Runs in the main context of open().
 * (vhost-user, “Communication”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"
#include "user/vhost-user-socket-private.h"

/* Nobody is waited for who does not accept: the listener's queue is full, or it is not there. */
static gboolean
try_to_open (VhostUserBackend *backend, GCancellable *cancellable, gint64 deadline, GError **error)
{
  int fd = vhost_user_socket_connect (backend->peer_path, deadline, cancellable, error);

  return fd >= 0 && vhost_user_backend_take_connection (backend, fd, error);
}

static gboolean
on_retry (gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&backend->retry_timer, g_source_unref);
  if (try_to_open (backend, NULL, 0, &error)) {
    vhost_user_retry_init (&backend->retry, backend->retry.first);
  } else if (backend->reactor != NULL) {
    g_info ("%s", error->message);
    vhost_user_backend_reconnect_later (backend);
  }
  return G_SOURCE_REMOVE;
}

void
vhost_user_backend_reconnect_later (VhostUserBackend *backend)
{
  if (backend->peer_path == NULL || backend->retry.first == 0 || backend->retry_timer != NULL)
    return;
  backend->retry_timer = g_timeout_source_new (vhost_user_retry_next (&backend->retry));
  g_source_set_static_name (backend->retry_timer, "vhost-user-reconnect");
  g_source_set_callback (backend->retry_timer, on_retry, backend, NULL);
  g_source_attach (backend->retry_timer, vhost_reactor_get_context (backend->reactor));
}

void
vhost_user_backend_stop_reconnecting (VhostUserBackend *backend)
{
  if (backend->retry_timer != NULL)
    g_source_destroy (backend->retry_timer);
  g_clear_pointer (&backend->retry_timer, g_source_unref);
  g_clear_pointer (&backend->peer_path, g_free);
}

static gboolean
can_come_later (VhostUserBackend *backend, const GError *error)
{
  return backend->retry.first > 0 && vhost_error_can_reconnect (error);
}

/**
 * vhost_user_backend_open:
 * @backend: a back-end
 * @path: (type filename): the socket at which a front-end listens
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Connects to a front-end that listens, and serves it in the thread-default main context. With
 * [property@Vhost.UserBackend:reconnect-interval] nobody has to listen yet.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when the back-end is open already, or a
 *   #GIOErrorEnum when nobody listens
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_open (VhostUserBackend *backend, const char *path, GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (GError) reason = NULL;
  gint64 deadline;

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);

  if (!vhost_user_backend_check_closed (backend, error))
    return FALSE;
  deadline = g_get_monotonic_time () + backend->timeout * G_TIME_SPAN_MILLISECOND;
  vhost_user_backend_use_current_context (backend);
  g_free (backend->peer_path);
  backend->peer_path = g_strdup (path);
  vhost_user_retry_init (&backend->retry, backend->reconnect_interval);
  if (try_to_open (backend, cancellable, deadline, &reason))
    return TRUE;
  if (can_come_later (backend, reason)) {
    vhost_user_backend_reconnect_later (backend);
    return TRUE;
  }
  vhost_user_backend_close (backend);
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}
