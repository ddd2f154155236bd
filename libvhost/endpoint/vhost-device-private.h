/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the device interface share. */
#pragma once

#include "endpoint/vhost-device.h"

/* Once, when the interface is made. */
void vhost_device_add_reconnect_signals (void);
/* The implementation has no such function. */
gboolean vhost_device_set_not_supported (VhostDevice *device, const char *what, GError **error);
