/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns one message as people and scripts see it: a frame, and a list of descriptors. A pure codec,
 * bytes and descriptors in, message out, with no socket; no thread of its own, one thread at a
 * time. (vhost-user, “Message specification”) */

#include <string.h>
#include <gio/gunixfdlist.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-message-private.h"

/**
 * VhostUserMessage:
 *
 * One vhost-user message: a request number, flags, a payload and file descriptors.
 *
 * A message may be wrong in every way, so that a test can send it; [method@Vhost.UserMessage.check]
 * says whether it obeys the specification. The payload is reached by field names, "num" or
 * "region[0].size", or as bytes. Of an unknown request only the bytes are known.
 *
 * ```python
 * message = Vhost.UserMessage.new(Vhost.UserRole.FRONTEND, Vhost.UserFrontendCode.SET_VRING_NUM, 1)
 * message.set_field("num", 256)
 * ```
 *
 * A message has no thread of its own: use it from one thread at a time.
 *
 * Since: 1.0
 */
struct _VhostUserMessage {
  GObject parent_instance;

  VhostUserRole role;
  VhostUserFrame frame; /* without its descriptors */
  GUnixFDList *fds;     /* NULL: none */
};

G_DEFINE_FINAL_TYPE (VhostUserMessage, vhost_user_message, G_TYPE_OBJECT)

static void
vhost_user_message_init (VhostUserMessage *message)
{
}

static void
vhost_user_message_finalize (GObject *object)
{
  VhostUserMessage *message = VHOST_USER_MESSAGE (object);

  g_clear_object (&message->fds);
  G_OBJECT_CLASS (vhost_user_message_parent_class)->finalize (object);
}

static void
vhost_user_message_class_init (VhostUserMessageClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vhost_user_message_finalize;
}

/**
 * vhost_user_message_new:
 * @role: whose requests the socket carries
 * @request: number of the request, a #VhostUserFrontendCode or #VhostUserBackendCode
 * @flags: the flags word, as it will be sent: #VhostUserFlags, usually 1
 *
 * Makes a message whose payload is zeroes, as long as the request (or, with
 * %VHOST_USER_FLAGS_REPLY, its answer) needs at least.
 *
 * Returns: (transfer full): a new message
 *
 * Since: 1.0
 */
VhostUserMessage *
vhost_user_message_new (VhostUserRole role, guint request, guint flags)
{
  VhostUserMessage *message = g_object_new (VHOST_USER_TYPE_MESSAGE, NULL);
  VhostUserFrame *frame = &message->frame;

  message->role = role;
  frame->request = request;
  frame->flags = flags;
  frame->size = VHOST_USER_MAX_PAYLOAD; /* of two layouts, the longer one */
  frame->size = vhost_user_layout_get_min_size (vhost_user_frame_get_layout (role, frame));
  return message;
}

VhostUserMessage *
vhost_user_message_new_take_frame (VhostUserRole role, VhostUserFrame *frame)
{
  VhostUserMessage *message = g_object_new (VHOST_USER_TYPE_MESSAGE, NULL);

  message->role = role;
  vhost_user_frame_move (&message->frame, frame);
  if (message->frame.fds.n > 0)
    message->fds = g_unix_fd_list_new_from_array (message->frame.fds.fd, message->frame.fds.n);
  message->frame.fds.n = 0;
  return message;
}

gboolean
vhost_user_message_peek_frame (VhostUserMessage *message, VhostUserFrame *frame, GError **error)
{
  int n = 0;
  const int *fds = message->fds != NULL ? g_unix_fd_list_peek_fds (message->fds, &n) : NULL;

  if (n > VHOST_MAX_FDS)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "%d file descriptors in one message, at most %d", n, VHOST_MAX_FDS);
  *frame = message->frame;
  frame->fds.n = n;
  for (int i = 0; i < n; i++)
    frame->fds.fd[i] = fds[i];
  return TRUE;
}

/**
 * vhost_user_message_decode:
 * @role: whose requests the socket carries
 * @data: (array length=length): header and payload of one whole message
 * @length: bytes in @data
 * @fds: (nullable): the file descriptors that came with it; they are duplicated
 * @protocol_features: the protocol features in force, a word of #VhostUserProtocolFeature bits
 * @error: return location for an error
 *
 * Makes a message of bytes from a socket. It has passed every check of
 * [method@Vhost.UserMessage.check], else this fails with a [error@Vhost.Error] that names the
 * request and the reason.
 *
 * Returns: (transfer full): a new message, or %NULL with an error
 *
 * Since: 1.0
 */
VhostUserMessage *
vhost_user_message_decode (VhostUserRole role, const guint8 *data, gsize length, GUnixFDList *fds,
                           guint64 protocol_features, GError **error)
{
  g_autoptr (VhostUserMessage) message = g_object_new (VHOST_USER_TYPE_MESSAGE, NULL);
  VhostUserFrame *frame = &message->frame;

  message->role = role;
  if (length < VHOST_USER_HEADER_SIZE) {
    vhost_set_error (error, VHOST_ERROR_PROTOCOL, "%" G_GSIZE_FORMAT " bytes are no header",
                     length);
    return NULL;
  }
  memcpy (&frame->request, data, VHOST_USER_HEADER_SIZE);
  if (!vhost_user_header_check (role, (frame->flags & VHOST_USER_FLAGS_REPLY) != 0, frame->request,
                                frame->flags, frame->size, error))
    return NULL;
  if (length - VHOST_USER_HEADER_SIZE != frame->size) {
    vhost_set_error (
        error, VHOST_ERROR_BAD_SIZE, "%s: %" G_GSIZE_FORMAT " bytes behind a header that says %u",
        vhost_user_message_get_name (message), length - VHOST_USER_HEADER_SIZE, frame->size);
    return NULL;
  }
  memcpy (frame->payload.bytes, data + VHOST_USER_HEADER_SIZE, frame->size);
  if (!vhost_user_message_set_fds (message, fds, error) ||
      !vhost_user_message_check (message, protocol_features, error))
    return NULL;
  return g_steal_pointer (&message);
}

/**
 * vhost_user_message_encode:
 * @message: a message
 * @length: (out): bytes in the result
 *
 * Gives header and payload as they go over the socket, in host byte order. Descriptors go beside
 * them.
 *
 * Returns: (array length=length) (transfer full): the bytes
 *
 * Since: 1.0
 */
guint8 *
vhost_user_message_encode (VhostUserMessage *message, gsize *length)
{
  const VhostUserFrame *frame = &message->frame;
  guint8 *data = g_malloc (VHOST_USER_HEADER_SIZE + frame->size);

  memcpy (data, &frame->request, VHOST_USER_HEADER_SIZE);
  memcpy (data + VHOST_USER_HEADER_SIZE, frame->payload.bytes, frame->size);
  *length = VHOST_USER_HEADER_SIZE + frame->size;
  return data;
}

/**
 * vhost_user_message_check:
 * @message: a message
 * @protocol_features: the protocol features in force, a word of #VhostUserProtocolFeature bits
 * @error: return location for an error
 *
 * Says whether the message obeys the specification: flags, payload size and number of file
 * descriptors. What was negotiated decides between layouts; whether the request is allowed at all
 * is not looked at.
 *
 * Returns: %TRUE, or %FALSE with a [error@Vhost.Error] that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_user_message_check (VhostUserMessage *message, guint64 protocol_features, GError **error)
{
  VhostUserFrame frame;

  return vhost_user_message_peek_frame (message, &frame, error) &&
         vhost_user_frame_check (message->role, &frame, protocol_features, error);
}

/**
 * vhost_user_message_get_request:
 * @message: a message
 *
 * Tells which request it is, or which it answers.
 *
 * Returns: the number
 *
 * Since: 1.0
 */
guint
vhost_user_message_get_request (VhostUserMessage *message)
{
  return message->frame.request;
}

/**
 * vhost_user_message_get_name:
 * @message: a message
 *
 * Gives the specification's name of the request: "SET_VRING_NUM".
 *
 * Returns: (transfer none) (nullable): the name, or %NULL when the request is unknown
 *
 * Since: 1.0
 */
const char *
vhost_user_message_get_name (VhostUserMessage *message)
{
  return vhost_user_get_request_name (message->role, message->frame.request);
}

/**
 * vhost_user_message_get_role:
 * @message: a message
 *
 * Tells whose requests the socket carries.
 *
 * Returns: the role
 *
 * Since: 1.0
 */
VhostUserRole
vhost_user_message_get_role (VhostUserMessage *message)
{
  return message->role;
}

/**
 * vhost_user_message_get_flags:
 * @message: a message
 *
 * Gives the flags word of the header.
 *
 * Returns: #VhostUserFlags, and whatever other bits it has
 *
 * Since: 1.0
 */
guint
vhost_user_message_get_flags (VhostUserMessage *message)
{
  return message->frame.flags;
}

/**
 * vhost_user_message_set_flags:
 * @message: a message
 * @flags: #VhostUserFlags, or anything that fits 32 bits
 *
 * Sets the flags word of the header. The payload stays as it is.
 *
 * Since: 1.0
 */
void
vhost_user_message_set_flags (VhostUserMessage *message, guint flags)
{
  message->frame.flags = flags;
}

/**
 * vhost_user_message_get_payload:
 * @message: a message
 * @length: (out): bytes in the result
 *
 * Gives a copy of the payload, for example the data behind the 12 bytes that begin GET_CONFIG's
 * answer.
 *
 * Returns: (array length=length) (transfer full): the bytes
 *
 * Since: 1.0
 */
guint8 *
vhost_user_message_get_payload (VhostUserMessage *message, gsize *length)
{
  *length = message->frame.size;
  return g_memdup2 (message->frame.payload.bytes, message->frame.size);
}

/**
 * vhost_user_message_set_payload:
 * @message: a message
 * @data: (array length=length): the bytes
 * @length: bytes in @data, at most 4096
 * @error: return location for an error
 *
 * Replaces the payload by any bytes.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_SIZE when there are too many
 *
 * Since: 1.0
 */
gboolean
vhost_user_message_set_payload (VhostUserMessage *message, const guint8 *data, gsize length,
                                GError **error)
{
  VhostUserFrame *frame = &message->frame;

  if (length > VHOST_USER_MAX_PAYLOAD)
    return vhost_set_error (error, VHOST_ERROR_BAD_SIZE,
                            "payload of %" G_GSIZE_FORMAT " bytes, at most %d", length,
                            VHOST_USER_MAX_PAYLOAD);
  memset (frame->payload.bytes, 0, sizeof frame->payload.bytes);
  if (length > 0)
    memcpy (frame->payload.bytes, data, length);
  frame->size = length;
  return TRUE;
}

static VhostUserLayout
get_layout (VhostUserMessage *message)
{
  return vhost_user_frame_get_layout (message->role, &message->frame);
}

/**
 * vhost_user_message_list_fields:
 * @message: a message
 *
 * Names the fields that the payload has now.
 *
 * Returns: (transfer full) (array zero-terminated=1): the names
 *
 * Since: 1.0
 */
char **
vhost_user_message_list_fields (VhostUserMessage *message)
{
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  char name[VHOST_USER_FIELD_NAME_SIZE];
  VhostUserField field;

  for (guint i = 0;
       vhost_user_layout_get_field (get_layout (message), &message->frame, i, &field, name); i++)
    g_strv_builder_add (names, field.name);
  return g_strv_builder_end (names);
}

static gboolean
set_no_field_error (VhostUserMessage *message, const char *name, GError **error)
{
  g_auto (GStrv) names = vhost_user_message_list_fields (message);
  g_autofree char *list = g_strjoinv (", ", names);
  const char *request = vhost_user_message_get_name (message);

  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s has no field “%s”, but: %s",
                          request != NULL ? request : "an unknown request", name,
                          names[0] != NULL ? list : "none");
}

/* Finds the number called @wanted; its name is not kept. */
static gboolean
find_field (VhostUserMessage *message, const char *wanted, VhostUserField *field, GError **error)
{
  char name[VHOST_USER_FIELD_NAME_SIZE];
  VhostUserLayout layout = get_layout (message);

  for (guint i = 0; vhost_user_layout_get_field (layout, &message->frame, i, field, name); i++) {
    if (strcmp (field->name, wanted) != 0)
      continue;
    field->name = NULL;
    if (field->width >= 1 && field->width <= 8)
      return TRUE;
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "“%s” is no number, use the payload from byte %u on", wanted,
                            field->offset);
  }
  return set_no_field_error (message, wanted, error);
}

/**
 * vhost_user_message_get_field:
 * @message: a message
 * @name: name of a field, as [method@Vhost.UserMessage.list_fields] gives it
 * @error: return location for an error
 *
 * Reads a number of the payload.
 *
 * Returns: the number; 0 with %VHOST_ERROR_INVALID_VALUE, which names the fields, when there is no
 * such field
 *
 * Since: 1.0
 */
guint64
vhost_user_message_get_field (VhostUserMessage *message, const char *name, GError **error)
{
  VhostUserField field;

  return find_field (message, name, &field, error) ? vhost_user_field_get (&field, &message->frame)
                                                   : 0;
}

/* A payload that grows does so with zeroes. */
static void
resize_payload (VhostUserFrame *frame, guint64 size)
{
  if (size > VHOST_USER_MAX_PAYLOAD)
    return;
  if (size < frame->size)
    memset (frame->payload.bytes + size, 0, frame->size - size);
  frame->size = size;
}

/**
 * vhost_user_message_set_field:
 * @message: a message
 * @name: name of a field, as [method@Vhost.UserMessage.list_fields] gives it
 * @value: the number
 * @error: return location for an error
 *
 * Writes a number of the payload. Setting "n_regions" of a memory table or "size" of a
 * configuration makes the payload as long as that needs, if no longer than 4096 bytes.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_INVALID_VALUE when there is no such field or @value
 * does not fit it
 *
 * Since: 1.0
 */
gboolean
vhost_user_message_set_field (VhostUserMessage *message, const char *name, guint64 value,
                              GError **error)
{
  VhostUserFrame *frame = &message->frame;
  VhostUserField field;
  guint64 size;

  if (!find_field (message, name, &field, error))
    return FALSE;
  size = vhost_user_layout_get_size_after (get_layout (message), frame, &field, value);
  if (!vhost_user_field_set (&field, frame, value))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "%" G_GUINT64_FORMAT " does not fit “%s”", value, name);
  resize_payload (frame, size);
  return TRUE;
}

/* A list of duplicates; NULL with a G_IO_ERROR when there are no more to be had. */
static GUnixFDList *
copy_fds (GUnixFDList *fds, GError **error)
{
  g_autoptr (GUnixFDList) copy = g_unix_fd_list_new ();
  int n = 0;
  const int *list = fds != NULL ? g_unix_fd_list_peek_fds (fds, &n) : NULL;

  for (int i = 0; i < n; i++) {
    if (g_unix_fd_list_append (copy, list[i], error) < 0)
      return NULL;
  }
  return g_steal_pointer (&copy);
}

/**
 * vhost_user_message_get_fds:
 * @message: a message
 * @error: return location for an error
 *
 * Gives duplicates of the file descriptors that go with the message.
 *
 * Returns: (transfer full): a list, maybe empty; %NULL with a `G_IO_ERROR` when the process has no
 * more descriptors
 *
 * Since: 1.0
 */
GUnixFDList *
vhost_user_message_get_fds (VhostUserMessage *message, GError **error)
{
  return copy_fds (message->fds, error);
}

/**
 * vhost_user_message_set_fds:
 * @message: a message
 * @fds: (nullable): the file descriptors to go with it; they are duplicated
 * @error: return location for an error
 *
 * Replaces the file descriptors.
 *
 * Returns: %TRUE, or %FALSE with a `G_IO_ERROR` when the process has no more descriptors
 *
 * Since: 1.0
 */
gboolean
vhost_user_message_set_fds (VhostUserMessage *message, GUnixFDList *fds, GError **error)
{
  GUnixFDList *copy = copy_fds (fds, error);

  if (copy == NULL)
    return FALSE;
  g_clear_object (&message->fds);
  message->fds = copy;
  return TRUE;
}

/**
 * vhost_user_message_to_string:
 * @message: a message
 *
 * Shows the message in one line: "SET_VRING_NUM index=0 num=256", with names of features and kinds
 * of file descriptors.
 *
 * Returns: (transfer full): the text
 *
 * Since: 1.0
 */
char *
vhost_user_message_to_string (VhostUserMessage *message)
{
  g_autoptr (GError) error = NULL;
  VhostUserFrame frame;

  if (!vhost_user_message_peek_frame (message, &frame, &error))
    return g_strdup (error->message);
  return vhost_user_frame_to_string (message->role, &frame);
}
