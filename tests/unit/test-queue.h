/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue on a guest's ring, with descriptors, and an observer that counts. */
#pragma once

#include "ring/vhost-queue-private.h"
#include "test-ring.h"

typedef struct _Rig Rig;

struct _Rig {
  Guest guest;
  VhostQueue *queue;
  VhostReactor *reactor;
  VhostQueueSetup setup;
  int kick_fd;
  int call_fd;
  int err_fd;

  guint n_events[5]; /* by VhostQueueEvent */
  void (*on_kick) (Rig *rig);
  guint n_to_pop; /* of an on_kick that leaves some */
  VhostChain *kept[64];
  guint n_kept;
};

static inline void
on_rig_event (VhostQueue *queue, VhostQueueEvent event, gpointer data)
{
  Rig *rig = data;

  rig->n_events[event]++;
  if (event == VHOST_QUEUE_EVENT_KICK && rig->on_kick != NULL)
    rig->on_kick (rig);
}

static inline void
rig_start (Rig *rig)
{
  GError *error = NULL;

  rig->setup.base = vhost_queue_get_base (rig->queue);
  vhost_queue_start (rig->queue, &rig->setup, rig->guest.memory, rig->reactor, &error);
  g_assert_no_error (error);
}

static inline void
rig_set_up (Rig *rig, guint size, gboolean event_idx)
{
  guest_init (&rig->guest, size);
  rig->reactor = vhost_reactor_get ();
  rig->queue = vhost_queue_new (3, on_rig_event, rig);
  rig->setup = (VhostQueueSetup){ .size = size,
                                  .kind = VHOST_ADDRESS_GUEST,
                                  .desc = GUEST_DESC,
                                  .avail = GUEST_AVAIL,
                                  .used = GUEST_USED,
                                  .event_idx = event_idx,
                                  .indirect = TRUE };
  rig->kick_fd = vhost_fd_new_event (NULL);
  rig->call_fd = vhost_fd_new_event (NULL);
  rig->err_fd = vhost_fd_new_event (NULL);
  vhost_queue_take_kick_fd (rig->queue, vhost_fd_dup (rig->kick_fd, NULL));
  vhost_queue_take_call_fd (rig->queue, vhost_fd_dup (rig->call_fd, NULL));
  vhost_queue_take_err_fd (rig->queue, vhost_fd_dup (rig->err_fd, NULL));
  vhost_fd_drain_event (rig->call_fd); /* a new one is signalled once */
}

static inline void
rig_init (Rig *rig, guint size, gboolean event_idx)
{
  rig_set_up (rig, size, event_idx);
  vhost_queue_set_enabled (rig->queue, TRUE);
  rig_start (rig);
}

static inline void
rig_clear (Rig *rig)
{
  while (rig->n_kept > 0)
    vhost_chain_unref (rig->kept[--rig->n_kept]);
  g_clear_object (&rig->queue);
  g_clear_pointer (&rig->reactor, vhost_reactor_unref);
  vhost_fd_clear (&rig->kick_fd);
  vhost_fd_clear (&rig->call_fd);
  vhost_fd_clear (&rig->err_fd);
  guest_clear (&rig->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

/* What the loop has to do now, and no more. */
static inline void
rig_run (Rig *rig)
{
  for (guint i = 0; i < 20; i++)
    g_main_context_iteration (NULL, FALSE);
}

static inline gboolean
take_event (int fd)
{
  guint64 n;

  return read (fd, &n, sizeof n) == sizeof n;
}

/* Serves all there is. */
static inline void
echo_all (Rig *rig)
{
  VhostChain *chain;

  while ((chain = vhost_queue_pop (rig->queue)) != NULL) {
    vhost_chain_fill (chain, 0, 0xee, G_MAXSIZE);
    g_assert_true (vhost_queue_push (rig->queue, chain, G_MAXSIZE));
    vhost_chain_unref (chain);
  }
  vhost_queue_notify (rig->queue);
}
