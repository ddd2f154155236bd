/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the framing: a message in pieces is put together, one that does not fit the socket is sent
 * in pieces. Runs on its connection's thread, and never blocks whatever the flags of the socket.
 * (vhost-user, “Header”, “Ancillary data”) */

#include <string.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-connection-io-private.h"

/* Room for all descriptors of a message, and for credentials if somebody switched them on. */
#define CONTROL_SIZE                                                                               \
  (CMSG_SPACE (VHOST_MAX_FDS * sizeof (int)) + CMSG_SPACE (sizeof (struct ucred)))

G_STATIC_ASSERT (G_STRUCT_OFFSET (VhostUserFrame, size) + sizeof (guint32) ==
                 VHOST_USER_HEADER_SIZE);

/* Moves descriptors into @set; those for which there is no room are closed. Their number is
 * returned. */
static guint
take_fds (VhostFdSet *set, const struct cmsghdr *cmsg)
{
  guint n = (cmsg->cmsg_len - CMSG_LEN (0)) / sizeof (int);
  guint n_closed = 0;

  for (guint i = 0; i < n; i++) {
    VHOST_AUTO_FD fd = -1;

    memcpy (&fd, CMSG_DATA (cmsg) + i * sizeof fd, sizeof fd);
    if (set->n < VHOST_MAX_FDS)
      set->fd[set->n++] = vhost_fd_steal (&fd);
    else
      n_closed++;
  }
  return n_closed;
}

/* Descriptors may come with any byte of a message; they are added up. */
static gboolean
take_control (VhostUserInput *input, struct msghdr *message, GError **error)
{
  guint n_closed = 0;

  for (struct cmsghdr *cmsg = CMSG_FIRSTHDR (message); cmsg != NULL;
       cmsg = CMSG_NXTHDR (message, cmsg)) {
    if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
      n_closed += take_fds (&input->frame.fds, cmsg);
  }
  if (message->msg_flags & MSG_CTRUNC)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL,
                            "file descriptors of a message were lost on the way in");
  if (n_closed > 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "%d file descriptors in one message, at most %d",
                            VHOST_MAX_FDS + n_closed, VHOST_MAX_FDS);
  return TRUE;
}

static VhostUserIo
end_input (const VhostUserInput *input, GError **error)
{
  if (!vhost_user_input_is_partial (input))
    return VHOST_USER_IO_END;
  vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the peer left in the middle of a message");
  return VHOST_USER_IO_FAILED;
}

/* Reads up to @size bytes more. DONE when all of them came. */
static VhostUserIo
read_part (VhostUserInput *input, int fd, guint8 *to, gsize size, GError **error)
{
  union {
    struct cmsghdr align;
    guint8 bytes[CONTROL_SIZE];
  } control;
  struct iovec iov = { to, size };
  struct msghdr message = {
    .msg_iov = &iov,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = sizeof control,
  };
  gssize n;

  do
    n = recvmsg (fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);

  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return VHOST_USER_IO_AGAIN;
  if (n == 0 || (n < 0 && errno == ECONNRESET))
    return end_input (input, error);
  if (n < 0) {
    vhost_set_error_from_errno (error, errno, "cannot receive");
    return VHOST_USER_IO_FAILED;
  }
  input->n_read += n;
  if (!take_control (input, &message, error))
    return VHOST_USER_IO_FAILED;
  return (gsize) n == size ? VHOST_USER_IO_DONE : VHOST_USER_IO_AGAIN;
}

static VhostUserIo
read_header (VhostUserInput *input, int fd, VhostUserRole role, gboolean expect_reply,
             GError **error)
{
  VhostUserFrame *frame = &input->frame;
  VhostUserIo result = read_part (input, fd, (guint8 *) &frame->request + input->n_read,
                                  VHOST_USER_HEADER_SIZE - input->n_read, error);

  if (result != VHOST_USER_IO_DONE)
    return result;
  return vhost_user_header_check (role, expect_reply, frame->request, frame->flags, frame->size,
                                  error)
             ? VHOST_USER_IO_DONE
             : VHOST_USER_IO_FAILED;
}

static VhostUserIo
read_payload (VhostUserInput *input, int fd, GError **error)
{
  guint done = input->n_read - VHOST_USER_HEADER_SIZE;

  if (done == input->frame.size)
    return VHOST_USER_IO_DONE;
  return read_part (input, fd, input->frame.payload.bytes + done, input->frame.size - done, error);
}

VhostUserIo
vhost_user_input_read (VhostUserInput *input, int fd, VhostUserRole role, gboolean expect_reply,
                       GError **error)
{
  VhostUserIo result = VHOST_USER_IO_DONE;

  if (input->n_read < VHOST_USER_HEADER_SIZE)
    result = read_header (input, fd, role, expect_reply, error);
  if (result == VHOST_USER_IO_DONE)
    result = read_payload (input, fd, error);
  if (result == VHOST_USER_IO_DONE)
    input->n_read = 0;
  return result;
}

gboolean
vhost_user_input_is_partial (const VhostUserInput *input)
{
  return input->n_read > 0;
}

void
vhost_user_input_clear (VhostUserInput *input)
{
  vhost_user_frame_clear (&input->frame);
  input->n_read = 0;
}

/* The unsent rest of one message. The descriptors go with its first byte. */
typedef struct {
  VhostFdSet *fds; /* NULL: none, or gone */
  guint n_sent;
  guint size;
  guint8 bytes[];
} Chunk;

static void
chunk_free (Chunk *chunk)
{
  if (chunk->fds != NULL)
    vhost_fd_set_clear (chunk->fds);
  g_free (chunk->fds);
  g_free (chunk);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Chunk, chunk_free)

static gsize
get_cost (guint size, gboolean with_fds)
{
  return sizeof (Chunk) + sizeof (GList) + size + (with_fds ? sizeof (VhostFdSet) : 0);
}

static void
put_fds (struct msghdr *message, void *control, gsize control_size, const VhostFdSet *fds)
{
  struct cmsghdr *cmsg = control;
  gsize size = fds->n * sizeof (int);

  memset (control, 0, control_size);
  cmsg->cmsg_level = SOL_SOCKET;
  cmsg->cmsg_type = SCM_RIGHTS;
  cmsg->cmsg_len = CMSG_LEN (size);
  memcpy (CMSG_DATA (cmsg), fds->fd, size);
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE (size);
}

/* Bytes taken by the socket; 0: none now; -1 with error. */
static gssize
send_now (int fd, struct iovec *iov, guint n_iov, const VhostFdSet *fds, GError **error)
{
  union {
    struct cmsghdr align;
    guint8 bytes[CMSG_SPACE (VHOST_MAX_FDS * sizeof (int))];
  } control;
  struct msghdr message = { .msg_iov = iov, .msg_iovlen = n_iov };
  gssize n;

  if (fds != NULL && fds->n > 0)
    put_fds (&message, &control, sizeof control, fds);
  do
    n = sendmsg (fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);

  if (n >= 0)
    return n;
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return 0;
  if (errno == EPIPE || errno == ECONNRESET)
    vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the peer has left");
  else
    vhost_set_error_from_errno (error, errno, "cannot send");
  return -1;
}

static gboolean
dup_fds (Chunk *chunk, const VhostFdSet *fds, GError **error)
{
  chunk->fds = g_new0 (VhostFdSet, 1);
  for (guint i = 0; i < fds->n; i++) {
    int fd = vhost_fd_dup (fds->fd[i], error);

    if (fd < 0)
      return FALSE;
    chunk->fds->fd[chunk->fds->n++] = fd;
  }
  return TRUE;
}

/* Keeps what is behind the first @n_sent bytes of @frame for later. */
static VhostUserIo
queue_rest (VhostUserOutput *output, const VhostUserFrame *frame, guint n_sent, GError **error)
{
  guint size = VHOST_USER_HEADER_SIZE + frame->size;
  gboolean with_fds = n_sent == 0 && frame->fds.n > 0;
  g_autoptr (Chunk) chunk = NULL;

  if (output->cost + get_cost (size, with_fds) > VHOST_USER_MAX_OUTPUT) {
    vhost_set_error (error, VHOST_ERROR_FAILED, "the peer does not read what it is sent");
    return VHOST_USER_IO_FAILED;
  }
  chunk = g_malloc0 (sizeof (Chunk) + size);
  chunk->size = size;
  chunk->n_sent = n_sent;
  memcpy (chunk->bytes, &frame->request, VHOST_USER_HEADER_SIZE);
  memcpy (chunk->bytes + VHOST_USER_HEADER_SIZE, frame->payload.bytes, frame->size);
  if (with_fds && !dup_fds (chunk, &frame->fds, error))
    return VHOST_USER_IO_FAILED;
  output->cost += get_cost (size, with_fds);
  g_queue_push_tail (&output->chunks, g_steal_pointer (&chunk));
  return VHOST_USER_IO_AGAIN;
}

VhostUserIo
vhost_user_output_send (VhostUserOutput *output, int fd, const VhostUserFrame *frame,
                        GError **error)
{
  struct iovec iov[] = {
    { (void *) &frame->request, VHOST_USER_HEADER_SIZE },
    { (void *) frame->payload.bytes, frame->size },
  };
  gssize n = 0;

  if (!vhost_user_output_is_waiting (output))
    n = send_now (fd, iov, G_N_ELEMENTS (iov), &frame->fds, error);
  if (n < 0)
    return VHOST_USER_IO_FAILED;
  return n == VHOST_USER_HEADER_SIZE + (gssize) frame->size ? VHOST_USER_IO_DONE
                                                            : queue_rest (output, frame, n, error);
}

/* DONE when the first chunk is out. */
static VhostUserIo
flush_chunk (VhostUserOutput *output, int fd, GError **error)
{
  Chunk *chunk = g_queue_peek_head (&output->chunks);
  struct iovec iov = { chunk->bytes + chunk->n_sent, chunk->size - chunk->n_sent };
  gboolean had_fds = chunk->fds != NULL;
  gssize n = send_now (fd, &iov, 1, chunk->fds, error);

  if (n < 0)
    return VHOST_USER_IO_FAILED;
  chunk->n_sent += n;
  if (chunk->n_sent > 0 && had_fds)
    vhost_fd_set_clear (chunk->fds);
  if (chunk->n_sent < chunk->size)
    return VHOST_USER_IO_AGAIN;
  output->cost -= get_cost (chunk->size, had_fds);
  chunk_free (g_queue_pop_head (&output->chunks));
  return VHOST_USER_IO_DONE;
}

VhostUserIo
vhost_user_output_flush (VhostUserOutput *output, int fd, GError **error)
{
  VhostUserIo result = VHOST_USER_IO_DONE;

  while (result == VHOST_USER_IO_DONE && vhost_user_output_is_waiting (output))
    result = flush_chunk (output, fd, error);
  return result;
}

gboolean
vhost_user_output_is_waiting (const VhostUserOutput *output)
{
  return output->chunks.length > 0;
}

void
vhost_user_output_clear (VhostUserOutput *output)
{
  g_queue_clear_full (&output->chunks, (GDestroyNotify) chunk_free);
  output->cost = 0;
}

gboolean
vhost_user_io_wait (GPollFD fds[2], gint64 deadline, GCancellable *cancellable, GError **error)
{
  gint64 left = deadline < 0 ? -1 : deadline - g_get_monotonic_time ();
  GPollFD all[3] = { fds[0], fds[1], { .fd = -1 } };
  gboolean watched;

  if (deadline >= 0 && left <= 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT,
                            fds[0].events == G_IO_OUT ? "the peer does not read what it is sent"
                                                      : "the peer does not answer");
  watched = g_cancellable_make_pollfd (cancellable, &all[2]);
  g_poll (all, G_N_ELEMENTS (all), left < 0 ? -1 : (int) MIN ((left + 999) / 1000, G_MAXINT));
  if (watched)
    g_cancellable_release_fd (cancellable);
  fds[0].revents = all[0].revents;
  fds[1].revents = all[1].revents;
  return !g_cancellable_set_error_if_cancelled (cancellable, error);
}
