/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that serves queues and nothing else. It runs a reactor of its own, bare, and polls the
 * rings for a while before it sleeps.
 *
 * The thread owns the queues that are bound to it as long as it runs. To change one, the control
 * thread pauses the worker: a rendezvous between two handlers, so that the path of a buffer has no
 * lock and no atomic operation in it. What both threads share is in WorkerLoop, which the thread
 * keeps when the object goes first. */

#include "ring/vhost-worker-private.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

#define DEFAULT_POLL_TIME 32
#define MAX_POLL_TIME 10000

/* The lock is pthread's: a race detector sees through it. */
typedef struct {
  gatomicrefcount ref_count;
  VhostReactor *reactor;
  VhostWatch *wake;
  int wake_fd;
  pthread_t thread;
  int attention; /* atomic: something below wants to be looked at */

  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean quit;
  gboolean parked;
  pthread_t pauser; /* while n_pauses > 0 */
  guint n_pauses;
  GQueue calls; /* of WorkerCall */
} WorkerLoop;

typedef struct {
  VhostWorkerFunc func;
  gpointer data;
  GDestroyNotify destroy;
} WorkerCall;

struct _VhostWorker {
  GObject parent_instance;

  int cpu;
  guint poll_time;
  WorkerLoop *loop; /* NULL before start */
};

/**
 * VhostWorker:
 *
 * A thread of its own for queues: [method@Vhost.Queue.set_worker]. Their handlers run on it, and it
 * polls their rings for up to [property@Vhost.Worker:poll-time] after there was work before it asks
 * for a kick and sleeps. It does not poll for a queue that has chains in flight: what they wait for
 * needs the processor more. A worker without work does not wake up.
 *
 * It runs as long as somebody holds a reference on it; each of its queues does.
 *
 * The control side of its queues (starting, stopping, new memory) stays on the thread of their
 * back-end, which lets the worker pause between two handlers for that. So a handler that blocks
 * keeps the control side waiting, and a handler must not wait for the control side.
 *
 * Any thread.
 *
 * Since: 1.0
 */
G_DEFINE_FINAL_TYPE (VhostWorker, vhost_worker, G_TYPE_OBJECT)

enum {
  PROP_CPU = 1,
  PROP_POLL_TIME,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

/* --- The loop ------------------------------------------------------------------------------ */

static void
free_call (WorkerCall *call)
{
  if (call->destroy != NULL)
    call->destroy (call->data);
  g_free (call);
}

static void
loop_unref (WorkerLoop *loop)
{
  if (!g_atomic_ref_count_dec (&loop->ref_count))
    return;
  vhost_watch_clear (&loop->wake);
  vhost_reactor_unref (loop->reactor);
  vhost_fd_clear (&loop->wake_fd);
  g_queue_clear_full (&loop->calls, (GDestroyNotify) free_call);
  pthread_cond_destroy (&loop->changed);
  pthread_mutex_destroy (&loop->lock);
  g_free (loop);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (WorkerLoop, loop_unref)

/* The thread only has to look at `attention`. Its descriptor is edge-triggered and never emptied.
 */
static void
on_wake_up (guint32 events, gpointer data)
{
}

static WorkerLoop *
loop_new (guint poll_time, GError **error)
{
  g_autoptr (WorkerLoop) loop = g_new0 (WorkerLoop, 1);

  g_atomic_ref_count_init (&loop->ref_count);
  pthread_mutex_init (&loop->lock, NULL);
  pthread_cond_init (&loop->changed, NULL);
  g_queue_init (&loop->calls);
  loop->attention = TRUE;
  loop->reactor = vhost_reactor_new_bare (poll_time);
  loop->wake_fd = vhost_fd_new_event (error);
  if (loop->wake_fd < 0)
    return NULL;
  loop->wake = vhost_reactor_add_watch (loop->reactor, loop->wake_fd, EPOLLIN | EPOLLET, on_wake_up,
                                        NULL, error);
  return loop->wake != NULL ? g_steal_pointer (&loop) : NULL;
}

/* With the lock held. */
static void
call_attention (WorkerLoop *loop)
{
  g_atomic_int_set (&loop->attention, TRUE);
  vhost_fd_signal_event (loop->wake_fd);
}

static void
run_calls (GQueue *calls)
{
  for (;;) {
    WorkerCall *call = g_queue_pop_head (calls);

    if (call == NULL)
      return;
    call->func (call->data);
    free_call (call);
  }
}

/* Parks as long as somebody pauses the thread, then does what was asked of it. FALSE at the end. */
static gboolean
attend (WorkerLoop *loop)
{
  GQueue calls = G_QUEUE_INIT;
  gboolean quit;

  pthread_mutex_lock (&loop->lock);
  g_atomic_int_set (&loop->attention, FALSE);
  loop->parked = TRUE;
  pthread_cond_broadcast (&loop->changed);
  while (loop->n_pauses > 0)
    pthread_cond_wait (&loop->changed, &loop->lock);
  loop->parked = FALSE;
  quit = loop->quit;
  calls = loop->calls;
  g_queue_init (&loop->calls);
  pthread_mutex_unlock (&loop->lock);
  run_calls (&calls);
  return !quit;
}

static gpointer
run (gpointer data)
{
  g_autoptr (WorkerLoop) loop = data;

  while (!g_atomic_int_get (&loop->attention) || attend (loop))
    vhost_reactor_run_once (loop->reactor);
  return NULL;
}

/* --- The thread ---------------------------------------------------------------------------- */

/* Signals of the program are for its own threads; what an access raises comes to this one. */
static void
set_signal_mask (pthread_attr_t *attributes)
{
  const int own[] = { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };
  sigset_t blocked;

  sigfillset (&blocked);
  for (guint i = 0; i < G_N_ELEMENTS (own); i++)
    sigdelset (&blocked, own[i]);
  pthread_attr_setsigmask_np (attributes, &blocked);
}

static gboolean
start_thread (WorkerLoop *loop, int cpu, GError **error)
{
  pthread_attr_t attributes;
  cpu_set_t cpus;
  int result;

  pthread_attr_init (&attributes);
  set_signal_mask (&attributes);
  if (cpu >= 0) {
    CPU_ZERO (&cpus);
    CPU_SET (cpu, &cpus);
    pthread_attr_setaffinity_np (&attributes, sizeof cpus, &cpus);
  }
  g_atomic_ref_count_inc (&loop->ref_count);
  pthread_mutex_lock (&loop->lock); /* the thread waits until it is known who it is */
  result = pthread_create (&loop->thread, &attributes, run, loop);
  pthread_mutex_unlock (&loop->lock);
  pthread_attr_destroy (&attributes);
  if (result == 0)
    return TRUE;
  loop_unref (loop);
  if (result == EINVAL && cpu >= 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "no thread can run on processor %d",
                            cpu);
  return vhost_set_error_from_errno (error, result, "cannot start a thread");
}

static void
end_thread (WorkerLoop *loop)
{
  pthread_t thread = loop->thread;
  gboolean self = pthread_equal (thread, pthread_self ());

  pthread_mutex_lock (&loop->lock);
  loop->quit = TRUE;
  call_attention (loop);
  pthread_mutex_unlock (&loop->lock);
  if (self)
    pthread_detach (thread);
  else
    pthread_join (thread, NULL);
}

/* --- The object ---------------------------------------------------------------------------- */

static void
vhost_worker_finalize (GObject *object)
{
  VhostWorker *self = VHOST_WORKER (object);

  if (self->loop != NULL)
    end_thread (self->loop);
  g_clear_pointer (&self->loop, loop_unref);
  G_OBJECT_CLASS (vhost_worker_parent_class)->finalize (object);
}

static void
vhost_worker_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostWorker *self = VHOST_WORKER (object);

  switch (id) {
  case PROP_CPU:
    g_value_set_int (value, self->cpu);
    break;
  case PROP_POLL_TIME:
    g_value_set_uint (value, self->poll_time);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_worker_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostWorker *self = VHOST_WORKER (object);

  switch (id) {
  case PROP_CPU:
    self->cpu = g_value_get_int (value);
    break;
  case PROP_POLL_TIME:
    self->poll_time = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_worker_class_init (VhostWorkerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  object_class->finalize = vhost_worker_finalize;
  object_class->get_property = vhost_worker_get_property;
  object_class->set_property = vhost_worker_set_property;

  /**
   * VhostWorker:cpu:
   *
   * The processor to which the thread is bound; -1: any.
   *
   * Since: 1.0
   */
  props[PROP_CPU] = g_param_spec_int ("cpu", NULL, NULL, -1, CPU_SETSIZE - 1, -1, flags);

  /**
   * VhostWorker:poll-time:
   *
   * For how long at most a ring that had work is polled before its driver is asked for a kick, in
   * microseconds; 0: not at all. Adapts: a poll that was for nothing halves the time of the next
   * one, and work that came shortly after the end of one restores it.
   *
   * Since: 1.0
   */
  props[PROP_POLL_TIME] =
      g_param_spec_uint ("poll-time", NULL, NULL, 0, MAX_POLL_TIME, DEFAULT_POLL_TIME, flags);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
vhost_worker_init (VhostWorker *self)
{
}

/**
 * vhost_worker_new:
 *
 * Makes a worker that may run on any processor.
 *
 * Returns: (transfer full): a worker that has not been started
 *
 * Since: 1.0
 */
VhostWorker *
vhost_worker_new (void)
{
  return g_object_new (VHOST_TYPE_WORKER, NULL);
}

/**
 * vhost_worker_start:
 * @worker: a worker
 * @error: return location for an error
 *
 * Starts the thread. Fails with %VHOST_ERROR_BAD_STATE when it runs already, with
 * %VHOST_ERROR_INVALID_VALUE when there is no such processor for this process.
 *
 * Returns: whether the thread runs
 *
 * Since: 1.0
 */
gboolean
vhost_worker_start (VhostWorker *self, GError **error)
{
  g_autoptr (WorkerLoop) loop = NULL;

  g_return_val_if_fail (VHOST_IS_WORKER (self), FALSE);

  if (self->loop != NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the worker runs already");
  loop = loop_new (self->poll_time, error);
  if (loop == NULL || !start_thread (loop, self->cpu, error))
    return FALSE;
  self->loop = g_steal_pointer (&loop);
  return TRUE;
}

/**
 * vhost_worker_is_running:
 * @worker: a worker
 *
 * Tells whether there is a thread.
 *
 * Returns: whether it was started
 *
 * Since: 1.0
 */
gboolean
vhost_worker_is_running (VhostWorker *self)
{
  g_return_val_if_fail (VHOST_IS_WORKER (self), FALSE);
  return self->loop != NULL;
}

/**
 * vhost_worker_invoke:
 * @worker: a worker that runs
 * @func: (scope notified) (closure user_data) (destroy destroy): the work
 * @user_data: given to @func
 * @destroy: (nullable): called with @user_data after @func, on the same thread
 *
 * Has a function run on the thread of the worker, between two handlers: the way back to a queue for
 * what was finished somewhere else. Functions run in the order in which they were given. Returns at
 * once.
 *
 * Any thread.
 *
 * Since: 1.0
 */
void
vhost_worker_invoke (VhostWorker *self, VhostWorkerFunc func, gpointer user_data,
                     GDestroyNotify destroy)
{
  WorkerCall *call;

  g_return_if_fail (VHOST_IS_WORKER (self) && self->loop != NULL);
  g_return_if_fail (func != NULL);

  call = g_new (WorkerCall, 1);
  *call = (WorkerCall){ func, user_data, destroy };
  pthread_mutex_lock (&self->loop->lock);
  g_queue_push_tail (&self->loop->calls, call);
  call_attention (self->loop);
  pthread_mutex_unlock (&self->loop->lock);
}

/* --- For the rest of the room -------------------------------------------------------------- */

VhostReactor *
vhost_worker_get_reactor (VhostWorker *self)
{
  return self->loop->reactor;
}

gboolean
vhost_worker_is_current (VhostWorker *self)
{
  return self->loop != NULL && pthread_equal (self->loop->thread, pthread_self ());
}

void
vhost_worker_pause (VhostWorker *self)
{
  WorkerLoop *loop = self->loop;
  pthread_t self_thread = pthread_self ();

  if (loop == NULL || vhost_worker_is_current (self))
    return;
  pthread_mutex_lock (&loop->lock);
  while (loop->n_pauses > 0 && !pthread_equal (loop->pauser, self_thread))
    pthread_cond_wait (&loop->changed, &loop->lock);
  loop->pauser = self_thread;
  if (loop->n_pauses++ == 0)
    call_attention (loop);
  while (!loop->parked)
    pthread_cond_wait (&loop->changed, &loop->lock);
  pthread_mutex_unlock (&loop->lock);
}

void
vhost_worker_resume (VhostWorker *self)
{
  WorkerLoop *loop = self->loop;

  if (loop == NULL || vhost_worker_is_current (self))
    return;
  pthread_mutex_lock (&loop->lock);
  if (--loop->n_pauses == 0)
    pthread_cond_broadcast (&loop->changed);
  pthread_mutex_unlock (&loop->lock);
}
