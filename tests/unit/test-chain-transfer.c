/* SPDX-License-Identifier: BSD-3-Clause */
/* What a network device does with chains: bytes from one chain to another, and several chains given
 * back at once. Two rings in the same memory, at their own addresses. */

#include "ring/vhost-queue-private.h"
#include "test-ring.h"

#define NEXT VHOST_RING_DESC_NEXT
#define WRITE VHOST_RING_DESC_WRITE
#define SIZE 8

/* Three pieces to read, the second over two regions; three to write. */
#define READABLE (10 + 300 + 2)
#define WRITABLE (5 + 200 + 90)

typedef struct {
  Guest guest;
  VhostReactor *reactor;
  VhostQueue *queue;
} Device;

static void
ignore_event (VhostQueue *queue, VhostQueueEvent event, gpointer data)
{
}

static void
device_init (Device *device)
{
  const VhostQueueSetup setup = { .size = SIZE,
                                  .kind = VHOST_ADDRESS_GUEST,
                                  .desc = GUEST_DESC,
                                  .avail = GUEST_AVAIL,
                                  .used = GUEST_USED,
                                  .indirect = TRUE };
  GError *error = NULL;

  guest_init (&device->guest, SIZE);
  device->reactor = vhost_reactor_get ();
  device->queue = vhost_queue_new (0, ignore_event, NULL);
  vhost_queue_set_enabled (device->queue, TRUE);
  vhost_queue_start (device->queue, &setup, device->guest.memory, device->reactor, &error);
  g_assert_no_error (error);
}

static void
device_clear (Device *device)
{
  g_clear_object (&device->queue);
  g_clear_pointer (&device->reactor, vhost_reactor_unref);
  guest_clear (&device->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Device, device_clear)

static VhostChain *
pop_chain (Device *device)
{
  const guint64 address[] = { GUEST_BUFFERS,   GUEST_NEXT - 100,    GUEST_APART,
                              GUEST_APART + 8, GUEST_BUFFERS + 512, GUEST_NEXT + 4000 };
  const guint32 length[] = { 10, 300, 2, 5, 200, 90 };
  VhostChain *chain;

  for (guint i = 0; i < 6; i++)
    guest_write_desc (&device->guest, i, address[i], length[i],
                      (i < 5 ? NEXT : 0) | (i > 2 ? WRITE : 0), (guint16) (i + 1));
  guest_offer (&device->guest, 0);
  chain = vhost_queue_pop (device->queue);
  g_assert_nonnull (chain);
  g_assert_cmpuint (vhost_chain_get_readable_size (chain), ==, READABLE);
  g_assert_cmpuint (vhost_chain_get_writable_size (chain), ==, WRITABLE);
  return chain;
}

static void
fill_readable (Device *device, guint8 *bytes)
{
  for (guint i = 0; i < READABLE; i++)
    bytes[i] = (guint8) (i * 7 + 1);
  memcpy (guest_at (&device->guest, GUEST_BUFFERS), bytes, 10);
  g_assert_true (
      vhost_memory_write (device->guest.memory, GUEST_NEXT - 100, bytes + 10, 300, NULL));
  memcpy (guest_at (&device->guest, GUEST_APART), bytes + 310, 2);
}

static void
read_written (Device *device, guint8 *bytes)
{
  memcpy (bytes, guest_at (&device->guest, GUEST_APART + 8), 5);
  memcpy (bytes + 5, guest_at (&device->guest, GUEST_BUFFERS + 512), 200);
  memcpy (bytes + 205, guest_at (&device->guest, GUEST_NEXT + 4000), 90);
}

/* Every place in either chain gives what a copy of flat bytes gives. */
static void
test_copy (void)
{
  g_auto (Device) from = { 0 };
  g_auto (Device) to = { 0 };
  g_autoptr (VhostChain) source = NULL;
  g_autoptr (VhostChain) chain = NULL;
  guint8 bytes[READABLE];

  device_init (&from);
  device_init (&to);
  fill_readable (&from, bytes);
  source = pop_chain (&from);
  chain = pop_chain (&to);
  for (gsize skip = 0; skip < READABLE + 3; skip++) {
    for (gsize offset = 0; offset < WRITABLE + 3; offset += 1 + skip % 7) {
      gsize size = (skip * 31 + offset * 17) % 400;
      gsize left = MIN (READABLE - MIN (skip, READABLE), WRITABLE - MIN (offset, WRITABLE));
      guint8 expected[WRITABLE + 3] = { 0 };
      guint8 found[WRITABLE];

      vhost_chain_fill (chain, 0, 0, G_MAXSIZE);
      size = MIN (size, left);
      g_assert_cmpuint (vhost_chain_write_from_chain (chain, offset, size, source, skip), ==, size);
      if (size > 0)
        memcpy (expected + offset, bytes + skip, size);
      read_written (&to, found);
      g_assert_cmpmem (found, WRITABLE, expected, WRITABLE);
    }
  }
}

static void
test_copy_is_clamped (void)
{
  g_auto (Device) from = { 0 };
  g_auto (Device) to = { 0 };
  g_autoptr (VhostChain) source = NULL;
  g_autoptr (VhostChain) chain = NULL;

  device_init (&from);
  device_init (&to);
  source = pop_chain (&from);
  chain = pop_chain (&to);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, G_MAXSIZE, source, 0), ==, WRITABLE);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, G_MAXSIZE, source, 300), ==, 12);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 290, G_MAXSIZE, source, 0), ==, 5);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, WRITABLE, 9, source, 0), ==, 0);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, G_MAXSIZE, 9, source, 0), ==, 0);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, 9, source, READABLE), ==, 0);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, 9, source, G_MAXSIZE), ==, 0);
}

/* Into itself: the driver may have given the same bytes twice. */
static void
test_copy_within_a_chain (void)
{
  g_auto (Device) device = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  guint8 *bytes;

  device_init (&device);
  guest_write_desc (&device.guest, 0, GUEST_BUFFERS, 100, NEXT, 1);
  guest_write_desc (&device.guest, 1, GUEST_BUFFERS + 1, 100, WRITE, 0);
  guest_offer (&device.guest, 0);
  chain = vhost_queue_pop (device.queue);
  bytes = guest_at (&device.guest, GUEST_BUFFERS);
  for (guint i = 0; i < 101; i++)
    bytes[i] = (guint8) i;
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, G_MAXSIZE, chain, 0), ==, 100);
  for (guint i = 1; i < 101; i++)
    g_assert_cmpuint (bytes[i], ==, i - 1);
}

static void
test_copy_counts_as_written (void)
{
  g_auto (Device) from = { 0 };
  g_auto (Device) to = { 0 };
  g_autoptr (VhostChain) source = NULL;
  g_autoptr (VhostChain) chain = NULL;

  device_init (&from);
  device_init (&to);
  source = pop_chain (&from);
  chain = pop_chain (&to);
  vhost_chain_write_from_chain (chain, 0, 12, source, 0);
  vhost_chain_write_from_chain (chain, 12, 30, source, 4);
  vhost_chain_write_from_chain (chain, 43, 5, source, 0);
  g_assert_true (vhost_queue_push (to.queue, chain, G_MAXSIZE));
  g_assert_cmpuint (GUINT32_FROM_LE (to.guest.used->ring[0].len), ==, 42);
}

static void
test_copy_with_a_dead_handle (void)
{
  g_auto (Device) from = { 0 };
  g_auto (Device) to = { 0 };
  g_autoptr (VhostChain) source = NULL;
  g_autoptr (VhostChain) chain = NULL;

  device_init (&from);
  device_init (&to);
  source = pop_chain (&from);
  chain = pop_chain (&to);
  vhost_queue_push (from.queue, source, 0);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, G_MAXSIZE, source, 0), ==, 0);
  vhost_queue_push (to.queue, chain, 0);
  g_assert_cmpuint (vhost_chain_write_from_chain (chain, 0, G_MAXSIZE, source, 0), ==, 0);
}

/* --- Several at once ----------------------------------------------------------------------- */

static void
offer_buffers (Device *device, guint n)
{
  for (guint16 head = 0; head < n; head++)
    guest_offer_buffer (&device->guest, head, 64, TRUE);
}

static void
assert_used_idx (Device *device, guint16 idx)
{
  g_assert_cmpuint (vhost_ring_load16 (&device->guest.used->idx), ==, idx);
}

static void
test_push_all (void)
{
  g_auto (Device) device = { 0 };
  VhostChain *chains[SIZE + 1];

  device_init (&device);
  g_assert_true (vhost_queue_push_all (device.queue, NULL, 0));
  offer_buffers (&device, SIZE);
  for (guint i = 0; i < SIZE; i++) {
    chains[i] = vhost_queue_pop (device.queue);
    vhost_chain_fill (chains[i], 0, 1, i);
  }
  assert_used_idx (&device, 0);
  chains[SIZE] = chains[0];
  g_assert_false (vhost_queue_push_all (device.queue, chains, SIZE + 1));
  g_assert_true (vhost_queue_push_all (device.queue, chains, SIZE));
  assert_used_idx (&device, SIZE);
  for (guint i = 0; i < SIZE; i++) {
    g_assert_cmpuint (GUINT32_FROM_LE (device.guest.used->ring[i].id), ==, i);
    g_assert_cmpuint (GUINT32_FROM_LE (device.guest.used->ring[i].len), ==, i);
    g_assert_false (vhost_chain_is_alive (chains[i]));
    vhost_chain_unref (chains[i]);
  }
}

static void
test_push_all_or_none (void)
{
  g_auto (Device) device = { 0 };
  g_auto (Device) other = { 0 };
  VhostChain *chains[4];
  VhostChain *row[3];

  device_init (&device);
  device_init (&other);
  offer_buffers (&device, 3);
  offer_buffers (&other, 1);
  for (guint i = 0; i < 3; i++)
    chains[i] = vhost_queue_pop (device.queue);
  chains[3] = vhost_queue_pop (other.queue);
  vhost_queue_push (device.queue, chains[2], 0);

  for (guint last = 1; last < 4; last++) {
    row[0] = chains[0];
    row[1] = chains[1];
    row[2] = chains[last]; /* twice, dead, of another queue */
    g_assert_false (vhost_queue_push_all (device.queue, row, 3));
    g_assert_true (vhost_chain_is_alive (chains[0]) && vhost_chain_is_alive (chains[1]));
    assert_used_idx (&device, 1);
  }
  g_assert_true (vhost_chain_is_alive (chains[3]));
  g_assert_true (vhost_queue_push_all (device.queue, row, 2));
  assert_used_idx (&device, 3);
  for (guint i = 0; i < 4; i++)
    vhost_chain_unref (chains[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chain-transfer/copy", test_copy);
  g_test_add_func ("/chain-transfer/copy-is-clamped", test_copy_is_clamped);
  g_test_add_func ("/chain-transfer/copy-within-a-chain", test_copy_within_a_chain);
  g_test_add_func ("/chain-transfer/copy-counts-as-written", test_copy_counts_as_written);
  g_test_add_func ("/chain-transfer/copy-with-a-dead-handle", test_copy_with_a_dead_handle);
  g_test_add_func ("/chain-transfer/push-all", test_push_all);
  g_test_add_func ("/chain-transfer/push-all-or-none", test_push_all_or_none);
  return g_test_run ();
}
