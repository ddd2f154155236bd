/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory as the front-end shares it: whole tables, or one region at a time. A new table is
 * complete before the old one is let go; whatever fails leaves the old one in force. Control
 * thread. (vhost-user, “Multiple memory regions”, CONFIGURE_MEM_SLOTS) */

#include <sys/stat.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-private.h"
#include "user/vhost-user-region-private.h"

/* A region that ADD_MEM_REG brought, and how often: QEMU 7.2 adds and removes each once per queue
 * pair. Not more than a slot each, however often. */
typedef struct {
  VhostUserRegion region;
  dev_t device;
  ino_t inode;
  guint count;
} Slot;

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
  g_clear_pointer (&backend->slots, g_array_unref);
  vhost_backend_take_memory (VHOST_BACKEND (backend), g_steal_pointer (&memory));
  return TRUE;
}

static VhostMemory *
get_memory (VhostUserBackend *backend)
{
  VhostMemory *memory = vhost_backend_get_memory (VHOST_BACKEND (backend));

  return memory != NULL ? vhost_memory_ref (memory) : vhost_memory_new ();
}

/* The slots of this session: without memory there is none. */
static GArray *
get_slots (VhostUserBackend *backend, const VhostMemory *memory)
{
  if (backend->slots == NULL)
    backend->slots = g_array_new (FALSE, FALSE, sizeof (Slot));
  if (vhost_memory_get_n_regions ((VhostMemory *) memory) == 0)
    g_array_set_size (backend->slots, 0);
  return backend->slots;
}

/* The offset in the file does not count in REM_MEM_REG. */
static Slot *
find_slot (GArray *slots, const VhostUserRegion *region, guint *index)
{
  for (*index = 0; *index < slots->len; (*index)++) {
    Slot *slot = &g_array_index (slots, Slot, *index);

    if (slot->region.guest_address == region->guest_address && slot->region.size == region->size &&
        slot->region.user_address == region->user_address)
      return slot;
  }
  return NULL;
}

static gboolean
is_same_file (const Slot *slot, const Slot *other)
{
  return slot->region.mmap_offset == other->region.mmap_offset && slot->device == other->device &&
         slot->inode == other->inode && slot->count < G_MAXUINT;
}

gboolean
vhost_user_backend_add_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostMemory) memory = get_memory (backend);
  GArray *slots = get_slots (backend, memory);
  Slot added = { .region = frame->payload.region.region, .count = 1 };
  struct stat file;
  VhostMemory *sum;
  Slot *slot;
  guint index;

  if (fstat (frame->fds.fd[0], &file) == 0) {
    added.device = file.st_dev;
    added.inode = file.st_ino;
  }
  slot = find_slot (slots, &added.region, &index);
  if (slot != NULL && is_same_file (slot, &added)) {
    slot->count++;
    return TRUE;
  }
  if (vhost_memory_get_n_regions (memory) >= VHOST_USER_MAX_SLOTS)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY, "all %d memory slots are taken",
                            VHOST_USER_MAX_SLOTS);
  sum = add_region (backend, memory, frame, 0, error);
  if (sum == NULL)
    return FALSE;
  g_array_append_val (slots, added);
  vhost_backend_take_memory (VHOST_BACKEND (backend), sum);
  return TRUE;
}

gboolean
vhost_user_backend_rem_mem_reg (VhostUserBackend *backend, VhostUserFrame *frame,
                                VhostUserFrame *reply, GError **error)
{
  g_autoptr (VhostMemory) memory = get_memory (backend);
  GArray *slots = get_slots (backend, memory);
  const VhostUserRegion *region = &frame->payload.region.region;
  VhostMemory *rest;
  guint index;
  Slot *slot = find_slot (slots, region, &index);

  if (slot != NULL && slot->count > 1) {
    slot->count--;
    return TRUE;
  }
  rest = vhost_memory_remove (memory, region->guest_address, region->size, region->user_address,
                              error);
  if (rest == NULL)
    return FALSE;
  if (slot != NULL)
    g_array_remove_index_fast (slots, index);
  vhost_backend_take_memory (VHOST_BACKEND (backend), rest);
  return TRUE;
}
