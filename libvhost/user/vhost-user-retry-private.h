/* SPDX-License-Identifier: BSD-3-Clause */
/* When to try again: a pause that doubles from the first one up to a bound. Any thread. */
#pragma once

#include <glib.h>

#define VHOST_USER_MAX_PAUSE 1000 /* ms; a longer first pause stays as it is */

typedef struct {
  guint first; /* ms */
  guint pause; /* ms */
} VhostUserRetry;

static inline void
vhost_user_retry_init (VhostUserRetry *retry, guint first)
{
  *retry = (VhostUserRetry){ first, first };
}

/* How long to wait before the next attempt, in milliseconds. */
static inline guint
vhost_user_retry_next (VhostUserRetry *retry)
{
  guint pause = retry->pause;

  retry->pause = MIN (2 * (guint64) pause, MAX (VHOST_USER_MAX_PAUSE, retry->first));
  return pause;
}
