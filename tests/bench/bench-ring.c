/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a ring on one core, through the shared library: pops and pushes 32 chains at a
 * time. Only the device's time counts; the driver fills the ring in between. */

#include "bench.h"
#include "ring-rig.h"

#define LAPS 64 /* of the ring, in one measurement */

static const RigShape shapes[] = {
  { "1 descriptor", 1, FALSE },
  { "2 descriptors", 2, FALSE },
  { "indirect 2", 2, TRUE },
  { "indirect 3", 3, TRUE },
};

/* A device that cannot take what was offered would be measured as a fast one. */
static void
check_all_used (const RigDriver *driver)
{
  if (!rig_driver_is_done (driver))
    g_error ("a device did not use what it was offered");
}

static void
serve_ours (RingRig *rig)
{
  VhostSlot *slots[RIG_BATCH];
  guint32 lengths[RIG_BATCH];

  for (guint done = 0; done < rig->ours.n_chains; done += RIG_BATCH) {
    guint n = vhost_queue_pop_batch (rig->queue, slots, RIG_BATCH);

    for (guint i = 0; i < n; i++)
      lengths[i] = slots[i]->writable_size;
    vhost_queue_push_batch (rig->queue, slots, lengths, n);
  }
}

static void
serve_theirs (RingRig *rig)
{
  static FloorChain chains[RIG_BATCH];
  guint32 lengths[RIG_BATCH];

  for (guint done = 0; done < rig->theirs.n_chains; done += RIG_BATCH) {
    guint n = rig->floor_pop (rig->floor, chains, RIG_BATCH);

    for (guint i = 0; i < n; i++)
      lengths[i] = chains[i].writable_size;
    rig->floor_push (rig->floor, chains, lengths, n);
  }
}

static double
measure (RingRig *rig, RigDriver *driver, void (*serve) (RingRig *rig))
{
  double time = 0;

  for (guint lap = 0; lap < LAPS; lap++) {
    double start;

    rig_driver_offer (driver);
    start = bench_now_ns ();
    serve (rig);
    time += bench_now_ns () - start;
    check_all_used (driver);
  }
  return time / (LAPS * driver->n_chains);
}

static double
measure_ours (gpointer data)
{
  RingRig *rig = data;

  return measure (rig, &rig->ours, serve_ours);
}

static double
measure_theirs (gpointer data)
{
  RingRig *rig = data;

  return measure (rig, &rig->theirs, serve_theirs);
}

/* --- Figures ------------------------------------------------------------------------------- */

static const char *
name_format (gboolean packed)
{
  return packed ? "packed" : "split";
}

static void
compare_with_floor (gboolean packed, const RigShape *shape, guint n)
{
  g_autoptr (RingRig) rig = ring_rig_new (packed, shape, 1, RIG_BUFFERS_IN_LAST);
  g_autofree char *name = g_strdup_printf ("%s, %s", name_format (packed), shape->name);
  const BenchFigure figure = { name, "ns", "burst loop", .at_most = 1.2 };

  bench_run_pairs (&figure, n, measure_ours, rig, measure_theirs, rig);
  bench_print_missing (name, "libvhost-user", "Debian has it only inside QEMU");
}

static void
compare_regions (gboolean packed, RigBuffers buffers, guint n)
{
  const guint counts[] = { 8, 32, 509 };
  const char *where = buffers == RIG_BUFFERS_SPREAD ? "buffers in all" : "buffers in one";
  g_autoptr (RingRig) one = ring_rig_new (packed, &shapes[1], 1, RIG_BUFFERS_IN_LAST);
  g_autofree char *name = g_strdup_printf ("%s, many regions, %s", name_format (packed), where);

  for (guint i = 0; i < G_N_ELEMENTS (counts); i++) {
    g_autoptr (RingRig) many = ring_rig_new (packed, &shapes[1], counts[i], buffers);
    const BenchFigure figure = {
      name, "ns", "itself with one", .at_most = 1.05, .along = "regions", .x = counts[i]
    };
    const BenchFigure floor = { name, "ns", "burst loop", .along = "regions", .x = counts[i] };

    bench_run_pairs (&figure, n, measure_ours, many, measure_ours, one);
    bench_run_pairs (&floor, n, measure_ours, many, measure_theirs, many);
  }
}

int
main (int argc, char **argv)
{
  guint n = bench_is_quick (argc, argv) ? 3 : 200;

  for (guint packed = 0; packed < 2; packed++) {
    for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
      compare_with_floor (packed != 0, &shapes[i], n);
    compare_regions (packed != 0, RIG_BUFFERS_IN_LAST, n);
    compare_regions (packed != 0, RIG_BUFFERS_SPREAD, n);
  }
  return 0;
}
