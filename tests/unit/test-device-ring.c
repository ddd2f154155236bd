/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver engines against device engines, both formats: random programs of two sides that sleep
 * until they are notified. */

#include "test-ring-chains.h"

/* --- Both sides ---------------------------------------------------------------------------- */

/* A driver and a device that sleep until they are notified. */
typedef struct {
  Guest guest;
  VhostDriverSideRing driver;
  VhostDeviceRing device;
  GRand *rand;
  gboolean device_awake;
  gboolean driver_awake;
  guint n_added;
  guint n_collected;
  guint max_pieces; /* of a chain */
  VhostSlot *in_flight[1024];
  guint n_in_flight;
} Program;

static gboolean
add_chain (Program *p)
{
  const TestChain chain = test_chain (p->n_added, p->max_pieces);

  if (!test_chain_add (&chain, &p->guest, &p->driver))
    return FALSE;
  p->n_added++;
  return TRUE;
}

static void
run_driver (Program *p)
{
  guint n_adds = (guint) g_rand_int_range (p->rand, 0, 40);
  gpointer cookie;
  guint32 length;

  while (vhost_driver_ring_collect (&p->driver, &cookie, &length)) {
    const TestChain chain = test_chain (GPOINTER_TO_UINT (cookie), p->max_pieces);

    g_assert_cmpuint (length, ==, test_chain_get_written (&chain));
    p->n_collected++;
  }
  g_assert_cmpint (p->driver.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  while (n_adds-- > 0 && add_chain (p))
    ;
  if (vhost_driver_ring_publish (&p->driver))
    p->device_awake = TRUE;
  p->driver_awake = vhost_driver_ring_enable_notifications (&p->driver);
}

static void
run_device (Program *p)
{
  guint n;

  vhost_device_ring_disable_notifications (&p->device);
  n = vhost_device_ring_pop (&p->device, p->in_flight + p->n_in_flight,
                             (guint) g_rand_int_range (p->rand, 1, 40));
  g_assert_cmpint (p->device.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  for (guint i = 0; i < n; i++) {
    VhostSlot *slot = p->in_flight[p->n_in_flight + i];
    const TestChain chain = test_chain_from_slot (slot, p->max_pieces);

    test_chain_check_slot (&chain, slot);
  }
  p->n_in_flight += n;

  if (vhost_device_ring_is_empty (&p->device))
    p->device_awake = vhost_device_ring_enable_notifications (&p->device);
}

static void
complete (Program *p, guint which)
{
  VhostSlot *slot = p->in_flight[which];
  const TestChain chain = test_chain_from_slot (slot, p->max_pieces);
  guint32 length = test_chain_get_written (&chain);

  vhost_device_ring_push (&p->device, &slot, &length, 1);
  p->n_in_flight--;
  memmove (p->in_flight + which, p->in_flight + which + 1,
           (p->n_in_flight - which) * sizeof *p->in_flight);
}

static void
complete_some (Program *p)
{
  guint n =
      p->n_in_flight > 0 ? (guint) g_rand_int_range (p->rand, 0, (int) p->n_in_flight + 1) : 0;

  while (n-- > 0)
    complete (p, (guint) g_rand_int_range (p->rand, 0, (int) p->n_in_flight));
  if (vhost_device_ring_needs_notify (&p->device))
    p->driver_awake = TRUE;
}

static void
program_init (Program *p, gboolean packed, guint16 size, gboolean event_idx, gboolean indirect,
              guint32 seed)
{
  *p = (Program){ .rand = g_rand_new_with_seed (seed), .driver_awake = TRUE };
  p->max_pieces = MIN (size, MAX_PIECES);
  guest_init (&p->guest, size);
  vhost_driver_ring_init (&p->driver, packed, size, event_idx, p->guest.desc, p->guest.avail,
                          p->guest.used);
  if (indirect)
    vhost_driver_common_set_indirect (&p->driver.common, guest_at (&p->guest, GUEST_NEXT),
                                      GUEST_NEXT, MAX_PIECES);
  vhost_device_ring_init (&p->device, packed, size, event_idx, TRUE);
  vhost_device_ring_set_memory (&p->device, p->guest.memory, p->guest.desc, p->guest.avail,
                                p->guest.used);
  vhost_device_ring_start (&p->device, packed ? 0x80008000 : 0);
}

static void
program_clear (Program *p)
{
  vhost_device_ring_clear (&p->device);
  vhost_driver_ring_clear (&p->driver);
  guest_clear (&p->guest);
  g_rand_free (p->rand);
}

/* Whoever sleeps while there is something to do has lost a wake-up. */
static void
run_program (gboolean packed, guint16 size, gboolean event_idx, gboolean indirect, guint n_chains,
             guint32 seed)
{
  Program p;

  program_init (&p, packed, size, event_idx, indirect, seed);
  while (p.n_collected < n_chains) {
    if (p.driver_awake)
      run_driver (&p);
    if (p.device_awake && g_rand_boolean (p.rand))
      run_device (&p);
    complete_some (&p);
    if (!p.driver_awake && !p.device_awake && p.n_in_flight == 0) {
      g_assert_cmpuint (p.n_added, ==, p.n_collected);
      p.driver_awake = TRUE; /* it added nothing */
    }
  }
  program_clear (&p);
}

#define EVENT_IDX 1
#define INDIRECT_TABLES 2
#define PACKED 4

static void
test_random_programs (gconstpointer data)
{
  guint mode = GPOINTER_TO_UINT (data);
  const guint16 sizes[] = { 8, 16, 256, 1024 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    run_program (mode & PACKED, sizes[i], mode & EVENT_IDX, mode & INDIRECT_TABLES, 70000,
                 sizes[i]);
}

/* The wrap at every size; a few laps of each. */
static void
test_every_size (gconstpointer data)
{
  guint mode = GPOINTER_TO_UINT (data);

  for (guint16 size = 1; size <= 1024; size++)
    run_program (TRUE, size, mode & EVENT_IDX, mode & INDIRECT_TABLES, 5 * size + 50, size);
}

/* Programs of changing length, every mode in turn and in each every size, until there were as many
 * chains as VHOST_TEST_CHAINS says. The long run has 100 million. */
static void
test_long_run (void)
{
  const char *wanted = g_getenv ("VHOST_TEST_CHAINS");
  guint64 n_chains = wanted != NULL ? g_ascii_strtoull (wanted, NULL, 10) : 300000;
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint64 n_done = 0;
  guint i = 0;

  g_assert_cmpuint (n_chains, >, 0);
  for (; n_done < n_chains; i++) {
    gboolean packed = (i & PACKED) != 0;
    guint16 size = (guint16) (packed ? 1 + i / 8 % 1024 : 1u << i / 8 % 11);
    guint n = (guint) g_rand_int_range (rand, 1, 2000 + 8 * size);

    run_program (packed, size, i & EVENT_IDX, i & INDIRECT_TABLES, n, g_rand_int (rand));
    n_done += n;
  }
  g_test_message ("%" G_GUINT64_FORMAT " chains in %u programs", n_done, i);
}

/* What a stop returns is where a new start goes on, with nothing lost; chains that nobody completed
 * are fetched again. */
static void
test_stop_and_go_on (gconstpointer data)
{
  gboolean packed = GPOINTER_TO_UINT (data) != 0;
  Program p;

  program_init (&p, packed, 16, TRUE, FALSE, 16);
  while (p.n_collected < 5000) {
    guint n_kept = (guint) g_rand_int_range (p.rand, 0, 4);
    guint32 base;

    run_driver (&p);
    run_device (&p);
    while (p.n_in_flight > n_kept)
      complete (&p, 0);
    g_assert_cmpuint (vhost_device_ring_rewind (&p.device), ==, 0);
    p.n_in_flight = 0;
    base = vhost_device_ring_get_base (&p.device);
    vhost_device_ring_clear (&p.device);
    vhost_device_ring_init (&p.device, packed, 16, TRUE, TRUE);
    vhost_device_ring_set_memory (&p.device, p.guest.memory, p.guest.desc, p.guest.avail,
                                  p.guest.used);
    vhost_device_ring_start (&p.device, base);
  }
  program_clear (&p);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/device-ring/split/flags", GUINT_TO_POINTER (0), test_random_programs);
  g_test_add_data_func ("/device-ring/split/event-idx", GUINT_TO_POINTER (1), test_random_programs);
  g_test_add_data_func ("/device-ring/split/flags-indirect", GUINT_TO_POINTER (2),
                        test_random_programs);
  g_test_add_data_func ("/device-ring/split/event-idx-indirect", GUINT_TO_POINTER (3),
                        test_random_programs);
  g_test_add_data_func ("/device-ring/packed/flags", GUINT_TO_POINTER (4), test_random_programs);
  g_test_add_data_func ("/device-ring/packed/event-idx", GUINT_TO_POINTER (5),
                        test_random_programs);
  g_test_add_data_func ("/device-ring/packed/flags-indirect", GUINT_TO_POINTER (6),
                        test_random_programs);
  g_test_add_data_func ("/device-ring/packed/event-idx-indirect", GUINT_TO_POINTER (7),
                        test_random_programs);
  g_test_add_data_func ("/hostile/H070-H072-every-size/flags", GUINT_TO_POINTER (0),
                        test_every_size);
  g_test_add_data_func ("/hostile/H070-H072-every-size/event-idx", GUINT_TO_POINTER (1),
                        test_every_size);
  g_test_add_data_func ("/hostile/H070-H072-every-size/flags-indirect", GUINT_TO_POINTER (2),
                        test_every_size);
  g_test_add_data_func ("/hostile/H070-H072-every-size/event-idx-indirect", GUINT_TO_POINTER (3),
                        test_every_size);
  g_test_add_data_func ("/device-ring/stop-and-go-on/split", GUINT_TO_POINTER (0),
                        test_stop_and_go_on);
  g_test_add_data_func ("/device-ring/stop-and-go-on/packed", GUINT_TO_POINTER (1),
                        test_stop_and_go_on);
  g_test_add_func ("/device-ring/long-run", test_long_run);
  return g_test_run ();
}
