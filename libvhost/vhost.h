/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <libvhost/core/vhost-version.h>
#include <libvhost/core/vhost-error.h>
#include <libvhost/core/vhost-features.h>
#include <libvhost/memory/vhost-memory-region.h>
#include <libvhost/memory/vhost-memory.h>
#include <libvhost/ring/vhost-chain.h>
#include <libvhost/ring/vhost-slot.h>
#include <libvhost/ring/vhost-queue.h>
#include <libvhost/ring/vhost-driver-queue.h>
#include <libvhost/endpoint/vhost-backend.h>
#include <libvhost/endpoint/vhost-device.h>
#include <libvhost/user/vhost-user-protocol.h>
#include <libvhost/user/vhost-user-message.h>
#include <libvhost/user/vhost-user-connection.h>
#include <libvhost/user/vhost-user-gpu-connection.h>
#include <libvhost/user/vhost-user-crypto-session.h>
#include <libvhost/user/vhost-user-backend.h>
#include <libvhost/user/vhost-user-frontend.h>
#include <libvhost/user/vhost-user-program.h>
#include <libvhost/kernel/vhost-kernel-device.h>
#include <libvhost/kernel/vhost-kernel-net.h>
#include <libvhost/kernel/vhost-kernel-vsock.h>
#include <libvhost/kernel/vhost-kernel-scsi.h>
#include <libvhost/driver/vhost-driver.h>
#include <libvhost/vhost-enum-types.h>
