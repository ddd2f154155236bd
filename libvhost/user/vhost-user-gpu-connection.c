/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the socket between a graphics device and its display: messages in and out, their deadlines,
 * and how it ends. Memory grows with what has come, never with what was announced. Control thread
 * of whoever opened it. (vhost-user-gpu, “Wire format”) */

#include <string.h>
#include <sys/socket.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-gpu-private.h"
#include "user/vhost-user-socket-private.h"

/**
 * VhostUserGpuConnection:
 *
 * What a graphics device shows, on its way to a display. The device has it from
 * [signal@Vhost.UserBackend::gpu-socket], the display from [method@Vhost.UserFrontend.open_gpu].
 *
 * The device sends: sizes, pixels or dma-bufs, and the cursor. The display gets each as a signal.
 *
 * Since: 1.0
 */
G_DEFINE_FINAL_TYPE (VhostUserGpuConnection, vhost_user_gpu_connection, G_TYPE_OBJECT)

#define DEFAULT_TIMEOUT_MS 10000
#define MESSAGES_PER_WAKE_UP 16
#define READ_SIZE (64 << 10)
#define MAX_WAITING (16 << 20) /* bytes; a single message may be longer */

typedef struct {
  GBytes *bytes;
  gsize n_sent;
  int fd; /* goes with the first byte; -1: none */
} Chunk;

static guint signal_closed;

static void
chunk_free (gpointer data)
{
  Chunk *chunk = data;

  g_bytes_unref (chunk->bytes);
  vhost_fd_clear (&chunk->fd);
  g_free (chunk);
}

static void
clear_input (VhostUserGpuConnection *connection)
{
  connection->n_header = 0;
  connection->input_deadline = 0;
  g_byte_array_set_size (connection->payload, 0);
  vhost_fd_set_clear (&connection->fds);
}

static void
release (VhostUserGpuConnection *connection, const GError *error)
{
  if (connection->timer != NULL)
    g_source_destroy (connection->timer);
  g_clear_pointer (&connection->timer, g_source_unref);
  vhost_watch_clear (&connection->watch);
  vhost_fd_clear (&connection->fd);
  g_clear_pointer (&connection->reactor, vhost_reactor_unref);
  g_queue_clear_full (&connection->chunks, chunk_free);
  connection->n_waiting = 0;
  connection->output_deadline = 0;
  clear_input (connection);
  connection->features = 0;
  connection->drawing = FALSE;
  memset (connection->scanouts, 0, sizeof connection->scanouts);
  vhost_user_gpu_device_fail_calls (connection, error);
}

/* The stream cannot go on; takes @error, NULL for a clean end. */
static void
fail (VhostUserGpuConnection *connection, GError *error)
{
  g_autoptr (VhostUserGpuConnection) self = g_object_ref (connection);
  g_autoptr (GError) owned = error;

  if (connection->fd < 0)
    return;
  release (connection, error);
  g_signal_emit (self, signal_closed, 0, error);
}

static gboolean
on_deadline (gpointer data)
{
  VhostUserGpuConnection *connection = data;
  gint64 now = g_get_monotonic_time ();

  if ((connection->input_deadline > 0 && connection->input_deadline <= now) ||
      (connection->output_deadline > 0 && connection->output_deadline <= now)) {
    fail (connection, g_error_new (VHOST_ERROR, VHOST_ERROR_TIMED_OUT,
                                   "the other side of the display socket does not keep up"));
    return G_SOURCE_REMOVE;
  }
  vhost_user_gpu_connection_update (connection);
  return G_SOURCE_CONTINUE;
}

static void
update_timer (VhostUserGpuConnection *connection)
{
  gint64 input = connection->input_deadline > 0 ? connection->input_deadline : G_MAXINT64;
  gint64 output = connection->output_deadline > 0 ? connection->output_deadline : G_MAXINT64;

  if (connection->timer == NULL) {
    connection->timer = g_timeout_source_new (G_MAXINT);
    g_source_set_callback (connection->timer, on_deadline, connection, NULL);
    g_source_attach (connection->timer, vhost_reactor_get_context (connection->reactor));
  }
  g_source_set_ready_time (connection->timer,
                           MIN (input, output) == G_MAXINT64 ? -1 : MIN (input, output));
}

static void
set_deadline (VhostUserGpuConnection *connection, gint64 *deadline, gboolean pending)
{
  if (!pending)
    *deadline = 0;
  else if (*deadline == 0)
    *deadline = g_get_monotonic_time () + connection->timeout * G_TIME_SPAN_MILLISECOND;
}

void
vhost_user_gpu_connection_update (VhostUserGpuConnection *connection)
{
  gboolean reading = !connection->drawing;
  gboolean writing = connection->chunks.length > 0;

  if (connection->fd < 0)
    return;
  set_deadline (connection, &connection->input_deadline,
                reading &&
                    (connection->n_header > 0 || vhost_user_gpu_device_is_waiting (connection)));
  set_deadline (connection, &connection->output_deadline, writing);
  update_timer (connection);
  vhost_watch_set_events (connection->watch, (reading ? EPOLLIN : 0) | (writing ? EPOLLOUT : 0));
}

/* Receiving */

static gboolean
take_control (VhostUserGpuConnection *connection, struct msghdr *message, GError **error)
{
  gboolean fits = (message->msg_flags & MSG_CTRUNC) == 0;

  for (struct cmsghdr *cmsg = CMSG_FIRSTHDR (message); cmsg != NULL;
       cmsg = CMSG_NXTHDR (message, cmsg)) {
    gboolean has_fds = cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS;
    guint n = has_fds ? (cmsg->cmsg_len - CMSG_LEN (0)) / sizeof (int) : 0;

    for (guint i = 0; i < n; i++) {
      VHOST_AUTO_FD fd = -1;

      memcpy (&fd, CMSG_DATA (cmsg) + i * sizeof fd, sizeof fd);
      if (connection->fds.n < VHOST_MAX_FDS)
        connection->fds.fd[connection->fds.n++] = vhost_fd_steal (&fd);
      else
        fits = FALSE;
    }
  }
  return fits || vhost_set_error (error, VHOST_ERROR_BAD_FDS, "too many file descriptors");
}

/* Bytes that came; 0: none now; -1: the end, or with error. */
static gssize
receive (VhostUserGpuConnection *connection, void *to, gsize size, GError **error)
{
  union {
    struct cmsghdr align;
    guint8 bytes[CMSG_SPACE (VHOST_MAX_FDS * sizeof (int))];
  } control;
  struct iovec iov = { to, size };
  struct msghdr message = {
    .msg_iov = &iov,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = sizeof control,
  };
  gssize n = recvmsg (connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return 0;
  if (n < 0 && errno != ECONNRESET)
    vhost_set_error_from_errno (error, errno, "cannot receive");
  else if (n <= 0 && connection->n_header > 0)
    vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the peer left in the middle of a message");
  if (n <= 0 || !take_control (connection, &message, error))
    return -1;
  return n;
}

static gssize
receive_header (VhostUserGpuConnection *connection, GError **error)
{
  VhostUserGpuHeader *header = &connection->header;
  gssize n = receive (connection, (guint8 *) header + connection->n_header,
                      sizeof *header - connection->n_header, error);

  if (n <= 0)
    return n;
  connection->n_header += n;
  if (connection->n_header == sizeof *header &&
      !vhost_user_gpu_header_check (header, !connection->is_display, connection->scanouts, error))
    return -1;
  return n;
}

static gssize
receive_payload (VhostUserGpuConnection *connection, GError **error)
{
  guint8 part[READ_SIZE];
  gssize n = receive (connection, part,
                      MIN (sizeof part, connection->header.size - connection->payload->len), error);

  if (n > 0)
    g_byte_array_append (connection->payload, part, (guint) n);
  return n;
}

static gboolean
is_complete (VhostUserGpuConnection *connection)
{
  return connection->n_header == sizeof connection->header &&
         connection->payload->len == connection->header.size;
}

/* FALSE: it obeys no rule. */
static gboolean
deliver (VhostUserGpuConnection *connection, GError **error)
{
  if (!connection->is_display)
    return vhost_user_gpu_device_take_answer (connection, error);
  if (!vhost_user_gpu_request_check (&connection->header, connection->payload->data,
                                     connection->fds.n, connection->features, connection->scanouts,
                                     error))
    return FALSE;
  vhost_user_gpu_display_serve (connection);
  return TRUE;
}

static gssize
receive_part (VhostUserGpuConnection *connection, GError **error)
{
  gssize n = connection->n_header < sizeof connection->header ? receive_header (connection, error)
                                                              : receive_payload (connection, error);

  if (n <= 0 || !is_complete (connection))
    return n;
  if (!deliver (connection, error))
    return -1;
  clear_input (connection);
  return n;
}

static void
process_input (VhostUserGpuConnection *connection)
{
  GError *error = NULL;
  gssize n = 1;

  for (guint i = 0; i < MESSAGES_PER_WAKE_UP && n > 0; i++) {
    if (connection->fd < 0 || connection->drawing)
      return;
    n = receive_part (connection, &error);
  }
  if (n < 0)
    fail (connection, error);
}

/* Sending */

/* FALSE: the socket takes no more now, or with error. */
static gboolean
send_chunk (VhostUserGpuConnection *connection, Chunk *chunk, GError **error)
{
  union {
    struct cmsghdr cmsg;
    guint8 bytes[CMSG_SPACE (sizeof (int))];
  } control = { .cmsg = { CMSG_LEN (sizeof (int)), SOL_SOCKET, SCM_RIGHTS } };
  gsize size;
  const guint8 *data = g_bytes_get_data (chunk->bytes, &size);
  struct iovec iov = { (void *) (data + chunk->n_sent), size - chunk->n_sent };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  gssize n;

  if (chunk->fd >= 0) {
    memcpy (CMSG_DATA (&control.cmsg), &chunk->fd, sizeof chunk->fd);
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
  }
  n = sendmsg (connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    return vhost_set_error_from_errno (error, errno, "cannot send to the display socket");
  if (n <= 0)
    return FALSE;
  vhost_fd_clear (&chunk->fd);
  chunk->n_sent += (gsize) n;
  connection->n_waiting -= (gsize) n;
  connection->output_deadline = 0; /* it moves */
  return chunk->n_sent == size;
}

static void
flush (VhostUserGpuConnection *connection)
{
  GError *error = NULL;

  while (connection->chunks.length > 0 &&
         send_chunk (connection, g_queue_peek_head (&connection->chunks), &error))
    chunk_free (g_queue_pop_head (&connection->chunks));
  if (error != NULL)
    fail (connection, error);
}

gboolean
vhost_user_gpu_connection_send (VhostUserGpuConnection *connection, guint request, guint flags,
                                gconstpointer payload, gsize size, const guint8 *extra,
                                gsize n_extra, int fd, GError **error)
{
  const VhostUserGpuHeader header = { request, flags, (guint32) (size + n_extra) };
  gsize total = sizeof header + size + n_extra;
  VHOST_AUTO_FD copy = -1;
  GByteArray *bytes;
  Chunk *chunk;

  if (connection->fd < 0)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the display socket is closed");
  if (connection->n_waiting > 0 && connection->n_waiting + total > MAX_WAITING)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL, "the display does not keep up");
  if (fd >= 0 && (copy = vhost_fd_dup (fd, error)) < 0)
    return FALSE;
  bytes = g_byte_array_sized_new ((guint) total);
  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
  if (size > 0)
    g_byte_array_append (bytes, payload, (guint) size);
  if (n_extra > 0)
    g_byte_array_append (bytes, extra, (guint) n_extra);
  chunk = g_new0 (Chunk, 1);
  chunk->bytes = g_byte_array_free_to_bytes (bytes);
  chunk->fd = vhost_fd_steal (&copy);
  g_queue_push_tail (&connection->chunks, chunk);
  connection->n_waiting += total;
  if (connection->chunks.length == 1)
    flush (connection);
  vhost_user_gpu_connection_update (connection);
  return TRUE;
}

static void
on_ready (guint32 events, gpointer data)
{
  g_autoptr (VhostUserGpuConnection) connection = g_object_ref (data);

  if (connection->chunks.length > 0)
    flush (connection);
  if (connection->fd >= 0 && connection->drawing && (events & (EPOLLHUP | EPOLLERR)) != 0)
    fail (connection, NULL);
  process_input (connection);
  vhost_user_gpu_connection_update (connection);
}

gboolean
vhost_user_gpu_connection_take_fd (VhostUserGpuConnection *connection, int fd, gboolean is_display,
                                   GError **error)
{
  connection->fd = fd;
  connection->is_display = is_display;
  connection->reactor = vhost_reactor_get ();
  connection->watch =
      vhost_reactor_add_watch (connection->reactor, fd, EPOLLIN, on_ready, connection, error);
  if (connection->watch != NULL && (is_display || vhost_user_gpu_device_begin (connection, error)))
    return TRUE;
  release (connection, NULL);
  return FALSE;
}

/**
 * vhost_user_gpu_connection_new:
 *
 * Makes a connection to nobody.
 *
 * Returns: (transfer full): the connection
 *
 * Since: 1.0
 */
VhostUserGpuConnection *
vhost_user_gpu_connection_new (void)
{
  return g_object_new (VHOST_USER_TYPE_GPU_CONNECTION, NULL);
}

/**
 * vhost_user_gpu_connection_open_fd:
 * @connection: a connection
 * @fd: a connected Unix stream socket; duplicated
 * @is_display: whether this is the side that shows, or the device
 * @error: return location
 *
 * Serves one end of a display socket, in the thread-default main context.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when it is open already, or
 * %VHOST_ERROR_BAD_FDS
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_open_fd (VhostUserGpuConnection *connection, int fd, gboolean is_display,
                                   GError **error)
{
  gboolean listening;
  int copy;

  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  if (connection->fd >= 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the connection is open already");
  if (!vhost_user_socket_check (fd, &listening, error))
    return FALSE;
  if (listening)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "the socket is not connected");
  copy = vhost_fd_dup (fd, error);
  return copy >= 0 && vhost_user_gpu_connection_take_fd (connection, copy, is_display, error);
}

/**
 * vhost_user_gpu_connection_close:
 * @connection: a connection
 *
 * Closes the socket; nobody is told. What waits for an answer fails.
 *
 * Since: 1.0
 */
void
vhost_user_gpu_connection_close (VhostUserGpuConnection *connection)
{
  g_return_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection));

  release (connection, NULL);
}

/**
 * vhost_user_gpu_connection_is_open:
 * @connection: a connection
 *
 * Says whether anything can be sent.
 *
 * Returns: whether there is another side
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_is_open (VhostUserGpuConnection *connection)
{
  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  return connection->fd >= 0;
}

/**
 * vhost_user_gpu_connection_has_protocol_feature:
 * @connection: a connection
 * @bit: a #VhostUserGpuProtocolFeature
 *
 * Says what was negotiated.
 *
 * Returns: whether it is in use; on the device's side from [signal@Vhost.UserGpuConnection::ready]
 * on
 *
 * Since: 1.0
 */
gboolean
vhost_user_gpu_connection_has_protocol_feature (VhostUserGpuConnection *connection, guint bit)
{
  g_return_val_if_fail (VHOST_USER_IS_GPU_CONNECTION (connection), FALSE);

  return vhost_word_has (connection->features, bit);
}

static void
vhost_user_gpu_connection_finalize (GObject *object)
{
  VhostUserGpuConnection *connection = VHOST_USER_GPU_CONNECTION (object);

  release (connection, NULL);
  g_byte_array_unref (connection->payload);
  for (guint i = 0; i < VHOST_USER_GPU_MAX_SCANOUTS; i++)
    g_free (connection->edids[i]);
  G_OBJECT_CLASS (vhost_user_gpu_connection_parent_class)->finalize (object);
}

static void
vhost_user_gpu_connection_class_init (VhostUserGpuConnectionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->finalize = vhost_user_gpu_connection_finalize;
  vhost_user_gpu_device_install (object_class);
  vhost_user_gpu_display_install (object_class);

  /**
   * VhostUserGpuConnection::closed:
   * @connection: the connection
   * @error: (nullable): what was wrong, or %NULL when the other side just left
   *
   * The connection has ended.
   *
   * Since: 1.0
   */
  signal_closed = g_signal_new ("closed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
vhost_user_gpu_connection_init (VhostUserGpuConnection *connection)
{
  connection->fd = -1;
  connection->timeout = DEFAULT_TIMEOUT_MS;
  connection->payload = g_byte_array_new ();
}
