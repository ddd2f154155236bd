/* SPDX-License-Identifier: BSD-3-Clause */
/* Inflight records. The main test kills a device at every single store that it makes to memory
 * which outlives it: the device is a child that is stepped through its work one instruction at a
 * time, and whenever shared memory has changed, a picture is taken. Each picture is then what a new
 * process finds. */

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "ring/vhost-driver-ring-private.h"
#include "ring/vhost-inflight-private.h"
#include "ring/vhost-queue-state-private.h"
#include "test-fds.h"
#include "test-queue.h"

#define MAX_REQUESTS 16

/* Each store of the instrumented build takes many more instructions. */
#ifdef __SANITIZE_ADDRESS__
#define BATCH_STEP 7
#else
#define BATCH_STEP 1
#endif

/* What outlives a device. */
typedef struct {
  guint8 *start;
  gsize size;
} Part;

/* A driver, its memory, and the record; devices come and go. */
typedef struct {
  Guest guest;
  gboolean packed;
  guint size;
  guint max_pieces;
  VhostDriverSideRing driver;
  VhostReactor *reactor;
  VhostInflightArea *area;
  Part parts[4];
  gsize n_bytes;
} World;

static void
world_init (World *world, gboolean packed, guint size, guint max_pieces)
{
  VHOST_AUTO_FD fd = -1;
  guint64 bytes = vhost_inflight_area_get_bytes (packed, 1, size, NULL);

  *world = (World){ .packed = packed, .size = size, .max_pieces = max_pieces };
  guest_init (&world->guest, size);
  vhost_driver_ring_init (&world->driver, packed, (guint16) size, FALSE, world->guest.desc,
                          world->guest.avail, world->guest.used);
  fd = vhost_inflight_area_make_file (bytes, NULL);
  world->area = vhost_inflight_area_new (fd, 0, bytes, packed, 1, size, NULL);
  world->reactor = vhost_reactor_get ();
  world->parts[0] = (Part){ (guint8 *) world->guest.desc, VHOST_RING_DESC_BYTES (size) };
  world->parts[1] = (Part){ (guint8 *) world->guest.avail, VHOST_RING_AVAIL_BYTES (size) };
  world->parts[2] = (Part){ (guint8 *) world->guest.used, VHOST_RING_USED_BYTES (size) };
  world->parts[3] = (Part){ vhost_inflight_area_get_region (world->area, 0), bytes };
  for (guint i = 0; i < G_N_ELEMENTS (world->parts); i++)
    world->n_bytes += world->parts[i].size;
}

static void
world_clear (World *world)
{
  vhost_driver_ring_clear (&world->driver);
  g_clear_pointer (&world->area, vhost_inflight_area_unref);
  g_clear_pointer (&world->reactor, vhost_reactor_unref);
  guest_clear (&world->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (World, world_clear)

static guint8 *
take_picture (const World *world)
{
  guint8 *picture = g_malloc (world->n_bytes);
  gsize offset = 0;

  for (guint i = 0; i < G_N_ELEMENTS (world->parts); i++) {
    memcpy (picture + offset, world->parts[i].start, world->parts[i].size);
    offset += world->parts[i].size;
  }
  return picture;
}

static gboolean
looks_like (const World *world, const guint8 *picture)
{
  gsize offset = 0;

  for (guint i = 0; i < G_N_ELEMENTS (world->parts); i++) {
    if (memcmp (picture + offset, world->parts[i].start, world->parts[i].size) != 0)
      return FALSE;
    offset += world->parts[i].size;
  }
  return TRUE;
}

static void
put_back (const World *world, const guint8 *picture)
{
  gsize offset = 0;

  for (guint i = 0; i < G_N_ELEMENTS (world->parts); i++) {
    memcpy (world->parts[i].start, picture + offset, world->parts[i].size);
    offset += world->parts[i].size;
  }
}

/* --- Driver and device -------------------------------------------------------------------------
 */

static guint64
get_buffer (guint request)
{
  return GUEST_BUFFERS + request * 64;
}

static void
offer_request (World *world, guint request)
{
  VhostDriverPiece pieces[] = { { get_buffer (request), 16 }, { get_buffer (request) + 32, 16 } };
  guint n = world->max_pieces == 1 ? 1 : 1 + request % 2;

  g_assert_true (
      vhost_driver_ring_add (&world->driver, pieces, n - 1, 1, GUINT_TO_POINTER (request + 1)));
  vhost_driver_ring_publish (&world->driver);
}

/* The requests that were completed: a bit each, and never twice. */
static guint
collect (VhostDriverSideRing *driver)
{
  guint found = 0;
  gpointer cookie;
  guint32 length;

  while (vhost_driver_ring_collect (driver, &cookie, &length)) {
    guint bit = 1u << (GPOINTER_TO_UINT (cookie) - 1);

    g_assert_false (found & bit);
    found |= bit;
  }
  g_assert_cmpint (driver->common.error.fault, ==, VHOST_RING_FAULT_NONE);
  return found;
}

static void
copy_driver (VhostDriverSideRing *copy, const VhostDriverSideRing *driver)
{
  *copy = *driver;
  copy->common.shadow =
      g_memdup2 (driver->common.shadow, driver->common.size * sizeof *driver->common.shadow);
}

/* @base does not matter once there is a record. */
static VhostQueue *
start_device (World *world, guint32 base)
{
  VhostQueueSetup setup = { .size = world->size,
                            .kind = VHOST_ADDRESS_GUEST,
                            .desc = GUEST_DESC,
                            .avail = GUEST_AVAIL,
                            .used = GUEST_USED,
                            .base = base,
                            .packed = world->packed,
                            .inflight = world->area };
  VhostQueue *queue = vhost_queue_new (0, NULL, NULL);
  GError *error = NULL;

  vhost_queue_set_enabled (queue, TRUE);
  vhost_queue_start (queue, &setup, world->guest.memory, world->reactor, &error);
  g_assert_no_error (error);
  return queue;
}

/* As a process that was killed: nothing is tidied up. */
static void
abandon_device (VhostQueue *queue)
{
  vhost_queue_forget_tracking (queue);
  g_object_unref (queue);
}

static void
push (VhostQueue *queue, VhostSlot **slots, guint n)
{
  const guint32 lengths[MAX_REQUESTS] = { 0 };

  if (n > 0)
    vhost_queue_push_slots (queue, slots, lengths, n);
}

static guint
pop (VhostQueue *queue, VhostSlot **slots, guint max)
{
  guint n = 0;
  guint got;

  while (n < max && (got = vhost_queue_pop_slots (queue, slots + n, max - n)) > 0)
    n += got;
  return n;
}

static gboolean
unpop (VhostQueue *queue, VhostSlot *slot)
{
  if (!vhost_queue_unpop_ring (queue, slot))
    return FALSE;
  vhost_queue_unpin (queue, &slot, 1);
  return TRUE;
}

static void
reverse (VhostSlot **slots, guint n)
{
  for (guint i = 0; i < n / 2; i++) {
    VhostSlot *other = slots[i];

    slots[i] = slots[n - 1 - i];
    slots[n - 1 - i] = other;
  }
}

/* The life that is cut short: a batch of @batch in reverse, then the rest, of which some are given
 * back to the ring, some completed and some not. */
static void
live (VhostQueue *queue, guint batch)
{
  VhostSlot *slots[MAX_REQUESTS];
  guint n = pop (queue, slots, batch);

  reverse (slots, n);
  push (queue, slots, n);
  n = pop (queue, slots, MAX_REQUESTS);
  if (n > 2)
    unpop (queue, slots[--n]);
  if (n > 1)
    push (queue, slots + 1, MIN (n - 1, batch));
}

/* --- Stepping ------------------------------------------------------------------------------- */

typedef void (*Work) (World *world, gpointer data);

/* Runs @work in a child, instruction by instruction. Returns what memory looked like before and
 * after each store. */
static GPtrArray *
watch_stores (World *world, Work work, gpointer data)
{
  GPtrArray *pictures = g_ptr_array_new_with_free_func (g_free);
  pid_t child = fork ();
  int status;

  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    ptrace (PTRACE_TRACEME, 0, NULL, NULL);
    raise (SIGSTOP);
    work (world, data);
    _exit (0);
  }
  g_ptr_array_add (pictures, take_picture (world));
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  while (WIFSTOPPED (status)) {
    if (!looks_like (world, g_ptr_array_index (pictures, pictures->len - 1)))
      g_ptr_array_add (pictures, take_picture (world));
    g_assert_cmpint (ptrace (PTRACE_SINGLESTEP, child, NULL, NULL), ==, 0);
    g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  }
  g_assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
  return pictures;
}

typedef struct {
  VhostQueue *queue;
  guint batch;
} Life;

static void
work_live (World *world, gpointer data)
{
  const Life *life = data;

  live (life->queue, life->batch);
}

static void
work_recover (World *world, gpointer data)
{
  gpointer region = vhost_inflight_area_get_region (world->area, 0);
  VhostInflightRecovery recovery;
  VhostInflight inflight;

  if (world->packed)
    vhost_inflight_init_packed (&inflight, region, (guint16) world->size, (guint16) world->size,
                                (gpointer) world->guest.desc, 0, &recovery);
  else
    vhost_inflight_init_split (&inflight, region, (guint16) world->size, (guint16) world->size,
                               world->guest.used, 0, &recovery);
}

/* --- What a new process makes of it --------------------------------------------------------- */

/* Pops everything: what has not been completed, each once, in the order in which it was offered. */
static guint
pop_the_rest (const World *world, VhostQueue *queue, VhostSlot **slots, guint missing)
{
  guint n = pop (queue, slots, MAX_REQUESTS);
  guint last = 0;

  for (guint i = 0; i < n; i++) {
    const guint8 *start = guest_at (&world->guest, GUEST_BUFFERS);
    guint request = (guint) ((guint8 *) slots[i]->iov[0].iov_base - start) / 64;

    g_assert_true (missing & 1u << request);
    g_assert_true (i == 0 || request > last);
    missing &= ~(1u << request);
    last = request;
  }
  g_assert_cmphex (missing, ==, 0);
  return n;
}

static void
check_survives (World *world, const guint8 *picture, guint all, guint batch)
{
  VhostDriverSideRing driver;
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;
  guint done, n;

  put_back (world, picture);
  copy_driver (&driver, &world->driver);
  done = collect (&driver);
  queue = start_device (world, 0);
  n = pop_the_rest (world, queue, slots, all & ~done);
  reverse (slots, n);
  for (guint i = 0; i < n; i += batch) {
    guint found;

    push (queue, slots + i, MIN (batch, n - i));
    found = collect (&driver);
    g_assert_cmphex (found & done, ==, 0);
    done |= found;
  }
  g_assert_cmphex (done, ==, all);
  abandon_device (queue);

  queue = start_device (world, 0);
  g_assert_cmpuint (pop (queue, slots, MAX_REQUESTS), ==, 0);
  abandon_device (queue);
  vhost_driver_ring_clear (&driver);
}

/* Lets @n requests pass, so that positions, lists and wrap counters are those of a ring in use. */
static void
turn (World *world, guint n)
{
  VhostQueue *queue = start_device (world, world->packed ? 0x80008000 : 0);
  VhostSlot *slots[MAX_REQUESTS];

  for (guint i = 0; i < n; i += 3) {
    guint step = MIN (3, n - i);

    for (guint request = 0; request < step; request++)
      offer_request (world, 2 * request); /* of one piece */
    g_assert_cmpuint (pop (queue, slots, step), ==, step);
    reverse (slots, step);
    push (queue, slots, step);
    collect (&world->driver);
  }
  abandon_device (queue);
}

typedef struct {
  gboolean packed;
  guint size;
  guint max_pieces;
} Shape;

static const Shape shapes[] = {
  { FALSE, 8, 1 }, { FALSE, 16, 2 }, { TRUE, 8, 1 }, { TRUE, 13, 2 }, { TRUE, 16, 2 },
};

static guint
count_offers (const Shape *shape)
{
  return shape->max_pieces == 1 ? shape->size : shape->size * 2 / 3;
}

static guint
cut_everywhere (const Shape *shape, guint n_before, guint batch, gboolean twice)
{
  g_auto (World) world = { 0 };
  g_autoptr (GPtrArray) pictures = NULL;
  guint n = count_offers (shape);
  Life life = { .batch = batch };
  guint n_cuts;

  world_init (&world, shape->packed, shape->size, shape->max_pieces);
  turn (&world, n_before);
  for (guint i = 0; i < n; i++)
    offer_request (&world, i);
  life.queue = start_device (&world, 0);
  pictures = watch_stores (&world, work_live, &life);
  abandon_device (life.queue);

  n_cuts = pictures->len;
  for (guint i = 0; i < pictures->len; i++) {
    check_survives (&world, g_ptr_array_index (pictures, i), (1u << n) - 1, 1 + i % 5);
    if (twice && i % (4 * BATCH_STEP) == 1) {
      g_autoptr (GPtrArray) again = NULL;

      put_back (&world, g_ptr_array_index (pictures, i));
      again = watch_stores (&world, work_recover, NULL);
      n_cuts += again->len;
      for (guint k = 0; k < again->len; k++)
        check_survives (&world, g_ptr_array_index (again, k), (1u << n) - 1, 2);
    }
  }
  return n_cuts;
}

static void
test_every_store (guint *n_fds, gconstpointer data)
{
  const Shape *shape = data;
  guint n_cuts = 0;

  for (guint batch = 1; batch <= 8; batch += BATCH_STEP) {
    guint n_before = batch % 4 == 0 ? 0 : shape->size - 3 + batch;

    n_cuts += cut_everywhere (shape, n_before, batch, FALSE);
  }
  g_test_message ("%u cuts", n_cuts);
  g_assert_cmpuint (n_cuts, >, 300 / BATCH_STEP);
}

static void
test_recovery_cut_short (guint *n_fds, gconstpointer data)
{
  guint n_cuts = cut_everywhere (data, 5, 3, TRUE);

  g_test_message ("%u cuts", n_cuts);
}

/* --- Stop and go on --------------------------------------------------------------------------- */

static void
test_stop_leaves_a_new_region (guint *n_fds, gconstpointer data)
{
  const Shape *shape = data;
  g_auto (World) world = { 0 };
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;
  guint32 base;

  world_init (&world, shape->packed, shape->size, 1);
  queue = start_device (&world, shape->packed ? 0x80008000 : 0);
  for (guint i = 0; i < 4; i++)
    offer_request (&world, i);
  g_assert_cmpuint (pop (queue, slots, 4), ==, 4);
  push (queue, slots, 2);
  vhost_queue_stop (queue);
  g_assert_cmpuint (vhost_queue_finish_stop (queue), ==, 0); /* two are rewound */
  base = vhost_queue_get_base (queue);
  g_object_unref (queue);
  g_assert_cmphex (collect (&world.driver), ==, 3);

  queue = start_device (&world, base);
  g_assert_cmpuint (pop_the_rest (&world, queue, slots, 12), ==, 2);
  push (queue, slots, 2);
  g_assert_cmphex (collect (&world.driver), ==, 12);
  vhost_queue_stop (queue);
  vhost_queue_finish_stop (queue);
  g_object_unref (queue);
}

static void
test_stop_leaves_in_flight (guint *n_fds, gconstpointer data)
{
  const Shape *shape = data;
  g_auto (World) world = { 0 };
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;

  world_init (&world, shape->packed, shape->size, 1);
  queue = start_device (&world, shape->packed ? 0x80008000 : 0);
  for (guint i = 0; i < 4; i++)
    offer_request (&world, i);
  g_assert_cmpuint (pop (queue, slots, 3), ==, 3);
  push (queue, slots + 1, 1);
  vhost_queue_leave_in_flight (queue);
  g_assert_false (vhost_queue_stop (queue));
  g_assert_cmpuint (vhost_queue_finish_stop (queue), ==, 2);
  g_object_unref (queue);

  queue = start_device (&world, 0);
  g_assert_cmpuint (pop_the_rest (&world, queue, slots, 0xd), ==, 3);
  push (queue, slots, 3);
  g_assert_cmphex (collect (&world.driver), ==, 0xf);
  abandon_device (queue);
}

/* Those of the process before can be given back too; they come again, first and in order. */
static void
test_unpop_recovered (guint *n_fds, gconstpointer data)
{
  const Shape *shape = data;
  g_auto (World) world = { 0 };
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;

  world_init (&world, shape->packed, shape->size, 1);
  queue = start_device (&world, shape->packed ? 0x80008000 : 0);
  for (guint i = 0; i < 4; i++)
    offer_request (&world, i);
  g_assert_cmpuint (pop (queue, slots, 2), ==, 2);
  abandon_device (queue);

  queue = start_device (&world, 0);
  g_assert_cmpuint (pop (queue, slots, 3), ==, 3);
  g_assert_false (unpop (queue, slots[1]));
  g_assert_true (unpop (queue, slots[2]));
  g_assert_true (unpop (queue, slots[1]));
  push (queue, slots, 1);
  g_assert_cmpuint (pop_the_rest (&world, queue, slots, 0xe), ==, 3);
  push (queue, slots, 3);
  g_assert_cmphex (collect (&world.driver), ==, 0xf);
  abandon_device (queue);
}

/* --- Hostile regions ------------------------------------------------------------------------- */

/* H076: an area whose index was never set. The used ring has moved on since long, and the head that
 * 0 names by default is in flight. */
static void
test_h076_only_what_was_pending (guint *n_fds, gconstpointer data)
{
  g_auto (World) world = { 0 };
  VhostInflightSplitRegion *region;
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;
  guint16 head;

  world_init (&world, FALSE, 8, 1);
  region = vhost_inflight_area_get_region (world.area, 0);
  turn (&world, 5);
  offer_request (&world, 0);
  queue = start_device (&world, 5);
  g_assert_cmpuint (pop (queue, slots, 1), ==, 1);
  head = slots[0]->head;
  abandon_device (queue);
  g_assert_cmpuint (region->entry[head].inflight, ==, 1);
  region->used_idx = 0;
  region->last_batch_head = head;
  world.guest.used->ring[4].id = GUINT32_TO_LE (head ^ 1);

  queue = start_device (&world, 5);
  g_assert_cmpuint (pop_the_rest (&world, queue, slots, 1), ==, 1);
  abandon_device (queue);
}

/* Once it has been recovered, nobody reads the region. */
static void
test_h075_flipped_while_in_use (guint *n_fds, gconstpointer data)
{
  const Shape *shape = data;
  g_auto (World) world = { 0 };
  VhostSlot *slots[MAX_REQUESTS];
  VhostQueue *queue;

  world_init (&world, shape->packed, shape->size, 1);
  queue = start_device (&world, shape->packed ? 0x80008000 : 0);
  for (guint round = 0; round < 50; round++) {
    memset (world.parts[3].start, 0xff, world.parts[3].size);
    for (guint i = 0; i < 4; i++)
      offer_request (&world, i);
    g_assert_cmpuint (pop_the_rest (&world, queue, slots, 0xf), ==, 4);
    memset (world.parts[3].start, (gint) round, world.parts[3].size);
    reverse (slots, 4);
    push (queue, slots, 3);
    push (queue, slots + 3, 1);
    g_assert_cmphex (collect (&world.driver), ==, 0xf);
  }
  abandon_device (queue);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    const Shape *shape = &shapes[i];
    const struct {
      const char *name;
      void (*test) (guint *n_fds, gconstpointer data);
    } each[] = {
      { "every-store", test_every_store },
      { "recovery-cut-short", test_recovery_cut_short },
      { "stop-leaves-a-new-region", test_stop_leaves_a_new_region },
      { "stop-leaves-in-flight", test_stop_leaves_in_flight },
      { "unpop-recovered", test_unpop_recovered },
      { "H075-flipped-while-in-use", test_h075_flipped_while_in_use },
    };

    for (guint k = 0; k < G_N_ELEMENTS (each); k++) {
      g_autofree char *path =
          g_strdup_printf ("/inflight/%s/%u-%u/%s", shape->packed ? "packed" : "split", shape->size,
                           shape->max_pieces, each[k].name);

      g_test_add (path, guint, shape, begin_fd_test, each[k].test, end_fd_test);
    }
  }
  g_test_add ("/hostile/H076-only-what-was-pending", guint, NULL, begin_fd_test,
              test_h076_only_what_was_pending, end_fd_test);
  return g_test_run ();
}
