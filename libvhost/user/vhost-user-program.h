/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <gio/gio.h>
#include <libvhost/user/vhost-user-backend.h>
#include <libvhost/user/vhost-user-frontend.h>

G_BEGIN_DECLS

#define VHOST_USER_TYPE_PROGRAM (vhost_user_program_get_type ())

VHOST_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (VhostUserProgram, vhost_user_program, VHOST_USER, PROGRAM, GObject)

VHOST_AVAILABLE_IN_1_0
VhostUserProgram *vhost_user_program_new (const char *device_type, const char *const *features);

VHOST_AVAILABLE_IN_1_0
char **vhost_user_program_parse (VhostUserProgram *program, const char *const *arguments,
                                 GError **error);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_program_has_socket (VhostUserProgram *program);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_program_print_capabilities (VhostUserProgram *program);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_user_program_open (VhostUserProgram *program, VhostUserFrontend *frontend,
                                  GCancellable *cancellable, GError **error);

VHOST_AVAILABLE_IN_1_0
int vhost_user_program_run (VhostUserProgram *program, VhostUserBackend *backend);

G_END_DECLS
