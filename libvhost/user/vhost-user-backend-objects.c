/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the objects that a back-end exports to other devices, by UUID: it announces them on the
 * channel and gives their descriptors out when the front-end asks. They end with the session.
 * Control thread. (vhost-user, SHARED_OBJECT; VIRTIO, “Exporting Objects”) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"
#include "user/vhost-user-uuid-private.h"

static void
free_descriptor (gpointer data)
{
  int fd = GPOINTER_TO_INT (data);

  vhost_fd_clear (&fd);
}

static GHashTable *
get_objects (VhostUserBackend *backend)
{
  if (backend->objects == NULL)
    backend->objects = g_hash_table_new_full (g_bytes_hash, g_bytes_equal,
                                              (GDestroyNotify) g_bytes_unref, free_descriptor);
  return backend->objects;
}

void
vhost_user_backend_forget_objects (VhostUserBackend *backend)
{
  g_clear_pointer (&backend->objects, g_hash_table_unref);
}

gboolean
vhost_user_backend_get_shared_object (VhostUserBackend *backend, VhostUserFrame *frame,
                                      VhostUserFrame *reply, GError **error)
{
  g_autoptr (GBytes) key = vhost_user_uuid_new (frame->payload.uuid);
  gpointer fd;

  reply->size = 0; /* a descriptor alone, or nothing, is the answer */
  if (!g_hash_table_lookup_extended (get_objects (backend), key, NULL, &fd))
    return TRUE;
  reply->fds.fd[0] = vhost_fd_dup (GPOINTER_TO_INT (fd), error);
  if (reply->fds.fd[0] < 0)
    return FALSE;
  reply->fds.n = 1;
  return TRUE;
}

/* A task that asks for @uuid, which is its data. NULL: it has been finished with an error. */
static GTask *
begin (VhostUserBackend *backend, const guint8 *uuid, gsize length, VhostUserBackendCode code,
       VhostUserFrame *frame, GCancellable *cancellable, GAsyncReadyCallback callback,
       gpointer user_data, gpointer tag)
{
  g_autoptr (GTask) task = g_task_new (backend, cancellable, callback, user_data);
  GError *error = NULL;

  g_task_set_source_tag (task, tag);
  if (!vhost_user_uuid_check (uuid, length, &error)) {
    g_task_return_error (task, error);
    return NULL;
  }
  vhost_user_frame_init (frame, code, VHOST_USER_FLAGS_VERSION, VHOST_USER_UUID_SIZE);
  memcpy (frame->payload.uuid, uuid, VHOST_USER_UUID_SIZE);
  g_task_set_task_data (task, vhost_user_uuid_new (uuid), (GDestroyNotify) g_bytes_unref);
  return g_steal_pointer (&task);
}

static void
finish_add (VhostUserBackend *backend, GTask *task, VhostUserFrame *answer)
{
  if (vhost_user_backend_check_answer (task, answer))
    g_task_return_boolean (task, TRUE);
  else
    g_hash_table_remove (get_objects (backend), g_task_get_task_data (task));
}

static gboolean
check_new (VhostUserBackend *backend, GBytes *key, GError **error)
{
  if (g_hash_table_contains (get_objects (backend), key))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "SHARED_OBJECT_ADD: an object of this UUID is exported already");
  if (g_hash_table_size (get_objects (backend)) >= VHOST_USER_MAX_OBJECTS)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL,
                            "SHARED_OBJECT_ADD: %d objects are exported, more cannot be",
                            VHOST_USER_MAX_OBJECTS);
  return TRUE;
}

/**
 * vhost_user_backend_shared_object_add_async:
 * @backend: a back-end
 * @uuid: (array length=length): name of the object, 16 bytes in the order of RFC 4122
 * @length: bytes in @uuid
 * @fd: the object, usually a dma-buf; duplicated
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Exports an object to the other devices of the front-end. It is given out until it is removed or
 * the front-end leaves. Needs a running queue: a suspended device says nothing.
 *
 * Since: 1.0
 */
void
vhost_user_backend_shared_object_add_async (VhostUserBackend *backend, const guint8 *uuid,
                                            gsize length, int fd, GCancellable *cancellable,
                                            GAsyncReadyCallback callback, gpointer user_data)
{
  g_auto (VhostUserFrame) frame = { 0 };
  GTask *task;
  GBytes *key;
  GError *error = NULL;
  VHOST_AUTO_FD copy = -1;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = begin (backend, uuid, length, VHOST_USER_BACKEND_CODE_SHARED_OBJECT_ADD, &frame,
                cancellable, callback, user_data, vhost_user_backend_shared_object_add_async);
  if (task == NULL)
    return;
  key = g_task_get_task_data (task);
  if (check_new (backend, key, &error))
    copy = vhost_fd_dup (fd, &error);
  if (copy < 0) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  g_bytes_ref (key);
  if (vhost_user_backend_call (backend, &frame, task, finish_add))
    g_hash_table_insert (get_objects (backend), key, GINT_TO_POINTER (vhost_fd_steal (&copy)));
  else
    g_bytes_unref (key);
}

/**
 * vhost_user_backend_shared_object_add_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Says how the export went.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_REFUSED, %VHOST_ERROR_INVALID_VALUE (the UUID),
 *   %VHOST_ERROR_BAD_STATE (no queue runs, or it is exported already), %VHOST_ERROR_QUEUE_FULL,
 *   %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_TIMED_OUT or %VHOST_ERROR_DISCONNECTED
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_shared_object_add_finish (VhostUserBackend *backend, GAsyncResult *result,
                                             GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * vhost_user_backend_shared_object_remove_async:
 * @backend: a back-end
 * @uuid: (array length=length): name of the object, 16 bytes
 * @length: bytes in @uuid
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Exports an object no longer. From now on its descriptor is not given out, whatever the answer.
 *
 * Since: 1.0
 */
void
vhost_user_backend_shared_object_remove_async (VhostUserBackend *backend, const guint8 *uuid,
                                               gsize length, GCancellable *cancellable,
                                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_auto (VhostUserFrame) frame = { 0 };
  GTask *task;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = begin (backend, uuid, length, VHOST_USER_BACKEND_CODE_SHARED_OBJECT_REMOVE, &frame,
                cancellable, callback, user_data, vhost_user_backend_shared_object_remove_async);
  if (task == NULL)
    return;
  g_hash_table_remove (get_objects (backend), g_task_get_task_data (task));
  vhost_user_backend_call (backend, &frame, task, vhost_user_backend_finish_call);
}

/**
 * vhost_user_backend_shared_object_remove_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Says whether the front-end knew the object.
 *
 * Returns: %TRUE, or %FALSE with an error as from
 *   [method@Vhost.UserBackend.shared_object_add_finish]
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_shared_object_remove_finish (VhostUserBackend *backend, GAsyncResult *result,
                                                GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/* A descriptor that nobody fetched from its task. */
static void
free_result (gpointer data)
{
  int fd = GPOINTER_TO_INT (data) - 1;

  vhost_fd_clear (&fd);
}

static void
finish_lookup (VhostUserBackend *backend, GTask *task, VhostUserFrame *answer)
{
  if (!vhost_user_backend_check_answer (task, answer))
    return;
  if (answer->fds.n == 0)
    g_task_return_new_error (task, VHOST_ERROR, VHOST_ERROR_BAD_FDS,
                             "SHARED_OBJECT_LOOKUP: done, but without a descriptor");
  else /* one more than the number, which may be 0 */
    g_task_return_pointer (task, GINT_TO_POINTER (vhost_fd_steal (&answer->fds.fd[0]) + 1),
                           free_result);
}

/**
 * vhost_user_backend_shared_object_lookup_async:
 * @backend: a back-end
 * @uuid: (array length=length): name of the object, 16 bytes
 * @length: bytes in @uuid
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Asks for an object that another device of the front-end exports.
 *
 * Since: 1.0
 */
void
vhost_user_backend_shared_object_lookup_async (VhostUserBackend *backend, const guint8 *uuid,
                                               gsize length, GCancellable *cancellable,
                                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_auto (VhostUserFrame) frame = { 0 };
  GTask *task;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = begin (backend, uuid, length, VHOST_USER_BACKEND_CODE_SHARED_OBJECT_LOOKUP, &frame,
                cancellable, callback, user_data, vhost_user_backend_shared_object_lookup_async);
  if (task != NULL)
    vhost_user_backend_call (backend, &frame, task, finish_lookup);
}

/**
 * vhost_user_backend_shared_object_lookup_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Gives the object.
 *
 * Returns: a descriptor that belongs to the caller, or -1 with an error as from
 *   [method@Vhost.UserBackend.shared_object_add_finish]
 *
 * Since: 1.0
 */
int
vhost_user_backend_shared_object_lookup_finish (VhostUserBackend *backend, GAsyncResult *result,
                                                GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), -1);

  return GPOINTER_TO_INT (g_task_propagate_pointer (G_TASK (result), error)) - 1;
}
