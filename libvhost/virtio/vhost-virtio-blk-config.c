/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver is told of a disk, and the one byte that it may change.
 *
 * Owns nothing. Control thread. (VIRTIO 1.4, sections 5.2.3 to 5.2.5) */

#include "virtio/vhost-virtio-blk-config-private.h"

#include <string.h>
#include "virtio/vhost-virtio-blk-command-private.h"

/* Little endian. */
typedef struct {
  guint64 capacity;
  guint32 size_max;
  guint32 seg_max;
  guint8 geometry[4];
  guint32 blk_size;
  guint8 physical_block_exp;
  guint8 alignment_offset;
  guint16 min_io_size;
  guint32 opt_io_size;
  guint8 writeback;
  guint8 unused0;
  guint16 num_queues;
  guint32 max_discard_sectors;
  guint32 max_discard_seg;
  guint32 discard_sector_alignment;
  guint32 max_write_zeroes_sectors;
  guint32 max_write_zeroes_seg;
  guint8 write_zeroes_may_unmap;
  guint8 unused1[3];
  guint8 others[36]; /* secure erase and zones */
} Config;

G_STATIC_ASSERT (sizeof (Config) == 96);

#define SEG_MAX 126 /* a queue of 128, less header and status */

static void
put_config (VhostBackend *backend, const Config *config)
{
  vhost_backend_set_config (backend, (const guint8 *) config, sizeof *config);
}

static Config
fetch_config (VhostBackend *backend)
{
  gsize length;
  g_autofree guint8 *bytes = vhost_backend_get_config (backend, &length);
  Config config = { 0 };

  memcpy (&config, bytes, MIN (length, sizeof config));
  return config;
}

static guint64
to_capacity (const VhostBlkFile *file)
{
  return GUINT64_TO_LE (vhost_blk_file_get_size (file) / VHOST_BLK_SECTOR);
}

static void
offer_features (VhostBackend *backend, gboolean read_only)
{
  static const VhostBlkFeature always[] = {
    VHOST_BLK_FEATURE_SEG_MAX,  VHOST_BLK_FEATURE_BLK_SIZE,   VHOST_BLK_FEATURE_FLUSH,
    VHOST_BLK_FEATURE_TOPOLOGY, VHOST_BLK_FEATURE_CONFIG_WCE, VHOST_BLK_FEATURE_MQ,
  };

  for (guint i = 0; i < G_N_ELEMENTS (always); i++)
    vhost_backend_add_feature (backend, always[i]);
  if (read_only) {
    vhost_backend_add_feature (backend, VHOST_BLK_FEATURE_RO);
  } else {
    vhost_backend_add_feature (backend, VHOST_BLK_FEATURE_DISCARD);
    vhost_backend_add_feature (backend, VHOST_BLK_FEATURE_WRITE_ZEROES);
  }
}

void
vhost_blk_config_offer (VhostBackend *backend, const VhostBlkFile *file)
{
  guint per_physical = file->physical_block_size / file->block_size;
  const Config config = {
    .capacity = to_capacity (file),
    .seg_max = GUINT32_TO_LE (SEG_MAX),
    .blk_size = GUINT32_TO_LE (file->block_size),
    .physical_block_exp = (guint8) (g_bit_storage (per_physical) - 1),
    .min_io_size = GUINT16_TO_LE ((guint16) MIN (per_physical, G_MAXUINT16)),
    .writeback = 1,
    .num_queues = GUINT16_TO_LE ((guint16) vhost_backend_get_n_queues (backend)),
    .max_discard_sectors = GUINT32_TO_LE (VHOST_BLK_MAX_RANGE_SECTORS),
    .max_discard_seg = GUINT32_TO_LE (VHOST_BLK_MAX_RANGES),
    .discard_sector_alignment = GUINT32_TO_LE (file->physical_block_size / VHOST_BLK_SECTOR),
    .max_write_zeroes_sectors = GUINT32_TO_LE (VHOST_BLK_MAX_RANGE_SECTORS),
    .max_write_zeroes_seg = GUINT32_TO_LE (VHOST_BLK_MAX_RANGES),
    .write_zeroes_may_unmap = 1,
  };

  put_config (backend, &config);
  vhost_backend_set_config_writable (backend, offsetof (Config, writeback), 1);
  offer_features (backend, file->read_only);
}

gboolean
vhost_blk_config_update_size (VhostBackend *backend, const VhostBlkFile *file)
{
  Config config = fetch_config (backend);

  if (config.capacity == to_capacity (file))
    return FALSE;
  config.capacity = to_capacity (file);
  put_config (backend, &config);
  return TRUE;
}

void
vhost_blk_config_reset (VhostBackend *backend)
{
  Config config = fetch_config (backend);

  config.writeback = 1;
  put_config (backend, &config);
}

gboolean
vhost_blk_config_is_write_through (VhostBackend *backend)
{
  if (vhost_backend_has_feature (backend, VHOST_BLK_FEATURE_CONFIG_WCE))
    return fetch_config (backend).writeback == 0;
  return !vhost_backend_has_feature (backend, VHOST_BLK_FEATURE_FLUSH);
}
