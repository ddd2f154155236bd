/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue whose requests are recorded, so that none is lost when this process is. What the process
 * before left in flight is popped first, in the order in which that one popped it.
 *
 * On the queue's thread. (vhost-user, “Inflight I/O tracking”) */

#include "ring/vhost-queue-state-private.h"

#include "core/vhost-error-private.h"

struct _VhostQueueTracking {
  VhostInflightArea *area;
  gpointer region;
  VhostInflight record;
  VhostInflightRecovery recovery;
  guint n_refetched; /* of the requests that were recovered */
  gboolean leaving;
};

static void
tracking_free (VhostQueueTracking *tracking)
{
  vhost_inflight_clear (&tracking->record);
  vhost_inflight_recovery_clear (&tracking->recovery);
  g_clear_pointer (&tracking->area, vhost_inflight_area_unref);
  g_free (tracking);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostQueueTracking, tracking_free)

/* --- Start ------------------------------------------------------------------------------------ */

static gboolean
recover (VhostQueue *self, VhostQueueTracking *tracking)
{
  guint16 desc_num = (guint16) tracking->area->queue_size;
  guint16 size = (guint16) self->setup.size;
  guint32 base = vhost_device_ring_get_base (&self->ring);

  if (self->ring.packed)
    return vhost_inflight_init_packed (&tracking->record, tracking->region, desc_num, size,
                                       self->ring.packed_ring.desc, base, &tracking->recovery);
  return vhost_inflight_init_split (&tracking->record, tracking->region, desc_num, size,
                                    self->ring.split.used, (guint16) base, &tracking->recovery);
}

static void
go_on (VhostQueue *self, guint32 base)
{
  if (self->ring.packed)
    vhost_packed_device_start_between (&self->ring.packed_ring, base);
  else
    vhost_split_device_start (&self->ring.split, (guint16) base);
}

static gboolean
check_area (const VhostInflightArea *area, gboolean packed, GError **error)
{
  if (area->packed == packed)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "inflight area of a %s ring",
                          area->packed ? "packed" : "split");
}

gboolean
vhost_queue_start_tracking (VhostQueue *self, GError **error)
{
  g_autoptr (VhostQueueTracking) tracking = NULL;
  VhostInflightArea *area = self->setup.inflight;
  gpointer region = area != NULL ? vhost_inflight_area_get_region (area, self->index) : NULL;

  if (region == NULL)
    return TRUE;
  if (!check_area (area, self->ring.packed, error))
    return FALSE;
  tracking = g_new0 (VhostQueueTracking, 1);
  tracking->area = vhost_inflight_area_ref (area);
  tracking->region = region;
  if (!recover (self, tracking))
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "inflight area: %s",
                            tracking->recovery.contradiction);
  if (vhost_inflight_area_is_broken (area))
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "inflight area: its file went away");
  if (tracking->recovery.had_record)
    go_on (self, tracking->recovery.base);
  if (self->ring.packed)
    vhost_packed_device_keep_copies (&self->ring.packed_ring);
  self->tracking = g_steal_pointer (&tracking);
  vhost_queue_update_witnessed (self);
  return TRUE;
}

/* --- Pop -------------------------------------------------------------------------------------- */

gboolean
vhost_queue_has_recovered (VhostQueue *self)
{
  const VhostQueueTracking *tracking = self->tracking;

  return tracking != NULL && tracking->n_refetched < tracking->recovery.n_requests;
}

static gboolean
refetch (VhostQueue *self, const VhostInflightRequest *request, VhostSlot **slot)
{
  const VhostPackedDesc *copies = self->tracking->recovery.copies;

  if (!self->ring.packed)
    return vhost_split_device_refetch (&self->ring.split, request->entry, slot);
  if (!vhost_packed_device_refetch (&self->ring.packed_ring, copies + request->first,
                                    request->n_descs, slot))
    return FALSE;
  (*slot)->entry = request->entry;
  return TRUE;
}

guint
vhost_queue_pop_tracked (VhostQueue *self, VhostSlot **slots, guint max)
{
  VhostQueueTracking *tracking = self->tracking;
  guint n = 0;

  if (vhost_queue_has_recovered (self)) {
    const VhostInflightRequest *requests = tracking->recovery.requests;

    while (n < max && vhost_queue_has_recovered (self) &&
           refetch (self, &requests[tracking->n_refetched], &slots[n])) {
      tracking->n_refetched++;
      n++;
    }
    return n;
  }
  n = vhost_device_ring_pop (&self->ring, slots, max);
  for (guint i = 0; i < n; i++)
    vhost_inflight_fetch (&tracking->record, slots[i],
                          self->ring.packed ? self->ring.packed_ring.copies : NULL);
  return n;
}

gboolean
vhost_queue_unpop_tracked (VhostQueue *self, VhostSlot *slot)
{
  if (!vhost_device_ring_unpop (&self->ring, slot))
    return FALSE;
  if (slot->refetched)
    self->tracking->n_refetched--;
  else
    vhost_inflight_unfetch (&self->tracking->record, slot);
  slot->refetched = FALSE;
  return TRUE;
}

/* --- Push ------------------------------------------------------------------------------------- */

void
vhost_queue_begin_push_tracked (VhostQueue *self, VhostSlot **slots, guint n)
{
  vhost_inflight_begin_push (&self->tracking->record, slots, n);
}

void
vhost_queue_end_push_tracked (VhostQueue *self, VhostSlot **slots, guint n)
{
  vhost_inflight_end_push (&self->tracking->record, slots, n);
  for (guint i = 0; i < n; i++)
    slots[i]->refetched = FALSE;
}

/* --- Stop ------------------------------------------------------------------------------------- */

static void
rewind_tracked (VhostQueue *self)
{
  g_autofree VhostSlot **latest = vhost_ring_common_list_latest (&self->ring.common);

  for (guint i = 0; latest[i] != NULL && !latest[i]->refetched; i++)
    vhost_queue_unpop_tracked (self, latest[i]);
}

void
vhost_queue_leave_in_flight (VhostQueue *self)
{
  if (self->tracking != NULL)
    self->tracking->leaving = TRUE;
}

gboolean
vhost_queue_is_tracked (VhostQueue *self)
{
  return self->tracking != NULL;
}

gboolean
vhost_queue_has_lost_area (VhostQueue *self)
{
  return self->tracking != NULL && vhost_inflight_area_is_broken (self->tracking->area);
}

/* What is in flight stays in the record. With nothing in it the region is as good as new, and the
 * queue goes on where the front-end says. */
guint
vhost_queue_stop_tracking (VhostQueue *self)
{
  VhostQueueTracking *tracking = self->tracking;

  if (!tracking->leaving)
    rewind_tracked (self);
  if (tracking->record.n == 0)
    vhost_inflight_blank (tracking->region, self->ring.packed);
  return self->ring.common.n_in_flight;
}

void
vhost_queue_forget_tracking (VhostQueue *self)
{
  g_clear_pointer (&self->tracking, tracking_free);
  vhost_queue_update_witnessed (self);
}
