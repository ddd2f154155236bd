/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages coming in from the loop, from an honest peer and from every dishonest one. */

#include "test-user-connection.h"

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
  g_assert_false (g_main_context_iteration (fixture->context, FALSE)); /* what waits is no event */
  fixture->on_frame = NULL;
  vhost_user_connection_set_paused (fixture->connection, FALSE);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 3);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
}

static void
test_peer_leaves_while_paused (Fixture *fixture, gconstpointer data)
{
  fixture->on_frame = pause_it;
  send_three (fixture);
  vhost_fd_clear (&fixture->peer);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_no_error (fixture->error);
  g_assert_false (vhost_user_connection_is_open (fixture->connection));
}

/* Half a message is no reason to see an error in it: nobody was to read it. */
static void
test_peer_shuts_down_while_paused (Fixture *fixture, gconstpointer data)
{
  g_autofree guint8 *bytes = make_bytes (CODE (SET_VRING_NUM), 1, 8, 0);

  fixture->on_frame = pause_it;
  send_request (fixture, CODE (SET_VRING_NUM), 8, 0, 0);
  send_bytes (fixture, bytes, 5, 0);
  run (fixture);
  g_assert_cmpuint (fixture->n_frames, ==, 1);
  shutdown (fixture->peer, SHUT_WR);
  run (fixture);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
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
  add ("H023-large-fd-numbers", test_h023_large_fd_numbers);
  add ("close-from-inside", test_close_from_inside);
  add ("free-from-inside", test_free_from_inside);
  add ("pause-from-inside", test_pause_from_inside);
  add ("peer-leaves-while-paused", test_peer_leaves_while_paused);
  add ("peer-shuts-down-while-paused", test_peer_shuts_down_while_paused);
  add ("free-when-told-the-end", test_free_when_told_the_end);
  add ("random-bytes", test_random_bytes);
  return g_test_run ();
}
