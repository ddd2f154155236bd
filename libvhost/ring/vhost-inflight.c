/* SPDX-License-Identifier: BSD-3-Clause */
/* Records what is in flight: the process may be killed between any two stores, and whatever is in
 * the region and in the ring then says which requests were fetched and not completed.
 *
 * The region is borrowed. One thread at a time. (vhost-user, “Inflight I/O tracking”) */

#include "ring/vhost-inflight-private.h"

#define STRIDE_ALIGNMENT 64
#define STORE VHOST_INFLIGHT_STORE

gsize
vhost_inflight_get_stride (gboolean packed, guint desc_num)
{
  gsize size =
      packed ? sizeof (VhostInflightPackedRegion) + desc_num * sizeof (VhostInflightPackedEntry)
             : sizeof (VhostInflightSplitRegion) + desc_num * sizeof (VhostInflightSplitEntry);

  return (size + STRIDE_ALIGNMENT - 1) / STRIDE_ALIGNMENT * STRIDE_ALIGNMENT;
}

void
vhost_inflight_clear (VhostInflight *inflight)
{
  g_free (inflight->next);
  g_free (inflight->last);
  *inflight = (VhostInflight){ 0 };
}

void
vhost_inflight_blank (gpointer region, gboolean packed)
{
  VhostInflightSplitRegion *split = region;
  VhostInflightPackedRegion *packed_region = region;

  if (packed)
    STORE (packed_region->heads.version, 0);
  else
    STORE (split->version, 0);
}

/* --- Split: an entry for each head ------------------------------------------------------------ */

static void
fetch_split (VhostInflight *inflight, guint16 head)
{
  VhostInflightSplitEntry *entry = &inflight->split->entry[head];

  STORE (entry->counter, inflight->counter);
  STORE (entry->inflight, 1);
}

/* The batch is a list, so that it can be taken out of the record as a whole once the ring shows
 * that it was published. */
static void
begin_push_split (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  for (guint i = 0; i < n; i++) {
    STORE (inflight->split->entry[slots[i]->head].next, inflight->last_batch_head);
    inflight->last_batch_head = slots[i]->head;
    STORE (inflight->split->last_batch_head, inflight->last_batch_head);
  }
}

static void
end_push_split (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  for (guint i = 0; i < n; i++)
    STORE (inflight->split->entry[slots[i]->head].inflight, 0);
  inflight->used_idx += n;
  STORE (inflight->split->used_idx, inflight->used_idx);
}

/* --- Packed: a run of entries for each request ------------------------------------------------ */

static void
store_heads (VhostInflight *inflight)
{
  STORE (inflight->packed->heads.word, inflight->heads.word);
}

static void
store_used (VhostInflight *inflight)
{
  STORE (inflight->packed->used.word, inflight->used.word);
}

/* All of it lies on what is the free list until the heads are stored. */
static void
fetch_packed (VhostInflight *inflight, VhostSlot *slot, const VhostPackedDesc *copies)
{
  VhostInflightPackedEntry *entries = inflight->packed->entry;
  guint16 first = inflight->heads.free_head;
  guint16 last = first;
  guint16 following = first;
  guint position = slot->first;

  for (guint i = 0; i < slot->n_descs; i++) {
    last = following;
    entries[last].addr = copies[position].addr;
    entries[last].len = copies[position].len;
    entries[last].id = copies[position].id;
    entries[last].flags = copies[position].flags;
    following = inflight->next[last];
    position = position + 1 == inflight->size ? 0 : position + 1;
  }
  slot->entry = first;
  inflight->last[first] = last;
  STORE (entries[first].last, last);
  STORE (entries[first].num, slot->n_descs);
  STORE (entries[first].counter, inflight->counter);
  STORE (entries[first].inflight, 1);
  inflight->heads.free_head = inflight->heads.old_free_head = following;
  store_heads (inflight);
}

/* Puts a run in front of the free list. */
static void
free_run (VhostInflight *inflight, guint16 first)
{
  guint16 last = inflight->last[first];

  inflight->next[last] = inflight->heads.free_head;
  STORE (inflight->packed->entry[last].next, inflight->heads.free_head);
  inflight->heads.free_head = first;
}

/* Nothing of this counts before the ring shows that the batch was published. */
static void
begin_push_packed (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  guint used_idx = inflight->used.used_idx;

  for (guint i = 0; i < n; i++) {
    free_run (inflight, slots[i]->entry);
    used_idx += slots[i]->n_descs;
  }
  if (used_idx >= inflight->size) {
    used_idx -= inflight->size;
    inflight->used.used_wrap_counter = !inflight->used.used_wrap_counter;
  }
  inflight->used.used_idx = (guint16) used_idx;
  store_heads (inflight);
  store_used (inflight);
}

static void
end_push_packed (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  for (guint i = 0; i < n; i++)
    STORE (inflight->packed->entry[slots[i]->entry].inflight, 0);
  inflight->heads.old_free_head = inflight->heads.free_head;
  store_heads (inflight);
  inflight->used.old_used_idx = inflight->used.used_idx;
  inflight->used.old_used_wrap_counter = inflight->used.used_wrap_counter;
  store_used (inflight);
}

static void
unfetch_packed (VhostInflight *inflight, guint16 entry)
{
  free_run (inflight, entry);
  inflight->heads.old_free_head = inflight->heads.free_head;
  store_heads (inflight);
  STORE (inflight->packed->entry[entry].inflight, 0);
}

/* --- Either ----------------------------------------------------------------------------------- */

void
vhost_inflight_fetch (VhostInflight *inflight, VhostSlot *slot, const VhostPackedDesc *copies)
{
  if (inflight->is_packed)
    fetch_packed (inflight, slot, copies);
  else
    fetch_split (inflight, slot->head);
  inflight->counter++;
  inflight->n++;
}

void
vhost_inflight_unfetch (VhostInflight *inflight, VhostSlot *slot)
{
  if (inflight->is_packed)
    unfetch_packed (inflight, slot->entry);
  else
    STORE (inflight->split->entry[slot->head].inflight, 0);
  inflight->n--;
}

void
vhost_inflight_begin_push (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  if (inflight->is_packed)
    begin_push_packed (inflight, slots, n);
  else
    begin_push_split (inflight, slots, n);
}

void
vhost_inflight_end_push (VhostInflight *inflight, VhostSlot **slots, guint n)
{
  if (inflight->is_packed)
    end_push_packed (inflight, slots, n);
  else
    end_push_split (inflight, slots, n);
  inflight->n -= n;
}
