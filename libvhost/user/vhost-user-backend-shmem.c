/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what a back-end says of its shared memory regions: which there are, and what it wants mapped
 * into them. The mappings themselves belong to the front-end. Control thread. (vhost-user, SHMEM;
 * VIRTIO, “Shared Memory Regions”) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

gboolean
vhost_user_backend_has_shmem (VhostUserBackend *backend)
{
  for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    if (backend->shmem_sizes[i] != 0)
      return TRUE;
  }
  return FALSE;
}

gboolean
vhost_user_backend_get_shmem_config (VhostUserBackend *backend, VhostUserFrame *frame,
                                     VhostUserFrame *reply, GError **error)
{
  VhostUserShmemConfig *config = &reply->payload.shmem_config;

  reply->size = sizeof *config;
  for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    config->memory_sizes[i] = backend->shmem_sizes[i];
    config->n_regions += backend->shmem_sizes[i] != 0;
  }
  return TRUE;
}

/**
 * vhost_user_backend_set_shmem_size:
 * @backend: a back-end
 * @shmid: number of the shared memory region, 0 to 255; its meaning depends on the device
 * @size: bytes, a multiple of the page size; 0 for none
 * @error: return location
 *
 * Gives the device a shared memory region: a window of the guest's address space into which
 * [method@Vhost.UserBackend.shmem_map_async] maps files. Regions cannot change while a front-end is
 * connected.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when a front-end is connected, or
 *   %VHOST_ERROR_INVALID_VALUE
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_set_shmem_size (VhostUserBackend *backend, guint shmid, guint64 size,
                                   GError **error)
{
  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);

  if (backend->connection != NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "a front-end knows the regions already");
  if (shmid >= VHOST_USER_MAX_SHMEM_REGIONS || size % (guint64) sysconf (_SC_PAGESIZE) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "shared memory region %u of 0x%" G_GINT64_MODIFIER
                            "x bytes: must be below 256, and whole pages",
                            shmid, size);
  backend->shmem_sizes[shmid] = size;
  return TRUE;
}

/* What the front-end would refuse as well. */
static gboolean
check_range (VhostUserBackend *backend, const VhostUserShmemMap *map, guint shmid, GError **error)
{
  guint64 page = (guint64) sysconf (_SC_PAGESIZE);
  guint64 size = shmid < VHOST_USER_MAX_SHMEM_REGIONS ? backend->shmem_sizes[shmid] : 0;

  if (map->len == 0 || map->len > size || map->shm_offset > size - map->len ||
      (map->len | map->shm_offset | map->fd_offset) % page != 0 ||
      map->fd_offset > G_MAXINT64 - map->len)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                            "x are not whole pages of shared memory region %u",
                            map->len, map->shm_offset, shmid);
  return TRUE;
}

/* Takes @task. */
static void
send_map (VhostUserBackend *backend, GTask *task, guint shmid, int fd, const VhostUserShmemMap *map)
{
  g_auto (VhostUserFrame) frame = { 0 };
  gboolean mapping = fd >= 0;
  GError *error = NULL;

  vhost_user_frame_init (
      &frame, mapping ? VHOST_USER_BACKEND_CODE_SHMEM_MAP : VHOST_USER_BACKEND_CODE_SHMEM_UNMAP,
      VHOST_USER_FLAGS_VERSION, sizeof *map);
  frame.payload.shmem_map = *map;
  frame.payload.shmem_map.shmid = (guint8) shmid;
  if (!check_range (backend, map, shmid, &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  if (mapping) {
    frame.fds.fd[0] = vhost_fd_dup (fd, &error);
    frame.fds.n = 1;
  }
  if (error != NULL) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  vhost_user_backend_call (backend, &frame, task, vhost_user_backend_finish_call);
}

/**
 * vhost_user_backend_shmem_map_async:
 * @backend: a back-end
 * @shmid: number of the shared memory region
 * @fd: what to map; must be open for writing when @writable
 * @fd_offset: where in the file to begin, in bytes
 * @shm_offset: where in the region to put it, in bytes
 * @len: bytes; these three are multiples of the page size
 * @writable: whether the guest may write to it
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Asks the front-end to map a piece of a file into a shared memory region, where nothing may be
 * mapped yet. Needs a running queue: a suspended device says nothing. The front-end forgets all
 * mappings when the device is reset or the connection ends.
 *
 * Nothing waits meanwhile: requests of the front-end are served before its answer comes. Push the
 * chain that wanted the mapping from @callback.
 *
 * Since: 1.0
 */
void
vhost_user_backend_shmem_map_async (VhostUserBackend *backend, guint shmid, int fd,
                                    guint64 fd_offset, guint64 shm_offset, guint64 len,
                                    gboolean writable, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer user_data)
{
  const VhostUserShmemMap map = {
    .fd_offset = fd_offset,
    .shm_offset = shm_offset,
    .len = len,
    .flags = writable ? VHOST_USER_SHMEM_WRITABLE : 0,
  };
  GTask *task;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = g_task_new (backend, cancellable, callback, user_data);
  g_task_set_source_tag (task, vhost_user_backend_shmem_map_async);
  if (fd >= 0) {
    send_map (backend, task, shmid, fd, &map);
    return;
  }
  g_task_return_new_error (task, VHOST_ERROR, VHOST_ERROR_BAD_FDS, "there is nothing to map");
  g_object_unref (task);
}

/**
 * vhost_user_backend_shmem_map_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Says how the mapping went.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_REFUSED, %VHOST_ERROR_INVALID_VALUE (the range),
 *   %VHOST_ERROR_BAD_STATE (no queue runs), %VHOST_ERROR_QUEUE_FULL (64 requests wait),
 *   %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_TIMED_OUT or %VHOST_ERROR_DISCONNECTED
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_shmem_map_finish (VhostUserBackend *backend, GAsyncResult *result,
                                     GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * vhost_user_backend_shmem_unmap_async:
 * @backend: a back-end
 * @shmid: number of the shared memory region
 * @shm_offset: where the mapping begins, in bytes
 * @len: its bytes; mappings go whole
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Asks the front-end to take a mapping away. Some front-ends answer before it is gone.
 *
 * Since: 1.0
 */
void
vhost_user_backend_shmem_unmap_async (VhostUserBackend *backend, guint shmid, guint64 shm_offset,
                                      guint64 len, GCancellable *cancellable,
                                      GAsyncReadyCallback callback, gpointer user_data)
{
  const VhostUserShmemMap map = { .shm_offset = shm_offset, .len = len };
  GTask *task;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = g_task_new (backend, cancellable, callback, user_data);
  g_task_set_source_tag (task, vhost_user_backend_shmem_unmap_async);
  send_map (backend, task, shmid, -1, &map);
}

/**
 * vhost_user_backend_shmem_unmap_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Says how the unmapping went.
 *
 * Returns: %TRUE, or %FALSE with an error as from [method@Vhost.UserBackend.shmem_map_finish]
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_shmem_unmap_finish (VhostUserBackend *backend, GAsyncResult *result,
                                       GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
