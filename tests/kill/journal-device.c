/* SPDX-License-Identifier: BSD-3-Clause */
/* A device whose requests must not be served twice: it appends each to a journal. It takes several
 * at a time and completes them at once, in the order in which they came or the other way round.
 * Around each turn it sends itself signals that are ignored but for a debugger, which may kill it
 * in between: see kill-at-step.c.
 *
 * usage: journal-device SOCKET JOURNAL BATCH */

#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libvhost/vhost.h>

#define MAX_BATCH 64

typedef struct {
  int journal;
  guint batch;
} Device;

static void
note (const Device *device, const char *what, guint32 number)
{
  char line[32];
  int length = snprintf (line, sizeof line, "%s %u\n", what, number);

  if (write (device->journal, line, (size_t) length) != length)
    _exit (1);
}

static guint32
get_number (const VhostSlot *slot)
{
  guint32 number;

  memcpy (&number, slot->iov[0].iov_base, sizeof number);
  return number;
}

static void
do_request (const Device *device, VhostSlot *slot)
{
  guint32 number = get_number (slot);

  note (device, "do", number);
  memcpy (slot->iov[slot->n_readable].iov_base, &number, sizeof number);
}

static gboolean
take_turn (const Device *device, VhostQueue *queue)
{
  VhostSlot *slots[MAX_BATCH];
  guint32 lengths[MAX_BATCH];
  guint n = vhost_queue_pop_batch (queue, slots, device->batch);

  for (guint i = 0; i < n; i++) {
    note (device, "fetch", get_number (slots[i]));
    lengths[i] = sizeof (guint32);
  }
  for (guint i = 0; i < n; i++)
    do_request (device, slots[i]);
  if (n > 1) { /* the last first, alone; then the others together */
    vhost_queue_push_batch (queue, &slots[n - 1], lengths, 1);
    n--;
  }
  vhost_queue_push_batch (queue, slots, lengths, n);
  return n > 0;
}

static void
on_kick (VhostQueue *queue, gpointer data)
{
  raise (SIGURG);
  while (take_turn (data, queue))
    vhost_queue_notify (queue);
  raise (SIGWINCH);
}

static gboolean
on_terminate (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (VhostUserBackend) backend = NULL;
  g_autoptr (GError) error = NULL;
  Device device = { 0 };

  if (argc != 4)
    return 2;
  device.journal = open (argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  device.batch = (guint) CLAMP (atoi (argv[3]), 1, MAX_BATCH);
  backend = g_object_new (VHOST_USER_TYPE_BACKEND, "device-id", VHOST_DEVICE_ID_ENTROPY, "n-queues",
                          1, NULL);
  vhost_queue_set_kick_func (vhost_backend_get_queue (VHOST_BACKEND (backend), 0), on_kick, &device,
                             NULL);
  if (!vhost_user_backend_listen (backend, argv[1], &error)) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  g_unix_signal_add (SIGTERM, on_terminate, loop);
  g_main_loop_run (loop);
  vhost_user_backend_close (backend);
  return 0;
}
