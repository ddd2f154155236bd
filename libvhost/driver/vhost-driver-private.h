/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a driver, shared by its two files. One thread, the one that started it. */
#pragma once

#include "driver/vhost-driver.h"
#include "ring/vhost-driver-queue-private.h"

struct _VhostDriver {
  GObject parent_instance;

  VhostDevice *device;
  gulong signal_ids[4];
  guint64 wanted; /* property */
  guint64 memory_size;
  guint64 features;    /* in use */
  guint64 base;        /* guest address of memory */
  guint64 iova_offset; /* property */
  VhostMemory *memory;
  VhostArena *arena;
  VhostDriverQueue **queues;
  guint n_queues;
  gboolean started;
  gboolean resumable; /* it was started, and the device has left */
  gboolean tracked;   /* the device records what is in flight */
};

/* vhost-driver-memory.c: where it was not the last time. */
gboolean vhost_driver_make_memory (VhostDriver *driver, GError **error);

/* vhost-driver.c */
gboolean vhost_driver_tell_status (VhostDriver *driver, guint status, GCancellable *cancellable,
                                   GError **error);
gboolean vhost_driver_start_queues (VhostDriver *driver, GCancellable *cancellable, GError **error);

/* vhost-driver-resume.c: puts the rings in order for the device that comes. */
void vhost_driver_offer_again (VhostDriver *driver);
