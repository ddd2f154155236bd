/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <glib-object.h>
#include <libvhost/core/vhost-version.h>

G_BEGIN_DECLS

#define VHOST_ERROR (vhost_error_quark ())

/**
 * VhostError:
 * @VHOST_ERROR_FAILED: something else went wrong
 * @VHOST_ERROR_PROTOCOL: the peer's bytes are no message: version, flags, framing, lost descriptors
 * @VHOST_ERROR_UNKNOWN_REQUEST: a request number that no specification names
 * @VHOST_ERROR_BAD_SIZE: a payload that is not of the size its request needs
 * @VHOST_ERROR_BAD_FDS: too few, too many or the wrong kind of file descriptors
 * @VHOST_ERROR_NOT_NEGOTIATED: the feature that allows the request was not negotiated
 * @VHOST_ERROR_BAD_STATE: a request at a time when it is not allowed
 * @VHOST_ERROR_INVALID_VALUE: a field of a message or a call is out of range
 * @VHOST_ERROR_BAD_ADDRESS: an address range that is not inside one memory region
 * @VHOST_ERROR_BAD_MEMORY: a memory region that cannot be mapped, overlaps another, or has shrunk
 * @VHOST_ERROR_BROKEN_QUEUE: the other side broke the rules of a virtqueue
 * @VHOST_ERROR_REFUSED: the peer answered that the request failed
 * @VHOST_ERROR_TIMED_OUT: a deadline passed
 * @VHOST_ERROR_DISCONNECTED: there is no peer, or it has left
 * @VHOST_ERROR_QUEUE_FULL: no free descriptor or no free buffer memory; try after collecting
 *
 * What was wrong. The message names the request and the reason. Failures of the operating system
 * stay `G_IO_ERROR`.
 *
 * Since: 1.0
 */
typedef enum {
  VHOST_ERROR_FAILED,
  VHOST_ERROR_PROTOCOL,
  VHOST_ERROR_UNKNOWN_REQUEST,
  VHOST_ERROR_BAD_SIZE,
  VHOST_ERROR_BAD_FDS,
  VHOST_ERROR_NOT_NEGOTIATED,
  VHOST_ERROR_BAD_STATE,
  VHOST_ERROR_INVALID_VALUE,
  VHOST_ERROR_BAD_ADDRESS,
  VHOST_ERROR_BAD_MEMORY,
  VHOST_ERROR_BROKEN_QUEUE,
  VHOST_ERROR_REFUSED,
  VHOST_ERROR_TIMED_OUT,
  VHOST_ERROR_DISCONNECTED,
  VHOST_ERROR_QUEUE_FULL,
} VhostError;

/**
 * vhost_error_quark:
 *
 * Names the error domain; C programs say `VHOST_ERROR`.
 *
 * Returns: the quark
 *
 * Since: 1.0
 */
VHOST_AVAILABLE_IN_1_0
GQuark vhost_error_quark (void);

VHOST_AVAILABLE_IN_1_0
gboolean vhost_error_can_reconnect (const GError *error);

G_END_DECLS
