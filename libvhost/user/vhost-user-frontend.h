/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/endpoint/vhost-device.h>
#include <libvhost/user/vhost-user-crypto-session.h>
#include <libvhost/user/vhost-user-gpu-connection.h>
#include <libvhost/user/vhost-user-protocol.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_FRONTEND (vhost_user_frontend_get_type ())

/**
 * VhostUserFrontend:
 *
 * A device that is driven over vhost-user: it lives in another process, behind a Unix socket.
 *
 * Belongs to the thread that opened it.
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserFrontend, vhost_user_frontend, VHOST_USER, FRONTEND, GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserFrontend *vhost_user_frontend_new (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_open (VhostUserFrontend *frontend, const char *path,
                                   GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_open_fd (VhostUserFrontend *frontend, int fd,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_listen (VhostUserFrontend *frontend, const char *path, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_accept (VhostUserFrontend *frontend, GCancellable *cancellable,
                                     GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_frontend_close (VhostUserFrontend *frontend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_is_open (VhostUserFrontend *frontend);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_has_protocol_feature (VhostUserFrontend *frontend, guint bit);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_has_shared_object (VhostUserFrontend *frontend, const guint8 *uuid,
                                                gsize length);

VHOST_AVAILABLE_IN_1_0
int vhost_user_frontend_get_shared_object (VhostUserFrontend *frontend, const guint8 *uuid,
                                           gsize length, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_answer_shared_object (VhostUserFrontend *frontend, int fd,
                                                   GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_answer_fs_request (VhostUserFrontend *frontend, gint64 result,
                                                GError **error);

VHOST_AVAILABLE_IN_1_0
guint64 *vhost_user_frontend_get_shmem_config (VhostUserFrontend *frontend,
                                               GCancellable *cancellable, gsize *n_regions,
                                               GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_user_frontend_count_shmem_mappings (VhostUserFrontend *frontend, guint shmid);

VHOST_AVAILABLE_IN_1_0
gpointer vhost_user_frontend_peek_shmem (VhostUserFrontend *frontend, guint shmid);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_frontend_read_shmem (VhostUserFrontend *frontend, guint shmid, guint64 offset,
                                        gsize size, gsize *length, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_write_shmem (VhostUserFrontend *frontend, guint shmid, guint64 offset,
                                          const guint8 *data, gsize length, GError **error);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_frontend_save_state (VhostUserFrontend *frontend, GCancellable *cancellable,
                                        gsize *length, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_load_state (VhostUserFrontend *frontend, const guint8 *data,
                                         gsize length, GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
VhostUserGpuConnection *vhost_user_frontend_open_gpu (VhostUserFrontend *frontend,
                                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_send_rarp (VhostUserFrontend *frontend, const char *mac,
                                        GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_set_mtu (VhostUserFrontend *frontend, guint mtu,
                                      GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gint64 vhost_user_frontend_create_crypto_session (VhostUserFrontend *frontend,
                                                  VhostUserCryptoSession *session,
                                                  GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_frontend_close_crypto_session (VhostUserFrontend *frontend, gint64 id,
                                                   GCancellable *cancellable, GError **error);

G_END_DECLS
