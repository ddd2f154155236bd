/* SPDX-License-Identifier: BSD-3-Clause */
/* The one table of all requests. Encoder, decoder, validator, printer, documentation and tests read
 * it. */
#pragma once

#include "user/vhost-user-wire-private.h"

/* The shape of a payload; each has its fields, in vhost-user-layouts.c. */
typedef enum {
  VHOST_USER_LAYOUT_NONE,
  VHOST_USER_LAYOUT_U64,
  VHOST_USER_LAYOUT_FEATURES,          /* a u64 of VIRTIO feature bits */
  VHOST_USER_LAYOUT_PROTOCOL_FEATURES, /* a u64 of protocol feature bits */
  VHOST_USER_LAYOUT_VRING_STATE,
  VHOST_USER_LAYOUT_VRING_FD, /* u64: index and no-fd bit */
  VHOST_USER_LAYOUT_VRING_ADDR,
  VHOST_USER_LAYOUT_MEM_TABLE,
  VHOST_USER_LAYOUT_REGION,
  VHOST_USER_LAYOUT_LOG_BASE, /* 16 with LOG_SHMFD (or from QEMU always), else u64 */
  VHOST_USER_LAYOUT_IOTLB,
  VHOST_USER_LAYOUT_CONFIG,
  VHOST_USER_LAYOUT_CRYPTO_SESSION,
  VHOST_USER_LAYOUT_VRING_AREA,
  VHOST_USER_LAYOUT_INFLIGHT,
  VHOST_USER_LAYOUT_SHARED_OBJECT,
  VHOST_USER_LAYOUT_TRANSFER,
  VHOST_USER_LAYOUT_SHMEM_MAP,
  VHOST_USER_LAYOUT_SHMEM_CONFIG,
  VHOST_USER_LAYOUT_FS,
} VhostUserLayout;

typedef enum {
  VHOST_USER_FDS_NONE,
  VHOST_USER_FDS_ONE,
  VHOST_USER_FDS_ZERO_OR_ONE,
  VHOST_USER_FDS_PER_REGION, /* as many as the table has regions */
  VHOST_USER_FDS_BY_NOFD,    /* one, or none with the no-fd bit */
  VHOST_USER_FDS_LOG,        /* one with the 16-byte payload and LOG_SHMFD negotiated, else none */
} VhostUserFds;

typedef enum {
  VHOST_USER_REPLY_ACK,        /* u64, only when asked for */
  VHOST_USER_REPLY_ACK_ALWAYS, /* u64, asked for or not */
  VHOST_USER_REPLY_BODY,       /* always, of reply_layout */
  VHOST_USER_REPLY_LOG, /* always with LOG_SHMFD (16 bytes; 0, 8 and 16 accepted), else as ACK */
} VhostUserReply;

/* When a request is allowed, beyond its gate. */
typedef enum {
  VHOST_USER_STATE_ANY,
  VHOST_USER_STATE_UNOWNED, /* SET_OWNER */
  VHOST_USER_STATE_OWNED,   /* only after SET_OWNER */
  VHOST_USER_STATE_STOPPED, /* the ring named in the payload must be stopped */
  VHOST_USER_STATE_ALL_STOPPED,
} VhostUserState;

typedef struct {
  guint request;
  const char *name;
  VhostUserLayout layout;
  VhostUserFds fds;
  VhostUserReply reply;
  VhostUserLayout reply_layout;
  VhostUserFds reply_fds;
  int gate;             /* protocol feature bit, or -1 */
  int feature;          /* VIRTIO feature bit that must be offered or accepted as well, or -1 */
  VhostDeviceId device; /* only for this device, or VHOST_DEVICE_ID_NONE */
  VhostUserState state;
} VhostUserRule;

/* Rules of one role, by request number; n in *@n. Entry 0 is request 1. */
const VhostUserRule *vhost_user_rules_get (VhostUserRole role, guint *n);
const VhostUserRule *vhost_user_rule_find (VhostUserRole role, guint request); /* NULL: unknown */

/* The channel's role when virtio-fs requests of a draft are in use, and their numbers (0: the draft
 * has none). They hide requests of the specification, whose features cannot be negotiated then. */
VhostUserRole vhost_user_role_of_channel (VhostUserFsDialect dialect);
guint vhost_user_fs_get_number (VhostUserFsDialect dialect, VhostUserFsRequest request);
guint64 vhost_user_fs_get_hidden_features (VhostUserFsDialect dialect);

/* How a field is shown. */
typedef enum {
  VHOST_USER_FORMAT_DECIMAL,
  VHOST_USER_FORMAT_SIGNED,
  VHOST_USER_FORMAT_HEX,
  VHOST_USER_FORMAT_FEATURES,
  VHOST_USER_FORMAT_PROTOCOL_FEATURES,
  VHOST_USER_FORMAT_BYTES,
  VHOST_USER_FORMAT_UUID,
} VhostUserFormat;

/* One field of a payload, for the printer, the bindings and the documentation. */
typedef struct {
  const char *name;
  guint16 offset;
  guint16 width; /* bytes: 1, 2, 4, 8; 0 or more: raw bytes, 0 to the end of the payload */
  VhostUserFormat format;
  guint8 shift; /* of @bits bits within the number, when it shares it */
  guint8 bits;
} VhostUserField;

#define VHOST_USER_FIELD_NAME_SIZE 40

/* Payload sizes: without the repeated part, and the largest ever. */
guint vhost_user_layout_get_min_size (VhostUserLayout layout);
guint vhost_user_layout_get_max_size (VhostUserLayout layout);

/* The @index-th field that the payload of @frame is long enough for, FALSE after the last. Fields
 * of repeated parts are named "region[0].size", "memory_sizes[3]"; @name holds the name. */
gboolean vhost_user_layout_get_field (VhostUserLayout layout, const VhostUserFrame *frame,
                                      guint index, VhostUserField *field,
                                      char name[VHOST_USER_FIELD_NAME_SIZE]);

/* Numbers only; setting fails when @value does not fit. */
guint64 vhost_user_field_get (const VhostUserField *field, const VhostUserFrame *frame);
gboolean vhost_user_field_set (const VhostUserField *field, VhostUserFrame *frame, guint64 value);

/* The size the payload should have once @field is @value: a count of regions and the size of a
 * configuration decide over it, other fields do not. */
guint64 vhost_user_layout_get_size_after (VhostUserLayout layout, const VhostUserFrame *frame,
                                          const VhostUserField *field, guint64 value);

/* How the payload of @frame is laid out: by its request, and as a request or an answer. */
VhostUserLayout vhost_user_frame_get_layout (VhostUserRole role, const VhostUserFrame *frame);

/* Is the header one of @role's socket (version, reserved bits, known request, size within the
 * largest of its layouts)? Called before a byte of payload is read. @expect_reply says which kind
 * may come. */
gboolean vhost_user_header_check (VhostUserRole role, gboolean expect_reply, guint32 request,
                                  guint32 flags, guint32 size, GError **error);

/* Does the whole frame obey its rule: header, size and descriptors? @protocol_features (negotiated)
 * choose between layouts (LOG_SHMFD, XEN_MMAP). The error names request and reason. */
gboolean vhost_user_frame_check (VhostUserRole role, const VhostUserFrame *frame,
                                 guint64 protocol_features, GError **error);

/* "SET_VRING_NUM index=0 num=256" and ", need_reply", ", 1 fd (eventfd)"; newly allocated. */
char *vhost_user_frame_to_string (VhostUserRole role, const VhostUserFrame *frame);

/* Shows a message on its way, with the reason why it was refused (or NULL), when VHOST_DEBUG asks
 * for it. */
void vhost_user_frame_show (VhostUserRole role, const char *arrow, const VhostUserFrame *frame,
                            const GError *error);
