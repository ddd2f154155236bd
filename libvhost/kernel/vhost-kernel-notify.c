/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the eventfds by which the kernel tells this process something, where nobody else has given
 * any: the error descriptor of each queue, and the call descriptor of those that have none. Each is
 * a watch in the main context of the device, and becomes a signal. (Linux, SET_VRING_CALL and
 * SET_VRING_ERR) */

#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-device-private.h"

static void
on_called (guint32 events, gpointer data)
{
  VhostKernelQueue *queue = data;
  g_autoptr (VhostKernelDevice) device = g_object_ref (queue->device);

  vhost_fd_drain_event (queue->call_fd);
  g_signal_emit_by_name (device, "queue-notify", queue->index);
}

static void
on_broken (guint32 events, gpointer data)
{
  VhostKernelQueue *queue = data;
  g_autoptr (VhostKernelDevice) device = g_object_ref (queue->device);

  vhost_fd_drain_event (queue->err_fd);
  g_signal_emit_by_name (device, "queue-error", queue->index);
}

static void
drop_event (int *fd, VhostWatch **watch)
{
  vhost_watch_clear (watch);
  vhost_fd_clear (fd);
}

void
vhost_kernel_queue_init (VhostKernelQueue *queue, VhostKernelDevice *device, guint index)
{
  *queue = (VhostKernelQueue){ device, index, .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
}

void
vhost_kernel_queue_clear (VhostKernelQueue *queue)
{
  drop_event (&queue->call_fd, &queue->call_watch);
  drop_event (&queue->err_fd, &queue->err_watch);
  vhost_fd_clear (&queue->kick_fd);
  vhost_kernel_queue_init (queue, queue->device, queue->index);
}

static gboolean
call_file (VhostKernelQueue *queue, VhostKernelCall call, int fd, GError **error)
{
  struct vhost_vring_file file = { queue->index, fd };

  return vhost_kernel_call (queue->device, call, &file, error);
}

/* A new eventfd, which the kernel signals and the loop sees. */
static gboolean
watch_event (VhostKernelQueue *queue, VhostKernelCall call, VhostWatchFunc func, int *fd,
             VhostWatch **watch, GError **error)
{
  VHOST_AUTO_FD event = vhost_fd_new_event (error);
  VhostWatch *added;

  if (event < 0 || !call_file (queue, call, event, error))
    return FALSE;
  added = vhost_reactor_add_watch (vhost_kernel_get_state (queue->device)->reactor, event,
                                   EPOLLIN | EPOLLET, func, queue, error);
  if (added == NULL)
    return FALSE;
  drop_event (fd, watch);
  *fd = vhost_fd_steal (&event);
  *watch = added;
  return TRUE;
}

static gboolean
watch_call (VhostKernelQueue *queue, GError **error)
{
  return watch_event (queue, VHOST_KERNEL_CALL_SET_VRING_CALL, on_called, &queue->call_fd,
                      &queue->call_watch, error);
}

static gboolean
watch_err (VhostKernelQueue *queue, GError **error)
{
  queue->foreign_err = FALSE;
  return watch_event (queue, VHOST_KERNEL_CALL_SET_VRING_ERR, on_broken, &queue->err_fd,
                      &queue->err_watch, error);
}

gboolean
vhost_kernel_watch_err (VhostKernelQueue *queue, GError **error)
{
  return queue->foreign_err || queue->err_fd >= 0 || watch_err (queue, error);
}

static gboolean
kernel_set_vring_call (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                       GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_CALL;
  VhostKernelQueue *queue =
      vhost_kernel_find_queue (VHOST_KERNEL_DEVICE (device), call, index, error);

  if (queue == NULL)
    return FALSE;
  if (fd < 0)
    return watch_call (queue, error);
  if (!call_file (queue, call, fd, error))
    return FALSE;
  drop_event (&queue->call_fd, &queue->call_watch);
  return TRUE;
}

static gboolean
kernel_set_vring_err (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                      GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_VRING_ERR;
  VhostKernelQueue *queue =
      vhost_kernel_find_queue (VHOST_KERNEL_DEVICE (device), call, index, error);

  if (queue == NULL)
    return FALSE;
  if (fd < 0)
    return watch_err (queue, error);
  if (!call_file (queue, call, fd, error))
    return FALSE;
  drop_event (&queue->err_fd, &queue->err_watch);
  queue->foreign_err = TRUE;
  return TRUE;
}

/* --- waiting without a loop --- */

static GPollFD *
list_waited (VhostKernelDevicePrivate *state, int fd, guint *n)
{
  GPollFD *fds = g_new0 (GPollFD, state->n_queues + 2);

  *n = 0;
  if (fd >= 0)
    fds[(*n)++] = (GPollFD){ fd, G_IO_IN, 0 };
  for (guint i = 0; i < state->n_queues; i++) {
    if (state->queues[i].running && state->queues[i].err_fd >= 0)
      fds[(*n)++] = (GPollFD){ state->queues[i].err_fd, G_IO_IN, 0 };
  }
  return fds;
}

/* The first queue whose error descriptor is readable. */
static VhostKernelQueue *
find_broken (VhostKernelDevicePrivate *state, const GPollFD *fds, guint n)
{
  for (guint i = 0; i < n; i++) {
    for (guint j = 0; fds[i].revents != 0 && j < state->n_queues; j++) {
      if (state->queues[j].err_fd == fds[i].fd)
        return &state->queues[j];
    }
  }
  return NULL;
}

static gboolean
report_broken (VhostKernelQueue *queue, GError **error)
{
  guint index = queue->index;

  on_broken (EPOLLIN, queue);
  return vhost_set_error (error, VHOST_ERROR_BROKEN_QUEUE, "queue %u: the kernel found it broken",
                          index);
}

/* A queue that breaks meanwhile is told of as from the loop. */
static gboolean
kernel_wait_readable (VhostDevice *device, int fd, guint timeout, GCancellable *cancellable,
                      GError **error)
{
  gint64 deadline = g_get_monotonic_time () + timeout * G_TIME_SPAN_MILLISECOND;
  VhostKernelDevicePrivate *state = vhost_kernel_get_state (VHOST_KERNEL_DEVICE (device));
  g_autofree GPollFD *fds = NULL;
  VhostKernelQueue *broken;
  guint n;
  int result;

  if (state->fd < 0)
    return vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the device is not open");
  fds = list_waited (state, fd, &n);
  result = vhost_fd_poll (fds, n, deadline, cancellable, error);
  if (result < 0)
    return FALSE;
  if (result == 0)
    return vhost_set_error (error, VHOST_ERROR_TIMED_OUT, "nothing came within %u ms", timeout);
  if (fd >= 0 && fds[0].revents != 0)
    return TRUE;
  broken = find_broken (state, fds, n);
  return broken == NULL || report_broken (broken, error);
}

void
vhost_kernel_notify_init_iface (VhostDeviceInterface *iface)
{
  iface->set_vring_call = kernel_set_vring_call;
  iface->set_vring_err = kernel_set_vring_err;
  iface->wait_readable = kernel_wait_readable;
}
