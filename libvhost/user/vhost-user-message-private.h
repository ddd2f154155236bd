/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the message for people and the frame on the wire. */
#pragma once

#include "user/vhost-user-message.h"
#include "user/vhost-user-rules-private.h"

/* Takes what @frame holds, which is empty then. */
VhostUserMessage *vhost_user_message_new_take_frame (VhostUserRole role, VhostUserFrame *frame);

/* Makes @frame a view of the message whose descriptors stay the message's: do not clear it. Fails
 * when it has more than VHOST_MAX_FDS. */
gboolean vhost_user_message_peek_frame (VhostUserMessage *message, VhostUserFrame *frame,
                                        GError **error);
