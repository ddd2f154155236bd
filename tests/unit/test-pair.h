/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end on a thread of its own, and a front-end here, on the two ends of a socket pair: the
 * device of the pair answers each chain with its own bytes, turned round. */
#pragma once

#include <sys/socket.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "driver/vhost-driver.h"
#include "user/vhost-user-backend.h"
#include "user/vhost-user-frontend.h"
#include "user/vhost-user-protocol.h"

typedef struct {
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  VhostUserBackend *backend;
  int fd; /* the front-end's end */
  guint n_refused;
  char *refused; /* the last one's message */
} Pair;

static void
on_pair_kick (VhostBackend *backend, VhostQueue *queue, gpointer data)
{
  VhostChain *chain;

  while ((chain = vhost_queue_pop (queue)) != NULL) {
    gsize length;
    g_autofree guint8 *bytes = vhost_chain_read (chain, 0, G_MAXSIZE, &length);

    for (gsize i = 0; i < length / 2; i++) {
      guint8 byte = bytes[i];

      bytes[i] = bytes[length - 1 - i];
      bytes[length - 1 - i] = byte;
    }
    vhost_queue_push (queue, chain, vhost_chain_write (chain, 0, bytes, length));
    vhost_chain_unref (chain);
  }
  vhost_queue_notify (queue);
}

static void
on_pair_refused (VhostUserBackend *backend, guint request, const GError *error, gpointer data)
{
  Pair *pair = data;

  pair->n_refused++;
  g_free (pair->refused);
  pair->refused = g_strdup (error->message);
}

static gpointer
run_pair (gpointer data)
{
  Pair *pair = data;

  g_main_context_push_thread_default (pair->context);
  g_main_loop_run (pair->loop);
  vhost_user_backend_close (pair->backend);
  g_main_context_pop_thread_default (pair->context);
  return NULL;
}

static gboolean
stop_pair_loop (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

/* The back-end alone, at a connected socket, which it takes. */
static inline void
open_pair_at (Pair *pair, guint n_queues, guint64 protocol_features, int fd)
{
  *pair = (Pair){ .context = g_main_context_new (), .fd = -1 };
  pair->loop = g_main_loop_new (pair->context, FALSE);
  pair->backend = vhost_user_backend_new (VHOST_DEVICE_ID_BLOCK, n_queues);
  g_object_set (pair->backend, "protocol-features", protocol_features, NULL);
  vhost_backend_set_config (VHOST_BACKEND (pair->backend), (const guint8 *) "config..", 8);
  vhost_backend_set_config_writable (VHOST_BACKEND (pair->backend), 6, 2);
  g_signal_connect (pair->backend, "kick", G_CALLBACK (on_pair_kick), pair);
  g_signal_connect (pair->backend, "refused", G_CALLBACK (on_pair_refused), pair);
  g_main_context_push_thread_default (pair->context);
  g_assert_true (vhost_user_backend_open_fd (pair->backend, fd, NULL));
  g_main_context_pop_thread_default (pair->context);
  close (fd);
  pair->thread = g_thread_new ("back-end", run_pair, pair);
}

static inline void
open_pair (Pair *pair, guint n_queues, guint64 protocol_features)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  open_pair_at (pair, n_queues, protocol_features, fds[1]);
  pair->fd = fds[0];
}

/* Ends the back-end's thread; what it counted can be read afterwards. */
static inline void
close_pair (Pair *pair)
{
  g_main_context_invoke (pair->context, stop_pair_loop, pair->loop);
  g_thread_join (pair->thread);
  g_object_unref (pair->backend);
  g_main_loop_unref (pair->loop);
  g_main_context_unref (pair->context);
  vhost_fd_clear (&pair->fd);
  g_free (pair->refused);
}
