/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the frame, one message with the descriptors it carries, and the checks that every message
 * from outside must pass before its payload is looked at. Pure functions, any thread. (vhost-user,
 * “Header”, “Message types”, “Ancillary data”) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-rules-private.h"

#define FLAGS_VERSION_MASK 3u
#define FLAGS_KNOWN (FLAGS_VERSION_MASK | VHOST_USER_FLAGS_REPLY | VHOST_USER_FLAGS_NEED_REPLY)
#define VRING_FD_BITS (VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD)

/* A message as its rule sees it. */
typedef struct {
  const VhostUserRule *rule;
  const VhostUserFrame *frame;
  gboolean reply;
  VhostUserLayout layout;
  VhostUserFds fds;
  guint64 protocol_features;
} Subject;

void
vhost_user_frame_init (VhostUserFrame *frame, guint32 request, guint32 flags, guint32 size)
{
  frame->request = request;
  frame->flags = flags | VHOST_USER_FLAGS_VERSION;
  frame->size = MIN (size, VHOST_USER_MAX_PAYLOAD);
  memset (&frame->payload, 0, sizeof frame->payload);
  frame->fds.n = 0;
}

void
vhost_user_frame_clear (VhostUserFrame *frame)
{
  vhost_fd_set_clear (&frame->fds);
  frame->size = 0;
}

void
vhost_user_frame_move (VhostUserFrame *to, VhostUserFrame *from)
{
  *to = *from;
  memset (from->payload.bytes, 0, from->size);
  from->size = 0;
  from->fds.n = 0;
}

static VhostUserLayout
get_reply_layout (const VhostUserRule *rule, guint32 size)
{
  switch (rule->reply) {
  case VHOST_USER_REPLY_BODY:
    return rule->reply_layout;
  case VHOST_USER_REPLY_LOG:
    return size == sizeof (VhostUserLogBase) ? VHOST_USER_LAYOUT_LOG_BASE : VHOST_USER_LAYOUT_U64;
  default:
    return VHOST_USER_LAYOUT_U64;
  }
}

static VhostUserLayout
get_request_layout (const VhostUserRule *rule, guint32 size)
{
  if (rule->layout == VHOST_USER_LAYOUT_LOG_BASE && size < sizeof (VhostUserLogBase))
    return VHOST_USER_LAYOUT_U64;
  return rule->layout;
}

VhostUserLayout
vhost_user_frame_get_layout (VhostUserRole role, const VhostUserFrame *frame)
{
  const VhostUserRule *rule = vhost_user_rule_find (role, frame->request);

  if (rule == NULL)
    return VHOST_USER_LAYOUT_NONE;
  return frame->flags & VHOST_USER_FLAGS_REPLY ? get_reply_layout (rule, frame->size)
                                               : get_request_layout (rule, frame->size);
}

static const char *
describe_kind (gboolean reply)
{
  return reply ? " reply" : "";
}

static guint
get_max_size (const VhostUserRule *rule, gboolean reply)
{
  if (!reply)
    return vhost_user_layout_get_max_size (rule->layout);
  return vhost_user_layout_get_max_size (get_reply_layout (rule, sizeof (VhostUserLogBase)));
}

gboolean
vhost_user_header_check (VhostUserRole role, gboolean expect_reply, guint32 request, guint32 flags,
                         guint32 size, GError **error)
{
  const VhostUserRule *rule = vhost_user_rule_find (role, request);
  gboolean reply = (flags & VHOST_USER_FLAGS_REPLY) != 0;

  if ((flags & FLAGS_VERSION_MASK) != VHOST_USER_FLAGS_VERSION)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL,
                            "request %u: protocol version %u, must be 1", request,
                            flags & FLAGS_VERSION_MASK);
  if ((flags & ~FLAGS_KNOWN) != 0)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "request %u: reserved flags in 0x%x",
                            request, flags);
  if (rule == NULL)
    return vhost_set_error (error, VHOST_ERROR_UNKNOWN_REQUEST, "%srequest %u is unknown",
                            role != VHOST_USER_ROLE_FRONTEND ? "back-end " : "", request);
  if (reply != !!expect_reply)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%s: a %s where a %s must come",
                            rule->name, reply ? "reply" : "request", reply ? "request" : "reply");
  if (reply && (flags & VHOST_USER_FLAGS_NEED_REPLY) != 0)
    return vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%s reply: it asks for a reply itself",
                            rule->name);
  if (size > get_max_size (rule, reply))
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE, "%s%s: payload of %u bytes, at most %u",
                            rule->name, describe_kind (reply), size, get_max_size (rule, reply));
  return TRUE;
}

static gboolean refuse (const Subject *subject, VhostError code, GError **error, const char *format,
                        ...) G_GNUC_PRINTF (4, 5);

static gboolean
refuse (const Subject *subject, VhostError code, GError **error, const char *format, ...)
{
  g_autofree char *reason = NULL;
  va_list arguments;

  va_start (arguments, format);
  reason = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  return vhost_set_error (error, code, "%s%s: %s", subject->rule->name,
                          describe_kind (subject->reply), reason);
}

static gboolean
check_size (const Subject *subject, guint32 size, GError **error)
{
  if (subject->frame->size == size)
    return TRUE;
  return refuse (subject, VHOST_ERROR_BAD_SIZE, error, "payload of %u bytes, must be %u",
                 subject->frame->size, size);
}

static guint
get_xen_part (const Subject *subject)
{
  gboolean xen = vhost_word_has (subject->protocol_features, VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP);

  return xen ? 2 * sizeof (guint32) : 0;
}

/* In postcopy a u64 of 0 comes as a second SET_MEM_TABLE, ADD_MEM_REG or REM_MEM_REG (“go”), and
 * the first is answered with itself. PAGEFAULT is not offered yet; when it is, this and check_size
 * () for regions are the places to let them through. */
static gboolean
check_table (const Subject *subject, GError **error)
{
  const VhostUserMemTable *table = &subject->frame->payload.table;
  guint region_size = sizeof (VhostUserRegion) + get_xen_part (subject);

  if (subject->frame->size < 8)
    return refuse (subject, VHOST_ERROR_BAD_SIZE, error, "payload of %u bytes, at least 8",
                   subject->frame->size);
  if (table->n_regions < 1 || table->n_regions > VHOST_USER_MAX_TABLE_REGIONS)
    return refuse (subject, VHOST_ERROR_INVALID_VALUE, error, "%u regions, must be 1 to %u",
                   table->n_regions, VHOST_USER_MAX_TABLE_REGIONS);
  return check_size (subject, 8 + table->n_regions * region_size, error);
}

static gboolean
check_config (const Subject *subject, GError **error)
{
  const VhostUserConfigSpace *config = &subject->frame->payload.config;

  if (subject->reply && subject->frame->size == 0)
    return TRUE; /* the back-end could not answer */
  if (subject->frame->size < 12)
    return refuse (subject, VHOST_ERROR_BAD_SIZE, error, "payload of %u bytes, at least 12",
                   subject->frame->size);
  if (config->offset > VHOST_USER_MAX_CONFIG ||
      config->size > VHOST_USER_MAX_CONFIG - config->offset)
    return refuse (subject, VHOST_ERROR_INVALID_VALUE, error,
                   "%u bytes at offset %u go beyond %u bytes of configuration", config->size,
                   config->offset, VHOST_USER_MAX_CONFIG);
  return check_size (subject, 12 + config->size, error);
}

/* Without LOG_SHMFD a bare address is right, but QEMU sends the longer payload always. A reply may
 * be empty, a u64 or the payload itself. */
static gboolean
check_log (const Subject *subject, GError **error)
{
  guint32 size = subject->frame->size;
  gboolean shared =
      vhost_word_has (subject->protocol_features, VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD);

  if (subject->reply && (size == 0 || size == 8))
    return TRUE;
  if (!subject->reply && !shared && size == 8)
    return TRUE;
  return check_size (subject, sizeof (VhostUserLogBase), error);
}

static gboolean
check_index_bits (const Subject *subject, GError **error)
{
  guint64 value = subject->frame->payload.u64;

  if (!check_size (subject, vhost_user_layout_get_min_size (subject->layout), error))
    return FALSE;
  if ((value & ~(guint64) VRING_FD_BITS) != 0)
    return refuse (subject, VHOST_ERROR_INVALID_VALUE, error,
                   "0x%" G_GINT64_MODIFIER "x has more than a queue index and the no-fd bit",
                   value);
  return TRUE;
}

static gboolean
check_payload (const Subject *subject, GError **error)
{
  if (subject->rule->reply == VHOST_USER_REPLY_LOG)
    return check_log (subject, error);
  switch (subject->layout) {
  case VHOST_USER_LAYOUT_MEM_TABLE:
    return check_table (subject, error);
  case VHOST_USER_LAYOUT_REGION:
    return check_size (subject, sizeof (VhostUserSingleRegion) + get_xen_part (subject), error);
  case VHOST_USER_LAYOUT_CONFIG:
    return check_config (subject, error);
  case VHOST_USER_LAYOUT_VRING_FD:
  case VHOST_USER_LAYOUT_VRING_AREA:
    return check_index_bits (subject, error);
  default:
    return check_size (subject, vhost_user_layout_get_min_size (subject->layout), error);
  }
}

static void
get_fd_range (const Subject *subject, guint *least, guint *most)
{
  const VhostUserFrame *frame = subject->frame;

  switch (subject->fds) {
  case VHOST_USER_FDS_ONE:
    *least = *most = 1;
    break;
  case VHOST_USER_FDS_ZERO_OR_ONE:
    *least = 0;
    *most = 1;
    break;
  case VHOST_USER_FDS_PER_REGION:
    *least = *most = frame->payload.table.n_regions;
    break;
  case VHOST_USER_FDS_BY_NOFD:
    *least = *most = (frame->payload.u64 & VHOST_USER_VRING_NOFD) == 0;
    break;
  case VHOST_USER_FDS_LOG:
    *least = *most =
        vhost_word_has (subject->protocol_features, VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD);
    break;
  case VHOST_USER_FDS_NONE:
  default:
    *least = *most = 0;
  }
}

static gboolean
check_fds (const Subject *subject, GError **error)
{
  guint least, most, n = subject->frame->fds.n;

  get_fd_range (subject, &least, &most);
  if (n >= least && n <= most)
    return TRUE;
  return refuse (subject, VHOST_ERROR_BAD_FDS, error, "%u file descriptors, must be %s%u", n,
                 least < most ? "at most " : "", most);
}

gboolean
vhost_user_frame_check (VhostUserRole role, const VhostUserFrame *frame, guint64 protocol_features,
                        GError **error)
{
  gboolean reply = (frame->flags & VHOST_USER_FLAGS_REPLY) != 0;
  const VhostUserRule *rule = vhost_user_rule_find (role, frame->request);
  Subject subject = { rule, frame, reply, .protocol_features = protocol_features };

  if (!vhost_user_header_check (role, reply, frame->request, frame->flags, frame->size, error))
    return FALSE;
  subject.layout = vhost_user_frame_get_layout (role, frame);
  subject.fds = reply ? rule->reply_fds : rule->fds;
  return check_payload (&subject, error) && check_fds (&subject, error);
}
