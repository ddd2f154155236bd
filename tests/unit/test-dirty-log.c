/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log against a byte for each page; and marks by two threads while a third takes them, as
 * whoever copies a guest does. */

#include <sys/mman.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "memory/vhost-dirty-log-private.h"
#include "test-fds.h"

#define PAGE VHOST_DIRTY_LOG_PAGE

typedef struct {
  int fd;
  gsize size;
  gsize offset;
  guint8 *bytes;
  VhostDirtyLog *log;
} Rig;

static void
rig_init (Rig *rig, gsize size, gsize offset)
{
  g_autoptr (GError) error = NULL;

  *rig = (Rig){ .fd = memfd_create ("log", MFD_CLOEXEC), .size = size, .offset = offset };
  g_assert_cmpint (ftruncate (rig->fd, (off_t) (offset + size + PAGE)), ==, 0);
  rig->bytes = mmap (NULL, offset + size + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rig->fd, 0);
  g_assert_true (rig->bytes != MAP_FAILED);
  rig->log = vhost_dirty_log_map (rig->fd, size, offset, &error);
  g_assert_no_error (error);
}

static void
rig_clear (Rig *rig)
{
  g_clear_pointer (&rig->log, vhost_dirty_log_unref);
  munmap (rig->bytes, rig->offset + rig->size + PAGE);
  vhost_fd_clear (&rig->fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

static gboolean
is_marked (const Rig *rig, gsize page)
{
  return rig->bytes[rig->offset + page / 8] >> page % 8 & 1;
}

static void
assert_clean_outside (const Rig *rig)
{
  for (gsize i = 0; i < rig->offset; i++)
    g_assert_cmpuint (rig->bytes[i], ==, 0);
  for (gsize i = 0; i < PAGE; i++)
    g_assert_cmpuint (rig->bytes[rig->offset + rig->size + i], ==, 0);
}

/* --- One thread ---------------------------------------------------------------------------- */

static void
test_oracle (guint *n_fds, gconstpointer data)
{
  const gsize n_pages = 8 * 101;
  const gsize offsets[] = { 0, PAGE, 3 * PAGE + 24, 5 };

  for (guint round = 0; round < 200; round++) {
    g_auto (Rig) rig = { -1 };
    g_autofree guint8 *oracle = g_malloc0 (n_pages * PAGE);
    guint64 n_missed = 0;

    rig_init (&rig, n_pages / 8, offsets[round % G_N_ELEMENTS (offsets)]);
    for (guint i = 0; i < 8; i++) {
      gint32 start = g_test_rand_int_range (0, (gint32) (n_pages + 4) * PAGE);
      gint32 length = g_test_rand_int_range (0, i == 0 ? 200 * PAGE : 3 * PAGE);

      vhost_dirty_log_mark (rig.log, (guint64) start, (guint64) length);
      for (gint32 byte = start; byte < start + length; byte++) {
        if (byte / PAGE < (gint32) n_pages)
          oracle[byte / PAGE] = 1;
        else if (byte == start || byte % PAGE == 0)
          n_missed++;
      }
    }
    for (gsize page = 0; page < n_pages; page++)
      g_assert_cmpint (is_marked (&rig, page), ==, oracle[page]);
    g_assert_cmpuint (vhost_dirty_log_get_n_missed (rig.log), ==, n_missed);
    assert_clean_outside (&rig);
  }
}

static void
test_ends_of_the_address_space (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { -1 };

  rig_init (&rig, 2, 0);
  vhost_dirty_log_mark (rig.log, G_MAXUINT64, 1);
  g_assert_cmpuint (vhost_dirty_log_get_n_missed (rig.log), ==, 1);
  vhost_dirty_log_mark (rig.log, G_MAXUINT64 - PAGE, G_MAXUINT64); /* wraps */
  g_assert_cmpuint (vhost_dirty_log_get_n_missed (rig.log), ==, 3);
  vhost_dirty_log_mark (rig.log, 0, 0);
  g_assert_cmpuint (rig.bytes[0] | rig.bytes[1], ==, 0);
  vhost_dirty_log_mark (rig.log, 15 * PAGE, G_MAXUINT64);
  g_assert_cmpuint (rig.bytes[0], ==, 0);
  g_assert_cmpuint (rig.bytes[1], ==, 0x80);
  assert_clean_outside (&rig);
}

static void
test_refused (guint *n_fds, gconstpointer data)
{
  const guint64 wrong[][2] = { { 0, 0 },           { G_MAXUINT64, 0 }, { G_MAXUINT64, G_MAXUINT64 },
                               { 1, G_MAXUINT64 }, { PAGE + 1, 0 },    { 1, PAGE },
                               { PAGE, 1 },        { G_MAXINT64, 1 } };
  VHOST_AUTO_FD fd = memfd_create ("log", MFD_CLOEXEC);

  g_assert_cmpint (ftruncate (fd, PAGE), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (vhost_dirty_log_map (fd, wrong[i][0], wrong[i][1], &error));
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_MEMORY);
    g_assert_true (g_str_has_prefix (error->message, "log: "));
  }
}

static void
test_file_cut_short (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { -1 };

  rig_init (&rig, 4 * PAGE, 0);
  g_assert_cmpint (ftruncate (rig.fd, PAGE), ==, 0);
  vhost_dirty_log_mark (rig.log, 0, (guint64) 4 * PAGE * 8 * PAGE);
  g_assert_cmpuint (rig.bytes[PAGE - 1], ==, 0xff);
}

/* --- Several threads ----------------------------------------------------------------------- */

#define N_LAPS 320u
#define N_PAGES 32768u /* each is marked once in a lap: 10^7 marks in all */
#define N_SPINS 200

/* Two writers, side by side: their pages have neighbouring bits, and each begins a part of the log
 * when the other does. Guest memory is one word for each page. */
typedef struct {
  Rig rig;
  guint64 *memory;
  guint64 *copy;
  guint lap;    /* that the writers may run; atomic, as is the next */
  guint n_done; /* laps of both writers */
  guint n_parts[2];
} Race;

static void
wait_for (const guint *counter, guint value)
{
  for (guint i = 0; __atomic_load_n (counter, __ATOMIC_ACQUIRE) < value; i++) {
    if (i > N_SPINS)
      g_thread_yield ();
  }
}

static void
run_writer (Race *race, guint side)
{
  for (guint lap = 1; lap <= N_LAPS; lap++) {
    wait_for (&race->lap, lap);
    for (guint page = side; page < N_PAGES; page += 2) {
      if (page % 256 == side) {
        guint n = __atomic_add_fetch (&race->n_parts[side], 1, __ATOMIC_RELEASE);

        wait_for (&race->n_parts[1 - side], n);
      }
      __atomic_store_n (&race->memory[page], lap, __ATOMIC_RELAXED);
      vhost_dirty_log_mark (race->rig.log, (guint64) page * PAGE + lap % PAGE, 1);
    }
    __atomic_fetch_add (&race->n_done, 1, __ATOMIC_RELEASE);
  }
}

static gpointer
write_even_pages (gpointer data)
{
  run_writer (data, 0);
  return NULL;
}

static gpointer
write_odd_pages (gpointer data)
{
  run_writer (data, 1);
  return NULL;
}

/* One pass of whoever copies: clears a word of the log, then copies the pages that it named. */
static void
copy_marked (Race *race)
{
  guint64 *words = (guint64 *) race->rig.bytes;

  for (guint i = 0; i < N_PAGES / 64; i++) {
    guint64 marks = __atomic_exchange_n (&words[i], 0, __ATOMIC_SEQ_CST);

    for (; marks != 0; marks &= marks - 1) {
      guint page = i * 64 + (guint) __builtin_ctzll (marks);

      race->copy[page] = __atomic_load_n (&race->memory[page], __ATOMIC_RELAXED);
    }
  }
}

/* After each lap a last pass, as with a guest that is stopped, makes the copy complete. */
static void
test_no_page_is_missed (guint *n_fds, gconstpointer data)
{
  g_autofree guint64 *memory = g_new0 (guint64, N_PAGES);
  g_autofree guint64 *copy = g_new0 (guint64, N_PAGES);
  Race race = { .memory = memory, .copy = copy };
  gint64 started = g_get_monotonic_time ();
  GThread *even, *odd;

  rig_init (&race.rig, N_PAGES / 8, 0);
  even = g_thread_new ("even", write_even_pages, &race);
  odd = g_thread_new ("odd", write_odd_pages, &race);
  for (guint lap = 1; lap <= N_LAPS; lap++) {
    __atomic_store_n (&race.lap, lap, __ATOMIC_RELEASE);
    while (__atomic_load_n (&race.n_done, __ATOMIC_ACQUIRE) < 2 * lap) {
      copy_marked (&race);
      g_usleep (200);
    }
    copy_marked (&race);
    g_assert_cmpmem (copy, N_PAGES * sizeof *copy, memory, N_PAGES * sizeof *memory);
  }
  g_thread_join (even);
  g_thread_join (odd);
  g_test_message ("%u marks in %.2f s", N_LAPS * N_PAGES,
                  (double) (g_get_monotonic_time () - started) / G_USEC_PER_SEC);
  g_assert_cmpuint (vhost_dirty_log_get_n_missed (race.rig.log), ==, 0);
  rig_clear (&race.rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/dirty-log/oracle", test_oracle);
  add_fd_test ("/dirty-log/ends-of-the-address-space", test_ends_of_the_address_space);
  add_fd_test ("/hostile/H077-H078-no-log", test_refused);
  add_fd_test ("/hostile/H079-file-cut-short", test_file_cut_short);
  add_fd_test ("/dirty-log/no-page-is-missed", test_no_page_is_missed);
  return g_test_run ();
}
