/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what is known of each payload: its sizes and its fields. Numbers are in host byte order and
 * need not be aligned. Constant data and pure functions, any thread. (vhost-user, “Message
 * specification”) */

#include <string.h>
#include "user/vhost-user-rules-private.h"

typedef VhostUserField Field;

#define DECIMAL VHOST_USER_FORMAT_DECIMAL
#define SIGNED VHOST_USER_FORMAT_SIGNED
#define HEX VHOST_USER_FORMAT_HEX

#define AT(type, member)                                                                           \
  .offset = G_STRUCT_OFFSET (type, member), .width = sizeof (((type *) NULL)->member)

#define XEN_REGION_SIZE (sizeof (VhostUserRegion) + 2 * sizeof (guint32))
#define MAX_TABLE_SIZE (8 + VHOST_USER_MAX_TABLE_REGIONS * XEN_REGION_SIZE)

static const Field u64_fields[] = { { "value", 0, 8, DECIMAL } };

static const Field features_fields[] = { { "features", 0, 8, VHOST_USER_FORMAT_FEATURES } };

static const Field protocol_features_fields[] = {
  { "features", 0, 8, VHOST_USER_FORMAT_PROTOCOL_FEATURES },
};

static const Field vring_state_fields[] = {
  { "index", AT (VhostUserVringState, index), DECIMAL },
  { "num", AT (VhostUserVringState, num), DECIMAL },
};

static const Field vring_fd_fields[] = {
  { "index", 0, 8, DECIMAL, .shift = 0, .bits = 8 },
  { "nofd", 0, 8, DECIMAL, .shift = 8, .bits = 1 },
};

static const Field vring_addr_fields[] = {
  { "index", AT (VhostUserVringAddr, index), DECIMAL },
  { "flags", AT (VhostUserVringAddr, flags), HEX },
  { "desc", AT (VhostUserVringAddr, desc), HEX },
  { "used", AT (VhostUserVringAddr, used), HEX },
  { "avail", AT (VhostUserVringAddr, avail), HEX },
  { "log", AT (VhostUserVringAddr, log), HEX },
};

static const Field table_fields[] = {
  { "n_regions", AT (VhostUserMemTable, n_regions), DECIMAL },
};

/* Of a table's region; the last two with XEN_MMAP. */
static const Field table_region_fields[] = {
  { "guest_address", AT (VhostUserRegion, guest_address), HEX },
  { "size", AT (VhostUserRegion, size), HEX },
  { "user_address", AT (VhostUserRegion, user_address), HEX },
  { "mmap_offset", AT (VhostUserRegion, mmap_offset), HEX },
  { "xen_flags", 32, 4, HEX },
  { "xen_domid", 36, 4, DECIMAL },
};

static const Field region_fields[] = {
  { "guest_address", AT (VhostUserSingleRegion, region.guest_address), HEX },
  { "size", AT (VhostUserSingleRegion, region.size), HEX },
  { "user_address", AT (VhostUserSingleRegion, region.user_address), HEX },
  { "mmap_offset", AT (VhostUserSingleRegion, region.mmap_offset), HEX },
  { "xen_flags", 40, 4, HEX },
  { "xen_domid", 44, 4, DECIMAL },
};

static const Field log_base_fields[] = {
  { "mmap_size", AT (VhostUserLogBase, mmap_size), HEX },
  { "mmap_offset", AT (VhostUserLogBase, mmap_offset), HEX },
};

static const Field iotlb_fields[] = {
  { "iova", AT (VhostUserIotlb, iova), HEX },
  { "size", AT (VhostUserIotlb, size), HEX },
  { "user_address", AT (VhostUserIotlb, user_address), HEX },
  { "perm", AT (VhostUserIotlb, perm), DECIMAL },
  { "type", AT (VhostUserIotlb, type), DECIMAL },
};

static const Field config_fields[] = {
  { "offset", AT (VhostUserConfigSpace, offset), DECIMAL },
  { "size", AT (VhostUserConfigSpace, size), DECIMAL },
  { "flags", AT (VhostUserConfigSpace, flags), HEX },
  { "data", G_STRUCT_OFFSET (VhostUserConfigSpace, data), 0, VHOST_USER_FORMAT_BYTES },
};

/* What lies between is made of host structures, with pointers; only these two are portable. */
static const Field crypto_session_fields[] = {
  { "op_code", 0, 8, DECIMAL },
  { "session_id", VHOST_USER_CRYPTO_SESSION_SIZE - 8, 8, SIGNED },
};

static const Field vring_area_fields[] = {
  { "index", AT (VhostUserVringArea, index), DECIMAL, .shift = 0, .bits = 8 },
  { "nofd", AT (VhostUserVringArea, index), DECIMAL, .shift = 8, .bits = 1 },
  { "size", AT (VhostUserVringArea, size), HEX },
  { "offset", AT (VhostUserVringArea, offset), HEX },
};

static const Field inflight_fields[] = {
  { "mmap_size", AT (VhostUserInflightArea, mmap_size), HEX },
  { "mmap_offset", AT (VhostUserInflightArea, mmap_offset), HEX },
  { "num_queues", AT (VhostUserInflightArea, num_queues), DECIMAL },
  { "queue_size", AT (VhostUserInflightArea, queue_size), DECIMAL },
};

static const Field shared_object_fields[] = { { "uuid", 0, 16, VHOST_USER_FORMAT_UUID } };

static const Field transfer_fields[] = {
  { "direction", AT (VhostUserStateTransfer, direction), DECIMAL },
  { "phase", AT (VhostUserStateTransfer, phase), DECIMAL },
};

static const Field shmem_map_fields[] = {
  { "shmid", AT (VhostUserShmemMap, shmid), DECIMAL },
  { "fd_offset", AT (VhostUserShmemMap, fd_offset), HEX },
  { "shm_offset", AT (VhostUserShmemMap, shm_offset), HEX },
  { "len", AT (VhostUserShmemMap, len), HEX },
  { "flags", AT (VhostUserShmemMap, flags), HEX },
};

static const Field shmem_config_fields[] = {
  { "n_regions", AT (VhostUserShmemConfig, n_regions), DECIMAL },
};

static const Field memory_sizes_fields[] = { { NULL, 0, 8, HEX } };

#define FS_ENTRY(member, i)                                                                        \
  {                                                                                                \
#member "[" #i "]", G_STRUCT_OFFSET(VhostUserFsEntries, member) + 8 * (i), 8, HEX              \
  }
#define FS_ARRAY(member)                                                                           \
  FS_ENTRY (member, 0), FS_ENTRY (member, 1), FS_ENTRY (member, 2), FS_ENTRY (member, 3),          \
      FS_ENTRY (member, 4), FS_ENTRY (member, 5), FS_ENTRY (member, 6), FS_ENTRY (member, 7)

static const Field fs_fields[] = {
  FS_ARRAY (fd_offset),
  FS_ARRAY (cache_offset),
  FS_ARRAY (len),
  FS_ARRAY (flags),
};

#define FIELDS(name) .fields = name##_fields, .n_fields = G_N_ELEMENTS (name##_fields)
#define EACH(name) .each = name##_fields, .n_each = G_N_ELEMENTS (name##_fields)

/* A payload: fixed fields, then perhaps an array of equal elements. */
typedef struct {
  guint min_size;
  guint max_size; /* 0: as min_size */
  const Field *fields;
  guint n_fields;
  const char *array;
  const Field *each;
  guint n_each;
} Shape;

static const Shape shapes[] = {
  [VHOST_USER_LAYOUT_NONE] = { 0 },
  [VHOST_USER_LAYOUT_U64] = { 8, FIELDS (u64) },
  [VHOST_USER_LAYOUT_FEATURES] = { 8, FIELDS (features) },
  [VHOST_USER_LAYOUT_PROTOCOL_FEATURES] = { 8, FIELDS (protocol_features) },
  [VHOST_USER_LAYOUT_VRING_STATE] = { sizeof (VhostUserVringState), FIELDS (vring_state) },
  [VHOST_USER_LAYOUT_VRING_FD] = { 8, FIELDS (vring_fd) },
  [VHOST_USER_LAYOUT_VRING_ADDR] = { sizeof (VhostUserVringAddr), FIELDS (vring_addr) },
  [VHOST_USER_LAYOUT_MEM_TABLE] = { 8, MAX_TABLE_SIZE, FIELDS (table), "region",
                                    EACH (table_region) },
  [VHOST_USER_LAYOUT_REGION] = { sizeof (VhostUserSingleRegion), 8 + XEN_REGION_SIZE,
                                 FIELDS (region) },
  [VHOST_USER_LAYOUT_LOG_BASE] = { sizeof (VhostUserLogBase), FIELDS (log_base) },
  [VHOST_USER_LAYOUT_IOTLB] = { sizeof (VhostUserIotlb), FIELDS (iotlb) },
  [VHOST_USER_LAYOUT_CONFIG] = { 12, 12 + VHOST_USER_MAX_CONFIG, FIELDS (config) },
  [VHOST_USER_LAYOUT_CRYPTO_SESSION] = { VHOST_USER_CRYPTO_SESSION_SIZE, FIELDS (crypto_session) },
  [VHOST_USER_LAYOUT_VRING_AREA] = { sizeof (VhostUserVringArea), FIELDS (vring_area) },
  [VHOST_USER_LAYOUT_INFLIGHT] = { sizeof (VhostUserInflightArea), FIELDS (inflight) },
  [VHOST_USER_LAYOUT_SHARED_OBJECT] = { 16, FIELDS (shared_object) },
  [VHOST_USER_LAYOUT_TRANSFER] = { sizeof (VhostUserStateTransfer), FIELDS (transfer) },
  [VHOST_USER_LAYOUT_SHMEM_MAP] = { sizeof (VhostUserShmemMap), FIELDS (shmem_map) },
  [VHOST_USER_LAYOUT_SHMEM_CONFIG] = { sizeof (VhostUserShmemConfig), FIELDS (shmem_config),
                                       "memory_sizes", EACH (memory_sizes) },
  [VHOST_USER_LAYOUT_FS] = { sizeof (VhostUserFsEntries), FIELDS (fs) },
};

guint
vhost_user_layout_get_min_size (VhostUserLayout layout)
{
  return shapes[layout].min_size;
}

guint
vhost_user_layout_get_max_size (VhostUserLayout layout)
{
  return MAX (shapes[layout].min_size, shapes[layout].max_size);
}

static gboolean
is_xen_table (const VhostUserFrame *frame)
{
  return frame->payload.table.n_regions > 0 &&
         frame->size == 8 + XEN_REGION_SIZE * (guint64) frame->payload.table.n_regions;
}

/* Bytes of one element of the array behind the first 8 bytes. */
static guint
get_stride (VhostUserLayout layout, const VhostUserFrame *frame)
{
  if (layout == VHOST_USER_LAYOUT_SHMEM_CONFIG)
    return 8;
  return is_xen_table (frame) ? XEN_REGION_SIZE : sizeof (VhostUserRegion);
}

static gboolean
get_array_field (VhostUserLayout layout, const VhostUserFrame *frame, guint index,
                 VhostUserField *field, char name[VHOST_USER_FIELD_NAME_SIZE])
{
  const Shape *shape = &shapes[layout];
  guint stride = get_stride (layout, frame);
  guint n_each = stride == sizeof (VhostUserRegion) ? 4 : shape->n_each;
  guint element = index / n_each;

  if (layout == VHOST_USER_LAYOUT_MEM_TABLE && element >= frame->payload.table.n_regions)
    return FALSE;
  *field = shape->each[index % n_each];
  if (field->name != NULL)
    g_snprintf (name, VHOST_USER_FIELD_NAME_SIZE, "%s[%u].%s", shape->array, element, field->name);
  else
    g_snprintf (name, VHOST_USER_FIELD_NAME_SIZE, "%s[%u]", shape->array, element);
  field->name = name;
  field->offset += 8 + element * stride;
  return field->offset + field->width <= frame->size;
}

gboolean
vhost_user_layout_get_field (VhostUserLayout layout, const VhostUserFrame *frame, guint index,
                             VhostUserField *field, char name[VHOST_USER_FIELD_NAME_SIZE])
{
  const Shape *shape = &shapes[layout];

  if (index < shape->n_fields) {
    *field = shape->fields[index];
    return field->offset + MAX (field->width, 1) <= frame->size;
  }
  return shape->array != NULL &&
         get_array_field (layout, frame, index - shape->n_fields, field, name);
}

typedef union {
  guint8 u8;
  guint16 u16;
  guint32 u32;
  guint64 u64;
} Number;

static guint64
load (const guint8 *from, guint width)
{
  Number number = { .u64 = 0 };

  memcpy (&number, from, MIN (width, sizeof number));
  return width == 1 ? number.u8 : width == 2 ? number.u16 : width == 4 ? number.u32 : number.u64;
}

static void
store (guint8 *to, guint width, guint64 value)
{
  Number number = { .u64 = value };

  if (width == 1)
    number.u8 = value;
  else if (width == 2)
    number.u16 = value;
  else if (width == 4)
    number.u32 = value;
  memcpy (to, &number, MIN (width, sizeof number));
}

guint64
vhost_user_field_get (const VhostUserField *field, const VhostUserFrame *frame)
{
  guint64 number = load (frame->payload.bytes + field->offset, field->width);

  if (field->bits > 0)
    number = number >> field->shift & ((G_GUINT64_CONSTANT (1) << field->bits) - 1);
  return number;
}

gboolean
vhost_user_field_set (const VhostUserField *field, VhostUserFrame *frame, guint64 value)
{
  guint bits = field->bits > 0 ? field->bits : field->width * 8u;
  guint64 mask = bits >= 64 ? G_MAXUINT64 : (G_GUINT64_CONSTANT (1) << bits) - 1;
  guint8 *at = frame->payload.bytes + field->offset;

  if (value > mask)
    return FALSE;
  if (field->bits > 0)
    value = (load (at, field->width) & ~(mask << field->shift)) | value << field->shift;
  store (at, field->width, value);
  return TRUE;
}

guint64
vhost_user_layout_get_size_after (VhostUserLayout layout, const VhostUserFrame *frame,
                                  const VhostUserField *field, guint64 value)
{
  if (layout == VHOST_USER_LAYOUT_MEM_TABLE && field->offset == 0)
    return 8 + value * get_stride (layout, frame);
  if (layout == VHOST_USER_LAYOUT_CONFIG && field->offset == 4)
    return 12 + value;
  return frame->size;
}
