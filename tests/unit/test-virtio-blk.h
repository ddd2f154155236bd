/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk behind a back-end without a transport, and a driver that writes its ring by hand. */
#pragma once

#include <fcntl.h>
#include <glib/gstdio.h>
#include "endpoint/vhost-backend-private.h"
#include "ring/vhost-worker.h"
#include "test-ring.h"
#include "virtio/vhost-virtio-blk.h"

#define SIZE 64
#define SECTOR 512
#define IMAGE_SIZE (1024 * 1024)

#define HEADER_AT (GUEST_BASE + 0xc0000)
#define STATUS_AT (GUEST_BASE + 0xd0000)
#define DATA_AT GUEST_BUFFERS
#define MAX_PIECES 8

enum {
  IN,
  OUT,
  FLUSH = 4,
  GET_ID = 8,
  DISCARD = 11,
  WRITE_ZEROES = 13
};
enum {
  OK,
  IOERR,
  UNSUPP,
  NOTHING = 0xee
};

#define BUS_TYPE (bus_get_type ())
G_DECLARE_FINAL_TYPE (Bus, bus, TEST, BUS, VhostBackend)

struct _Bus {
  VhostBackend parent_instance;
  guint n_config_changes;
  guint n_drained;
};

G_DEFINE_FINAL_TYPE (Bus, bus, VHOST_TYPE_BACKEND)

static void
bus_config_changed (VhostBackend *backend)
{
  TEST_BUS (backend)->n_config_changes++;
}

static void
bus_queue_drained (VhostBackend *backend, VhostQueue *queue)
{
  TEST_BUS (backend)->n_drained++;
}

static void
bus_class_init (BusClass *klass)
{
  VHOST_BACKEND_CLASS (klass)->config_changed = bus_config_changed;
  VHOST_BACKEND_CLASS (klass)->queue_drained = bus_queue_drained;
}

static void
bus_init (Bus *bus)
{
}

typedef struct {
  Guest guest;
  Bus *bus;
  VhostBackend *backend;
  VhostVirtioBlk *disk;
  VhostWorker *worker;
  VhostVring *vring;
  char *path;
  int image_fd;
  guint16 n_asked;
  guint16 head;
} Rig;

typedef struct {
  VhostVirtioBlkEngine engine;
  VhostVirtioBlkFlags flags;
  gboolean on_worker;
} Kind;

static const Kind kinds[] = {
  { VHOST_VIRTIO_BLK_ENGINE_AUTO, VHOST_VIRTIO_BLK_FLAGS_NONE },
  { VHOST_VIRTIO_BLK_ENGINE_THREADS, VHOST_VIRTIO_BLK_FLAGS_NONE },
  { VHOST_VIRTIO_BLK_ENGINE_AUTO, VHOST_VIRTIO_BLK_FLAGS_DIRECT },
  { VHOST_VIRTIO_BLK_ENGINE_THREADS, VHOST_VIRTIO_BLK_FLAGS_DIRECT },
  { VHOST_VIRTIO_BLK_ENGINE_AUTO, VHOST_VIRTIO_BLK_FLAGS_NONE, TRUE },
  { VHOST_VIRTIO_BLK_ENGINE_THREADS, VHOST_VIRTIO_BLK_FLAGS_DIRECT, TRUE },
};

/* The ring starts, at the place where it ended. */
static inline void
rig_begin (Rig *rig)
{
  const VhostQueueSetup addr = {
    .kind = VHOST_ADDRESS_GUEST, .desc = GUEST_DESC, .avail = GUEST_AVAIL, .used = GUEST_USED
  };
  g_autoptr (VhostReactor) reactor = vhost_reactor_get ();
  guint16 base = vhost_ring_load16 (&rig->guest.used->idx);
  VHOST_BACKEND_PAUSE (rig->backend);

  vhost_backend_begin_session (rig->backend, reactor);
  vhost_backend_take_memory (rig->backend, vhost_memory_ref (rig->guest.memory));
  rig->vring = vhost_backend_find_vring (rig->backend, 0, NULL);
  g_assert_true (vhost_vring_set_num (rig->backend, rig->vring, SIZE, NULL));
  g_assert_true (vhost_vring_set_base (rig->backend, rig->vring, base, NULL));
  g_assert_true (vhost_vring_set_addr (rig->backend, rig->vring, &addr, 0, 0, NULL));
  g_assert_true (vhost_vring_start (rig->backend, rig->vring, -1, NULL));
  vhost_vring_set_enabled (rig->vring, TRUE);
}

/* Every sector holds its number. */
static inline void
rig_init (Rig *rig, const Kind *kind)
{
  g_autoptr (GError) error = NULL;

  guest_init (&rig->guest, SIZE);
  rig->bus = g_object_new (BUS_TYPE, "device-id", VHOST_DEVICE_ID_BLOCK, "n-queues", 2, NULL);
  rig->backend = VHOST_BACKEND (rig->bus);
  rig->disk = vhost_virtio_blk_new (rig->backend);
  rig->image_fd = g_file_open_tmp ("vhost-blk-XXXXXX", &rig->path, NULL);
  for (guint i = 0; i < IMAGE_SIZE / SECTOR; i++) {
    guint32 sector[SECTOR / 4] = { i, i + 1, i + 2 };

    g_assert_cmpint (pwrite (rig->image_fd, sector, SECTOR, i * SECTOR), ==, SECTOR);
  }
  g_object_set (rig->disk, "engine", kind->engine, "serial", "a serial number of 23", NULL);
  g_assert_true (vhost_virtio_blk_open (rig->disk, rig->path, kind->flags, &error));
  g_assert_no_error (error);
  rig->worker = vhost_worker_new ();
  if (kind->on_worker) {
    g_assert_true (vhost_worker_start (rig->worker, NULL));
    g_assert_true (
        vhost_queue_set_worker (vhost_backend_get_queue (rig->backend, 0), rig->worker, &error));
  }
  rig_begin (rig);
}

static inline void
rig_clear (Rig *rig)
{
  vhost_backend_end_session (rig->backend);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_clear_object (&rig->disk);
  g_clear_object (&rig->bus);
  g_clear_object (&rig->worker);
  g_unlink (rig->path);
  g_clear_pointer (&rig->path, g_free);
  vhost_fd_clear (&rig->image_fd);
  guest_clear (&rig->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

typedef struct {
  guint64 address;
  guint32 length;
  gboolean writable;
} Piece;

static inline void
rig_look (Rig *rig)
{
  VHOST_BACKEND_PAUSE (rig->backend);
  vhost_queue_look_later (rig->vring->queue);
}

/* Makes a chain available. */
static inline void
rig_offer (Rig *rig, const Piece *pieces, guint n)
{
  guint16 head = rig->head;

  for (guint i = 0; i < n; i++)
    guest_write_desc (&rig->guest, (head + i) % SIZE, pieces[i].address, pieces[i].length,
                      (i + 1 < n ? VHOST_RING_DESC_NEXT : 0) |
                          (pieces[i].writable ? VHOST_RING_DESC_WRITE : 0),
                      (guint16) ((head + i + 1) % SIZE));
  guest_offer (&rig->guest, head);
  rig->head = (guint16) ((head + n) % SIZE);
  rig->n_asked++;
  rig_look (rig);
}

static inline void
rig_wait_until (Rig *rig, guint16 used)
{
  gint64 deadline = g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND;

  while (vhost_ring_load16 (&rig->guest.used->idx) != used) {
    g_assert_cmpint (g_get_monotonic_time (), <, deadline);
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (50);
  }
}

/* Waits for all that was offered; returns the length of the last one. */
static inline guint32
rig_wait (Rig *rig)
{
  rig_wait_until (rig, rig->n_asked);
  return GUINT32_FROM_LE (rig->guest.used->ring[(rig->n_asked - 1) % SIZE].len);
}

static inline guint8
rig_get_status (Rig *rig)
{
  return *(guint8 *) guest_at (&rig->guest, STATUS_AT);
}

static inline void
rig_write_header (Rig *rig, guint32 type, guint64 sector)
{
  guint32 *header = guest_at (&rig->guest, HEADER_AT);

  header[0] = GUINT32_TO_LE (type);
  header[1] = 0;
  memcpy (header + 2, &(guint64){ GUINT64_TO_LE (sector) }, 8);
  *(guint8 *) guest_at (&rig->guest, STATUS_AT) = NOTHING;
}

/* Header, data and status, each a descriptor; returns the status. */
static inline guint8
rig_ask (Rig *rig, guint32 type, guint64 sector, guint32 length)
{
  const Piece pieces[] = { { HEADER_AT, 16, FALSE },
                           { DATA_AT, length, type == IN || type == GET_ID },
                           { STATUS_AT, 1, TRUE } };

  rig_write_header (rig, type, sector);
  if (length > 0) {
    rig_offer (rig, pieces, 3);
  } else {
    const Piece two[] = { pieces[0], pieces[2] };

    rig_offer (rig, two, 2);
  }
  rig_wait (rig);
  return rig_get_status (rig);
}

static inline gpointer
rig_data (Rig *rig)
{
  return guest_at (&rig->guest, DATA_AT);
}

static inline void
assert_image (Rig *rig, guint64 offset, gconstpointer expected, gsize length)
{
  g_autofree guint8 *found = g_malloc (length);

  g_assert_cmpint (pread (rig->image_fd, found, length, (off_t) offset), ==, length);
  g_assert_cmpmem (found, length, expected, length);
}
