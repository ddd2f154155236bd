/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting, stopping, and memory that changes or goes away under a queue. */

#include "ring/vhost-queue-state-private.h"
#include "test-fds.h"
#include "test-queue.h"

static void
offer (Rig *rig, guint first, guint n)
{
  for (guint i = 0; i < n; i++)
    guest_offer_buffer (&rig->guest, (guint16) ((first + i) % rig->setup.size), 16, TRUE);
}

static VhostChain *
pop (Rig *rig)
{
  VhostChain *chain = vhost_queue_pop (rig->queue);

  g_assert_nonnull (chain);
  return chain;
}

static guint
get_n_drained (Rig *rig)
{
  return rig->n_events[VHOST_QUEUE_EVENT_DRAINED];
}

static guint16
get_used_idx (Rig *rig)
{
  return vhost_ring_load16 (&rig->guest.used->idx);
}

/* --- Stop ---------------------------------------------------------------------------------- */

static void
test_stop (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_init (&rig, 8, TRUE);
  g_assert_true (vhost_queue_is_started (rig.queue));
  offer (&rig, 0, 3);
  rig_run (&rig);
  g_assert_true (vhost_queue_stop (rig.queue));
  g_assert_cmpuint (get_n_drained (&rig), ==, 1);
  g_assert_false (vhost_queue_is_started (rig.queue));
  g_assert_true (vhost_queue_stop (rig.queue));
  g_assert_cmpuint (get_n_drained (&rig), ==, 1);
  g_assert_cmpuint (vhost_queue_finish_stop (rig.queue), ==, 0);
  g_assert_cmpuint (vhost_queue_get_base (rig.queue), ==, 3);

  offer (&rig, 3, 1);
  vhost_fd_signal_event (rig.kick_fd);
  rig_run (&rig);
  g_assert_cmpuint (get_used_idx (&rig), ==, 3);
  rig_start (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_used_idx (&rig), ==, 4);
}

static void
test_stop_in_flight (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) first = NULL;
  g_autoptr (VhostChain) second = NULL;

  rig_init (&rig, 8, FALSE);
  offer (&rig, 0, 4);
  first = pop (&rig);
  second = pop (&rig);
  g_assert_false (vhost_queue_stop (rig.queue));
  g_assert_null (vhost_queue_pop (rig.queue));
  g_assert_cmpuint (get_n_drained (&rig), ==, 0);
  g_assert_true (vhost_queue_push (rig.queue, second, 0));
  vhost_queue_notify (rig.queue);
  g_assert_true (take_event (rig.call_fd));
  g_assert_cmpuint (get_n_drained (&rig), ==, 0);
  g_assert_true (vhost_queue_push (rig.queue, first, 0));
  g_assert_cmpuint (get_n_drained (&rig), ==, 1);
  g_assert_cmpuint (get_used_idx (&rig), ==, 2);
  g_assert_cmpuint (vhost_queue_finish_stop (rig.queue), ==, 0);
  g_assert_cmpuint (vhost_queue_get_base (rig.queue), ==, 2);
}

/* Chains that are cut off are fetched again after the next start, where that is possible. */
static void
test_rewind (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_init (&rig, 8, TRUE);
  offer (&rig, 0, 4);
  while (rig.n_kept < 4)
    rig.kept[rig.n_kept++] = pop (&rig);
  g_assert_true (vhost_queue_push (rig.queue, rig.kept[1], 0));
  vhost_queue_stop (rig.queue);
  g_assert_cmpuint (vhost_queue_finish_stop (rig.queue), ==, 1); /* the first one */
  g_assert_cmpuint (vhost_queue_get_base (rig.queue), ==, 2);
  g_assert_false (vhost_queue_push (rig.queue, rig.kept[0], 0));
  rig_start (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_used_idx (&rig), ==, 3);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 0);
}

static void
test_start_twice (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (GError) error = NULL;

  rig_init (&rig, 8, TRUE);
  g_assert_false (vhost_queue_start (rig.queue, &rig.setup, rig.guest.memory, rig.reactor, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_assert_true (vhost_queue_is_started (rig.queue));
}

static void
count_notify (GObject *object, GParamSpec *pspec, gpointer data)
{
  (*(guint *) data)++;
}

static void
test_notify_properties (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  guint n_started = 0;
  guint n_enabled = 0;

  rig_set_up (&rig, 8, TRUE);
  g_signal_connect (rig.queue, "notify::started", G_CALLBACK (count_notify), &n_started);
  g_signal_connect (rig.queue, "notify::enabled", G_CALLBACK (count_notify), &n_enabled);
  vhost_queue_set_enabled (rig.queue, TRUE);
  vhost_queue_set_enabled (rig.queue, TRUE);
  rig_start (&rig);
  vhost_queue_stop (rig.queue);
  vhost_queue_finish_stop (rig.queue);
  g_assert_cmpuint (n_started, ==, 2);
  g_assert_cmpuint (n_enabled, ==, 1);
  g_assert_true (vhost_queue_is_enabled (rig.queue));
}

/* --- Memory -------------------------------------------------------------------------------- */

/* A table with the same regions. */
static VhostMemory *
copy_memory (VhostMemory *memory, gboolean with_base)
{
  VhostMemory *copy = vhost_memory_new ();

  for (guint i = with_base ? 0 : 1; i < vhost_memory_get_n_regions (memory); i++) {
    g_autoptr (VhostMemory) old = copy;

    copy = vhost_memory_add (old, vhost_memory_get_region (memory, i), NULL);
  }
  return copy;
}

static gboolean
is_held_by_queue (VhostMemory *memory)
{
  return g_atomic_int_get (&memory->ref_count) > 1;
}

static void
test_swap_memory (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostMemory) next = NULL;
  g_autoptr (VhostChain) old = NULL;
  g_autoptr (VhostChain) young = NULL;

  rig_init (&rig, 8, TRUE);
  next = copy_memory (rig.guest.memory, TRUE);
  offer (&rig, 0, 3);
  old = pop (&rig);
  g_assert_true (vhost_queue_set_memory (rig.queue, next));
  g_assert_true (is_held_by_queue (rig.guest.memory)); /* as long as its last chain */
  young = pop (&rig);
  g_assert_cmpuint (vhost_chain_fill (old, 0, 7, 16), ==, 16);
  g_assert_true (vhost_queue_push (rig.queue, young, 0));
  g_assert_true (is_held_by_queue (rig.guest.memory));
  g_assert_true (vhost_queue_push (rig.queue, old, 16));
  g_assert_false (is_held_by_queue (rig.guest.memory));
  g_assert_true (is_held_by_queue (next));
  g_assert_cmpuint (get_used_idx (&rig), ==, 2);

  vhost_queue_stop (rig.queue);
  vhost_queue_finish_stop (rig.queue);
  g_assert_false (is_held_by_queue (next));
}

static void
test_swap_and_stop (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostMemory) next = NULL;
  g_autoptr (VhostChain) old = NULL;

  rig_init (&rig, 8, TRUE);
  next = copy_memory (rig.guest.memory, TRUE);
  offer (&rig, 0, 3);
  old = pop (&rig);
  vhost_queue_set_memory (rig.queue, next);
  vhost_queue_stop (rig.queue);
  vhost_queue_finish_stop (rig.queue);
  g_assert_false (is_held_by_queue (rig.guest.memory));
  g_assert_false (is_held_by_queue (next));
}

/* The region with the ring is removed and added again: completions wait for it. */
static void
test_pause (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  g_autoptr (VhostMemory) without = NULL;
  g_autoptr (VhostChain) first = NULL;
  g_autoptr (VhostChain) second = NULL;

  rig_init (&rig, 8, FALSE);
  without = copy_memory (rig.guest.memory, FALSE);
  offer (&rig, 0, 3);
  first = pop (&rig);
  second = pop (&rig);
  g_assert_false (vhost_queue_set_memory (rig.queue, without));
  g_assert_null (vhost_queue_pop (rig.queue));
  g_assert_cmpuint (vhost_chain_fill (first, 0, 1, 16), ==, 16); /* the old table is there yet */
  g_assert_true (vhost_queue_push (rig.queue, first, 16));
  g_assert_false (vhost_chain_is_alive (first));
  vhost_queue_notify (rig.queue);
  vhost_fd_signal_event (rig.kick_fd);
  rig_run (&rig);
  g_assert_cmpuint (get_used_idx (&rig), ==, 0);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 1);
  g_assert_false (take_event (rig.call_fd));

  g_assert_true (vhost_queue_set_memory (rig.queue, rig.guest.memory));
  g_assert_cmpuint (get_used_idx (&rig), ==, 1);
  g_assert_cmpuint (GUINT32_FROM_LE (rig.guest.used->ring[0].len), ==, 16);
  g_assert_true (take_event (rig.call_fd));
  rig_run (&rig);
  g_assert_cmpuint (get_used_idx (&rig), ==, 2);
  g_assert_true (vhost_queue_push (rig.queue, second, 0));
}

static void
test_stop_while_paused (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostMemory) without = NULL;
  g_autoptr (VhostChain) first = NULL;
  g_autoptr (VhostChain) second = NULL;

  rig_init (&rig, 8, FALSE);
  without = copy_memory (rig.guest.memory, FALSE);
  offer (&rig, 0, 3);
  first = pop (&rig);
  second = pop (&rig);
  vhost_queue_set_memory (rig.queue, without);
  g_assert_true (vhost_queue_push (rig.queue, first, 16));
  g_assert_false (vhost_queue_stop (rig.queue));
  g_assert_true (vhost_queue_push (rig.queue, second, 16));
  g_assert_cmpuint (get_n_drained (&rig), ==, 1);
  g_assert_cmpuint (vhost_queue_finish_stop (rig.queue), ==, 2);
  g_assert_false (is_held_by_queue (rig.guest.memory));
}

/* --- Hostile front-ends -------------------------------------------------------------------- */

typedef struct {
  guint size;
  guint64 desc;
  guint64 avail;
  guint64 used;
  VhostError code;
} SetupRow;

static void
assert_setup_rejected (const SetupRow *row)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) start_error = NULL;

  rig_set_up (&rig, 8, TRUE);
  rig.setup.size = row->size;
  rig.setup.desc = row->desc;
  rig.setup.avail = row->avail;
  rig.setup.used = row->used;
  g_assert_false (vhost_queue_check_setup (&rig.setup, rig.guest.memory, &error));
  g_assert_error (error, VHOST_ERROR, (int) row->code);
  g_assert_false (
      vhost_queue_start (rig.queue, &rig.setup, rig.guest.memory, rig.reactor, &start_error));
  g_assert_error (start_error, VHOST_ERROR, (int) row->code);
  g_assert_true (g_str_has_prefix (start_error->message, "queue 3: "));
  g_assert_false (vhost_queue_is_started (rig.queue));
  g_assert_false (is_held_by_queue (rig.guest.memory));
}

static void
test_size (guint *n_fds, gconstpointer data)
{
  const guint sizes[] = { 0, 3, 6, 255, 65536, 0x80000000, G_MAXUINT };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const SetupRow row = { sizes[i], GUEST_DESC, GUEST_AVAIL, GUEST_USED,
                           VHOST_ERROR_INVALID_VALUE };

    assert_setup_rejected (&row);
  }
}

static void
test_ring_address (guint *n_fds, gconstpointer data)
{
  const SetupRow rows[] = {
    { 8, GUEST_DESC + 8, GUEST_AVAIL, GUEST_USED, VHOST_ERROR_INVALID_VALUE },
    { 8, GUEST_DESC, GUEST_AVAIL + 1, GUEST_USED, VHOST_ERROR_INVALID_VALUE },
    { 8, GUEST_DESC, GUEST_AVAIL, GUEST_USED + 2, VHOST_ERROR_INVALID_VALUE },
    { 8, 0, GUEST_AVAIL, GUEST_USED, VHOST_ERROR_BAD_ADDRESS },
    { 8, GUEST_BASE - 16, GUEST_AVAIL, GUEST_USED, VHOST_ERROR_BAD_ADDRESS },
    { 8, GUEST_NEXT - 112, GUEST_AVAIL, GUEST_USED, VHOST_ERROR_BAD_ADDRESS },
    { 8, GUEST_DESC, GUEST_END - 20, GUEST_USED, VHOST_ERROR_BAD_ADDRESS },
    { 8, GUEST_DESC, GUEST_AVAIL, GUEST_END - 68, VHOST_ERROR_BAD_ADDRESS },
    { 8, GUEST_DESC, GUEST_AVAIL, G_MAXUINT64 - 3, VHOST_ERROR_BAD_ADDRESS },
    { 32768, GUEST_NEXT - 16, GUEST_AVAIL, GUEST_USED, VHOST_ERROR_BAD_ADDRESS },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    assert_setup_rejected (&rows[i]);
}

/* Exactly at the end, and by user addresses. */
static void
test_ring_at_the_edge (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };

  rig_set_up (&rig, 8, TRUE);
  rig.setup.desc = GUEST_NEXT - 128;
  rig.setup.avail = GUEST_END - 22;
  rig.setup.used = GUEST_APART + GUEST_APART_SIZE - 72;
  g_assert_true (vhost_queue_check_setup (&rig.setup, rig.guest.memory, NULL));
  rig.setup.kind = VHOST_ADDRESS_USER;
  g_assert_false (vhost_queue_check_setup (&rig.setup, rig.guest.memory, NULL));
  rig.setup.desc += GUEST_USER_OFFSET;
  rig.setup.avail += GUEST_USER_OFFSET;
  rig.setup.used += GUEST_USER_OFFSET;
  g_assert_true (vhost_queue_check_setup (&rig.setup, rig.guest.memory, NULL));
}

/* The file behind the ring is cut short while the queue runs. */
static void
test_truncated_ring (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  g_auto (Rig) other = { .on_kick = echo_all };
  g_autoptr (GError) error = NULL;

  rig_init (&rig, 8, TRUE);
  rig_init (&other, 8, TRUE);
  rig_run (&rig);
  offer (&rig, 0, 2);
  g_assert_cmpint (ftruncate (rig.guest.base_fd, 0), ==, 0);
  vhost_fd_signal_event (rig.kick_fd);
  rig_run (&rig);
  g_assert_null (vhost_queue_pop (rig.queue));
  g_assert_cmpuint (rig.n_events[VHOST_QUEUE_EVENT_BROKEN], ==, 1);
  error = vhost_queue_dup_error (rig.queue);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE);
  g_assert_nonnull (strstr (error->message, "went away"));

  offer (&other, 0, 1);
  vhost_fd_signal_event (other.kick_fd);
  rig_run (&other);
  g_assert_cmpuint (get_used_idx (&other), ==, 1);
  g_assert_cmpuint (other.n_events[VHOST_QUEUE_EVENT_BROKEN], ==, 0);
}

static void
test_truncated_buffer (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;

  rig_init (&rig, 8, TRUE);
  offer (&rig, 0, 2);
  chain = pop (&rig);
  g_assert_cmpint (ftruncate (rig.guest.base_fd, GUEST_BUFFERS - GUEST_BASE), ==, 0);
  g_assert_cmpuint (vhost_chain_fill (chain, 0, 1, 16), ==, 16);
  g_assert_true (vhost_queue_push (rig.queue, chain, 16));
  g_assert_true (vhost_queue_is_broken (rig.queue));
  g_assert_null (vhost_queue_pop (rig.queue));
}

/* A buffer that comes after the ring was found empty and before kicks are asked for is kicked for
 * by nobody. */
static void
test_buffer_before_arming (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };

  rig_set_up (&rig, 8, TRUE);
  rig.setup.packed = data != NULL;
  rig.setup.base = rig.setup.packed ? 0x80008000 : 0;
  vhost_queue_set_enabled (rig.queue, TRUE);
  g_assert_true (vhost_queue_start (rig.queue, &rig.setup, rig.guest.memory, rig.reactor, NULL));
  rig_run (&rig);
  if (rig.setup.packed)
    guest_write_desc (&rig.guest, 0, GUEST_BUFFERS, 64, 0, VHOST_PACKED_DESC_AVAIL);
  else
    guest_offer_buffer (&rig.guest, 0, 64, FALSE);
  g_assert_true (vhost_queue_arm (rig.queue));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/queue-control/stop", test_stop);
  add_fd_test ("/queue-control/stop-in-flight", test_stop_in_flight);
  add_fd_test ("/queue-control/rewind", test_rewind);
  add_fd_test ("/queue-control/start-twice", test_start_twice);
  add_fd_test ("/queue-control/notify-properties", test_notify_properties);
  add_fd_test ("/queue-control/swap-and-stop", test_swap_and_stop);
  add_fd_test ("/queue-control/stop-while-paused", test_stop_while_paused);
  add_fd_test ("/queue-control/ring-at-the-edge", test_ring_at_the_edge);
  add_fd_test ("/queue-control/buffer-before-arming/split", test_buffer_before_arming);
  g_test_add ("/queue-control/buffer-before-arming/packed", guint, "packed", begin_fd_test,
              test_buffer_before_arming, end_fd_test);
  add_fd_test ("/hostile/H029-truncated-ring", test_truncated_ring);
  add_fd_test ("/hostile/H029-truncated-buffer", test_truncated_buffer);
  add_fd_test ("/hostile/H033-removed-ring", test_pause);
  add_fd_test ("/hostile/H034-swapped-memory", test_swap_memory);
  add_fd_test ("/hostile/H039-queue-size", test_size);
  add_fd_test ("/hostile/H040-ring-address", test_ring_address);
  return g_test_run ();
}
