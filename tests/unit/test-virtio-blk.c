/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk and its driver, of each engine, with and without the page cache: data, ranges, errors of
 * the file, requests that no driver should make, and the end of a session at any moment. */

#include "test-virtio-blk.h"

#include <signal.h>
#include <sys/resource.h>
#include "virtio/vhost-virtio-blk-config-private.h"

static void
fill (gpointer data, gsize length, guint seed)
{
  guint8 *bytes = data;

  for (gsize i = 0; i < length; i++)
    bytes[i] = (guint8) (i * 31 + i / 251 + seed);
}

/* --- Data ---------------------------------------------------------------------------------- */

static void
check_round_trip (const Kind *kind)
{
  g_auto (Rig) rig = { 0 };
  guint8 wanted[64 * 1024];

  rig_init (&rig, kind);
  for (guint length = SECTOR; length <= sizeof wanted; length *= 2) {
    fill (wanted, length, length);
    memcpy (rig_data (&rig), wanted, length);
    g_assert_cmpuint (rig_ask (&rig, OUT, 8, length), ==, OK);
    assert_image (&rig, 8 * SECTOR, wanted, length);
    memset (rig_data (&rig), 0, length);
    g_assert_cmpuint (rig_ask (&rig, IN, 8, length), ==, OK);
    g_assert_cmpmem (rig_data (&rig), length, wanted, length);
    g_assert_cmpuint (rig_wait (&rig), ==, length + 1);
    g_assert_cmpuint (rig_ask (&rig, FLUSH, 0, 0), ==, OK);
  }
  g_assert_cmpuint (rig_ask (&rig, GET_ID, 0, 20), ==, OK);
  g_assert_cmpmem (rig_data (&rig), 20, "a serial number of 2", 20);
}

static void
test_round_trip (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    check_round_trip (&kinds[k]);
}

/* The header in three pieces, the data at odd addresses, the status behind the data. */
static void
test_odd_pieces (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_auto (Rig) rig = { 0 };
    guint8 wanted[3 * SECTOR];
    const Piece read[] = { { HEADER_AT, 3, FALSE },
                           { HEADER_AT + 3, 12, FALSE },
                           { HEADER_AT + 15, 1, FALSE },
                           { DATA_AT + 1, 700, TRUE },
                           { GUEST_NEXT - 100, 3 * SECTOR - 700 + 1, TRUE } };
    g_autofree guint8 *rest = NULL;
    guint8 found[3 * SECTOR + 1];
    gsize length = 0;

    rig_init (&rig, &kinds[k]);
    rig_write_header (&rig, IN, 5);
    rig_offer (&rig, read, 5);
    g_assert_cmpuint (rig_wait (&rig), ==, 3 * SECTOR + 1);
    memcpy (found, (guint8 *) rig_data (&rig) + 1, 700);
    rest =
        vhost_memory_read (rig.guest.memory, GUEST_NEXT - 100, sizeof found - 700, &length, NULL);
    g_assert_cmpuint (length, ==, sizeof found - 700);
    memcpy (found + 700, rest, length);
    g_assert_cmpint (pread (rig.image_fd, wanted, sizeof wanted, 5 * SECTOR), ==, sizeof wanted);
    g_assert_cmpmem (found, sizeof wanted, wanted, sizeof wanted);
    g_assert_cmpuint (found[sizeof wanted], ==, OK);
  }
}

/* --- Ranges -------------------------------------------------------------------------------- */

typedef struct {
  guint64 sector;
  guint32 n_sectors;
  guint32 flags;
} Range;

static guint8
ask_ranges (Rig *rig, guint32 type, const Range *ranges, guint n)
{
  memcpy (rig_data (rig), ranges, n * sizeof *ranges);
  return rig_ask (rig, type, 0, (guint32) (n * sizeof *ranges));
}

static void
test_ranges (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    const Range ranges[] = { { 16, 8, 0 }, { 33, 1, 0 }, { 64, 0, 0 } };
    const Range unmap = { 128, 128, 1 };
    const guint8 zeroes[128 * SECTOR] = { 0 };
    guint32 sector[3] = { 32, 33, 34 };
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, &kinds[k]);
    g_assert_cmpuint (ask_ranges (&rig, WRITE_ZEROES, ranges, 3), ==, OK);
    assert_image (&rig, 16 * SECTOR, zeroes, 8 * SECTOR);
    assert_image (&rig, 33 * SECTOR, zeroes, SECTOR);
    assert_image (&rig, 32 * SECTOR, sector, sizeof sector);
    g_assert_cmpuint (ask_ranges (&rig, WRITE_ZEROES, &unmap, 1), ==, OK);
    assert_image (&rig, 128 * SECTOR, zeroes, sizeof zeroes);
    g_assert_cmpuint (ask_ranges (&rig, DISCARD, &(Range){ 512, 128, 0 }, 1), ==, OK);
    assert_image (&rig, 512 * SECTOR, zeroes, sizeof zeroes);
    assert_image (&rig, 511 * SECTOR, (guint32[]){ 511 }, 4);
    assert_image (&rig, 640 * SECTOR, (guint32[]){ 640 }, 4);
  }
}

/* --- What no driver should ask for --------------------------------------------------------- */

static void
check_hostile_transfers (Rig *rig)
{
  const guint64 n = IMAGE_SIZE / SECTOR;
  const struct {
    guint32 type;
    guint64 sector;
    guint32 length;
    guint8 status;
  } asked[] = {
    { IN, n, SECTOR, IOERR },
    { IN, n - 1, 2 * SECTOR, IOERR },
    { IN, G_MAXUINT64, SECTOR, IOERR },
    { IN, G_MAXUINT64 / SECTOR, SECTOR, IOERR },
    { IN, G_MAXUINT64 / SECTOR + 1, SECTOR, IOERR },
    { IN, 0, SECTOR + 1, IOERR },
    { IN, 0, 1, IOERR },
    { IN, n, 0, OK },
    { OUT, n, SECTOR, IOERR },
    { OUT, G_MAXUINT64 - 1, 4 * SECTOR, IOERR },
    { OUT, 0, SECTOR - 1, IOERR },
    { 2, 0, SECTOR, UNSUPP },
    { 14, 0, SECTOR, UNSUPP },
    { G_MAXUINT32 - 1, 0, SECTOR, UNSUPP },
    { GET_ID, G_MAXUINT64, 3, OK },
  };

  for (guint i = 0; i < G_N_ELEMENTS (asked); i++) {
    g_assert_cmpuint (rig_ask (rig, asked[i].type, asked[i].sector, asked[i].length), ==,
                      asked[i].status);
    g_assert_cmpuint (rig_wait (rig), <=, asked[i].length + 1);
  }
}

static void
check_hostile_ranges (Rig *rig)
{
  const guint64 n = IMAGE_SIZE / SECTOR;
  const struct {
    guint32 type;
    Range range;
    guint8 status;
  } asked[] = {
    { DISCARD, { n, 1, 0 }, IOERR },
    { DISCARD, { n - 1, 2, 0 }, IOERR },
    { DISCARD, { G_MAXUINT64, 1, 0 }, IOERR },
    { DISCARD, { 0, G_MAXUINT32, 0 }, IOERR },
    { DISCARD, { 0, 1, 1 }, UNSUPP },
    { DISCARD, { 0, 1, 2 }, UNSUPP },
    { WRITE_ZEROES, { 0, 1, 2 }, UNSUPP },
    { WRITE_ZEROES, { 0, 1, 0x80000001 }, UNSUPP },
    { WRITE_ZEROES, { G_MAXUINT64 / SECTOR + 1, 1, 0 }, IOERR },
  };
  Range many[17] = { { 0, 0, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (asked); i++)
    g_assert_cmpuint (ask_ranges (rig, asked[i].type, &asked[i].range, 1), ==, asked[i].status);
  g_assert_cmpuint (ask_ranges (rig, DISCARD, many, 16), ==, OK);
  g_assert_cmpuint (ask_ranges (rig, DISCARD, many, 17), ==, IOERR);
  g_assert_cmpuint (ask_ranges (rig, WRITE_ZEROES, many, 0), ==, IOERR);
  g_assert_cmpuint (rig_ask (rig, DISCARD, 0, 15), ==, IOERR);
  g_assert_cmpuint (rig_ask (rig, DISCARD, 0, 24), ==, IOERR);
}

/* One good range before a bad one: nothing is done. */
static void
check_all_or_nothing (Rig *rig)
{
  const Range ranges[] = { { 0, 8, 0 }, { G_MAXUINT64, 1, 0 } };

  g_assert_cmpuint (ask_ranges (rig, WRITE_ZEROES, ranges, 2), ==, IOERR);
}

static void
check_odd_chains (Rig *rig)
{
  const Piece no_status[] = { { HEADER_AT, 16, FALSE }, { DATA_AT, SECTOR, FALSE } };
  const Piece short_header[] = { { HEADER_AT, 15, FALSE }, { STATUS_AT, 1, TRUE } };
  const Piece no_header[] = { { STATUS_AT, 1, TRUE } };
  const Piece long_read[] = { { HEADER_AT, 16, FALSE },
                              { DATA_AT, 0x100000, TRUE },
                              { DATA_AT, 0x100000, TRUE },
                              { STATUS_AT, 1, TRUE } };

  rig_write_header (rig, OUT, 0);
  rig_offer (rig, no_status, 2);
  g_assert_cmpuint (rig_wait (rig), ==, 0);
  rig_write_header (rig, FLUSH, 0);
  rig_offer (rig, short_header, 2);
  g_assert_cmpuint (rig_wait (rig), ==, 1);
  g_assert_cmpuint (rig_get_status (rig), ==, IOERR);
  rig_write_header (rig, FLUSH, 0);
  rig_offer (rig, no_header, 1);
  rig_wait (rig);
  g_assert_cmpuint (rig_get_status (rig), ==, IOERR);
  rig_write_header (rig, IN, 0);
  rig_offer (rig, long_read, 4);
  g_assert_cmpuint (rig_wait (rig), ==, 0);
  g_assert_cmpuint (rig_get_status (rig), ==, IOERR);
}

static void
test_hostile (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_auto (Rig) rig = { 0 };
    g_autofree guint8 *before = g_malloc (IMAGE_SIZE);

    rig_init (&rig, &kinds[k]);
    g_assert_cmpint (pread (rig.image_fd, before, IMAGE_SIZE, 0), ==, IMAGE_SIZE);
    check_hostile_transfers (&rig);
    check_hostile_ranges (&rig);
    check_all_or_nothing (&rig);
    check_odd_chains (&rig);
    assert_image (&rig, 0, before, IMAGE_SIZE);
    g_assert_cmpuint (rig_ask (&rig, IN, 0, SECTOR), ==, OK);
  }
}

static void
test_read_only (void)
{
  const Kind kind = { VHOST_VIRTIO_BLK_ENGINE_AUTO, VHOST_VIRTIO_BLK_FLAGS_READ_ONLY };
  const Range range = { 0, 8, 0 };
  g_auto (Rig) rig = { 0 };

  rig_init (&rig, &kind);
  g_assert_cmpuint (rig_ask (&rig, OUT, 0, SECTOR), ==, IOERR);
  g_assert_cmpuint (ask_ranges (&rig, DISCARD, &range, 1), ==, IOERR);
  g_assert_cmpuint (ask_ranges (&rig, WRITE_ZEROES, &range, 1), ==, IOERR);
  g_assert_cmpuint (rig_ask (&rig, IN, 1, SECTOR), ==, OK);
  g_assert_cmpuint (*(guint32 *) rig_data (&rig), ==, 1);
  assert_image (&rig, 0, (guint32[]){ 0, 1, 2 }, 12);
}

/* --- Errors of the file and of memory ------------------------------------------------------ */

static void
test_file_cut_short (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    const guint8 zeroes[SECTOR] = { 0 };
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, &kinds[k]);
    g_assert_cmpint (ftruncate (rig.image_fd, 9 * SECTOR), ==, 0);
    memset (rig_data (&rig), 0x55, 4 * SECTOR);
    g_assert_cmpuint (rig_ask (&rig, IN, 8, 4 * SECTOR), ==, IOERR);
    g_assert_cmpuint (rig_wait (&rig), ==, 4 * SECTOR + 1);
    g_assert_cmpmem ((guint8 *) rig_data (&rig) + 3 * SECTOR, SECTOR, zeroes, SECTOR);
    g_assert_cmpuint (rig_ask (&rig, IN, 100, SECTOR), ==, IOERR);
    g_assert_cmpuint (rig_ask (&rig, IN, 8, SECTOR), ==, OK);
  }
}

/* Bytes may go into the file up to the limit: what fits is written, the request fails. */
static void
test_no_space (void)
{
  struct rlimit old;

  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    const struct rlimit limit = { 64 * SECTOR, old.rlim_max };
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, &kinds[k]);
    fill (rig_data (&rig), 16 * SECTOR, 3);
    setrlimit (RLIMIT_FSIZE, &limit);
    g_assert_cmpuint (rig_ask (&rig, OUT, 56, 16 * SECTOR), ==, IOERR);
    g_assert_cmpuint (rig_ask (&rig, OUT, 100, SECTOR), ==, IOERR);
    g_assert_cmpuint (rig_ask (&rig, OUT, 40, 8 * SECTOR), ==, OK);
    setrlimit (RLIMIT_FSIZE, &old);
    assert_image (&rig, 64 * SECTOR, (guint32[]){ 64 }, 4);
    g_assert_cmpuint (rig_ask (&rig, OUT, 56, 16 * SECTOR), ==, OK);
    assert_image (&rig, 56 * SECTOR, rig_data (&rig), 16 * SECTOR);
  }
}

static void
test_memory_cut_short (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, &kinds[k]);
    g_assert_cmpint (ftruncate (rig.guest.base_fd, DATA_AT - GUEST_BASE), ==, 0);
    rig_ask (&rig, OUT, 0, 4 * SECTOR);
    g_assert_cmpuint (rig_get_status (&rig), ==, IOERR);
    assert_image (&rig, 0, (guint32[]){ 0, 1, 2 }, 12);
  }
}

/* --- Ends ---------------------------------------------------------------------------------- */

static void
offer_flush (Rig *rig)
{
  const Piece pieces[] = { { HEADER_AT, 16, FALSE }, { STATUS_AT, 1, TRUE } };

  rig_write_header (rig, FLUSH, 0);
  rig_offer (rig, pieces, 2);
}

static void
wait_for_first (Rig *rig)
{
  guint n = 0;

  while (n == 0) {
    VHOST_BACKEND_PAUSE (rig->backend);
    g_main_context_iteration (NULL, FALSE);
    n = vhost_queue_get_n_in_flight (rig->vring->queue) + vhost_ring_load16 (&rig->guest.used->idx);
  }
}

static gboolean
stop_ring (Rig *rig)
{
  VHOST_BACKEND_PAUSE (rig->backend);
  return vhost_vring_stop (rig->backend, rig->vring);
}

static guint32
end_ring (Rig *rig)
{
  VHOST_BACKEND_PAUSE (rig->backend);
  return vhost_vring_finish_stop (rig->backend, rig->vring);
}

/* What is in flight is used before the ring is said to be empty. */
static void
test_stop_waits (void)
{
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    g_auto (Rig) rig = { 0 };
    gboolean stopped;
    guint32 base;

    rig_init (&rig, &kinds[k]);
    for (guint i = 0; i < 8; i++)
      offer_flush (&rig);
    wait_for_first (&rig);
    stopped = stop_ring (&rig);
    while (!stopped && rig.bus->n_drained == 0)
      g_main_context_iteration (NULL, TRUE);
    base = end_ring (&rig);
    g_assert_cmpuint (base, >, 0);
    g_assert_cmpuint (base, ==, vhost_ring_load16 (&rig.guest.used->idx));
    g_assert_true (kinds[k].on_worker || base == rig.n_asked);
    g_assert_cmpuint (rig_get_status (&rig), ==, OK);
  }
}

/* The front-end leaves with requests in flight and comes back: none of the old ones touches the new
 * ring, none of the new ones is served before them. */
static guint
leave_and_come_back (guint round)
{
  const Piece write[] = { { HEADER_AT, 16, FALSE },
                          { DATA_AT, 64 * 1024, FALSE },
                          { STATUS_AT, 1, TRUE } };
  g_auto (Rig) rig = { 0 };
  guint n_in_flight;
  guint16 used;

  rig_init (&rig, &kinds[round % G_N_ELEMENTS (kinds)]);
  rig_write_header (&rig, OUT, 128);
  rig_offer (&rig, write, 3);
  rig_wait (&rig);
  for (guint i = 0; i < 8; i++)
    offer_flush (&rig);
  for (guint i = 0; i < round / G_N_ELEMENTS (kinds); i++)
    g_main_context_iteration (NULL, FALSE);
  n_in_flight = vhost_queue_get_n_in_flight (rig.vring->queue);
  vhost_backend_end_session (rig.backend);
  used = vhost_ring_load16 (&rig.guest.used->idx);
  g_usleep (round % 3 * 100);
  g_assert_cmpuint (vhost_ring_load16 (&rig.guest.used->idx), ==, used);
  rig_begin (&rig);
  g_assert_cmpuint (rig_wait (&rig), ==, 1);
  g_assert_cmpuint (rig_ask (&rig, IN, 1, SECTOR), ==, OK);
  g_assert_cmpuint (*(guint32 *) rig_data (&rig), ==, 1);
  return n_in_flight;
}

static void
test_leave_and_come_back (void)
{
  guint n_in_flight = 0;

  for (guint round = 0; round < 60; round++)
    n_in_flight += leave_and_come_back (round);
  g_assert_cmpuint (n_in_flight, >, 0);
}

/* --- Object -------------------------------------------------------------------------------- */

static guint64
read_capacity (Rig *rig)
{
  guint64 capacity;

  g_assert_true (vhost_backend_read_config (rig->backend, 0, 8, (guint8 *) &capacity, NULL));
  return GUINT64_FROM_LE (capacity);
}

static void
test_size (void)
{
  g_auto (Rig) rig = { 0 };

  rig_init (&rig, &kinds[0]);
  g_assert_cmpuint (vhost_virtio_blk_get_size (rig.disk), ==, IMAGE_SIZE);
  g_assert_true (vhost_virtio_blk_refresh_size (rig.disk, NULL));
  g_assert_cmpuint (rig.bus->n_config_changes, ==, 0);
  g_assert_cmpint (ftruncate (rig.image_fd, 2 * IMAGE_SIZE + 100), ==, 0);
  g_assert_cmpuint (rig_ask (&rig, IN, IMAGE_SIZE / SECTOR, SECTOR), ==, IOERR);
  g_assert_true (vhost_virtio_blk_refresh_size (rig.disk, NULL));
  g_assert_cmpuint (rig.bus->n_config_changes, ==, 1);
  g_assert_cmpuint (read_capacity (&rig), ==, 2 * IMAGE_SIZE / SECTOR);
  g_assert_cmpuint (rig_ask (&rig, IN, 2 * IMAGE_SIZE / SECTOR - 1, SECTOR), ==, OK);
  g_assert_cmpint (ftruncate (rig.image_fd, IMAGE_SIZE), ==, 0);
  g_assert_cmpuint (read_capacity (&rig), ==, IMAGE_SIZE / SECTOR); /* on demand */
  g_assert_cmpuint (vhost_virtio_blk_get_size (rig.disk), ==, IMAGE_SIZE);
}

/* A driver that cannot flush, or has switched the cache off, finds each write on the disk. */
static void
test_cache (void)
{
  const guint64 flush = VHOST_BIT (VHOST_BLK_FEATURE_FLUSH);
  const guint64 wce = VHOST_BIT (VHOST_BLK_FEATURE_CONFIG_WCE);
  const guint64 version = VHOST_BIT (VHOST_FEATURE_VERSION_1);
  const guint8 off = 0;
  g_auto (Rig) rig = { 0 };
  guint64 offered;
  guint8 mode;

  rig_init (&rig, &kinds[0]);
  g_object_get (rig.backend, "features", &offered, NULL);
  g_assert_true (vhost_blk_config_is_write_through (rig.backend));
  vhost_backend_end_session (rig.backend);
  g_assert_true (vhost_backend_accept_features (rig.backend, offered, version | flush, NULL));
  g_assert_false (vhost_blk_config_is_write_through (rig.backend));
  g_assert_true (vhost_backend_accept_features (rig.backend, offered, version | wce, NULL));
  g_assert_false (vhost_blk_config_is_write_through (rig.backend));
  g_assert_true (vhost_backend_write_config (rig.backend, 32, 1, &off, FALSE, NULL));
  g_assert_true (vhost_blk_config_is_write_through (rig.backend));
  g_assert_false (vhost_backend_write_config (rig.backend, 31, 2, &off, FALSE, NULL));
  g_assert_true (vhost_backend_accept_features (rig.backend, offered, version, NULL));
  g_assert_true (vhost_backend_read_config (rig.backend, 32, 1, &mode, NULL));
  g_assert_cmpuint (mode, ==, 1);
}

static void
test_null (void)
{
  g_autoptr (Bus) bus =
      g_object_new (BUS_TYPE, "device-id", VHOST_DEVICE_ID_BLOCK, "n-queues", 2, NULL);
  g_autoptr (VhostVirtioBlk) disk = vhost_virtio_blk_new (VHOST_BACKEND (bus));
  g_autoptr (GError) error = NULL;

  g_assert_true (vhost_virtio_blk_open_null (disk, 1000, &error));
  g_assert_cmpuint (vhost_virtio_blk_get_size (disk), ==, 512);
  g_assert_false (vhost_virtio_blk_open_null (disk, 1000, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
}

static void
check_not_opened (const char *path, int code)
{
  g_autoptr (Bus) bus = g_object_new (BUS_TYPE, NULL);
  g_autoptr (VhostVirtioBlk) disk = vhost_virtio_blk_new (VHOST_BACKEND (bus));
  g_autoptr (GError) error = NULL;

  g_assert_false (vhost_virtio_blk_open (disk, path, VHOST_VIRTIO_BLK_FLAGS_READ_ONLY, &error));
  g_assert_error (error, G_IO_ERROR, code);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_false (vhost_virtio_blk_refresh_size (disk, NULL));
}

static void
test_not_a_disk (void)
{
  check_not_opened ("/nonexistent", G_IO_ERROR_NOT_FOUND);
  check_not_opened ("/dev/null", G_IO_ERROR_NOT_REGULAR_FILE);
  check_not_opened ("/tmp", G_IO_ERROR_NOT_REGULAR_FILE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtio-blk/round-trip", test_round_trip);
  g_test_add_func ("/virtio-blk/odd-pieces", test_odd_pieces);
  g_test_add_func ("/virtio-blk/ranges", test_ranges);
  g_test_add_func ("/virtio-blk/hostile", test_hostile);
  g_test_add_func ("/virtio-blk/read-only", test_read_only);
  g_test_add_func ("/virtio-blk/file-cut-short", test_file_cut_short);
  g_test_add_func ("/virtio-blk/no-space", test_no_space);
  g_test_add_func ("/virtio-blk/memory-cut-short", test_memory_cut_short);
  g_test_add_func ("/virtio-blk/stop-waits", test_stop_waits);
  g_test_add_func ("/virtio-blk/leave-and-come-back", test_leave_and_come_back);
  g_test_add_func ("/virtio-blk/size", test_size);
  g_test_add_func ("/virtio-blk/cache", test_cache);
  g_test_add_func ("/virtio-blk/null", test_null);
  g_test_add_func ("/virtio-blk/not-a-disk", test_not_a_disk);
  return g_test_run ();
}
