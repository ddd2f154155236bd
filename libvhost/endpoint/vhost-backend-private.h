/* SPDX-License-Identifier: BSD-3-Clause */
/* What a transport does with the device it carries. Each call checks everything before it changes
 * anything; the error says what was wrong, the transport adds the name of its request. Control
 * thread. */
#pragma once

#include <gio/gio.h>
#include "core/vhost-features-private.h"
#include "endpoint/vhost-backend.h"
#include "ring/vhost-queue-private.h"

#define VHOST_BACKEND_MAX_QUEUES 256
#define VHOST_BACKEND_MAX_CONFIG 256

/* One queue, with what was said about it and is not in force before it starts. */
typedef struct {
  VhostQueue *queue;
  VhostQueueSetup setup;
  guint flags; /* bit 0: log used-ring writes */
  guint64 log;
  gboolean has_num;
  gboolean has_addr;
  gboolean start_wanted; /* kicked, but number, addresses or memory were missing */
  gboolean stopping;
} VhostVring;

typedef struct {
  VhostDeviceId device_id;
  guint n_queues;
  guint64 features; /* what the device offers, transport bits aside */
  guint64 acked;
  gboolean features_refused; /* the last SET_FEATURES failed: FEATURES_OK does not stick */
  guint status;
  VhostMemory *memory;
  VhostIotlb *iotlb;           /* NULL: rings are in guest physical addresses */
  GSource *iotlb_retry;        /* asks again for what did not come */
  VhostInflightArea *inflight; /* NULL: what is in flight is not recorded */
  VhostVring *vrings;
  VhostDirtyLog *log;    /* NULL: none; in use only with LOG_ALL */
  int log_fd;            /* signalled after logging, or -1 */
  guint64 n_unlogged;    /* pages, in logs before this one */
  VhostReactor *reactor; /* of the context the session runs in; NULL without one */
  guint8 config[VHOST_BACKEND_MAX_CONFIG];
  guint8 config_writable[VHOST_BACKEND_MAX_CONFIG];
  gsize config_size;
  gboolean config_announced; /* while suspended: said when a queue starts */
  GPtrArray *paused;         /* of VhostWorker, while n_pauses > 0; NULL: there are none */
  guint n_pauses;
} VhostBackendPrivate;

VhostBackendPrivate *vhost_backend_get_private (VhostBackend *backend);

/* Until the end of the scope, no worker runs a handler of this device, and its queues belong to the
 * caller: around all that touches a queue. Nested as often as one likes. */
typedef VhostBackend VhostBackendPause;

VhostBackendPause *vhost_backend_pause (VhostBackend *backend);
void vhost_backend_resume (VhostBackendPause *pause);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostBackendPause, vhost_backend_resume)

#define VHOST_BACKEND_PAUSE(backend)                                                               \
  g_autoptr (VhostBackendPause) backend_pause G_GNUC_UNUSED = vhost_backend_pause (backend)

/* A session begins and ends. Ending stops all queues at once, whatever is in flight, and forgets
 * everything the other side said. */
void vhost_backend_begin_session (VhostBackend *backend, VhostReactor *reactor);
void vhost_backend_end_session (VhostBackend *backend);

/* @offered: features and what the transport adds. */
gboolean vhost_backend_accept_features (VhostBackend *backend, guint64 offered, guint64 acked,
                                        GError **error);
void vhost_backend_take_memory (VhostBackend *backend, VhostMemory *memory);

/* Queues that start from now on record in @area what is in flight. */
void vhost_backend_take_inflight (VhostBackend *backend, VhostInflightArea *area);

/* vhost-backend-log.c: each takes what it is given; NULL and -1: none. */
void vhost_backend_take_log (VhostBackend *backend, VhostDirtyLog *log);
void vhost_backend_take_log_fd (VhostBackend *backend, int fd);
guint64 vhost_backend_get_n_unlogged (VhostBackend *backend);

void vhost_backend_set_status (VhostBackend *backend, guint status);
guint vhost_backend_get_status (VhostBackend *backend);

/* vhost-backend-iotlb.c: a translation comes, or ends. An invalidation is to be answered now, or,
 * when it is *@busy, after the class's iotlb_released(); revoke() does not wait for that. */
gboolean vhost_backend_update_iotlb (VhostBackend *backend, guint64 address, guint64 size,
                                     guint64 user_address, guint access, GError **error);
gboolean vhost_backend_invalidate_iotlb (VhostBackend *backend, guint64 address, guint64 size,
                                         gboolean *busy, GError **error);
void vhost_backend_revoke_iotlb (VhostBackend *backend);
/* Who is asked is somebody else now. */
void vhost_backend_ask_iotlb_again (VhostBackend *backend);

/* All queues stopped and disabled, device state as at the start; the session stays. */
void vhost_backend_reset (VhostBackend *backend);

VhostVring *vhost_backend_find_vring (VhostBackend *backend, guint64 index, GError **error);
gboolean vhost_backend_any_started (VhostBackend *backend);
gboolean vhost_vring_set_num (VhostBackend *backend, VhostVring *vring, guint num, GError **error);
gboolean vhost_vring_set_addr (VhostBackend *backend, VhostVring *vring,
                               const VhostQueueSetup *addr, guint flags, guint64 log,
                               GError **error);
gboolean vhost_vring_set_base (VhostBackend *backend, VhostVring *vring, guint32 base,
                               GError **error);

/* The ring is started now, or as soon as the rest of its setup has arrived. Takes @kick_fd (-1:
 * none), also when it fails. */
gboolean vhost_vring_start (VhostBackend *backend, VhostVring *vring, int kick_fd, GError **error);
/* Tries again a start that waited; what is wrong with the ring is reported as a failure of the
 * device. */
void vhost_vring_start_pending (VhostBackend *backend, VhostVring *vring);
void vhost_vring_set_enabled (VhostVring *vring, gboolean enabled);

/* TRUE: stopped, finish now. FALSE: buffers are in flight, the class's queue_drained() will be
 * called. */
gboolean vhost_vring_stop (VhostBackend *backend, VhostVring *vring);
/* Returns where the queue goes on. */
guint32 vhost_vring_finish_stop (VhostBackend *backend, VhostVring *vring);
/* All of them, at once; what was said about them is forgotten. */
void vhost_backend_stop_vrings (VhostBackend *backend);

gboolean vhost_backend_read_config (VhostBackend *backend, guint offset, guint size, guint8 *data,
                                    GError **error);
gboolean vhost_backend_write_config (VhostBackend *backend, guint offset, guint size,
                                     const guint8 *data, gboolean migration, GError **error);

/* Tells the application that the device cannot go on. */
void vhost_backend_report_failure (VhostBackend *backend, const GError *error);

/* The observer of the queues: what one says on the thread of its worker is told on the control
 * thread, but for a kick and pages that were marked. */
void vhost_backend_on_queue_event (VhostQueue *queue, VhostQueueEvent event, gpointer backend);

/* Within this room: what queues live in; features, memory or queues have changed; events of queues;
 * is the ring of @vring within reach, or was it asked for? */
VhostMemory *vhost_backend_get_view (VhostBackend *backend);
void vhost_backend_update_view (VhostBackend *backend);
void vhost_backend_flush_idle_iotlb (VhostBackend *backend);
void vhost_backend_note_misses (VhostBackend *backend, VhostQueue *queue);
void vhost_backend_note_released (VhostBackend *backend);
gboolean vhost_vring_is_within_reach (VhostBackend *backend, VhostVring *vring);

/* Within this room: what decides over logging has changed; pages were marked; the session is over.
 */
void vhost_vring_update_log (VhostBackend *backend, VhostVring *vring);
void vhost_backend_update_logs (VhostBackend *backend);
void vhost_backend_tell_logged (VhostBackend *backend);
void vhost_backend_forget_log (VhostBackend *backend);
GParamSpec *vhost_backend_make_log_property (void);

/* Within this room: the signals, emitted from the files beside vhost-backend.c. */
void vhost_backend_emit_kick (VhostBackend *backend, VhostQueue *queue);
void vhost_backend_emit_config (VhostBackend *backend, gboolean written, guint offset, guint size);
void vhost_backend_emit_queue (VhostBackend *backend, VhostQueue *queue, gboolean started);
void vhost_backend_emit_memory (VhostBackend *backend);
