/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection under test, and the peer on the other end of its socket pair, played by the test. */
#pragma once

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

static inline void
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

static inline void
handle_bad_frame (VhostUserConnection *connection, const VhostUserFrame *frame, const GError *error,
                  gpointer data)
{
  Fixture *fixture = data;

  g_assert_cmpuint (frame->fds.n, ==, 0);
  fixture->n_bad++;
  g_clear_error (&fixture->error);
  fixture->error = g_error_copy (error);
}

static inline void
handle_closed (VhostUserConnection *connection, const GError *error, gpointer data)
{
  Fixture *fixture = data;

  fixture->n_closed++;
  fixture->error = error != NULL ? g_error_copy (error) : NULL;
}

static inline void
start (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  vhost_user_connection_start (fixture->connection, fixture->reactor, handle_frame, handle_closed,
                               fixture, &error);
  g_assert_no_error (error);
}

static inline void
open_pair (Fixture *fixture, gboolean requester)
{
  int fds[2], buffer = 16384; /* takes about ten large messages */

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  g_assert_cmpint (setsockopt (fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), ==, 0);
  fixture->connection =
      vhost_user_connection_new_take_fd (fds[0], VHOST_USER_ROLE_FRONTEND, requester);
  fixture->peer = fds[1];
}

static inline void
close_pair (Fixture *fixture)
{
  g_clear_object (&fixture->connection);
  vhost_fd_clear (&fixture->peer);
  g_clear_error (&fixture->error);
  fixture->n_frames = fixture->n_bad = fixture->n_closed = 0;
}

/* A new pair, as after a new start. */
static inline void
reopen (Fixture *fixture)
{
  close_pair (fixture);
  open_pair (fixture, FALSE);
  start (fixture);
}

static inline void
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

static inline void
tear_down (Fixture *fixture, gconstpointer data)
{
  close_pair (fixture);
  vhost_reactor_unref (fixture->reactor);
  g_main_context_pop_thread_default (fixture->context);
  g_main_context_unref (fixture->context);
  end_fd_test (&fixture->n_fds, NULL);
}

static inline void
run (Fixture *fixture)
{
  while (g_main_context_iteration (fixture->context, FALSE))
    ;
}

/* Runs the loop until the connection is closed. */
static inline void
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

static inline void
assert_closed (Fixture *fixture, int code)
{
  run_until_closed (fixture);
  g_assert_error (fixture->error, VHOST_ERROR, code);
}

/* The peer's side */

static inline void
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
static inline guint8 *
make_bytes (guint32 request, guint32 flags, guint32 size, guint64 value)
{
  guint8 *bytes = g_malloc0 (12 + 4096);
  const guint32 header[] = { request, flags, size };

  memcpy (bytes, header, sizeof header);
  memcpy (bytes + 12, &value, sizeof value);
  return bytes;
}

static inline void
send_request (Fixture *fixture, guint32 request, guint32 size, guint64 value, guint n_fds)
{
  g_autofree guint8 *bytes = make_bytes (request, 1, size, value);

  send_bytes (fixture, bytes, 12 + size, n_fds);
}

/* Our side sends; it need not make sense. */
static inline gboolean
send_one (Fixture *fixture, guint32 size, guint n_fds, GError **error)
{
  g_auto (VhostUserFrame) frame = { 0 };

  vhost_user_frame_init (&frame, CODE (GET_SHMEM_CONFIG), VHOST_USER_FLAGS_REPLY, size);
  for (; frame.fds.n < n_fds; frame.fds.n++)
    frame.fds.fd[frame.fds.n] = eventfd (0, EFD_CLOEXEC);
  return vhost_user_connection_send_frame (fixture->connection, &frame, NULL, error);
}

#define add(name, func) add_with (name, NULL, func)
#define add_with(name, mode, func)                                                                 \
  g_test_add ("/user-connection/" name, Fixture, mode, set_up, func, tear_down)
#define add_sync(name, func) add_with (name, GINT_TO_POINTER ('s'), func)
