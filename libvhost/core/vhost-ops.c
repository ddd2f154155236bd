/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the conversation with one kernel device: makes the calls, or plays back recorded ones, and
 * prints them. Runs on the thread of its device. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "core/vhost-debug-private.h"
#include "core/vhost-ops-private.h"

#define MAX_ERRNO 4096

typedef struct {
  guint64 address;
  guint64 size;
  guint64 known;
} NamedMemory;

struct _VhostOps {
  guint number;    /* in what is printed: the devices of this process, counted */
  GArray *memory;  /* NamedMemory */
  char **expected; /* replay: the lines; %NULL: the kernel is asked */
  guint position;
  int stand_in; /* replay: what the kernel would make descriptors of */
};

static VhostOps *
ops_new (void)
{
  static guint n_devices;
  VhostOps *ops = g_new0 (VhostOps, 1);

  ops->number = g_atomic_int_add (&n_devices, 1) + 1;
  ops->memory = g_array_new (FALSE, FALSE, sizeof (NamedMemory));
  ops->stand_in = -1;
  return ops;
}

VhostOps *
vhost_ops_new (void)
{
  return ops_new ();
}

VhostOps *
vhost_ops_new_replay (const char *recording)
{
  VhostOps *ops = ops_new ();
  g_auto (GStrv) lines = g_strsplit (recording, "\n", -1);
  g_autoptr (GPtrArray) kept = g_ptr_array_new ();

  for (guint i = 0; lines[i] != NULL; i++) {
    g_strstrip (lines[i]);
    if (lines[i][0] != '\0' && lines[i][0] != '#')
      g_ptr_array_add (kept, g_strdup (lines[i]));
  }
  g_ptr_array_add (kept, NULL);
  ops->expected = (char **) g_ptr_array_steal (kept, NULL);
  return ops;
}

void
vhost_ops_free (VhostOps *ops)
{
  g_array_unref (ops->memory);
  g_strfreev (ops->expected);
  g_free (ops);
}

void
vhost_ops_set_stand_in (VhostOps *ops, int fd)
{
  ops->stand_in = fd;
}

const char *
vhost_ops_get_expected (VhostOps *ops)
{
  return ops->expected != NULL ? ops->expected[ops->position] : NULL;
}

void
vhost_ops_name_memory (VhostOps *ops, guint64 address, guint64 size, guint64 known)
{
  const NamedMemory memory = { address, size, known };

  g_array_append_val (ops->memory, memory);
}

guint64
vhost_ops_hide_address (VhostOps *ops, guint64 address)
{
  for (guint i = ops->memory->len; i-- > 0;) {
    const NamedMemory *memory = &g_array_index (ops->memory, NamedMemory, i);

    if (address - memory->address < memory->size)
      return memory->known + (address - memory->address);
  }
  return address;
}

void
vhost_ops_forget_memory (VhostOps *ops)
{
  g_array_set_size (ops->memory, 0);
}

/* --- lines --- */

static void
append_hex (GString *line, const char *sign, gconstpointer data, gsize size)
{
  const guint8 *bytes = data;

  g_string_append_printf (line, " %s ", sign);
  for (gsize i = 0; i < size; i++)
    g_string_append_printf (line, "%02x", bytes[i]);
}

/* The part of a line that is known before the call. */
static GString *
begin_line (VhostOps *ops, const VhostCall *call, gconstpointer argument, gsize size)
{
  GString *line = g_string_new (call->name);
  g_autofree gpointer copy = NULL;

  if ((call->flags & VHOST_CALL_IN) == 0 || size == 0)
    return line;
  copy = g_memdup2 (argument, size);
  if (call->hide != NULL)
    call->hide (ops, copy, size);
  append_hex (line, ">", copy, size);
  return line;
}

static void
append_result (GString *line, gint64 result)
{
  const char *name = result < 0 ? strerrorname_np ((int) -result) : NULL;

  if (name != NULL)
    g_string_append_printf (line, " = %s", name);
  else
    g_string_append_printf (line, " = %" G_GINT64_FORMAT, result);
}

static gint64
parse_result (const char *text)
{
  char *end;
  gint64 number = g_ascii_strtoll (text, &end, 10);

  if (*end == '\0' && end != text)
    return number;
  for (int code = 1; code < MAX_ERRNO; code++) {
    if (g_strcmp0 (strerrorname_np (code), text) == 0)
      return -code;
  }
  return -ENOMSG;
}

static void
parse_hex (const char *text, gpointer data, gsize size)
{
  guint8 *bytes = data;

  for (gsize i = 0; i < size && g_ascii_isxdigit (text[2 * i]); i++)
    bytes[i] =
        (guint8) (g_ascii_xdigit_value (text[2 * i]) << 4 | g_ascii_xdigit_value (text[2 * i + 1]));
}

/* The call that @line begins must be the next one of the recording. ENOMSG: it is not. */
static gint64
play_line (VhostOps *ops, const GString *line, gpointer out, gsize size)
{
  const char *expected = ops->expected[ops->position];
  const char *rest, *result;

  if (expected == NULL || !g_str_has_prefix (expected, line->str) || expected[line->len] != ' ') {
    g_info ("replay: “%s” was expected, and “%s” came", expected, line->str);
    return -ENOMSG;
  }
  ops->position++;
  rest = expected + line->len;
  if (out != NULL && g_str_has_prefix (rest, " < "))
    parse_hex (rest + 3, out, size);
  result = strstr (rest, " = ");
  return result != NULL ? parse_result (result + 3) : -ENOMSG;
}

static gint64
end_line (VhostOps *ops, GString *line, gint64 result)
{
  if (vhost_debug_has (VHOST_DEBUG_IOCTL)) {
    append_result (line, result);
    vhost_debug_print ("device %u: %s", ops->number, line->str);
  }
  g_string_free (line, TRUE);
  return result;
}

/* --- calls --- */

static gint64
take_errno (gint64 result)
{
  return result < 0 ? -errno : result;
}

/* In a replay something that can be closed, watched and duplicated stands for the device. */
static int
open_stand_in (gint64 result)
{
  return result < 0 ? (int) result : (int) take_errno (eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static int
make_stand_in (VhostOps *ops, gint64 result)
{
  if (result < 0 || ops->stand_in < 0)
    return open_stand_in (result);
  return (int) take_errno (fcntl (ops->stand_in, F_DUPFD_CLOEXEC, 0));
}

int
vhost_ops_open (VhostOps *ops, const char *path, int flags)
{
  GString *line = g_string_new (NULL);
  int result;

  g_string_append_printf (line, "open %s", path);
  if (ops->expected != NULL)
    result = open_stand_in (play_line (ops, line, NULL, 0));
  else
    result = (int) take_errno (open (path, flags | O_CLOEXEC));
  end_line (ops, line, MIN (result, 0));
  return result;
}

int
vhost_ops_call (VhostOps *ops, int fd, const VhostCall *call, gpointer argument, gsize size)
{
  gboolean out = (call->flags & VHOST_CALL_OUT) != 0;
  gboolean makes_fd = (call->flags & VHOST_CALL_FD) != 0;
  GString *line = begin_line (ops, call, argument, size);
  gint64 result;

  if (ops->expected != NULL)
    result = play_line (ops, line, out ? argument : NULL, size);
  else
    result = take_errno (ioctl (fd, call->number, argument));
  if (ops->expected != NULL && makes_fd)
    result = make_stand_in (ops, result);
  if (out && result >= 0)
    append_hex (line, "<", argument, size);
  end_line (ops, line, makes_fd ? MIN (result, 0) : result);
  return (int) result;
}

gssize
vhost_ops_write (VhostOps *ops, int fd, const VhostCall *call, gconstpointer data, gsize size)
{
  GString *line = begin_line (ops, call, data, size);
  gint64 result;

  if (ops->expected != NULL)
    result = play_line (ops, line, NULL, 0);
  else
    result = take_errno (write (fd, data, size));
  return end_line (ops, line, result);
}

gssize
vhost_ops_read (VhostOps *ops, int fd, const VhostCall *call, gpointer data, gsize size)
{
  GString *line = g_string_new (call->name);
  gint64 result;

  if (ops->expected != NULL)
    result = play_line (ops, line, data, size);
  else
    result = take_errno (read (fd, data, size));
  if (result > 0)
    append_hex (line, "<", data, (gsize) result);
  return end_line (ops, line, result);
}
