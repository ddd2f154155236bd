/* SPDX-License-Identifier: BSD-3-Clause */
/* A test added with add_fd_test() fails when it leaves a file descriptor open. */
#pragma once

#include <glib.h>

static inline guint
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static inline void
begin_fd_test (guint *n_fds, gconstpointer data)
{
  g_main_context_default (); /* opens one for good */
  *n_fds = count_fds ();
}

static inline void
end_fd_test (guint *n_fds, gconstpointer data)
{
  g_assert_cmpuint (count_fds (), ==, *n_fds);
}

#define add_fd_test(path, func) g_test_add (path, guint, NULL, begin_fd_test, func, end_fd_test)
