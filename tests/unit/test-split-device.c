/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a split ring, against a ring written by hand: what the specification asks for.
 */

#include "test-split-device.h"

static void
test_one_chain (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  g_assert_null (pop (&f));
  guest_write_desc (&f.guest, 3, GUEST_BUFFERS, 16, NEXT, 5);
  guest_write_desc (&f.guest, 5, GUEST_BUFFERS + 64, 512, NEXT, 1);
  guest_write_desc (&f.guest, 1, GUEST_APART, 100, WRITE | NEXT, 0);
  guest_write_desc (&f.guest, 0, GUEST_NEXT, 1, WRITE, 7777);
  guest_offer (&f.guest, 3);

  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->head, ==, 3);
  g_assert_cmpuint (slot->n_readable, ==, 2);
  g_assert_cmpuint (slot->n_writable, ==, 2);
  g_assert_cmpuint (slot->readable_size, ==, 528);
  g_assert_cmpuint (slot->writable_size, ==, 101);
  assert_iov (&f, slot, 0, GUEST_BUFFERS, 16);
  assert_iov (&f, slot, 1, GUEST_BUFFERS + 64, 512);
  assert_iov (&f, slot, 2, GUEST_APART, 100);
  assert_iov (&f, slot, 3, GUEST_NEXT, 1);
  g_assert_cmpuint (f.ring.common.n_in_flight, ==, 1);
  g_assert_null (pop (&f));

  push (&f, slot, 101);
  g_assert_cmpuint (f.ring.common.n_in_flight, ==, 0);
  g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->idx), ==, 1);
  g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[0].id), ==, 3);
  g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[0].len), ==, 101);
}

/* Both indices go round several times, from a base that is not 0. */
static void
test_wrap (void)
{
  const guint16 sizes[] = { 1, 2, 4, 8, 64, 256, 1024, 32768 };

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
    g_auto (Fixture) f = { 0 };
    guint16 size = sizes[s];
    guint n_done = 0;

    fixture_init (&f, size, TRUE, 65530);
    for (guint i = 0; i < size; i++)
      guest_write_desc (&f.guest, i, GUEST_BUFFERS + i, 1, WRITE, 0);
    while (n_done < 150000) {
      guint n_offered = 1 + n_done % size;
      VhostSlot *slots[64];
      guint32 lengths[64];

      for (guint i = 0; i < n_offered; i++)
        guest_offer (&f.guest, (guint16) ((n_done + i) % size));
      for (guint n_got = 0; n_got < n_offered;) {
        guint n = vhost_split_device_pop (&f.ring, slots, 64);

        g_assert_cmpuint (n, ==, MIN (64, n_offered - n_got));
        for (guint i = 0; i < n; i++) {
          g_assert_cmpuint (slots[i]->head, ==, (n_done + n_got + i) % size);
          lengths[i] = slots[i]->head & 1;
        }
        vhost_split_device_push (&f.ring, slots, lengths, n);
        n_got += n;
      }
      n_done += n_offered;
      g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->idx), ==, (guint16) n_done);
    }
    g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_NONE);
  }
}

static void
test_out_of_order (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[4];

  fixture_init (&f, 4, FALSE, 0);
  for (guint i = 0; i < 4; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 8, TRUE);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 4), ==, 4);
  push (&f, slots[2], 2);
  push (&f, slots[0], 0);
  guest_offer_buffer (&f.guest, 2, 9, TRUE);
  slots[2] = pop (&f);
  g_assert_cmpuint (slots[2]->writable_size, ==, 9);
  push (&f, slots[3], 3);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[i].id), ==, ((guint[]){ 2, 0, 3 })[i]);
}

static void
test_base (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  for (guint i = 0; i < 8; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 1, TRUE);
  f.guest.used->idx = GUINT16_TO_LE (5);
  vhost_split_device_start (&f.ring, 5);
  push (&f, pop (&f), 1);
  g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->idx), ==, 6);
  g_assert_cmpuint (GUINT32_FROM_LE (f.guest.used->ring[5].id), ==, 5);
}

/* A base lies between what was used and what is available; the ring knows better than any other. */
static void
test_base_that_cannot_be (void)
{
  static const struct {
    guint16 used, avail, base, expected;
  } cases[] = {
    { 0, 0, 0, 0 },         { 3, 5, 3, 3 },       { 3, 5, 4, 4 },
    { 3, 5, 5, 5 },         { 3, 5, 0, 3 },       { 3, 5, 2, 3 },
    { 3, 5, 6, 3 },         { 100, 108, 0, 100 }, { 65534, 2, 65534, 65534 },
    { 65534, 2, 1, 1 },     { 65534, 2, 2, 2 },   { 65534, 2, 65533, 65534 },
    { 65534, 2, 3, 65534 }, { 0, 9, 7, 7 }, /* no ring of eight is like that: nothing to go by */
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 8, FALSE, 0);
    f.guest.used->idx = GUINT16_TO_LE (cases[i].used);
    f.guest.avail->idx = GUINT16_TO_LE (cases[i].avail);
    vhost_split_device_start (&f.ring, cases[i].base);
    g_assert_cmpuint (f.ring.last_avail, ==, cases[i].expected);
  }
}

static void
test_unpop (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[8];

  fixture_init (&f, 8, FALSE, 65534);
  for (guint i = 0; i < 6; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 10 + i, TRUE);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 6), ==, 6);
  g_assert_false (vhost_split_device_unpop (&f.ring, slots[4]));
  g_assert_true (vhost_split_device_unpop (&f.ring, slots[5]));
  g_assert_false (vhost_split_device_unpop (&f.ring, slots[5]));
  g_assert_true (vhost_split_device_unpop (&f.ring, slots[4]));
  slots[4] = pop (&f);
  g_assert_cmpuint (slots[4]->writable_size, ==, 14);

  /* 0 2 3 4 are in flight: 2 3 4 are the last ones without a gap */
  push (&f, slots[1], 0);
  g_assert_cmpuint (vhost_split_device_rewind (&f.ring), ==, 1);
  g_assert_cmpuint (f.ring.last_avail, ==, 0);
  g_assert_cmpuint (pop (&f)->head, ==, 2);
}

static void
test_indirect (void)
{
  g_auto (Fixture) f = { 0 };
  VhostRingDesc *table;
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  table = guest_at (&f.guest, GUEST_TABLES);
  write_desc (&table[0], GUEST_BUFFERS, 10, NEXT, 2);
  write_desc (&table[1], GUEST_BUFFERS + 50, 30, WRITE, 0);
  write_desc (&table[2], GUEST_BUFFERS + 20, 20, NEXT, 1);
  guest_write_desc (&f.guest, 6, GUEST_TABLES, 48, INDIRECT | WRITE, 0);
  guest_offer (&f.guest, 6);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->head, ==, 6);
  g_assert_cmpuint (slot->n_readable, ==, 2);
  assert_iov (&f, slot, 1, GUEST_BUFFERS + 20, 20);
  assert_iov (&f, slot, 2, GUEST_BUFFERS + 50, 30);
}

static void
test_mixed (void)
{
  g_auto (Fixture) f = { 0 };
  VhostRingDesc *table;
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  table = guest_at (&f.guest, GUEST_TABLES);
  write_desc (&table[0], GUEST_BUFFERS + 100, 10, NEXT, 1);
  write_desc (&table[1], GUEST_BUFFERS + 200, 20, WRITE, 0);
  guest_write_desc (&f.guest, 0, GUEST_BUFFERS, 1, NEXT, 1);
  guest_write_desc (&f.guest, 1, GUEST_BUFFERS + 1, 2, NEXT, 2);
  guest_write_desc (&f.guest, 2, GUEST_TABLES, 32, INDIRECT, 0);
  guest_offer (&f.guest, 0);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->n_readable, ==, 3);
  g_assert_cmpuint (slot->n_writable, ==, 1);
  g_assert_cmpuint (slot->readable_size, ==, 13);
  g_assert_cmpuint (slot->writable_size, ==, 20);
}

static void
test_cross_region (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 8, FALSE, 0);
  guest_write_desc (&f.guest, 0, GUEST_NEXT - 100, 300, NEXT, 1);
  guest_write_desc (&f.guest, 1, GUEST_NEXT - 1, 2, WRITE, 0);
  guest_offer (&f.guest, 0);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->n_readable, ==, 2);
  g_assert_cmpuint (slot->n_writable, ==, 2);
  assert_iov (&f, slot, 0, GUEST_NEXT - 100, 100);
  assert_iov (&f, slot, 1, GUEST_NEXT, 200);
  assert_iov (&f, slot, 2, GUEST_NEXT - 1, 1);
  assert_iov (&f, slot, 3, GUEST_NEXT, 1);
}

/* Chains of as many pieces as are allowed, which do not fit into their slots. */
static void
test_long_chains (void)
{
  g_auto (Fixture) f = { 0 };
  VhostRingDesc *table;
  VhostSlot *slots[1024];
  guint32 lengths[1024] = { 0 };

  fixture_init (&f, 1024, FALSE, 0);
  table = guest_at (&f.guest, GUEST_TABLES);
  for (guint i = 0; i < 1024; i++) {
    write_desc (&table[i], GUEST_BUFFERS + i, 1, (i >= 1000 ? WRITE : 0) | (i < 1023 ? NEXT : 0),
                (guint16) (i + 1));
    guest_write_desc (&f.guest, i, GUEST_TABLES, 16 * 1024, INDIRECT, 0);
  }
  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < 1024; i++)
      guest_offer (&f.guest, (guint16) i);
    g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 1024), ==, 1024);
    for (guint i = 0; i < 1024; i++) {
      g_assert_cmpuint (slots[i]->n_readable, ==, 1000);
      assert_iov (&f, slots[i], 1023, GUEST_BUFFERS + 1023, 1);
    }
    vhost_split_device_push (&f.ring, slots, lengths, 1024);
    g_assert_cmpuint (f.ring.common.overflow_bytes, <=, 4 * 1024 * 1024);
    g_assert_cmpuint (f.ring.common.overflow_bytes, >, 0);
  }
}

static void
test_event_idx (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slots[8];
  guint32 lengths[8] = { 0 };

  fixture_init (&f, 8, TRUE, 0);
  for (guint i = 0; i < 8; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 1, TRUE);
  f.guest.avail->flags = GUINT16_TO_LE (VHOST_RING_AVAIL_NO_INTERRUPT); /* means nothing here */
  guest_set_used_event (&f.guest, 40000);
  g_assert_cmpuint (vhost_split_device_pop (&f.ring, slots, 8), ==, 8);

  vhost_split_device_push (&f.ring, slots, lengths, 1);
  g_assert_true (vhost_split_device_needs_notify (&f.ring)); /* the first decision */
  g_assert_false (vhost_split_device_needs_notify (&f.ring));
  vhost_split_device_push (&f.ring, slots + 1, lengths, 1);
  g_assert_false (vhost_split_device_needs_notify (&f.ring));

  guest_set_used_event (&f.guest, 3); /* when the index goes from 3 to 4 */
  vhost_split_device_push (&f.ring, slots + 2, lengths, 1);
  g_assert_false (vhost_split_device_needs_notify (&f.ring));
  vhost_split_device_push (&f.ring, slots + 3, lengths, 2);
  g_assert_true (vhost_split_device_needs_notify (&f.ring));
  vhost_split_device_push (&f.ring, slots + 5, lengths, 3);
  g_assert_false (vhost_split_device_needs_notify (&f.ring));
  g_assert_cmpuint (f.guest.used->flags, ==, 0);
}

/* When the index went round since the last decision, old indices say nothing. */
static void
test_event_idx_wrap (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 4, TRUE, 0);
  guest_set_used_event (&f.guest, 60000);
  guest_offer_buffer (&f.guest, 0, 1, TRUE);
  push (&f, pop (&f), 0);
  g_assert_true (vhost_split_device_needs_notify (&f.ring));
  for (guint i = 0; i < 65536; i++) {
    guest_offer_buffer (&f.guest, 0, 1, TRUE);
    push (&f, pop (&f), 0);
  }
  g_assert_true (vhost_split_device_needs_notify (&f.ring));
}

static void
test_flags (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, FALSE, 0);
  guest_offer_buffer (&f.guest, 0, 1, TRUE);
  guest_offer_buffer (&f.guest, 1, 1, TRUE);
  f.guest.avail->flags = GUINT16_TO_LE (VHOST_RING_AVAIL_NO_INTERRUPT);
  push (&f, pop (&f), 0);
  g_assert_false (vhost_split_device_needs_notify (&f.ring));
  f.guest.avail->flags = 0;
  push (&f, pop (&f), 0);
  g_assert_true (vhost_split_device_needs_notify (&f.ring));

  vhost_split_device_disable_notifications (&f.ring);
  g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->flags), ==, VHOST_RING_USED_NO_NOTIFY);
  g_assert_false (vhost_split_device_enable_notifications (&f.ring));
  g_assert_cmpuint (f.guest.used->flags, ==, 0);
  guest_offer_buffer (&f.guest, 0, 1, TRUE);
  g_assert_true (vhost_split_device_enable_notifications (&f.ring));
  g_assert_cmpuint (GUINT16_FROM_LE (f.guest.used->flags), ==, VHOST_RING_USED_NO_NOTIFY);
}

/* The kick is asked for after the last entry that was seen, also when it was not popped. */
static void
test_avail_event (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 8, TRUE, 0);
  for (guint i = 0; i < 3; i++)
    guest_offer_buffer (&f.guest, (guint16) i, 1, TRUE);
  g_assert_nonnull (pop (&f));
  g_assert_false (vhost_split_device_enable_notifications (&f.ring));
  g_assert_cmpuint (guest_get_avail_event (&f.guest), ==, 3);
  guest_offer_buffer (&f.guest, 3, 1, TRUE);
  g_assert_true (vhost_split_device_enable_notifications (&f.ring));
  g_assert_false (vhost_split_device_enable_notifications (&f.ring));
  g_assert_cmpuint (guest_get_avail_event (&f.guest), ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/split-device/one-chain", test_one_chain);
  g_test_add_func ("/split-device/wrap", test_wrap);
  g_test_add_func ("/split-device/out-of-order", test_out_of_order);
  g_test_add_func ("/split-device/base", test_base);
  g_test_add_func ("/split-device/base-that-cannot-be", test_base_that_cannot_be);
  g_test_add_func ("/split-device/unpop", test_unpop);
  g_test_add_func ("/split-device/indirect", test_indirect);
  g_test_add_func ("/split-device/mixed", test_mixed);
  g_test_add_func ("/split-device/cross-region", test_cross_region);
  g_test_add_func ("/split-device/long-chains", test_long_chains);
  g_test_add_func ("/split-device/event-idx", test_event_idx);
  g_test_add_func ("/split-device/event-idx-wrap", test_event_idx_wrap);
  g_test_add_func ("/split-device/flags", test_flags);
  g_test_add_func ("/split-device/avail-event", test_avail_event);
  g_test_add_func ("/hostile/H036-buffer-over-regions", test_cross_region);
  return g_test_run ();
}
