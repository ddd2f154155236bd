/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the list of objects that the back-end of one connection exports. Who asks for an object is
 * another back-end, and what connects the two is the application. Thread of the front-end.
 * (vhost-user, SHARED_OBJECT) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-uuid-private.h"

enum {
  SIGNAL_ADDED,
  SIGNAL_REMOVED,
  SIGNAL_LOOKUP,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

static gboolean
has_object (VhostUserFrontend *frontend, GBytes *key)
{
  return frontend->objects != NULL && g_hash_table_contains (frontend->objects, key);
}

gboolean
vhost_user_frontend_add_object (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                GError **error)
{
  g_autoptr (GBytes) key = vhost_user_uuid_new (frame->payload.uuid);

  if (!vhost_user_uuid_check (frame->payload.uuid, VHOST_USER_UUID_SIZE, error))
    return FALSE;
  if (frontend->objects == NULL)
    frontend->objects =
        g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);
  if (has_object (frontend, key))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "it is exported already");
  if (g_hash_table_size (frontend->objects) >= VHOST_USER_MAX_OBJECTS)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "%d objects are as many as one may have",
                            VHOST_USER_MAX_OBJECTS);
  g_hash_table_add (frontend->objects, g_bytes_ref (key));
  g_signal_emit (frontend, signals[SIGNAL_ADDED], 0, key);
  return TRUE;
}

gboolean
vhost_user_frontend_remove_object (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                   GError **error)
{
  g_autoptr (GBytes) key = vhost_user_uuid_new (frame->payload.uuid);

  if (!has_object (frontend, key))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "this back-end does not export it");
  g_hash_table_remove (frontend->objects, key);
  g_signal_emit (frontend, signals[SIGNAL_REMOVED], 0, key);
  return TRUE;
}

gboolean
vhost_user_frontend_lookup_object (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                   VhostUserFrame *answer, GError **error)
{
  g_autoptr (GBytes) key = vhost_user_uuid_new (frame->payload.uuid);

  if (!vhost_user_uuid_check (frame->payload.uuid, VHOST_USER_UUID_SIZE, error))
    return FALSE;
  vhost_user_frontend_emit_request (frontend, answer, signals[SIGNAL_LOOKUP], key);
  return answer->fds.n == 1 ||
         vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "nobody has this object");
}

void
vhost_user_frontend_forget_objects (VhostUserFrontend *frontend)
{
  g_autoptr (GHashTable) objects = g_steal_pointer (&frontend->objects);
  GHashTableIter iter;
  gpointer key;

  if (objects == NULL)
    return;
  g_hash_table_iter_init (&iter, objects);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    g_signal_emit (frontend, signals[SIGNAL_REMOVED], 0, key);
}

/**
 * vhost_user_frontend_has_shared_object:
 * @frontend: a front-end
 * @uuid: (array length=length): name of the object, 16 bytes in the order of RFC 4122
 * @length: bytes in @uuid
 *
 * Says whether the back-end exports an object. What it exported ends with the connection.
 *
 * Returns: whether it does
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_has_shared_object (VhostUserFrontend *frontend, const guint8 *uuid,
                                       gsize length)
{
  g_autoptr (GBytes) key = g_bytes_new (uuid, length);

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  return has_object (frontend, key);
}

/**
 * vhost_user_frontend_get_shared_object:
 * @frontend: a front-end
 * @uuid: (array length=length): name of the object, 16 bytes in the order of RFC 4122
 * @length: bytes in @uuid
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Asks the back-end for an object that it exports. Blocks for [property@Vhost.UserFrontend:timeout]
 * at most.
 *
 * Returns: a descriptor that belongs to the caller; -1 with %VHOST_ERROR_REFUSED when the back-end
 * has no such object, %VHOST_ERROR_INVALID_VALUE when @uuid cannot be one, or another error
 *
 * Since: 1.0
 */
int
vhost_user_frontend_get_shared_object (VhostUserFrontend *frontend, const guint8 *uuid,
                                       gsize length, GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), -1);

  if (!vhost_user_uuid_check (uuid, length, error))
    return -1;
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_GET_SHARED_OBJECT,
                                    VHOST_USER_UUID_SIZE);
  memcpy (frame.payload.uuid, uuid, VHOST_USER_UUID_SIZE);
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error))
    return -1;
  if (reply.fds.n == 1)
    return vhost_fd_steal (&reply.fds.fd[0]);
  vhost_set_error (error, VHOST_ERROR_REFUSED,
                   "GET_SHARED_OBJECT: the back-end has no such object");
  return -1;
}

/**
 * vhost_user_frontend_answer_shared_object:
 * @frontend: a front-end
 * @fd: the object; duplicated
 * @error: return location
 *
 * Gives the object that [signal@Vhost.UserFrontend::shared-object-lookup] asks for.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE outside that signal or when it was answered
 * already, or a #GIOErrorEnum when @fd cannot be duplicated
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_answer_shared_object (VhostUserFrontend *frontend, int fd, GError **error)
{
  VhostUserFrame *answer;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  answer = frontend->answer;
  if (answer == NULL || answer->request != VHOST_USER_BACKEND_CODE_SHARED_OBJECT_LOOKUP ||
      answer->fds.n > 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no object is being looked up");
  answer->fds.fd[0] = vhost_fd_dup (fd, error);
  if (answer->fds.fd[0] < 0)
    return FALSE;
  answer->fds.n = 1;
  return TRUE;
}

static guint
new_signal (GObjectClass *object_class, const char *name)
{
  return g_signal_new (name, G_TYPE_FROM_CLASS (object_class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                       NULL, G_TYPE_NONE, 1, G_TYPE_BYTES);
}

void
vhost_user_frontend_install_objects (GObjectClass *object_class)
{
  /**
   * VhostUserFrontend::shared-object-added:
   * @frontend: the front-end
   * @uuid: name of the object, 16 bytes
   *
   * The back-end exports an object; see [method@Vhost.UserFrontend.get_shared_object]. It may come
   * while a call waits for the back-end: no other call to it can be made from here.
   *
   * Since: 1.0
   */
  signals[SIGNAL_ADDED] = new_signal (object_class, "shared-object-added");
  /**
   * VhostUserFrontend::shared-object-removed:
   * @frontend: the front-end
   * @uuid: name of the object, 16 bytes
   *
   * The back-end exports an object no longer, or has left.
   *
   * Since: 1.0
   */
  signals[SIGNAL_REMOVED] = new_signal (object_class, "shared-object-removed");
  /**
   * VhostUserFrontend::shared-object-lookup:
   * @frontend: the front-end
   * @uuid: name of the object, 16 bytes
   *
   * The back-end looks for an object that somebody else exports. Get it from the front-end whose
   * back-end has it, and pass it to [method@Vhost.UserFrontend.answer_shared_object] before this
   * signal is over. It may come while a call waits for this back-end: no other call to it can be
   * made from here.
   *
   * Since: 1.0
   */
  signals[SIGNAL_LOOKUP] = new_signal (object_class, "shared-object-lookup");
}
