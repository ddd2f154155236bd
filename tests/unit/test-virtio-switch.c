/* SPDX-License-Identifier: BSD-3-Clause */
/* Cards of every kind at one switch: who gets which frame, what is lost, and what a guest cannot do
 * to the others. */

#include "test-virtio-net.h"

#include "virtio/vhost-virtio-switch-table-private.h"

#define N_CARDS 3
#define EVERYBODY 0xff

typedef struct {
  House house;
  VhostVirtioSwitch *network;
  Card cards[N_CARDS];
} Rig;

static const Kind mixed[] = { { FALSE, TRUE, FALSE, FALSE },
                              { TRUE, FALSE, FALSE, FALSE },
                              { FALSE, FALSE, TRUE, FALSE } };
static const Kind workers[] = { { TRUE, TRUE, FALSE, TRUE },
                                { FALSE, TRUE, FALSE, TRUE },
                                { TRUE, FALSE, FALSE, TRUE } };

static void
rig_init (Rig *rig, const Kind *kinds_of)
{
  g_autoptr (GError) error = NULL;

  house_init (&rig->house);
  rig->network = vhost_virtio_switch_new ();
  for (guint i = 0; i < N_CARDS; i++) {
    card_init (&rig->cards[i], &rig->house, &kinds_of[i]);
    vhost_virtio_switch_add (rig->network, rig->cards[i].net, &error);
    g_assert_no_error (error);
  }
  house_open (&rig->house);
  for (guint i = 0; i < N_CARDS; i++)
    card_plug_in (&rig->cards[i]);
}

static void
rig_clear (Rig *rig)
{
  for (guint i = 0; i < N_CARDS; i++)
    card_unplug (&rig->cards[i]);
  house_close (&rig->house);
  g_clear_object (&rig->network);
  for (guint i = 0; i < N_CARDS; i++)
    card_clear (&rig->cards[i]);
  house_clear (&rig->house);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

static void
add_buffers_to_all (Rig *rig, guint n)
{
  for (guint i = 0; i < N_CARDS; i++)
    card_add_buffers (&rig->cards[i], n, 2000);
}

static void
for_each_rig (void (*check) (Rig *rig, Card *cards))
{
  const Kind *const all[] = { mixed, workers };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, all[i]);
    check (&rig, rig.cards);
    for (guint j = 0; j < N_CARDS; j++)
      g_assert_cmpint (g_atomic_int_get (&rig.cards[j].n_failed), ==, 0);
  }
}

/* --- Where to ------------------------------------------------------------------------------ */

static void
check_learning (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) unknown = make_frame (1, 0, 60);
  g_autoptr (GByteArray) answer = make_frame (0, 1, 1514);
  g_autoptr (GByteArray) known = make_frame (1, 0, 100);
  g_autoptr (GByteArray) broadcast = make_frame (EVERYBODY, 1, 64);
  g_autoptr (GByteArray) itself = make_frame (0, 0, 64);

  add_buffers_to_all (rig, 32);
  card_send (&cards[0], unknown);
  assert_received (&cards[1], unknown, 1);
  assert_received (&cards[2], unknown, 1);
  card_send (&cards[1], answer);
  assert_received (&cards[0], answer, 1);
  card_send (&cards[0], known);
  assert_received (&cards[1], known, 1);
  card_send (&cards[1], broadcast);
  assert_received (&cards[0], broadcast, 1);
  assert_received (&cards[2], broadcast, 1);
  card_send (&cards[0], itself);
  assert_silent (&cards[0]);
  assert_silent (&cards[2]);
  card_wait_for (&cards[0], "tx-frames", 3);
  card_wait_for (&cards[1], "rx-frames", 2);
}

static void
test_learning (void)
{
  for_each_rig (check_learning);
}

/* A station that moves is found where it is; one whose front-end has left, nowhere. */
static void
check_moving (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) hello = make_frame (EVERYBODY, 7, 60);
  g_autoptr (GByteArray) to_it = make_frame (7, 0, 60);

  add_buffers_to_all (rig, 32);
  card_send (&cards[1], hello);
  assert_received (&cards[0], hello, 1);
  assert_received (&cards[2], hello, 1);
  card_send (&cards[2], hello);
  assert_received (&cards[0], hello, 1);
  assert_received (&cards[1], hello, 1);
  card_send (&cards[0], to_it);
  assert_received (&cards[2], to_it, 1);
  assert_silent (&cards[1]);
}

static void
test_moving (void)
{
  for_each_rig (check_moving);
}

/* More addresses than are learnt: those that were first stay, and those of others do. */
static void
check_many_stations (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) hello = make_frame (2, 1, 60);
  g_autoptr (GByteArray) to_first = make_frame (0, 1, 60);
  g_autoptr (GByteArray) to_last = make_frame (0, 1, 60);

  add_buffers_to_all (rig, 32);
  card_send (&cards[1], hello);
  assert_received (&cards[0], hello, 1);
  assert_received (&cards[2], hello, 1);
  for (guint i = 0; i < VHOST_SWITCH_STATIONS + 10; i++) {
    g_autoptr (GByteArray) frame = make_frame (1, 0, 60);

    frame->data[9] = (guint8) (i >> 8);
    frame->data[10] = (guint8) i;
    card_send (&cards[0], frame);
    card_add_buffers (&cards[1], 1, 2000);
    assert_received (&cards[1], frame, 1);
  }
  card_send (&cards[1], to_first);
  assert_received (&cards[0], to_first, 1);
  to_last->data[3] = (VHOST_SWITCH_STATIONS + 9) >> 8;
  to_last->data[4] = (guint8) (VHOST_SWITCH_STATIONS + 9);
  card_send (&cards[1], to_last);
  assert_received (&cards[0], to_last, 1);
  assert_received (&cards[2], to_last, 1);
  assert_silent (&cards[2]);
}

static void
test_many_stations (void)
{
  for_each_rig (check_many_stations);
}

/* --- What is lost -------------------------------------------------------------------------- */

/* A receiver without buffers, or with buffers that are too small, holds nobody up. */
static void
check_no_room (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) hello = make_frame (EVERYBODY, 1, 60);
  g_autoptr (GByteArray) frame = make_frame (1, 0, 1000);

  card_add_buffers (&cards[0], 4, 2000);
  card_send (&cards[1], hello);
  assert_received (&cards[0], hello, 1);
  for (guint i = 0; i < 100; i++)
    card_send (&cards[0], frame);
  card_wait_for (&cards[1], "rx-drops", 100);
  card_add_buffers (&cards[1], 2, 20);
  card_send (&cards[0], frame);
  card_wait_for (&cards[1], "rx-drops", 101);
  assert_silent (&cards[1]);
  card_add_buffers (&cards[1], 60, 2000);
  if (cards[1].kind.mergeable) {
    card_send (&cards[0], frame);
    assert_received (&cards[1], frame, 3);
  }
}

static void
test_no_room (void)
{
  for_each_rig (check_no_room);
}

static void
check_large (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) frame = make_frame (EVERYBODY, 1, 9000);
  Card *mergeable = &cards[0];
  guint n = (12 + 9000 + 1999) / 2000;

  add_buffers_to_all (rig, 32);
  g_assert_true (mergeable->kind.mergeable);
  card_send (&cards[2], frame);
  assert_received (mergeable, frame, n);
  card_wait_for (&cards[1], "rx-drops", cards[1].kind.mergeable ? 0 : 1);
  card_wait_for (&cards[1], "rx-frames", cards[1].kind.mergeable ? 1 : 0);
}

static void
test_large (void)
{
  for_each_rig (check_large);
}

/* --- What no driver should send ------------------------------------------------------------ */

static void
check_hostile (Rig *rig, Card *cards)
{
  const guint8 headers[][12] = { { 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
                                 { 0, 1 },
                                 { 0, 0xff } };
  guint header_size = card_get_header_size (&cards[0]);
  const guint lengths[] = { 1, header_size - 1, header_size, header_size + 13, 100000 };
  g_autoptr (GByteArray) good = make_frame (EVERYBODY, 0, 60);
  g_autofree guint8 *bytes = g_malloc0 (100000);

  add_buffers_to_all (rig, 32);
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    memcpy (bytes, headers[i], 12);
    card_send_raw (&cards[0], bytes, 100);
  }
  memset (bytes, 0, 12);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    card_send_raw (&cards[0], bytes, lengths[i]);
  card_wait_for (&cards[0], "tx-drops", G_N_ELEMENTS (headers) + G_N_ELEMENTS (lengths));
  card_send (&cards[0], good);
  assert_received (&cards[1], good, 1);
  assert_received (&cards[2], good, 1);
}

static void
test_hostile (void)
{
  for_each_rig (check_hostile);
}

/* --- Ports --------------------------------------------------------------------------------- */

static gboolean
unplug_first (gpointer data)
{
  Rig *rig = data;

  vhost_virtio_switch_remove (rig->network, rig->cards[0].net);
  g_object_set_data (G_OBJECT (rig->network), "done", rig);
  return G_SOURCE_REMOVE;
}

static void
check_remove (Rig *rig, Card *cards)
{
  g_autoptr (GByteArray) frame = make_frame (EVERYBODY, 1, 60);
  guint16 n_devices = 0;

  add_buffers_to_all (rig, 4);
  card_send (&cards[1], frame);
  assert_received (&cards[0], frame, 1);
  assert_received (&cards[2], frame, 1);
  g_main_context_invoke (rig->house.context, unplug_first, rig);
  while (g_object_get_data (G_OBJECT (rig->network), "done") == NULL && n_devices++ < 10000)
    g_usleep (1000);
  card_send (&cards[1], frame);
  assert_received (&cards[2], frame, 1);
  assert_silent (&cards[0]);
}

static void
test_remove (void)
{
  for_each_rig (check_remove);
}

/* The switch is on the thread of the first card; the second one's is another. */
static void
test_other_thread (void)
{
  const Kind two[] = { mixed[0], workers[0] };
  g_autoptr (GByteArray) frame = make_frame (EVERYBODY, 0, 60);
  g_auto (House) house = { 0 };
  g_autoptr (VhostVirtioSwitch) network = vhost_virtio_switch_new ();
  Card cards[2] = { 0 };

  house_init (&house);
  for (guint i = 0; i < 2; i++) {
    card_init (&cards[i], &house, &two[i]);
    g_assert_true (vhost_virtio_switch_add (network, cards[i].net, NULL));
  }
  house_open (&house);
  for (guint i = 0; i < 2; i++)
    card_plug_in (&cards[i]);
  g_assert_cmpint (g_atomic_int_get (&cards[0].n_failed), ==, 0);
  g_assert_cmpint (g_atomic_int_get (&cards[1].n_failed), ==, 2);
  card_add_buffers (&cards[1], 4, 2000);
  card_send (&cards[0], frame);
  card_send (&cards[1], frame);
  assert_silent (&cards[1]);
  for (guint i = 0; i < 2; i++)
    card_unplug (&cards[i]);
  house_close (&house);
  g_clear_object (&network);
  for (guint i = 0; i < 2; i++)
    card_clear (&cards[i]);
}

/* --- Table --------------------------------------------------------------------------------- */

static void
test_table (void)
{
  VhostSwitchTable table = { 0 };
  int ports[8];

  vhost_switch_table_resize (&table, 8);
  for (guint64 i = 0; i < 8 * VHOST_SWITCH_STATIONS; i++)
    vhost_switch_table_set (&table, i << 20 | G_GUINT64_CONSTANT (1) << 48, &ports[i % 8]);
  vhost_switch_table_remove_port (&table, &ports[3]);
  vhost_switch_table_resize (&table, 32);
  for (guint64 i = 0; i < 8 * VHOST_SWITCH_STATIONS; i++)
    g_assert_true (vhost_switch_table_find (&table, i << 20 | G_GUINT64_CONSTANT (1) << 48) ==
                   (i % 8 == 3 ? NULL : &ports[i % 8]));
  vhost_switch_table_clear (&table);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtio-switch/learning", test_learning);
  g_test_add_func ("/virtio-switch/moving", test_moving);
  g_test_add_func ("/virtio-switch/many-stations", test_many_stations);
  g_test_add_func ("/virtio-switch/no-room", test_no_room);
  g_test_add_func ("/virtio-switch/large", test_large);
  g_test_add_func ("/virtio-switch/hostile", test_hostile);
  g_test_add_func ("/virtio-switch/remove", test_remove);
  g_test_add_func ("/virtio-switch/other-thread", test_other_thread);
  g_test_add_func ("/virtio-switch/table", test_table);
  return g_test_run ();
}
