/* SPDX-License-Identifier: BSD-3-Clause */
/* State of a VDUSE device, shared by the files that serve it. Control thread. */
#pragma once

#include "endpoint/vhost-backend-private.h"
#include "vduse/vhost-vduse-backend.h"
#include "vduse/vhost-vduse-memory-private.h"
#include "vduse/vhost-vduse-node-private.h"

struct _VhostVduseBackend {
  VhostBackend parent_instance;

  char *name; /* of the device that was opened last */
  guint queue_size;
  guint vendor_id;
  char *recovery_file;

  VhostVduseNode node;
  VhostReactor *reactor; /* NULL: closed */
  VhostWatch *watch;
  int recovery_fd;

  GArray *drains; /* of VhostVduseDrain: answers that wait for buffers in flight */
  GSource *drain_deadline;

  gboolean *interrupts; /* too early ones, by queue; the last is of the configuration space */
  GSource *interrupt_retry;
  guint n_retries;
};

typedef struct {
  guint32 request_id;
  guint index;
} VhostVduseDrain;

/* For tests: makes its requests through @ops, which it takes. */
void vhost_vduse_backend_take_ops (VhostVduseBackend *backend, VhostOps *ops);

/* vhost-vduse-messages.c */
gboolean vhost_vduse_backend_watch (VhostVduseBackend *backend, GError **error);
void vhost_vduse_backend_fail (VhostVduseBackend *backend, const GError *error);
void vhost_vduse_backend_answer_drained (VhostBackend *base, VhostQueue *queue);
void vhost_vduse_backend_forget_drains (VhostVduseBackend *backend);

/* vhost-vduse-queues.c */
guint64 vhost_vduse_backend_get_offered (VhostVduseBackend *backend);
gboolean vhost_vduse_backend_accept_features (VhostVduseBackend *backend, GError **error);
/* @resuming: the kernel started them under the process before. */
gboolean vhost_vduse_backend_start_queues (VhostVduseBackend *backend, gboolean resuming,
                                           GError **error);
/* Is there a queue that the kernel has started? */
gboolean vhost_vduse_backend_is_running (VhostVduseBackend *backend, gboolean *running,
                                         GError **error);
void vhost_vduse_backend_update_memory (VhostVduseBackend *backend, guint64 first, guint64 last);
gboolean vhost_vduse_backend_find_memory (VhostBackend *base, guint64 address, guint access);
void vhost_vduse_backend_forget_memory (VhostVduseBackend *backend);
guint32 vhost_vduse_get_base (const struct vduse_vq_info *info, gboolean packed);

/* vhost-vduse-interrupt.c */
void vhost_vduse_backend_interrupt (VhostBackend *base, VhostQueue *queue);
void vhost_vduse_backend_interrupt_config (VhostVduseBackend *backend);
void vhost_vduse_backend_forget_interrupts (VhostVduseBackend *backend);

/* vhost-vduse-recovery.c: nothing to do for a device without a recovery file. */
gboolean vhost_vduse_backend_open_record (VhostVduseBackend *backend, GError **error);
void vhost_vduse_backend_close_record (VhostVduseBackend *backend);
/* Hands the record to the queues that are about to start. @resuming: in, whether what it says is
 * true of them; out, whether it says anything. */
gboolean vhost_vduse_backend_use_record (VhostVduseBackend *backend, gboolean *resuming,
                                         GError **error);
