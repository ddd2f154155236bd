/* SPDX-License-Identifier: BSD-3-Clause */
/* The pauses between attempts. */

#include "user/vhost-user-retry-private.h"

static void
check (guint first, const guint *pauses)
{
  VhostUserRetry retry;

  vhost_user_retry_init (&retry, first);
  for (; *pauses != 0; pauses++)
    g_assert_cmpuint (vhost_user_retry_next (&retry), ==, *pauses);
}

static void
test_pauses (void)
{
  check (5, (const guint[]){ 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 0 });
  check (1000, (const guint[]){ 1000, 1000, 0 });
  check (3000, (const guint[]){ 3000, 3000, 3000, 0 });
  check (G_MAXINT, (const guint[]){ G_MAXINT, G_MAXINT, G_MAXINT, 0 });
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/user-retry/pauses", test_pauses);
  return g_test_run ();
}
