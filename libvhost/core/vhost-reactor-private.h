/* SPDX-License-Identifier: BSD-3-Clause */
/* One epoll set for all descriptors of one main context, which sees it as a single GSource; or of a
 * thread that runs it bare. Everything here is called on the thread that owns the reactor. */
#pragma once

#include <sys/epoll.h>
#include <glib.h>

typedef struct _VhostReactor VhostReactor;
typedef struct _VhostWatch VhostWatch;

typedef void (*VhostWatchFunc) (guint32 events, gpointer data);
typedef void (*VhostTaskFunc) (gpointer data);

/* A piece of work that runs once, from the loop, before it sleeps again. Embedded in its owner. */
typedef struct {
  VhostTaskFunc func;
  gpointer data;
  GList link; /* link.data is the reactor while it is queued */
} VhostTask;

/* A place where there is often more work soon after some was done: looked at again and again by a
 * thread that runs its reactor bare, until nothing came for a while. Embedded in its owner. */
typedef enum {
  VHOST_POLL_LOOK, /* if there is work, do it and start the poll again, which prolongs it */
  VHOST_POLL_END,  /* the time is over: arrange to be woken up */
} VhostPollStep;

typedef void (*VhostPollFunc) (VhostPollStep step, gpointer data);

typedef struct {
  VhostPollFunc func;
  gpointer data;
  GList link;  /* link.data is the reactor while it polls */
  gint64 time; /* µs without work after which it ends; adapts between 1 and the reactor's */
  gint64 deadline;
  gint64 ended;
} VhostPoll;

/* The reactor of the thread-default main context; a reference. It lives as long as one is held. */
VhostReactor *vhost_reactor_get (void);
VhostReactor *vhost_reactor_ref (VhostReactor *reactor);
void vhost_reactor_unref (VhostReactor *reactor);
GMainContext *vhost_reactor_get_context (VhostReactor *reactor); /* NULL: bare */

/* A reactor without a context, for the thread that calls vhost_reactor_run_once(). A poll that has
 * nothing to do ends after at most @poll_time µs; 0: there is no polling. */
VhostReactor *vhost_reactor_new_bare (guint poll_time);

/* Does what there is to do, having slept until there is something if nothing polls. */
void vhost_reactor_run_once (VhostReactor *reactor);

/* Watches @fd, which stays the caller's and must stay open until the watch is removed. @events are
 * EPOLLIN, EPOLLOUT, EPOLLET…; NULL with a G_IO_ERROR when the kernel refuses the descriptor. */
VhostWatch *vhost_reactor_add_watch (VhostReactor *reactor, int fd, guint32 events,
                                     VhostWatchFunc func, gpointer data, GError **error);
void vhost_watch_set_events (VhostWatch *watch, guint32 events);

/* No call of its function comes after this, also when called from a callback. */
void vhost_watch_remove (VhostWatch *watch);
void vhost_watch_clear (VhostWatch **watch);

void vhost_task_init (VhostTask *task, VhostTaskFunc func, gpointer data);
void vhost_reactor_queue_task (VhostReactor *reactor, VhostTask *task); /* no-op when queued */
void vhost_task_cancel (VhostTask *task);

void vhost_poll_init (VhostPoll *poll, VhostPollFunc func, gpointer data);
gboolean vhost_reactor_can_poll (VhostReactor *reactor);
/* Starts or prolongs, where there is polling. */
void vhost_reactor_start_poll (VhostReactor *reactor, VhostPoll *poll);
void vhost_poll_cancel (VhostPoll *poll);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostReactor, vhost_reactor_unref)
