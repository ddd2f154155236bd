/* SPDX-License-Identifier: BSD-3-Clause */
/* Unix sockets by path: listening without stepping on anybody, connecting with a deadline. */
#pragma once

#include <gio/gio.h>

/* Listens at @path (SOCK_STREAM, close-on-exec, non-blocking). A dead socket of one's own user is
 * replaced; a live one, a foreign file, a link or a directory is refused in one line. -1 with
 * error. */
int vhost_user_socket_listen (const char *path, GError **error);

/* Connects to @path; -1 with error (G_IO_ERROR_NOT_FOUND, G_IO_ERROR_CONNECTION_REFUSED, timed
 * out…). */
int vhost_user_socket_connect (const char *path, gint64 deadline, GCancellable *cancellable,
                               GError **error);

/* What an inherited descriptor is: TRUE in *@listening for a listening socket, FALSE for a
 * connected one; fails when it is no AF_UNIX stream socket. */
gboolean vhost_user_socket_check (int fd, gboolean *listening, GError **error);

/* Stops @listen_fd listening, and removes @path unless it has become somebody else's by now. */
void vhost_user_socket_unlink (const char *path, int listen_fd);
