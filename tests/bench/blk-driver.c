/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk-driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bench.h"

#define ADDRESS G_GUINT64_CONSTANT (0x40000000)
#define SIZE 512 /* entries of the ring */
#define BLOCK 4096
#define SECTORS_PER_BLOCK (BLOCK / 512)

typedef struct {
  guint64 addr;
  guint32 len;
  guint16 flags;
  guint16 next;
} Desc;

typedef struct {
  guint32 id;
  guint32 len;
} UsedElem;

typedef struct {
  guint32 type;
  guint32 reserved;
  guint64 sector;
  guint8 status;
  guint8 padding[47]; /* a cache line for each */
} Request;

typedef struct {
  Desc desc[SIZE];
  struct {
    guint16 flags;
    guint16 idx;
    guint16 ring[SIZE];
    guint16 used_event;
  } avail __attribute__ ((aligned (4096)));
  struct {
    guint16 flags;
    guint16 idx;
    UsedElem ring[SIZE];
    guint16 avail_event;
  } used __attribute__ ((aligned (4096)));
  Request requests[BLK_MAX_DEPTH] __attribute__ ((aligned (4096)));
  guint8 data[BLK_MAX_DEPTH][BLOCK] __attribute__ ((aligned (4096)));
} Shared;

struct _BlkDriver {
  VhostUserFrontend *frontend;
  VhostMemory *memory;
  Shared *shared;
  int kick_fd;
  int call_fd;
  guint64 n_blocks;
  guint64 random;
  guint16 avail_idx;
  guint16 used_idx;
};

#define require(done, error)                                                                       \
  G_STMT_START                                                                                     \
  {                                                                                                \
    if (!(done))                                                                                   \
      g_error ("%s", (error)->message);                                                            \
  }                                                                                                \
  G_STMT_END

/* --- Opening ------------------------------------------------------------------------------- */

static void
describe (Shared *shared)
{
  for (guint i = 0; i < BLK_MAX_DEPTH; i++) {
    guint64 request = ADDRESS + G_STRUCT_OFFSET (Shared, requests) + i * sizeof (Request);
    guint64 data = ADDRESS + G_STRUCT_OFFSET (Shared, data) + (guint64) i * BLOCK;

    shared->desc[3 * i] = (Desc){ request, 16, 1, (guint16) (3 * i + 1) };
    shared->desc[3 * i + 1] = (Desc){ data, BLOCK, 3, (guint16) (3 * i + 2) };
    shared->desc[3 * i + 2] = (Desc){ request + 16, 1, 2, 0 };
  }
}

static void
make_memory (BlkDriver *driver)
{
  g_autoptr (VhostMemory) none = vhost_memory_new ();
  g_autoptr (VhostMemoryRegion) region = NULL;
  gsize size = (sizeof (Shared) + 4095) / 4096 * 4096;
  int fd = memfd_create ("blk-driver", MFD_CLOEXEC);
  GError *error = NULL;

  if (fd < 0 || ftruncate (fd, (off_t) size) < 0)
    g_error ("no memory");
  driver->shared = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  region = vhost_memory_region_new (ADDRESS, size, ADDRESS, fd, 0, &error);
  require (region != NULL, error);
  driver->memory = vhost_memory_add (none, region, &error);
  require (driver->memory != NULL, error);
  close (fd);
  describe (driver->shared);
}

static void
start_queue (BlkDriver *driver, VhostDevice *device)
{
  const guint64 avail = ADDRESS + G_STRUCT_OFFSET (Shared, avail);
  const guint64 used = ADDRESS + G_STRUCT_OFFSET (Shared, used);
  GError *error = NULL;

  driver->kick_fd = eventfd (0, EFD_CLOEXEC);
  driver->call_fd = eventfd (0, EFD_CLOEXEC);
  require (vhost_device_set_memory (device, driver->memory, NULL, &error) &&
               vhost_device_set_vring_num (device, 0, SIZE, NULL, &error) &&
               vhost_device_set_vring_base (device, 0, 0, NULL, &error) &&
               vhost_device_set_vring_addr (device, 0, 0, ADDRESS, avail, used, 0, NULL, &error) &&
               vhost_device_set_vring_call (device, 0, driver->call_fd, NULL, &error) &&
               vhost_device_set_vring_kick (device, 0, driver->kick_fd, NULL, &error) &&
               vhost_device_set_vring_enable (device, 0, TRUE, NULL, &error),
           error);
}

BlkDriver *
blk_driver_open (const char *path)
{
  BlkDriver *driver = g_new0 (BlkDriver, 1);
  const guint64 wanted = 1ull << VHOST_FEATURE_VERSION_1 | 1ull << VHOST_FEATURE_EVENT_IDX |
                         1ull << VHOST_BLK_FEATURE_FLUSH | 1ull << 30;
  g_autofree guint8 *capacity = NULL;
  VhostDevice *device;
  GError *error = NULL;
  guint64 features;
  gsize length;

  driver->random = 88172645463325252;
  driver->frontend = vhost_user_frontend_new ();
  device = VHOST_DEVICE (driver->frontend);
  for (guint i = 0; i < 500 && access (path, F_OK) < 0; i++)
    g_usleep (10000);
  g_usleep (200000);
  require (vhost_user_frontend_open (driver->frontend, path, NULL, &error), error);
  features = vhost_device_get_features (device, NULL, &error) & wanted;
  require (vhost_device_set_features (device, features, NULL, &error), error);
  capacity = vhost_device_get_config (device, 0, 8, NULL, &length, &error);
  require (capacity != NULL, error);
  driver->n_blocks = *(guint64 *) (gpointer) capacity / SECTORS_PER_BLOCK;
  make_memory (driver);
  start_queue (driver, device);
  return driver;
}

void
blk_driver_close (BlkDriver *driver)
{
  vhost_user_frontend_close (driver->frontend);
  g_object_unref (driver->frontend);
  vhost_memory_unref (driver->memory);
  munmap (driver->shared, sizeof (Shared));
  close (driver->kick_fd);
  close (driver->call_fd);
  g_free (driver);
}

/* --- Reading ------------------------------------------------------------------------------- */

static void
offer (BlkDriver *driver, guint number)
{
  Shared *shared = driver->shared;
  Request *request = &shared->requests[number];

  driver->random ^= driver->random << 13;
  driver->random ^= driver->random >> 7;
  driver->random ^= driver->random << 17;
  request->type = 0;
  request->sector = driver->random % driver->n_blocks * SECTORS_PER_BLOCK;
  request->status = 0xff;
  shared->avail.ring[driver->avail_idx++ % SIZE] = (guint16) (3 * number);
}

static void
publish (BlkDriver *driver, guint16 before)
{
  Shared *shared = driver->shared;
  guint16 event;

  __atomic_store_n (&shared->avail.idx, driver->avail_idx, __ATOMIC_RELEASE);
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  event = __atomic_load_n (&shared->used.avail_event, __ATOMIC_RELAXED);
  if ((guint16) (driver->avail_idx - event - 1) < (guint16) (driver->avail_idx - before))
    eventfd_write (driver->kick_fd, 1);
}

static guint16
load_used (BlkDriver *driver)
{
  return __atomic_load_n (&driver->shared->used.idx, __ATOMIC_ACQUIRE);
}

/* Asks for a call when something more is used, and sleeps. */
static void
sleep_until_called (BlkDriver *driver)
{
  eventfd_t count;

  __atomic_store_n (&driver->shared->avail.used_event, driver->used_idx, __ATOMIC_RELAXED);
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  if (load_used (driver) == driver->used_idx)
    eventfd_read (driver->call_fd, &count);
}

/* Takes what is used and, unless it is the end, asks again. */
static guint
turn (BlkDriver *driver, gboolean again)
{
  Shared *shared = driver->shared;
  guint16 used = load_used (driver);
  guint16 before = driver->avail_idx;
  guint n = (guint16) (used - driver->used_idx);

  for (; driver->used_idx != used; driver->used_idx++) {
    guint number = shared->used.ring[driver->used_idx % SIZE].id / 3;

    if (__atomic_load_n (&shared->requests[number].status, __ATOMIC_RELAXED) != 0)
      g_error ("a request failed");
    if (again)
      offer (driver, number);
  }
  if (driver->avail_idx != before)
    publish (driver, before);
  return n;
}

static void
wait_for_all (BlkDriver *driver, guint depth)
{
  while (depth > 0)
    depth -= turn (driver, FALSE);
}

double
blk_driver_run (BlkDriver *driver, guint depth, gboolean polling, double seconds)
{
  double start = bench_now_ns ();
  double end = start;
  guint16 before = driver->avail_idx;
  guint64 n = 0;

  for (guint i = 0; i < depth; i++)
    offer (driver, i);
  publish (driver, before);
  for (guint turns = 0; end - start < seconds * 1e9; turns++) {
    guint done = turn (driver, TRUE);

    n += done;
    if (polling) /* behind what is used: not called */
      __atomic_store_n (&driver->shared->avail.used_event, (guint16) (driver->used_idx - 1000),
                        __ATOMIC_RELAXED);
    else if (done == 0)
      sleep_until_called (driver);
    if (turns % 64 == 0)
      end = bench_now_ns ();
  }
  end = bench_now_ns ();
  wait_for_all (driver, depth);
  return (double) n / (end - start) * 1e9;
}
