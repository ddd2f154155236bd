/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the mapping of a dirty log. It is the peer's memory as guest memory is, and is mapped with
 * the same checks and the same guard: one that is cut short later loses marks, and nothing else.
 * Immutable but for its count; any thread. (vhost-user, “Migration”) */

#include "memory/vhost-dirty-log-private.h"

#define BITS 8

struct _VhostDirtyLog {
  gatomicrefcount ref_count;
  VhostMemoryRegion *region;
  guint64 n_pages;
  guint64 n_missed; /* atomic */
};

VhostDirtyLog *
vhost_dirty_log_map (int fd, guint64 size, guint64 offset, GError **error)
{
  VhostMemoryRegion *region = vhost_memory_region_map (0, size, 0, fd, offset, error);
  VhostDirtyLog *log;

  if (region == NULL) {
    g_prefix_error (error, "log: ");
    return NULL;
  }
  log = g_new0 (VhostDirtyLog, 1);
  g_atomic_ref_count_init (&log->ref_count);
  log->region = region;
  log->n_pages = size * BITS; /* no file is so long that this wraps and can be mapped */
  return log;
}

VhostDirtyLog *
vhost_dirty_log_ref (VhostDirtyLog *log)
{
  g_atomic_ref_count_inc (&log->ref_count);
  return log;
}

void
vhost_dirty_log_unref (VhostDirtyLog *log)
{
  if (!g_atomic_ref_count_dec (&log->ref_count))
    return;
  vhost_memory_region_unref (log->region);
  g_free (log);
}

static void
count_missed (VhostDirtyLog *log, guint64 n)
{
  __atomic_fetch_add (&log->n_missed, n, __ATOMIC_RELAXED);
}

/* The bits @from to @to, of one byte. */
static guint8
make_mask (guint from, guint to)
{
  return (guint8) (0xff << from) & (guint8) (0xff >> (BITS - 1 - to));
}

static void
mark_pages (VhostDirtyLog *log, guint64 first, guint64 last)
{
  guint8 *bytes = log->region->host;
  guint64 end = last / BITS;
  guint from = first % BITS;

  for (guint64 i = first / BITS; i <= end; i++) {
    guint to = i == end ? last % BITS : BITS - 1;

    __atomic_fetch_or (&bytes[i], make_mask (from, to), __ATOMIC_RELEASE);
    from = 0;
  }
}

void
vhost_dirty_log_mark (VhostDirtyLog *log, guint64 guest_address, guint64 length)
{
  guint64 first = guest_address / VHOST_DIRTY_LOG_PAGE;
  guint64 last = guest_address + (length - 1) < guest_address
                     ? G_MAXUINT64 / VHOST_DIRTY_LOG_PAGE
                     : (guest_address + (length - 1)) / VHOST_DIRTY_LOG_PAGE;

  if (length == 0)
    return;
  if (G_UNLIKELY (last >= log->n_pages)) {
    count_missed (log, last - MAX (first, log->n_pages) + 1);
    if (first >= log->n_pages)
      return;
    last = log->n_pages - 1;
  }
  mark_pages (log, first, last);
}

guint64
vhost_dirty_log_get_n_missed (const VhostDirtyLog *log)
{
  return __atomic_load_n (&log->n_missed, __ATOMIC_RELAXED);
}
