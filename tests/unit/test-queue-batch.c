/* SPDX-License-Identifier: BSD-3-Clause */
/* Many chains at a time. */

#include "test-queue.h"

#define N 6

/* @n chains of one writable buffer of 16 bytes. */
static void
offer (Rig *rig, guint n)
{
  for (guint i = 0; i < n; i++)
    guest_offer_buffer (&rig->guest, (guint16) i, 16, TRUE);
}

static const VhostRingUsedElem *
get_used (const Rig *rig, guint i)
{
  return &rig->guest.used->ring[i];
}

static void
test_slots_say_where_the_buffers_are (void)
{
  g_auto (Rig) rig = { 0 };
  VhostSlot *slots[N];

  rig_init (&rig, 8, FALSE);
  guest_write_desc (&rig.guest, 0, GUEST_BUFFERS, 10, VHOST_RING_DESC_NEXT, 1);
  guest_write_desc (&rig.guest, 1, GUEST_BUFFERS + 64, 20,
                    VHOST_RING_DESC_NEXT | VHOST_RING_DESC_WRITE, 2);
  guest_write_desc (&rig.guest, 2, GUEST_APART, 30, VHOST_RING_DESC_WRITE, 0);
  guest_offer (&rig.guest, 0);

  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots, N), ==, 1);
  g_assert_cmpuint (slots[0]->n_readable, ==, 1);
  g_assert_cmpuint (slots[0]->n_writable, ==, 2);
  g_assert_cmpuint (slots[0]->readable_size, ==, 10);
  g_assert_cmpuint (slots[0]->writable_size, ==, 50);
  g_assert_true (slots[0]->iov[0].iov_base == guest_at (&rig.guest, GUEST_BUFFERS));
  g_assert_true (slots[0]->iov[1].iov_base == guest_at (&rig.guest, GUEST_BUFFERS + 64));
  g_assert_true (slots[0]->iov[2].iov_base == guest_at (&rig.guest, GUEST_APART));
  g_assert_cmpuint (slots[0]->iov[2].iov_len, ==, 30);
}

/* In any order, visible at once, and never longer than the chain. */
static void
test_pushes_in_any_order (void)
{
  g_auto (Rig) rig = { 0 };
  const guint32 lengths[] = { 4, G_MAXUINT32, 16, 0 };
  VhostSlot *slots[N];

  rig_init (&rig, 8, FALSE);
  offer (&rig, 4);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots, 3), ==, 3);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots + 3, 3), ==, 1);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 4);

  vhost_queue_push_batch (rig.queue, (VhostSlot *[]){ slots[2], slots[0], slots[3], slots[1] },
                          lengths, 4);
  g_assert_cmpuint (rig.guest.used->idx, ==, 4);
  g_assert_cmpuint (get_used (&rig, 0)->id, ==, 2);
  g_assert_cmpuint (get_used (&rig, 0)->len, ==, 4);
  g_assert_cmpuint (get_used (&rig, 1)->id, ==, 0);
  g_assert_cmpuint (get_used (&rig, 1)->len, ==, 16);
  g_assert_cmpuint (get_used (&rig, 2)->id, ==, 3);
  g_assert_cmpuint (get_used (&rig, 3)->len, ==, 0);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 0);
  g_assert_false (take_event (rig.call_fd));
  vhost_queue_notify (rig.queue);
  g_assert_true (take_event (rig.call_fd));
}

/* Beside handles of the same queue. */
static void
test_goes_together_with_handles (void)
{
  g_auto (Rig) rig = { 0 };
  g_autoptr (VhostChain) chain = NULL;
  const guint32 length = 16;
  VhostSlot *slot;

  rig_init (&rig, 8, FALSE);
  offer (&rig, 2);
  chain = vhost_queue_pop (rig.queue);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, &slot, 1), ==, 1);
  vhost_queue_push_batch (rig.queue, &slot, &length, 1);
  g_assert_true (vhost_chain_is_alive (chain));
  g_assert_true (vhost_queue_push (rig.queue, chain, 0));
  g_assert_cmpuint (get_used (&rig, 0)->id, ==, 1);
  g_assert_cmpuint (get_used (&rig, 1)->id, ==, 0);
}

/* A batch ends in front of the chain that is wrong; what came before it can still be pushed. */
static void
test_a_bad_chain_ends_the_batch (void)
{
  g_auto (Rig) rig = { 0 };
  const guint32 lengths[N] = { 0 };
  VhostSlot *slots[N];

  rig_init (&rig, 8, FALSE);
  offer (&rig, 2);
  guest_write_desc (&rig.guest, 5, GUEST_END, 16, 0, 0);
  guest_offer (&rig.guest, 5);
  offer (&rig, 1);

  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots, N), ==, 2);
  vhost_queue_push_batch (rig.queue, slots, lengths, 2);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots, N), ==, 0);
  g_assert_true (vhost_queue_is_broken (rig.queue));
  g_assert_cmpuint (rig.guest.used->idx, ==, 2);
}

static void
test_a_stopped_queue_drains (void)
{
  g_auto (Rig) rig = { 0 };
  const guint32 lengths[N] = { 0 };
  VhostSlot *slots[N];

  rig_init (&rig, 8, FALSE);
  offer (&rig, 3);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots, 2), ==, 2);
  g_assert_false (vhost_queue_stop (rig.queue));
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, slots + 2, 1), ==, 0);
  vhost_queue_push_batch (rig.queue, slots, lengths, 2);
  g_assert_cmpuint (rig.n_events[VHOST_QUEUE_EVENT_DRAINED], ==, 1);
}

static void
test_a_slot_is_pushed_once (void)
{
  g_auto (Rig) rig = { 0 };
  const guint32 length = 0;
  VhostSlot *slot;

  rig_init (&rig, 8, FALSE);
  offer (&rig, 1);
  g_assert_cmpuint (vhost_queue_pop_batch (rig.queue, &slot, 1), ==, 1);
  vhost_queue_push_batch (rig.queue, &slot, &length, 1);
  vhost_queue_push_batch (rig.queue, &slot, &length, 1);
  g_assert_cmpuint (rig.guest.used->idx, ==, 1);
  g_assert_cmpuint (vhost_queue_get_n_in_flight (rig.queue), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/queue-batch/slots", test_slots_say_where_the_buffers_are);
  g_test_add_func ("/queue-batch/any-order", test_pushes_in_any_order);
  g_test_add_func ("/queue-batch/beside-handles", test_goes_together_with_handles);
  g_test_add_func ("/queue-batch/bad-chain", test_a_bad_chain_ends_the_batch);
  g_test_add_func ("/queue-batch/drain", test_a_stopped_queue_drains);
  g_test_add_func ("/queue-batch/once", test_a_slot_is_pushed_once);
  return g_test_run ();
}
