/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver of a vhost-user disk that does nothing but read 4 KiB at random places, as many at a
 * time as are asked for, and does so without a system call where it can. */
#pragma once

#include <libvhost/vhost.h>

#define BLK_MAX_DEPTH 128

typedef struct _BlkDriver BlkDriver;

/* Waits until somebody listens at @path. Aborts when it cannot be used. */
BlkDriver *blk_driver_open (const char *path);
void blk_driver_close (BlkDriver *driver);

/* Reads for @seconds; returns how many requests a second were complete. */
double blk_driver_run (BlkDriver *driver, guint depth, gboolean polling, double seconds);
