/* SPDX-License-Identifier: BSD-3-Clause */
/* What a queue writes into guest memory, told to the dirty log: buffers when their chain is given
 * back, and the ring itself. Buffers are known by where they are mapped here, and the log wants
 * guest physical addresses: they are looked up, and only while there is a log. Marks come after
 * what they stand for.
 *
 * On the queue's thread. (vhost-user, “Migration”; VIRTIO 1.4, sections 2.7.8, 2.7.10, 2.8.14) */

#include <string.h>
#include "ring/vhost-queue-state-private.h"

static void
mark (VhostQueue *self, guint64 address, guint64 length)
{
  vhost_dirty_log_mark (self->log.pages, address, length);
}

static void
mark_host (VhostQueue *self, const VhostMemory *memory, const guint8 *host, guint64 length)
{
  const VhostMemoryRegion *region = vhost_memory_find_host (memory, host);

  if (region != NULL)
    mark (self, region->guest_address + (guint64) (host - region->host), length);
}

static void
tell (VhostQueue *self)
{
  if (self->log.tell && self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_LOGGED, self->observer_data);
}

/* --- Buffers ------------------------------------------------------------------------------- */

static void
mark_buffers (VhostQueue *self, const VhostSlot *slot, gsize left)
{
  const VhostMemory *memory = vhost_queue_get_slot_memory (self, slot);
  const struct iovec *iov = slot->iov + slot->n_readable;

  if (slot->completed)
    return; /* it was marked before it was held back */
  for (guint i = 0; left > 0 && i < slot->n_writable; i++) {
    gsize piece = MIN (left, iov[i].iov_len);

    mark_host (self, memory, iov[i].iov_base, piece);
    left -= piece;
  }
}

/* How far from the start of the writable part bytes may have been written; the length that the
 * driver is told can be less. Into what was recovered the process before may have written. */
static gsize
get_extent (const VhostSlot *slot, gsize length)
{
  return slot->scattered || slot->refetched ? slot->writable_size : MAX (length, slot->written);
}

void
vhost_queue_log_slots (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n)
{
  for (guint i = 0; i < n; i++)
    mark_buffers (self, slots[i], get_extent (slots[i], lengths != NULL ? lengths[i] : 0));
  tell (self);
}

/* Nobody says any more what was written into these. */
void
vhost_queue_log_in_flight (VhostQueue *self)
{
  for (guint i = 0; i < self->ring.common.size; i++) {
    const VhostSlot *slot = self->ring.common.by_head[i];

    if (slot != NULL)
      mark_buffers (self, slot, slot->writable_size);
  }
  tell (self);
}

/* --- The ring ------------------------------------------------------------------------------ */

/* Of the used ring, or the device event area: at the address that was given for the log, or, behind
 * an IOMMU, where such an address is one of its own, where it lies. */
static void
mark_used_part (VhostQueue *self, gsize offset, gsize length)
{
  const guint8 *host = self->ring.packed ? (const guint8 *) self->ring.packed_ring.device
                                         : (const guint8 *) self->ring.split.used;

  if (!self->log.behind_iommu)
    mark (self, self->log.ring_address + offset, length);
  else if (!self->paused)
    mark_host (self, self->pin->memory, host + offset, length);
}

/* @n entries from @first on, around the end of the ring. */
static void
mark_used_elements (VhostQueue *self, guint first, guint n)
{
  const gsize entries = G_STRUCT_OFFSET (VhostRingUsed, ring);
  guint before_wrap = MIN (n, self->setup.size - first);

  mark_used_part (self, entries + first * sizeof (VhostRingUsedElem),
                  before_wrap * sizeof (VhostRingUsedElem));
  mark_used_part (self, entries, (n - before_wrap) * sizeof (VhostRingUsedElem));
  mark_used_part (self, G_STRUCT_OFFSET (VhostRingUsed, idx), sizeof (guint16));
}

/* The address in the log is that of the event area; the descriptor ring, which the device writes as
 * well, has none of its own in the protocol. */
static void
mark_packed_entries (VhostQueue *self, guint first, guint n)
{
  const VhostPackedDesc *desc = self->ring.packed_ring.desc;
  guint before_wrap = MIN (n, self->setup.size - first);

  mark_host (self, self->pin->memory, (const guint8 *) &desc[first], before_wrap * sizeof *desc);
  mark_host (self, self->pin->memory, (const guint8 *) desc, (n - before_wrap) * sizeof *desc);
}

void
vhost_queue_push_and_log_ring (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n)
{
  gboolean packed = self->ring.packed;
  guint first =
      packed ? self->ring.packed_ring.used_position : self->ring.split.used_idx % self->setup.size;
  guint n_entries = packed ? 0 : n;

  for (guint i = 0; packed && i < n; i++)
    n_entries += slots[i]->n_descs;
  vhost_device_ring_push (&self->ring, slots, lengths, n);
  if (packed)
    mark_packed_entries (self, first, n_entries);
  else
    mark_used_elements (self, first, n_entries);
  tell (self);
}

void
vhost_queue_log_event (VhostQueue *self)
{
  if (self->ring.packed) {
    mark_used_part (self, 0, sizeof (VhostPackedEvent));
  } else {
    mark_used_part (self, G_STRUCT_OFFSET (VhostRingUsed, flags), sizeof (guint16));
    mark_used_part (self, VHOST_RING_USED_BYTES (self->setup.size) - sizeof (guint16),
                    sizeof (guint16));
  }
  tell (self);
}

/* --- Setting ------------------------------------------------------------------------------- */

/* All that the device may have written before the log was there. */
void
vhost_queue_log_ring (VhostQueue *self)
{
  if (self->ring.packed && !self->paused)
    mark_packed_entries (self, 0, self->setup.size);
  mark_used_part (self, 0,
                  self->ring.packed ? sizeof (VhostPackedEvent)
                                    : VHOST_RING_USED_BYTES (self->setup.size));
  tell (self);
}

void
vhost_queue_set_log (VhostQueue *self, const VhostQueueLog *log)
{
  VhostQueueLog old = self->log;

  if (log->pages == old.pages && log->ring == old.ring && log->ring_address == old.ring_address &&
      log->behind_iommu == old.behind_iommu && log->tell == old.tell)
    return;
  self->log = log->pages != NULL ? *log : (VhostQueueLog){ NULL };
  if (self->log.pages != NULL)
    vhost_dirty_log_ref (self->log.pages);
  g_clear_pointer (&old.pages, vhost_dirty_log_unref);
  vhost_queue_update_witnessed (self);
  if (self->log.ring && vhost_queue_has_ring (self))
    vhost_queue_log_ring (self);
}
