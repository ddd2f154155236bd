/* SPDX-License-Identifier: BSD-3-Clause */
/* One epoll set for all descriptors of one main context, which sees it as a single GSource.
 * Everything here is called on the thread that owns the context. */
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

/* The reactor of the thread-default main context; a reference. It lives as long as one is held. */
VhostReactor *vhost_reactor_get (void);
VhostReactor *vhost_reactor_ref (VhostReactor *reactor);
void vhost_reactor_unref (VhostReactor *reactor);
GMainContext *vhost_reactor_get_context (VhostReactor *reactor);

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

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostReactor, vhost_reactor_unref)
