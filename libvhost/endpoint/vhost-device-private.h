/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the interface. */
#pragma once

#include "endpoint/vhost-device.h"

/* Once, when the interface is made. */
void vhost_device_add_reconnect_signals (void);
