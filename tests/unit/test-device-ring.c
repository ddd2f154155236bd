/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver engines against device engines, both formats: random programs of two sides that sleep
 * until they are notified. */

#include "ring/vhost-device-ring-private.h"
#include "ring/vhost-driver-ring-private.h"
#include "test-ring.h"

#define MAX_PIECES 6

/* --- Both sides ---------------------------------------------------------------------------- */

/* A driver and a device that sleep until they are notified. Chain number n has pieces and a length
 * that follow from n; its cookie is n, and so are its first bytes. */
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

static guint
get_n_pieces (const Program *p, guint number)
{
  return 1 + number % p->max_pieces;
}

static guint
get_n_readable (const Program *p, guint number)
{
  return number / MAX_PIECES % (get_n_pieces (p, number) + 1);
}

static guint32
get_piece_length (guint number, guint i)
{
  return 4 + (number * 7 + i * 13) % 60;
}

static guint64
get_piece_address (guint number, guint i)
{
  return GUEST_BUFFERS + (number % 2048) * 512 + i * 64;
}

static gboolean
add_chain (Program *p)
{
  guint number = p->n_added;
  VhostDriverPiece pieces[MAX_PIECES];

  for (guint i = 0; i < get_n_pieces (p, number); i++)
    pieces[i] = (VhostDriverPiece){ get_piece_address (number, i), get_piece_length (number, i) };
  if (!vhost_driver_ring_add (&p->driver, pieces, get_n_readable (p, number),
                              get_n_pieces (p, number) - get_n_readable (p, number),
                              GUINT_TO_POINTER (number)))
    return FALSE;
  memcpy (guest_at (&p->guest, pieces[0].address), &number, sizeof number);
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
    guint number = GPOINTER_TO_UINT (cookie);
    guint32 writable = 0;

    for (guint i = get_n_readable (p, number); i < get_n_pieces (p, number); i++)
      writable += get_piece_length (number, i);
    g_assert_cmpuint (length, ==, writable - MIN (writable, number % 5));
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
check_slot (const Program *p, const VhostSlot *slot)
{
  guint number = *(guint *) slot->iov[0].iov_base;

  g_assert_cmpuint (slot->n_readable, ==, get_n_readable (p, number));
  g_assert_cmpuint (slot->n_writable, ==, get_n_pieces (p, number) - get_n_readable (p, number));
  for (guint i = 0; i < get_n_pieces (p, number); i++)
    g_assert_cmpuint (slot->iov[i].iov_len, ==, get_piece_length (number, i));
}

static void
run_device (Program *p)
{
  guint n;

  vhost_device_ring_disable_notifications (&p->device);
  n = vhost_device_ring_pop (&p->device, p->in_flight + p->n_in_flight,
                             (guint) g_rand_int_range (p->rand, 1, 40));
  g_assert_cmpint (p->device.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  for (guint i = 0; i < n; i++)
    check_slot (p, p->in_flight[p->n_in_flight + i]);
  p->n_in_flight += n;

  if (vhost_device_ring_is_empty (&p->device))
    p->device_awake = vhost_device_ring_enable_notifications (&p->device);
}

static void
complete (Program *p, guint which)
{
  VhostSlot *slot = p->in_flight[which];
  guint number = *(guint *) slot->iov[0].iov_base;
  guint32 length = slot->writable_size - MIN (slot->writable_size, number % 5);

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
program_init (Program *p, gboolean packed, guint16 size, gboolean event_idx, gboolean indirect)
{
  *p = (Program){ .rand = g_rand_new_with_seed (size), .driver_awake = TRUE };
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
run_program (gboolean packed, guint16 size, gboolean event_idx, gboolean indirect, guint n_chains)
{
  Program p;

  program_init (&p, packed, size, event_idx, indirect);
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
    run_program (mode & PACKED, sizes[i], mode & EVENT_IDX, mode & INDIRECT_TABLES, 70000);
}

/* The wrap at every size; a few laps of each. */
static void
test_every_size (gconstpointer data)
{
  guint mode = GPOINTER_TO_UINT (data);

  for (guint16 size = 1; size <= 1024; size++)
    run_program (TRUE, size, mode & EVENT_IDX, mode & INDIRECT_TABLES, 5 * size + 50);
}

/* What a stop returns is where a new start goes on, with nothing lost; chains that nobody completed
 * are fetched again. */
static void
test_stop_and_go_on (gconstpointer data)
{
  gboolean packed = GPOINTER_TO_UINT (data) != 0;
  Program p;

  program_init (&p, packed, 16, TRUE, FALSE);
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
  return g_test_run ();
}
