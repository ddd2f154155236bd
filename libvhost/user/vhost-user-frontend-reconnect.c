/* SPDX-License-Identifier: BSD-3-Clause */
/* How a front-end comes to another back-end after the one it had has left. Attempts are made in the
 * main context of open(), or, while a call blocks, by that call; never from a nested loop. An
 * attempt blocks like any other call. (vhost-user, “Communication”) */

#include <errno.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-socket-private.h"

#define MAX_REST 64 /* reads of what a back-end sent before it left, for each attempt */

typedef enum {
  ATTEMPT_DONE,
  ATTEMPT_AGAIN, /* nobody there, or it left again */
  ATTEMPT_FAILED
} Attempt;

static gboolean on_retry (gpointer data);

static void
clear_timer (VhostUserFrontend *frontend)
{
  if (frontend->retry_timer != NULL)
    g_source_destroy (frontend->retry_timer);
  g_clear_pointer (&frontend->retry_timer, g_source_unref);
}

/* The loop tries again in @pause ms, if no call has done so by then. */
static void
schedule (VhostUserFrontend *frontend, guint pause)
{
  clear_timer (frontend);
  frontend->next_attempt = g_get_monotonic_time () + pause * (gint64) 1000;
  frontend->retry_timer = g_timeout_source_new (pause);
  g_source_set_static_name (frontend->retry_timer, "vhost-user-reconnect");
  g_source_set_callback (frontend->retry_timer, on_retry, frontend, NULL);
  g_source_attach (frontend->retry_timer, vhost_reactor_get_context (frontend->reactor));
}

void
vhost_user_frontend_end_reconnect (VhostUserFrontend *frontend)
{
  clear_timer (frontend);
  frontend->reconnecting = FALSE;
}

gboolean
vhost_user_frontend_begin_reconnect (VhostUserFrontend *frontend, const GError *error)
{
  if (frontend->session == NULL || (error != NULL && !vhost_error_can_reconnect (error)))
    return FALSE;
  vhost_user_session_keep (frontend->session, frontend->acked_protocol, frontend->memory);
  vhost_user_frontend_drop_connection (frontend);
  if (frontend->session == NULL) /* closed by a signal handler */
    return TRUE;
  vhost_user_retry_init (&frontend->retry, frontend->retry.first);
  frontend->reconnecting = TRUE;
  frontend->reconnect_deadline =
      g_get_monotonic_time () + frontend->reconnect_timeout * (gint64) 1000;
  schedule (frontend, 0);
  g_signal_emit_by_name (frontend, "reconnecting");
  return TRUE;
}

/* --- One attempt --------------------------------------------------------------------------- */

/* Two devices must not work on the same rings. One that hangs, or was cut off in the middle of a
 * request, still has the memory and may wake up; that it closes its socket, or dies, says that it
 * is done with the rings. */
static gboolean
check_left (VhostUserFrontend *frontend, GError **error)
{
  guint8 rest[4096];
  gssize n = 1;

  for (guint i = 0; n > 0 && i < MAX_REST; i++)
    n = recv (frontend->left_fd, rest, sizeof rest, MSG_DONTWAIT); /* descriptors are dropped */
  if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT,
                            "the back-end before has not closed its socket");
  vhost_fd_clear (&frontend->left_fd);
  return TRUE;
}

static gboolean
try_to_open (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  int fd;

  if (frontend->left_fd >= 0 && !check_left (frontend, error))
    return FALSE;
  fd = frontend->listen_fd >= 0 ? vhost_user_frontend_accept_fd (frontend, error)
                                : vhost_user_socket_connect (frontend->path, 0, cancellable, error);
  return fd >= 0 && vhost_user_frontend_take_connection (frontend, fd, cancellable, error);
}

static Attempt
attempt (VhostUserFrontend *frontend, gint64 deadline, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) reason = NULL;
  gboolean done;

  frontend->replaying = TRUE;
  frontend->call_deadline = deadline;
  done = try_to_open (frontend, cancellable, &reason);
  frontend->call_deadline = -1;
  frontend->replaying = FALSE;
  if (done)
    return ATTEMPT_DONE;
  if (vhost_error_can_reconnect (reason) || g_cancellable_is_cancelled (cancellable))
    return ATTEMPT_AGAIN;
  g_propagate_prefixed_error (error, g_steal_pointer (&reason), "cannot reconnect: ");
  return ATTEMPT_FAILED;
}

static void
give_up (VhostUserFrontend *frontend, const GError *error)
{
  vhost_user_frontend_forget_session (frontend);
  g_signal_emit_by_name (frontend, "disconnected", error);
}

/* One attempt and what follows from it. FALSE: given up. */
static gboolean
step (VhostUserFrontend *frontend, gint64 deadline, GCancellable *cancellable, GError **error)
{
  g_autoptr (GError) reason = NULL;
  Attempt result = attempt (frontend,
                            deadline < 0 ? frontend->reconnect_deadline
                                         : MIN (deadline, frontend->reconnect_deadline),
                            cancellable, &reason);

  if (!frontend->reconnecting) /* closed by a signal handler */
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the front-end was closed");
  if (result == ATTEMPT_DONE) {
    vhost_user_frontend_end_reconnect (frontend);
    g_signal_emit_by_name (frontend, "reconnected");
    return TRUE;
  }
  if (result == ATTEMPT_AGAIN && g_get_monotonic_time () < frontend->reconnect_deadline) {
    schedule (frontend, vhost_user_retry_next (&frontend->retry));
    return TRUE;
  }
  if (result == ATTEMPT_AGAIN)
    vhost_set_error (&reason, VHOST_ERROR_DISCONNECTED,
                     frontend->left_fd >= 0
                         ? "the back-end does not answer, and has not closed its socket for %u ms"
                         : "the back-end left, and none came within %u ms",
                     frontend->reconnect_timeout);
  give_up (frontend, reason);
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

static gboolean
on_retry (gpointer data)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (data);

  g_clear_pointer (&frontend->retry_timer, g_source_unref);
  step (frontend, -1, NULL, NULL);
  return G_SOURCE_REMOVE;
}

/* --- Waiting in a call --------------------------------------------------------------------- */

enum {
  WANTED,
  SOCKET,
  CHANNEL,
  CANCELLED,
  N_POLLED
};

/* What the front-end itself watches for between two requests. */
static void
prepare_poll (VhostUserFrontend *frontend, GPollFD *fds)
{
  GIOCondition condition =
      frontend->channel != NULL ? vhost_user_connection_get_condition (frontend->channel) : 0;

  fds[SOCKET] = (GPollFD){ .fd = -1 };
  fds[CHANNEL] = (GPollFD){ .fd = -1 };
  if (frontend->reconnecting)
    fds[SOCKET] = (GPollFD){ .fd = frontend->listen_fd, .events = G_IO_IN };
  else if (frontend->connection != NULL)
    fds[SOCKET] =
        (GPollFD){ .fd = vhost_user_connection_peek_fd (frontend->connection), .events = G_IO_IN };
  if (condition != 0)
    fds[CHANNEL] =
        (GPollFD){ .fd = vhost_user_connection_peek_fd (frontend->channel), .events = condition };
}

/* @deadline: monotonic µs, or -1. */
static void
poll_until (GPollFD *fds, gint64 deadline)
{
  gint64 left = deadline < 0 ? -1 : MAX (0, deadline - g_get_monotonic_time ());

  g_poll (fds, N_POLLED, left < 0 ? -1 : (int) MIN ((left + 999) / 1000, G_MAXINT));
}

static gint64
find_first (gint64 deadline, gint64 other)
{
  return deadline < 0 ? other : MIN (deadline, other);
}

/* Waits a while, then does what there is to do. *@readable is set, or the caller looks again. */
static gboolean
wait_once (VhostUserFrontend *frontend, int fd, gint64 deadline, GCancellable *cancellable,
           gboolean *readable, GError **error)
{
  GPollFD fds[N_POLLED] = {
    { .fd = fd, .events = G_IO_IN }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 }
  };
  gboolean watched = g_cancellable_make_pollfd (cancellable, &fds[CANCELLED]);

  prepare_poll (frontend, fds);
  poll_until (fds,
              frontend->reconnecting ? find_first (deadline, frontend->next_attempt) : deadline);
  if (watched)
    g_cancellable_release_fd (cancellable);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  *readable = fds[fd >= 0 ? WANTED : CHANNEL].revents != 0;
  if (*readable && fd >= 0)
    return TRUE;
  if (fds[CHANNEL].revents != 0)
    vhost_user_connection_process (fds[CHANNEL].revents, frontend->channel);
  if (frontend->reconnecting)
    return (fds[SOCKET].revents == 0 && g_get_monotonic_time () < frontend->next_attempt) ||
           step (frontend, deadline, cancellable, error);
  return fds[SOCKET].revents == 0 || vhost_user_frontend_check_idle (frontend, error);
}

static gboolean
is_gone (VhostUserFrontend *frontend)
{
  return frontend->connection == NULL && !frontend->reconnecting;
}

/* Is there anything that a wait can end with? */
static gboolean
check_wait (VhostUserFrontend *frontend, int fd, GError **error)
{
  if (frontend->calling)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "a request waits for its answer; this is one of its signals");
  if (fd < 0 && frontend->channel == NULL && !frontend->reconnecting && !is_gone (frontend))
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end channel");
  return TRUE;
}

static gboolean
is_late (gint64 deadline)
{
  return deadline >= 0 && g_get_monotonic_time () >= deadline;
}

gboolean
vhost_user_frontend_wait_readable (VhostDevice *device, int fd, guint timeout,
                                   GCancellable *cancellable, GError **error)
{
  g_autoptr (VhostUserFrontend) frontend = g_object_ref (VHOST_USER_FRONTEND (device));
  gint64 deadline = g_get_monotonic_time () + timeout * (gint64) 1000;
  gboolean readable = FALSE;

  do {
    if (is_gone (frontend))
      deadline = 0; /* looks once */
    if (!check_wait (frontend, fd, error) ||
        !wait_once (frontend, fd, deadline, cancellable, &readable, error))
      return FALSE;
  } while (!readable && !is_late (deadline));
  if (readable)
    return TRUE;
  if (is_gone (frontend))
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end");
  return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "nothing came within %u ms", timeout);
}

gboolean
vhost_user_frontend_check_open (VhostUserFrontend *frontend, GCancellable *cancellable,
                                GError **error)
{
  gboolean readable;

  if (frontend->connection != NULL)
    return TRUE;
  while (frontend->reconnecting && !frontend->replaying) {
    if (!wait_once (frontend, -1, -1, cancellable, &readable, error))
      return FALSE;
  }
  if (frontend->connection != NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "there is no back-end");
}
