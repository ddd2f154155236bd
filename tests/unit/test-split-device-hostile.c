/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a split ring, against what a hostile driver may put into it. */

#include "test-split-device.h"

static void
test_index_jump (void)
{
  const guint16 sizes[] = { 1, 8, 32768 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, sizes[i], FALSE, 100);
    guest_set_avail_idx (&f.guest, 100 + sizes[i] + 1);
    assert_fault (&f, VHOST_RING_FAULT_INDEX_JUMP);
    g_assert_cmpuint (f.ring.common.error.value, ==, 100 + sizes[i] + 1);
  }
}

static void
test_index_back (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 100);
  guest_set_avail_idx (&f.guest, 99);
  g_assert_false (vhost_split_device_enable_notifications (&f.ring));
  assert_fault (&f, VHOST_RING_FAULT_INDEX_JUMP);
}

static void
test_head_range (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  guest_offer (&f.guest, 8);
  assert_fault (&f, VHOST_RING_FAULT_HEAD_RANGE);
}

static void
test_next_range (void)
{
  for (guint first = 0; first < 2; first++) { /* on the fast and on the slow path */
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 8, FALSE, 0);
    guest_write_desc (&f.guest, 0, GUEST_BUFFERS, first, NEXT, 8);
    guest_offer (&f.guest, 0);
    assert_fault (&f, VHOST_RING_FAULT_NEXT_RANGE);
  }
}

static void
test_next_range_indirect (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  write_desc (guest_at (&f.guest, GUEST_TABLES), GUEST_BUFFERS, 1, NEXT, 1);
  guest_write_desc (&f.guest, 0, GUEST_TABLES, 16, INDIRECT, 0);
  guest_offer (&f.guest, 0);
  assert_fault (&f, VHOST_RING_FAULT_NEXT_RANGE);
}

/* Chains before the bad one in the same batch come out. */
static void
test_good_before_bad (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[8];

  fixture_init (&f, 8, FALSE, 0);
  guest_offer_buffer (&f.guest, 0, 1, TRUE);
  guest_write_desc (&f.guest, 1, GUEST_END, 1, 0, 0);
  guest_offer (&f.guest, 1);
  guest_offer_buffer (&f.guest, 2, 1, TRUE);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 8), ==, 1);
  g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_ADDRESS);
  g_assert_cmpuint (f.ring.common.error.value, ==, GUEST_END);
  g_assert_cmpuint (f.ring.common.n_in_flight, ==, 1);
  push (&f, slots[0], 1);
  assert_fault (&f, VHOST_RING_FAULT_ADDRESS);
}

static void
test_loop (void)
{
  const guint16 sizes[] = { 1, 2, 4, 8, 16, 1024 };

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    for (guint length = 0; length < 2; length++) {
      g_auto (Fixture) f = { 0 };

      fixture_init (&f, sizes[s], FALSE, 0);
      for (guint i = 0; i < sizes[s]; i++)
        guest_write_desc (&f.guest, i, GUEST_BUFFERS, length, NEXT, (guint16) ((i + 1) % sizes[s]));
      guest_offer (&f.guest, 0);
      assert_fault (&f, VHOST_RING_FAULT_LOOP);
    }
  }
}

static void
test_loop_indirect (void)
{
  g_auto (Fixture) f = { 0 };
  VhostRingDesc *table;

  fixture_init (&f, 8, FALSE, 0);
  table = guest_at (&f.guest, GUEST_TABLES);
  write_desc (&table[0], GUEST_BUFFERS, 1, NEXT, 1);
  write_desc (&table[1], GUEST_BUFFERS, 1, NEXT, 0);
  guest_write_desc (&f.guest, 0, GUEST_TABLES, 32, INDIRECT, 0);
  guest_offer (&f.guest, 0);
  assert_fault (&f, VHOST_RING_FAULT_LOOP);
}

static void
assert_indirect_fault (guint64 address, guint32 length, guint16 flags, VhostRingFault fault)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  guest_write_desc (&f.guest, 0, address, length, INDIRECT | flags, 1);
  guest_offer (&f.guest, 0);
  assert_fault (&f, fault);
}

static void
test_indirect_size (void)
{
  assert_indirect_fault (GUEST_TABLES, 0, 0, VHOST_RING_FAULT_INDIRECT_SIZE);
  assert_indirect_fault (GUEST_TABLES, 15, 0, VHOST_RING_FAULT_INDIRECT_SIZE);
  assert_indirect_fault (GUEST_TABLES, 17, 0, VHOST_RING_FAULT_INDIRECT_SIZE);
  assert_indirect_fault (GUEST_TABLES, (VHOST_RING_MAX_IOVECS + 1) * 16, 0,
                         VHOST_RING_FAULT_INDIRECT_SIZE);
  assert_indirect_fault (GUEST_TABLES, 0xfffffff0, 0, VHOST_RING_FAULT_INDIRECT_SIZE);
  assert_indirect_fault (GUEST_TABLES, 16, NEXT, VHOST_RING_FAULT_INDIRECT_NEXT);
  assert_indirect_fault (GUEST_END - 16, 32, 0, VHOST_RING_FAULT_ADDRESS);
  assert_indirect_fault (0, 16, 0, VHOST_RING_FAULT_ADDRESS);
  assert_indirect_fault (G_MAXUINT64 - 7, 16, 0, VHOST_RING_FAULT_ADDRESS);
}

static void
test_indirect_nested (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  write_desc (guest_at (&f.guest, GUEST_TABLES), GUEST_TABLES, 16, INDIRECT, 0);
  guest_write_desc (&f.guest, 0, GUEST_TABLES, 16, INDIRECT, 0);
  guest_offer (&f.guest, 0);
  assert_fault (&f, VHOST_RING_FAULT_INDIRECT_NESTED);
}

static void
test_indirect_off (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  f.ring.common.indirect = FALSE;
  write_desc (guest_at (&f.guest, GUEST_TABLES), GUEST_BUFFERS, 16, 0, 0);
  guest_write_desc (&f.guest, 0, GUEST_TABLES, 16, INDIRECT, 0);
  guest_offer (&f.guest, 0);
  assert_fault (&f, VHOST_RING_FAULT_INDIRECT_OFF);
}

/* The table lies over the edge of a region, at each byte of an entry. */
static void
test_indirect_cross_region (void)
{
  for (guint shift = 1; shift < 32; shift++) {
    g_auto (Fixture) f = { 0 };
    VhostRingDesc entries[2];
    VhostSlot *slot;

    fixture_init (&f, 8, FALSE, 0);
    write_desc (&entries[0], GUEST_BUFFERS, 0x1234, NEXT, 1);
    write_desc (&entries[1], GUEST_APART, 0x4321, WRITE, 0);
    g_assert_true (
        vhost_memory_write (f.guest.memory, GUEST_NEXT - shift, (guint8 *) entries, 32, NULL));
    guest_write_desc (&f.guest, 0, GUEST_NEXT - shift, 32, INDIRECT, 0);
    guest_offer (&f.guest, 0);
    slot = pop (&f);
    g_assert_nonnull (slot);
    assert_iov (&f, slot, 0, GUEST_BUFFERS, 0x1234);
    assert_iov (&f, slot, 1, GUEST_APART, 0x4321);
  }
}

static void
test_zero_length (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  guest_write_desc (&f.guest, 0, G_MAXUINT64, 0, NEXT, 1);
  guest_write_desc (&f.guest, 1, GUEST_BUFFERS, 5, NEXT, 2);
  guest_write_desc (&f.guest, 2, 0, 0, NEXT | WRITE, 3);
  guest_write_desc (&f.guest, 3, GUEST_BUFFERS, 6, WRITE, 0);
  guest_offer (&f.guest, 0);
  guest_write_desc (&f.guest, 4, 0, 0, 0, 0);
  guest_offer (&f.guest, 4);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->n_readable, ==, 1);
  g_assert_cmpuint (slot->n_writable, ==, 1);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->n_readable + slot->n_writable, ==, 0);
  push (&f, slot, 0);
}

static void
test_address (void)
{
  static const struct {
    guint64 address;
    guint32 length;
  } bad[] = {
    { 0, 1 },
    { GUEST_BASE - 1, 1 },
    { GUEST_BASE - 1, 2 },
    { GUEST_END - 1, 2 },
    { GUEST_END, 1 },
    { GUEST_APART, GUEST_APART_SIZE + 1 },
    { GUEST_APART - 1, GUEST_APART_SIZE },
    { G_MAXUINT64, 1 },
    { G_MAXUINT64, 2 },
    { G_MAXUINT64 - GUEST_BASE, 0xffffffff },
    { GUEST_BASE, 0xffffffff },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 8, FALSE, 0);
    guest_offer_buffer (&f.guest, 0, 1, FALSE);
    g_assert_nonnull (pop (&f)); /* the region is remembered */
    guest_write_desc (&f.guest, 1, bad[i].address, bad[i].length, 0, 0);
    guest_offer (&f.guest, 1);
    assert_fault (&f, VHOST_RING_FAULT_ADDRESS);
  }
}

/* Buffers that are each in memory, and together have 2^32 bytes. */
static void
test_too_many_bytes (void)
{
  for (guint i = 0; i < 2; i++) { /* all readable; then some writable */
    g_auto (Fixture) f = { 0 };
    VhostRingDesc *table;
    guint n = 4096;

    fixture_init (&f, 8192, FALSE, 0);
    table = guest_at (&f.guest, GUEST_TABLES);
    for (guint k = 0; k < n; k++)
      write_desc (&table[k], GUEST_NEXT, GUEST_NEXT_SIZE,
                  (k + 1 < n ? NEXT : 0) | (i * k > 10 ? WRITE : 0), (guint16) (k + 1));
    guest_write_desc (&f.guest, 0, GUEST_TABLES, n * 16, INDIRECT, 0);
    guest_offer (&f.guest, 0);
    assert_fault (&f, VHOST_RING_FAULT_TOO_LONG);
    g_assert_cmpuint (f.ring.common.overflow_bytes, <=,
                      VHOST_RING_MAX_IOVECS * sizeof (struct iovec));
  }
}

static void
test_too_many_bytes_sparse (void)
{
  VHOST_AUTO_FD fd = memfd_create ("large", MFD_CLOEXEC);
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  f.guest.memory = guest_add_region (f.guest.memory, G_GUINT64_CONSTANT (1) << 40,
                                     G_GUINT64_CONSTANT (1) << 31, fd);
  vhost_split_device_set_memory (&f.ring, f.guest.memory, f.guest.desc, f.guest.avail,
                                 f.guest.used);
  guest_write_desc (&f.guest, 0, G_GUINT64_CONSTANT (1) << 40, 0x80000000, NEXT, 1);
  guest_write_desc (&f.guest, 1, G_GUINT64_CONSTANT (1) << 40, 0x7fffffff, WRITE, 0);
  guest_write_desc (&f.guest, 2, G_GUINT64_CONSTANT (1) << 40, 0x80000000, NEXT, 3);
  guest_write_desc (&f.guest, 3, G_GUINT64_CONSTANT (1) << 40, 0x80000000, WRITE, 0);
  guest_offer (&f.guest, 0);
  g_assert_cmpuint (pop (&f)->writable_size, ==, 0x7fffffff);
  guest_offer (&f.guest, 2);
  assert_fault (&f, VHOST_RING_FAULT_TOO_LONG);
}

static void
test_too_many_pieces (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 2048, FALSE, 0);
  for (guint i = 0; i < VHOST_RING_MAX_IOVECS + 1; i++)
    guest_write_desc (&f.guest, i, GUEST_BUFFERS + i, 1, i < VHOST_RING_MAX_IOVECS ? NEXT : 0,
                      (guint16) (i + 1));
  guest_offer (&f.guest, 1);
  g_assert_cmpuint (pop (&f)->n_readable, ==, VHOST_RING_MAX_IOVECS);
  guest_offer (&f.guest, 0);
  assert_fault (&f, VHOST_RING_FAULT_TOO_LONG);
}

static void
test_order (void)
{
  for (guint slow = 0; slow < 2; slow++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 8, FALSE, 0);
    guest_write_desc (&f.guest, 0, GUEST_BUFFERS, !slow, NEXT, 1);
    guest_write_desc (&f.guest, 1, GUEST_BUFFERS, 4, NEXT | WRITE, 2);
    guest_write_desc (&f.guest, 2, GUEST_BUFFERS, 4, 0, 0);
    guest_offer (&f.guest, 0);
    assert_fault (&f, VHOST_RING_FAULT_ORDER);
  }
}

typedef struct {
  Guest *guest;
  int stop;
} Flipper;

/* Turns one descriptor and one entry of a table over and over between good and bad. */
static gpointer
flip (gpointer data)
{
  Flipper *flipper = data;
  volatile VhostRingDesc *targets[] = { &flipper->guest->desc[0],
                                        guest_at (flipper->guest, GUEST_TABLES) };
  guint n = 0;

  while (!g_atomic_int_get (&flipper->stop)) {
    volatile VhostRingDesc *desc = targets[n & 1];

    desc->addr = GUINT64_TO_LE (n & 2 ? GUEST_BUFFERS : GUEST_END - 64);
    desc->len = GUINT32_TO_LE (n & 4 ? 64 : 1 << 30);
    desc->flags = GUINT16_TO_LE ((n >> 3 & 3) | (n & 64 ? INDIRECT : 0));
    desc->next = GUINT16_TO_LE (n & 32 ? 1 : 60000);
    n++;
  }
  return NULL;
}

static void
assert_inside (Fixture *f, const VhostSlot *slot)
{
  guint64 total = 0;

  for (guint i = 0; i < (guint) slot->n_readable + slot->n_writable; i++) {
    const guint8 *start = slot->iov[i].iov_base;
    gboolean inside = FALSE;

    for (guint r = 0; r < f->guest.memory->n_regions; r++) {
      const VhostMemoryRegion *region = f->guest.memory->regions[r];

      inside |= start >= region->host && slot->iov[i].iov_len <= region->size &&
                (gsize) (start - region->host) <= region->size - slot->iov[i].iov_len;
    }
    g_assert_true (inside);
    total += slot->iov[i].iov_len;
  }
  g_assert_cmpuint (total, ==, (guint64) slot->readable_size + slot->writable_size);
}

static void
test_changing_descriptors (void)
{
  g_auto (Fixture) f = { 0 };
  Flipper flipper = { &f.guest, 0 };
  GThread *thread;
  guint n_good = 0;
  guint n_bad = 0;

  fixture_init (&f, 8, FALSE, 0);
  guest_write_desc (&f.guest, 1, GUEST_BUFFERS, 8, WRITE, 0);
  guest_write_desc (&f.guest, 2, GUEST_TABLES, 32, INDIRECT, 0);
  write_desc ((VhostRingDesc *) guest_at (&f.guest, GUEST_TABLES) + 1, GUEST_BUFFERS, 8, WRITE, 0);
  thread = g_thread_new ("flipper", flip, &flipper);
  for (guint i = 0; i < 400000 || n_good == 0 || n_bad == 0; i++) {
    VhostSlot *slot;

    if (i % 4096 == 0)
      g_thread_yield (); /* else all of it may meet what the flipper left when it was put aside */
    guest_offer (&f.guest, i & 1 ? 2 : 0);
    slot = pop (&f);
    if (slot != NULL) {
      n_good++;
      assert_inside (&f, slot);
      push (&f, slot, 0);
    } else {
      n_bad++;
      g_assert_cmpint (f.ring.common.error.fault, !=, VHOST_RING_FAULT_NONE);
      g_assert_cmpint (f.ring.common.error.fault, !=, VHOST_RING_FAULT_HEAD_BUSY);
      f.ring.common.error.fault = VHOST_RING_FAULT_NONE;
      f.ring.last_avail++;
    }
  }
  g_atomic_int_set (&flipper.stop, 1);
  g_thread_join (thread);
}

static void
test_changed_after_pop (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  guest_offer_buffer (&f.guest, 0, 64, TRUE);
  slot = pop (&f);
  guest_write_desc (&f.guest, 0, 0, 0xffffffff, NEXT, 0);
  f.guest.avail->ring[0] = 0xffff;
  assert_iov (&f, slot, 0, GUEST_BUFFERS, 64);
  push (&f, slot, 64);
  g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[0].id), ==, 0);
}

static gpointer
produce (gpointer data)
{
  Guest *guest = data;

  for (guint i = 0; i < 500000; i++) {
    guint16 idx = (guint16) (i + 1);

    while ((guint16) (idx - vhost_ring_load16_acquire (&guest->used->idx)) > guest->size)
      ;
    vhost_ring_store16 (&guest->avail->ring[i & (guest->size - 1)],
                        (guint16) (i & (guest->size - 1)));
    guest_set_avail_idx (guest, idx);
  }
  return NULL;
}

/* The index is loaded whole while another thread carries it over byte borders. */
static void
test_torn_index (void)
{
  g_auto (Fixture) f = { 0 };
  GThread *thread;
  guint n = 0;

  fixture_init (&f, 256, FALSE, 0);
  for (guint i = 0; i < 256; i++)
    guest_write_desc (&f.guest, i, GUEST_BUFFERS, 1, WRITE, 0);
  thread = g_thread_new ("producer", produce, &f.guest);
  while (n < 500000) {
    VhostSlot *slots[32];
    guint32 lengths[32] = { 0 };
    guint n_popped = vhost_split_device_pop (&f.ring, slots, 32);

    g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_NONE);
    vhost_split_device_push (&f.ring, slots, lengths, n_popped);
    n += n_popped;
  }
  g_thread_join (thread);
}

static void
test_head_busy (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[4];

  fixture_init (&f, 8, FALSE, 0);
  guest_offer_buffer (&f.guest, 3, 8, TRUE);
  guest_offer (&f.guest, 3);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 4), ==, 1);
  push (&f, slots[0], 0);
  assert_fault (&f, VHOST_RING_FAULT_HEAD_BUSY);
}

static void
test_in_flight (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[16];

  fixture_init (&f, 8, FALSE, 0);
  for (guint i = 0; i < 8; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 1, TRUE);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 16), ==, 8);
  guest_offer (&f.guest, 5);
  assert_fault (&f, VHOST_RING_FAULT_HEAD_BUSY);
  g_assert_cmpuint (f.ring.common.n_in_flight, ==, 8);
}

static void
test_garbage_events (void)
{
  g_auto (Fixture) f = { 0 };
  GRand *rand = g_rand_new_with_seed (60);

  fixture_init (&f, 4, TRUE, 0);
  for (guint i = 0; i < 200000; i++) {
    f.guest.avail->flags = (guint16) g_rand_int (rand);
    guest_set_used_event (&f.guest, (guint16) g_rand_int (rand));
    f.guest.used->flags = (guint16) g_rand_int (rand);
    f.guest.used->ring[4].id = g_rand_int (rand);
    guest_offer_buffer (&f.guest, (guint16) (i & 3), 1, TRUE);
    push (&f, pop (&f), 1);
    vhost_split_device_needs_notify (&f.ring);
    vhost_split_device_enable_notifications (&f.ring);
  }
  g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  g_rand_free (rand);
}

static void
test_overwritten_used (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, TRUE, 0);
  for (guint16 i = 0; i < 100; i++) {
    memset (f.guest.used, 0xa5, VHOST_RING_USED_BYTES (8));
    guest_offer_buffer (&f.guest, i & 7, 1, TRUE);
    push (&f, pop (&f), 1);
    g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->idx), ==, i + 1);
    g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[i & 7].id), ==, i & 7);
  }
}

/* All three parts and a buffer lie on top of each other. */
static void
test_overlap (void)
{
  GRand *rand = g_rand_new_with_seed (45);

  for (guint round = 0; round < 2000; round++) {
    g_auto (Fixture) f = { 0 };
    guint8 *desc;

    fixture_init (&f, 8, round & 1, 0);
    desc = (guint8 *) f.guest.desc;
    vhost_split_device_set_memory (&f.ring, f.guest.memory, desc, desc + 2 * (round % 9),
                                   desc + 4 * (round % 7));
    for (guint i = 0; i < 256; i++)
      desc[i] = g_rand_int (rand) & (round & 2 ? 0x03 : 0xff);
    vhost_split_device_start (&f.ring, GUINT16_FROM_LE (*(guint16 *) (desc + 2 * (round % 9) + 2)));
    for (guint i = 0; i < 16; i++) {
      VhostSlot *slots[4];
      guint32 lengths[4] = { 1, 2, 3, 4 };
      guint n = vhost_split_device_pop (&f.ring, slots, 4);

      for (guint k = 0; k < n; k++)
        assert_inside (&f, slots[k]);
      vhost_split_device_push (&f.ring, slots, lengths, n);
      vhost_split_device_needs_notify (&f.ring);
      desc[g_rand_int_range (rand, 0, 256)] = (guint8) g_rand_int_range (rand, 0, 8);
    }
  }
  g_rand_free (rand);
}

/* Rings full of noise that is nearly right: nothing but a fault may come of it. */
static void
test_random_rings (void)
{
  GRand *rand = g_rand_new_with_seed (48);
  guint n_good = 0;

  for (guint round = 0; round < 3000; round++) {
    g_auto (Fixture) f = { 0 };
    VhostRingDesc *table;

    fixture_init (&f, 16, FALSE, 0);
    table = guest_at (&f.guest, GUEST_TABLES);
    for (guint i = 0; i < 32; i++)
      write_desc (
          i < 16 ? &f.guest.desc[i] : &table[i - 16],
          g_rand_int_range (rand, 0, 40) == 0  ? g_rand_int (rand)
          : g_rand_int_range (rand, 0, 4) == 0 ? GUEST_TABLES
                                               : GUEST_BUFFERS,
          (guint32) g_rand_int_range (rand, 0, 17) * 16,
          (guint16) (g_rand_int_range (rand, 0, 8) & (g_rand_int_range (rand, 0, 3) == 0 ? 7 : 3)),
          (guint16) g_rand_int_range (rand, 0, 17));
    for (guint i = 0; i < 16; i++)
      guest_offer (&f.guest, (guint16) (g_rand_int_range (rand, 0, 40) == 0 ? 99 : i));
    for (VhostSlot *slot = pop (&f); slot != NULL; slot = pop (&f)) {
      n_good++;
      assert_inside (&f, slot);
      push (&f, slot, 0);
    }
  }
  g_assert_cmpuint (n_good, >, 1000);
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile/H037-unshared-memory", test_address);
  g_test_add_func ("/hostile/H045-overlapping-parts", test_overlap);
  g_test_add_func ("/hostile/H046-index-jump", test_index_jump);
  g_test_add_func ("/hostile/H046-index-back", test_index_back);
  g_test_add_func ("/hostile/H047-head-range", test_head_range);
  g_test_add_func ("/hostile/H047-next-range", test_next_range);
  g_test_add_func ("/hostile/H047-next-range-indirect", test_next_range_indirect);
  g_test_add_func ("/hostile/H048-loop", test_loop);
  g_test_add_func ("/hostile/H048-loop-indirect", test_loop_indirect);
  g_test_add_func ("/hostile/H048-random-rings", test_random_rings);
  g_test_add_func ("/hostile/H049-indirect-size", test_indirect_size);
  g_test_add_func ("/hostile/H049-indirect-nested", test_indirect_nested);
  g_test_add_func ("/hostile/H049-indirect-off", test_indirect_off);
  g_test_add_func ("/hostile/H050-indirect-over-regions", test_indirect_cross_region);
  g_test_add_func ("/hostile/H051-zero-length", test_zero_length);
  g_test_add_func ("/hostile/H052-address-wraps", test_address);
  g_test_add_func ("/hostile/H052-too-many-bytes", test_too_many_bytes_sparse);
  g_test_add_func ("/hostile/H053-huge-length", test_too_many_bytes);
  g_test_add_func ("/hostile/H053-too-many-pieces", test_too_many_pieces);
  g_test_add_func ("/hostile/H054-readable-after-writable", test_order);
  g_test_add_func ("/hostile/H055-changing-descriptors", test_changing_descriptors);
  g_test_add_func ("/hostile/H055-changed-after-pop", test_changed_after_pop);
  g_test_add_func ("/hostile/H056-torn-index", test_torn_index);
  g_test_add_func ("/hostile/H057-head-twice", test_head_busy);
  g_test_add_func ("/hostile/H058-in-flight", test_in_flight);
  g_test_add_func ("/hostile/H059-good-before-bad", test_good_before_bad);
  g_test_add_func ("/hostile/H060-garbage-events", test_garbage_events);
  g_test_add_func ("/hostile/H062-overwritten-used", test_overwritten_used);
  return g_test_run ();
}
