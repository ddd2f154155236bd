/* SPDX-License-Identifier: BSD-3-Clause */
/* Fetches and gives back the internal state of a device, through a pipe that lives as long as one
 * call. What the bytes mean only the back-end knows. Thread of the front-end. (vhost-user,
 * DEVICE_STATE) */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-io-private.h"
#include "user/vhost-user-frontend-private.h"

#define CHUNK_SIZE (64 << 10)

typedef enum {
  SAVE,
  LOAD,
} Direction;

static gboolean
set_non_blocking (int fd, GError **error)
{
  if (fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) | O_NONBLOCK) == 0)
    return TRUE;
  return vhost_set_error_from_errno (error, errno, "cannot use the descriptor");
}

/* The back-end may give a descriptor of its own instead of ours. */
static gboolean
take_replacement (VhostUserFrame *reply, int *fd, GError **error)
{
  gboolean nofd = (reply->payload.u64 & VHOST_USER_TRANSFER_NOFD) != 0;
  struct stat status;

  if ((reply->payload.u64 & 0xff) != 0 && reply->fds.n == 0)
    return vhost_set_error (error, VHOST_ERROR_REFUSED, "the back-end refused");
  if ((reply->payload.u64 & 0xff) != 0 || nofd != (reply->fds.n == 0))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "answered 0x%" G_GINT64_MODIFIER "x with %u descriptors",
                            reply->payload.u64, reply->fds.n);
  if (nofd)
    return TRUE;
  if (fstat (reply->fds.fd[0], &status) < 0 ||
      (!S_ISFIFO (status.st_mode) && !S_ISSOCK (status.st_mode)))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "answered with what is no pipe");
  vhost_fd_clear (fd);
  *fd = vhost_fd_steal (&reply->fds.fd[0]);
  return set_non_blocking (*fd, error);
}

/* Returns our end, or -1. */
static int
begin (VhostUserFrontend *frontend, Direction direction, GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };
  int pair[2];
  VHOST_AUTO_FD ours = -1;
  VHOST_AUTO_FD its = -1;

  if (pipe2 (pair, O_CLOEXEC) < 0) {
    vhost_set_error_from_errno (error, errno, "cannot make a pipe");
    return -1;
  }
  ours = pair[direction == SAVE ? 0 : 1];
  its = pair[direction == SAVE ? 1 : 0];
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_DEVICE_STATE_FD,
                                    sizeof frame.payload.transfer);
  frame.payload.transfer.direction = direction;
  frame.fds = (VhostFdSet){ .n = 1, .fd = { its } }; /* borrowed: the frame is not cleared */
  if (!set_non_blocking (ours, error) ||
      !vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error))
    return -1;
  if (!take_replacement (&reply, &ours, error)) {
    g_prefix_error (error, "SET_DEVICE_STATE_FD: ");
    return -1;
  }
  return vhost_fd_steal (&ours);
}

static gboolean
finish (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE, 0);
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error))
    return FALSE;
  return reply.payload.u64 == 0 ||
         vhost_set_error (error, VHOST_ERROR_REFUSED, "CHECK_DEVICE_STATE: the transfer failed");
}

static gint64
get_deadline (VhostUserFrontend *frontend)
{
  return g_get_monotonic_time () + frontend->state_timeout * G_TIME_SPAN_MILLISECOND;
}

static gboolean
wait_for (int fd, GIOCondition condition, gint64 deadline, GCancellable *cancellable,
          GError **error)
{
  GPollFD fds[2] = { { .fd = fd, .events = condition }, { .fd = -1 } };

  return vhost_user_io_wait (fds, deadline, cancellable, error);
}

/* Reads what is there now; FALSE at the end, or with an error. */
static gboolean
read_part (VhostUserFrontend *frontend, int fd, GByteArray *state, gint64 deadline,
           GCancellable *cancellable, GError **error)
{
  guint8 chunk[CHUNK_SIZE];
  gssize n;

  if (!wait_for (fd, G_IO_IN, deadline, cancellable, error))
    return FALSE;
  n = read (fd, chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (n < 0)
    return vhost_set_error_from_errno (error, errno, "cannot read the state");
  if (state->len + (guint64) n > frontend->max_state_size)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE,
                            "the state is longer than %" G_GUINT64_FORMAT " bytes",
                            frontend->max_state_size);
  g_byte_array_append (state, chunk, (guint) n);
  return n > 0;
}

/**
 * vhost_user_frontend_save_state:
 * @frontend: a front-end
 * @cancellable: (nullable): to give up early
 * @length: (out): bytes in the result
 * @error: return location
 *
 * Fetches the internal state of the device, of which no queue may be running. Blocks, for at most
 * twice [property@Vhost.UserFrontend:state-timeout].
 *
 * Returns: (array length=length) (transfer full): the state, in the back-end's own format; %NULL
 * with %VHOST_ERROR_REFUSED, %VHOST_ERROR_NOT_NEGOTIATED, %VHOST_ERROR_TIMED_OUT,
 * %VHOST_ERROR_BAD_SIZE (more than [property@Vhost.UserFrontend:max-state-size]) or another error
 *
 * Since: 1.0
 */
guint8 *
vhost_user_frontend_save_state (VhostUserFrontend *frontend, GCancellable *cancellable,
                                gsize *length, GError **error)
{
  g_autoptr (GByteArray) state = g_byte_array_new ();
  VHOST_AUTO_FD fd = -1;
  GError *reason = NULL;
  gint64 deadline;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), NULL);

  *length = 0;
  fd = begin (frontend, SAVE, cancellable, error);
  if (fd < 0)
    return NULL;
  deadline = get_deadline (frontend);
  while (read_part (frontend, fd, state, deadline, cancellable, &reason))
    continue;
  vhost_fd_clear (&fd); /* who writes on finds out */
  if (reason != NULL) {
    g_propagate_error (error, reason);
    return NULL;
  }
  if (!finish (frontend, cancellable, error))
    return NULL;
  *length = state->len;
  return g_byte_array_free (g_steal_pointer (&state), FALSE);
}

/* A reader that is gone is an error, and no SIGPIPE for a program that does not ignore it. */
static gssize
write_quietly (int fd, const guint8 *data, gsize size)
{
  const struct timespec now = { 0 };
  sigset_t sigpipe, pending, before;
  gssize n;
  int saved_errno;

  sigemptyset (&sigpipe);
  sigaddset (&sigpipe, SIGPIPE);
  sigpending (&pending);
  pthread_sigmask (SIG_BLOCK, &sigpipe, &before);
  n = write (fd, data, size);
  saved_errno = errno;
  if (n < 0 && saved_errno == EPIPE && !sigismember (&pending, SIGPIPE))
    sigtimedwait (&sigpipe, NULL, &now);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  errno = saved_errno;
  return n;
}

static gboolean
write_all (int fd, const guint8 *data, gsize length, gint64 deadline, GCancellable *cancellable,
           GError **error)
{
  for (gsize done = 0; done < length;) {
    gssize n = write_quietly (fd, data + done, length - done);

    if (n >= 0)
      done += (gsize) n;
    else if (errno != EAGAIN && errno != EINTR)
      return vhost_set_error_from_errno (error, errno, "cannot write the state");
    else if (!wait_for (fd, G_IO_OUT, deadline, cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/**
 * vhost_user_frontend_load_state:
 * @frontend: a front-end
 * @data: (array length=length): the state, as [method@Vhost.UserFrontend.save_state] gave it
 * @length: bytes in @data
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Gives the device an internal state, before any queue is started. Blocks, for at most twice
 * [property@Vhost.UserFrontend:state-timeout]. After it the device is set up as usual.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_REFUSED, %VHOST_ERROR_NOT_NEGOTIATED,
 * %VHOST_ERROR_TIMED_OUT or another error
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_load_state (VhostUserFrontend *frontend, const guint8 *data, gsize length,
                                GCancellable *cancellable, GError **error)
{
  VHOST_AUTO_FD fd = -1;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  fd = begin (frontend, LOAD, cancellable, error);
  if (fd < 0 || !write_all (fd, data, length, get_deadline (frontend), cancellable, error))
    return FALSE;
  vhost_fd_clear (&fd); /* the end of the state */
  return finish (frontend, cancellable, error);
}
