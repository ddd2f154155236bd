/* SPDX-License-Identifier: BSD-3-Clause */
/* What VHOST_DEBUG asks to see: a comma-separated list, read once. */
#pragma once

#include <glib.h>

typedef enum {
  VHOST_DEBUG_MESSAGE = 1 << 0, /* "message": each vhost-user message, sent or received */
  VHOST_DEBUG_IOCTL = 1 << 1,   /* "ioctl": each call into a kernel device */
} VhostDebugTopic;

gboolean vhost_debug_has (VhostDebugTopic topic);

/* One line to standard error, as UTF-8 whatever the locale. */
void vhost_debug_print (const char *format, ...) G_GNUC_PRINTF (1, 2);
