/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of the kernel. Each has a caller there that waits for our answer, and a device that does
 * not answer in time (30 s from the start) is given up; so nothing here waits, but for the state
 * of a queue that still has buffers in flight. Control thread. (<linux/vduse.h>, “control
 * messages”) */

#include "core/vhost-error-private.h"
#include "vduse/vhost-vduse-backend-private.h"

#define DRAIN_TIMEOUT_MS 10000

static void
answer (VhostVduseBackend *backend, const struct vduse_dev_response *response)
{
  g_autoptr (GError) error = NULL;

  if (!vhost_vduse_node_answer (&backend->node, response, &error))
    vhost_backend_report_failure (VHOST_BACKEND (backend), error);
}

/* --- GET_VQ_STATE ----------------------------------------------------------------------------- */

static void
answer_state (VhostVduseBackend *backend, guint32 request_id, guint index, guint32 base)
{
  gboolean packed = vhost_backend_has_feature (VHOST_BACKEND (backend), VHOST_FEATURE_RING_PACKED);
  struct vduse_dev_response response = { .request_id = request_id, .result = VDUSE_REQ_RESULT_OK };
  struct vduse_vq_state_packed *state = &response.vq_state.packed;

  response.vq_state.index = index;
  if (packed) {
    state->last_avail_idx = base & 0x7fff;
    state->last_avail_counter = base >> 15 & 1;
    state->last_used_idx = base >> 16 & 0x7fff;
    state->last_used_counter = (guint16) (base >> 31);
  } else {
    response.vq_state.split.avail_index = (guint16) base;
  }
  answer (backend, &response);
}

static void
answer_stopped (VhostVduseBackend *backend, const VhostVduseDrain *drain)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  VhostVring *vring = vhost_backend_find_vring (base, drain->index, NULL);

  answer_state (backend, drain->request_id, drain->index, vhost_vring_finish_stop (base, vring));
}

static gboolean
on_drain_deadline (gpointer data)
{
  VhostVduseBackend *backend = data;
  g_autoptr (GArray) drains = g_steal_pointer (&backend->drains);

  vhost_vduse_backend_forget_drains (backend);
  for (guint i = 0; drains != NULL && i < drains->len; i++)
    answer_stopped (backend, &g_array_index (drains, VhostVduseDrain, i));
  return G_SOURCE_REMOVE;
}

static void
wait_for_drain (VhostVduseBackend *backend, const VhostVduseDrain *drain)
{
  if (backend->drains == NULL) {
    backend->drains = g_array_new (FALSE, FALSE, sizeof *drain);
    backend->drain_deadline = g_timeout_source_new (DRAIN_TIMEOUT_MS);
    g_source_set_callback (backend->drain_deadline, on_drain_deadline, backend, NULL);
    g_source_attach (backend->drain_deadline, vhost_reactor_get_context (backend->reactor));
  }
  g_array_append_val (backend->drains, *drain);
}

void
vhost_vduse_backend_answer_drained (VhostBackend *base, VhostQueue *queue)
{
  VhostVduseBackend *backend = VHOST_VDUSE_BACKEND (base);

  for (guint i = 0; backend->drains != NULL && i < backend->drains->len; i++) {
    VhostVduseDrain drain = g_array_index (backend->drains, VhostVduseDrain, i);

    if (drain.index != vhost_queue_get_index (queue))
      continue;
    g_array_remove_index_fast (backend->drains, i);
    if (backend->drains->len == 0)
      vhost_vduse_backend_forget_drains (backend);
    answer_stopped (backend, &drain);
    return;
  }
}

void
vhost_vduse_backend_forget_drains (VhostVduseBackend *backend)
{
  g_clear_pointer (&backend->drains, g_array_unref);
  if (backend->drain_deadline != NULL)
    g_source_destroy (backend->drain_deadline);
  g_clear_pointer (&backend->drain_deadline, g_source_unref);
}

/* A queue that the driver has disabled is being stopped, and its state is what it has when nothing
 * is in flight any more. Of one that runs it is a guess: where it is now. */
static gboolean
get_vq_state (VhostVduseBackend *backend, const struct vduse_dev_request *request, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  const VhostVduseDrain drain = { request->request_id, request->vq_state.index };
  VhostVring *vring = vhost_backend_find_vring (base, drain.index, error);
  struct vduse_vq_info info;

  if (vring == NULL || !vhost_vduse_node_get_queue (&backend->node, drain.index, &info, error))
    return FALSE;
  if (!vring->has_num) {
    gboolean packed = vhost_backend_has_feature (base, VHOST_FEATURE_RING_PACKED);

    answer_state (backend, drain.request_id, drain.index, vhost_vduse_get_base (&info, packed));
  } else if (info.ready) {
    answer_state (backend, drain.request_id, drain.index, vhost_queue_get_base (vring->queue));
  } else if (vhost_vring_stop (base, vring)) {
    answer_stopped (backend, &drain);
  } else {
    wait_for_drain (backend, &drain);
  }
  return TRUE;
}

/* --- SET_STATUS and UPDATE_IOTLB -------------------------------------------------------------- */

static void
reset (VhostVduseBackend *backend)
{
  vhost_vduse_backend_forget_drains (backend);
  vhost_vduse_backend_forget_interrupts (backend);
  vhost_backend_reset (VHOST_BACKEND (backend));
  vhost_vduse_backend_forget_memory (backend);
}

static gboolean
set_status (VhostVduseBackend *backend, guint status, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  guint added = status & ~vhost_backend_get_private (base)->status;

  if (status == 0) {
    reset (backend);
    return TRUE;
  }
  if ((added & (VHOST_STATUS_FEATURES_OK | VHOST_STATUS_DRIVER_OK)) != 0 &&
      !vhost_vduse_backend_accept_features (backend, error))
    return FALSE;
  if ((added & VHOST_STATUS_DRIVER_OK) != 0 &&
      !vhost_vduse_backend_start_queues (backend, FALSE, error)) {
    reset (backend);
    return FALSE;
  }
  vhost_backend_set_status (base, status);
  return TRUE;
}

/* TRUE: done, and to be answered with success. */
static gboolean
serve (VhostVduseBackend *backend, const struct vduse_dev_request *request, GError **error)
{
  switch (request->type) {
  case VDUSE_SET_STATUS:
    if (set_status (backend, request->s.status, error))
      return TRUE;
    g_prefix_error (error, "SET_STATUS 0x%x: ", request->s.status);
    return FALSE;
  case VDUSE_UPDATE_IOTLB:
    vhost_vduse_backend_update_memory (backend, request->iova.start, request->iova.last);
    return TRUE;
  default:
    return vhost_set_error (error, VHOST_ERROR_UNKNOWN_REQUEST, "unknown message %u of the kernel",
                            request->type);
  }
}

static void
serve_message (VhostVduseBackend *backend, const struct vduse_dev_request *request)
{
  struct vduse_dev_response response = { .request_id = request->request_id };
  g_autoptr (GError) error = NULL;
  gboolean done;

  if (request->type == VDUSE_GET_VQ_STATE) {
    if (get_vq_state (backend, request, &error))
      return;
    g_prefix_error (&error, "GET_VQ_STATE: ");
    done = FALSE;
  } else {
    done = serve (backend, request, &error);
  }
  response.result = done ? VDUSE_REQ_RESULT_OK : VDUSE_REQ_RESULT_FAILED;
  if (backend->node.name == NULL)
    return; /* closed by the application, from a signal */
  answer (backend, &response);
  if (error != NULL)
    vhost_backend_report_failure (VHOST_BACKEND (backend), error);
}

/* --- The loop --------------------------------------------------------------------------------- */

void
vhost_vduse_backend_fail (VhostVduseBackend *backend, const GError *error)
{
  vhost_backend_report_failure (VHOST_BACKEND (backend), error);
  vhost_vduse_backend_close (backend);
}

/* One message at a time: an answer may change what the next one is. */
static void
on_readable (guint32 events, gpointer data)
{
  g_autoptr (VhostVduseBackend) backend = g_object_ref (data);
  g_autoptr (GError) error = NULL;
  struct vduse_dev_request request;
  int n;

  if ((events & EPOLLERR) != 0) {
    vhost_set_error (&error, VHOST_ERROR_TIMED_OUT,
                     "the kernel has given “%s” up: an answer came too late", backend->name);
    vhost_vduse_backend_fail (backend, error);
    return;
  }
  n = vhost_vduse_node_read (&backend->node, &request, &error);
  if (n < 0)
    vhost_vduse_backend_fail (backend, error);
  else if (n > 0)
    serve_message (backend, &request);
}

gboolean
vhost_vduse_backend_watch (VhostVduseBackend *backend, GError **error)
{
  backend->watch = vhost_reactor_add_watch (backend->reactor, backend->node.fd, EPOLLIN,
                                            on_readable, backend, error);
  return backend->watch != NULL;
}
