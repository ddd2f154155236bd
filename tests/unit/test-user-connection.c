/* SPDX-License-Identifier: BSD-3-Clause */
/* The framed stream, with an honest peer and with every dishonest one. Each test plays the peer on
 * the other end of a socket pair. */

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-io-private.h"
#include "user/vhost-user-connection-private.h"
#include "test-fds.h"

#define CODE(name) VHOST_USER_FRONTEND_CODE_##name
#define NUM_SIZE (12 + 8)
#define MAX_SENT_FDS 64

typedef struct {
  guint n_fds;
  GMainContext *context;
  VhostReactor *reactor;
  VhostUserConnection *connection;
  int peer;

  /* What the connection told. */
  guint n_frames;
  guint n_bad;
  guint n_closed;
  guint64 first; /* of the last frame's payload */
  guint n_received_fds;
  GError *error;

  void (*on_frame) (gpointer fixture);
} Fixture;

static void
handle_frame (VhostUserConnection *connection, VhostUserFrame *frame, gpointer data)
{
  Fixture *fixture = data;

  fixture->n_frames++;
  fixture->first = frame->payload.u64;
  fixture->n_received_fds = frame->fds.n;
  for (guint i = 0; i < frame->fds.n; i++)
    g_assert_cmpint (fcntl (frame->fds.fd[i], F_GETFD), ==, FD_CLOEXEC);
  if (fixture->on_frame != NULL)
    fixture->on_frame (fixture);
}

static void
handle_bad_frame (VhostUserConnection *connection, const VhostUserFrame *frame, const GError *error,
                  gpointer data)
{
  Fixture *fixture = data;

  g_assert_cmpuint (frame->fds.n, ==, 0);
  fixture->n_bad++;
  g_clear_error (&fixture->error);
  fixture->error = g_error_copy (error);
}

static void
handle_closed (VhostUserConnection *connection, const GError *error, gpointer data)
{
  Fixture *fixture = data;

  fixture->n_closed++;
  fixture->error = error != NULL ? g_error_copy (error) : NULL;
}

static void
start (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  vhost_user_connection_start (fixture->connection, fixture->reactor, handle_frame, handle_closed,
                               fixture, &error);
  g_assert_no_error (error);
}

static void
open_pair (Fixture *fixture, gboolean requester)
{
  int fds[2], buffer = 16384; /* takes about ten large messages */

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_cmpint (setsockopt (fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), ==, 0);
  fixture->connection =
      vhost_user_connection_new_take_fd (fds[0], VHOST_USER_ROLE_FRONTEND, requester);
  fixture->peer = fds[1];
}

static void
close_pair (Fixture *fixture)
{
  g_clear_object (&fixture->connection);
  vhost_fd_clear (&fixture->peer);
  g_clear_error (&fixture->error);
  fixture->n_frames = fixture->n_bad = fixture->n_closed = 0;
}

/* A new pair, as after a new start. */
static void
reopen (Fixture *fixture)
{
  close_pair (fixture);
  open_pair (fixture, FALSE);
  start (fixture);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  begin_fd_test (&fixture->n_fds, NULL);
  fixture->context = g_main_context_new ();
  g_main_context_push_thread_default (fixture->context);
  fixture->reactor = vhost_reactor_get ();
  open_pair (fixture, GPOINTER_TO_INT (data) == 's');
  if (data == NULL)
    start (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  close_pair (fixture);
  vhost_reactor_unref (fixture->reactor);
  g_main_context_pop_thread_default (fixture->context);
  g_main_context_unref (fixture->context);
  end_fd_test (&fixture->n_fds, NULL);
}

static void
run (Fixture *fixture)
{
  while (g_main_context_iteration (fixture->context, FALSE))
    ;
}

/* Runs the loop until the connection is closed. */
static void
run_until_closed (Fixture *fixture)
{
  gint64 end = g_get_monotonic_time () + 5 * G_USEC_PER_SEC;

  while (fixture->n_closed == 0 && g_get_monotonic_time () < end) {
    g_main_context_iteration (fixture->context, FALSE);
    g_usleep (500);
  }
  run (fixture);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_false (vhost_user_connection_is_open (fixture->connection));
}

static void
assert_closed (Fixture *fixture, int code)
{
  run_until_closed (fixture);
  g_assert_error (fixture->error, VHOST_ERROR, code);
}

/* The peer's side */

static void
send_bytes (Fixture *fixture, const void *bytes, gsize size, guint n_fds)
{
  union {
    struct cmsghdr align;
    guint8 bytes[CMSG_SPACE (MAX_SENT_FDS * sizeof (int))];
  } control = { 0 };
  struct iovec iov = { (void *) bytes, size };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  VHOST_AUTO_FD fd = n_fds > 0 ? eventfd (0, EFD_CLOEXEC) : -1;
  int fds[MAX_SENT_FDS];

  for (guint i = 0; i < n_fds; i++)
    fds[i] = fd;
  if (n_fds > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
    *CMSG_FIRSTHDR (&message) =
        (struct cmsghdr){ CMSG_LEN (n_fds * sizeof (int)), SOL_SOCKET, SCM_RIGHTS };
    memcpy (CMSG_DATA (CMSG_FIRSTHDR (&message)), fds, n_fds * sizeof (int));
  }
  g_assert_cmpint (sendmsg (fixture->peer, &message, MSG_NOSIGNAL), ==, size);
}

/* Header and payload of a message; the size says what it says. */
static guint8 *
make_bytes (guint32 request, guint32 flags, guint32 size, guint64 value)
{
  guint8 *bytes = g_malloc0 (12 + 4096);
  const guint32 header[] = { request, flags, size };

  memcpy (bytes, header, sizeof header);
  memcpy (bytes + 12, &value, sizeof value);
  return bytes;
}

static void
send_request (Fixture *fixture, guint32 request, guint32 size, guint64 value, guint n_fds)
{
  g_autofree guint8 *bytes = make_bytes (request, 1, size, value);

  send_bytes (fixture, bytes, 12 + size, n_fds);
}

static void
test_h001_split_at_every_byte (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_KICK), 1, 8, 7);

  for (gsize cut = 0; cut <= NUM_SIZE; cut++) {
    if (cut > 0)
      send_bytes (fixture, bytes, cut, 1);
    run (fixture);
    g_assert_cmpuint (fixture->n_frames, ==, cut == NUM_SIZE);
    if (cut < NUM_SIZE)
      send_bytes (fixture, bytes + cut, NUM_SIZE - cut, cut == 0);
    run (fixture);
    g_assert_cmpuint (fixture->n_frames, ==, 1);
    g_assert_cmpuint (fixture->first, ==, 7);
    g_assert_cmpuint (fixture->n_received_fds, ==, 1);
    fixture->n_frames = 0;
  }
}

static void
test_h001_one_byte_at_a_time (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_CALL), 1, 8, 9);

  for (guint i = 0; i < NUM_SIZE; i++) {
    send_bytes (fixture, bytes + i, 1, i == 0);
    run (fixture);
  }
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_received_fds, ==, 1);
}

/* More than one wake-up's worth, all at once. */
static void
test_many_messages_at_once (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < 100; i++)
    send_request (fixture, CODE (SET_VRING_KICK), 8, i, 1);
  g_main_context_iteration (fixture->context, FALSE);
  g_assert_cmpuint (fixture->n_frames, ==, 16);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 100);
  g_assert_cmpuint (fixture->first, ==, 99);
}

static void
test_h002_header_then_silence (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, 8, 0);
  gint64 begin = g_get_monotonic_time ();

  g_object_set (fixture->connection, "timeout", 50, NULL);
  send_bytes (fixture, bytes, 12, 1);
  assert_closed (fixture, VHOST_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 49000);
  g_assert_cmpuint (fixture->n_frames, ==, 0);
}

/* The deadline is that of the message: a byte now and then does not move it. */
static void
test_h002_trickle (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, 8, 0);

  g_object_set (fixture->connection, "timeout", 60, NULL);
  for (guint i = 0; i < 12 && fixture->n_closed == 0; i++) {
    send_bytes (fixture, bytes + i, 1, 0);
    run (fixture);
    g_usleep (10000);
    run (fixture);
  }
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_error (fixture->error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
}

static void
test_h002_idle_is_no_silence (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, 8, 0);

  g_object_set (fixture->connection, "timeout", 20, NULL);
  send_bytes (fixture, bytes, 5, 0);
  run (fixture);
  send_bytes (fixture, bytes + 5, NUM_SIZE - 5, 0);
  run (fixture);
  g_usleep (40000);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

/* Each message has its deadline, also when the end of one and the beginning of the next come at
 * once. */
static void
test_h002_deadline_of_each_message (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, 8, 0);

  g_object_set (fixture->connection, "timeout", 500, NULL);
  send_bytes (fixture, bytes, 5, 0);
  run (fixture);
  g_usleep (300000);
  send_bytes (fixture, bytes + 5, NUM_SIZE - 5, 0);
  send_bytes (fixture, bytes, 5, 0);
  run (fixture);
  g_usleep (300000);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

static void
test_h003_end_inside_a_message (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_KICK), 1, 8, 0);

  for (gsize length = 1; length < NUM_SIZE; length++) {
    reopen (fixture);
    send_bytes (fixture, bytes, length, 1);
    vhost_fd_clear (&fixture->peer);
    assert_closed (fixture, VHOST_ERROR_DISCONNECTED);
    g_assert_cmpuint (fixture->n_frames, ==, 0);
  }
}

static void
test_end_between_messages (Fixture *fixture, gconstpointer data)
{
  send_request (fixture, CODE (SET_OWNER), 0, 0, 0);
  vhost_fd_clear (&fixture->peer);
  run_until_closed (fixture);
  g_assert_no_error (fixture->error);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
}

static void
test_h004_size_above_the_maximum (Fixture *fixture, gconstpointer data)
{
  const guint32 sizes[] = { 9, 4096, 4097, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, sizes[i], 0);

    reopen (fixture);
    send_bytes (fixture, bytes, 12, 1);
    assert_closed (fixture, VHOST_ERROR_BAD_SIZE);
  }
}

static void
test_h005_wrong_size_keeps_step (Fixture *fixture, gconstpointer data)
{
  vhost_user_connection_set_bad_frame_func (fixture->connection, handle_bad_frame);
  for (guint size = 0; size < 8; size++)
    send_request (fixture, CODE (SET_VRING_NUM), size, 0, 0);
  send_request (fixture, CODE (SET_VRING_NUM), 8, 5, 0);
  run (fixture);
  g_assert_cmpuint (fixture->n_bad, ==, 8);
  g_assert_error (fixture->error, VHOST_ERROR, VHOST_ERROR_BAD_SIZE);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->first, ==, 5);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

static void
test_bad_message_without_a_handler (Fixture *fixture, gconstpointer data)
{
  send_request (fixture, CODE (SET_VRING_NUM), 4, 0, 0);
  assert_closed (fixture, VHOST_ERROR_BAD_SIZE);
}

static void
test_h006_unknown_request (Fixture *fixture, gconstpointer data)
{
  const guint32 requests[] = { 0, 45, 1000, 0xffffffff };

  for (guint i = 0; i < G_N_ELEMENTS (requests); i++) {
    reopen (fixture);
    send_request (fixture, requests[i], 0, 0, 1);
    assert_closed (fixture, VHOST_ERROR_UNKNOWN_REQUEST);
  }
}

static void
test_h007_wrong_flags (Fixture *fixture, gconstpointer data)
{
  const guint32 flags[] = { 0, 2, 3, 5, 0xd, 0x11, 0x80000001 };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), flags[i], 8, 0);

    reopen (fixture);
    send_bytes (fixture, bytes, NUM_SIZE, 1);
    assert_closed (fixture, VHOST_ERROR_PROTOCOL);
  }
}

static void
test_h009_fds_where_none_belong (Fixture *fixture, gconstpointer data)
{
  guint before = count_fds ();

  vhost_user_connection_set_bad_frame_func (fixture->connection, handle_bad_frame);
  for (guint i = 0; i < 1000; i++) {
    send_request (fixture, CODE (SET_VRING_NUM), 8, 0, 8);
    run (fixture);
  }
  g_assert_cmpuint (fixture->n_bad, ==, 1000);
  g_assert_error (fixture->error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
  g_assert_cmpuint (count_fds (), ==, before);
}

static void
test_h010_too_few_or_too_many_fds (Fixture *fixture, gconstpointer data)
{
  const guint counts[] = { 0, 2, 8, 32 };

  vhost_user_connection_set_bad_frame_func (fixture->connection, handle_bad_frame);
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++) {
    send_request (fixture, CODE (SET_VRING_KICK), 8, 0, counts[i]);
    run (fixture);
    g_assert_cmpuint (fixture->n_bad, ==, i + 1);
    g_assert_error (fixture->error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
  }
  g_assert_cmpuint (fixture->n_frames, ==, 0);
}

static void
test_h011_fds_spread_over_fragments (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_MEM_TABLE), 1, 8 + 2 * 32, 2);

  send_bytes (fixture, bytes, 3, 1);
  send_bytes (fixture, bytes + 3, 20, 0);
  send_bytes (fixture, bytes + 23, 8 + 2 * 32 + 12 - 23, 1);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_received_fds, ==, 2);
}

static void
test_h011_too_many_over_fragments (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_MEM_TABLE), 1, 8 + 8 * 32, 8);

  for (guint i = 0; i < 5; i++)
    send_bytes (fixture, bytes + i, 1, 8);
  assert_closed (fixture, VHOST_ERROR_BAD_FDS);
}

static void
test_h012_more_fds_than_fit (Fixture *fixture, gconstpointer data)
{
  const guint counts[] = { 33, 40, 41, MAX_SENT_FDS };

  for (guint i = 0; i < G_N_ELEMENTS (counts); i++) {
    reopen (fixture);
    send_request (fixture, CODE (SET_VRING_KICK), 8, 0, counts[i]);
    run_until_closed (fixture);
    g_assert_nonnull (fixture->error);
  }
}

static void
test_h012_no_descriptor_left (Fixture *fixture, gconstpointer data)
{
  struct rlimit limit, tight;
  VHOST_AUTO_FD first_free = dup (0);

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  tight = limit;
  tight.rlim_cur = first_free + 3; /* room for two of eight */
  vhost_fd_clear (&first_free);
  send_request (fixture, CODE (SET_MEM_TABLE), 8 + 8 * 32, 8, 8);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &tight), ==, 0);
  run (fixture);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  assert_closed (fixture, VHOST_ERROR_PROTOCOL);
  g_assert_cmpuint (fixture->n_frames, ==, 0);
}

/* Somebody who handed the socket over has asked for credentials. */
static void
test_credentials_are_ignored (Fixture *fixture, gconstpointer data)
{
  int fds[2], on = 1;

  close_pair (fixture);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_cmpint (setsockopt (fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), ==, 0);
  fixture->connection = vhost_user_connection_new_take_fd (fds[0], VHOST_USER_ROLE_FRONTEND, FALSE);
  fixture->peer = fds[1];
  start (fixture);
  send_request (fixture, CODE (SET_VRING_KICK), 8, 0, 1);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  send_request (fixture, CODE (SET_VRING_KICK), 8, 0, 40);
  run_until_closed (fixture);
}

/* Sending */

static gboolean
send_one (Fixture *fixture, guint32 size, guint n_fds, GError **error)
{
  g_auto (VhostUserFrame) frame = { 0 };

  vhost_user_frame_init (&frame, CODE (GET_SHMEM_CONFIG), VHOST_USER_FLAGS_REPLY, size);
  for (; frame.fds.n < n_fds; frame.fds.n++)
    frame.fds.fd[frame.fds.n] = eventfd (0, EFD_CLOEXEC);
  return vhost_user_connection_send_frame (fixture->connection, &frame, NULL, error);
}

/* Asks on and on, and reads nothing. */
static void
test_h020_output_is_bounded (Fixture *fixture, gconstpointer data)
{
  guint before = count_fds (), n = 0;

  while (send_one (fixture, 2056, 1, NULL) && n < 100000)
    n++;
  g_assert_cmpuint (n, >, 20);
  g_assert_cmpuint (n * 2056, <, 65536 + 2 * 16384);
  g_assert_false (vhost_user_connection_is_open (fixture->connection));
  g_assert_cmpuint (fixture->n_closed, ==, 0); /* told from the loop */
  assert_closed (fixture, VHOST_ERROR_FAILED);
  g_assert_cmpuint (count_fds (), ==, before - 1);
}

static void
test_h020_output_has_a_deadline (Fixture *fixture, gconstpointer data)
{
  g_object_set (fixture->connection, "timeout", 50, NULL);
  for (guint i = 0; i < 20; i++)
    g_assert_true (send_one (fixture, 2056, 0, NULL));
  assert_closed (fixture, VHOST_ERROR_TIMED_OUT);
}

static void
read_late (Fixture *fixture, guint32 size, guint n_fds)
{
  g_auto (VhostUserFrame) frame = { 0 };
  g_autoptr (GError) error = NULL;
  VhostUserInput input = { 0 };

  while (vhost_user_input_read (&input, fixture->peer, VHOST_USER_ROLE_FRONTEND, TRUE, &error) ==
         VHOST_USER_IO_AGAIN)
    run (fixture);
  g_assert_no_error (error);
  vhost_user_frame_move (&frame, &input.frame);
  g_assert_cmpuint (frame.size, ==, size);
  g_assert_cmpuint (frame.fds.n, ==, n_fds);
}

/* A reader that is slow, but reads: each message that goes out gives the next one its own
 * deadline. */
static void
test_h020_slow_reader_is_no_dead_one (Fixture *fixture, gconstpointer data)
{
  guint8 bytes[4096];
  gsize n_read = 0, n_before;

  g_object_set (fixture->connection, "timeout", 400, NULL);
  for (guint i = 0; i < 25; i++)
    g_assert_true (send_one (fixture, 2056, 0, NULL));
  do {
    n_before = n_read;
    g_usleep (120000);
    for (gssize n = 0; n >= 0; n = recv (fixture->peer, bytes, sizeof bytes, MSG_DONTWAIT))
      n_read += n;
    run (fixture);
    g_assert_cmpuint (fixture->n_closed, ==, 0);
  } while (n_read > n_before);
  g_assert_cmpuint (n_read, ==, 25 * (12 + 2056));
}

/* What had to wait arrives whole, in order and with its descriptors, and makes room for more. */
static void
test_output_waits_for_a_slow_reader (Fixture *fixture, gconstpointer data)
{
  for (guint round = 0; round < 10; round++) {
    for (guint i = 0; i < 20; i++)
      g_assert_true (send_one (fixture, 2000 + i % 7, 1 + i % 2, NULL));
    for (guint i = 0; i < 20; i++)
      read_late (fixture, 2000 + i % 7, 1 + i % 2);
  }
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

static void
test_peer_left_while_sending (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  vhost_fd_clear (&fixture->peer);
  g_assert_false (send_one (fixture, 2056, 0, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
  assert_closed (fixture, VHOST_ERROR_DISCONNECTED);
}

/* H023: nothing here is select (). */
static void
test_h023_large_fd_numbers (Fixture *fixture, gconstpointer data)
{
  struct rlimit limit, wide;
  int high[2];

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  wide = limit;
  wide.rlim_cur = limit.rlim_max;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &wide), ==, 0);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, high), ==, 0);
  close_pair (fixture);
  fixture->peer = fcntl (high[1], F_DUPFD_CLOEXEC, 1100);
  g_assert_cmpint (fixture->peer, >=, 1100);
  fixture->connection = vhost_user_connection_new_take_fd (fcntl (high[0], F_DUPFD_CLOEXEC, 1100),
                                                           VHOST_USER_ROLE_FRONTEND, FALSE);
  close (high[0]);
  close (high[1]);
  start (fixture);
  send_request (fixture, CODE (SET_VRING_KICK), 8, 3, 1);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_true (send_one (fixture, 2056, 0, NULL));
  close_pair (fixture);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
}

/* Calls from inside */

static void
close_it (gpointer data)
{
  vhost_user_connection_close (((Fixture *) data)->connection);
}

static void
free_it (gpointer data)
{
  close_it (data);
  g_clear_object (&((Fixture *) data)->connection);
}

static void
pause_it (gpointer data)
{
  vhost_user_connection_set_paused (((Fixture *) data)->connection, TRUE);
}

static void
send_three (Fixture *fixture)
{
  for (guint i = 0; i < 3; i++)
    send_request (fixture, CODE (SET_VRING_KICK), 8, i, 1);
  run (fixture);
}

static void
test_close_from_inside (Fixture *fixture, gconstpointer data)
{
  fixture->on_frame = close_it;
  send_three (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
  g_assert_false (vhost_user_connection_is_open (fixture->connection));
}

static void
test_free_from_inside (Fixture *fixture, gconstpointer data)
{
  fixture->on_frame = free_it;
  send_three (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

static void
test_pause_from_inside (Fixture *fixture, gconstpointer data)
{
  fixture->on_frame = pause_it;
  send_three (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  vhost_fd_clear (&fixture->peer);
  g_assert_false (
      g_main_context_iteration (fixture->context, FALSE)); /* the hang-up does not spin */
  fixture->on_frame = NULL;
  vhost_user_connection_set_paused (fixture->connection, FALSE);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 3);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_no_error (fixture->error);
}

static void
close_when_closed (VhostUserConnection *connection, const GError *error, gpointer data)
{
  Fixture *fixture = data;

  vhost_user_connection_close (connection);
  g_clear_object (&fixture->connection);
  handle_closed (connection, error, data);
}

static void
test_free_when_told_the_end (Fixture *fixture, gconstpointer data)
{
  close_pair (fixture);
  open_pair (fixture, FALSE);
  g_assert_true (vhost_user_connection_start (fixture->connection, fixture->reactor, handle_frame,
                                              close_when_closed, fixture, NULL));
  send_request (fixture, 0, 0, 0, 0);
  run (fixture);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_error (fixture->error, VHOST_ERROR, VHOST_ERROR_UNKNOWN_REQUEST);
}

/* Waiting without a loop */

static gint64
in_ms (guint ms)
{
  return g_get_monotonic_time () + ms * (gint64) 1000;
}

static gboolean
receive (Fixture *fixture, gint64 deadline, VhostUserConnection *other, GCancellable *cancellable,
         GError **error)
{
  g_auto (VhostUserFrame) frame = { 0 };
  gboolean result = vhost_user_connection_receive_frame (fixture->connection, &frame, deadline,
                                                         other, cancellable, error);

  fixture->first = frame.payload.u64;
  return result;
}

static void
send_reply (Fixture *fixture, guint32 request, guint64 value)
{
  g_autofree guint8 *bytes = make_bytes (request, 5, 8, value);

  send_bytes (fixture, bytes, NUM_SIZE, 0);
}

static void
test_receive (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  send_reply (fixture, CODE (GET_FEATURES), 42);
  g_assert_true (receive (fixture, in_ms (1000), NULL, NULL, &error));
  g_assert_cmpuint (fixture->first, ==, 42);
}

static void
test_receive_has_a_deadline (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (GET_FEATURES), 5, 8, 42);
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  send_bytes (fixture, bytes, 13, 0);
  g_assert_false (receive (fixture, in_ms (30), NULL, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - begin, >=, 29000);
  g_assert_true (vhost_user_connection_is_open (fixture->connection));
  send_bytes (fixture, bytes + 13, NUM_SIZE - 13, 0);
  g_assert_true (receive (fixture, in_ms (1000), NULL, NULL, NULL));
  g_assert_cmpuint (fixture->first, ==, 42);
}

static gpointer
cancel_soon (gpointer data)
{
  g_usleep (20000);
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_receive_is_cancelled (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);
  g_autoptr (GError) error = NULL;

  g_assert_false (receive (fixture, -1, NULL, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
}

static void
test_receive_sees_the_end (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  vhost_fd_clear (&fixture->peer);
  g_assert_false (receive (fixture, in_ms (1000), NULL, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
  g_clear_error (&error);
  g_assert_false (receive (fixture, in_ms (1000), NULL, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
}

/* H083: a request, a wrong size or a wrong version where a reply must come. */
static void
test_h083_wrong_replies (Fixture *fixture, gconstpointer data)
{
  const guint32 headers[][3] = { { 1, 1, 8 }, { 1, 5, 4 },   { 1, 5, 9 },
                                 { 1, 6, 8 }, { 1, 0xd, 8 }, { 0, 5, 8 } };

  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autofree guint8 *bytes = make_bytes (headers[i][0], headers[i][1], headers[i][2], 0);
    g_autoptr (GError) error = NULL;

    close_pair (fixture);
    open_pair (fixture, TRUE);
    send_bytes (fixture, bytes, 12 + headers[i][2], 0);
    g_assert_false (receive (fixture, in_ms (1000), NULL, NULL, &error));
    g_assert_nonnull (error);
    g_assert_false (vhost_user_connection_is_open (fixture->connection));
  }
}

static void
answer_main (gpointer data)
{
  send_reply (data, CODE (GET_FEATURES), 1);
}

/* The peer answers only after its own request on the other channel was served: no deadlock. */
static void
test_receive_serves_the_other_channel (Fixture *fixture, gconstpointer data)
{
  const guint32 config_change[] = { VHOST_USER_BACKEND_CODE_CONFIG_CHANGE_MSG, 1, 0 };
  g_autoptr (VhostUserConnection) other = NULL;
  g_autoptr (GError) error = NULL;
  VHOST_AUTO_FD other_peer = -1;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  other_peer = fds[1];
  other = vhost_user_connection_new_take_fd (fds[0], VHOST_USER_ROLE_BACKEND, FALSE);
  g_assert_true (vhost_user_connection_start (other, fixture->reactor, handle_frame, handle_closed,
                                              fixture, NULL));
  fixture->on_frame = answer_main;
  g_assert_cmpint (write (other_peer, config_change, sizeof config_change), ==, 12);
  g_assert_true (receive (fixture, in_ms (5000), other, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->first, ==, 1);

  /* Its end is no end of ours. */
  vhost_fd_clear (&other_peer);
  g_assert_false (receive (fixture, in_ms (20), other, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  run (fixture);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
}

static void
test_send_without_a_loop_has_a_deadline (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_object_set (fixture->connection, "timeout", 30, NULL);
  for (guint i = 0; i < 100000 && error == NULL; i++)
    send_one (fixture, 2056, 1, &error);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_TIMED_OUT);
  g_assert_false (vhost_user_connection_is_open (fixture->connection));
}

static void
test_messages_between_two_connections (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VhostUserConnection) back_end =
      vhost_user_connection_new (fixture->peer, VHOST_USER_ROLE_FRONTEND, FALSE);
  g_autoptr (VhostUserMessage) request =
      vhost_user_message_new (VHOST_USER_ROLE_FRONTEND, CODE (SET_LOG_FD), 9);
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (VhostUserMessage) received = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_unix_fd_list_append (fds, fixture->peer, NULL);
  g_assert_true (vhost_user_message_set_fds (request, fds, NULL));
  g_assert_true (vhost_user_connection_send (fixture->connection, request, NULL, NULL));
  received = vhost_user_connection_receive (back_end, NULL, &error);
  g_assert_no_error (error);
  text = vhost_user_message_to_string (received);
  g_assert_cmpstr (text, ==, "SET_LOG_FD, need_reply, 1 fd (socket)");
  vhost_user_message_set_flags (received, 0x5);
  vhost_user_message_set_fds (received, NULL, NULL);
  g_assert_true (vhost_user_connection_send (back_end, received, NULL, NULL));
  g_assert_null (vhost_user_connection_receive (fixture->connection, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_SIZE);
}

static void
test_closed_from_the_beginning (Fixture *fixture, gconstpointer data)
{
  g_autoptr (VhostUserConnection) connection =
      vhost_user_connection_new (-1, VHOST_USER_ROLE_FRONTEND, TRUE);
  g_autoptr (VhostUserMessage) message = vhost_user_message_new (VHOST_USER_ROLE_FRONTEND, 1, 1);
  g_autoptr (GError) error = NULL;

  g_assert_false (vhost_user_connection_is_open (connection));
  g_assert_false (vhost_user_connection_send (connection, message, NULL, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_DISCONNECTED);
  vhost_user_connection_close (connection);
}

/* Random bytes, some of them behind a header that gets through, with random descriptors. */
static void
test_random_bytes (Fixture *fixture, gconstpointer data)
{
  guint8 noise[256];
  guint before = count_fds (), sent = 0;

  while (sent < 100000) {
    g_autofree guint8 *bytes =
        make_bytes (g_test_rand_int_range (0, 46), 1, g_test_rand_int_range (0, 64), 0);
    gsize size = g_test_rand_int_range (1, sizeof noise);

    for (guint i = 0; i < sizeof noise; i++)
      noise[i] = g_test_rand_int ();
    if (g_test_rand_bit ())
      memcpy (noise, bytes, 12);
    if (!vhost_user_connection_is_open (fixture->connection))
      reopen (fixture);
    vhost_user_connection_set_bad_frame_func (fixture->connection, handle_bad_frame);
    send_bytes (fixture, noise, size, g_test_rand_int_range (0, 12));
    run (fixture);
    sent += size;
  }
  reopen (fixture);
  g_assert_cmpuint (count_fds (), ==, before);
}

#define add(name, func) add_with (name, NULL, func)
#define add_with(name, mode, func)                                                                 \
  g_test_add ("/user-connection/" name, Fixture, mode, set_up, func, tear_down)
#define add_sync(name, func) add_with (name, GINT_TO_POINTER ('s'), func)

static void
add_loop_tests (void)
{
  add ("H001-split-at-every-byte", test_h001_split_at_every_byte);
  add ("H001-one-byte-at-a-time", test_h001_one_byte_at_a_time);
  add ("many-messages-at-once", test_many_messages_at_once);
  add ("H002-header-then-silence", test_h002_header_then_silence);
  add ("H002-trickle", test_h002_trickle);
  add ("H002-idle-is-no-silence", test_h002_idle_is_no_silence);
  add ("H002-deadline-of-each-message", test_h002_deadline_of_each_message);
  add ("H003-end-inside-a-message", test_h003_end_inside_a_message);
  add ("end-between-messages", test_end_between_messages);
  add ("H004-size-above-the-maximum", test_h004_size_above_the_maximum);
  add ("H005-wrong-size-keeps-step", test_h005_wrong_size_keeps_step);
  add ("bad-message-without-a-handler", test_bad_message_without_a_handler);
  add ("H006-unknown-request", test_h006_unknown_request);
  add ("H007-wrong-flags", test_h007_wrong_flags);
  add ("H009-fds-where-none-belong", test_h009_fds_where_none_belong);
  add ("H010-too-few-or-too-many-fds", test_h010_too_few_or_too_many_fds);
  add ("H011-fds-spread-over-fragments", test_h011_fds_spread_over_fragments);
  add ("H011-too-many-over-fragments", test_h011_too_many_over_fragments);
  add ("H012-more-fds-than-fit", test_h012_more_fds_than_fit);
  add ("H012-no-descriptor-left", test_h012_no_descriptor_left);
  add ("credentials-are-ignored", test_credentials_are_ignored);
  add ("H020-output-is-bounded", test_h020_output_is_bounded);
  add ("H020-output-has-a-deadline", test_h020_output_has_a_deadline);
  add ("H020-slow-reader-is-no-dead-one", test_h020_slow_reader_is_no_dead_one);
  add ("output-waits-for-a-slow-reader", test_output_waits_for_a_slow_reader);
  add ("peer-left-while-sending", test_peer_left_while_sending);
  add ("H023-large-fd-numbers", test_h023_large_fd_numbers);
  add ("close-from-inside", test_close_from_inside);
  add ("free-from-inside", test_free_from_inside);
  add ("pause-from-inside", test_pause_from_inside);
  add ("free-when-told-the-end", test_free_when_told_the_end);
  add ("random-bytes", test_random_bytes);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_loop_tests ();
  add_sync ("receive", test_receive);
  add_sync ("receive-has-a-deadline", test_receive_has_a_deadline);
  add_sync ("receive-is-cancelled", test_receive_is_cancelled);
  add_sync ("receive-sees-the-end", test_receive_sees_the_end);
  add_sync ("H083-wrong-replies", test_h083_wrong_replies);
  add_sync ("receive-serves-the-other-channel", test_receive_serves_the_other_channel);
  add_sync ("send-without-a-loop-has-a-deadline", test_send_without_a_loop_has_a_deadline);
  add_sync ("messages-between-two-connections", test_messages_between_two_connections);
  add_sync ("closed-from-the-beginning", test_closed_from_the_beginning);
  return g_test_run ();
}
