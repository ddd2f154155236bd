/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/endpoint/vhost-backend.h>
#include <libvhost/user/vhost-user-protocol.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_BACKEND (vhost_user_backend_get_type ())

/**
 * VhostUserBackend:
 *
 * A device that is served over vhost-user: to one front-end at a time, through a Unix socket.
 *
 * Belongs to the thread that started it with [method@Vhost.UserBackend.listen],
 * [method@Vhost.UserBackend.open] or [method@Vhost.UserBackend.open_fd].
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserBackend, vhost_user_backend, VHOST_USER, BACKEND, VhostBackend)

VHOST_AVAILABLE_IN_1_0
VhostUserBackend *vhost_user_backend_new (VhostDeviceId device_id, guint n_queues);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_listen (VhostUserBackend *backend, const char *path, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_open (VhostUserBackend *backend, const char *path,
                                  GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_open_fd (VhostUserBackend *backend, int fd, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_close (VhostUserBackend *backend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_is_connected (VhostUserBackend *backend);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_shared_object_add_async (VhostUserBackend *backend, const guint8 *uuid,
                                                 gsize length, int fd, GCancellable *cancellable,
                                                 GAsyncReadyCallback callback, gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_shared_object_add_finish (VhostUserBackend *backend,
                                                      GAsyncResult *result, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_shared_object_remove_async (VhostUserBackend *backend, const guint8 *uuid,
                                                    gsize length, GCancellable *cancellable,
                                                    GAsyncReadyCallback callback,
                                                    gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_shared_object_remove_finish (VhostUserBackend *backend,
                                                         GAsyncResult *result, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_shared_object_lookup_async (VhostUserBackend *backend, const guint8 *uuid,
                                                    gsize length, GCancellable *cancellable,
                                                    GAsyncReadyCallback callback,
                                                    gpointer user_data);

VHOST_AVAILABLE_IN_1_0
int vhost_user_backend_shared_object_lookup_finish (VhostUserBackend *backend, GAsyncResult *result,
                                                    GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_set_shmem_size (VhostUserBackend *backend, guint shmid, guint64 size,
                                            GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_shmem_map_async (VhostUserBackend *backend, guint shmid, int fd,
                                         guint64 fd_offset, guint64 shm_offset, guint64 len,
                                         gboolean writable, GCancellable *cancellable,
                                         GAsyncReadyCallback callback, gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_shmem_map_finish (VhostUserBackend *backend, GAsyncResult *result,
                                              GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_shmem_unmap_async (VhostUserBackend *backend, guint shmid,
                                           guint64 shm_offset, guint64 len,
                                           GCancellable *cancellable, GAsyncReadyCallback callback,
                                           gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_shmem_unmap_finish (VhostUserBackend *backend, GAsyncResult *result,
                                                GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_complete_transfer (VhostUserBackend *backend, gboolean success,
                                               GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_backend_fs_request_async (VhostUserBackend *backend, VhostUserFsRequest request,
                                          int fd, const guint64 *entries, gsize n_numbers,
                                          GCancellable *cancellable, GAsyncReadyCallback callback,
                                          gpointer user_data);

VHOST_AVAILABLE_IN_1_0
gint64 vhost_user_backend_fs_request_finish (VhostUserBackend *backend, GAsyncResult *result,
                                             GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_set_host_notifier (VhostUserBackend *backend, VhostQueue *queue, int fd,
                                               guint64 offset, guint64 size, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_backend_remove_host_notifier (VhostUserBackend *backend, VhostQueue *queue,
                                                  GError **error);

G_END_DECLS
