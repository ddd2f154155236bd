/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds out what the process before left in flight. The region is whatever it, or the front-end,
 * made of it: it is copied once, the copy is checked, and nothing is written before all of it has
 * been found to make sense. Recovery may be cut short and begun again like everything else.
 *
 * The region and the ring are borrowed. One thread at a time. (vhost-user, “Inflight I/O
 * tracking”) */

#include "ring/vhost-inflight-private.h"

#include <string.h>

#define STORE VHOST_INFLIGHT_STORE
#define FIRST_COUNTER 1
#define PUBLISHED 2 /* in a copy, instead of 1 */
#define POSITION_MASK 0x7fff

void
vhost_inflight_recovery_clear (VhostInflightRecovery *recovery)
{
  g_free (recovery->requests);
  g_free (recovery->copies);
  g_free (recovery->contradiction);
  *recovery = (VhostInflightRecovery){ 0 };
}

static gboolean G_GNUC_PRINTF (2, 3)
    contradict (VhostInflightRecovery *recovery, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  recovery->contradiction = g_strdup_vprintf (format, args);
  va_end (args);
  return FALSE;
}

static gboolean
check_header (VhostInflightRecovery *recovery, const VhostInflight *inflight, guint version,
              guint desc_num)
{
  if (inflight->size > inflight->desc_num)
    return contradict (recovery, "it has room for %u descriptors, the ring has %u",
                       inflight->desc_num, inflight->size);
  if (version > VHOST_INFLIGHT_VERSION)
    return contradict (recovery, "its version is %u", version);
  if (version == VHOST_INFLIGHT_VERSION && desc_num != inflight->desc_num)
    return contradict (recovery, "it says that it has room for %u descriptors, not %u", desc_num,
                       inflight->desc_num);
  return TRUE;
}

static gpointer
copy_region (gconstpointer region, gboolean packed, guint desc_num)
{
  gpointer copy = g_memdup2 (region, vhost_inflight_get_stride (packed, desc_num));

  __atomic_signal_fence (__ATOMIC_SEQ_CST); /* from here on only the copy counts */
  return copy;
}

static int
compare_requests (gconstpointer a, gconstpointer b)
{
  const VhostInflightRequest *first = a;
  const VhostInflightRequest *second = b;

  if (first->counter != second->counter)
    return first->counter < second->counter ? -1 : 1;
  return (int) first->entry - (int) second->entry;
}

static void
sort_requests (VhostInflight *inflight, VhostInflightRecovery *recovery)
{
  guint n = recovery->n_requests;

  if (n > 0)
    qsort (recovery->requests, n, sizeof *recovery->requests, compare_requests);
  inflight->counter = n > 0 ? recovery->requests[n - 1].counter + 1 : FIRST_COUNTER;
  inflight->n = n;
}

/* --- Split ------------------------------------------------------------------------------------ */

static void
begin_split (VhostInflight *inflight)
{
  for (guint i = 0; i < inflight->desc_num; i++)
    inflight->split->entry[i] = (VhostInflightSplitEntry){ 0 };
  inflight->split->features = 0;
  inflight->split->desc_num = inflight->desc_num;
  inflight->split->last_batch_head = inflight->last_batch_head;
  inflight->split->used_idx = inflight->used_idx;
  STORE (inflight->split->version, VHOST_INFLIGHT_VERSION);
}

/* The last batch may have been published and not yet taken out of the record. Two witnesses are
 * asked, the list of that batch and the used ring: an index that was never set, or a list that is
 * of another batch, takes out nothing. */
static void
mark_published (const VhostInflight *inflight, VhostInflightSplitRegion *copy,
                const VhostRingUsed *used)
{
  guint n = (guint16) (inflight->used_idx - copy->used_idx);
  guint16 head = copy->last_batch_head;

  for (guint i = 1; n <= inflight->size && i <= n && head < inflight->size; i++) {
    guint16 place = (guint16) (inflight->used_idx - i) & (inflight->size - 1);

    if (vhost_ring_load32 (&used->ring[place].id) != head)
      return;
    copy->entry[head].inflight = PUBLISHED;
    head = copy->entry[head].next;
  }
}

static gboolean
collect_split (VhostInflight *inflight, const VhostInflightSplitRegion *copy,
               VhostInflightRecovery *recovery)
{
  recovery->requests = g_new (VhostInflightRequest, inflight->size);
  for (guint16 i = 0; i < inflight->desc_num; i++) {
    if (copy->entry[i].inflight != 1)
      continue;
    if (i >= inflight->size)
      return contradict (recovery, "descriptor %u of %u is in flight", i, inflight->size);
    recovery->requests[recovery->n_requests++] =
        (VhostInflightRequest){ .counter = copy->entry[i].counter, .entry = i };
  }
  sort_requests (inflight, recovery);
  return TRUE;
}

static void
forget_published (VhostInflight *inflight, const VhostInflightSplitRegion *copy)
{
  for (guint i = 0; i < inflight->size; i++) {
    if (copy->entry[i].inflight == PUBLISHED)
      STORE (inflight->split->entry[i].inflight, 0);
  }
  STORE (inflight->split->used_idx, inflight->used_idx);
}

gboolean
vhost_inflight_init_split (VhostInflight *inflight, gpointer region, guint16 desc_num, guint16 size,
                           const VhostRingUsed *used, guint16 base, VhostInflightRecovery *recovery)
{
  g_autofree VhostInflightSplitRegion *copy = copy_region (region, FALSE, desc_num);

  *inflight = (VhostInflight){ .split = region,
                               .desc_num = desc_num,
                               .size = size,
                               .counter = FIRST_COUNTER,
                               .used_idx = vhost_ring_load16 (&used->idx) };
  *recovery = (VhostInflightRecovery){ .base = base };
  if (!check_header (recovery, inflight, copy->version, copy->desc_num))
    return FALSE;
  if (copy->version == 0) {
    begin_split (inflight);
    return TRUE;
  }
  mark_published (inflight, copy, used);
  if (!collect_split (inflight, copy, recovery))
    return FALSE;
  forget_published (inflight, copy);
  inflight->last_batch_head = copy->last_batch_head;
  recovery->had_record = TRUE;
  recovery->base = (guint16) (inflight->used_idx + recovery->n_requests);
  return TRUE;
}

/* --- Packed ----------------------------------------------------------------------------------- */

static void
begin_packed (VhostInflight *inflight, guint32 base)
{
  VhostInflightPackedRegion *region = inflight->packed;

  inflight->heads.desc_num = inflight->desc_num;
  inflight->used.used_idx = inflight->used.old_used_idx = base >> 16 & POSITION_MASK;
  inflight->used.used_wrap_counter = inflight->used.old_used_wrap_counter =
      (base >> 16 & VHOST_PACKED_WRAP) != 0;
  for (guint i = 0; i < inflight->desc_num; i++) {
    inflight->next[i] = (guint16) (i + 1);
    region->entry[i] = (VhostInflightPackedEntry){ .next = (guint16) (i + 1) };
  }
  region->features = 0;
  region->used.word = inflight->used.word;
  inflight->heads.version = VHOST_INFLIGHT_VERSION;
  STORE (region->heads.word, inflight->heads.word);
}

/* The entry at the old position belongs to something in flight: while it is available, as that lap
 * of the ring has it, nothing has been published there. */
static gboolean
is_published (const VhostInflightUsed *used, const VhostPackedDesc *desc)
{
  const guint16 bits = VHOST_PACKED_DESC_AVAIL | VHOST_PACKED_DESC_USED;
  guint16 flags = vhost_ring_load16_acquire (&desc[used->old_used_idx].flags);

  return (flags & bits) !=
         (used->old_used_wrap_counter ? VHOST_PACKED_DESC_AVAIL : VHOST_PACKED_DESC_USED);
}

/* Completes the last batch, or takes it back. */
static void
settle (VhostInflightHeads *heads, VhostInflightUsed *used, const VhostPackedDesc *desc)
{
  gboolean moved = used->used_idx != used->old_used_idx ||
                   used->used_wrap_counter != used->old_used_wrap_counter;

  if (moved && is_published (used, desc)) {
    heads->old_free_head = heads->free_head;
    used->old_used_idx = used->used_idx;
    used->old_used_wrap_counter = used->used_wrap_counter;
  }
  heads->free_head = heads->old_free_head;
  used->used_idx = used->old_used_idx;
  used->used_wrap_counter = used->old_used_wrap_counter;
}

static gboolean
check_packed (VhostInflight *inflight, const VhostInflightPackedRegion *copy,
              VhostInflightRecovery *recovery)
{
  inflight->heads = copy->heads;
  inflight->used = copy->used;
  if (inflight->used.used_idx >= inflight->size || inflight->used.old_used_idx >= inflight->size)
    return contradict (recovery, "its used index is %u, before that %u, of %u",
                       inflight->used.used_idx, inflight->used.old_used_idx, inflight->size);
  if (inflight->used.used_wrap_counter > 1 || inflight->used.old_used_wrap_counter > 1)
    return contradict (recovery, "a wrap counter is neither 0 nor 1");
  return TRUE;
}

/* Walks along the free list, which ends with an index that is none. Returns its length. */
static gboolean
mark_free (VhostInflight *inflight, const VhostInflightPackedRegion *copy, guint8 *taken, guint *n,
           VhostInflightRecovery *recovery)
{
  guint i = inflight->heads.free_head;

  for (*n = 0; i != inflight->desc_num; i = copy->entry[i].next, (*n)++) {
    if (i > inflight->desc_num || taken[i])
      return contradict (recovery, "its free list leads to entry %u", i);
    taken[i] = TRUE;
  }
  return TRUE;
}

/* Copies the descriptors of one request to the end of those before it. */
static gboolean
collect_run (VhostInflight *inflight, const VhostInflightPackedRegion *copy, guint8 *taken,
             VhostInflightRequest *request, guint *n_descs, VhostInflightRecovery *recovery)
{
  guint num = copy->entry[request->entry].num;
  guint i = request->entry;

  if (num == 0 || num > inflight->size - *n_descs)
    return contradict (recovery, "request %u has %u descriptors", request->entry, num);
  request->first = *n_descs;
  request->n_descs = (guint16) num;
  for (guint k = 0; k < num; k++) {
    if (i >= inflight->desc_num || taken[i])
      return contradict (recovery, "request %u leads to entry %u", request->entry, i);
    taken[i] = TRUE;
    recovery->copies[(*n_descs)++] = (VhostPackedDesc){ copy->entry[i].addr, copy->entry[i].len,
                                                        copy->entry[i].id, copy->entry[i].flags };
    inflight->last[request->entry] = (guint16) i;
    i = copy->entry[i].next;
  }
  return TRUE;
}

static gboolean
collect_packed (VhostInflight *inflight, const VhostInflightPackedRegion *copy, guint *n_descs,
                VhostInflightRecovery *recovery)
{
  g_autofree guint8 *taken = g_new0 (guint8, inflight->desc_num);
  guint n_free;

  if (!mark_free (inflight, copy, taken, &n_free, recovery))
    return FALSE;
  recovery->requests = g_new (VhostInflightRequest, inflight->desc_num);
  recovery->copies = g_new (VhostPackedDesc, inflight->size);
  for (guint16 i = 0; i < inflight->desc_num; i++) {
    if (copy->entry[i].inflight == 1 && !taken[i])
      recovery->requests[recovery->n_requests++] =
          (VhostInflightRequest){ .counter = copy->entry[i].counter, .entry = i };
  }
  sort_requests (inflight, recovery);
  for (guint i = 0; i < recovery->n_requests; i++) {
    if (!collect_run (inflight, copy, taken, &recovery->requests[i], n_descs, recovery))
      return FALSE;
  }
  if (n_free + *n_descs != inflight->desc_num)
    return contradict (recovery, "%u entries are free and %u in use, of %u", n_free, *n_descs,
                       inflight->desc_num);
  return TRUE;
}

/* Where the device goes on fetching: everything between the used position and this is in flight. */
static guint32
get_packed_base (const VhostInflight *inflight, guint n_descs)
{
  guint avail = inflight->used.used_idx + n_descs;
  gboolean wrap = inflight->used.used_wrap_counter;
  guint32 used = inflight->used.used_idx | (wrap ? VHOST_PACKED_WRAP : 0);

  if (avail >= inflight->size) {
    avail -= inflight->size;
    wrap = !wrap;
  }
  return avail | (wrap ? VHOST_PACKED_WRAP : 0) | used << 16;
}

/* A batch that was cut short may have left entries behind its first one that look used already. The
 * driver, which waits for the first, must not find them behind another batch. */
static void
make_available_again (const VhostInflight *inflight, VhostPackedDesc *desc, guint n_descs)
{
  guint position = inflight->used.used_idx;
  gboolean wrap = inflight->used.used_wrap_counter;

  for (guint i = 0; i < n_descs; i++) {
    vhost_ring_store16 (&desc[position].flags,
                        wrap ? VHOST_PACKED_DESC_AVAIL : VHOST_PACKED_DESC_USED);
    if (++position == inflight->size) {
      position = 0;
      wrap = !wrap;
    }
  }
}

static void
write_settled (VhostInflight *inflight, const VhostInflightPackedRegion *copy,
               const VhostInflightRecovery *recovery)
{
  g_autofree guint8 *is_request = g_new0 (guint8, inflight->desc_num);

  for (guint i = 0; i < recovery->n_requests; i++)
    is_request[recovery->requests[i].entry] = TRUE;
  STORE (inflight->packed->heads.word, inflight->heads.word);
  STORE (inflight->packed->used.word, inflight->used.word);
  for (guint i = 0; i < inflight->desc_num; i++) {
    inflight->next[i] = copy->entry[i].next;
    if (copy->entry[i].inflight != 0 && !is_request[i])
      STORE (inflight->packed->entry[i].inflight, 0);
  }
}

gboolean
vhost_inflight_init_packed (VhostInflight *inflight, gpointer region, guint16 desc_num,
                            guint16 size, VhostPackedDesc *desc, guint32 base,
                            VhostInflightRecovery *recovery)
{
  g_autofree VhostInflightPackedRegion *copy = copy_region (region, TRUE, desc_num);
  guint n_descs = 0;

  *inflight = (VhostInflight){ .packed = region,
                               .is_packed = TRUE,
                               .desc_num = desc_num,
                               .size = size,
                               .counter = FIRST_COUNTER };
  inflight->next = g_new (guint16, desc_num);
  inflight->last = g_new (guint16, desc_num);
  *recovery = (VhostInflightRecovery){ .base = base };
  if (!check_header (recovery, inflight, copy->heads.version, copy->heads.desc_num))
    return FALSE;
  if (copy->heads.version == 0) {
    begin_packed (inflight, base);
    return TRUE;
  }
  if (!check_packed (inflight, copy, recovery))
    return FALSE;
  settle (&inflight->heads, &inflight->used, desc);
  if (!collect_packed (inflight, copy, &n_descs, recovery))
    return FALSE;
  write_settled (inflight, copy, recovery);
  make_available_again (inflight, desc, n_descs);
  recovery->had_record = TRUE;
  recovery->base = get_packed_base (inflight, n_descs);
  return TRUE;
}
