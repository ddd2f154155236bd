/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory as the front-end shares it: whole tables, or one region at a time. A new table is
 * complete before the old one is let go; whatever fails leaves the old one in force. Control
 * thread. (vhost-user, “Multiple memory regions”, CONFIGURE_MEM_SLOTS) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"
#include "user/vhost-user-region-private.h"

static VhostMemory *
add_region (VhostUserBackend *backend, VhostMemory *memory, const VhostUserFrame *frame,
            guint index, GError **error)
{
  VhostUserWireRegion wire;
  const VhostUserRegion *region = &wire.region;
  g_autoptr (VhostMemoryRegion) mapped = NULL;

  vhost_user_region_load (frame, index, backend->acked_protocol, &wire);
  if (!vhost_user_region_check (&wire, backend->acked_protocol, error))
    return NULL;
  mapped = vhost_memory_region_map (region->guest_address, region->size, region->user_address,
                                    frame->fds.fd[index], region->mmap_offset, error);
  return mapped != NULL ? vhost_memory_add (memory, mapped, error) : NULL;
}

gboolean
vhost_user_backend_set_mem_table (VhostUserBackend *backend, VhostUserFrame *frame,
                                  VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostMemory) memory = vhost_memory_new ();

  for (guint i = 0; i < frame->payload.table.n_regions; i++) {
    VhostMemory *sum = add_region (backend, memory, frame, i, error);

    if (sum == NULL)
      return FALSE;
    vhost_memory_unref (memory);
    memory = sum;
  }
  vhost_backend_take_memory (VHOST_BACKEND (backend), g_steal_pointer (&memory));
  return TRUE;
}

static VhostMemory *
get_memory (VhostUserBackend *backend)
{
  VhostMemory *memory = vhost_backend_get_memory (VHOST_BACKEND (backend));

  return memory != NULL ? vhost_memory_ref (memory) : vhost_memory_new ();
}

gboolean
vhost_user_backend_add_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostMemory) memory = get_memory (backend);
  VhostMemory *sum;

  if (vhost_memory_get_n_regions (memory) >= VHOST_USER_MAX_SLOTS)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "all %d memory slots are taken",
                            VHOST_USER_MAX_SLOTS);
  sum = add_region (backend, memory, frame, 0, error);
  if (sum == NULL)
    return FALSE;
  vhost_backend_take_memory (VHOST_BACKEND (backend), sum);
  return TRUE;
}

gboolean
vhost_user_backend_rem_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostMemory) memory = get_memory (backend);
  const VhostUserRegion *region = &frame->payload.region.region;
  VhostMemory *rest = vhost_memory_remove (memory, region->guest_address, region->size,
                                           region->user_address, error);

  if (rest == NULL)
    return FALSE;
  vhost_backend_take_memory (VHOST_BACKEND (backend), rest);
  return TRUE;
}
