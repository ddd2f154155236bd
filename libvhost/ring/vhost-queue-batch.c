/* SPDX-License-Identifier: BSD-3-Clause */
/* Many chains at a time, for devices in C: no handle, no allocation, no lock and no reference for
 * each chain. The calls that bindings use run over the same functions, with the same checks.
 *
 * On the queue's thread. (VIRTIO 1.4, section 2.6) */

#include "ring/vhost-queue-state-private.h"

/**
 * vhost_queue_pop_batch: (skip)
 * @queue: a queue
 * @slots: room for @max slots
 * @max: how many chains to take at most
 *
 * Takes the next chains that the driver made available. A slot belongs to the queue and is valid
 * until it is pushed, or the queue has stopped. As with [method@Vhost.Queue.pop], the driver is
 * asked to kick once nothing is left.
 *
 * On the queue's thread.
 *
 * Returns: how many chains were taken; 0 when there is none, or the queue is stopped, disabled or
 * broken
 *
 * Since: 1.0
 */
guint
vhost_queue_pop_batch (VhostQueue *self, VhostSlot **slots, guint max)
{
  g_return_val_if_fail (VHOST_IS_QUEUE (self), 0);
  return vhost_queue_pop_slots (self, slots, max);
}

/**
 * vhost_queue_push_batch: (skip)
 * @queue: a queue
 * @slots: chains that were popped from it with [method@Vhost.Queue.pop_batch], each once
 * @lengths: for each, how many bytes were written from the start of its writable pieces
 * @n_slots: how many
 *
 * Gives chains back to the driver, in any order, and makes them visible at once. A length is never
 * more than the chain's writable pieces hold, and counts up to the last byte written: what lies
 * behind it is not copied when the guest migrates. The driver is not told: call
 * [method@Vhost.Queue.notify]. One that is not in flight is left out.
 *
 * Publish every 4 to 8 chains when serving one takes long, so that the driver can go on meanwhile.
 *
 * On the queue's thread.
 *
 * Since: 1.0
 */
void
vhost_queue_push_batch (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n_slots)
{
  g_return_if_fail (VHOST_IS_QUEUE (self));

  vhost_queue_push_slots (self, slots, lengths, n_slots);
}

/* The latest first, so that each is the one that was popped last. */
void
vhost_queue_unpop_slots (VhostQueue *self, VhostSlot **slots, guint n)
{
  guint n_left = n;

  while (n_left > 0 && vhost_queue_unpop_ring (self, slots[n_left - 1]))
    n_left--;
  vhost_queue_unpin (self, slots + n_left, n - n_left);
  vhost_queue_count (&self->n_chains, (guint64) 0 - (n - n_left));
  if (self->draining)
    vhost_queue_complete_stop_when_drained (self);
}
