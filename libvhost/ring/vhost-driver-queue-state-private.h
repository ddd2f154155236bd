/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a driver queue, shared by vhost-driver-queue.c (life, properties, watching) and
 * vhost-driver-queue-transfer.c (adding, collecting, waiting). */
#pragma once

#include "core/vhost-reactor-private.h"
#include "ring/vhost-driver-queue-private.h"
#include "ring/vhost-driver-ring-private.h"

/* A chain is what is sent, then room for the answer. */
#define VHOST_DRIVER_QUEUE_MAX_PIECES 2

#define VHOST_ALIGN_UP(n, alignment) (((n) + (alignment) -1) / (alignment) * (alignment))

/* A chain that the device has, and the buffer memory under it. */
typedef struct {
  guint token;
  guint64 address;
  gsize size;
  guint8 *answer;
  gsize answer_size;
  gboolean abandoned; /* nobody will ask for it */
} VhostDriverRequest;

struct _VhostDriverQueue {
  GObject parent_instance;

  guint index;
  guint timeout; /* ms */
  VhostArena *arena;
  VhostDriverSideRing ring;
  VhostDriverRing addresses;
  int kick_fd;
  int call_fd;
  VhostDriverQueueKickFunc kick_func; /* instead of the two descriptors, or NULL */
  gpointer kick_data;
  gboolean ignores_lengths;
  guint last_token;
  GQueue kept; /* buffers that came while request() waited for another */
  GError *shut_down;
  VhostDriverWaitFunc wait_func;
  gpointer wait_data;

  VhostReactor *reactor; /* while watching */
  VhostWatch *watch;
  VhostTask used_task;
};

void vhost_driver_queue_free_request (VhostDriverQueue *queue, VhostDriverRequest *request);
