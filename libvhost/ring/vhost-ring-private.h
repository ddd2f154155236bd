/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engines share: the layout of rings in memory, slots, faults.
 * Engines are pure C on plain structs: no GObject, no lock; after init only a chain of more iovecs
 * than any before it allocates. (VIRTIO 1.4, sections 2.7 and 2.8) */
#pragma once

#include <sys/uio.h>
#include "memory/vhost-memory-private.h"
#include "ring/vhost-slot.h"

/* The fast paths, which are to keep what they work with in registers. */
#define VHOST_ALWAYS_INLINE inline __attribute__ ((always_inline))

#define VHOST_RING_MAX_SIZE 32768
#define VHOST_RING_MAX_IOVECS 1024 /* of one chain; UIO_MAXIOV */

/* Layout in guest memory, little endian. */
typedef struct {
  guint64 addr;
  guint32 len;
  guint16 flags;
  guint16 next;
} VhostRingDesc;

#define VHOST_RING_DESC_NEXT 1
#define VHOST_RING_DESC_WRITE 2
#define VHOST_RING_DESC_INDIRECT 4

typedef struct {
  guint16 flags;
  guint16 idx;
  guint16 ring[]; /* size entries, then used_event */
} VhostRingAvail;

typedef struct {
  guint32 id;
  guint32 len;
} VhostRingUsedElem;

typedef struct {
  guint16 flags;
  guint16 idx;
  VhostRingUsedElem ring[]; /* size entries, then the 16-bit avail_event */
} VhostRingUsed;

#define VHOST_RING_AVAIL_NO_INTERRUPT 1
#define VHOST_RING_USED_NO_NOTIFY 1

/* Bytes of the three parts of a split ring, event fields included. */
#define VHOST_RING_DESC_BYTES(size) (16 * (gsize) (size))
#define VHOST_RING_AVAIL_BYTES(size) (6 + 2 * (gsize) (size))
#define VHOST_RING_USED_BYTES(size) (6 + 8 * (gsize) (size))

/* Packed rings: a descriptor with its buffer id, and the two event suppression areas. */
typedef struct {
  guint64 addr;
  guint32 len;
  guint16 id;
  guint16 flags;
} VhostPackedDesc;

#define VHOST_PACKED_DESC_AVAIL 0x80
#define VHOST_PACKED_DESC_USED 0x8000

typedef struct {
  guint16 position; /* bits 0 to 14 and, as bit 15, the wrap counter */
  guint16 flags;
} VhostPackedEvent;

#define VHOST_PACKED_EVENT_ENABLE 0
#define VHOST_PACKED_EVENT_DISABLE 1
#define VHOST_PACKED_EVENT_SPECIFIC 2
#define VHOST_PACKED_WRAP 0x8000

/* What the other side did wrong. A fault is final until the ring is started again. */
typedef enum {
  VHOST_RING_FAULT_NONE,
  VHOST_RING_FAULT_INDEX_JUMP,      /* avail.idx or used.idx moved by more than there can be */
  VHOST_RING_FAULT_HEAD_RANGE,      /* head or id >= size */
  VHOST_RING_FAULT_HEAD_BUSY,       /* a head that is in flight already */
  VHOST_RING_FAULT_NEXT_RANGE,      /* next >= table */
  VHOST_RING_FAULT_LOOP,            /* chain longer than its table */
  VHOST_RING_FAULT_INDIRECT_OFF,    /* INDIRECT not negotiated */
  VHOST_RING_FAULT_INDIRECT_SIZE,   /* 0, not a multiple of 16, far too many entries */
  VHOST_RING_FAULT_INDIRECT_NESTED, /* INDIRECT inside an indirect table */
  VHOST_RING_FAULT_INDIRECT_NEXT,   /* INDIRECT together with NEXT; packed: not alone in its list */
  VHOST_RING_FAULT_ORDER,           /* readable after writable */
  VHOST_RING_FAULT_ADDRESS,         /* not in memory, or addr + len wraps */
  VHOST_RING_FAULT_ACCESS,          /* the IOMMU does not let the device there */
  VHOST_RING_FAULT_TOO_LONG,        /* 2^32 bytes or more than VHOST_RING_MAX_IOVECS pieces */
  VHOST_RING_FAULT_MEMORY,          /* the file behind guest memory went away */
  VHOST_RING_FAULT_NOT_OUTSTANDING, /* driver side: used id that was not given out */
} VhostRingFault;

typedef struct {
  VhostRingFault fault;
  guint64 value; /* the offending index, address or length */
} VhostRingError;

/* A constant phrase for @fault: "an index jumped too far". */
const char *vhost_ring_fault_get_text (VhostRingFault fault);

/* The phrase with the offending value: "a buffer is not in guest memory (0x1f000)". */
char *vhost_ring_error_to_string (const VhostRingError *error);

#define VHOST_SLOT_INLINE_IOVECS G_N_ELEMENTS (((VhostSlot *) NULL)->inline_iov)

/* What completed slots may keep of the iovecs that long chains needed, in one ring. */
#define VHOST_RING_OVERFLOW_BUDGET (4 * 1024 * 1024)

G_STATIC_ASSERT (sizeof (VhostSlot) % 64 == 0 || sizeof (gpointer) != 8);

/* Rings are shared with somebody hostile: each field is loaded once, whole, and the copy is used.
 */
static inline guint16
vhost_ring_load16 (const guint16 *field)
{
  return GUINT16_FROM_LE (__atomic_load_n (field, __ATOMIC_RELAXED));
}

static inline guint16
vhost_ring_load16_acquire (const guint16 *field)
{
  return GUINT16_FROM_LE (__atomic_load_n (field, __ATOMIC_ACQUIRE));
}

static inline guint32
vhost_ring_load32 (const guint32 *field)
{
  return GUINT32_FROM_LE (__atomic_load_n (field, __ATOMIC_RELAXED));
}

static inline void
vhost_ring_store16 (guint16 *field, guint16 value)
{
  __atomic_store_n (field, GUINT16_TO_LE (value), __ATOMIC_RELAXED);
}

static inline void
vhost_ring_store16_release (guint16 *field, guint16 value)
{
  __atomic_store_n (field, GUINT16_TO_LE (value), __ATOMIC_RELEASE);
}

/* Between a store that the other side polls and a load of what it stores. */
static inline void
vhost_ring_full_barrier (void)
{
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
}

/* The event fields lie behind the entries. */
static inline guint16 *
vhost_ring_get_used_event (const VhostRingAvail *avail, guint size)
{
  return (guint16 *) &avail->ring[size];
}

static inline guint16 *
vhost_ring_get_avail_event (const VhostRingUsed *used, guint size)
{
  return (guint16 *) &used->ring[size];
}

/* Did the index cross @event on its way from @before to @now? */
static inline gboolean
vhost_ring_has_crossed (guint16 event, guint16 before, guint16 now)
{
  return (guint16) (now - event - 1) < (guint16) (now - before);
}
