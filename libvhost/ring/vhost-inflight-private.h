/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of which requests are in flight, in memory that outlives this process: the next one
 * finds there what it has to do again. One region per queue; pure C on plain structs. (vhost-user,
 * “Inflight I/O tracking”) */
#pragma once

#include "ring/vhost-ring-private.h"

#define VHOST_INFLIGHT_VERSION 1 /* 0: a region that holds nothing yet */

/* Layout of a region, in host byte order. */
typedef struct {
  guint8 inflight;
  guint8 padding[5];
  guint16 next;    /* in the batch that was completed last */
  guint64 counter; /* order in which requests were fetched */
} VhostInflightSplitEntry;

typedef struct {
  guint64 features;
  guint16 version;
  guint16 desc_num;
  guint16 last_batch_head;
  guint16 used_idx;                /* of the ring, when the last batch was done with */
  VhostInflightSplitEntry entry[]; /* by head */
} VhostInflightSplitRegion;

typedef struct {
  guint8 inflight; /* of the entry a request begins with */
  guint8 padding;
  guint16 next; /* in the free list, or in the request */
  guint16 last; /* entry of the request */
  guint16 num;
  guint64 counter;
  guint16 id; /* from here on a copy of a descriptor */
  guint16 flags;
  guint32 len;
  guint64 addr;
} VhostInflightPackedEntry;

/* The two words are stored whole: no crash leaves half of one. */
typedef union {
  guint64 word;
  struct {
    guint16 version;
    guint16 desc_num;
    guint16 free_head; /* desc_num: none is free */
    guint16 old_free_head;
  };
} VhostInflightHeads;

typedef union {
  guint64 word;
  struct {
    guint16 used_idx;
    guint16 old_used_idx;
    guint8 used_wrap_counter;
    guint8 old_used_wrap_counter;
    guint8 padding[2];
  };
} VhostInflightUsed;

typedef struct {
  guint64 features;
  VhostInflightHeads heads;
  VhostInflightUsed used;
  guint64 padding;
  VhostInflightPackedEntry entry[];
} VhostInflightPackedRegion;

G_STATIC_ASSERT (sizeof (VhostInflightSplitEntry) == 16);
G_STATIC_ASSERT (sizeof (VhostInflightSplitRegion) == 16);
G_STATIC_ASSERT (sizeof (VhostInflightPackedEntry) == 32);
G_STATIC_ASSERT (sizeof (VhostInflightPackedRegion) == 32);
G_STATIC_ASSERT (sizeof (VhostInflightHeads) == 8 && sizeof (VhostInflightUsed) == 8);

/* The record of one queue. What is in the region is written and, once it has been recovered, never
 * read again: who else has it mapped cannot confuse us. */
typedef struct {
  union {
    VhostInflightSplitRegion *split;
    VhostInflightPackedRegion *packed;
  };
  gboolean is_packed;
  guint16 desc_num; /* entries of the region */
  guint16 size;     /* of the ring; no more than desc_num */
  guint64 counter;  /* of the next request */
  guint n;          /* requests in flight */

  guint16 last_batch_head; /* split */
  guint16 used_idx;

  VhostInflightHeads heads; /* packed */
  VhostInflightUsed used;
  guint16 *next; /* by entry */
  guint16 *last;
} VhostInflight;

/* A request that the process before did not complete. */
typedef struct {
  guint64 counter;
  guint16 entry; /* split: its head */
  guint16 n_descs;
  guint first; /* packed: in the copies */
} VhostInflightRequest;

/* What recovery found. */
typedef struct {
  gboolean had_record; /* FALSE: the region was new, and the queue begins where it is told to */
  guint32 base;        /* where to go on, in the form of SET_VRING_BASE */
  VhostInflightRequest *requests; /* in the order in which they were fetched */
  guint n_requests;
  VhostPackedDesc *copies; /* packed: of their descriptors */
  char *contradiction;     /* why the region cannot be used */
} VhostInflightRecovery;

void vhost_inflight_recovery_clear (VhostInflightRecovery *recovery);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VhostInflightRecovery, vhost_inflight_recovery_clear)

/* Bytes from one region to the next. */
gsize vhost_inflight_get_stride (gboolean packed, guint desc_num);

/* Begins a record in @region, which is aligned to 8 bytes and has get_stride() bytes; a region that
 * holds one is recovered. @used, @desc: of the ring. @base: where a new one begins. FALSE: see
 * recovery->contradiction; the region is as it was. vhost-inflight-recover.c */
gboolean vhost_inflight_init_split (VhostInflight *inflight, gpointer region, guint16 desc_num,
                                    guint16 size, const VhostRingUsed *used, guint16 base,
                                    VhostInflightRecovery *recovery);
gboolean vhost_inflight_init_packed (VhostInflight *inflight, gpointer region, guint16 desc_num,
                                     guint16 size, VhostPackedDesc *desc, guint32 base,
                                     VhostInflightRecovery *recovery);
void vhost_inflight_clear (VhostInflight *inflight);

/* Marks a region as new. */
void vhost_inflight_blank (gpointer region, gboolean packed);

/* Notes that a chain was fetched. @copies: of the descriptors of a packed ring, by position. */
void vhost_inflight_fetch (VhostInflight *inflight, VhostSlot *slot, const VhostPackedDesc *copies);

/* Takes that back, for the chain that was fetched last. */
void vhost_inflight_unfetch (VhostInflight *inflight, VhostSlot *slot);

/* Around the push of a batch into the ring. */
void vhost_inflight_begin_push (VhostInflight *inflight, VhostSlot **slots, guint n);
void vhost_inflight_end_push (VhostInflight *inflight, VhostSlot **slots, guint n);

/* Within the engine: a process can be killed between any two stores, which must happen in program
 * order; other processors do not look on. */
#define VHOST_INFLIGHT_STORE(place, value)                                                         \
  G_STMT_START                                                                                     \
  {                                                                                                \
    __atomic_signal_fence (__ATOMIC_SEQ_CST);                                                      \
    __atomic_store_n (&(place), (value), __ATOMIC_RELAXED);                                        \
    __atomic_signal_fence (__ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  G_STMT_END
