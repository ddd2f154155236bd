/* SPDX-License-Identifier: BSD-3-Clause */
/* The requests of the virtio-fs drafts, as a back-end sends them. Control thread. (virtio-fs DAX
 * series of 2020 and 2024; never part of the vhost-user specification) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

#define NUMBERS_PER_ENTRY 4

static gboolean
check_request (VhostUserBackend *backend, VhostUserFsRequest request, int fd, gsize n_numbers,
               GError **error)
{
  gboolean needs_fd = request == VHOST_USER_FS_REQUEST_MAP || request == VHOST_USER_FS_REQUEST_IO;

  if (vhost_user_fs_get_number (backend->fs_dialect, request) == 0)
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "fs-dialect has no such virtio-fs request");
  if (n_numbers == 0 || n_numbers % NUMBERS_PER_ENTRY != 0 ||
      n_numbers > VHOST_USER_FS_ENTRIES * NUMBERS_PER_ENTRY)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%" G_GSIZE_FORMAT " numbers; 1 to 8 entries of 4 are possible",
                            n_numbers);
  if (needs_fd != (fd >= 0))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "this request takes %s descriptor",
                            needs_fd ? "a" : "no");
  return TRUE;
}

static void
finish_request (VhostUserBackend *backend, GTask *task, VhostUserFrame *answer)
{
  gint64 value = answer != NULL ? (gint64) answer->payload.u64 : 0;
  gboolean counts = GPOINTER_TO_INT (g_task_get_task_data (task)) == VHOST_USER_FS_REQUEST_IO;

  if (value < 0 || (value > 0 && !counts))
    g_task_return_new_error (task, VHOST_ERROR, VHOST_ERROR_REFUSED,
                             "the front-end refused: %" G_GINT64_FORMAT, value);
  else
    g_task_return_int (task, (gssize) value);
}

/**
 * vhost_user_backend_fs_request_async:
 * @backend: a back-end
 * @request: what to do
 * @fd: the file, for MAP and IO; -1 for the others
 * @entries: (array length=n_numbers): for each of up to 8 pieces its offset in the file, its offset
 * in the window, its bytes and its flags
 * @n_numbers: how many numbers @entries has, 4 for each piece
 * @cancellable: (nullable): the request is made all the same, and its result is lost
 * @callback: (nullable) (scope async): called when the front-end has answered
 * @user_data: for @callback
 *
 * Sends a request of a virtio-fs draft, in the numbering of
 * [property@Vhost.UserBackend:fs-dialect]. Needs a running queue: a suspended device says nothing.
 *
 * Since: 1.0
 */
void
vhost_user_backend_fs_request_async (VhostUserBackend *backend, VhostUserFsRequest request, int fd,
                                     const guint64 *entries, gsize n_numbers,
                                     GCancellable *cancellable, GAsyncReadyCallback callback,
                                     gpointer user_data)
{
  g_auto (VhostUserFrame) frame = { 0 };
  GTask *task;
  GError *error = NULL;

  g_return_if_fail (VHOST_USER_IS_BACKEND (backend));

  task = g_task_new (backend, cancellable, callback, user_data);
  g_task_set_source_tag (task, vhost_user_backend_fs_request_async);
  g_task_set_task_data (task, GINT_TO_POINTER (request), NULL);
  vhost_user_frame_init (&frame, vhost_user_fs_get_number (backend->fs_dialect, request),
                         VHOST_USER_FLAGS_VERSION, sizeof frame.payload.fs);
  if (check_request (backend, request, fd, n_numbers, &error) && fd >= 0)
    frame.fds = (VhostFdSet){ .n = 1, .fd = { vhost_fd_dup (fd, &error) } };
  if (error != NULL) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  for (gsize i = 0; i < n_numbers / NUMBERS_PER_ENTRY; i++) {
    const guint64 *entry = entries + i * NUMBERS_PER_ENTRY;

    frame.payload.fs.fd_offset[i] = entry[0];
    frame.payload.fs.cache_offset[i] = entry[1];
    frame.payload.fs.len[i] = entry[2];
    frame.payload.fs.flags[i] = entry[3];
  }
  vhost_user_backend_call (backend, &frame, task, finish_request);
}

/**
 * vhost_user_backend_fs_request_finish:
 * @backend: a back-end
 * @result: what the callback got
 * @error: return location
 *
 * Says how the request went.
 *
 * Returns: 0, or for IO the bytes that the front-end moved; -1 with %VHOST_ERROR_REFUSED,
 *   %VHOST_ERROR_NOT_NEGOTIATED (the dialect has no such request), %VHOST_ERROR_INVALID_VALUE,
 *   %VHOST_ERROR_BAD_FDS or an error as from [method@Vhost.UserBackend.shmem_map_finish]
 *
 * Since: 1.0
 */
gint64
vhost_user_backend_fs_request_finish (VhostUserBackend *backend, GAsyncResult *result,
                                      GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, backend), -1);

  return g_task_propagate_int (G_TASK (result), error);
}
