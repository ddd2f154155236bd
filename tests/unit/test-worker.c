/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers: queues served on another thread while this one, as the control thread and the guest,
 * changes everything under them. */

#include <sched.h>
#include <sys/syscall.h>
#include "ring/vhost-worker-private.h"
#include "test-fds.h"
#include "test-queue.h"

#define SIZE 64
#define PATIENCE (10 * G_USEC_PER_SEC)

typedef struct {
  Rig rig;
  VhostWorker *worker;
  guint n_offered;
  int n_served;    /* atomic */
  int n_on_worker; /* atomic: calls of the handler on the right thread */
  int n_elsewhere; /* atomic */
  int worker_tid;  /* atomic */
} Fixture;

static void
serve (VhostQueue *queue, gpointer data)
{
  Fixture *f = data;
  VhostChain *chain;

  g_atomic_int_inc (vhost_worker_is_current (f->worker) ? &f->n_on_worker : &f->n_elsewhere);
  while ((chain = vhost_queue_pop (queue)) != NULL) {
    vhost_chain_fill (chain, 0, 0xee, G_MAXSIZE);
    g_atomic_int_inc (&f->n_served); /* before the driver sees it */
    g_assert_true (vhost_queue_push (queue, chain, G_MAXSIZE));
    vhost_chain_unref (chain);
  }
  vhost_queue_notify (queue);
}

static void
remember_tid (gpointer data)
{
  Fixture *f = data;

  g_atomic_int_set (&f->worker_tid, (int) syscall (SYS_gettid));
}

static VhostWorker *
start_worker (guint poll_time)
{
  g_autoptr (GError) error = NULL;
  VhostWorker *worker = g_object_new (VHOST_TYPE_WORKER, "poll-time", poll_time, NULL);

  vhost_worker_start (worker, &error);
  g_assert_no_error (error);
  g_assert_true (vhost_worker_is_running (worker));
  return worker;
}

static void
start (Fixture *f, guint poll_time)
{
  rig_set_up (&f->rig, SIZE, TRUE);
  f->worker = start_worker (poll_time);
  vhost_worker_invoke (f->worker, remember_tid, f, NULL);
  g_assert_true (vhost_queue_set_worker (f->rig.queue, f->worker, NULL));
  vhost_queue_set_kick_func (f->rig.queue, serve, f, NULL);
  vhost_queue_set_enabled (f->rig.queue, TRUE);
  VHOST_QUEUE_PAUSE (f->rig.queue);
  rig_start (&f->rig);
}

static void
stop (Fixture *f)
{
  {
    VHOST_QUEUE_PAUSE (f->rig.queue);
    vhost_queue_finish_stop (f->rig.queue);
    vhost_queue_set_kick_func (f->rig.queue, NULL, NULL, NULL);
  }
  rig_clear (&f->rig);
  g_clear_object (&f->worker);
  g_assert_cmpint (f->n_elsewhere, ==, 0);
}

static guint16
get_used (Fixture *f)
{
  return vhost_ring_load16_acquire (&f->rig.guest.used->idx);
}

/* As a driver does: a kick only where the device asks for one. */
static void
offer (Fixture *f, guint n)
{
  Guest *guest = &f->rig.guest;

  for (guint i = 0; i < n; i++) {
    guint16 old = (guint16) f->n_offered++;

    guest_offer_buffer (guest, old % SIZE, 64, TRUE);
    __atomic_thread_fence (__ATOMIC_SEQ_CST);
    if (guest_get_avail_event (guest) == old)
      vhost_fd_signal_event (f->rig.kick_fd);
  }
}

static void
wait_until_served (Fixture *f)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE;

  while (get_used (f) != (guint16) f->n_offered) {
    g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    sched_yield ();
  }
}

static void
test_serve (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };

  start (&f, GPOINTER_TO_UINT (data));
  for (guint round = 0; round < 5000; round++) {
    offer (&f, 1 + round % 7);
    if (round % 3 == 0)
      wait_until_served (&f);
    else
      while ((guint16) (f.n_offered - get_used (&f)) > SIZE - 8)
        sched_yield ();
  }
  wait_until_served (&f);
  g_assert_cmpint (g_atomic_int_get (&f.n_served), ==, (int) f.n_offered);
  g_assert_cmpint (g_atomic_int_get (&f.n_on_worker), >, 0);
  stop (&f);
}

/* A worker that polls does not need a kick for each chain. */
static void
test_poll_saves_kicks (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };
  guint64 kicks;

  start (&f, 10000);
  for (guint i = 0; i < 1000; i++) {
    offer (&f, 1);
    wait_until_served (&f);
  }
  g_object_get (f.rig.queue, "kicks", &kicks, NULL);
  g_assert_cmpuint (kicks, <, 500);
  stop (&f);
}

/* --- Rest ---------------------------------------------------------------------------------- */

static guint64
count_wake_ups (int tid)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/status", tid);
  g_autofree char *text = NULL;
  const char *line;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  line = strstr (text, "voluntary_ctxt_switches:");
  g_assert_nonnull (line);
  return g_ascii_strtoull (strchr (line, ':') + 1, NULL, 10);
}

static void
test_idle (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };
  guint64 before;

  start (&f, 32);
  offer (&f, 5);
  wait_until_served (&f);
  g_usleep (50000);
  before = count_wake_ups (g_atomic_int_get (&f.worker_tid));
  g_usleep (500000);
  g_assert_cmpuint (count_wake_ups (f.worker_tid), ==, before);
  offer (&f, 1); /* and it still hears a kick */
  wait_until_served (&f);
  stop (&f);
}

/* --- Control ------------------------------------------------------------------------------- */

static void
test_control_under_load (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };

  start (&f, 32);
  for (guint round = 0; round < 300; round++) {
    offer (&f, SIZE / 2);
    {
      VHOST_QUEUE_PAUSE (f.rig.queue);
      switch (round % 4) {
      case 0:
        g_assert_true (vhost_queue_set_memory (f.rig.queue, f.rig.guest.memory));
        break;
      case 1:
        vhost_queue_set_enabled (f.rig.queue, FALSE);
        vhost_queue_set_enabled (f.rig.queue, TRUE);
        break;
      case 2:
        g_assert_true (vhost_queue_stop (f.rig.queue));
        vhost_queue_finish_stop (f.rig.queue);
        rig_start (&f.rig);
        break;
      default:
        vhost_queue_take_kick_fd (f.rig.queue, vhost_fd_dup (f.rig.kick_fd, NULL));
      }
    }
    wait_until_served (&f);
  }
  g_assert_cmpint (g_atomic_int_get (&f.n_served), ==, (int) f.n_offered);
  stop (&f);
}

static void
test_pause (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };

  start (&f, 32);
  {
    VHOST_QUEUE_PAUSE (f.rig.queue);
    vhost_worker_pause (f.worker); /* nested */
    vhost_worker_resume (f.worker);
    offer (&f, 1);
    g_usleep (20000);
    g_assert_cmpint (get_used (&f), ==, 0);
  }
  wait_until_served (&f);
  stop (&f);
}

static gpointer
pause_often (gpointer data)
{
  for (guint i = 0; i < 2000; i++) {
    vhost_worker_pause (data);
    vhost_worker_resume (data);
  }
  return NULL;
}

static void
test_pause_from_two_threads (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };
  GThread *other;

  start (&f, 32);
  other = g_thread_new ("other", pause_often, f.worker);
  pause_often (f.worker);
  g_thread_join (other);
  offer (&f, 1);
  wait_until_served (&f);
  stop (&f);
}

static void
append (gpointer data)
{
  GString *string = data;

  g_string_append_c (string, (char) ('a' + string->len % 26));
}

static void
note_end (gpointer data)
{
  g_atomic_int_inc ((int *) data);
}

static void
do_nothing (gpointer data)
{
}

/* In order, each once, and none is lost at the end. */
static void
test_invoke (guint *n_fds, gconstpointer data)
{
  g_autoptr (GString) string = g_string_new (NULL);
  VhostWorker *worker = start_worker (0);
  int n_ends = 0;

  for (guint i = 0; i < 1000; i++)
    vhost_worker_invoke (worker, append, string, NULL);
  vhost_worker_invoke (worker, do_nothing, &n_ends, note_end);
  g_object_unref (worker);
  g_assert_cmpuint (string->len, ==, 1000);
  g_assert_cmpint (n_ends, ==, 1);
}

static void
drop_worker (gpointer data)
{
  g_object_unref (data);
}

static void
test_last_reference_on_its_own_thread (guint *n_fds, gconstpointer data)
{
  VhostWorker *worker = start_worker (32);
  int ended = 0;

  vhost_worker_pause (worker);
  vhost_worker_invoke (worker, do_nothing, &ended, note_end);
  vhost_worker_invoke (worker, drop_worker, worker, NULL);
  vhost_worker_resume (worker); /* the last thing done with it here */
  for (guint i = 0; i < 10000 && (g_atomic_int_get (&ended) == 0 || count_fds () > *n_fds); i++)
    g_usleep (1000);
  g_assert_cmpint (ended, ==, 1);
}

/* --- Refusals ------------------------------------------------------------------------------ */

static void
test_refuse (guint *n_fds, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  Fixture f = { 0 };
  VhostWorker *idle = vhost_worker_new ();

  start (&f, 32);
  g_assert_false (vhost_worker_start (f.worker, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_clear_error (&error);
  g_assert_false (vhost_queue_set_worker (f.rig.queue, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_clear_error (&error);
  g_assert_true (vhost_queue_get_worker (f.rig.queue) == f.worker);
  stop (&f);

  rig_set_up (&f.rig, SIZE, TRUE);
  g_assert_false (vhost_queue_set_worker (f.rig.queue, idle, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_clear_error (&error);
  g_object_unref (idle);
  rig_clear (&f.rig);

  idle = g_object_new (VHOST_TYPE_WORKER, "cpu", CPU_SETSIZE - 1, NULL);
  g_assert_false (vhost_worker_start (idle, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_object_unref (idle);
}

static void
check_cpu (gpointer data)
{
  g_atomic_int_set ((int *) data, sched_getcpu () + 1);
}

static void
test_cpu (guint *n_fds, gconstpointer data)
{
  VhostWorker *worker;
  cpu_set_t allowed;
  int cpu = CPU_SETSIZE, seen = 0;

  g_assert_cmpint (sched_getaffinity (0, sizeof allowed, &allowed), ==, 0);
  while (!CPU_ISSET (--cpu, &allowed)) {
  }
  worker = g_object_new (VHOST_TYPE_WORKER, "cpu", cpu, NULL);
  g_assert_true (vhost_worker_start (worker, NULL));
  vhost_worker_invoke (worker, check_cpu, &seen, NULL);
  g_object_unref (worker);
  g_assert_cmpint (seen, ==, cpu + 1);
}

/* --- Faults -------------------------------------------------------------------------------- */

static int n_broken;

static void
count_broken (VhostQueue *queue, VhostQueueEvent event, gpointer data)
{
  if (event == VHOST_QUEUE_EVENT_BROKEN)
    g_atomic_int_inc (&n_broken);
}

/* A driver whose index jumps is found out while it is polled, and the worker lives. */
static void
test_break_while_polled (guint *n_fds, gconstpointer data)
{
  Fixture f = { 0 };
  g_autoptr (GError) error = NULL;

  rig_set_up (&f.rig, SIZE, TRUE);
  g_clear_object (&f.rig.queue);
  f.rig.queue = vhost_queue_new (3, count_broken, NULL);
  vhost_queue_take_kick_fd (f.rig.queue, vhost_fd_dup (f.rig.kick_fd, NULL));
  f.worker = start_worker (10000);
  g_assert_true (vhost_queue_set_worker (f.rig.queue, f.worker, NULL));
  vhost_queue_set_kick_func (f.rig.queue, serve, &f, NULL);
  vhost_queue_set_enabled (f.rig.queue, TRUE);
  {
    VHOST_QUEUE_PAUSE (f.rig.queue);
    rig_start (&f.rig);
  }
  offer (&f, 1);
  wait_until_served (&f);
  guest_set_avail_idx (&f.rig.guest, 0x4000);
  vhost_fd_signal_event (f.rig.kick_fd);
  for (guint i = 0; i < 10000 && g_atomic_int_get (&n_broken) == 0; i++)
    g_usleep (1000);
  g_assert_cmpint (g_atomic_int_get (&n_broken), ==, 1);
  {
    VHOST_QUEUE_PAUSE (f.rig.queue);
    error = vhost_queue_dup_error (f.rig.queue);
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BROKEN_QUEUE);
  }
  stop (&f);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/worker/serve/polling", guint, GUINT_TO_POINTER (32), begin_fd_test, test_serve,
              end_fd_test);
  add_fd_test ("/worker/serve/sleeping", test_serve);
  add_fd_test ("/worker/poll-saves-kicks", test_poll_saves_kicks);
  add_fd_test ("/worker/idle", test_idle);
  add_fd_test ("/worker/control-under-load", test_control_under_load);
  add_fd_test ("/worker/pause", test_pause);
  add_fd_test ("/worker/pause-from-two-threads", test_pause_from_two_threads);
  add_fd_test ("/worker/invoke", test_invoke);
  add_fd_test ("/worker/last-reference-on-its-own-thread", test_last_reference_on_its_own_thread);
  add_fd_test ("/worker/refuse", test_refuse);
  add_fd_test ("/worker/cpu", test_cpu);
  add_fd_test ("/worker/break-while-polled", test_break_while_polled);
  return g_test_run ();
}
