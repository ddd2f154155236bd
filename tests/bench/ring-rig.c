/* SPDX-License-Identifier: BSD-3-Clause */
/* See ring-rig.h. The back-end belongs to the main context; the front-end has its hands shaken from
 * a thread that ends before ring_rig_new() returns. */

#include "ring-rig.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define REGION_STRIDE 0x400000 /* in guest memory: no region touches the next one */
#define REGION_SIZE 0x40000
#define FIRST_SIZE 0x200000 /* the rings are in there */
#define GUEST_BASE 0x40000000
#define USER_OFFSET 0x7000000000

/* Inside the first region: a ring, its tables, the other ring. */
#define RING_OURS 0x0
#define RING_THEIRS 0x80000
#define RING_AVAIL 0x8000
#define RING_USED 0x9000
#define RING_TABLES 0x10000

/* --- Memory -------------------------------------------------------------------------------- */

static void
add_region (RingRig *rig, guint i, int fd)
{
  gsize offset = i == 0 ? 0 : FIRST_SIZE + (gsize) (i - 1) * REGION_SIZE;
  guint64 address = GUEST_BASE + (guint64) i * REGION_STRIDE;
  gsize size = i == 0 ? FIRST_SIZE : REGION_SIZE;
  g_autoptr (VhostMemoryRegion) region = NULL;
  VhostMemory *sum;

  rig->regions[i] = (FloorRegion){ address, size, rig->map + offset };
  region = vhost_memory_region_new (address, size, address + USER_OFFSET, fd, offset, NULL);
  sum = vhost_memory_add (rig->memory, region, NULL);
  vhost_memory_unref (rig->memory);
  rig->memory = sum;
}

static void
make_memory (RingRig *rig)
{
  int fd = memfd_create ("bench", MFD_CLOEXEC);

  rig->map_size = FIRST_SIZE + (gsize) rig->n_regions * REGION_SIZE;
  if (fd < 0 || ftruncate (fd, (off_t) rig->map_size) != 0)
    g_error ("no memory for the rings");
  rig->map = mmap (NULL, rig->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  rig->regions = g_new0 (FloorRegion, rig->n_regions);
  rig->memory = vhost_memory_new ();
  for (guint i = 0; i < rig->n_regions; i++)
    add_region (rig, i, fd);
  close (fd);
}

/* --- Driver -------------------------------------------------------------------------------- */

typedef struct {
  guint64 address;
  guint32 length;
  guint16 third; /* flags of a split descriptor, id of a packed one */
  guint16 last;  /* next of a split descriptor, flags of a packed one */
} Desc;

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

static guint64
pick_buffer (const RingRig *rig, RigBuffers buffers, GRand *random, guint number)
{
  guint i = rig->n_regions - 1;
  guint64 offset = (number * RIG_BUFFER) % (REGION_SIZE / 2);

  if (buffers == RIG_BUFFERS_SPREAD)
    i = (guint) g_rand_int_range (random, 0, (int) rig->n_regions);
  return rig->regions[i].start + (i == 0 ? 0x100000 : 0) + offset;
}

/* The first piece of several is for the device to read, the others for it to write; one alone too.
 */
static guint16
get_kind (const RigShape *shape, guint piece)
{
  return piece > 0 || shape->n_descs == 1 ? WRITE : 0;
}

static void
write_chain (const RingRig *rig, RigDriver *driver, guint chain, RigBuffers buffers, GRand *random)
{
  const RigShape *shape = &driver->shape;
  gsize table = RING_TABLES + (gsize) chain * 4 * sizeof (Desc);
  guint first = shape->indirect ? 0 : chain * shape->n_descs;
  Desc *descs = (Desc *) (driver->host + (shape->indirect ? table : 0)) + first;

  for (guint i = 0; i < shape->n_descs; i++) {
    guint16 next = (guint16) (first + i + 1);
    guint16 flags = get_kind (shape, i) | (i + 1 < shape->n_descs ? NEXT : 0);
    guint64 address = pick_buffer (rig, buffers, random, chain * shape->n_descs + i);

    descs[i] = driver->packed ? (Desc){ address, 64, (guint16) chain, flags }
                              : (Desc){ address, 64, flags, flags & NEXT ? next : 0 };
  }
  if (shape->indirect) {
    Desc *direct = (Desc *) driver->host + chain;
    guint64 length = shape->n_descs * sizeof (Desc);

    *direct = driver->packed
                  ? (Desc){ driver->address + table, (guint32) length, (guint16) chain, INDIRECT }
                  : (Desc){ driver->address + table, (guint32) length, INDIRECT, 0 };
  }
}

static void
driver_init (RingRig *rig, RigDriver *driver, gsize offset, gboolean packed, const RigShape *shape,
             RigBuffers buffers)
{
  GRand *random = g_rand_new_with_seed (1); /* the same for both */
  guint16 *avail;

  *driver = (RigDriver){ .address = rig->regions[0].start + offset,
                         .host = rig->map + offset,
                         .packed = packed,
                         .shape = *shape };
  driver->n_chains = shape->indirect ? RIG_SIZE : RIG_SIZE / shape->n_descs;
  avail = (guint16 *) (driver->host + RING_AVAIL);
  for (guint i = 0; i < driver->n_chains; i++)
    write_chain (rig, driver, i, buffers, random);
  for (guint i = 0; i < RIG_SIZE && !packed; i++)
    avail[2 + i] = (guint16) (i % driver->n_chains * (shape->indirect ? 1 : shape->n_descs));
  g_rand_free (random);
}

/* What the device used has lost length and id, and is written anew. */
static void
offer_packed (RigDriver *driver)
{
  const RigShape *shape = &driver->shape;
  Desc *descs = (Desc *) driver->host;
  guint n = shape->indirect ? 1 : shape->n_descs;

  driver->wrap = !driver->wrap;
  for (guint i = driver->n_chains * n; i-- > 0;) {
    guint16 kind =
        shape->indirect ? INDIRECT : get_kind (shape, i % n) | (i % n + 1 < n ? NEXT : 0);
    guint16 flags = kind | (driver->wrap ? 0x80 : 0x8000);

    descs[i].length = shape->indirect ? shape->n_descs * (guint32) sizeof (Desc) : 64;
    descs[i].third = (guint16) (i / n);
    __atomic_store_n (&descs[i].last, flags, __ATOMIC_RELEASE);
  }
}

void
rig_driver_offer (RigDriver *driver)
{
  driver->idx += driver->n_chains;
  if (driver->packed)
    offer_packed (driver);
  else
    __atomic_store_n ((guint16 *) (driver->host + RING_AVAIL) + 1, driver->idx, __ATOMIC_RELEASE);
}

gboolean
rig_driver_is_done (const RigDriver *driver)
{
  const Desc *descs = (const Desc *) driver->host;
  guint last = (driver->n_chains - 1) * (driver->shape.indirect ? 1 : driver->shape.n_descs);
  guint16 bits = 0x8080;

  if (!driver->packed)
    return __atomic_load_n ((guint16 *) (driver->host + RING_USED) + 1, __ATOMIC_ACQUIRE) ==
           driver->idx;
  return (__atomic_load_n (&descs[last].last, __ATOMIC_ACQUIRE) & bits) ==
         (driver->wrap ? bits : 0);
}

/* --- The library's queue ------------------------------------------------------------------- */

#define TRY(call)                                                                                  \
  if (!(call))                                                                                     \
  g_error (#call ": %s", error->message)

static gpointer
shake_hands (gpointer data)
{
  RingRig *rig = data;
  VhostDevice *device = VHOST_DEVICE (rig->frontend);
  GError *error = NULL;
  guint64 ring = rig->ours.address;
  int kick = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  guint64 features = G_GUINT64_CONSTANT (1) << VHOST_FEATURE_VERSION_1 |
                     1 << VHOST_FEATURE_INDIRECT_DESC | 1 << VHOST_FEATURE_PROTOCOL_FEATURES;

  if (rig->ours.packed)
    features |= G_GUINT64_CONSTANT (1) << VHOST_FEATURE_RING_PACKED;
  TRY (vhost_device_set_features (device, features, NULL, &error));
  TRY (vhost_device_set_memory (device, rig->memory, NULL, &error));
  TRY (vhost_device_set_vring_num (device, 0, RIG_SIZE, NULL, &error));
  TRY (vhost_device_set_vring_addr (device, 0, 0, ring, ring + RING_AVAIL, ring + RING_USED, 0,
                                    NULL, &error));
  TRY (vhost_device_set_vring_base (device, 0, rig->ours.packed ? 0x80008000 : 0, NULL, &error));
  TRY (vhost_device_set_vring_call (device, 0, -1, NULL, &error));
  TRY (vhost_device_set_vring_kick (device, 0, kick, NULL, &error));
  TRY (vhost_device_set_vring_enable (device, 0, TRUE, NULL, &error));
  TRY (vhost_device_get_features (device, NULL, &error) != 0); /* all of it has been done */
  close (kick);
  return NULL;
}

static gpointer
open_and_shake_hands (gpointer data)
{
  gpointer *arguments = data;
  RingRig *rig = arguments[0];
  int fd = GPOINTER_TO_INT (arguments[1]);
  g_autoptr (GMainContext) context = g_main_context_new ();
  GError *error = NULL;

  g_main_context_push_thread_default (context);
  TRY (vhost_user_frontend_open_fd (rig->frontend, fd, NULL, &error));
  close (fd);
  shake_hands (rig);
  g_main_context_pop_thread_default (context);
  g_atomic_pointer_set (&arguments[0], NULL);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* Chains are taken by the benchmark, not when there is a kick. */
static void
leave_alone (VhostQueue *queue, gpointer data)
{
}

static void
start_queue (RingRig *rig)
{
  gpointer arguments[2];
  GThread *thread;
  GError *error = NULL;
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    g_error ("no socket pair");
  rig->backend = vhost_user_backend_new (VHOST_DEVICE_ID_BLOCK, 1);
  rig->frontend = vhost_user_frontend_new ();
  rig->queue = vhost_backend_get_queue (VHOST_BACKEND (rig->backend), 0);
  vhost_queue_set_kick_func (rig->queue, leave_alone, NULL, NULL);
  TRY (vhost_user_backend_open_fd (rig->backend, fds[0], &error));
  close (fds[0]);
  arguments[0] = rig;
  arguments[1] = GINT_TO_POINTER (fds[1]);
  thread = g_thread_new ("front-end", open_and_shake_hands, arguments);
  while (g_atomic_pointer_get (&arguments[0]) != NULL)
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (thread);
  if (!vhost_queue_is_started (rig->queue) || !vhost_queue_is_enabled (rig->queue))
    g_error ("the queue was not started");
}

/* --- The rig ------------------------------------------------------------------------------- */

RingRig *
ring_rig_new (gboolean packed, const RigShape *shape, guint n_regions, RigBuffers buffers)
{
  RingRig *rig = g_new0 (RingRig, 1);

  rig->n_regions = n_regions;
  make_memory (rig);
  driver_init (rig, &rig->ours, RING_OURS, packed, shape, buffers);
  driver_init (rig, &rig->theirs, RING_THEIRS, packed, shape, buffers);
  rig->floor = g_new0 (FloorRing, 1);
  *rig->floor = (FloorRing){ .regions = rig->regions,
                             .last = rig->regions,
                             .n_regions = n_regions,
                             .size = RIG_SIZE,
                             .desc = rig->theirs.host,
                             .avail = rig->theirs.host + RING_AVAIL,
                             .used = rig->theirs.host + RING_USED,
                             .avail_wrap = 1,
                             .used_wrap = 1 };
  rig->floor_pop = packed ? floor_packed_pop : floor_split_pop;
  rig->floor_push = packed ? floor_packed_push : floor_split_push;
  start_queue (rig);
  return rig;
}

void
ring_rig_free (RingRig *rig)
{
  vhost_user_frontend_close (rig->frontend);
  vhost_user_backend_close (rig->backend);
  g_object_unref (rig->frontend);
  g_object_unref (rig->backend);
  vhost_memory_unref (rig->memory);
  munmap (rig->map, rig->map_size);
  g_free (rig->regions);
  g_free (rig->floor);
  g_free (rig);
}
