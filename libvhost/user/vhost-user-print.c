/* SPDX-License-Identifier: BSD-3-Clause */
/* Shows messages and protocol features in one line, by the specification's names. Any thread.
 * (vhost-user, “Protocol features”) */

#include <string.h>
#include "core/vhost-debug-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-rules-private.h"

#define MAX_BYTES_SHOWN 16

static const char *const protocol_feature_names[] = {
  [VHOST_USER_PROTOCOL_FEATURE_MQ] = "MQ",
  [VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD] = "LOG_SHMFD",
  [VHOST_USER_PROTOCOL_FEATURE_RARP] = "RARP",
  [VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK] = "REPLY_ACK",
  [VHOST_USER_PROTOCOL_FEATURE_MTU] = "MTU",
  [VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ] = "BACKEND_REQ",
  [VHOST_USER_PROTOCOL_FEATURE_CROSS_ENDIAN] = "CROSS_ENDIAN",
  [VHOST_USER_PROTOCOL_FEATURE_CRYPTO_SESSION] = "CRYPTO_SESSION",
  [VHOST_USER_PROTOCOL_FEATURE_PAGEFAULT] = "PAGEFAULT",
  [VHOST_USER_PROTOCOL_FEATURE_CONFIG] = "CONFIG",
  [VHOST_USER_PROTOCOL_FEATURE_BACKEND_SEND_FD] = "BACKEND_SEND_FD",
  [VHOST_USER_PROTOCOL_FEATURE_HOST_NOTIFIER] = "HOST_NOTIFIER",
  [VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD] = "INFLIGHT_SHMFD",
  [VHOST_USER_PROTOCOL_FEATURE_RESET_DEVICE] = "RESET_DEVICE",
  [VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS] = "INBAND_NOTIFICATIONS",
  [VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS] = "CONFIGURE_MEM_SLOTS",
  [VHOST_USER_PROTOCOL_FEATURE_STATUS] = "STATUS",
  [VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP] = "XEN_MMAP",
  [VHOST_USER_PROTOCOL_FEATURE_SHARED_OBJECT] = "SHARED_OBJECT",
  [VHOST_USER_PROTOCOL_FEATURE_DEVICE_STATE] = "DEVICE_STATE",
  [VHOST_USER_PROTOCOL_FEATURE_GET_VRING_BASE_INFLIGHT] = "GET_VRING_BASE_INFLIGHT",
  [VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES] = "GPA_ADDRESSES",
  [VHOST_USER_PROTOCOL_FEATURE_SHMEM] = "SHMEM",
};

/**
 * vhost_user_protocol_feature_get_name:
 * @bit: number of the bit, a #VhostUserProtocolFeature
 *
 * The specification's name of a protocol feature: "REPLY_ACK". May be called from any thread.
 *
 * Returns: (transfer none) (nullable): the name, or %NULL when the bit is not known
 *
 * Since: 1.0
 */
const char *
vhost_user_protocol_feature_get_name (guint bit)
{
  return bit < G_N_ELEMENTS (protocol_feature_names) ? protocol_feature_names[bit] : NULL;
}

static const char *
name_protocol_feature (guint bit, gpointer data)
{
  return vhost_user_protocol_feature_get_name (bit);
}

/**
 * vhost_user_protocol_features_to_string:
 * @features: a word of protocol feature bits
 *
 * Names the bits of a word: "MQ, REPLY_ACK, bit 40". May be called from any thread.
 *
 * Returns: (transfer full): the text; empty when no bit is set
 *
 * Since: 1.0
 */
char *
vhost_user_protocol_features_to_string (guint64 features)
{
  return vhost_word_to_string (features, name_protocol_feature, NULL);
}

static void
print_bytes (GString *text, const VhostUserField *field, const VhostUserFrame *frame)
{
  guint width = field->width > 0 ? field->width : frame->size - field->offset;

  for (guint i = 0; i < MIN (width, MAX_BYTES_SHOWN); i++)
    g_string_append_printf (text, "%02x", frame->payload.bytes[field->offset + i]);
  if (width > MAX_BYTES_SHOWN)
    g_string_append (text, "…");
}

static void
print_uuid (GString *text, const guint8 *uuid)
{
  for (guint i = 0; i < 16; i++)
    g_string_append_printf (text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                            uuid[i]);
}

static void
print_value (GString *text, const VhostUserField *field, const VhostUserFrame *frame)
{
  guint64 value = vhost_user_field_get (field, frame);
  g_autofree char *names = NULL;

  switch (field->format) {
  case VHOST_USER_FORMAT_DECIMAL:
    g_string_append_printf (text, "%" G_GUINT64_FORMAT, value);
    break;
  case VHOST_USER_FORMAT_SIGNED:
    g_string_append_printf (text, "%" G_GINT64_FORMAT, (gint64) value);
    break;
  case VHOST_USER_FORMAT_FEATURES:
    names = vhost_features_to_string (VHOST_DEVICE_ID_NONE, value);
    break;
  case VHOST_USER_FORMAT_PROTOCOL_FEATURES:
    names = vhost_user_protocol_features_to_string (value);
    break;
  case VHOST_USER_FORMAT_BYTES:
    print_bytes (text, field, frame);
    break;
  case VHOST_USER_FORMAT_UUID:
    print_uuid (text, frame->payload.bytes + field->offset);
    break;
  case VHOST_USER_FORMAT_HEX:
    g_string_append_printf (text, "0x%" G_GINT64_MODIFIER "x", value);
    break;
  }
  if (names != NULL)
    g_string_append_printf (text, "0x%" G_GINT64_MODIFIER "x", value);
  if (names != NULL && names[0] != '\0')
    g_string_append_printf (text, " (%s)", names);
}

/* What most messages do not use is not worth a word: no-fd bits, and the elements of a long array.
 */
static gboolean
is_shown (const VhostUserField *field, const VhostUserFrame *frame)
{
  gboolean optional = field->bits == 1 || g_str_has_suffix (field->name, "]");

  return !optional || vhost_user_field_get (field, frame) != 0;
}

static void
print_fields (GString *text, VhostUserLayout layout, const VhostUserFrame *frame)
{
  char name[VHOST_USER_FIELD_NAME_SIZE];
  VhostUserField field;

  for (guint i = 0; vhost_user_layout_get_field (layout, frame, i, &field, name); i++) {
    if (!is_shown (&field, frame))
      continue;
    g_string_append_printf (text, " %s=", field.name);
    print_value (text, &field, frame);
  }
}

/* "anon_inode:[eventfd]" → "eventfd", "socket:[1234]" → "socket", "/memfd:name (deleted)" → "memfd"
 */
static char *
describe_fd (int fd)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_autofree char *target = g_file_read_link (link, NULL);

  if (target == NULL)
    return g_strdup ("closed");
  if (g_str_has_prefix (target, "anon_inode:[") && g_str_has_suffix (target, "]"))
    return g_strndup (target + strlen ("anon_inode:["), strlen (target) - strlen ("anon_inode:[]"));
  if (g_str_has_prefix (target, "/memfd:"))
    return g_strdup ("memfd");
  if (target[0] != '/')
    return g_strndup (target, strcspn (target, ":"));
  return g_steal_pointer (&target);
}

static void
print_fds (GString *text, const VhostFdSet *fds)
{
  if (fds->n == 0)
    return;
  g_string_append_printf (text, ", %u fd%s", fds->n, fds->n == 1 ? "" : "s");
  for (guint i = 0; i < fds->n; i++) {
    g_autofree char *kind = describe_fd (fds->fd[i]);

    g_string_append_printf (text, "%s%s", i == 0 ? " (" : ", ", kind);
  }
  g_string_append (text, ")");
}

char *
vhost_user_frame_to_string (VhostUserRole role, const VhostUserFrame *frame)
{
  const char *name = vhost_user_get_request_name (role, frame->request);
  GString *text = g_string_new (name);

  if (name == NULL)
    g_string_append_printf (text, "request %u", frame->request);
  if (frame->flags & VHOST_USER_FLAGS_REPLY)
    g_string_append (text, " reply");
  if (name == NULL)
    g_string_append_printf (text, " (unknown), %u bytes", frame->size);
  print_fields (text, vhost_user_frame_get_layout (role, frame), frame);
  if (frame->flags & VHOST_USER_FLAGS_NEED_REPLY)
    g_string_append (text, ", need_reply");
  print_fds (text, &frame->fds);
  return g_string_free (text, FALSE);
}

void
vhost_user_frame_show (VhostUserRole role, const char *arrow, const VhostUserFrame *frame,
                       const GError *error)
{
  g_autofree char *text = NULL;

  if (!vhost_debug_has (VHOST_DEBUG_MESSAGE))
    return;
  text = vhost_user_frame_to_string (role, frame);
  vhost_debug_print (
      "%s %s %s%s%s", role != VHOST_USER_ROLE_FRONTEND ? "vhost-user-backend" : "vhost-user", arrow,
      text, error != NULL ? " — refused: " : "", error != NULL ? error->message : "");
}
