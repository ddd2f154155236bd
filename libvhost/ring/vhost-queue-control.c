/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting and stopping a queue, and the memory that it lives in. A table is held as long as a
 * chain that was popped under it is in flight; when a new one does not hold the ring, the queue
 * pauses and keeps completions back until one does.
 *
 * On the queue's thread. (vhost-user, “Ring states” and “Suspending a device”; VIRTIO 1.4,
 * section 2.7)
 * */

#include "ring/vhost-queue-state-private.h"

#include <string.h>
#include "core/vhost-error-private.h"

/* One of the three parts of a ring. */
typedef struct {
  const char *name;
  guint64 address;
  gsize size;
  gsize alignment;
  guint access;
} RingPart;

#define N_PARTS 3

typedef gpointer RingHosts[N_PARTS];

/* --- Where the ring is --------------------------------------------------------------------- */

/* A packed ring has its event suppression areas where a split one has its other two parts. */
static void
describe_parts (const VhostQueueSetup *setup, RingPart parts[N_PARTS])
{
  guint size = setup->size;

  if (setup->packed) {
    parts[0] = (RingPart){ "descriptor ring", setup->desc, VHOST_RING_DESC_BYTES (size), 16,
                           VHOST_MEMORY_READ_WRITE };
    parts[1] = (RingPart){ "driver event area", setup->avail, sizeof (VhostPackedEvent), 4,
                           VHOST_MEMORY_READ };
    parts[2] = (RingPart){ "device event area", setup->used, sizeof (VhostPackedEvent), 4,
                           VHOST_MEMORY_WRITE };
  } else {
    parts[0] = (RingPart){ "descriptor table", setup->desc, VHOST_RING_DESC_BYTES (size), 16,
                           VHOST_MEMORY_READ };
    parts[1] = (RingPart){ "available ring", setup->avail, VHOST_RING_AVAIL_BYTES (size), 2,
                           VHOST_MEMORY_READ };
    parts[2] =
        (RingPart){ "used ring", setup->used, VHOST_RING_USED_BYTES (size), 4, VHOST_MEMORY_WRITE };
  }
}

static gboolean
is_accessible (const VhostMemory *memory, const RingPart *part)
{
  VhostIotlbMisses misses = { 0 };

  if (memory->base != NULL)
    vhost_iotlb_misses_add_range (&misses, memory, part->address, part->size, part->access);
  return misses.n == 0;
}

static gboolean
locate_part (const VhostMemory *memory, VhostAddressKind kind, const RingPart *part, gpointer *host,
             GError **error)
{
  gsize alignment = part->alignment;

  if (part->address % alignment != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%s at 0x%" G_GINT64_MODIFIER "x is not aligned to %" G_GSIZE_FORMAT
                            " bytes",
                            part->name, part->address, alignment);
  *host = vhost_memory_find_range (memory, kind, part->address, part->size);
  if (*host == NULL || !is_accessible (memory, part))
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "%s at 0x%" G_GINT64_MODIFIER "x, %" G_GSIZE_FORMAT
                            " bytes, is not inside one memory region",
                            part->name, part->address, part->size);
  if ((gsize) *host % alignment != 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "%s at 0x%" G_GINT64_MODIFIER "x is in a region that is not aligned",
                            part->name, part->address);
  return TRUE;
}

static gboolean
check_numbers (const VhostQueueSetup *setup, GError **error)
{
  guint size = setup->size;

  if (size == 0 || size > VHOST_RING_MAX_SIZE || (!setup->packed && (size & (size - 1)) != 0))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "queue size %u is not %s up to %u",
                            size, setup->packed ? "a number" : "a power of two",
                            VHOST_RING_MAX_SIZE);
  if (setup->packed ? vhost_packed_device_check_base (setup->base, (guint16) size)
                    : setup->base <= G_MAXUINT16)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "base 0x%x is none of a ring of %u entries", setup->base, size);
}

static gboolean
locate_parts (const VhostQueueSetup *setup, const VhostMemory *memory, RingHosts hosts,
              GError **error)
{
  RingPart parts[N_PARTS];

  if (!check_numbers (setup, error))
    return FALSE;
  describe_parts (setup, parts);
  for (guint i = 0; i < N_PARTS; i++) {
    if (!locate_part (memory, setup->kind, &parts[i], &hosts[i], error))
      return FALSE;
  }
  return TRUE;
}

gboolean
vhost_queue_check_setup (const VhostQueueSetup *setup, const VhostMemory *memory, GError **error)
{
  RingHosts hosts;

  return locate_parts (setup, memory, hosts, error);
}

void
vhost_queue_list_misses (const VhostQueueSetup *setup, const VhostMemory *view,
                         VhostIotlbMisses *misses)
{
  RingPart parts[N_PARTS];

  describe_parts (setup, parts);
  for (guint i = 0; i < N_PARTS; i++)
    vhost_iotlb_misses_add_range (misses, view, parts[i].address, parts[i].size, parts[i].access);
}

/* --- Pins ---------------------------------------------------------------------------------- */

static VhostQueuePin *
pin_new (VhostMemory *memory)
{
  VhostQueuePin *pin = g_new0 (VhostQueuePin, 1);

  pin->memory = vhost_memory_ref (vhost_memory_get_base (memory));
  return pin;
}

static void
pin_free (VhostQueue *self, VhostQueuePin *pin)
{
  if (pin->awaited)
    vhost_queue_note_released (self);
  vhost_memory_unref (pin->memory);
  g_free (pin);
}

/* Another table takes its place: what is in flight goes on under this one. */
static void
retire_pin (VhostQueue *self, VhostQueuePin *pin)
{
  const VhostRingCommon *common = &self->ring.common;

  for (guint i = 0; common->n_in_flight > 0 && i < common->size; i++) {
    VhostSlot *slot = common->by_head[i];

    if (slot == NULL || slot->completed || slot->pin != NULL)
      continue;
    slot->pin = pin;
    pin->count++;
  }
  self->n_pinned += pin->count;
  if (pin->count == 0)
    pin_free (self, pin);
}

void
vhost_queue_unpin_slow (VhostQueue *self, VhostSlot *const *slots, guint n)
{
  for (guint i = 0; i < n; i++) {
    VhostQueuePin *pin = g_steal_pointer (&slots[i]->pin);

    if (pin == NULL)
      continue;
    self->n_pinned--;
    if (--pin->count == 0)
      pin_free (self, pin);
  }
}

static void
unpin_all (VhostQueue *self)
{
  for (guint i = 0; self->n_pinned > 0 && i < self->ring.common.size; i++) {
    if (self->ring.common.by_head[i] != NULL)
      vhost_queue_unpin_slow (self, &self->ring.common.by_head[i], 1);
  }
}

/* --- Start --------------------------------------------------------------------------------- */

void
vhost_queue_set_end_func (VhostQueue *self, VhostQueueEndFunc func, gpointer data)
{
  self->end = func;
  self->end_data = data;
}

VhostReactor *
vhost_queue_get_reactor (VhostQueue *self)
{
  return self->reactor;
}

static void
release_ring (VhostQueue *self)
{
  VhostQueuePin *pin = self->pin;

  if (self->end != NULL)
    self->end (self, self->end_data);
  vhost_queue_clear_watch (self);
  unpin_all (self);
  self->base = vhost_device_ring_get_base (&self->ring);
  vhost_queue_forget_tracking (self);
  vhost_device_ring_clear (&self->ring);
  self->pin = NULL;
  g_clear_pointer (&self->memory, vhost_memory_unref);
  pin_free (self, pin);
  vhost_queue_clear_iotlb (self);
  g_array_set_size (self->held, 0);
  g_clear_pointer (&self->reactor, vhost_reactor_unref);
  self->started = FALSE;
  self->draining = FALSE;
  self->paused = FALSE;
}

gboolean
vhost_queue_start (VhostQueue *self, const VhostQueueSetup *setup, VhostMemory *memory,
                   VhostReactor *reactor, GError **error)
{
  RingHosts hosts;

  if (vhost_queue_has_ring (self))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u: has not been stopped",
                            self->index);
  if (!locate_parts (setup, memory, hosts, error)) {
    g_prefix_error (error, "queue %u: ", self->index);
    return FALSE;
  }

  vhost_device_ring_init (&self->ring, setup->packed, (guint16) setup->size, setup->event_idx,
                          setup->indirect);
  vhost_device_ring_set_memory (&self->ring, memory, hosts[0], hosts[1], hosts[2]);
  vhost_device_ring_start (&self->ring, setup->base);
  self->setup = *setup;
  self->memory = vhost_memory_ref (memory);
  self->pin = pin_new (memory);
  self->reactor =
      vhost_reactor_ref (self->worker != NULL ? vhost_worker_get_reactor (self->worker) : reactor);
  self->sigbus_seen = 0;
  self->started = TRUE;
  g_clear_error (&self->error);
  if (!vhost_queue_start_tracking (self, error) || !vhost_queue_update_watch (self, error)) {
    g_prefix_error (error, "queue %u: ", self->index);
    release_ring (self);
    return FALSE;
  }
  if (G_UNLIKELY (self->log.ring))
    vhost_queue_log_ring (self); /* whoever was killed may have left it unmarked; recovery writes */
  g_object_notify (G_OBJECT (self), "size");
  g_object_notify (G_OBJECT (self), "started");
  return TRUE;
}

void
vhost_queue_set_enabled (VhostQueue *self, gboolean enabled)
{
  enabled = !!enabled;
  if (self->enabled == enabled)
    return;
  self->enabled = enabled;
  if (self->started)
    vhost_queue_rewatch (self);
  g_object_notify (G_OBJECT (self), "enabled");
}

/* --- Memory -------------------------------------------------------------------------------- */

static void
push_held (VhostQueue *self)
{
  guint n = self->held->len;

  for (guint i = 0; i < n; i++) {
    const VhostQueueHeld *held = &g_array_index (self->held, VhostQueueHeld, i);
    VhostSlot *slot = self->ring.common.by_head[held->head];

    vhost_queue_push_ring (self, &slot, &held->length, 1);
    slot->completed = FALSE;
  }
  g_array_set_size (self->held, 0);
  if (n > 0)
    vhost_queue_notify (self);
}

static void
pin_memory (VhostQueue *self, VhostMemory *memory)
{
  VhostQueuePin *old = self->pin;

  if (old->memory == vhost_memory_get_base (memory))
    return;
  self->pin = pin_new (memory);
  retire_pin (self, old);
  self->sigbus_seen = 0;
}

gboolean
vhost_queue_set_memory (VhostQueue *self, VhostMemory *memory)
{
  RingHosts hosts = { NULL, NULL, NULL };
  g_autoptr (VhostMemory) old = NULL;

  if (!vhost_queue_has_ring (self))
    return TRUE;
  pin_memory (self, memory);
  old = g_steal_pointer (&self->memory);
  self->memory = vhost_memory_ref (memory);
  self->paused = !locate_parts (&self->setup, memory, hosts, NULL);
  if (self->paused)
    memset (hosts, 0, sizeof (RingHosts));
  vhost_device_ring_set_memory (&self->ring, memory, hosts[0], hosts[1], hosts[2]);
  if (!self->paused)
    push_held (self);
  vhost_queue_rewatch (self);
  return !self->paused;
}

/* --- Stop ---------------------------------------------------------------------------------- */

void
vhost_queue_complete_stop_when_drained (VhostQueue *self)
{
  if (!self->draining || vhost_queue_get_n_in_flight (self) > 0)
    return;
  self->draining = FALSE;
  if (self->observer != NULL)
    self->observer (self, VHOST_QUEUE_EVENT_DRAINED, self->observer_data);
}

gboolean
vhost_queue_stop (VhostQueue *self)
{
  g_autoptr (VhostQueue) keep = g_object_ref (self);

  if (self->started) {
    self->started = FALSE;
    self->draining = TRUE;
    vhost_queue_clear_watch (self);
    g_object_notify (G_OBJECT (self), "started");
    vhost_queue_complete_stop_when_drained (self);
  }
  return vhost_queue_get_n_in_flight (self) == 0;
}

guint
vhost_queue_finish_stop (VhostQueue *self)
{
  gboolean was_started = self->started;
  guint n_lost;

  if (!vhost_queue_has_ring (self))
    return 0;
  if (G_UNLIKELY (self->log.pages != NULL))
    vhost_queue_log_in_flight (self);
  unpin_all (self);
  n_lost = self->tracking != NULL ? vhost_queue_stop_tracking (self)
                                  : vhost_device_ring_rewind (&self->ring);
  release_ring (self);
  if (was_started)
    g_object_notify (G_OBJECT (self), "started");
  return n_lost;
}

guint32
vhost_queue_get_base (VhostQueue *self)
{
  return vhost_queue_has_ring (self) ? vhost_device_ring_get_base (&self->ring) : self->base;
}

/* --- What the endpoint sees ---------------------------------------------------------------- */

void
vhost_queue_detach (VhostQueue *self)
{
  self->observer = NULL;
}

gboolean
vhost_queue_is_broken (VhostQueue *self)
{
  return self->error != NULL;
}
