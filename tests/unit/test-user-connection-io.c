/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages going out to a peer that reads, reads late or never; and waiting for one without a loop.
 */

#include "test-user-connection.h"

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

  g_object_set (fixture->connection, "timeout", 500, NULL);
  for (guint i = 0; i < 25; i++)
    g_assert_true (send_one (fixture, 2056, 0, NULL));
  do {
    n_before = n_read;
    g_usleep (280000);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("H020-output-is-bounded", test_h020_output_is_bounded);
  add ("H020-output-has-a-deadline", test_h020_output_has_a_deadline);
  add ("H020-slow-reader-is-no-dead-one", test_h020_slow_reader_is_no_dead_one);
  add ("output-waits-for-a-slow-reader", test_output_waits_for_a_slow_reader);
  add ("peer-left-while-sending", test_peer_left_while_sending);
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
