/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of the driver. The kernel refuses them until it has read our answer to DRIVER_OK, by
 * when a queue may have used buffers already: those are sent again from a timer, for a while.
 * Control thread. (<linux/vduse.h>, VDUSE_VQ_INJECT_IRQ) */

#include "core/vhost-error-private.h"
#include "vduse/vhost-vduse-backend-private.h"

#define RETRY_MS 2
#define MAX_RETRIES 1000

/* The number of queues stands for the configuration space. */
static gboolean
try_interrupt (VhostVduseBackend *backend, guint index)
{
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));
  VhostVduseInterrupt result = index < n_queues
                                   ? vhost_vduse_node_interrupt (&backend->node, index)
                                   : vhost_vduse_node_interrupt_config (&backend->node);

  return result != VHOST_VDUSE_INTERRUPT_TOO_EARLY;
}

static gboolean
on_retry (gpointer data)
{
  VhostVduseBackend *backend = data;
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));
  gboolean again = FALSE;

  for (guint i = 0; i <= n_queues; i++) {
    if (backend->interrupts[i])
      backend->interrupts[i] = !try_interrupt (backend, i);
    again |= backend->interrupts[i];
  }
  if (again && ++backend->n_retries < MAX_RETRIES)
    return G_SOURCE_CONTINUE;
  vhost_vduse_backend_forget_interrupts (backend);
  return G_SOURCE_REMOVE;
}

static void
interrupt (VhostVduseBackend *backend, guint index)
{
  if (try_interrupt (backend, index))
    return;
  if (backend->interrupts == NULL)
    backend->interrupts =
        g_new0 (gboolean, vhost_backend_get_n_queues (VHOST_BACKEND (backend)) + 1);
  backend->interrupts[index] = TRUE;
  if (backend->interrupt_retry != NULL)
    return;
  backend->n_retries = 0;
  backend->interrupt_retry = g_timeout_source_new (RETRY_MS);
  g_source_set_callback (backend->interrupt_retry, on_retry, backend, NULL);
  g_source_attach (backend->interrupt_retry, vhost_reactor_get_context (backend->reactor));
}

void
vhost_vduse_backend_interrupt (VhostBackend *base, VhostQueue *queue)
{
  interrupt (VHOST_VDUSE_BACKEND (base), vhost_queue_get_index (queue));
}

void
vhost_vduse_backend_interrupt_config (VhostVduseBackend *backend)
{
  interrupt (backend, vhost_backend_get_n_queues (VHOST_BACKEND (backend)));
}

void
vhost_vduse_backend_forget_interrupts (VhostVduseBackend *backend)
{
  g_clear_pointer (&backend->interrupts, g_free);
  if (backend->interrupt_retry != NULL)
    g_source_destroy (backend->interrupt_retry);
  g_clear_pointer (&backend->interrupt_retry, g_source_unref);
}
