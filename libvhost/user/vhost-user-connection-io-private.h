/* SPDX-License-Identifier: BSD-3-Clause */
/* The two halves of a stream: bytes and descriptors into frames, frames into bytes and descriptors.
 * Neither ever blocks. */
#pragma once

#include <gio/gio.h>
#include "user/vhost-user-rules-private.h"

typedef enum {
  VHOST_USER_IO_DONE,   /* a whole frame is there; everything is sent */
  VHOST_USER_IO_AGAIN,  /* the socket gives, or takes, no more now */
  VHOST_USER_IO_END,    /* the peer left between two messages */
  VHOST_USER_IO_FAILED, /* with error; the stream is of no use any more */
} VhostUserIo;

/* A message on its way in. */
typedef struct {
  VhostUserFrame frame;
  guint n_read; /* of header and payload */
} VhostUserInput;

/* Reads on, at most to the end of the message. DONE: the frame is the caller's to move away before
 * the next call; its header is checked, the rest is not. */
VhostUserIo vhost_user_input_read (VhostUserInput *input, int fd, VhostUserRole role,
                                   gboolean expect_reply, GError **error);
gboolean vhost_user_input_is_partial (const VhostUserInput *input);
void vhost_user_input_clear (VhostUserInput *input);

/* Messages on their way out, all but the first one whole. */
typedef struct {
  GQueue chunks;
  gsize cost; /* bytes of memory that wait */
} VhostUserOutput;

/* What may wait for one peer: with the message on its way in, 64 KiB. */
#define VHOST_USER_MAX_OUTPUT (64 * 1024 - sizeof (VhostUserInput))

/* Sends @frame, whose descriptors stay the caller's, or puts the rest of it behind what waits
 * already. */
VhostUserIo vhost_user_output_send (VhostUserOutput *output, int fd, const VhostUserFrame *frame,
                                    GError **error);
VhostUserIo vhost_user_output_flush (VhostUserOutput *output, int fd, GError **error);
gboolean vhost_user_output_is_waiting (const VhostUserOutput *output);
void vhost_user_output_clear (VhostUserOutput *output);

/* Waits for one of two descriptors (-1: none). TRUE also when a signal cut it short; FALSE with
 * %VHOST_ERROR_TIMED_OUT at @deadline (monotonic µs, or -1), or when cancelled. */
gboolean vhost_user_io_wait (GPollFD fds[2], gint64 deadline, GCancellable *cancellable,
                             GError **error);
