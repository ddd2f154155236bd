/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared memory that the inflight records of a device's queues lie in. Reference counted, any
 * thread. */
#pragma once

#include "memory/vhost-memory-private.h"

#define VHOST_INFLIGHT_MAX_QUEUES 256

typedef struct {
  gatomicrefcount ref_count;
  VhostMemoryRegion *memory; /* only the mapping is of use: it has no guest address */
  gboolean packed;
  gboolean undecided; /* the format of the rings is not known yet: there is room for packed ones */
  guint n_queues;
  guint queue_size;
} VhostInflightArea;

/* Bytes of an area, or 0 with an error when no queue can be like that. */
guint64 vhost_inflight_area_get_bytes (gboolean packed, guint n_queues, guint queue_size,
                                       GError **error);

/* A file for an area of @size bytes that nobody can cut short; -1 with an error. */
int vhost_inflight_area_make_file (guint64 size, GError **error);

/* Maps an area, new or used, of @size bytes at @offset; @fd stays the caller's. */
VhostInflightArea *vhost_inflight_area_new (int fd, guint64 offset, guint64 size, gboolean packed,
                                            guint n_queues, guint queue_size, GError **error);
VhostInflightArea *vhost_inflight_area_ref (VhostInflightArea *area);
void vhost_inflight_area_unref (VhostInflightArea *area);

/* The format of the rings is known now. Before queues start. */
void vhost_inflight_area_decide (VhostInflightArea *area, gboolean packed);

/* The region of a queue; NULL when the area has none for it. */
gpointer vhost_inflight_area_get_region (VhostInflightArea *area, guint index);

/* Did the file go away? */
gboolean vhost_inflight_area_is_broken (VhostInflightArea *area);

/* Nothing is in flight any more. */
void vhost_inflight_area_blank (VhostInflightArea *area);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostInflightArea, vhost_inflight_area_unref)
