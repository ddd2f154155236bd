/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "core/vhost-error.h"

/* Sets a G_IO_ERROR from errno: "<what>: <strerror>". Always returns FALSE, to be returned on. */
gboolean vhost_set_error_from_errno (GError **error, int saved_errno, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Sets a VHOST_ERROR. Always returns FALSE. */
gboolean vhost_set_error (GError **error, VhostError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);
