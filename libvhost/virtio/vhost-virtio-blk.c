/* SPDX-License-Identifier: BSD-3-Clause */
/* A ready block device: attaches a file, a block device or nothing to any back-end.
 *
 * Owns what the queues share; the queues themselves are served in vhost-virtio-blk-queue.c. On the
 * control thread. (VIRTIO 1.4, section 5.2) */

#include "virtio/vhost-virtio-blk.h"

#include <string.h>
#include <libvhost/vhost-enum-types.h>
#include "core/vhost-error-private.h"
#include "endpoint/vhost-backend-private.h"
#include "virtio/vhost-virtio-blk-config-private.h"
#include "virtio/vhost-virtio-blk-queue-private.h"
#include "virtio/vhost-virtio-blk-uring-private.h"

struct _VhostVirtioBlk {
  GObject parent_instance;

  VhostBackend *backend;
  char *serial;
  VhostVirtioBlkEngine engine;
  VhostBlkDisk *disk; /* NULL until it is open */
};

G_DEFINE_FINAL_TYPE (VhostVirtioBlk, vhost_virtio_blk, G_TYPE_OBJECT)

enum {
  PROP_BACKEND = 1,
  PROP_SERIAL,
  PROP_ENGINE,
  PROP_SIZE,
  N_PROPS,
};

static GParamSpec *props[N_PROPS];

/* --- Back-end ------------------------------------------------------------------------------ */

static void
update_cache_mode (VhostVirtioBlk *self)
{
  if (self->disk != NULL)
    g_atomic_int_set (&self->disk->write_through,
                      vhost_blk_config_is_write_through (self->backend));
}

static void
on_features_changed (VhostBackend *backend, VhostVirtioBlk *self)
{
  if (self->disk != NULL)
    vhost_blk_config_reset (backend);
  update_cache_mode (self);
}

static void
on_config_written (VhostBackend *backend, guint offset, guint size, VhostVirtioBlk *self)
{
  update_cache_mode (self);
}

/* A file that has grown is noticed when the driver looks. */
static void
on_config_read (VhostBackend *backend, guint offset, guint size, VhostVirtioBlk *self)
{
  if (self->disk != NULL && vhost_blk_file_measure (self->disk->file, NULL) &&
      vhost_blk_config_update_size (backend, self->disk->file))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SIZE]);
}

static void
look_again (gpointer data)
{
  VhostVirtioBlk *self = data;

  VHOST_BACKEND_PAUSE (self->backend);
  for (guint i = 0; i < vhost_backend_get_n_queues (self->backend); i++)
    vhost_queue_look_later (vhost_backend_get_queue (self->backend, i));
}

static VhostBlkDisk *
disk_new (VhostVirtioBlk *self, VhostBlkFile *file)
{
  VhostBlkDisk *disk = g_new0 (VhostBlkDisk, 1);

  g_atomic_ref_count_init (&disk->ref_count);
  disk->file = file;
  disk->use_uring =
      self->engine != VHOST_VIRTIO_BLK_ENGINE_THREADS && vhost_blk_uring_is_allowed ();
  disk->strays_gone = look_again;
  disk->data = self;
  return disk;
}

/* At most 20 bytes, without a zero at the end if they are used up. */
static void
set_serial (VhostBlkDisk *disk, const char *serial)
{
  memcpy (disk->serial, serial, MIN (strlen (serial), sizeof disk->serial));
}

static gboolean
check_closed (VhostVirtioBlk *self, GError **error)
{
  if (self->disk == NULL)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the disk is open already");
}

/* Takes @file. */
static gboolean
attach (VhostVirtioBlk *self, VhostBlkFile *file, const char *name, GError **error)
{
  VhostBlkDisk *disk = disk_new (self, file);

  if (self->engine == VHOST_VIRTIO_BLK_ENGINE_IO_URING && !disk->use_uring) {
    vhost_blk_disk_unref (disk);
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "io_uring cannot be used here");
    return FALSE;
  }
  self->disk = disk;
  set_serial (disk, self->serial != NULL ? self->serial : name);
  vhost_blk_config_offer (self->backend, file);
  update_cache_mode (self);
  for (guint i = 0; i < vhost_backend_get_n_queues (self->backend); i++)
    vhost_blk_queue_attach (vhost_backend_get_queue (self->backend, i), disk);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SIZE]);
  return TRUE;
}

static void
detach (VhostVirtioBlk *self)
{
  for (guint i = 0; self->disk != NULL && i < vhost_backend_get_n_queues (self->backend); i++)
    vhost_queue_set_kick_func (vhost_backend_get_queue (self->backend, i), NULL, NULL, NULL);
  if (self->disk != NULL)
    self->disk->strays_gone = NULL;
  g_clear_pointer (&self->disk, vhost_blk_disk_unref);
}

/* --- Object -------------------------------------------------------------------------------- */

static void
vhost_virtio_blk_constructed (GObject *object)
{
  VhostVirtioBlk *self = VHOST_VIRTIO_BLK (object);

  G_OBJECT_CLASS (vhost_virtio_blk_parent_class)->constructed (object);
  if (self->backend == NULL)
    return;
  g_signal_connect_object (self->backend, "features-changed", G_CALLBACK (on_features_changed),
                           self, 0);
  g_signal_connect_object (self->backend, "config-written", G_CALLBACK (on_config_written), self,
                           0);
  g_signal_connect_object (self->backend, "config-read", G_CALLBACK (on_config_read), self, 0);
}

static void
vhost_virtio_blk_dispose (GObject *object)
{
  VhostVirtioBlk *self = VHOST_VIRTIO_BLK (object);

  detach (self);
  g_clear_object (&self->backend);
  G_OBJECT_CLASS (vhost_virtio_blk_parent_class)->dispose (object);
}

static void
vhost_virtio_blk_finalize (GObject *object)
{
  g_free (VHOST_VIRTIO_BLK (object)->serial);
  G_OBJECT_CLASS (vhost_virtio_blk_parent_class)->finalize (object);
}

static void
vhost_virtio_blk_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostVirtioBlk *self = VHOST_VIRTIO_BLK (object);

  switch (id) {
  case PROP_BACKEND:
    g_value_set_object (value, self->backend);
    break;
  case PROP_SERIAL:
    g_value_set_string (value, self->serial);
    break;
  case PROP_ENGINE:
    g_value_set_enum (value, (int) self->engine);
    break;
  case PROP_SIZE:
    g_value_set_uint64 (value, vhost_virtio_blk_get_size (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_virtio_blk_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostVirtioBlk *self = VHOST_VIRTIO_BLK (object);

  switch (id) {
  case PROP_BACKEND:
    self->backend = g_value_dup_object (value);
    break;
  case PROP_SERIAL:
    g_free (self->serial);
    self->serial = g_value_dup_string (value);
    break;
  case PROP_ENGINE:
    self->engine = (VhostVirtioBlkEngine) g_value_get_enum (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_virtio_blk_class_init (VhostVirtioBlkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->constructed = vhost_virtio_blk_constructed;
  object_class->dispose = vhost_virtio_blk_dispose;
  object_class->finalize = vhost_virtio_blk_finalize;
  object_class->get_property = vhost_virtio_blk_get_property;
  object_class->set_property = vhost_virtio_blk_set_property;

  /**
   * VhostVirtioBlk:backend:
   *
   * What carries the device; its `device-id` has to be %VHOST_DEVICE_ID_BLOCK.
   *
   * Since: 1.0
   */
  props[PROP_BACKEND] =
      g_param_spec_object ("backend", NULL, NULL, VHOST_TYPE_BACKEND,
                           G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioBlk:serial:
   *
   * What the guest sees as the disk's serial number: at most 20 bytes, more are cut off. In force
   * from the next [method@Vhost.VirtioBlk.open] on; %NULL, as from the start, stands for the name
   * of the file.
   *
   * Since: 1.0
   */
  props[PROP_SERIAL] =
      g_param_spec_string ("serial", NULL, NULL, NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioBlk:engine:
   *
   * What moves the data that is not in the page cache. In force from the next
   * [method@Vhost.VirtioBlk.open] on.
   *
   * Since: 1.0
   */
  props[PROP_ENGINE] =
      g_param_spec_enum ("engine", NULL, NULL, VHOST_TYPE_VIRTIO_BLK_ENGINE,
                         VHOST_VIRTIO_BLK_ENGINE_AUTO, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  /**
   * VhostVirtioBlk:size: (getter get_size)
   *
   * How many bytes the disk has, in whole sectors of 512; 0 before it is open.
   *
   * Since: 1.0
   */
  props[PROP_SIZE] = g_param_spec_uint64 ("size", NULL, NULL, 0, G_MAXUINT64, 0,
                                          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
vhost_virtio_blk_init (VhostVirtioBlk *self)
{
}

/**
 * vhost_virtio_blk_new:
 * @backend: a back-end of a block device, that nobody has connected to yet
 *
 * Makes a disk that @backend carries. Open it before the back-end is started.
 *
 * Returns: (transfer full): a disk, still without content
 *
 * Since: 1.0
 */
VhostVirtioBlk *
vhost_virtio_blk_new (VhostBackend *backend)
{
  g_return_val_if_fail (VHOST_IS_BACKEND (backend), NULL);

  return g_object_new (VHOST_TYPE_VIRTIO_BLK, "backend", backend, NULL);
}

/**
 * vhost_virtio_blk_open:
 * @disk: a disk
 * @path: (type filename): a file or a block device
 * @flags: how to open it
 * @error: return location
 *
 * Opens what the guest is to see, and serves the queues of the back-end from now on. What the
 * device offers is written into its features and its configuration space.
 *
 * Writes are where a crash of this machine loses them until the guest flushes; a guest that cannot
 * flush has each on the disk when it is complete.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE for a disk that is open, or with a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_blk_open (VhostVirtioBlk *self, const char *path, VhostVirtioBlkFlags flags,
                       GError **error)
{
  g_autofree char *name = NULL;
  VhostBlkFile *file;

  g_return_val_if_fail (VHOST_IS_VIRTIO_BLK (self), FALSE);
  g_return_val_if_fail (path != NULL, FALSE);
  g_return_val_if_fail (self->backend != NULL, FALSE);

  if (!check_closed (self, error))
    return FALSE;
  file = vhost_blk_file_open (path, flags, error);
  if (file == NULL)
    return FALSE;
  name = g_path_get_basename (path);
  return attach (self, file, name, error);
}

/**
 * vhost_virtio_blk_open_null:
 * @disk: a disk
 * @size: bytes
 * @error: return location
 *
 * Makes a disk that keeps nothing: writes are dropped, and reads leave the driver's memory as it
 * was. To measure what everything else costs.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE for a disk that is open
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_blk_open_null (VhostVirtioBlk *self, guint64 size, GError **error)
{
  g_return_val_if_fail (VHOST_IS_VIRTIO_BLK (self), FALSE);
  g_return_val_if_fail (self->backend != NULL, FALSE);

  return check_closed (self, error) && attach (self, vhost_blk_file_new_null (size), "null", error);
}

/**
 * vhost_virtio_blk_refresh_size:
 * @disk: a disk
 * @error: return location
 *
 * Looks how long the file or block device is now, and tells the guest if that is news: call it
 * after the file was resized.
 *
 * On the thread of the back-end.
 *
 * Returns: %FALSE with %VHOST_ERROR_BAD_STATE for a disk that is not open, or with a `G_IO_ERROR`
 *
 * Since: 1.0
 */
gboolean
vhost_virtio_blk_refresh_size (VhostVirtioBlk *self, GError **error)
{
  g_return_val_if_fail (VHOST_IS_VIRTIO_BLK (self), FALSE);

  if (self->disk == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "the disk is not open");
  if (!vhost_blk_file_measure (self->disk->file, error))
    return FALSE;
  if (vhost_blk_config_update_size (self->backend, self->disk->file)) {
    vhost_backend_announce_config (self->backend);
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SIZE]);
  }
  return TRUE;
}

/**
 * vhost_virtio_blk_get_size: (get-property size)
 * @disk: a disk
 *
 * Tells how large the disk is.
 *
 * Returns: bytes, in whole sectors of 512; 0 before it is open
 *
 * Since: 1.0
 */
guint64
vhost_virtio_blk_get_size (VhostVirtioBlk *self)
{
  g_return_val_if_fail (VHOST_IS_VIRTIO_BLK (self), 0);

  return self->disk != NULL ? vhost_blk_file_get_size (self->disk->file) : 0;
}
