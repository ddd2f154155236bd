/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the transfer of the device's internal state: a descriptor from the front-end goes to the
 * application, which writes or reads in its own time, and the question whether that worked is
 * answered when the application has said so. Control thread. (vhost-user, DEVICE_STATE) */

#include <fcntl.h>
#include <sys/stat.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"

enum {
  SIGNAL_SAVE_STATE,
  SIGNAL_LOAD_STATE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

gboolean
vhost_user_backend_can_transfer (VhostUserBackend *backend)
{
  return g_signal_has_handler_pending (backend, signals[SIGNAL_SAVE_STATE], 0, TRUE) &&
         g_signal_has_handler_pending (backend, signals[SIGNAL_LOAD_STATE], 0, TRUE);
}

static void
stop_waiting (VhostUserBackendTransfer *transfer)
{
  if (transfer->deadline != NULL)
    g_source_destroy (transfer->deadline);
  g_clear_pointer (&transfer->deadline, g_source_unref);
  transfer->checking = FALSE;
}

void
vhost_user_backend_forget_transfer (VhostUserBackend *backend)
{
  VhostUserBackendTransfer *transfer = &backend->transfer;

  vhost_task_cancel (&transfer->task);
  stop_waiting (transfer);
  vhost_fd_clear (&transfer->fd);
  transfer->stage = VHOST_USER_TRANSFER_NONE;
}

/* A pipe or a stream, open in the right direction. */
static gboolean
check_descriptor (int fd, gboolean loading, GError **error)
{
  int mode = fcntl (fd, F_GETFL) & O_ACCMODE;
  struct stat status;

  if (fstat (fd, &status) < 0 ||
      (!S_ISFIFO (status.st_mode) && !S_ISSOCK (status.st_mode) && !S_ISREG (status.st_mode)))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "state cannot go through this descriptor, it takes a pipe");
  if (mode != O_RDWR && mode != (loading ? O_RDONLY : O_WRONLY))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "the descriptor is not open for %s",
                            loading ? "reading" : "writing");
  return TRUE;
}

static gboolean
check_request (VhostUserBackend *backend, const VhostUserStateTransfer *wanted, GError **error)
{
  if (wanted->direction > 1 || wanted->phase != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "direction %u in phase %u; 0 or 1 in phase 0 are known",
                            wanted->direction, wanted->phase);
  if (backend->transfer.stage == VHOST_USER_TRANSFER_ACTIVE)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the transfer before is not over");
  if (!vhost_user_backend_can_transfer (backend))
    return vhost_set_error (error, VHOST_ERROR_FAILED, "nobody saves or loads the state");
  return TRUE;
}

/* The answer goes out before the application is told, so that it finds a reader or a writer at the
 * other end. */
gboolean
vhost_user_backend_set_device_state_fd (VhostUserBackend *backend, VhostUserFrame *frame,
                                        VhostUserFrame *reply, GError **error)
{
  VhostUserBackendTransfer *transfer = &backend->transfer;
  const VhostUserStateTransfer *wanted = &frame->payload.transfer;

  if (!check_request (backend, wanted, error) ||
      !check_descriptor (frame->fds.fd[0], wanted->direction == 1, error))
    return FALSE;
  transfer->stage = VHOST_USER_TRANSFER_ACTIVE;
  transfer->loading = wanted->direction == 1;
  transfer->fd = vhost_fd_steal (&frame->fds.fd[0]);
  vhost_reactor_queue_task (backend->reactor, &transfer->task);
  reply->payload.u64 = VHOST_USER_TRANSFER_NOFD;
  return TRUE;
}

static void
emit_transfer (gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  VHOST_AUTO_FD fd = vhost_fd_steal (&backend->transfer.fd);

  g_signal_emit (backend,
                 signals[backend->transfer.loading ? SIGNAL_LOAD_STATE : SIGNAL_SAVE_STATE], 0, fd);
}

static gboolean
take_result (VhostUserBackendTransfer *transfer)
{
  gboolean done = transfer->stage == VHOST_USER_TRANSFER_DONE;

  transfer->stage = VHOST_USER_TRANSFER_NONE;
  return done;
}

static void
answer_check (VhostUserBackend *backend)
{
  g_auto (VhostUserFrame) reply = { 0 };

  stop_waiting (&backend->transfer);
  vhost_user_frame_init (&reply, VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE,
                         VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY,
                         sizeof reply.payload.u64);
  reply.payload.u64 = take_result (&backend->transfer) ? 0 : 1;
  vhost_user_connection_set_paused (backend->connection, FALSE);
  vhost_user_connection_send_frame (backend->connection, &reply, NULL, NULL);
}

static gboolean
on_deadline (gpointer data)
{
  g_autoptr (VhostUserBackend) backend = g_object_ref (data);
  g_autoptr (GError) error = NULL;

  backend->transfer.stage = VHOST_USER_TRANSFER_FAILED;
  answer_check (backend);
  vhost_set_error (&error, VHOST_ERROR_TIMED_OUT,
                   "CHECK_DEVICE_STATE: the transfer was not completed within %u ms",
                   backend->transfer.timeout);
  vhost_user_backend_emit_refused (backend, VHOST_USER_FRONTEND_CODE_CHECK_DEVICE_STATE, error);
  return G_SOURCE_REMOVE;
}

static void
wait_for_end (VhostUserBackend *backend)
{
  VhostUserBackendTransfer *transfer = &backend->transfer;

  transfer->checking = TRUE;
  transfer->deadline = g_timeout_source_new (transfer->timeout);
  g_source_set_callback (transfer->deadline, on_deadline, backend, NULL);
  g_source_attach (transfer->deadline, vhost_reactor_get_context (backend->reactor));
  vhost_user_connection_set_paused (backend->connection, TRUE);
}

gboolean
vhost_user_backend_check_device_state (VhostUserBackend *backend, VhostUserFrame *frame,
                                       VhostUserFrame *reply, GError **error)
{
  VhostUserBackendTransfer *transfer = &backend->transfer;

  if (transfer->stage == VHOST_USER_TRANSFER_NONE)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no state was transferred");
  if (transfer->stage == VHOST_USER_TRANSFER_ACTIVE)
    wait_for_end (backend);
  else
    reply->payload.u64 = take_result (transfer) ? 0 : 1;
  return TRUE;
}

/**
 * vhost_user_backend_complete_transfer:
 * @backend: a back-end
 * @success: whether all of the state was saved or loaded
 * @error: return location
 *
 * Says that the transfer begun by [signal@Vhost.UserBackend::save-state] or
 * [signal@Vhost.UserBackend::load-state] is over; the front-end may be waiting to hear it.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_STATE when there is no transfer: it took too
 * long, or the front-end has left
 *
 * Since: 1.0
 */
gboolean
vhost_user_backend_complete_transfer (VhostUserBackend *backend, gboolean success, GError **error)
{
  VhostUserBackendTransfer *transfer = &backend->transfer;

  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), FALSE);

  if (transfer->stage != VHOST_USER_TRANSFER_ACTIVE)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no state is being transferred");
  transfer->stage = success ? VHOST_USER_TRANSFER_DONE : VHOST_USER_TRANSFER_FAILED;
  if (transfer->checking)
    answer_check (backend);
  return TRUE;
}

void
vhost_user_backend_init_transfer (VhostUserBackend *backend)
{
  backend->transfer.fd = -1;
  vhost_task_init (&backend->transfer.task, emit_transfer, backend);
}

static guint
new_signal (GObjectClass *object_class, const char *name)
{
  return g_signal_new (name, G_TYPE_FROM_CLASS (object_class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                       NULL, G_TYPE_NONE, 1, G_TYPE_INT);
}

void
vhost_user_backend_install_transfer (GObjectClass *object_class)
{
  /**
   * VhostUserBackend::save-state:
   * @backend: the back-end
   * @fd: where to write; borrowed, and closed when the signal is over
   *
   * The front-end wants the internal state of the device, which has no running queue. Write it and
   * close, then call [method@Vhost.UserBackend.complete_transfer]. What a pipe does not take at
   * once has to be written from the main loop, to a duplicate of @fd.
   *
   * The transfer of states is offered to front-ends once this signal and
   * [signal@Vhost.UserBackend::load-state] have handlers.
   *
   * Since: 1.0
   */
  signals[SIGNAL_SAVE_STATE] = new_signal (object_class, "save-state");
  /**
   * VhostUserBackend::load-state:
   * @backend: the back-end
   * @fd: what to read to its end; borrowed, and closed when the signal is over
   *
   * The front-end has a state for the device. It comes from outside: check it before use. Read it,
   * from the main loop and from a duplicate of @fd unless it is known to be short, then call
   * [method@Vhost.UserBackend.complete_transfer].
   *
   * Since: 1.0
   */
  signals[SIGNAL_LOAD_STATE] = new_signal (object_class, "load-state");
}
