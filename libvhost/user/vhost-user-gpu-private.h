/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user-gpu protocol: its one table, and a connection as the files of both its sides see
 * it. */
#pragma once

#include "core/vhost-fd-private.h"
#include "core/vhost-reactor-private.h"
#include "user/vhost-user-gpu-connection.h"

#define VHOST_USER_GPU_MAX_SCANOUTS 16
#define VHOST_USER_GPU_MAX_SIDE 16384
#define VHOST_USER_GPU_MAX_PIXELS (G_GUINT64_CONSTANT (1) << 26)
#define VHOST_USER_GPU_CURSOR_SIDE 64
#define VHOST_USER_GPU_EDID_SIZE 1024
#define VHOST_USER_GPU_REPLY 4u

typedef struct {
  guint32 request;
  guint32 flags;
  guint32 size;
} VhostUserGpuHeader;

typedef struct {
  guint32 scanout_id;
  guint32 x;
  guint32 y;
} VhostUserGpuCursorPos;

typedef struct {
  VhostUserGpuCursorPos pos;
  guint32 hot_x;
  guint32 hot_y;
  guint32 data[VHOST_USER_GPU_CURSOR_SIDE * VHOST_USER_GPU_CURSOR_SIDE];
} VhostUserGpuCursorUpdate;

typedef struct {
  guint32 scanout_id;
  guint32 width;
  guint32 height;
} VhostUserGpuScanout;

typedef struct {
  guint32 scanout_id;
  guint32 x;
  guint32 y;
  guint32 width;
  guint32 height;
} VhostUserGpuUpdate; /* the pixels follow */

typedef struct {
  guint32 scanout_id;
  guint32 x;
  guint32 y;
  guint32 width;
  guint32 height;
  guint32 fd_width;
  guint32 fd_height;
  guint32 fd_stride;
  guint32 fd_flags;
  gint32 fourcc;
  guint64 modifier; /* in DMABUF_SCANOUT2 only */
} VhostUserGpuDmabuf;

#define VHOST_USER_GPU_DMABUF_SIZE 40

/* Of virtio-gpu, little endian. */
typedef struct {
  guint32 type;
  guint32 flags;
  guint64 fence_id;
  guint32 ctx_id;
  guint32 padding;
} VhostUserGpuResponse;

typedef struct {
  VhostUserGpuResponse header;
  struct {
    guint32 x;
    guint32 y;
    guint32 width;
    guint32 height;
    guint32 enabled;
    guint32 flags;
  } modes[VHOST_USER_GPU_MAX_SCANOUTS];
} VhostUserGpuDisplayInfo;

typedef struct {
  VhostUserGpuResponse header;
  guint32 size;
  guint32 padding;
  guint8 edid[VHOST_USER_GPU_EDID_SIZE];
} VhostUserGpuEdid;

G_STATIC_ASSERT (sizeof (VhostUserGpuCursorUpdate) == 16404);
G_STATIC_ASSERT (sizeof (VhostUserGpuUpdate) == 20);
G_STATIC_ASSERT (sizeof (VhostUserGpuDmabuf) == 48);
G_STATIC_ASSERT (sizeof (VhostUserGpuDisplayInfo) == 408);
G_STATIC_ASSERT (sizeof (VhostUserGpuEdid) == 1056);

typedef struct {
  const char *name;
  guint size;      /* of the payload, or what comes before the pixels */
  gboolean pixels; /* 4 bytes for each pixel follow */
  guint max_fds;
  int reply_size; /* -1: none */
  int gate;       /* VhostUserGpuProtocolFeature, or -1 */
} VhostUserGpuRule;

const VhostUserGpuRule *vhost_user_gpu_rule_find (guint request); /* NULL: unknown */

/* Pixels that each scanout shows, by number. */
typedef struct {
  guint32 width;
  guint32 height;
} VhostUserGpuSize;

/* Is the header right for this side, before a byte of payload is read? @scanouts bound the pixels.
 */
gboolean vhost_user_gpu_header_check (const VhostUserGpuHeader *header, gboolean reply,
                                      const VhostUserGpuSize *scanouts, GError **error);
/* Does the whole request obey its rule? */
gboolean vhost_user_gpu_request_check (const VhostUserGpuHeader *header, const guint8 *payload,
                                       guint n_fds, guint64 features,
                                       const VhostUserGpuSize *scanouts, GError **error);

struct _VhostUserGpuConnection {
  GObject parent_instance;

  int fd;
  gboolean is_display;
  guint timeout; /* ms */
  VhostReactor *reactor;
  VhostWatch *watch;
  GSource *timer;
  gint64 input_deadline;
  gint64 output_deadline;

  /* the message on its way in */
  VhostUserGpuHeader header;
  guint n_header;
  GByteArray *payload;
  VhostFdSet fds;

  GQueue chunks; /* on their way out */
  gsize n_waiting;
  GQueue calls; /* the device's, whose answers are due */

  guint64 features; /* in use */
  VhostUserGpuSize scanouts[VHOST_USER_GPU_MAX_SCANOUTS];
  gboolean drawing; /* the display is: nothing is read until it has drawn */
  VhostUserGpuDisplayInfo info;
  VhostUserGpuEdid *edids[VHOST_USER_GPU_MAX_SCANOUTS];
};

/* vhost-user-gpu-connection.c */

/* Takes @fd and serves it in the thread-default main context. */
gboolean vhost_user_gpu_connection_take_fd (VhostUserGpuConnection *connection, int fd,
                                            gboolean is_display, GError **error);
/* @extra: behind the payload, or NULL. @fd (or -1) stays the caller's. */
gboolean vhost_user_gpu_connection_send (VhostUserGpuConnection *connection, guint request,
                                         guint flags, gconstpointer payload, gsize size,
                                         const guint8 *extra, gsize n_extra, int fd,
                                         GError **error);
void vhost_user_gpu_connection_update (VhostUserGpuConnection *connection);

/* vhost-user-gpu-device.c */
gboolean vhost_user_gpu_device_begin (VhostUserGpuConnection *connection, GError **error);
gboolean vhost_user_gpu_device_take_answer (VhostUserGpuConnection *connection, GError **error);
void vhost_user_gpu_device_fail_calls (VhostUserGpuConnection *connection, const GError *error);
gboolean vhost_user_gpu_device_is_waiting (VhostUserGpuConnection *connection);
void vhost_user_gpu_device_install (GObjectClass *object_class);

/* vhost-user-gpu-display.c */
void vhost_user_gpu_display_serve (VhostUserGpuConnection *connection);
void vhost_user_gpu_display_install (GObjectClass *object_class);
