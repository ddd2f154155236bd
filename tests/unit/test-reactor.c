/* SPDX-License-Identifier: BSD-3-Clause */
/* The reactor: one source for many descriptors, callbacks that remove anything, tasks. */

#include "core/vhost-fd-private.h"
#include "core/vhost-reactor-private.h"
#include "test-fds.h"

typedef struct {
  VhostReactor *reactor;
  int fd[3];
  VhostWatch *watch[3];
  guint n_calls[3];
  guint n_tasks;
  VhostTask task;
  gboolean remove_all;
  gboolean queue_again;
} Fixture;

typedef struct {
  Fixture *fixture;
  guint index;
} Call;

static void
on_event (guint32 events, gpointer data)
{
  Call *call = data;
  Fixture *f = call->fixture;

  f->n_calls[call->index]++;
  vhost_fd_drain_event (f->fd[call->index]);
  for (guint i = 0; f->remove_all && i < 3; i++)
    vhost_watch_clear (&f->watch[i]);
}

static void
on_task (gpointer data)
{
  Fixture *f = data;

  f->n_tasks++;
  if (f->queue_again)
    vhost_reactor_queue_task (f->reactor, &f->task);
}

static void
set_up (Fixture *f, Call calls[3], guint32 events)
{
  *f = (Fixture){ .reactor = vhost_reactor_get () };
  vhost_task_init (&f->task, on_task, f);
  for (guint i = 0; i < 3; i++) {
    calls[i] = (Call){ f, i };
    f->fd[i] = vhost_fd_new_event (NULL);
    f->watch[i] = vhost_reactor_add_watch (f->reactor, f->fd[i], events, on_event, &calls[i], NULL);
    g_assert_nonnull (f->watch[i]);
  }
}

static void
tear_down (Fixture *f)
{
  vhost_task_cancel (&f->task);
  for (guint i = 0; i < 3; i++) {
    vhost_watch_clear (&f->watch[i]);
    vhost_fd_clear (&f->fd[i]);
  }
  vhost_reactor_unref (f->reactor);
}

static void
iterate (void)
{
  for (guint i = 0; i < 4; i++)
    g_main_context_iteration (NULL, FALSE);
}

static void
test_watch (guint *n_fds, gconstpointer data)
{
  Fixture f;
  Call calls[3];

  set_up (&f, calls, EPOLLIN);
  iterate ();
  g_assert_cmpuint (f.n_calls[1], ==, 0);
  vhost_fd_signal_event (f.fd[1]);
  iterate ();
  g_assert_cmpuint (f.n_calls[0], ==, 0);
  g_assert_cmpuint (f.n_calls[1], ==, 1);
  vhost_watch_set_events (f.watch[1], 0);
  vhost_fd_signal_event (f.fd[1]);
  iterate ();
  g_assert_cmpuint (f.n_calls[1], ==, 1);
  vhost_watch_set_events (f.watch[1], EPOLLIN);
  iterate ();
  g_assert_cmpuint (f.n_calls[1], ==, 2);
  tear_down (&f);
}

/* Whichever callback comes first removes the others, whose events are in the same batch. */
static void
test_remove_from_callback (guint *n_fds, gconstpointer data)
{
  Fixture f;
  Call calls[3];

  set_up (&f, calls, EPOLLIN);
  f.remove_all = TRUE;
  for (guint i = 0; i < 3; i++)
    vhost_fd_signal_event (f.fd[i]);
  iterate ();
  g_assert_cmpuint (f.n_calls[0] + f.n_calls[1] + f.n_calls[2], ==, 1);
  tear_down (&f);
}

static void
test_refused (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostReactor) reactor = vhost_reactor_get ();
  g_autoptr (GError) error = NULL;

  g_assert_null (vhost_reactor_add_watch (reactor, -1, EPOLLIN, on_event, NULL, &error));
  g_assert_nonnull (error);
}

static void
test_task (guint *n_fds, gconstpointer data)
{
  Fixture f;
  Call calls[3];

  set_up (&f, calls, EPOLLIN);
  vhost_reactor_queue_task (f.reactor, &f.task);
  vhost_reactor_queue_task (f.reactor, &f.task);
  g_assert_cmpuint (f.n_tasks, ==, 0);
  iterate ();
  g_assert_cmpuint (f.n_tasks, ==, 1);
  vhost_reactor_queue_task (f.reactor, &f.task);
  vhost_task_cancel (&f.task);
  iterate ();
  g_assert_cmpuint (f.n_tasks, ==, 1);
  tear_down (&f);
}

/* A task that always has more to do leaves the loop to the others. */
static void
test_task_is_fair (guint *n_fds, gconstpointer data)
{
  Fixture f;
  Call calls[3];

  set_up (&f, calls, EPOLLIN);
  f.queue_again = TRUE;
  vhost_reactor_queue_task (f.reactor, &f.task);
  vhost_fd_signal_event (f.fd[2]);
  g_main_context_iteration (NULL, FALSE);
  g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (f.n_calls[2], ==, 1);
  g_assert_cmpuint (f.n_tasks, ==, 2);
  tear_down (&f);
}

static void
test_per_context (guint *n_fds, gconstpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (VhostReactor) first = vhost_reactor_get ();
  g_autoptr (VhostReactor) same = vhost_reactor_get ();
  VhostReactor *other;

  g_assert_true (first == same);
  g_main_context_push_thread_default (context);
  other = vhost_reactor_get ();
  g_main_context_pop_thread_default (context);
  g_assert_true (other != first);
  g_assert_true (vhost_reactor_get_context (other) == context);
  vhost_reactor_unref (other);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/reactor/watch", test_watch);
  add_fd_test ("/reactor/remove-from-callback", test_remove_from_callback);
  add_fd_test ("/reactor/refused", test_refused);
  add_fd_test ("/reactor/task", test_task);
  add_fd_test ("/hostile/H096-task-is-fair", test_task_is_fair);
  add_fd_test ("/reactor/per-context", test_per_context);
  return g_test_run ();
}
