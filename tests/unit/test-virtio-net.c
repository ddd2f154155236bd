/* SPDX-License-Identifier: BSD-3-Clause */
/* A network card between a driver and a socket, and several at a switch: frames of every size, in
 * either ring format, with every header; buffers that are missing or too small; headers and chains
 * that no driver should send. */

#include "test-virtio-net.h"

#include "virtio/vhost-virtio-net-lane-private.h"

/* A card whose port is a socket, of which the test has the other end. */
typedef struct {
  House house;
  Card card;
  int port;
} Rig;

static void
rig_init_at (Rig *rig, const Kind *kind, int type)
{
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  house_init (&rig->house);
  card_init (&rig->card, &rig->house, kind);
  g_object_set (rig->card.net, "mac", "52:54:00:00:00:01", "mtu", 9000, NULL);
  vhost_virtio_net_take_fd (rig->card.net, fds[1], &error);
  g_assert_no_error (error);
  rig->port = fds[0];
  house_open (&rig->house);
  card_plug_in (&rig->card);
}

static void
rig_init (Rig *rig, const Kind *kind)
{
  rig_init_at (rig, kind, SOCK_SEQPACKET);
}

static void
rig_clear (Rig *rig)
{
  card_unplug (&rig->card);
  house_close (&rig->house);
  card_clear (&rig->card);
  vhost_fd_clear (&rig->port);
  house_clear (&rig->house);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Rig, rig_clear)

static void
port_send (Rig *rig, const GByteArray *frame)
{
  g_assert_cmpint (send (rig->port, frame->data, frame->len, 0), ==, frame->len);
}

static void
assert_port_received (Rig *rig, const GByteArray *frame)
{
  guint8 found[70000];
  gssize n;

  g_assert_cmpint (vhost_fd_wait_readable (
                       rig->port, g_get_monotonic_time () + 10 * G_TIME_SPAN_SECOND, NULL, NULL),
                   ==, 1);
  n = recv (rig->port, found, sizeof found, 0);
  g_assert_cmpmem (found, (gsize) n, frame->data, frame->len);
}

static void
for_each_kind (void (*check) (Rig *rig))
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_auto (Rig) rig = { 0 };

    rig_init (&rig, &kinds[i]);
    check (&rig);
    g_assert_cmpint (g_atomic_int_get (&rig.card.n_failed), ==, 0);
  }
}

/* --- Frames -------------------------------------------------------------------------------- */

static void
check_round_trip (Rig *rig)
{
  const guint sizes[] = { 14, 60, 61, 64, 1514, 9018, 65535 + 18 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GByteArray) frame = make_frame (1, 2, sizes[i]);

    card_send (&rig->card, frame);
    assert_port_received (rig, frame);
    card_add_buffers (&rig->card, 1, 12 + sizes[i]);
    port_send (rig, frame);
    assert_received (&rig->card, frame, 1);
  }
  card_wait_for (&rig->card, "tx-frames", G_N_ELEMENTS (sizes));
  card_wait_for (&rig->card, "rx-frames", G_N_ELEMENTS (sizes));
}

static void
test_round_trip (void)
{
  for_each_kind (check_round_trip);
}

/* A frame over as many buffers as it needs, or, where they cannot be merged, none of them. */
static void
check_spread (Rig *rig)
{
  const guint lengths[] = { 489, 488, 987, 988, 989, 9018 };
  guint room = 500 - 12;

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    g_autoptr (GByteArray) frame = make_frame (1, 2, lengths[i]);
    guint n = 1 + (lengths[i] > room ? (lengths[i] - room + 499) / 500 : 0);
    gboolean fits =
        rig->card.kind.mergeable || 500 >= card_get_header_size (&rig->card) + lengths[i];

    if (i == 0 || rig->card.kind.mergeable)
      card_add_buffers (&rig->card, n, 500);
    port_send (rig, frame);
    if (fits)
      assert_received (&rig->card, frame, rig->card.kind.mergeable ? n : 1);
    if (fits && !rig->card.kind.mergeable)
      card_add_buffers (&rig->card, 1, 500);
  }
  card_wait_for (&rig->card, "rx-drops",
                 rig->card.kind.mergeable                  ? 0
                 : card_get_header_size (&rig->card) == 10 ? 4
                                                           : 5);
}

static void
test_spread (void)
{
  for_each_kind (check_spread);
}

/* What comes before there are buffers stays in the socket; part of a frame is not shown. */
static void
check_no_buffers (Rig *rig)
{
  g_autoptr (GByteArray) small = make_frame (1, 2, 64);
  g_autoptr (GByteArray) large = make_frame (1, 2, 3000);

  for (guint i = 0; i < 4; i++)
    port_send (rig, small);
  assert_silent (&rig->card);
  card_add_buffers (&rig->card, 4, 1000);
  for (guint i = 0; i < 4; i++)
    assert_received (&rig->card, small, 1);
  if (rig->card.kind.mergeable) {
    port_send (rig, large);
    card_add_buffers (&rig->card, 3, 1000);
    assert_silent (&rig->card);
    card_add_buffers (&rig->card, 1, 1000);
    assert_received (&rig->card, large, 4);
  }
  g_assert_cmpuint (card_count (&rig->card, "rx-drops"), ==, 0);
}

static void
test_no_buffers (void)
{
  for_each_kind (check_no_buffers);
}

/* As many as the driver may add: that is less than a header, or than a frame. */
static void
check_tiny_buffers (Rig *rig)
{
  g_autoptr (GByteArray) frame = make_frame (1, 2, 1514);

  card_add_buffers (&rig->card, QUEUE_SIZE, 1);
  for (guint i = 0; i < 3; i++)
    port_send (rig, frame);
  card_wait_for (&rig->card, "rx-drops", 3);
  assert_silent (&rig->card);
  card_send (&rig->card, frame);
  assert_port_received (rig, frame);
}

static void
test_tiny_buffers (void)
{
  for_each_kind (check_tiny_buffers);
}

static void
check_flood (Rig *rig)
{
  g_autoptr (GByteArray) frame = make_frame (1, 2, 60);
  guint n_read = 0;
  guint8 bytes[128];

  for (guint i = 0; i < 3000; i++)
    card_send (&rig->card, frame);
  while (recv (rig->port, bytes, sizeof bytes, 0) == 60)
    n_read++;
  g_assert_cmpuint (n_read, >, 0);
  card_wait_for (&rig->card, "tx-frames", n_read);
  card_wait_for (&rig->card, "tx-drops", 3000 - n_read);
  card_send (&rig->card, frame);
  assert_port_received (rig, frame);
}

static void
test_flood (void)
{
  for_each_kind (check_flood);
}

/* --- What no driver should send ------------------------------------------------------------ */

static void
check_hostile (Rig *rig)
{
  const guint8 headers[][12] = {
    { 1 }, { 0xff }, { 0, 1 }, { 0, 4 }, { 0, 0x80 }, { 0, 0xff }, { 1, 1, 0xff, 0xff, 0xff, 0xff },
  };
  guint header_size = card_get_header_size (&rig->card);
  const guint lengths[] = { 1, 9, 10, 11, 12, header_size + 13, header_size + 65535 + 19, 100000 };
  g_autoptr (GByteArray) good = make_frame (1, 2, 100);
  g_autofree guint8 *bytes = g_malloc0 (100000);

  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    memcpy (bytes, headers[i], sizeof headers[i]);
    card_send_raw (&rig->card, bytes, 200);
  }
  memset (bytes, 0, 12);
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    card_send_raw (&rig->card, bytes, lengths[i]);
  card_wait_for (&rig->card, "tx-drops", G_N_ELEMENTS (headers) + G_N_ELEMENTS (lengths));
  g_assert_cmpuint (card_count (&rig->card, "tx-frames"), ==, 0);
  card_send (&rig->card, good);
  assert_port_received (rig, good);
}

static void
test_hostile (void)
{
  for_each_kind (check_hostile);
}

static void
check_hostile_port (Rig *rig)
{
  g_autoptr (GByteArray) good = make_frame (1, 2, 100);
  g_autofree guint8 *bytes = g_malloc0 (100000);

  card_add_buffers (&rig->card, 4, 70000);
  g_assert_cmpint (send (rig->port, bytes, 1, 0), ==, 1);
  g_assert_cmpint (send (rig->port, bytes, 13, 0), ==, 13);
  g_assert_cmpint (send (rig->port, bytes, 65535 + 19, 0), ==, 65535 + 19);
  g_assert_cmpint (send (rig->port, bytes, 100000, 0), ==, 100000);
  port_send (rig, good);
  assert_received (&rig->card, good, 1);
  card_wait_for (&rig->card, "rx-drops", 4);
  vhost_fd_clear (&rig->port);
  card_send (&rig->card, good);
  card_wait_for (&rig->card, "tx-drops", 1);
}

static void
test_hostile_port (void)
{
  for_each_kind (check_hostile_port);
}

/* --- Pieces -------------------------------------------------------------------------------- */

/* Header, addresses and frame in pieces of every size. */
static void
test_pieces (void)
{
  guint8 bytes[12 + 60];

  for (guint i = 0; i < sizeof bytes; i++)
    bytes[i] = (guint8) (i < 12 ? i / 2 * 16 : i);
  bytes[0] = bytes[1] = 0;
  for (guint size = 1; size <= sizeof bytes; size++) {
    struct iovec iov[sizeof bytes];
    VhostSlot slot = { .iov = iov, .readable_size = sizeof bytes };
    guint8 rest[sizeof bytes];
    guint n_rest = 0;
    VhostNetFrame frame;

    for (guint at = 0; at < sizeof bytes; at += size)
      iov[slot.n_readable++] = (struct iovec){ bytes + at, MIN (size, sizeof bytes - at) };
    g_assert_true (vhost_net_frame_parse (&frame, &slot, 12));
    g_assert_cmpuint (frame.size, ==, 60);
    g_assert_cmpmem (frame.head + 12, 12, bytes + 12, 12);
    for (guint i = 0; i < 12; i++)
      g_assert_cmpuint (frame.head[i], ==, 0);
    for (guint i = 0; i < frame.n_iov; i++) {
      memcpy (rest + n_rest, frame.iov[i].iov_base, frame.iov[i].iov_len);
      n_rest += frame.iov[i].iov_len;
    }
    g_assert_cmpmem (rest, n_rest, bytes + 24, sizeof bytes - 24);
  }
}

/* --- Object -------------------------------------------------------------------------------- */

static void
test_refused (void)
{
  g_autoptr (VhostUserBackend) odd = vhost_user_backend_new (VHOST_DEVICE_ID_NETWORK, 3);
  g_autoptr (VhostUserBackend) backend = vhost_user_backend_new (VHOST_DEVICE_ID_NETWORK, 2);
  g_autoptr (VhostVirtioNet) odd_net = vhost_virtio_net_new (VHOST_BACKEND (odd));
  g_autoptr (VhostVirtioNet) net = vhost_virtio_net_new (VHOST_BACKEND (backend));
  g_autoptr (VhostVirtioSwitch) network = vhost_virtio_switch_new ();
  const char *macs[] = { "",
                         "52:54:00:00:00",
                         "52:54:00:00:00:0",
                         "52:54:00:00:00:0g",
                         "52:54:00:00:00:01:",
                         "53:54:00:00:00:01",
                         "52-54-00-00-00-01" };
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_false (vhost_virtio_switch_add (network, odd_net, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_clear_error (&error);
  for (guint i = 0; i < G_N_ELEMENTS (macs); i++) {
    g_object_set (net, "mac", macs[i], NULL);
    g_assert_false (vhost_virtio_switch_add (network, net, &error));
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
    g_clear_error (&error);
  }
  g_object_set (net, "mac", NULL, NULL);
  g_assert_false (vhost_virtio_net_take_fd (net, vhost_fd_new_event (NULL), &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
  g_clear_error (&error);
  g_assert_false (vhost_virtio_net_open_tap (net, "a-name-that-is-too-long", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_true (vhost_virtio_net_take_fd (net, fds[0], &error));
  g_assert_false (vhost_virtio_net_take_fd (net, fds[1], &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  g_clear_error (&error);
  g_assert_false (vhost_virtio_switch_add (network, net, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/virtio-net/round-trip", test_round_trip);
  g_test_add_func ("/virtio-net/spread", test_spread);
  g_test_add_func ("/virtio-net/no-buffers", test_no_buffers);
  g_test_add_func ("/virtio-net/tiny-buffers", test_tiny_buffers);
  g_test_add_func ("/virtio-net/flood", test_flood);
  g_test_add_func ("/virtio-net/hostile", test_hostile);
  g_test_add_func ("/virtio-net/hostile-port", test_hostile_port);
  g_test_add_func ("/virtio-net/pieces", test_pieces);
  g_test_add_func ("/virtio-net/refused", test_refused);
  return g_test_run ();
}
