/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory regions on the wire: 32 bytes, or 40 with XEN_MMAP. */
#pragma once

#include "user/vhost-user-wire-private.h"

typedef struct {
  VhostUserRegion region;
  guint32 xen_flags; /* 0 without XEN_MMAP */
  guint32 xen_domid;
} VhostUserWireRegion;

/* Bytes of one region. */
gsize vhost_user_region_get_size (guint64 protocol_features);

/* The @index-th region of SET_MEM_TABLE, or the only one of ADD_MEM_REG and REM_MEM_REG (0). The
 * frame must be long enough. */
void vhost_user_region_load (const VhostUserFrame *frame, guint index, guint64 protocol_features,
                             VhostUserWireRegion *region);
void vhost_user_region_store (VhostUserFrame *frame, guint index, guint64 protocol_features,
                              const VhostUserWireRegion *region);

/* May this process map it? Foreign and grant memory of Xen needs Xen. */
gboolean vhost_user_region_check (const VhostUserWireRegion *region, guint64 protocol_features,
                                  GError **error);
