/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns one epoll set per main context and the single GSource through which that context sees it, so
 * that a thousand descriptors cost the context what one does; or one without a context, which a
 * thread runs bare and which may poll before it sleeps. Runs on the thread that owns it; only the
 * table of reactors is shared between threads. */

#include <errno.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "core/vhost-reactor-private.h"

#define EVENTS_PER_WAKE_UP 64
#define SPINS_PER_WAKE_UP 16

struct _VhostWatch {
  VhostReactor *reactor;
  int fd;
  guint32 events;
  VhostWatchFunc func; /* NULL: removed, freed when the wake-up is over */
  gpointer data;
};

struct _VhostReactor {
  gatomicrefcount ref_count;
  GMainContext *context;
  GSource *source;
  gpointer tag;
  int epoll_fd;
  guint dispatching;
  GSList *removed;
  GQueue tasks;
  GQueue polls;
  guint poll_time;
};

typedef struct {
  GSource source;
  VhostReactor *reactor; /* borrowed: the reactor destroys the source before it goes */
} ReactorSource;

static GMutex reactors_lock;
static GHashTable *reactors; /* GMainContext → VhostReactor, both borrowed */

static void
free_removed (VhostReactor *reactor)
{
  if (reactor->dispatching == 0)
    g_slist_free_full (g_steal_pointer (&reactor->removed), g_free);
}

static void
dispatch_watches (VhostReactor *reactor, int timeout)
{
  struct epoll_event events[EVENTS_PER_WAKE_UP];
  int n = epoll_wait (reactor->epoll_fd, events, EVENTS_PER_WAKE_UP, timeout);

  for (int i = 0; i < n; i++) {
    VhostWatch *watch = events[i].data.ptr;

    if (watch->func != NULL)
      watch->func (events[i].events, watch->data);
  }
}

/* Only what is queued now: a task that queues itself again waits for the next turn of the loop. */
static void
dispatch_tasks (VhostReactor *reactor)
{
  for (guint n = reactor->tasks.length; n > 0 && reactor->tasks.head != NULL; n--) {
    GList *link = g_queue_pop_head_link (&reactor->tasks);
    VhostTask *task = (VhostTask *) ((guint8 *) link - G_STRUCT_OFFSET (VhostTask, link));

    link->data = NULL;
    task->func (task->data);
  }
}

/* Polls once what polls now. Any of them may go, or another come, from within. */
static void
run_polls (VhostReactor *reactor, gint64 now)
{
  for (guint n = reactor->polls.length; n > 0 && reactor->polls.head != NULL; n--) {
    GList *link = g_queue_pop_head_link (&reactor->polls);
    VhostPoll *poll = (VhostPoll *) ((guint8 *) link - G_STRUCT_OFFSET (VhostPoll, link));
    gboolean over = now >= poll->deadline;

    if (over) {
      link->data = NULL;
      poll->time = MAX (poll->time / 2, 1);
      poll->ended = now;
    } else {
      g_queue_push_tail_link (&reactor->polls, link);
    }
    poll->func (over ? VHOST_POLL_END : VHOST_POLL_LOOK, poll->data);
  }
}

static gboolean
reactor_source_prepare (GSource *source, int *timeout)
{
  *timeout = -1;
  return ((ReactorSource *) source)->reactor->tasks.length > 0;
}

static gboolean
reactor_source_check (GSource *source)
{
  VhostReactor *reactor = ((ReactorSource *) source)->reactor;

  return reactor->tasks.length > 0 || g_source_query_unix_fd (source, reactor->tag) != 0;
}

static void
dispatch (VhostReactor *reactor, int timeout)
{
  reactor->dispatching++;
  dispatch_watches (reactor, timeout);
  dispatch_tasks (reactor);
  reactor->dispatching--;
  free_removed (reactor);
}

static gboolean
reactor_source_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  g_autoptr (VhostReactor) reactor = vhost_reactor_ref (((ReactorSource *) source)->reactor);

  dispatch (reactor, 0);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs reactor_source_funcs = {
  .prepare = reactor_source_prepare,
  .check = reactor_source_check,
  .dispatch = reactor_source_dispatch,
};

static VhostReactor *
reactor_new_bare (void)
{
  VhostReactor *reactor = g_new0 (VhostReactor, 1);

  g_atomic_ref_count_init (&reactor->ref_count);
  g_queue_init (&reactor->tasks);
  g_queue_init (&reactor->polls);
  reactor->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  return reactor;
}

static VhostReactor *
reactor_new (GMainContext *context)
{
  VhostReactor *reactor = reactor_new_bare ();

  reactor->context = g_main_context_ref (context);
  reactor->source = g_source_new (&reactor_source_funcs, sizeof (ReactorSource));
  ((ReactorSource *) reactor->source)->reactor = reactor;
  g_source_set_static_name (reactor->source, "vhost-reactor");
  if (reactor->epoll_fd >= 0)
    reactor->tag = g_source_add_unix_fd (reactor->source, reactor->epoll_fd, G_IO_IN);
  g_source_attach (reactor->source, context);
  return reactor;
}

static void
reactor_free (VhostReactor *reactor)
{
  if (reactor->context != NULL) {
    g_source_destroy (reactor->source);
    g_source_unref (reactor->source);
    g_main_context_unref (reactor->context);
  }
  vhost_fd_clear (&reactor->epoll_fd);
  g_slist_free_full (reactor->removed, g_free);
  g_free (reactor);
}

VhostReactor *
vhost_reactor_get (void)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  VhostReactor *reactor;

  g_mutex_lock (&reactors_lock);
  if (reactors == NULL)
    reactors = g_hash_table_new (NULL, NULL);
  reactor = g_hash_table_lookup (reactors, context);
  if (reactor != NULL) {
    vhost_reactor_ref (reactor);
  } else {
    reactor = reactor_new (context);
    g_hash_table_insert (reactors, context, reactor);
  }
  g_mutex_unlock (&reactors_lock);
  return reactor;
}

VhostReactor *
vhost_reactor_new_bare (guint poll_time)
{
  VhostReactor *reactor = reactor_new_bare ();

  reactor->poll_time = poll_time;
  return reactor;
}

VhostReactor *
vhost_reactor_ref (VhostReactor *reactor)
{
  g_atomic_ref_count_inc (&reactor->ref_count);
  return reactor;
}

void
vhost_reactor_unref (VhostReactor *reactor)
{
  gboolean last;

  g_mutex_lock (&reactors_lock);
  last = g_atomic_ref_count_dec (&reactor->ref_count);
  if (last && reactor->context != NULL)
    g_hash_table_remove (reactors, reactor->context);
  g_mutex_unlock (&reactors_lock);
  if (last)
    reactor_free (reactor);
}

GMainContext *
vhost_reactor_get_context (VhostReactor *reactor)
{
  return reactor->context;
}

void
vhost_reactor_run_once (VhostReactor *reactor)
{
  dispatch (reactor, reactor->polls.length > 0 || reactor->tasks.length > 0 ? 0 : -1);
  for (guint i = 0; i < SPINS_PER_WAKE_UP && reactor->polls.length > 0; i++)
    run_polls (reactor, g_get_monotonic_time ());
}

VhostWatch *
vhost_reactor_add_watch (VhostReactor *reactor, int fd, guint32 events, VhostWatchFunc func,
                         gpointer data, GError **error)
{
  VhostWatch *watch = g_new0 (VhostWatch, 1);
  struct epoll_event event = { .events = events, .data.ptr = watch };

  if (epoll_ctl (reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot watch file descriptor %d", fd);
    g_free (watch);
    return NULL;
  }
  *watch = (VhostWatch){ vhost_reactor_ref (reactor), fd, events, func, data };
  return watch;
}

void
vhost_watch_set_events (VhostWatch *watch, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = watch };

  if (watch->events == events)
    return;
  watch->events = events;
  epoll_ctl (watch->reactor->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void
vhost_watch_remove (VhostWatch *watch)
{
  g_autoptr (VhostReactor) reactor = watch->reactor;

  epoll_ctl (reactor->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
  watch->func = NULL;
  reactor->removed = g_slist_prepend (reactor->removed, watch);
  free_removed (reactor);
}

void
vhost_watch_clear (VhostWatch **watch)
{
  if (*watch != NULL)
    vhost_watch_remove (g_steal_pointer (watch));
}

void
vhost_task_init (VhostTask *task, VhostTaskFunc func, gpointer data)
{
  *task = (VhostTask){ .func = func, .data = data };
}

void
vhost_reactor_queue_task (VhostReactor *reactor, VhostTask *task)
{
  if (task->link.data != NULL)
    return;
  task->link.data = reactor;
  g_queue_push_tail_link (&reactor->tasks, &task->link);
  if (reactor->dispatching == 0 && reactor->context != NULL)
    g_main_context_wakeup (reactor->context);
}

void
vhost_task_cancel (VhostTask *task)
{
  VhostReactor *reactor = task->link.data;

  if (reactor == NULL)
    return;
  g_queue_unlink (&reactor->tasks, &task->link);
  task->link.data = NULL;
}

void
vhost_poll_init (VhostPoll *poll, VhostPollFunc func, gpointer data)
{
  *poll = (VhostPoll){ .func = func, .data = data };
}

gboolean
vhost_reactor_can_poll (VhostReactor *reactor)
{
  return reactor->poll_time > 0;
}

/* What came sooner after the end than a poll lasts at most was worth waiting for. */
void
vhost_reactor_start_poll (VhostReactor *reactor, VhostPoll *poll)
{
  gint64 now = g_get_monotonic_time ();

  if (poll->link.data != NULL || now - poll->ended <= reactor->poll_time)
    poll->time = reactor->poll_time;
  poll->deadline = now + poll->time;
  if (poll->link.data == NULL) {
    poll->link.data = reactor;
    g_queue_push_tail_link (&reactor->polls, &poll->link);
  }
}

void
vhost_poll_cancel (VhostPoll *poll)
{
  VhostReactor *reactor = poll->link.data;

  if (reactor == NULL)
    return;
  g_queue_unlink (&reactor->polls, &poll->link);
  poll->link.data = NULL;
}
