/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver engine on one thread and a device engine on another, as a guest's processor and ours
 * are: random programs, every byte checked on the other side. Whoever finds nothing to do looks
 * again or sleeps until it is notified; a sleep that lasts is a lost wake-up. Built with the thread
 * sanitizer too, which hears of each byte that is read before it was handed over. */

#include <poll.h>
#include <sched.h>
#include "test-ring-chains.h"

#define N_CHAINS 20000
#define PATIENCE_MS 20000

typedef struct {
  Guest guest;
  VhostDriverSideRing driver;
  VhostDeviceRing device;
  guint max_pieces;
  int kick_fd;
  int call_fd;
} Pair;

/* --- Content ------------------------------------------------------------------------------- */

static guint8
get_byte (const TestChain *chain, guint i, guint k)
{
  return (guint8) (chain->number * 31 + i * 7 + k * 3);
}

static void
write_readable (const Pair *p, const TestChain *chain)
{
  for (guint i = 0; i < chain->n_readable; i++) {
    guint8 *piece = guest_at (&p->guest, test_chain_get_address (chain, i));

    for (guint k = i == 0 ? 4 : 0; k < test_chain_get_length (chain, i); k++)
      piece[k] = get_byte (chain, i, k);
  }
}

static void
check_readable (const TestChain *chain, const VhostSlot *slot)
{
  for (guint i = 0; i < chain->n_readable; i++) {
    const guint8 *piece = slot->iov[i].iov_base;

    for (guint k = i == 0 ? 4 : 0; k < slot->iov[i].iov_len; k++)
      g_assert_cmpuint (piece[k], ==, get_byte (chain, i, k));
  }
}

/* The device's bytes are the driver's, turned over. */
static void
write_writable (const TestChain *chain, const VhostSlot *slot)
{
  guint32 left = test_chain_get_written (chain);

  for (guint i = chain->n_readable; i < chain->n_pieces; i++) {
    guint8 *piece = slot->iov[i].iov_base;

    for (guint k = 0; k < slot->iov[i].iov_len && left > 0; k++, left--)
      piece[k] = (guint8) ~get_byte (chain, i, k);
  }
}

static void
check_writable (const Pair *p, const TestChain *chain)
{
  guint32 left = test_chain_get_written (chain);

  for (guint i = chain->n_readable; i < chain->n_pieces; i++) {
    const guint8 *piece = guest_at (&p->guest, test_chain_get_address (chain, i));

    for (guint k = 0; k < test_chain_get_length (chain, i) && left > 0; k++, left--)
      g_assert_cmpuint (piece[k], ==, (guint8) ~get_byte (chain, i, k));
  }
}

/* --- Sleep --------------------------------------------------------------------------------- */

static void
sleep_until_notified (int fd)
{
  struct pollfd ready = { .fd = fd, .events = POLLIN };

  g_assert_cmpint (poll (&ready, 1, PATIENCE_MS), ==, 1);
  vhost_fd_drain_event (fd);
}

/* --- Driver -------------------------------------------------------------------------------- */

static guint
collect (Pair *p)
{
  gpointer cookie;
  guint32 length;
  guint n = 0;

  while (vhost_driver_ring_collect (&p->driver, &cookie, &length)) {
    const TestChain chain = test_chain (GPOINTER_TO_UINT (cookie), p->max_pieces);

    g_assert_cmpuint (length, ==, test_chain_get_written (&chain));
    check_writable (p, &chain);
    n++;
  }
  g_assert_cmpint (p->driver.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  return n;
}

static guint
add_some (Pair *p, guint from, guint n)
{
  guint added = 0;

  for (; added < n; added++) {
    const TestChain chain = test_chain (from + added, p->max_pieces);

    if (!test_chain_add (&chain, &p->guest, &p->driver))
      break;
    write_readable (p, &chain);
  }
  if (vhost_driver_ring_publish (&p->driver))
    vhost_fd_signal_event (p->kick_fd);
  return added;
}

static void
drive (Pair *p)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint n_added = 0;
  guint n_collected = 0;

  while (n_collected < N_CHAINS) {
    guint n = collect (p);
    guint wanted = MIN (N_CHAINS - n_added, (guint) g_rand_int_range (rand, 1, 40));

    n_collected += n;
    n_added += add_some (p, n_added, wanted);
    if (n > 0 || n_collected == N_CHAINS)
      continue;
    if (g_rand_boolean (rand))
      sched_yield ();
    else if (!vhost_driver_ring_enable_notifications (&p->driver))
      sleep_until_notified (p->call_fd);
  }
}

/* --- Device -------------------------------------------------------------------------------- */

typedef struct {
  VhostSlot *slots[1024];
  guint n;
} InFlight;

static guint
pop_some (Pair *p, InFlight *in_flight, guint max)
{
  guint n = vhost_device_ring_pop (&p->device, in_flight->slots + in_flight->n, max);

  g_assert_cmpint (p->device.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  for (guint i = 0; i < n; i++) {
    VhostSlot *slot = in_flight->slots[in_flight->n + i];
    const TestChain chain = test_chain_from_slot (slot, p->max_pieces);

    test_chain_check_slot (&chain, slot);
    check_readable (&chain, slot);
  }
  in_flight->n += n;
  return n;
}

static void
complete_one (Pair *p, InFlight *in_flight, guint which)
{
  VhostSlot *slot = in_flight->slots[which];
  const TestChain chain = test_chain_from_slot (slot, p->max_pieces);
  guint32 length = test_chain_get_written (&chain);

  write_writable (&chain, slot);
  vhost_device_ring_push (&p->device, &slot, &length, 1);
  in_flight->slots[which] = in_flight->slots[--in_flight->n];
}

static void
complete_some (Pair *p, InFlight *in_flight, GRand *rand)
{
  guint n = (guint) g_rand_int_range (rand, 0, (int) in_flight->n + 1);

  while (n-- > 0)
    complete_one (p, in_flight, (guint) g_rand_int_range (rand, 0, (int) in_flight->n));
  if (vhost_device_ring_needs_notify (&p->device))
    vhost_fd_signal_event (p->call_fd);
}

static gpointer
serve (gpointer data)
{
  Pair *p = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  InFlight in_flight = { 0 };
  guint n_popped = 0;

  vhost_device_ring_disable_notifications (&p->device);
  while (n_popped < N_CHAINS || in_flight.n > 0) {
    guint n = pop_some (p, &in_flight, (guint) g_rand_int_range (rand, 1, 40));

    n_popped += n;
    complete_some (p, &in_flight, rand);
    if (n > 0 || in_flight.n > 0 || n_popped == N_CHAINS)
      continue;
    if (g_rand_boolean (rand)) {
      sched_yield ();
      continue;
    }
    if (!vhost_device_ring_enable_notifications (&p->device) &&
        !vhost_device_ring_has_seen_more (&p->device))
      sleep_until_notified (p->kick_fd);
    vhost_device_ring_disable_notifications (&p->device);
  }
  return NULL;
}

/* --- Both ---------------------------------------------------------------------------------- */

#define EVENT_IDX 1
#define INDIRECT_TABLES 2
#define PACKED 4

static void
run_pair (guint mode, guint16 size)
{
  Pair p = { .max_pieces = MIN (size, MAX_PIECES), .kick_fd = -1, .call_fd = -1 };
  gboolean packed = (mode & PACKED) != 0;
  GThread *device;

  p.kick_fd = vhost_fd_new_event (NULL);
  p.call_fd = vhost_fd_new_event (NULL);
  guest_init (&p.guest, size);
  vhost_driver_ring_init (&p.driver, packed, size, mode & EVENT_IDX, p.guest.desc, p.guest.avail,
                          p.guest.used);
  if (mode & INDIRECT_TABLES)
    vhost_driver_common_set_indirect (&p.driver.common, guest_at (&p.guest, GUEST_NEXT), GUEST_NEXT,
                                      MAX_PIECES);
  vhost_device_ring_init (&p.device, packed, size, mode & EVENT_IDX, TRUE);
  vhost_device_ring_set_memory (&p.device, p.guest.memory, p.guest.desc, p.guest.avail,
                                p.guest.used);
  vhost_device_ring_start (&p.device, packed ? 0x80008000 : 0);

  device = g_thread_new ("device", serve, &p);
  drive (&p);
  g_thread_join (device);

  vhost_device_ring_clear (&p.device);
  vhost_driver_ring_clear (&p.driver);
  guest_clear (&p.guest);
  vhost_fd_clear (&p.kick_fd);
  vhost_fd_clear (&p.call_fd);
}

static void
test_random_programs (gconstpointer data)
{
  guint mode = GPOINTER_TO_UINT (data);
  const guint16 sizes[] = { 1, 7, 8, 256, 1024 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    if ((mode & PACKED) || (sizes[i] & (sizes[i] - 1)) == 0)
      run_pair (mode, sizes[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint mode = 0; mode < 8; mode++) {
    g_autofree char *path = g_strdup_printf (
        "/device-ring-threads/%s/%s%s", mode & PACKED ? "packed" : "split",
        mode & EVENT_IDX ? "event-idx" : "flags", mode & INDIRECT_TABLES ? "-indirect" : "");

    g_test_add_data_func (path, GUINT_TO_POINTER (mode), test_random_programs);
  }
  return g_test_run ();
}
