/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the table of the vhost-user-gpu requests, and the checks that follow from it. Constant data
 * and pure functions, any thread. (vhost-user-gpu, “Messages”) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-gpu-private.h"

#define RULE(code) [VHOST_USER_GPU_CODE_##code] = { .name = "GPU_" #code
#define SIZE(type) .size = sizeof (VhostUserGpu##type)
#define SILENT .reply_size = -1
#define GIVES(n) .reply_size = n
#define FREE                                                                                       \
  .gate = -1                                                                                       \
  }
#define GATE(bit)                                                                                  \
  .gate = VHOST_USER_GPU_PROTOCOL_FEATURE_##bit                                                    \
  }

/* clang-format off */
static const VhostUserGpuRule rules[] = {
  RULE (GET_PROTOCOL_FEATURES), GIVES (8), FREE,
  RULE (SET_PROTOCOL_FEATURES), .size = 8, SILENT, FREE,
  RULE (GET_DISPLAY_INFO), GIVES (sizeof (VhostUserGpuDisplayInfo)), FREE,
  RULE (CURSOR_POS), SIZE (CursorPos), SILENT, FREE,
  RULE (CURSOR_POS_HIDE), SIZE (CursorPos), SILENT, FREE,
  RULE (CURSOR_UPDATE), SIZE (CursorUpdate), SILENT, FREE,
  RULE (SCANOUT), SIZE (Scanout), SILENT, FREE,
  RULE (UPDATE), SIZE (Update), .pixels = TRUE, SILENT, FREE,
  RULE (DMABUF_SCANOUT), .size = VHOST_USER_GPU_DMABUF_SIZE, .max_fds = 1, SILENT, FREE,
  RULE (DMABUF_UPDATE), SIZE (Update), GIVES (0), FREE,
  RULE (GET_EDID), .size = 4, GIVES (sizeof (VhostUserGpuEdid)), GATE (EDID),
  RULE (DMABUF_SCANOUT2), SIZE (Dmabuf), .max_fds = 1, SILENT, GATE (DMABUF2),
};
/* clang-format on */

const VhostUserGpuRule *
vhost_user_gpu_rule_find (guint request)
{
  return request >= 1 && request < G_N_ELEMENTS (rules) ? &rules[request] : NULL;
}

static guint64
get_max_pixels (const VhostUserGpuSize *scanouts)
{
  guint64 most = 0;

  for (guint i = 0; i < VHOST_USER_GPU_MAX_SCANOUTS; i++)
    most = MAX (most, (guint64) scanouts[i].width * scanouts[i].height);
  return most;
}

gboolean
vhost_user_gpu_header_check (const VhostUserGpuHeader *header, gboolean reply,
                             const VhostUserGpuSize *scanouts, GError **error)
{
  const VhostUserGpuRule *rule = vhost_user_gpu_rule_find (header->request);
  guint64 least, most;

  if (rule == NULL)
    return vhost_set_error (error, VHOST_ERROR_UNKNOWN_REQUEST, "GPU request %u is unknown",
                            header->request);
  if (header->flags != (reply ? VHOST_USER_GPU_REPLY : 0))
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%s: flags 0x%x where a %s must come",
                            rule->name, header->flags, reply ? "reply" : "request");
  if (reply && rule->reply_size < 0)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%s has no reply", rule->name);
  least = reply ? (guint64) rule->reply_size : rule->size;
  most = least + (!reply && rule->pixels ? 4 * get_max_pixels (scanouts) : 0);
  if (header->size < least || header->size > most)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE,
                            "%s: payload of %u bytes, must be %" G_GUINT64_FORMAT
                            " to %" G_GUINT64_FORMAT,
                            rule->name, header->size, least, most);
  return TRUE;
}

static gboolean
check_scanout (const VhostUserGpuRule *rule, guint32 width, guint32 height, GError **error)
{
  if (width <= VHOST_USER_GPU_MAX_SIDE && height <= VHOST_USER_GPU_MAX_SIDE &&
      (guint64) width * height <= VHOST_USER_GPU_MAX_PIXELS)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s: %u×%u pixels are too many",
                          rule->name, width, height);
}

/* The rectangle must lie within its scanout, and all of its pixels must be there. */
static gboolean
check_update (const VhostUserGpuRule *rule, const VhostUserGpuUpdate *update, guint32 size,
              const VhostUserGpuSize *scanouts, GError **error)
{
  const VhostUserGpuSize *scanout = &scanouts[update->scanout_id];
  guint64 n_pixels = (guint64) update->width * update->height;

  if (update->width > scanout->width || update->x > scanout->width - update->width ||
      update->height > scanout->height || update->y > scanout->height - update->height)
    return vhost_set_error (
        error, VHOST_ERROR_INVALID_VALUE, "%s: %u×%u pixels at %u, %u are not inside scanout %u",
        rule->name, update->width, update->height, update->x, update->y, update->scanout_id);
  if (rule->pixels && size != sizeof *update + 4 * n_pixels)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE, "%s: payload of %u bytes for %u×%u pixels",
                            rule->name, size, update->width, update->height);
  return TRUE;
}

static gboolean
check_dmabuf (const VhostUserGpuRule *rule, const VhostUserGpuDmabuf *dmabuf, guint n_fds,
              GError **error)
{
  gboolean disables = dmabuf->width == 0 || dmabuf->height == 0;

  if (disables != (n_fds == 0))
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "%s: %u descriptors for %u×%u pixels",
                            rule->name, n_fds, dmabuf->width, dmabuf->height);
  if (dmabuf->width > dmabuf->fd_width || dmabuf->x > dmabuf->fd_width - dmabuf->width ||
      dmabuf->height > dmabuf->fd_height || dmabuf->y > dmabuf->fd_height - dmabuf->height)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%s: what is shown is not inside its buffer", rule->name);
  return check_scanout (rule, dmabuf->width, dmabuf->height, error);
}

static gboolean
check_payload (guint request, const VhostUserGpuRule *rule, const guint8 *payload, guint32 size,
               guint n_fds, const VhostUserGpuSize *scanouts, GError **error)
{
  VhostUserGpuDmabuf dmabuf = { 0 };
  VhostUserGpuUpdate update;
  VhostUserGpuScanout scanout;

  switch (request) {
  case VHOST_USER_GPU_CODE_SCANOUT:
    memcpy (&scanout, payload, sizeof scanout);
    return check_scanout (rule, scanout.width, scanout.height, error);
  case VHOST_USER_GPU_CODE_UPDATE:
  case VHOST_USER_GPU_CODE_DMABUF_UPDATE:
    memcpy (&update, payload, sizeof update);
    return check_update (rule, &update, size, scanouts, error);
  case VHOST_USER_GPU_CODE_DMABUF_SCANOUT:
  case VHOST_USER_GPU_CODE_DMABUF_SCANOUT2:
    memcpy (&dmabuf, payload, MIN (size, sizeof dmabuf));
    return check_dmabuf (rule, &dmabuf, n_fds, error);
  default:
    return TRUE;
  }
}

gboolean
vhost_user_gpu_request_check (const VhostUserGpuHeader *header, const guint8 *payload, guint n_fds,
                              guint64 features, const VhostUserGpuSize *scanouts, GError **error)
{
  const VhostUserGpuRule *rule = vhost_user_gpu_rule_find (header->request);
  gboolean names_scanout = header->request > VHOST_USER_GPU_CODE_GET_DISPLAY_INFO;
  guint32 id = 0;

  if (!vhost_user_gpu_header_check (header, FALSE, scanouts, error))
    return FALSE;
  if (rule->gate >= 0 && !vhost_word_has (features, (guint) rule->gate))
    return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED, "%s: its feature was not negotiated",
                            rule->name);
  if (n_fds > rule->max_fds)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS, "%s: %u file descriptors, at most %u",
                            rule->name, n_fds, rule->max_fds);
  if (names_scanout)
    memcpy (&id, payload, sizeof id);
  if (id >= VHOST_USER_GPU_MAX_SCANOUTS)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s: scanout %u, there are %d",
                            rule->name, id, VHOST_USER_GPU_MAX_SCANOUTS);
  return check_payload (header->request, rule, payload, header->size, n_fds, scanouts, error);
}
