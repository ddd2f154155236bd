/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end has set, for the next back-end. */
#pragma once

#include "user/vhost-user-rules-private.h"
#include "user/vhost-user-frontend.h"
#include "memory/vhost-memory-private.h"

typedef struct _VhostUserSession VhostUserSession;

VhostUserSession *vhost_user_session_new (void);
void vhost_user_session_free (VhostUserSession *session);

/* A request that the back-end took, with its answer or NULL. FALSE: a descriptor could not be
 * duplicated. */
gboolean vhost_user_session_record (VhostUserSession *session, const VhostUserFrame *frame,
                                    const VhostUserFrame *reply, GError **error);

/* The back-end has left: what was in force. */
void vhost_user_session_keep (VhostUserSession *session, guint64 protocol_features,
                              VhostMemory *memory);
guint64 vhost_user_session_get_protocol_features (const VhostUserSession *session);

/* Sets everything again, hands shaken. An error of %VHOST_ERROR_NOT_NEGOTIATED, _INVALID_VALUE,
 * _BAD_MEMORY or _BAD_STATE says what the new back-end lacks. */
gboolean vhost_user_session_replay (VhostUserFrontend *frontend, GCancellable *cancellable,
                                    GError **error);
