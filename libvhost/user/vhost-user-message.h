/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <libvhost/user/vhost-user-protocol.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_MESSAGE (vhost_user_message_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserMessage, vhost_user_message, VHOST_USER, MESSAGE, GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserMessage *vhost_user_message_new (VhostUserRole role, guint request, guint flags);

VHOST_AVAILABLE_IN_1_0
VhostUserMessage *vhost_user_message_decode (VhostUserRole role, const guint8 *data, gsize length,
                                             GUnixFDList *fds, guint64 protocol_features,
                                             GError **error);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_message_encode (VhostUserMessage *message, gsize *length);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_message_check (VhostUserMessage *message, guint64 protocol_features,
                                   GError **error);

VHOST_AVAILABLE_IN_1_0
guint vhost_user_message_get_request (VhostUserMessage *message);

VHOST_AVAILABLE_IN_1_0
const char *vhost_user_message_get_name (VhostUserMessage *message);

VHOST_AVAILABLE_IN_1_0
VhostUserRole vhost_user_message_get_role (VhostUserMessage *message);

VHOST_AVAILABLE_IN_1_0
guint vhost_user_message_get_flags (VhostUserMessage *message);

VHOST_AVAILABLE_IN_1_0
void vhost_user_message_set_flags (VhostUserMessage *message, guint flags);

VHOST_AVAILABLE_IN_1_0
guint8 *vhost_user_message_get_payload (VhostUserMessage *message, gsize *length);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_message_set_payload (VhostUserMessage *message, const guint8 *data,
                                         gsize length, GError **error);

VHOST_AVAILABLE_IN_1_0
char **vhost_user_message_list_fields (VhostUserMessage *message);

VHOST_AVAILABLE_IN_1_0
guint64 vhost_user_message_get_field (VhostUserMessage *message, const char *name, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_message_set_field (VhostUserMessage *message, const char *name, guint64 value,
                                       GError **error);

VHOST_AVAILABLE_IN_1_0
GUnixFDList *vhost_user_message_get_fds (VhostUserMessage *message, GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_message_set_fds (VhostUserMessage *message, GUnixFDList *fds, GError **error);

VHOST_AVAILABLE_IN_1_0
char *vhost_user_message_to_string (VhostUserMessage *message);

G_END_DECLS
