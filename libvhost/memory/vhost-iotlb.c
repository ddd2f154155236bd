/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the translations that came from a front-end, as rows of a view: a table of memory that never
 * changes, sorted by I/O address, neighbours joined. Each change makes a new view, so who uses one
 * needs no lock; what makes room for others is forgotten, oldest first, and asked for again.
 *
 * What was forgotten while a buffer lies in it can no longer be found by its I/O address. From then
 * on, until no buffer is held, an invalidation counts as one of all that was forgotten: `strays`.
 *
 * One thread. (vhost-user, “IOMMU support”; protocol of struct vhost_iotlb_msg) */

#include "memory/vhost-iotlb-private.h"

#include "core/vhost-error-private.h"

/* A question that was asked. */
typedef struct {
  guint64 address;
  guint access;
  guint n_due;     /* answers: one for each kind of access, because some give just what was asked */
  gint64 deadline; /* µs: it may be asked again */
  gboolean told;   /* that all answers came, without that access */
} Question;

struct _VhostIotlb {
  VhostMemory *view;
  VhostIotlbUsedFunc is_used;
  gpointer data;
  guint32 age;
  GArray *strays; /* of VhostSpan: not translated any more, and in use when that happened */
  guint n_asked;
  Question asked[VHOST_IOTLB_MAX_ASKED];
};

/* --- Misses -------------------------------------------------------------------------------- */

static guint64
get_page (guint64 address)
{
  return address / VHOST_IOTLB_PAGE;
}

gboolean
vhost_iotlb_misses_add (VhostIotlbMisses *misses, guint64 address, guint access)
{
  VhostIotlbMiss *last = misses->n > 0 ? &misses->miss[misses->n - 1] : NULL;

  if (last != NULL && get_page (last->address) == get_page (address)) {
    last->access |= access;
    return TRUE;
  }
  if (misses->n == VHOST_IOTLB_MAX_MISSES)
    return FALSE;
  misses->miss[misses->n++] = (VhostIotlbMiss){ address, access };
  return TRUE;
}

void
vhost_iotlb_misses_add_range (VhostIotlbMisses *misses, const VhostMemory *view, guint64 address,
                              guint64 size, guint access)
{
  const VhostSpan *hint = NULL;

  while (size > 0) {
    guint64 piece;

    if (vhost_memory_find_guest (view, &hint, address, access, &piece) == NULL) {
      if (!vhost_iotlb_misses_add (misses, address, access))
        return;
      piece = VHOST_IOTLB_PAGE - address % VHOST_IOTLB_PAGE;
    }
    piece = MIN (piece, size);
    address += piece;
    size -= piece;
  }
}

/* --- Rows ---------------------------------------------------------------------------------- */

static guint64
get_last (const VhostSpan *span)
{
  return span->start + (span->size - 1);
}

/* @span between @first and @last, which lie in it. */
static VhostSpan
cut (const VhostSpan *span, guint64 first, guint64 last)
{
  VhostSpan part = *span;

  part.start = first;
  part.size = last - first + 1;
  part.host = span->host + (first - span->start);
  return part;
}

/* Regions may have been mapped side by side: a row never goes from one into the other. */
static gboolean
is_region_start (const VhostMemory *base, const guint8 *host)
{
  for (guint i = 0; i < base->n_regions; i++) {
    if (base->regions[i]->host == host)
      return TRUE;
  }
  return FALSE;
}

static void
append (const VhostMemory *base, GArray *rows, VhostSpan row)
{
  VhostSpan *before = rows->len > 0 ? &g_array_index (rows, VhostSpan, rows->len - 1) : NULL;

  if (before != NULL && get_last (before) + 1 == row.start &&
      before->host + before->size == row.host && before->access == row.access &&
      !is_region_start (base, row.host)) {
    before->size += row.size;
    before->age = MAX (before->age, row.age);
  } else {
    g_array_append_val (rows, row);
  }
}

static GArray *
new_rows (guint n)
{
  return g_array_sized_new (FALSE, FALSE, sizeof (VhostSpan), n + 2);
}

/* Are all of them in use still? Those that are not are of no interest any more. */
static void
prune_strays (VhostIotlb *iotlb)
{
  for (guint i = iotlb->strays->len; i-- > 0;) {
    const VhostSpan *stray = &g_array_index (iotlb->strays, VhostSpan, i);

    if (!iotlb->is_used (stray->host, stray->size, iotlb->data))
      g_array_remove_index_fast (iotlb->strays, i);
  }
}

/* When there are too many, one stands for all there can be. */
static void
note_stray (VhostIotlb *iotlb, const VhostSpan *span)
{
  const VhostSpan all = { .size = G_MAXUINT64 };

  if (!iotlb->is_used (span->host, span->size, iotlb->data))
    return;
  if (iotlb->strays->len == VHOST_IOTLB_MAX_ROWS)
    prune_strays (iotlb);
  if (iotlb->strays->len == VHOST_IOTLB_MAX_ROWS) {
    g_array_set_size (iotlb->strays, 0);
    span = &all;
  }
  g_array_append_val (iotlb->strays, *span);
}

static guint
find_oldest (const GArray *rows, guint32 newest)
{
  guint found = 0;
  guint32 most = 0;

  for (guint i = 0; i < rows->len; i++) {
    guint32 age = newest - g_array_index (rows, VhostSpan, i).age;

    if (age > most) {
      most = age;
      found = i;
    }
  }
  return found;
}

static void
make_room (VhostIotlb *iotlb, GArray *rows)
{
  while (rows->len > VHOST_IOTLB_MAX_ROWS) {
    guint oldest = find_oldest (rows, iotlb->age);

    note_stray (iotlb, &g_array_index (rows, VhostSpan, oldest));
    g_array_remove_index (rows, oldest);
  }
}

static void
replace_view (VhostIotlb *iotlb, VhostMemory *base, GArray *rows)
{
  g_autoptr (VhostMemory) old = iotlb->view;
  gsize n = rows->len;

  iotlb->view = vhost_memory_new_view (base, (VhostSpan *) g_array_free (rows, FALSE), (guint) n);
}

/* --- Life ---------------------------------------------------------------------------------- */

VhostIotlb *
vhost_iotlb_new (VhostMemory *base, VhostIotlbUsedFunc is_used, gpointer data)
{
  VhostIotlb *iotlb = g_new0 (VhostIotlb, 1);

  iotlb->view = vhost_memory_new_view (base, NULL, 0);
  iotlb->strays = new_rows (0);
  iotlb->is_used = is_used;
  iotlb->data = data;
  return iotlb;
}

void
vhost_iotlb_free (VhostIotlb *iotlb)
{
  vhost_memory_unref (iotlb->view);
  g_array_unref (iotlb->strays);
  g_free (iotlb);
}

VhostMemory *
vhost_iotlb_get_view (VhostIotlb *iotlb)
{
  return iotlb->view;
}

void
vhost_iotlb_flush (VhostIotlb *iotlb, VhostMemory *base)
{
  for (guint i = 0; i < iotlb->view->n_guest; i++)
    note_stray (iotlb, &iotlb->view->by_guest[i]);
  replace_view (iotlb, base, new_rows (0));
  vhost_iotlb_forget_asked (iotlb);
}

/* --- Questions ----------------------------------------------------------------------------- */

static void
drop_question (VhostIotlb *iotlb, guint index)
{
  iotlb->asked[index] = iotlb->asked[--iotlb->n_asked];
}

static void
drop_questions (VhostIotlb *iotlb, guint64 first, guint64 last)
{
  for (guint i = iotlb->n_asked; i-- > 0;) {
    if (iotlb->asked[i].address - first <= last - first)
      drop_question (iotlb, i);
  }
}

/* Something came for this range: was it what was asked for? */
static void
settle_questions (VhostIotlb *iotlb, guint64 first, guint64 last)
{
  for (guint i = iotlb->n_asked; i-- > 0;) {
    Question *question = &iotlb->asked[i];
    const VhostSpan *hint = NULL;
    guint64 contiguous;

    if (question->address - first > last - first)
      continue;
    if (question->n_due > 0)
      question->n_due--;
    if (vhost_memory_find_guest (iotlb->view, &hint, question->address, question->access,
                                 &contiguous) != NULL)
      drop_question (iotlb, i);
  }
}

static Question *
find_question (VhostIotlb *iotlb, guint64 address, gint64 now)
{
  Question *found = NULL;

  for (guint i = iotlb->n_asked; i-- > 0;) {
    if (now >= iotlb->asked[i].deadline)
      drop_question (iotlb, i);
  }
  for (guint i = 0; i < iotlb->n_asked; i++) {
    if (get_page (iotlb->asked[i].address) == get_page (address))
      found = &iotlb->asked[i];
  }
  return found;
}

static guint
count_kinds (guint access)
{
  return (access & VHOST_MEMORY_READ ? 1 : 0) + (access & VHOST_MEMORY_WRITE ? 1 : 0);
}

VhostIotlbVerdict
vhost_iotlb_judge (VhostIotlb *iotlb, VhostIotlbMiss *miss, gint64 now, gint64 timeout)
{
  Question *question = find_question (iotlb, miss->address, now);

  if (question == NULL && iotlb->n_asked == VHOST_IOTLB_MAX_ASKED)
    return VHOST_IOTLB_WAIT;
  if (question == NULL) {
    question = &iotlb->asked[iotlb->n_asked++];
    *question = (Question){ .address = miss->address };
  }
  if ((miss->access & ~question->access) != 0) {
    miss->access &= ~question->access;
    question->access |= miss->access;
    question->n_due += count_kinds (miss->access);
    question->deadline = now + timeout;
    question->told = FALSE;
    return VHOST_IOTLB_ASK;
  }
  if (question->n_due > 0 || question->told)
    return VHOST_IOTLB_WAIT;
  question->told = TRUE;
  return VHOST_IOTLB_DENY;
}

gboolean
vhost_iotlb_is_asking (const VhostIotlb *iotlb)
{
  return iotlb->n_asked > 0;
}

void
vhost_iotlb_forget_asked (VhostIotlb *iotlb)
{
  iotlb->n_asked = 0;
}

/* --- Changes ------------------------------------------------------------------------------- */

/* Puts @row over what is there, which keeps its access where it says the same. */
static GArray *
lay_over (VhostIotlb *iotlb, const GArray *old, const VhostSpan *row)
{
  const VhostMemory *base = iotlb->view->base;
  GArray *rows = new_rows (old->len);
  guint64 cursor = row->start;
  guint64 last = get_last (row);
  gboolean open = TRUE; /* what is left of @row begins at @cursor */
  guint i = 0;

  for (; i < old->len; i++) {
    const VhostSpan *span = &g_array_index (old, VhostSpan, i);
    guint64 from = MAX (span->start, row->start);
    guint64 to = MIN (get_last (span), last);
    VhostSpan shared;

    if (span->start > last)
      break;
    if (get_last (span) < row->start) {
      append (base, rows, *span);
      continue;
    }
    if (span->start < from)
      append (base, rows, cut (span, span->start, from - 1));
    if (cursor < from)
      append (base, rows, cut (row, cursor, from - 1));
    shared = cut (row, from, to);
    if (cut (span, from, to).host == shared.host) {
      shared.access |= span->access;
    } else {
      VhostSpan lost = cut (span, from, to);

      note_stray (iotlb, &lost);
    }
    append (base, rows, shared);
    if (get_last (span) > to)
      append (base, rows, cut (span, to + 1, get_last (span)));
    open = to < last;
    cursor = to + 1;
  }
  if (open)
    append (base, rows, cut (row, cursor, last));
  for (; i < old->len; i++)
    append (base, rows, g_array_index (old, VhostSpan, i));
  return rows;
}

static GArray *
copy_rows (const VhostMemory *view)
{
  GArray *rows = new_rows (view->n_guest);

  return g_array_append_vals (rows, view->by_guest, view->n_guest);
}

static gboolean
check_range (guint64 address, guint64 size, GError **error)
{
  if (size > 0 && address + (size - 1) >= address)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "0x%" G_GINT64_MODIFIER "x bytes at I/O address 0x%" G_GINT64_MODIFIER
                          "x are no range",
                          size, address);
}

/* All of it must be in memory before any of it is laid down. */
static gboolean
check_update (VhostIotlb *iotlb, guint64 size, guint64 user_address, guint access, GError **error)
{
  const VhostMemory *base = iotlb->view->base;

  if (access == 0 || access > VHOST_MEMORY_READ_WRITE)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "access %u is none", access);
  while (size > 0) {
    const VhostSpan *span = vhost_span_search (base->by_user, base->n_regions, user_address);
    guint64 piece;

    if (span == NULL)
      return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                              "user address 0x%" G_GINT64_MODIFIER "x is in no memory region",
                              user_address);
    piece = MIN (size, span->size - (user_address - span->start));
    user_address += piece;
    size -= piece;
  }
  return TRUE;
}

/* Repeating what is known changes nothing. */
static gboolean
is_known (const VhostMemory *view, const VhostSpan *row)
{
  const VhostSpan *span = vhost_span_search (view->by_guest, view->n_guest, row->start);

  return span != NULL && span->host + (row->start - span->start) == row->host &&
         get_last (span) >= get_last (row) && (span->access & row->access) == row->access;
}

gboolean
vhost_iotlb_update (VhostIotlb *iotlb, guint64 address, guint64 size, guint64 user_address,
                    guint access, GError **error)
{
  VhostMemory *base = iotlb->view->base;
  guint64 first = address;
  guint64 last = address + (size - 1);
  g_autoptr (GArray) rows = NULL;
  gboolean changed = FALSE;

  if (!check_range (address, size, error) ||
      !check_update (iotlb, size, user_address, access, error))
    return FALSE;
  rows = copy_rows (iotlb->view);
  iotlb->age++;
  while (size > 0) {
    const VhostSpan *span = vhost_span_search (base->by_user, base->n_regions, user_address);
    guint64 offset = user_address - span->start;
    guint64 piece = MIN (size, span->size - offset);
    const VhostSpan row = { address, piece, span->host + offset, access, iotlb->age };

    if (!is_known (iotlb->view, &row)) {
      GArray *more = lay_over (iotlb, rows, &row);

      g_array_unref (rows);
      rows = more;
      changed = TRUE;
    }
    address += piece;
    user_address += piece;
    size -= piece;
  }
  if (changed) {
    make_room (iotlb, rows);
    replace_view (iotlb, base, g_steal_pointer (&rows));
  }
  settle_questions (iotlb, first, last);
  return TRUE;
}

gboolean
vhost_iotlb_invalidate (VhostIotlb *iotlb, guint64 address, guint64 size, GArray *lost,
                        GError **error)
{
  const VhostMemory *view = iotlb->view;
  gboolean everything = address == 0 && size == 0; /* 2⁶⁴ cannot be said */
  guint64 last = everything ? G_MAXUINT64 : address + (size - 1);
  guint n_lost = lost->len;
  GArray *rows;

  if (!everything && !check_range (address, size, error))
    return FALSE;
  rows = new_rows (view->n_guest);
  for (guint i = 0; i < view->n_guest; i++) {
    const VhostSpan *span = &view->by_guest[i];
    VhostSpan part;

    if (span->start > last || get_last (span) < address) {
      append (view->base, rows, *span);
      continue;
    }
    if (span->start < address)
      append (view->base, rows, cut (span, span->start, address - 1));
    part = cut (span, MAX (span->start, address), MIN (get_last (span), last));
    g_array_append_val (lost, part);
    if (get_last (span) > last)
      append (view->base, rows, cut (span, last + 1, get_last (span)));
  }
  make_room (iotlb, rows);
  if (lost->len > n_lost)
    replace_view (iotlb, view->base, rows);
  else
    g_array_unref (rows);
  prune_strays (iotlb);
  g_array_append_vals (lost, iotlb->strays->data, iotlb->strays->len);
  drop_questions (iotlb, address, last);
  return TRUE;
}
