/* SPDX-License-Identifier: BSD-3-Clause */
/* A device behind an IOMMU: its queues live in a view of guest memory that holds the translations
 * known so far. What is missing is asked for, and nothing waits: a ring starts, or goes on, when it
 * is within reach, a chain is popped when all of it is. Control thread. (vhost-user, “IOMMU
 * support”; VIRTIO 1.4, section 6, VIRTIO_F_ACCESS_PLATFORM) */

#include "core/vhost-error-private.h"
#include "endpoint/vhost-backend-private.h"

/* How long an answer may take before the question is repeated. */
#define RETRY_MS 5000

static gboolean
is_used (const guint8 *host, guint64 size, gpointer data)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (data);

  for (guint i = 0; i < priv->n_queues; i++) {
    if (vhost_queue_uses (priv->vrings[i].queue, host, size))
      return TRUE;
  }
  return FALSE;
}

/* --- Asking -------------------------------------------------------------------------------- */

static void
stop_retrying (VhostBackendPrivate *priv)
{
  if (priv->iotlb_retry == NULL)
    return;
  g_source_destroy (priv->iotlb_retry);
  g_clear_pointer (&priv->iotlb_retry, g_source_unref);
}

static gboolean
on_retry (gpointer data)
{
  g_autoptr (VhostBackend) backend = g_object_ref (data);
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  VHOST_BACKEND_PAUSE (backend);

  g_clear_pointer (&priv->iotlb_retry, g_source_unref);
  if (vhost_iotlb_is_asking (priv->iotlb))
    vhost_backend_ask_iotlb_again (backend);
  return G_SOURCE_REMOVE;
}

static void
retry_later (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->iotlb_retry != NULL)
    return;
  priv->iotlb_retry = g_timeout_source_new (RETRY_MS);
  g_source_set_callback (priv->iotlb_retry, on_retry, backend, NULL);
  g_source_attach (priv->iotlb_retry, vhost_reactor_get_context (priv->reactor));
}

/* One question for each kind of access: some IOMMUs say no more than what they are asked. */
static void
ask (VhostBackend *backend, const VhostIotlbMiss *miss)
{
  for (guint access = VHOST_MEMORY_READ; access <= VHOST_MEMORY_WRITE; access++) {
    if (miss->access & access)
      VHOST_BACKEND_GET_CLASS (backend)->iotlb_missed (backend, miss->address, access, FALSE);
  }
  retry_later (backend);
}

/* Returns whether something was denied, and what. */
static gboolean
ask_for_all (VhostBackend *backend, VhostIotlbMisses *misses, VhostIotlbMiss *denied)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  const gint64 timeout = RETRY_MS * G_TIME_SPAN_MILLISECOND / 2; /* expired when it is retried */
  gboolean any_denied = FALSE;

  /* Asking may end the session. */
  for (guint i = 0; i < misses->n && priv->iotlb != NULL; i++) {
    VhostIotlbMiss *miss = &misses->miss[i];

    switch (vhost_iotlb_judge (priv->iotlb, miss, g_get_monotonic_time (), timeout)) {
    case VHOST_IOTLB_ASK:
      ask (backend, miss);
      break;
    case VHOST_IOTLB_WAIT:
      retry_later (backend);
      break;
    case VHOST_IOTLB_DENY:
      *denied = *miss;
      any_denied = TRUE;
      VHOST_BACKEND_GET_CLASS (backend)->iotlb_missed (backend, miss->address, miss->access, TRUE);
      break;
    }
  }
  return any_denied;
}

static void
ask_for_ring (VhostBackend *backend, VhostVring *vring, VhostIotlbMisses *misses)
{
  g_autoptr (GError) error = NULL;
  VhostIotlbMiss denied;

  if (!ask_for_all (backend, misses, &denied))
    return;
  error = g_error_new (VHOST_ERROR, VHOST_ERROR_BAD_ADDRESS,
                       "queue %u: the IOMMU does not let the device use its ring at "
                       "0x%" G_GINT64_MODIFIER "x",
                       vhost_queue_get_index (vring->queue), denied.address);
  vhost_backend_report_failure (backend, error);
}

/* The transport made the view, and knows what else there is: nobody has to be asked. */
static void
look_up (VhostBackend *backend, VhostQueue *queue, const VhostIotlbMisses *misses)
{
  for (guint i = 0; i < misses->n && vhost_queue_is_started (queue); i++) {
    const VhostIotlbMiss *miss = &misses->miss[i];

    if (!VHOST_BACKEND_GET_CLASS (backend)->memory_missed (backend, miss->address, miss->access) &&
        vhost_queue_is_started (queue))
      vhost_queue_break (queue, VHOST_RING_FAULT_ACCESS, miss->address);
  }
}

void
vhost_backend_note_misses (VhostBackend *backend, VhostQueue *queue)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (VhostQueue) keep = g_object_ref (queue);
  VhostIotlbMisses misses;
  VhostIotlbMiss denied;

  vhost_queue_take_misses (queue, &misses);
  if (priv->iotlb == NULL)
    look_up (backend, queue, &misses);
  else if (ask_for_all (backend, &misses, &denied) && vhost_queue_is_started (queue))
    vhost_queue_break (queue, VHOST_RING_FAULT_ACCESS, denied.address);
}

gboolean
vhost_vring_is_within_reach (VhostBackend *backend, VhostVring *vring)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  VhostIotlbMisses misses = { 0 };

  if (priv->iotlb == NULL)
    return TRUE;
  vring->setup.kind = VHOST_ADDRESS_GUEST;
  vhost_queue_list_misses (&vring->setup, vhost_iotlb_get_view (priv->iotlb), &misses);
  if (misses.n == 0)
    return TRUE;
  if (vring->start_wanted || vhost_queue_is_started (vring->queue))
    ask_for_ring (backend, vring, &misses);
  return FALSE;
}

/* --- The view ------------------------------------------------------------------------------ */

VhostMemory *
vhost_backend_get_view (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  return priv->iotlb != NULL ? vhost_iotlb_get_view (priv->iotlb) : priv->memory;
}

static void
place_queue (VhostBackend *backend, VhostVring *vring, VhostMemory *view)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (!vhost_queue_is_started (vring->queue)) {
    if (vring->start_wanted)
      vhost_vring_start_pending (backend, vring);
  } else if (!vhost_queue_set_memory (vring->queue, view) && priv->iotlb != NULL &&
             vhost_vring_is_within_reach (backend, vring)) {
    /* All of it is known, and lies in pieces. */
    vhost_queue_break (vring->queue, VHOST_RING_FAULT_ADDRESS, vring->setup.desc);
  }
}

/* Who hears of a failure may end the session. */
static void
place_queues (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; priv->vrings != NULL && i < priv->n_queues; i++) {
    VhostMemory *view = vhost_backend_get_view (backend);
    g_autoptr (VhostMemory) keep = view != NULL ? vhost_memory_ref (view) : NULL;

    if (view != NULL)
      place_queue (backend, &priv->vrings[i], view);
  }
}

void
vhost_backend_update_view (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  gboolean wanted =
      priv->memory != NULL && vhost_word_has (priv->acked, VHOST_FEATURE_ACCESS_PLATFORM);

  if (!wanted) {
    stop_retrying (priv);
    g_clear_pointer (&priv->iotlb, vhost_iotlb_free);
  } else if (priv->iotlb == NULL) {
    priv->iotlb = vhost_iotlb_new (priv->memory, is_used, backend);
  } else if (vhost_memory_get_base (vhost_iotlb_get_view (priv->iotlb)) != priv->memory) {
    vhost_iotlb_flush (priv->iotlb, priv->memory);
  }
}

void
vhost_backend_take_memory (VhostBackend *backend, VhostMemory *memory)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (VhostMemory) old = g_steal_pointer (&priv->memory);
  VHOST_BACKEND_PAUSE (backend);

  priv->memory = memory;
  vhost_backend_update_view (backend);
  place_queues (backend);
  vhost_backend_emit_memory (backend);
}

static gboolean
is_idle (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; i < priv->n_queues; i++) {
    if (priv->vrings[i].start_wanted || vhost_queue_is_started (priv->vrings[i].queue))
      return FALSE;
  }
  return TRUE;
}

/* A front-end does not say what ends while no queue runs. */
void
vhost_backend_flush_idle_iotlb (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->iotlb == NULL || !is_idle (backend))
    return;
  stop_retrying (priv);
  vhost_iotlb_flush (priv->iotlb, priv->memory);
}

void
vhost_backend_ask_iotlb_again (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->iotlb == NULL)
    return;
  vhost_iotlb_forget_asked (priv->iotlb);
  place_queues (backend);
}

/* --- Messages ------------------------------------------------------------------------------ */

static VhostIotlb *
get_iotlb (VhostBackend *backend, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  if (priv->iotlb != NULL)
    return priv->iotlb;
  if (priv->memory == NULL)
    vhost_set_error (error, VHOST_ERROR_BAD_STATE, "no memory is shared yet");
  else
    vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "ACCESS_PLATFORM was not accepted");
  return NULL;
}

gboolean
vhost_backend_update_iotlb (VhostBackend *backend, guint64 address, guint64 size,
                            guint64 user_address, guint access, GError **error)
{
  VhostIotlb *iotlb = get_iotlb (backend, error);

  if (iotlb == NULL || !vhost_iotlb_update (iotlb, address, size, user_address, access, error))
    return FALSE;
  place_queues (backend);
  return TRUE;
}

gboolean
vhost_backend_invalidate_iotlb (VhostBackend *backend, guint64 address, guint64 size,
                                gboolean *busy, GError **error)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);
  g_autoptr (GArray) lost = g_array_new (FALSE, FALSE, sizeof (VhostSpan));
  VhostIotlb *iotlb = get_iotlb (backend, error);

  *busy = FALSE;
  if (iotlb == NULL || !vhost_iotlb_invalidate (iotlb, address, size, lost, error))
    return FALSE;
  if (lost->len == 0)
    return TRUE;
  for (guint i = 0; i < priv->n_queues; i++) {
    if (vhost_queue_await_release (priv->vrings[i].queue, (VhostSpan *) lost->data, lost->len))
      *busy = TRUE;
  }
  place_queues (backend);
  return TRUE;
}

static gboolean
is_busy (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; i < priv->n_queues; i++) {
    if (vhost_queue_awaits_release (priv->vrings[i].queue))
      return TRUE;
  }
  return FALSE;
}

void
vhost_backend_note_released (VhostBackend *backend)
{
  if (!is_busy (backend))
    VHOST_BACKEND_GET_CLASS (backend)->iotlb_released (backend);
}

void
vhost_backend_revoke_iotlb (VhostBackend *backend)
{
  VhostBackendPrivate *priv = vhost_backend_get_private (backend);

  for (guint i = 0; i < priv->n_queues; i++)
    vhost_queue_revoke_awaited (priv->vrings[i].queue);
}
