/* SPDX-License-Identifier: BSD-3-Clause */
/* The error domain, and the two ways in which the library fills a GError. Any thread. */

#include <gio/gio.h>
#include "core/vhost-error-private.h"

/* G_DEFINE_QUARK would do, but a formatter takes the dashes of the name for minus signs. */
GQuark
vhost_error_quark (void)
{
  return g_quark_from_static_string ("vhost-error-quark");
}

/**
 * vhost_error_can_reconnect:
 * @error: what a call returned or a signal carried
 *
 * Tells whether the connection is what failed, so that the same session may work on a new one: the
 * peer left, refused the connection, or did not answer in time. A peer that broke the protocol will
 * do so again. One that did not answer may still be at work in memory that it was given: nobody
 * else may be given that before it has closed its socket, for which [class@Vhost.UserFrontend]
 * waits when it reconnects. May be called from any thread.
 *
 * Returns: %TRUE when reconnecting can help
 *
 * Since: 1.0
 */
gboolean
vhost_error_can_reconnect (const GError *error)
{
  g_return_val_if_fail (error != NULL, FALSE);

  return g_error_matches (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED) ||
         g_error_matches (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

gboolean
vhost_set_error_from_errno (GError **error, int saved_errno, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "%s: %s", what,
               g_strerror (saved_errno));
  return FALSE;
}

gboolean
vhost_set_error (GError **error, VhostError code, const char *format, ...)
{
  va_list args;

  if (error == NULL)
    return FALSE;
  va_start (args, format);
  g_propagate_error (error, g_error_new_valist (VHOST_ERROR, code, format, args));
  va_end (args);
  return FALSE;
}
