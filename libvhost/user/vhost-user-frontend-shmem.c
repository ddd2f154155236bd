/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the shared memory regions of a device: for each an address range of its own size, reserved
 * when something is first mapped, into which the back-end has pieces of files mapped. Nothing
 * outside these pieces can be reached. Thread of the front-end. (vhost-user, SHMEM; VIRTIO, “Shared
 * Memory Regions”) */

#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"

#define MAX_MAPPINGS 1024 /* of one back-end: the kernel's mappings are no endless supply */

typedef struct {
  guint64 offset;
  guint64 len;
  gboolean writable;
  int broken; /* set by the SIGBUS guard: the file went away */
} Mapping;

typedef struct {
  guint64 size;
  guint8 *base;        /* NULL until something is mapped */
  GPtrArray *mappings; /* in no order */
} Window;

struct _VhostUserFrontendShmem {
  Window windows[VHOST_USER_MAX_SHMEM_REGIONS];
  guint n_mappings;
};

enum {
  SIGNAL_MAPPED,
  SIGNAL_UNMAPPED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

static guint64
get_page_size (void)
{
  return (guint64) sysconf (_SC_PAGESIZE);
}

/* What the window of that number is; NULL: there is none. */
static Window *
find_window (VhostUserFrontend *frontend, guint shmid)
{
  Window *window;

  if (frontend->shmem == NULL || shmid >= VHOST_USER_MAX_SHMEM_REGIONS)
    return NULL;
  window = &frontend->shmem->windows[shmid];
  return window->size > 0 ? window : NULL;
}

static gboolean
check_config (const VhostUserShmemConfig *config, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    if (config->memory_sizes[i] % get_page_size () != 0)
      return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                              "GET_SHMEM_CONFIG: region %u of 0x%" G_GINT64_MODIFIER
                              "x bytes is not made of whole pages",
                              i, config->memory_sizes[i]);
    n += config->memory_sizes[i] != 0;
  }
  if (n != config->n_regions)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "GET_SHMEM_CONFIG: %u regions announced, %u described",
                            config->n_regions, n);
  return TRUE;
}

/* The first answer is kept; another one that differs breaks a promise. */
static gboolean
take_config (VhostUserFrontend *frontend, const VhostUserShmemConfig *config, GError **error)
{
  if (frontend->shmem == NULL) {
    frontend->shmem = g_new0 (VhostUserFrontendShmem, 1);
    for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++)
      frontend->shmem->windows[i].size = config->memory_sizes[i];
    return TRUE;
  }
  for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    if (frontend->shmem->windows[i].size != config->memory_sizes[i])
      return vhost_set_error (error, VHOST_ERROR_PROTOCOL,
                              "GET_SHMEM_CONFIG: region %u has changed", i);
  }
  return TRUE;
}

/**
 * vhost_user_frontend_get_shmem_config:
 * @frontend: a front-end
 * @cancellable: (nullable): to give up early
 * @n_regions: (out): how many numbers the result has, always 256
 * @error: return location
 *
 * Asks for the shared memory regions of the device. Until this was called once, the back-end cannot
 * map anything. Blocks for [property@Vhost.UserFrontend:timeout] at most.
 *
 * Returns: (array length=n_regions) (transfer full): size in bytes of each region by its number, 0
 * for none; %NULL with %VHOST_ERROR_NOT_NEGOTIATED when the back-end has none,
 * %VHOST_ERROR_INVALID_VALUE when they make no sense, %VHOST_ERROR_PROTOCOL when they have changed,
 * or another error
 *
 * Since: 1.0
 */
guint64 *
vhost_user_frontend_get_shmem_config (VhostUserFrontend *frontend, GCancellable *cancellable,
                                      gsize *n_regions, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };
  const VhostUserShmemConfig *config = &reply.payload.shmem_config;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), NULL);

  *n_regions = 0;
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_GET_SHMEM_CONFIG, 0);
  if (!vhost_user_frontend_call (frontend, &frame, &reply, cancellable, error) ||
      !check_config (config, error) || !take_config (frontend, config, error))
    return NULL;
  *n_regions = VHOST_USER_MAX_SHMEM_REGIONS;
  return g_memdup2 (config->memory_sizes, sizeof config->memory_sizes);
}

/* Mapping */

static gboolean
check_map (VhostUserFrontend *frontend, const Window *window, const VhostUserShmemMap *map,
           GError **error)
{
  guint64 numbers = map->len | map->shm_offset | map->fd_offset;

  if (window == NULL)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "there is no region %u", map->shmid);
  if (numbers % get_page_size () != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "not whole pages");
  if (map->len == 0 || map->len > window->size || map->shm_offset > window->size - map->len)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                            "x are not inside region %u",
                            map->len, map->shm_offset, map->shmid);
  if ((map->flags & ~(guint64) VHOST_USER_SHMEM_WRITABLE) != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "unknown flags");
  if (frontend->shmem->n_mappings >= MAX_MAPPINGS)
    return vhost_set_error (error, VHOST_ERROR_QUEUE_FULL,
                            "%d mappings are as many as one may have", MAX_MAPPINGS);
  return TRUE;
}

static gboolean
check_free (const Window *window, const VhostUserShmemMap *map, GError **error)
{
  for (guint i = 0; window->mappings != NULL && i < window->mappings->len; i++) {
    const Mapping *other = g_ptr_array_index (window->mappings, i);

    if (map->shm_offset < other->offset + other->len && other->offset < map->shm_offset + map->len)
      return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "something is mapped there already");
  }
  return TRUE;
}

static gboolean
check_file (int fd, const VhostUserShmemMap *map, GError **error)
{
  struct stat status;

  if (map->fd_offset > G_MAXINT64 - map->len)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "no file is that long");
  if (fstat (fd, &status) < 0)
    return vhost_set_error_from_errno (error, errno, "cannot look at the file");
  if (S_ISREG (status.st_mode) && map->fd_offset + map->len > (guint64) status.st_size)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "the file has 0x%" G_GINT64_MODIFIER "x bytes",
                            (guint64) status.st_size);
  return TRUE;
}

static gboolean
reserve_window (Window *window, GError **error)
{
  void *base;

  if (window->base != NULL)
    return TRUE;
  base = window->size <= G_MAXSSIZE ? mmap (NULL, window->size, PROT_NONE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                    : MAP_FAILED;
  if (base == MAP_FAILED)
    return vhost_set_error (error, VHOST_ERROR_FAILED,
                            "cannot reserve 0x%" G_GINT64_MODIFIER "x bytes", window->size);
  window->base = base;
  window->mappings = g_ptr_array_new_with_free_func (g_free);
  return TRUE;
}

static gsize
get_file_page_size (int fd)
{
  struct statfs status;

  return fstatfs (fd, &status) == 0 && status.f_type == HUGETLBFS_MAGIC ? (gsize) status.f_bsize
                                                                        : (gsize) get_page_size ();
}

static gboolean
map_file (Window *window, int fd, const VhostUserShmemMap *map, GError **error)
{
  gboolean writable = (map->flags & VHOST_USER_SHMEM_WRITABLE) != 0;
  guint8 *at = window->base + map->shm_offset;
  Mapping *mapping;

  if (mmap (at, map->len, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd,
            (off_t) map->fd_offset) == MAP_FAILED)
    return vhost_set_error_from_errno (error, errno, "cannot map the file");
  madvise (at, map->len, MADV_DONTDUMP);
  mapping = g_new0 (Mapping, 1);
  mapping->offset = map->shm_offset;
  mapping->len = map->len;
  mapping->writable = writable;
  vhost_sigbus_register (at, map->len, get_file_page_size (fd), &mapping->broken);
  g_ptr_array_add (window->mappings, mapping);
  return TRUE;
}

gboolean
vhost_user_frontend_map_shmem (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                               GError **error)
{
  const VhostUserShmemMap *map = &frame->payload.shmem_map;
  Window *window = find_window (frontend, map->shmid);

  if (!vhost_word_has (frontend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                            "protocol feature BACKEND_SEND_FD was not negotiated");
  if (!check_map (frontend, window, map, error) || !check_free (window, map, error) ||
      !check_file (frame->fds.fd[0], map, error) || !reserve_window (window, error) ||
      !map_file (window, frame->fds.fd[0], map, error))
    return FALSE;
  frontend->shmem->n_mappings++;
  g_signal_emit (frontend, signals[SIGNAL_MAPPED], 0, (guint) map->shmid, map->shm_offset, map->len,
                 (map->flags & VHOST_USER_SHMEM_WRITABLE) != 0);
  return TRUE;
}

/* Unmapping */

/* Takes the mapping at @index away: the range is only reserved again. */
static void
unmap (VhostUserFrontend *frontend, guint shmid, guint index)
{
  Window *window = &frontend->shmem->windows[shmid];
  g_autofree Mapping *mapping = g_ptr_array_steal_index_fast (window->mappings, index);
  guint8 *at = window->base + mapping->offset;

  vhost_sigbus_unregister (at);
  mmap (at, mapping->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
        0);
  frontend->shmem->n_mappings--;
  g_signal_emit (frontend, signals[SIGNAL_UNMAPPED], 0, shmid, mapping->offset, mapping->len);
}

gboolean
vhost_user_frontend_unmap_shmem (VhostUserFrontend *frontend, const VhostUserFrame *frame,
                                 GError **error)
{
  const VhostUserShmemMap *map = &frame->payload.shmem_map;
  const Window *window = find_window (frontend, map->shmid);

  for (guint i = 0; window != NULL && window->mappings != NULL && i < window->mappings->len; i++) {
    const Mapping *mapping = g_ptr_array_index (window->mappings, i);

    if (mapping->offset == map->shm_offset && mapping->len == map->len) {
      unmap (frontend, map->shmid, i);
      return TRUE;
    }
  }
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                          "x of region %u are not one whole mapping",
                          map->len, map->shm_offset, map->shmid);
}

/* A handler of the signals may end it all meanwhile. */
void
vhost_user_frontend_reset_shmem (VhostUserFrontend *frontend)
{
  for (guint i = 0; i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    while (frontend->shmem != NULL && frontend->shmem->windows[i].mappings != NULL &&
           frontend->shmem->windows[i].mappings->len > 0)
      unmap (frontend, i, frontend->shmem->windows[i].mappings->len - 1);
  }
}

void
vhost_user_frontend_forget_shmem (VhostUserFrontend *frontend)
{
  g_autofree VhostUserFrontendShmem *shmem = NULL;

  vhost_user_frontend_reset_shmem (frontend);
  shmem = g_steal_pointer (&frontend->shmem);
  for (guint i = 0; shmem != NULL && i < VHOST_USER_MAX_SHMEM_REGIONS; i++) {
    g_clear_pointer (&shmem->windows[i].mappings, g_ptr_array_unref);
    if (shmem->windows[i].base != NULL)
      munmap (shmem->windows[i].base, shmem->windows[i].size);
  }
}

/* Access */

/* The mapping that holds @offset, or NULL. */
static Mapping *
find_mapping (const Window *window, guint64 offset)
{
  for (guint i = 0; window->mappings != NULL && i < window->mappings->len; i++) {
    Mapping *mapping = g_ptr_array_index (window->mappings, i);

    if (offset >= mapping->offset && offset - mapping->offset < mapping->len)
      return mapping;
  }
  return NULL;
}

/* Copies, piece by piece, or with neither @to nor @from only checks. */
static gboolean
copy (const Window *window, guint64 offset, gsize size, guint8 *to, const guint8 *from,
      gboolean writing, GError **error)
{
  for (gsize done = 0, n; done < size; done += n) {
    Mapping *mapping = find_mapping (window, offset + done);

    if (mapping == NULL || (writing && !mapping->writable))
      return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                              "nothing%s is mapped at 0x%" G_GINT64_MODIFIER "x",
                              mapping != NULL ? " writable" : "", offset + done);
    n = MIN (size - done, mapping->offset + mapping->len - (offset + done));
    if (to != NULL)
      memcpy (to + done, window->base + offset + done, n);
    if (from != NULL)
      memcpy (window->base + offset + done, from + done, n);
    if (g_atomic_int_get (&mapping->broken) != 0)
      return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                              "the file behind the mapping has shrunk");
  }
  return TRUE;
}

static Window *
find_range (VhostUserFrontend *frontend, guint shmid, guint64 offset, gsize size, gboolean writing,
            GError **error)
{
  Window *window = find_window (frontend, shmid);

  if (window == NULL || size > window->size || offset > window->size - size) {
    vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                     "%" G_GSIZE_FORMAT " bytes at 0x%" G_GINT64_MODIFIER
                     "x are not inside region %u",
                     size, offset, shmid);
    return NULL;
  }
  return copy (window, offset, size, NULL, NULL, writing, error) ? window : NULL;
}

/**
 * vhost_user_frontend_count_shmem_mappings:
 * @frontend: a front-end
 * @shmid: number of the region
 *
 * Counts what the back-end has mapped into a shared memory region.
 *
 * Returns: the number of mappings
 *
 * Since: 1.0
 */
guint
vhost_user_frontend_count_shmem_mappings (VhostUserFrontend *frontend, guint shmid)
{
  const Window *window;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), 0);

  window = find_window (frontend, shmid);
  return window != NULL && window->mappings != NULL ? window->mappings->len : 0;
}

/**
 * vhost_user_frontend_peek_shmem:
 * @frontend: a front-end
 * @shmid: number of the region
 *
 * Gives the address range that is the shared memory region, to be shown to a guest. It stays where
 * it is until the back-end is left; only what [signal@Vhost.UserFrontend::shmem-mapped] told of can
 * be touched.
 *
 * Returns: (transfer none) (nullable): its first byte, or %NULL when there is no such region or it
 * cannot be reserved
 *
 * Since: 1.0
 */
gpointer
vhost_user_frontend_peek_shmem (VhostUserFrontend *frontend, guint shmid)
{
  Window *window;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), NULL);

  window = find_window (frontend, shmid);
  return window != NULL && reserve_window (window, NULL) ? window->base : NULL;
}

/**
 * vhost_user_frontend_read_shmem:
 * @frontend: a front-end
 * @shmid: number of the region
 * @offset: where to begin, in bytes
 * @size: how many bytes
 * @length: (out): bytes in the result
 * @error: return location
 *
 * Reads what the back-end has mapped into a shared memory region.
 *
 * Returns: (array length=length) (transfer full): the bytes; %NULL with %VHOST_ERROR_BAD_ADDRESS
 * when not all of them are mapped, or %VHOST_ERROR_BAD_MEMORY when the file has shrunk
 *
 * Since: 1.0
 */
guint8 *
vhost_user_frontend_read_shmem (VhostUserFrontend *frontend, guint shmid, guint64 offset,
                                gsize size, gsize *length, GError **error)
{
  g_autofree guint8 *data = NULL;
  const Window *window;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), NULL);

  *length = 0;
  window = find_range (frontend, shmid, offset, size, FALSE, error);
  if (window == NULL)
    return NULL;
  data = g_malloc (MAX (size, 1));
  if (!copy (window, offset, size, data, NULL, FALSE, error))
    return NULL;
  *length = size;
  return g_steal_pointer (&data);
}

/**
 * vhost_user_frontend_write_shmem:
 * @frontend: a front-end
 * @shmid: number of the region
 * @offset: where to begin, in bytes
 * @data: (array length=length): the bytes
 * @length: how many there are
 * @error: return location
 *
 * Writes to what the back-end has mapped into a shared memory region.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_ADDRESS when not all of the range is mapped
 * writable (nothing was written), or %VHOST_ERROR_BAD_MEMORY when the file has shrunk
 *
 * Since: 1.0
 */
gboolean
vhost_user_frontend_write_shmem (VhostUserFrontend *frontend, guint shmid, guint64 offset,
                                 const guint8 *data, gsize length, GError **error)
{
  const Window *window;

  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  window = find_range (frontend, shmid, offset, length, TRUE, error);
  return window != NULL && copy (window, offset, length, NULL, data, TRUE, error);
}

void
vhost_user_frontend_install_shmem (GObjectClass *object_class)
{
  GType type = G_TYPE_FROM_CLASS (object_class);

  /**
   * VhostUserFrontend::shmem-mapped:
   * @frontend: the front-end
   * @shmid: number of the shared memory region
   * @shm_offset: where the mapping begins in it, in bytes
   * @len: bytes
   * @writable: whether it can be written to
   *
   * The back-end has mapped a piece of a file; see [method@Vhost.UserFrontend.read_shmem]. It may
   * come while a call waits for the back-end: no other call to it can be made from here.
   *
   * Since: 1.0
   */
  signals[SIGNAL_MAPPED] =
      g_signal_new ("shmem-mapped", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 4,
                    G_TYPE_UINT, G_TYPE_UINT64, G_TYPE_UINT64, G_TYPE_BOOLEAN);
  /**
   * VhostUserFrontend::shmem-unmapped:
   * @frontend: the front-end
   * @shmid: number of the shared memory region
   * @shm_offset: where the mapping began in it, in bytes
   * @len: bytes
   *
   * A mapping is gone: the back-end took it away, the device was reset, or the back-end has left.
   *
   * Since: 1.0
   */
  signals[SIGNAL_UNMAPPED] =
      g_signal_new ("shmem-unmapped", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 3,
                    G_TYPE_UINT, G_TYPE_UINT64, G_TYPE_UINT64);
}
