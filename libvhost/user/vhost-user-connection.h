/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/user/vhost-user-message.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_CONNECTION (vhost_user_connection_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserConnection, vhost_user_connection, VHOST_USER, CONNECTION, GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserConnection *vhost_user_connection_new (int fd, VhostUserRole role, gboolean requester);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_connection_send (VhostUserConnection *connection, VhostUserMessage *message,
                                     GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
VhostUserMessage *vhost_user_connection_receive (VhostUserConnection *connection,
                                                 GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
void vhost_user_connection_close (VhostUserConnection *connection);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_connection_is_open (VhostUserConnection *connection);

G_END_DECLS
