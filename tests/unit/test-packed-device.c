/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side on a packed ring that is written by hand, rightly and wrongly. */

#include "ring/vhost-packed-device-private.h"
#include "test-ring.h"

#define AVAIL VHOST_PACKED_DESC_AVAIL
#define USED VHOST_PACKED_DESC_USED
#define NEXT VHOST_RING_DESC_NEXT
#define WRITE VHOST_RING_DESC_WRITE
#define INDIRECT VHOST_RING_DESC_INDIRECT

typedef struct {
  Guest guest;
  VhostPackedDevice ring;
  VhostPackedDesc *desc;
  VhostPackedEvent *driver;
  VhostPackedEvent *device;
} Fixture;

static void
fixture_init (Fixture *f, guint16 size, guint32 base)
{
  guest_init (&f->guest, size);
  f->desc = (VhostPackedDesc *) f->guest.desc;
  f->driver = (VhostPackedEvent *) f->guest.avail;
  f->device = (VhostPackedEvent *) f->guest.used;
  vhost_packed_device_init (&f->ring, size, TRUE, TRUE);
  vhost_packed_device_set_memory (&f->ring, f->guest.memory, f->desc, f->driver, f->device);
  vhost_packed_device_start (&f->ring, base);
}

static void
fixture_clear (Fixture *f)
{
  vhost_packed_device_clear (&f->ring);
  guest_clear (&f->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static void
put (Fixture *f, guint index, guint64 address, guint32 length, guint16 id, guint16 flags)
{
  f->desc[index] = (VhostPackedDesc){ GUINT64_TO_LE (address), GUINT32_TO_LE (length),
                                      GUINT16_TO_LE (id), GUINT16_TO_LE (flags) };
}

static VhostSlot *
pop (Fixture *f)
{
  VhostSlot *slot = NULL;

  return vhost_packed_device_pop (&f->ring, &slot, 1) == 1 ? slot : NULL;
}

static void
push (Fixture *f, VhostSlot *slot, guint32 length)
{
  vhost_packed_device_push (&f->ring, &slot, &length, 1);
}

static void
assert_fault (Fixture *f, VhostRingFault fault)
{
  g_assert_null (pop (f));
  g_assert_cmpint (f->ring.common.error.fault, ==, fault);
  g_assert_null (pop (f));
}

static void
test_chain (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 5, 0x80008000);
  g_assert_null (pop (&f));
  put (&f, 0, GUEST_BUFFERS, 10, 77, AVAIL | NEXT);
  put (&f, 1, GUEST_BUFFERS + 64, 20, 77, AVAIL | NEXT | WRITE);
  put (&f, 2, GUEST_NEXT - 8, 16, 3, AVAIL | WRITE); /* two regions; its id counts */
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->head, ==, 3);
  g_assert_cmpuint (slot->n_readable, ==, 1);
  g_assert_cmpuint (slot->n_writable, ==, 3);
  g_assert_cmpuint (slot->readable_size, ==, 10);
  g_assert_cmpuint (slot->writable_size, ==, 36);
  push (&f, slot, 30);
  g_assert_cmpuint (f.desc[0].id, ==, 3);
  g_assert_cmpuint (f.desc[0].len, ==, 30);
  g_assert_cmpuint (f.desc[0].flags, ==, AVAIL | USED | WRITE);
  g_assert_cmpuint (f.desc[1].flags, ==, AVAIL | NEXT | WRITE);
  g_assert_cmpuint (vhost_packed_device_get_base (&f.ring), ==, 0x80038003);
}

/* The list goes over the end; the second lap's flags are the other way round. */
static void
test_wrap (void)
{
  g_auto (Fixture) f = { 0 };
  VhostSlot *slot;

  fixture_init (&f, 3, 0x80028002);
  put (&f, 2, GUEST_BUFFERS, 8, 0, AVAIL | NEXT);
  put (&f, 0, GUEST_BUFFERS, 8, 1, USED | WRITE);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->n_descs, ==, 2);
  g_assert_true (vhost_packed_device_unpop (&f.ring, slot));
  g_assert_cmpuint (vhost_packed_device_get_base (&f.ring), ==, 0x80028002);
  slot = pop (&f);
  push (&f, slot, 0);
  g_assert_cmpuint (f.desc[2].flags, ==, AVAIL | USED);
  g_assert_cmpuint (vhost_packed_device_get_base (&f.ring), ==, 0x00010001);
  put (&f, 1, GUEST_BUFFERS, 8, 2, USED);
  slot = pop (&f);
  g_assert_nonnull (slot);
  push (&f, slot, 0);
  g_assert_cmpuint (f.desc[1].flags, ==, 0);
}

static void
test_endless_list (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 4, 0x80008000);
  for (guint i = 0; i < 4; i++)
    put (&f, i, GUEST_BUFFERS, 8, 0, AVAIL | NEXT);
  assert_fault (&f, VHOST_RING_FAULT_LOOP);
}

/* A list that runs into the entries of one in flight. */
static void
test_list_into_own (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 4, 0x80008000);
  put (&f, 0, GUEST_BUFFERS, 8, 0, AVAIL);
  g_assert_nonnull (pop (&f));
  put (&f, 1, GUEST_BUFFERS, 8, 1, AVAIL | NEXT);
  put (&f, 2, GUEST_BUFFERS, 8, 1, AVAIL | NEXT);
  put (&f, 3, GUEST_BUFFERS, 8, 1, AVAIL | NEXT);
  assert_fault (&f, VHOST_RING_FAULT_LOOP);
}

static void
test_forged_flags (void)
{
  g_auto (Fixture) f = { 0 };
  const guint16 wrong[] = { 0, USED, AVAIL | USED, WRITE };

  fixture_init (&f, 4, 0x80008000);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    put (&f, 0, GUEST_BUFFERS, 8, 0, wrong[i]);
    g_assert_null (pop (&f));
    g_assert_true (vhost_packed_device_is_empty (&f.ring));
    g_assert_false (vhost_packed_device_enable_notifications (&f.ring));
  }
  g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_NONE);
}

static void
test_full_ring (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 2, 0x80008000);
  put (&f, 0, GUEST_BUFFERS, 8, 0, AVAIL);
  put (&f, 1, GUEST_BUFFERS, 8, 1, AVAIL);
  g_assert_nonnull (pop (&f));
  g_assert_nonnull (pop (&f));
  put (&f, 0, GUEST_BUFFERS, 8, 0, USED); /* looks available, and is ours */
  g_assert_null (pop (&f));
  g_assert_true (vhost_packed_device_is_empty (&f.ring));
}

static void
test_ids (void)
{
  for (guint i = 0; i < 2; i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 4, 0x80008000);
    put (&f, 0, GUEST_BUFFERS, 8, 2, AVAIL);
    g_assert_nonnull (pop (&f));
    put (&f, 1, GUEST_BUFFERS, 8, i == 0 ? 4 : 2, AVAIL);
    assert_fault (&f, i == 0 ? VHOST_RING_FAULT_HEAD_RANGE : VHOST_RING_FAULT_HEAD_BUSY);
  }
}

static void
test_indirect (void)
{
  g_auto (Fixture) f = { 0 };
  VhostPackedDesc *table;
  VhostSlot *slot;

  fixture_init (&f, 4, 0x80008000);
  table = guest_at (&f.guest, GUEST_TABLES);
  table[0] = (VhostPackedDesc){ GUEST_BUFFERS, 8, 999, NEXT }; /* only WRITE and the length count */
  table[1] = (VhostPackedDesc){ GUEST_BUFFERS, 9, 0, WRITE | INDIRECT | AVAIL };
  put (&f, 0, GUEST_TABLES, 32, 1, AVAIL | INDIRECT | WRITE);
  slot = pop (&f);
  g_assert_nonnull (slot);
  g_assert_cmpuint (slot->readable_size, ==, 8);
  g_assert_cmpuint (slot->writable_size, ==, 9);
  g_assert_cmpuint (slot->n_descs, ==, 1);
}

static void
test_bad_indirect (void)
{
  const struct {
    guint32 length;
    guint16 flags;
    VhostRingFault fault;
  } bad[] = {
    { 0, INDIRECT, VHOST_RING_FAULT_INDIRECT_SIZE },
    { 24, INDIRECT, VHOST_RING_FAULT_INDIRECT_SIZE },
    { 16 * 1025, INDIRECT, VHOST_RING_FAULT_INDIRECT_SIZE },
    { 16, INDIRECT | NEXT, VHOST_RING_FAULT_INDIRECT_NEXT },
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 4, 0x80008000);
    put (&f, 0, GUEST_TABLES, bad[i].length, 1, AVAIL | bad[i].flags);
    assert_fault (&f, bad[i].fault);
  }
}

/* A list that mixes plain entries with an indirect one, and one whose feature is off. */
static void
test_mixed_indirect (void)
{
  for (guint off = 0; off < 2; off++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 4, 0x80008000);
    f.ring.common.indirect = !off;
    put (&f, 0, GUEST_BUFFERS, 8, 1, AVAIL | (off ? INDIRECT : NEXT));
    put (&f, 1, GUEST_TABLES, 16, 1, AVAIL | INDIRECT);
    assert_fault (&f, off ? VHOST_RING_FAULT_INDIRECT_OFF : VHOST_RING_FAULT_INDIRECT_NEXT);
  }
}

static void
test_addresses (void)
{
  const struct {
    guint64 address;
    guint32 length;
  } bad[] = { { GUEST_APART - 1, 8 }, { G_MAXUINT64 - 3, 8 }, { GUEST_END - 4, 8 }, { 0, 1 } };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (Fixture) f = { 0 };

    fixture_init (&f, 4, 0x80008000);
    put (&f, 0, bad[i].address, bad[i].length, 0, AVAIL);
    assert_fault (&f, VHOST_RING_FAULT_ADDRESS);
  }
}

static void
test_event_garbage (void)
{
  const guint32 garbage[] = { 0, 0x0003ffff, 0x00027fff, 0x0002ffff, 0xffffffff, 0x00020003 };
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 4, 0x80008000);
  for (guint i = 0; i < 4 * G_N_ELEMENTS (garbage); i++) {
    guint position = f.ring.avail_position;

    memcpy (f.driver, &garbage[i % G_N_ELEMENTS (garbage)], 4);
    put (&f, position, GUEST_BUFFERS, 8, 0, f.ring.avail_wrap ? AVAIL : USED);
    push (&f, pop (&f), 0);
    vhost_packed_device_needs_notify (&f.ring); /* at worst wrong */
  }
  g_assert_cmpint (f.ring.common.error.fault, ==, VHOST_RING_FAULT_NONE);
}

/* What is left in the ring brings no kick; what comes behind it does. */
static void
test_left_in_ring (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 4, 0x80008000);
  put (&f, 0, GUEST_BUFFERS, 8, 0, AVAIL);
  put (&f, 1, GUEST_BUFFERS, 8, 1, AVAIL);
  g_assert_false (vhost_packed_device_is_empty (&f.ring));
  g_assert_false (vhost_packed_device_enable_notifications (&f.ring));
  g_assert_cmpuint (f.device->position, ==, 0x8002);
  g_assert_cmpuint (f.device->flags, ==, VHOST_PACKED_EVENT_SPECIFIC);
  g_assert_nonnull (pop (&f));
}

static void
test_bases (void)
{
  g_assert_true (vhost_packed_device_check_base (0x80008000, 4));
  g_assert_true (vhost_packed_device_check_base (0x8003, 4));     /* DPDK: the lower half alone */
  g_assert_true (vhost_packed_device_check_base (0x80018003, 4)); /* two in flight */
  g_assert_true (vhost_packed_device_check_base (0x80030001, 4)); /* two in flight, over the end */
  g_assert_false (vhost_packed_device_check_base (0x80048004, 4));
  g_assert_false (vhost_packed_device_check_base (0x8000ffff, 4));
  g_assert_false (vhost_packed_device_check_base (0x80038001, 4));
  g_assert_false (vhost_packed_device_check_base (0x80010003, 4));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/packed-device/chain", test_chain);
  g_test_add_func ("/packed-device/wrap", test_wrap);
  g_test_add_func ("/packed-device/indirect", test_indirect);
  g_test_add_func ("/packed-device/left-in-ring", test_left_in_ring);
  g_test_add_func ("/hostile/H042-bases", test_bases);
  g_test_add_func ("/hostile/H058-full-ring", test_full_ring);
  g_test_add_func ("/hostile/H052-addresses", test_addresses);
  g_test_add_func ("/hostile/H066-endless-list", test_endless_list);
  g_test_add_func ("/hostile/H066-list-into-own", test_list_into_own);
  g_test_add_func ("/hostile/H067-forged-flags", test_forged_flags);
  g_test_add_func ("/hostile/H068-ids", test_ids);
  g_test_add_func ("/hostile/H069-bad-indirect", test_bad_indirect);
  g_test_add_func ("/hostile/H069-mixed-indirect", test_mixed_indirect);
  g_test_add_func ("/hostile/H071-event-garbage", test_event_garbage);
  return g_test_run ();
}
