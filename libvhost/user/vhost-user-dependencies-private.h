/* SPDX-License-Identifier: BSD-3-Clause */
/* Protocol features that mean nothing without others. */
#pragma once

#include <gio/gio.h>
#include "user/vhost-user-protocol.h"

/* @features without those whose others are missing. */
guint64 vhost_user_protocol_features_drop_orphans (guint64 features);

/* Fails with the first that misses another. */
gboolean vhost_user_protocol_features_check (guint64 features, GError **error);
