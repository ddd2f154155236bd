/* SPDX-License-Identifier: BSD-3-Clause */
/* When a queue wakes up: kicks, looking again, not spinning, budgets, handlers that pull the ground
 * from under it. */

#include "test-fds.h"
#include "test-queue.h"

static void
kick (Rig *rig)
{
  vhost_fd_signal_event (rig->kick_fd);
}

static guint
get_n_kicks (Rig *rig)
{
  return rig->n_events[VHOST_QUEUE_EVENT_KICK];
}

static guint64
get_counter (Rig *rig, const char *name)
{
  guint64 value;

  g_object_get (rig->queue, name, &value, NULL);
  return value;
}

static void
offer (Rig *rig, guint first, guint n)
{
  for (guint i = 0; i < n; i++)
    guest_offer_buffer (&rig->guest, (guint16) ((first + i) % rig->setup.size), 16, TRUE);
}

static void
keep_some (Rig *rig)
{
  for (guint i = 0; i < rig->n_to_pop; i++) {
    VhostChain *chain = vhost_queue_pop (rig->queue);

    if (chain == NULL)
      break;
    rig->kept[rig->n_kept++] = chain;
  }
}

static void
test_echo (guint *n_fds, gconstpointer data)
{
  for (guint event_idx = 0; event_idx < 2; event_idx++) {
    g_auto (Rig) rig = { .on_kick = echo_all };

    rig_init (&rig, 8, event_idx);
    g_assert_cmpuint (vhost_queue_get_size (rig.queue), ==, 8);
    g_assert_cmpuint (vhost_queue_get_index (rig.queue), ==, 3);
    rig_run (&rig);
    g_assert_cmpuint (get_n_kicks (&rig), ==, 0);

    offer (&rig, 0, 5);
    kick (&rig);
    kick (&rig);
    kick (&rig);
    rig_run (&rig);
    g_assert_cmpuint (get_n_kicks (&rig), ==, 1); /* one wake-up, one emission */
    g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 5);
    g_assert_cmpuint (GUINT32_FROM_LE (rig.guest.used->ring[4].len), ==, 16);
    g_assert_true (take_event (rig.call_fd));
    g_assert_cmpuint (get_counter (&rig, "kicks"), ==, 1);
    g_assert_cmpuint (get_counter (&rig, "chains"), ==, 5);
    g_assert_cmpuint (get_counter (&rig, "notifications"), ==, 1);
    if (event_idx)
      g_assert_cmpuint (guest_get_avail_event (&rig.guest), ==, 5);
    g_assert_cmpuint (rig.guest.used->flags, ==, 0);
  }
}

/* A driver that kicks only when it is asked to, and never twice. */
static void
test_no_lost_wake_up (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  guint16 kicked = 0;

  rig_init (&rig, 16, TRUE);
  for (guint i = 0; i < 100000; i++) {
    guint16 before = kicked;

    offer (&rig, i, 1);
    kicked = (guint16) (i + 1);
    vhost_ring_full_barrier ();
    if (vhost_ring_has_crossed (guest_get_avail_event (&rig.guest), before, kicked))
      kick (&rig);
    g_main_context_iteration (NULL, FALSE);
    g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, kicked);
  }
}

static void
offer_another (Rig *rig)
{
  echo_all (rig);
  if (get_n_kicks (rig) == 1)
    offer (rig, 5, 1); /* without a kick: none was asked for */
}

static void
test_more_while_serving (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = offer_another };

  rig_init (&rig, 8, TRUE);
  rig_run (&rig);
  offer (&rig, 0, 1);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 2);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 2);
}

static void
test_look_once (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_set_up (&rig, 8, TRUE);
  offer (&rig, 0, 3);
  kick (&rig);
  rig_start (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 0); /* not enabled */
  g_assert_null (vhost_queue_pop (rig.queue));
  vhost_queue_set_enabled (rig.queue, TRUE);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 3);

  vhost_queue_set_enabled (rig.queue, FALSE);
  offer (&rig, 3, 2);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 3);
  vhost_queue_set_enabled (rig.queue, TRUE);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 5);
}

static void
test_enabled_before_start (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_set_up (&rig, 8, FALSE);
  vhost_queue_take_kick_fd (rig.queue, -1); /* nobody can kick */
  offer (&rig, 0, 3);
  vhost_queue_set_enabled (rig.queue, TRUE);
  rig_start (&rig);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 3);
  offer (&rig, 3, 1);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 3);
  vhost_queue_kick (rig.queue);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 4);
}

/* A queue whose buffers wait for packets: the handler leaves them, and is called when there are new
 * ones. */
static void
test_no_spin (guint *n_fds, gconstpointer data)
{
  for (guint n_to_pop = 0; n_to_pop < 2; n_to_pop++) {
    g_auto (Rig) rig = { .on_kick = keep_some, .n_to_pop = n_to_pop };

    rig_init (&rig, 16, TRUE);
    rig_run (&rig);
    offer (&rig, 0, 3);
    kick (&rig);
    rig_run (&rig);
    if (n_to_pop == 0) {
      g_assert_cmpuint (get_n_kicks (&rig), ==, 1);
      g_assert_cmpuint (guest_get_avail_event (&rig.guest), ==, 3);
      kick (&rig);
      offer (&rig, 3, 1);
      rig_run (&rig);
      g_assert_cmpuint (get_n_kicks (&rig), ==, 2);
    } else {
      g_assert_cmpuint (get_n_kicks (&rig), ==, 3);
      g_assert_cmpuint (rig.n_kept, ==, 3);
    }
    rig_run (&rig);
    g_assert_cmpuint (get_n_kicks (&rig), ==, n_to_pop == 0 ? 2 : 3);
  }
}

/* pop() outside of the handler arms as well. */
static void
test_pop_outside (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  VhostChain *chain;

  rig_init (&rig, 8, TRUE);
  offer (&rig, 0, 2);
  rig_run (&rig);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 1);
  offer (&rig, 2, 2);
  for (guint i = 0; i < 4; i++) {
    chain = vhost_queue_pop (rig.queue);
    g_assert_nonnull (chain);
    vhost_chain_unref (chain);
  }
  g_assert_null (vhost_queue_pop (rig.queue));
  g_assert_cmpuint (guest_get_avail_event (&rig.guest), ==, 4);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 4);
}

static void
test_unpop (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) first = NULL;
  g_autoptr (VhostChain) second = NULL;
  g_autoptr (VhostChain) again = NULL;

  rig_init (&rig, 8, TRUE);
  offer (&rig, 0, 2);
  first = vhost_queue_pop (rig.queue);
  second = vhost_queue_pop (rig.queue);
  g_assert_false (vhost_queue_unpop (rig.queue, first));
  g_assert_true (vhost_queue_unpop (rig.queue, second));
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 1);
  g_assert_cmpuint (get_counter (&rig, "chains"), ==, 1);
  again = vhost_queue_pop (rig.queue);
  g_assert_cmpuint (vhost_chain_get_head (again), ==, 1);
}

static void
pop_and_unpop (Rig *rig)
{
  g_autoptr (VhostChain) chain = vhost_queue_pop (rig->queue);

  g_assert_true (vhost_queue_unpop (rig->queue, chain));
}

static void
test_unpop_does_not_spin (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = pop_and_unpop };

  rig_init (&rig, 8, TRUE);
  rig_run (&rig);
  offer (&rig, 0, 2);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 1);
}

static void
test_call_fd (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_init (&rig, 8, FALSE);
  vhost_queue_take_call_fd (rig.queue, vhost_fd_dup (rig.call_fd, NULL));
  g_assert_true (take_event (rig.call_fd));
  vhost_queue_take_call_fd (rig.queue, -1);
  offer (&rig, 0, 1);
  kick (&rig);
  rig_run (&rig);
  g_assert_false (take_event (rig.call_fd));
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 1);
}

static void
test_exchange_kick_fd (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };

  rig_init (&rig, 8, TRUE);
  rig_run (&rig);
  offer (&rig, 0, 1);
  kick (&rig); /* into the old one, and never seen there */
  vhost_fd_clear (&rig.kick_fd);
  rig.kick_fd = vhost_fd_new_event (NULL);
  vhost_queue_take_kick_fd (rig.queue, vhost_fd_dup (rig.kick_fd, NULL));
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 1);
  offer (&rig, 1, 1);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 2);
}

/* --- Kick functions ------------------------------------------------------------------------ */

static void
count_call (VhostQueue *queue, gpointer data)
{
  g_autoptr (VhostChain) chain = vhost_queue_pop (queue);

  (*(guint *) data)++;
  if (chain != NULL)
    vhost_queue_push (queue, chain, 0);
}

static void
count_destroy (gpointer data)
{
  *(guint *) data += 1000;
}

static void
test_kick_func (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  guint n = 0;

  rig_init (&rig, 8, TRUE);
  vhost_queue_set_kick_func (rig.queue, count_call, &n, count_destroy);
  offer (&rig, 0, 3);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (n, ==, 3);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 0);
  vhost_queue_set_kick_func (rig.queue, NULL, NULL, NULL);
  g_assert_cmpuint (n, ==, 1003);
  offer (&rig, 3, 3);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 1);
  vhost_queue_set_kick_func (rig.queue, count_call, &n, count_destroy);
  g_clear_object (&rig.queue);
  g_assert_cmpuint (n, ==, 2003);
}

static void
replace_itself (VhostQueue *queue, gpointer data)
{
  vhost_queue_set_kick_func (queue, NULL, NULL, NULL);
  g_assert_cmpuint (*(guint *) data, ==, 0); /* not destroyed while it runs */
  count_call (queue, data);
}

static void
test_kick_func_replaces_itself (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  guint n = 0;

  rig_init (&rig, 8, TRUE);
  vhost_queue_set_kick_func (rig.queue, replace_itself, &n, count_destroy);
  offer (&rig, 0, 3);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (n, ==, 1001);
  g_assert_cmpuint (get_n_kicks (&rig), ==, 1);
}

static void
stop_in_handler (Rig *rig)
{
  g_autoptr (VhostChain) chain = vhost_queue_pop (rig->queue);

  vhost_queue_stop (rig->queue);
  vhost_queue_finish_stop (rig->queue);
  g_assert_null (vhost_queue_pop (rig->queue));
  g_assert_false (vhost_queue_push (rig->queue, chain, 0));
}

static void
restart_in_handler (Rig *rig)
{
  stop_in_handler (rig);
  if (get_n_kicks (rig) < 3)
    rig_start (rig);
}

static void
unref_in_handler (Rig *rig)
{
  g_autoptr (VhostChain) chain = vhost_queue_pop (rig->queue);

  g_clear_object (&rig->queue);
}

static void
new_kick_fd_in_handler (Rig *rig)
{
  vhost_queue_take_kick_fd (rig->queue, vhost_fd_dup (rig->kick_fd, NULL));
  echo_all (rig);
}

static void
test_handlers_that_pull_the_ground (guint *n_fds, gconstpointer data)
{
  void (*const handlers[]) (Rig * rig) = { stop_in_handler, restart_in_handler, unref_in_handler,
                                           new_kick_fd_in_handler };
  const guint n_expected[] = { 1, 3, 1, 1 };

  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++) {
    g_auto (Rig) rig = { .on_kick = handlers[i] };

    rig_init (&rig, 8, TRUE);
    rig_run (&rig);
    offer (&rig, 0, 2);
    kick (&rig);
    rig_run (&rig);
    g_assert_cmpuint (get_n_kicks (&rig), ==, n_expected[i]);
  }
}

/* --- Hostile drivers ----------------------------------------------------------------------- */

static gboolean
count_turn (gpointer data)
{
  (*(guint *) data)++;
  return G_SOURCE_CONTINUE;
}

/* Puts back what was taken, for ever. */
static void
serve_endlessly (Rig *rig)
{
  VhostChain *chain;

  while ((chain = vhost_queue_pop (rig->queue)) != NULL) {
    guint16 head = (guint16) vhost_chain_get_head (chain);

    vhost_queue_push (rig->queue, chain, 0);
    vhost_chain_unref (chain);
    guest_offer_buffer (&rig->guest, head, 16, TRUE);
  }
}

static void
test_endless_work (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) busy = { .on_kick = serve_endlessly };
  g_auto (Rig) other = { .on_kick = echo_all };
  guint n_turns = 0;
  guint source = g_timeout_add_full (G_PRIORITY_DEFAULT, 0, count_turn, &n_turns, NULL);

  rig_init (&busy, 8, TRUE);
  rig_init (&other, 8, TRUE);
  rig_run (&other);
  offer (&busy, 0, 8);
  kick (&busy);
  offer (&other, 0, 1);
  kick (&other);
  rig_run (&busy);
  g_assert_cmpuint (get_n_kicks (&busy), >, 4);
  g_assert_cmpuint (GUINT16_FROM_LE (other.guest.used->idx), ==, 1);
  g_assert_cmpuint (n_turns, >, 1);
  g_source_remove (source);
}

static void
test_broken (guint *n_fds, gconstpointer data)
{
  g_auto (Rig) rig = { .on_kick = echo_all };
  g_auto (Rig) other = { .on_kick = echo_all };
  g_autoptr (GError) error = NULL;
  g_autoptr (VhostChain) chain = NULL;

  rig_init (&rig, 8, TRUE);
  rig_init (&other, 8, TRUE);
  rig_run (&rig);
  offer (&rig, 0, 1);
  chain = vhost_queue_pop (rig.queue);
  guest_offer (&rig.guest, 99);
  kick (&rig);
  rig_run (&rig);
  g_assert_cmpuint (rig.n_events[VHOST_QUEUE_EVENT_BROKEN], ==, 1);
  g_assert_true (take_event (rig.err_fd));
  error = vhost_queue_dup_error (rig.queue);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE);
  g_assert_nonnull (strstr (error->message, "queue 3: "));
  g_assert_nonnull (strstr (error->message, "99"));
  g_assert_true (vhost_queue_is_broken (rig.queue));

  /* what is in flight may end, nothing new begins, and the other queue knows nothing of it */
  g_assert_true (vhost_queue_push (rig.queue, chain, 0));
  kick (&rig);
  rig_run (&rig);
  g_assert_null (vhost_queue_pop (rig.queue));
  g_assert_cmpuint (rig.n_events[VHOST_QUEUE_EVENT_BROKEN], ==, 1);
  g_assert_false (take_event (rig.err_fd));
  offer (&other, 0, 1);
  kick (&other);
  rig_run (&other);
  g_assert_cmpuint (GUINT16_FROM_LE (other.guest.used->idx), ==, 1);

  /* whole again at the next start */
  vhost_queue_stop (rig.queue);
  vhost_queue_finish_stop (rig.queue);
  guest_set_avail_idx (&rig.guest, 1);
  offer (&rig, 1, 1);
  rig_start (&rig);
  g_assert_false (vhost_queue_is_broken (rig.queue));
  rig_run (&rig);
  g_assert_cmpuint (GUINT16_FROM_LE (rig.guest.used->idx), ==, 2);
}

/* Nothing of a dead queue is left: handles dropped in flight, a queue dropped while it is broken.
 */
static void
test_error_paths (guint *n_fds, gconstpointer data)
{
  for (guint i = 0; i < 64; i++) {
    g_auto (Rig) rig = { .on_kick = i & 1 ? echo_all : NULL, .n_to_pop = 2 };

    rig_init (&rig, 8, i & 2);
    offer (&rig, 0, 3);
    guest_offer (&rig.guest, i & 4 ? 1 : 200);
    if (i & 8)
      kick (&rig);
    if (i & 16)
      rig_run (&rig);
    keep_some (&rig);
    if (i & 32)
      vhost_queue_stop (rig.queue);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/queue/echo", test_echo);
  add_fd_test ("/queue/no-lost-wake-up", test_no_lost_wake_up);
  add_fd_test ("/queue/more-while-serving", test_more_while_serving);
  add_fd_test ("/queue/enabled-before-start", test_enabled_before_start);
  add_fd_test ("/queue/no-spin", test_no_spin);
  add_fd_test ("/queue/pop-outside", test_pop_outside);
  add_fd_test ("/queue/unpop", test_unpop);
  add_fd_test ("/queue/unpop-does-not-spin", test_unpop_does_not_spin);
  add_fd_test ("/queue/call-fd", test_call_fd);
  add_fd_test ("/queue/exchange-kick-fd", test_exchange_kick_fd);
  add_fd_test ("/queue/kick-func", test_kick_func);
  add_fd_test ("/queue/kick-func-replaces-itself", test_kick_func_replaces_itself);
  add_fd_test ("/queue/handlers-that-pull-the-ground", test_handlers_that_pull_the_ground);
  add_fd_test ("/hostile/H044-look-once", test_look_once);
  add_fd_test ("/hostile/H059-broken", test_broken);
  add_fd_test ("/hostile/H065-error-paths", test_error_paths);
  add_fd_test ("/hostile/H096-endless-work", test_endless_work);
  return g_test_run ();
}
