/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of devices and of feature bits. Constant data, any thread. (VIRTIO 1.4, sections 5 and 6)
 */

#include "core/vhost-features-private.h"

typedef struct {
  guint bit;
  const char *name;
} BitName;

static const BitName common_names[] = {
  { 24, "NOTIFY_ON_EMPTY" },   { 26, "LOG_ALL" },           { 27, "ANY_LAYOUT" },
  { 28, "INDIRECT_DESC" },     { 29, "EVENT_IDX" },         { 30, "PROTOCOL_FEATURES" },
  { 32, "VERSION_1" },         { 33, "ACCESS_PLATFORM" },   { 34, "RING_PACKED" },
  { 35, "IN_ORDER" },          { 36, "ORDER_PLATFORM" },    { 37, "SR_IOV" },
  { 38, "NOTIFICATION_DATA" }, { 39, "NOTIF_CONFIG_DATA" }, { 40, "RING_RESET" },
  { 41, "ADMIN_VQ" },          { 43, "SUSPEND" },           { 0, NULL },
};

static const BitName net_names[] = {
  { 0, "CSUM" },
  { 1, "GUEST_CSUM" },
  { 2, "CTRL_GUEST_OFFLOADS" },
  { 3, "MTU" },
  { 5, "MAC" },
  { 7, "GUEST_TSO4" },
  { 8, "GUEST_TSO6" },
  { 9, "GUEST_ECN" },
  { 10, "GUEST_UFO" },
  { 11, "HOST_TSO4" },
  { 12, "HOST_TSO6" },
  { 13, "HOST_ECN" },
  { 14, "HOST_UFO" },
  { 15, "MRG_RXBUF" },
  { 16, "STATUS" },
  { 17, "CTRL_VQ" },
  { 18, "CTRL_RX" },
  { 19, "CTRL_VLAN" },
  { 21, "GUEST_ANNOUNCE" },
  { 22, "MQ" },
  { 23, "CTRL_MAC_ADDR" },
  { 56, "HOST_USO" },
  { 57, "HASH_REPORT" },
  { 59, "GUEST_HDRLEN" },
  { 60, "RSS" },
  { 61, "RSC_EXT" },
  { 62, "STANDBY" },
  { 63, "SPEED_DUPLEX" },
  { 0, NULL },
};

static const BitName blk_names[] = {
  { 1, "SIZE_MAX" },      { 2, "SEG_MAX" },  { 4, "GEOMETRY" },      { 5, "RO" },
  { 6, "BLK_SIZE" },      { 9, "FLUSH" },    { 10, "TOPOLOGY" },     { 11, "CONFIG_WCE" },
  { 12, "MQ" },           { 13, "DISCARD" }, { 14, "WRITE_ZEROES" }, { 15, "LIFETIME" },
  { 16, "SECURE_ERASE" }, { 0, NULL },
};

static const BitName console_names[] = {
  { 0, "SIZE" },
  { 1, "MULTIPORT" },
  { 2, "EMERG_WRITE" },
  { 0, NULL },
};

static const BitName scsi_names[] = {
  { 0, "INOUT" }, { 1, "HOTPLUG" }, { 2, "CHANGE" }, { 3, "T10_PI" }, { 0, NULL },
};

static const BitName gpu_names[] = {
  { 0, "VIRGL" },         { 1, "EDID" },         { 2, "RESOURCE_UUID" },
  { 3, "RESOURCE_BLOB" }, { 4, "CONTEXT_INIT" }, { 0, NULL },
};

static const BitName vsock_names[] = {
  { 0, "STREAM" },
  { 1, "SEQPACKET" },
  { 2, "NO_IMPLIED_STREAM" },
  { 0, NULL },
};

static const struct {
  VhostDeviceId id;
  const char *name;
  const BitName *features;
} devices[] = {
  { VHOST_DEVICE_ID_NETWORK, "net", net_names },
  { VHOST_DEVICE_ID_BLOCK, "blk", blk_names },
  { VHOST_DEVICE_ID_CONSOLE, "console", console_names },
  { VHOST_DEVICE_ID_ENTROPY, "rng", NULL },
  { VHOST_DEVICE_ID_BALLOON, "balloon", NULL },
  { VHOST_DEVICE_ID_SCSI, "scsi", scsi_names },
  { VHOST_DEVICE_ID_P9, "9p", NULL },
  { VHOST_DEVICE_ID_GPU, "gpu", gpu_names },
  { VHOST_DEVICE_ID_INPUT, "input", NULL },
  { VHOST_DEVICE_ID_VSOCK, "vsock", vsock_names },
  { VHOST_DEVICE_ID_CRYPTO, "crypto", NULL },
  { VHOST_DEVICE_ID_IOMMU, "iommu", NULL },
  { VHOST_DEVICE_ID_MEM, "mem", NULL },
  { VHOST_DEVICE_ID_SOUND, "sound", NULL },
  { VHOST_DEVICE_ID_FS, "fs", NULL },
  { VHOST_DEVICE_ID_PMEM, "pmem", NULL },
  { VHOST_DEVICE_ID_RPMB, "rpmb", NULL },
  { VHOST_DEVICE_ID_I2C, "i2c", NULL },
  { VHOST_DEVICE_ID_CAN, "can", NULL },
  { VHOST_DEVICE_ID_GPIO, "gpio", NULL },
};

static const char *
find_name (const BitName *names, guint bit)
{
  for (; names != NULL && names->name != NULL; names++) {
    if (names->bit == bit)
      return names->name;
  }
  return NULL;
}

/**
 * vhost_device_id_get_name:
 * @device_id: a device
 *
 * A short name: "blk", "net", "rng". May be called from any thread.
 *
 * Returns: (transfer none) (nullable): the name, or %NULL when the number is not known
 *
 * Since: 1.0
 */
const char *
vhost_device_id_get_name (VhostDeviceId device_id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (devices); i++) {
    if (devices[i].id == device_id)
      return devices[i].name;
  }
  return NULL;
}

/**
 * vhost_feature_get_name:
 * @device_id: whose feature, for bits 0 to 23 and from 50 on
 * @bit: number of the bit
 *
 * The specification's name of a feature bit, without prefix: "EVENT_IDX", "FLUSH". May be called
 * from any thread.
 *
 * Returns: (transfer none) (nullable): the name, or %NULL when the bit is not known
 *
 * Since: 1.0
 */
const char *
vhost_feature_get_name (VhostDeviceId device_id, guint bit)
{
  const char *name = find_name (common_names, bit);

  for (gsize i = 0; name == NULL && i < G_N_ELEMENTS (devices); i++) {
    if (devices[i].id == device_id)
      name = find_name (devices[i].features, bit);
  }
  return name;
}

char *
vhost_word_to_string (guint64 word, const char *(*get_name) (guint bit, gpointer data),
                      gpointer data)
{
  GString *text = g_string_new (NULL);

  for (guint bit = 0; bit < 64; bit++) {
    const char *name;

    if (!vhost_word_has (word, bit))
      continue;
    name = get_name (bit, data);
    if (text->len > 0)
      g_string_append (text, ", ");
    if (name != NULL)
      g_string_append (text, name);
    else
      g_string_append_printf (text, "bit %u", bit);
  }
  return g_string_free (text, FALSE);
}

static const char *
name_feature (guint bit, gpointer data)
{
  return vhost_feature_get_name (GPOINTER_TO_INT (data), bit);
}

/**
 * vhost_features_to_string:
 * @device_id: whose features
 * @features: a word of feature bits
 *
 * Names the bits of a word: "FLUSH, EVENT_IDX, VERSION_1, bit 50". May be called from any thread.
 *
 * Returns: (transfer full): the text; empty when no bit is set
 *
 * Since: 1.0
 */
char *
vhost_features_to_string (VhostDeviceId device_id, guint64 features)
{
  return vhost_word_to_string (features, name_feature, GINT_TO_POINTER (device_id));
}
