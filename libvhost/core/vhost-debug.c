/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the reading of the environment variable VHOST_DEBUG. Any thread. */

#include <stdio.h>
#include "core/vhost-debug-private.h"

static const GDebugKey topics[] = {
  { "message", VHOST_DEBUG_MESSAGE },
  { "ioctl", VHOST_DEBUG_IOCTL },
};

static gpointer
read_topics (gpointer data)
{
  const char *wanted = g_getenv ("VHOST_DEBUG");

  return GUINT_TO_POINTER (g_parse_debug_string (wanted, topics, G_N_ELEMENTS (topics)));
}

gboolean
vhost_debug_has (VhostDebugTopic topic)
{
  static GOnce once = G_ONCE_INIT;

  return (GPOINTER_TO_UINT (g_once (&once, read_topics, NULL)) & topic) != 0;
}

void
vhost_debug_print (const char *format, ...)
{
  g_autofree char *line = NULL;
  va_list arguments;

  va_start (arguments, format);
  line = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  fprintf (stderr, "%s\n", line);
}
