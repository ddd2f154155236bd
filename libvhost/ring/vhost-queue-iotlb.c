/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue whose ring and buffers are in I/O addresses. What a chain lacks is told from the loop,
 * and the chain stays in the ring until a view comes that has it. Before a translation ends, chains
 * that lie where it led are waited for: each gets a pin of its own, and the last of these tells.
 *
 * On the queue's thread. (VIRTIO 1.4, section 6, VIRTIO_F_ACCESS_PLATFORM; vhost-user, “IOMMU
 * support”) */

#include "ring/vhost-queue-state-private.h"

/* --- Misses -------------------------------------------------------------------------------- */

static void
on_missed (gpointer data)
{
  VhostQueue *self = data;

  if (self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_MISSED, self->observer_data);
}

void
vhost_queue_note_misses (VhostQueue *self)
{
  VhostIotlbMisses *found = &self->ring.common.misses;

  for (guint i = 0; i < found->n; i++)
    vhost_iotlb_misses_add (&self->missed, found->miss[i].address, found->miss[i].access);
  found->n = 0;
  vhost_reactor_queue_task (self->reactor, &self->missed_task);
}

void
vhost_queue_take_misses (VhostQueue *self, VhostIotlbMisses *misses)
{
  *misses = self->missed;
  self->missed.n = 0;
}

void
vhost_queue_break (VhostQueue *self, VhostRingFault fault, guint64 address)
{
  vhost_ring_common_record_fault (&self->ring.common, fault, address);
  vhost_queue_check_fault (self);
}

/* --- Chains in flight ---------------------------------------------------------------------- */

static gboolean
overlaps (const struct iovec *piece, const guint8 *host, guint64 size)
{
  guint64 start = (gsize) piece->iov_base;

  return start - (gsize) host < size || (gsize) host - start < piece->iov_len;
}

static gboolean
lies_in (const VhostSlot *slot, const guint8 *host, guint64 size)
{
  for (guint i = 0; i < (guint) slot->n_readable + slot->n_writable; i++) {
    if (overlaps (&slot->iov[i], host, size))
      return TRUE;
  }
  return FALSE;
}

/* The next chain in flight from *@index on, which moves behind it. */
static VhostSlot *
next_in_flight (VhostQueue *self, guint *index)
{
  while (vhost_queue_has_ring (self) && *index < self->ring.common.size) {
    VhostSlot *slot = self->ring.common.by_head[(*index)++];

    if (slot != NULL && !slot->completed)
      return slot;
  }
  return NULL;
}

gboolean
vhost_queue_uses (VhostQueue *self, const guint8 *host, guint64 size)
{
  guint index = 0;
  const VhostSlot *slot;

  while ((slot = next_in_flight (self, &index)) != NULL) {
    if (lies_in (slot, host, size))
      return TRUE;
  }
  return FALSE;
}

static void
await (VhostQueue *self, VhostSlot *slot)
{
  const VhostQueuePin *old = slot->pin != NULL ? slot->pin : self->pin;
  VhostQueuePin *own;

  if (old->awaited)
    return;
  own = g_new (VhostQueuePin, 1);
  *own = (VhostQueuePin){ vhost_memory_ref (old->memory), 1, TRUE };
  vhost_queue_unpin_slow (self, &slot, 1);
  self->n_pinned++;
  slot->pin = own;
  self->n_awaited++;
}

gboolean
vhost_queue_await_release (VhostQueue *self, const VhostSpan *lost, guint n)
{
  guint index = 0;
  VhostSlot *slot;

  while ((slot = next_in_flight (self, &index)) != NULL) {
    for (guint i = 0; i < n; i++) {
      if (lies_in (slot, lost[i].host, lost[i].size))
        await (self, slot);
    }
  }
  return self->n_awaited > 0;
}

gboolean
vhost_queue_awaits_release (VhostQueue *self)
{
  return self->n_awaited > 0;
}

static void
on_released (gpointer data)
{
  VhostQueue *self = data;

  if (self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_RELEASED, self->observer_data);
}

void
vhost_queue_note_released (VhostQueue *self)
{
  if (--self->n_awaited == 0 && self->reactor != NULL)
    vhost_reactor_queue_task (self->reactor, &self->released_task);
}

void
vhost_queue_revoke_awaited (VhostQueue *self)
{
  guint index = 0;
  VhostSlot *slot;

  if (self->log.pages != NULL)
    vhost_queue_log_in_flight (self);
  while ((slot = next_in_flight (self, &index)) != NULL) {
    VhostQueuePin *pin = slot->pin;

    if (pin == NULL || !pin->awaited)
      continue;
    pin->awaited = FALSE;
    slot->n_readable = slot->n_writable = 0;
    slot->readable_size = slot->writable_size = 0;
  }
  self->n_awaited = 0;
}

/* --- Life ---------------------------------------------------------------------------------- */

void
vhost_queue_init_iotlb (VhostQueue *self)
{
  vhost_task_init (&self->missed_task, on_missed, self);
  vhost_task_init (&self->released_task, on_released, self);
}

void
vhost_queue_clear_iotlb (VhostQueue *self)
{
  vhost_task_cancel (&self->missed_task);
  vhost_task_cancel (&self->released_task);
  self->missed.n = 0;
  self->n_awaited = 0;
}
