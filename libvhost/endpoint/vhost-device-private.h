/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the device interface share. */
#pragma once

#include "endpoint/vhost-device.h"

/* The implementation has no such function. */
gboolean vhost_device_set_not_supported (VhostDevice *device, const char *what, GError **error);
