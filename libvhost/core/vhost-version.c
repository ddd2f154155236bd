/* SPDX-License-Identifier: BSD-3-Clause */
/* The version of the library that is running, as opposed to the one that was compiled against. */

#include "core/vhost-version.h"

/**
 * vhost_get_version:
 *
 * The version of the library that is running. May be called from any thread.
 *
 * Returns: (transfer none): "1.0.0"
 *
 * Since: 1.0
 */
const char *
vhost_get_version (void)
{
  return G_STRINGIFY (VHOST_MAJOR_VERSION) "." G_STRINGIFY (VHOST_MINOR_VERSION) "." G_STRINGIFY (
      VHOST_MICRO_VERSION);
}
