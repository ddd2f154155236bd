/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a batch that goes back to the driver meets those who keep book of it: the record of what is
 * in flight and the dirty log. A queue without either never comes here.
 *
 * Each step may be the last one of this process. Buffers are marked before the driver sees them
 * used: until then the record has them, and whoever serves them again marks them again. What was
 * written to the ring is marked last, after the bytes; a ring that is started with a log is marked
 * as a whole. On the queue's thread. (vhost-user, “Migration” and “Inflight I/O tracking”) */

#include "ring/vhost-queue-state-private.h"

void
vhost_queue_update_witnessed (VhostQueue *self)
{
  self->witnessed = self->tracking != NULL || self->log.pages != NULL;
}

void
vhost_queue_push_witnessed (VhostQueue *self, VhostSlot **slots, const guint32 *lengths, guint n)
{
  if (self->log.pages != NULL)
    vhost_queue_log_slots (self, slots, lengths, n);
  if (self->tracking != NULL)
    vhost_queue_begin_push_tracked (self, slots, n);
  if (self->log.ring)
    vhost_queue_push_and_log_ring (self, slots, lengths, n);
  else
    vhost_device_ring_push (&self->ring, slots, lengths, n);
  if (self->tracking != NULL)
    vhost_queue_end_push_tracked (self, slots, n);
}
