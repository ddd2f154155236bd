/* SPDX-License-Identifier: BSD-3-Clause */
/* A recording of calls into the kernel, written by hand: what a VhostOps expects. */
#pragma once

#include "core/vhost-ops-private.h"

static inline void
append_bytes (GString *recording, const char *sign, gconstpointer data, gsize size)
{
  if (size > 0)
    g_string_append_printf (recording, " %s ", sign);
  for (gsize i = 0; i < size; i++)
    g_string_append_printf (recording, "%02x", ((const guint8 *) data)[i]);
}

/* The kernel is given @in, gives back @out, and answers @result: a number, or the name of an errno.
 */
static inline void
expect_call (GString *recording, const char *name, gconstpointer in, gsize in_size,
             gconstpointer out, gsize out_size, const char *result)
{
  g_string_append (recording, name);
  append_bytes (recording, ">", in, in_size);
  append_bytes (recording, "<", out, out_size);
  g_string_append_printf (recording, " = %s\n", result);
}

static inline void
expect_open (GString *recording, const char *path, const char *result)
{
  g_string_append_printf (recording, "open %s = %s\n", path, result);
}
