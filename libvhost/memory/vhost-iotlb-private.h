/* SPDX-License-Identifier: BSD-3-Clause */
/* A bounded cache of translations from I/O to user addresses, and what was asked for and has not
 * come yet. (vhost-user, “IOMMU support”) */
#pragma once

#include "memory/vhost-memory-private.h"

#define VHOST_IOTLB_MAX_ROWS 2048 /* as many as the kernel keeps */
#define VHOST_IOTLB_PAGE 4096     /* one question for each: no IOMMU has smaller ones */
#define VHOST_IOTLB_MAX_ASKED 64

typedef struct _VhostIotlb VhostIotlb;

/* Is anything of [@host, @host + @size) used by a buffer that the device holds? */
typedef gboolean (*VhostIotlbUsedFunc) (const guint8 *host, guint64 size, gpointer data);

/* A translation that somebody lacks. */
typedef struct {
  guint64 address;
  guint access; /* VHOST_MEMORY_READ, _WRITE or both */
} VhostIotlbMiss;

#define VHOST_IOTLB_MAX_MISSES 16

/* What one walk along a chain, or around a ring, lacks: the first few. */
typedef struct {
  guint n;
  VhostIotlbMiss miss[VHOST_IOTLB_MAX_MISSES];
} VhostIotlbMisses;

/* Notes that @address lacks, once for each page in a row; FALSE when there is no more room. */
gboolean vhost_iotlb_misses_add (VhostIotlbMisses *misses, guint64 address, guint access);

/* What of [@address, @address + @size) cannot be used for @access. */
void vhost_iotlb_misses_add_range (VhostIotlbMisses *misses, const VhostMemory *view,
                                   guint64 address, guint64 size, guint access);

typedef enum {
  VHOST_IOTLB_ASK,
  VHOST_IOTLB_WAIT, /* it was asked for, or too much was */
  VHOST_IOTLB_DENY, /* it was asked for, and came without that access; said once */
} VhostIotlbVerdict;

VhostIotlb *vhost_iotlb_new (VhostMemory *base, VhostIotlbUsedFunc is_used, gpointer data);
void vhost_iotlb_free (VhostIotlb *iotlb);

/* What rings are in: replaced by each call that changes it. */
VhostMemory *vhost_iotlb_get_view (VhostIotlb *iotlb);

/* All translations are forgotten; regions are those of @base from now on. */
void vhost_iotlb_flush (VhostIotlb *iotlb, VhostMemory *base);

/* [@address, @address + @size) is at @user_address, all of which must be in memory. What is there
 * already at the same place keeps its access as well: it holds until it is invalidated. */
gboolean vhost_iotlb_update (VhostIotlb *iotlb, guint64 address, guint64 size, guint64 user_address,
                             guint access, GError **error);

/* Forgets a range (size 0 at address 0: everything), and appends to @lost, of VhostSpan, where it
 * was: what buffers that were fetched before may still use. */
gboolean vhost_iotlb_invalidate (VhostIotlb *iotlb, guint64 address, guint64 size, GArray *lost,
                                 GError **error);

/* What to do about a miss at @now (µs); asking is not repeated before @timeout (µs). To ask: once
 * for each kind of access that is left in @miss. */
VhostIotlbVerdict vhost_iotlb_judge (VhostIotlb *iotlb, VhostIotlbMiss *miss, gint64 now,
                                     gint64 timeout);

/* Is anything asked for? */
gboolean vhost_iotlb_is_asking (const VhostIotlb *iotlb);
void vhost_iotlb_forget_asked (VhostIotlb *iotlb);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostIotlb, vhost_iotlb_free)
