/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles of chains: bytes over several pieces and regions, files, and what a dead handle may do.
 */

#include <fcntl.h>
#include <gio/gio.h>
#include "test-fds.h"
#include "test-queue.h"

#define NEXT VHOST_RING_DESC_NEXT
#define WRITE VHOST_RING_DESC_WRITE

/* 10 + 300 + 2 bytes to read, the second piece over two regions; 5 + 600 + 1 to write. */
static VhostChain *
pop_long_chain (Rig *rig)
{
  const guint64 address[] = { GUEST_BUFFERS,   GUEST_NEXT - 100, GUEST_APART,
                              GUEST_APART + 8, GUEST_NEXT - 700, GUEST_NEXT + 4000 };
  const guint32 length[] = { 10, 300, 2, 5, 600, 1 };
  VhostChain *chain;

  for (guint i = 0; i < 6; i++)
    guest_write_desc (&rig->guest, i, address[i], length[i],
                      (i < 5 ? NEXT : 0) | (i > 2 ? WRITE : 0), (guint16) (i + 1));
  guest_offer (&rig->guest, 0);
  chain = vhost_queue_pop (rig->queue);
  g_assert_nonnull (chain);
  g_assert_cmpuint (vhost_chain_get_head (chain), ==, 0);
  g_assert_cmpuint (vhost_chain_get_readable_size (chain), ==, 312);
  g_assert_cmpuint (vhost_chain_get_writable_size (chain), ==, 606);
  return chain;
}

static void
fill_readable (Rig *rig, guint8 *expected)
{
  guint8 bytes[312];

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i * 7 + 1);
  memcpy (expected, bytes, sizeof bytes);
  g_assert_true (vhost_memory_write (rig->guest.memory, GUEST_BUFFERS, bytes, 10, NULL));
  g_assert_true (vhost_memory_write (rig->guest.memory, GUEST_NEXT - 100, bytes + 10, 300, NULL));
  g_assert_true (vhost_memory_write (rig->guest.memory, GUEST_APART, bytes + 310, 2, NULL));
}

static void
test_read (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  guint8 expected[312];

  rig_init (&rig, 8, TRUE);
  fill_readable (&rig, expected);
  chain = pop_long_chain (&rig);
  for (gsize offset = 0; offset < 320; offset++) {
    for (gsize size = 0; size < 330; size += 1 + offset % 37) {
      gsize length;
      g_autofree guint8 *bytes = vhost_chain_read (chain, offset, size, &length);

      g_assert_nonnull (bytes);
      g_assert_cmpmem (bytes, length, expected + MIN (offset, 312),
                       MIN (size, 312 - MIN (offset, 312)));
    }
  }
}

static void
test_write (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  g_autofree guint8 *written = NULL;
  guint8 bytes[700];
  gsize length;

  rig_init (&rig, 8, TRUE);
  chain = pop_long_chain (&rig);
  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i * 5 + 3);
  g_assert_cmpuint (vhost_chain_write (chain, 0, bytes, 3), ==, 3);
  g_assert_cmpuint (vhost_chain_write (chain, 3, bytes + 3, 697), ==, 603);
  g_assert_cmpuint (vhost_chain_write (chain, 606, bytes, 1), ==, 0);
  g_assert_cmpuint (vhost_chain_write (chain, G_MAXSIZE, bytes, 1), ==, 0);
  written = vhost_memory_read (rig.guest.memory, GUEST_NEXT - 700, 600, &length, NULL);
  g_assert_cmpmem (written, length, bytes + 5, 600);

  g_assert_cmpuint (vhost_chain_fill (chain, 600, 0x77, G_MAXSIZE), ==, 6);
  g_assert_cmpuint (*(guint8 *) guest_at (&rig.guest, GUEST_NEXT + 4000), ==, 0x77);
  g_assert_cmpuint (*(guint8 *) guest_at (&rig.guest, GUEST_NEXT + 4001), ==, 0);
  g_assert_true (vhost_queue_push (rig.queue, chain, 606));
  g_assert_cmpuint (GUINT32_FROM_LE (rig.guest.used->ring[0].len), ==, 606);
}

/* What is reported as written was written, from the start and without a gap. */
static void
test_written (guint *n_fds, gconstpointer data)
{
  static const struct {
    gsize offset[3];
    gsize size[3];
    gsize claimed;
    guint32 reported;
  } rows[] = {
    { { 0, 0, 0 }, { 0, 0, 0 }, 606, 0 },
    { { 0, 0, 0 }, { 10, 0, 0 }, 606, 10 },
    { { 0, 0, 0 }, { 10, 0, 0 }, 4, 4 },
    { { 10, 0, 0 }, { 10, 0, 0 }, 606, 0 },
    { { 0, 10, 15 }, { 10, 10, 591 }, G_MAXSIZE, 606 },
    { { 0, 11, 0 }, { 10, 10, 5 }, 606, 10 },
    { { 0, 0, 600 }, { 606, 1, 100 }, 606, 606 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_auto (Rig) rig = { 0 };
    g_autoptr (VhostChain) chain = NULL;

    rig_init (&rig, 8, TRUE);
    chain = pop_long_chain (&rig);
    for (guint k = 0; k < 3; k++)
      vhost_chain_fill (chain, rows[i].offset[k], 1, rows[i].size[k]);
    g_assert_true (vhost_queue_push (rig.queue, chain, rows[i].claimed));
    g_assert_cmpuint (GUINT32_FROM_LE (rig.guest.used->ring[0].len), ==, rows[i].reported);
  }
}

static void
test_files (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = memfd_create ("file", MFD_CLOEXEC);
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  g_autoptr (GError) error = NULL;
  guint8 expected[312];
  guint8 bytes[400];

  rig_init (&rig, 8, TRUE);
  fill_readable (&rig, expected);
  chain = pop_long_chain (&rig);
  g_assert_cmpint (vhost_chain_read_to_fd (chain, 5, G_MAXSIZE, fd, 1000, &error), ==, 307);
  g_assert_cmpint (pread (fd, bytes, sizeof bytes, 1000), ==, 307);
  g_assert_cmpmem (bytes, 307, expected + 5, 307);
  g_assert_cmpint (vhost_chain_read_to_fd (chain, 0, 20, fd, -1, &error), ==, 20);
  g_assert_cmpint (vhost_chain_read_to_fd (chain, 312, 20, fd, -1, &error), ==, 0);

  g_assert_cmpint (vhost_chain_write_from_fd (chain, 0, 50, fd, 1000, &error), ==, 50);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 50, G_MAXSIZE, fd, 1050, &error), ==, 257);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 307, 9, fd, 5000, &error), ==, 0);
  g_assert_no_error (error);
  g_assert_true (vhost_memory_find_range (rig.guest.memory, VHOST_ADDRESS_GUEST, GUEST_APART + 8,
                                          5)[0] == expected[5]);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 0, 9, -1, 0, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, (int) g_io_error_from_errno (EBADF));
  g_assert_true (vhost_queue_push (rig.queue, chain, 606));
  g_assert_cmpuint (GUINT32_FROM_LE (rig.guest.used->ring[0].len), ==, 307);
}

static void
test_pipe (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  g_autoptr (GError) error = NULL;
  VHOST_AUTO_FD reader = -1;
  VHOST_AUTO_FD writer = -1;
  int ends[2];

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC | O_NONBLOCK), ==, 0);
  reader = ends[0];
  writer = ends[1];
  rig_init (&rig, 8, TRUE);
  chain = pop_long_chain (&rig);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 0, 100, reader, -1, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_assert_cmpint (write (writer, "abcdefgh", 8), ==, 8);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 0, 100, reader, -1, NULL), ==, 8);
  g_assert_cmpint (memcmp (guest_at (&rig.guest, GUEST_NEXT - 700), "fgh", 3), ==, 0);
}

static void
assert_dead (VhostChain *chain, VhostQueue *queue)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *bytes = NULL;
  gsize length = 99;

  g_assert_false (vhost_chain_is_alive (chain));
  g_assert_cmpuint (vhost_chain_get_readable_size (chain), ==, 0);
  g_assert_cmpuint (vhost_chain_get_writable_size (chain), ==, 0);
  g_assert_cmpuint (vhost_chain_write (chain, 0, (const guint8 *) "x", 1), ==, 0);
  g_assert_cmpuint (vhost_chain_fill (chain, 0, 1, 1), ==, 0);
  bytes = vhost_chain_read (chain, 0, 1, &length);
  g_assert_nonnull (bytes);
  g_assert_cmpuint (length, ==, 0);
  g_assert_cmpint (vhost_chain_read_to_fd (chain, 0, 1, 1, -1, &error), ==, -1);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_assert_cmpint (vhost_chain_write_from_fd (chain, 0, 1, 0, -1, NULL), ==, -1);
  g_assert_false (vhost_queue_push (queue, chain, 1));
  g_assert_false (vhost_queue_unpop (queue, chain));
}

static void
test_dead_handle (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) pushed = NULL;
  g_autoptr (VhostChain) unpopped = NULL;
  g_autoptr (VhostChain) stopped = NULL;

  rig_init (&rig, 8, TRUE);
  guest_offer_buffer (&rig.guest, 0, 64, TRUE);
  pushed = vhost_queue_pop (rig.queue);
  g_assert_true (vhost_queue_push (rig.queue, pushed, 0));
  assert_dead (pushed, rig.queue);

  guest_offer_buffer (&rig.guest, 0, 64, TRUE); /* the same head again */
  unpopped = vhost_queue_pop (rig.queue);
  assert_dead (pushed, rig.queue);
  g_assert_true (vhost_chain_is_alive (unpopped));
  g_assert_true (vhost_queue_unpop (rig.queue, unpopped));
  assert_dead (unpopped, rig.queue);

  stopped = vhost_queue_pop (rig.queue);
  assert_dead (unpopped, rig.queue);
  g_assert_false (vhost_queue_stop (rig.queue));
  g_assert_true (vhost_chain_is_alive (stopped));
  g_assert_cmpuint (vhost_queue_finish_stop (rig.queue), ==, 0);
  assert_dead (stopped, rig.queue);
  rig_start (&rig);
  {
    g_autoptr (VhostChain) again = vhost_queue_pop (rig.queue);

    g_assert_nonnull (again);
    assert_dead (stopped, rig.queue);
    g_assert_cmpuint (vhost_chain_write (again, 0, (const guint8 *) "x", 1), ==, 1);
  }
}

static void
test_other_queue (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) one = { 0 };
  g_auto (Rig) other = { 0 };
  g_autoptr (VhostChain) chain = NULL;

  rig_init (&one, 8, TRUE);
  rig_init (&other, 8, TRUE);
  guest_offer_buffer (&one.guest, 0, 64, TRUE);
  guest_offer_buffer (&other.guest, 0, 64, TRUE);
  chain = vhost_queue_pop (one.queue);
  vhost_chain_unref (vhost_queue_pop (other.queue));
  g_assert_false (vhost_queue_push (other.queue, chain, 0));
  g_assert_true (vhost_queue_push (one.queue, chain, 0));
}

/* The handle keeps the queue, and nothing of its memory. */
static void
test_handle_outlives_queue (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;

  rig_init (&rig, 8, TRUE);
  guest_offer_buffer (&rig.guest, 0, 64, TRUE);
  chain = vhost_queue_pop (rig.queue);
  vhost_queue_finish_stop (rig.queue);
  g_clear_object (&rig.queue);
  g_assert_false (vhost_chain_is_alive (chain));
  g_assert_cmpuint (vhost_chain_fill (chain, 0, 0, 10), ==, 0);
}

/* The kernel meets the end of the file behind the buffer. */
static void
test_lost_file (guint *n_fds, gconstpointer data)
{
  VHOST_AUTO_FD fd = memfd_create ("file", MFD_CLOEXEC);
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  g_autoptr (GError) error = NULL;

  rig_init (&rig, 8, TRUE);
  guest_offer_buffer (&rig.guest, 0, 64, FALSE);
  chain = vhost_queue_pop (rig.queue);
  g_assert_cmpint (ftruncate (rig.guest.base_fd, GUEST_BUFFERS - GUEST_BASE), ==, 0);
  g_assert_cmpint (vhost_chain_read_to_fd (chain, 0, 64, fd, -1, &error), ==, -1);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_MEMORY);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/chain/read", test_read);
  add_fd_test ("/chain/write", test_write);
  add_fd_test ("/chain/files", test_files);
  add_fd_test ("/chain/pipe", test_pipe);
  add_fd_test ("/chain/other-queue", test_other_queue);
  add_fd_test ("/chain/outlives-queue", test_handle_outlives_queue);
  add_fd_test ("/hostile/H029-lost-file", test_lost_file);
  add_fd_test ("/hostile/H061-written", test_written);
  add_fd_test ("/hostile/H064-dead-handle", test_dead_handle);
  return g_test_run ();
}
