/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches that go around the end of a ring, and buffers in several regions: which pages of the log
 * they mark. */

#include "ring/vhost-queue-state-private.h"
#include "test-queue.h"

#define PAGE VHOST_DIRTY_LOG_PAGE
#define SIZE 1024
#define N_BATCH 8
#define LOG_BYTES 4096
#define RING_ADDRESS                                                                               \
  (0x9000 - 4) /* in the log: the entries begin with a page, idx is before it                      \
                */

typedef struct {
  Rig rig;
  int fd;
  guint8 *bytes;
} Logged;

static void
logged_init (Logged *logged, guint16 base)
{
  VhostQueueLog log = { .ring = TRUE, .ring_address = RING_ADDRESS };

  rig_set_up (&logged->rig, SIZE, TRUE);
  logged->rig.guest.avail->idx = logged->rig.guest.used->idx = GUINT16_TO_LE (base);
  logged->rig.setup.base = base;
  vhost_queue_set_enabled (logged->rig.queue, TRUE);
  g_assert_true (vhost_queue_start (logged->rig.queue, &logged->rig.setup, logged->rig.guest.memory,
                                    logged->rig.reactor, NULL));
  logged->fd = memfd_create ("log", MFD_CLOEXEC);
  g_assert_cmpint (ftruncate (logged->fd, LOG_BYTES), ==, 0);
  logged->bytes = mmap (NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, logged->fd, 0);
  g_assert_true (logged->bytes != MAP_FAILED);
  log.pages = vhost_dirty_log_map (logged->fd, LOG_BYTES, 0, NULL);
  g_assert_nonnull (log.pages);
  vhost_queue_set_log (logged->rig.queue, &log);
  vhost_dirty_log_unref (log.pages);
}

static void
logged_clear (Logged *logged)
{
  rig_clear (&logged->rig);
  munmap (logged->bytes, LOG_BYTES);
  vhost_fd_clear (&logged->fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Logged, logged_clear)

static void
forget_marks (Logged *logged)
{
  memset (logged->bytes, 0, LOG_BYTES);
}

/* Exactly the pages of these addresses are marked; the list ends with 0. */
static void
assert_marked (const Logged *logged, const guint64 *addresses)
{
  guint8 wanted[LOG_BYTES] = { 0 };

  for (; *addresses != 0; addresses++)
    wanted[*addresses / PAGE / 8] |= (guint8) (1 << *addresses / PAGE % 8);
  g_assert_cmpmem (logged->bytes, LOG_BYTES, wanted, LOG_BYTES);
}

static void
pop_batch (Logged *logged, VhostSlot **slots)
{
  for (guint16 head = 0; head < N_BATCH; head++)
    guest_offer_buffer (&logged->rig.guest, head, 16, TRUE);
  g_assert_cmpuint (vhost_queue_pop_slots (logged->rig.queue, slots, N_BATCH), ==, N_BATCH);
  forget_marks (logged);
}

static void
test_around_the_end (void)
{
  const guint32 lengths[N_BATCH] = { 0 };
  const guint64 all[] = { RING_ADDRESS, RING_ADDRESS + 4, RING_ADDRESS + 4 + 8 * (SIZE - 1), 0 };
  g_auto (Logged) logged = { .fd = -1 };
  VhostSlot *slots[N_BATCH];

  logged_init (&logged, SIZE - N_BATCH / 2);
  pop_batch (&logged, slots);
  vhost_queue_push_slots (logged.rig.queue, slots, lengths, N_BATCH);
  assert_marked (&logged, all);
}

static void
test_up_to_the_end (void)
{
  const guint32 lengths[N_BATCH] = { 0 };
  const guint64 all[] = { RING_ADDRESS, RING_ADDRESS + 4 + 8 * (SIZE - 1), 0 };
  g_auto (Logged) logged = { .fd = -1 };
  VhostSlot *slots[N_BATCH];

  logged_init (&logged, SIZE - N_BATCH);
  pop_batch (&logged, slots);
  vhost_queue_push_slots (logged.rig.queue, slots, lengths, N_BATCH);
  assert_marked (&logged, all);
}

static void
test_all_of_the_ring_at_the_start (void)
{
  const guint64 all[] = { RING_ADDRESS, RING_ADDRESS + 4, RING_ADDRESS + 4 + 4096,
                          RING_ADDRESS + 4 + 8192, 0 };
  g_auto (Logged) logged = { .fd = -1 };

  logged_init (&logged, 0);
  assert_marked (&logged, all);
}

/* What is reported as written counts, from the first writable byte on. */
static void
test_buffer_in_two_regions (void)
{
  const guint32 lengths[] = { 0, 1, PAGE, PAGE + 1 };
  const guint64 start = GUEST_NEXT - PAGE;
  const guint64 marked[][5] = {
    { RING_ADDRESS, RING_ADDRESS + 4, 0 },
    { RING_ADDRESS, RING_ADDRESS + 4, start, 0 },
    { RING_ADDRESS, RING_ADDRESS + 4, start, 0 },
    { RING_ADDRESS, RING_ADDRESS + 4, start, GUEST_NEXT, 0 },
  };
  g_auto (Logged) logged = { .fd = -1 };

  logged_init (&logged, 0);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    VhostSlot *slot;

    guest_write_desc (&logged.rig.guest, 0, GUEST_APART, PAGE, VHOST_RING_DESC_NEXT, 1);
    guest_write_desc (&logged.rig.guest, 1, start, 3 * PAGE, VHOST_RING_DESC_WRITE, 0);
    guest_offer (&logged.rig.guest, 0);
    g_assert_cmpuint (vhost_queue_pop_slots (logged.rig.queue, &slot, 1), ==, 1);
    forget_marks (&logged);
    vhost_queue_push_slots (logged.rig.queue, &slot, &lengths[i], 1);
    assert_marked (&logged, marked[i]);
  }
}

/* Completions that were held back while the ring was away: the buffers are marked at once, the ring
 * when it is written. */
static void
test_held_back (void)
{
  const guint32 length = 1;
  const guint64 buffer[] = { GUEST_APART, 0 };
  const guint64 ring[] = { RING_ADDRESS, RING_ADDRESS + 4, RING_ADDRESS + 4 + 8192, 0 };
  g_autoptr (VhostMemory) none = vhost_memory_new ();
  g_auto (Logged) logged = { .fd = -1 };
  VhostSlot *slot;

  logged_init (&logged, 0);
  guest_write_desc (&logged.rig.guest, 0, GUEST_APART, 1, VHOST_RING_DESC_WRITE, 0);
  guest_offer (&logged.rig.guest, 0);
  g_assert_cmpuint (vhost_queue_pop_slots (logged.rig.queue, &slot, 1), ==, 1);
  g_assert_false (vhost_queue_set_memory (logged.rig.queue, none));
  forget_marks (&logged);
  vhost_queue_push_slots (logged.rig.queue, &slot, &length, 1);
  assert_marked (&logged, buffer);
  forget_marks (&logged);
  g_assert_true (vhost_queue_set_memory (logged.rig.queue, logged.rig.guest.memory));
  rig_run (&logged.rig);
  assert_marked (&logged, ring);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/queue-log/around-the-end", test_around_the_end);
  g_test_add_func ("/queue-log/up-to-the-end", test_up_to_the_end);
  g_test_add_func ("/queue-log/all-at-the-start", test_all_of_the_ring_at_the_start);
  g_test_add_func ("/queue-log/two-regions", test_buffer_in_two_regions);
  g_test_add_func ("/queue-log/held-back", test_held_back);
  return g_test_run ();
}
