/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line and the life of a program that is one end of a vhost-user socket, as those who
 * start such programs expect it. One thread, the one that calls run().
 * (vhost-user, “Backend program conventions”) */

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "user/vhost-user-program.h"

/**
 * VhostUserProgram:
 *
 * The options that every vhost-user program has: `--socket-path=PATH`, `--fd=FDNUM` and, for
 * back-ends, `--print-capabilities`.
 *
 * ```python
 * program = Vhost.UserProgram(device_type="rng")
 * arguments = program.parse(sys.argv)         # what is left is the program's own
 * if not program.print_capabilities():
 *     sys.exit(program.run(make_device()))    # until SIGTERM
 * ```
 *
 * Since: 1.0
 */
struct _VhostUserProgram {
  GObject parent_instance;

  char *device_type;
  char **features;
  char *name; /* of the program, for its messages */
  char *socket_path;
  int fd; /* -1: not given */
  gboolean wants_capabilities;
};

G_DEFINE_FINAL_TYPE (VhostUserProgram, vhost_user_program, G_TYPE_OBJECT)

enum {
  PROP_DEVICE_TYPE = 1,
  PROP_FEATURES,
  PROP_SOCKET_PATH,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

/* --- The command line ---------------------------------------------------------------------- */

static gboolean
check_unset (VhostUserProgram *program, GError **error)
{
  if (!vhost_user_program_has_socket (program))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "--socket-path and --fd: only one of them, and only once");
}

static gboolean
take_socket_path (VhostUserProgram *program, const char *value, GError **error)
{
  if (!check_unset (program, error))
    return FALSE;
  if (value[0] == '\0')
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "--socket-path needs a path");
  program->socket_path = g_strdup (value);
  return TRUE;
}

static gboolean
take_fd (VhostUserProgram *program, const char *value, GError **error)
{
  guint64 number;

  if (!check_unset (program, error))
    return FALSE;
  if (!g_ascii_string_to_unsigned (value, 10, 0, G_MAXINT, &number, NULL))
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "--fd needs the number of a file descriptor, not “%s”", value);
  program->fd = (int) number;
  return TRUE;
}

typedef gboolean (*TakeFunc) (VhostUserProgram *program, const char *value, GError **error);

static const struct {
  const char *name;
  TakeFunc take;
} options[] = {
  { "--socket-path", take_socket_path },
  { "--fd", take_fd },
};

/* The value of option @name in “--name=value” or “--name value”; how many arguments it takes is
 * returned, 0 when this is another option. */
static guint
match (const char *const *argument, const char *name, const char **value)
{
  gsize length = strlen (name);

  if (strncmp (*argument, name, length) != 0)
    return 0;
  if ((*argument)[length] == '=') {
    *value = *argument + length + 1;
    return 1;
  }
  if ((*argument)[length] != '\0')
    return 0;
  *value = argument[1];
  return argument[1] != NULL ? 2 : 1;
}

/* Takes an option of ours: how many arguments it was, 0 when it is none, or -1 with error. */
static int
take_option (VhostUserProgram *program, const char *const *argument, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    const char *value = NULL;
    guint n = match (argument, options[i].name, &value);

    if (n == 0)
      continue;
    if (value == NULL)
      vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s needs a value", options[i].name);
    return value != NULL && options[i].take (program, value, error) ? (int) n : -1;
  }
  return 0;
}

static gboolean
asks_for_capabilities (VhostUserProgram *program, const char *const *arguments)
{
  for (; program->device_type != NULL && *arguments != NULL && strcmp (*arguments, "--") != 0;
       arguments++) {
    if (strcmp (*arguments, "--print-capabilities") == 0)
      return TRUE;
  }
  return FALSE;
}

static void
forget_arguments (VhostUserProgram *program)
{
  g_clear_pointer (&program->name, g_free);
  g_clear_pointer (&program->socket_path, g_free);
  program->fd = -1;
  program->wants_capabilities = FALSE;
}

/**
 * vhost_user_program_new:
 * @device_type: (nullable): what the program serves, such as “block”, “net”, “rng” or “fs”, or
 *   %NULL for a front-end
 * @features: (nullable) (array zero-terminated=1): what the program offers of the features that the
 *   specification names for this type, such as “read-only”
 *
 * Makes a program.
 *
 * Returns: (transfer full): the program
 *
 * Since: 1.0
 */
VhostUserProgram *
vhost_user_program_new (const char *device_type, const char *const *features)
{
  return g_object_new (VHOST_USER_TYPE_PROGRAM, "device-type", device_type, "features", features,
                       NULL);
}

/**
 * vhost_user_program_parse:
 * @program: a program
 * @arguments: (array zero-terminated=1): the command line, with the name of the program first
 * @error: return location
 *
 * Takes `--socket-path`, `--fd` and `--print-capabilities` from a command line, up to an argument
 * `--`. None is demanded yet: a command line may ask for help only. When `--print-capabilities` is
 * there, nothing else is looked at.
 *
 * Returns: (transfer full) (array zero-terminated=1): what is left, with the name of the program
 *   first; %NULL with %VHOST_ERROR_INVALID_VALUE when an option has no value or a wrong one, or
 * when there is more than one socket
 *
 * Since: 1.0
 */
char **
vhost_user_program_parse (VhostUserProgram *program, const char *const *arguments, GError **error)
{
  g_autoptr (GStrvBuilder) left = g_strv_builder_new ();
  gboolean ended = FALSE;

  g_return_val_if_fail (VHOST_USER_IS_PROGRAM (program), NULL);
  g_return_val_if_fail (arguments != NULL, NULL);

  forget_arguments (program);
  program->name = g_strdup (arguments[0] != NULL ? arguments[0] : "");
  program->wants_capabilities = asks_for_capabilities (program, arguments);
  while (*arguments != NULL) {
    int n = 0;

    ended = ended || program->wants_capabilities || strcmp (*arguments, "--") == 0;
    if (!ended)
      n = take_option (program, arguments, error);
    if (n < 0)
      return NULL;
    if (n == 0)
      g_strv_builder_add (left, *arguments);
    arguments += MAX (n, 1);
  }
  return g_strv_builder_end (left);
}

/**
 * vhost_user_program_has_socket:
 * @program: a program
 *
 * Tells whether the command line named a socket, by a path or a descriptor. Without one neither
 * [method@Vhost.UserProgram.run] nor [method@Vhost.UserProgram.open] works.
 *
 * Returns: whether there is one
 *
 * Since: 1.0
 */
gboolean
vhost_user_program_has_socket (VhostUserProgram *program)
{
  g_return_val_if_fail (VHOST_USER_IS_PROGRAM (program), FALSE);

  return program->socket_path != NULL || program->fd >= 0;
}

/* --- Capabilities -------------------------------------------------------------------------- */

static void
append_json (GString *json, const char *text)
{
  g_string_append_c (json, '"');
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\' || (guchar) *text < 0x20)
      g_string_append_printf (json, "\\u%04x", (guint) *text);
    else
      g_string_append_c (json, *text);
  }
  g_string_append_c (json, '"');
}

/**
 * vhost_user_program_print_capabilities:
 * @program: a program
 *
 * When the command line asked for the capabilities, prints them to standard output: one JSON object
 * with the type and the features. The program then has nothing more to do, and exits with status 0.
 *
 * Returns: whether they were asked for
 *
 * Since: 1.0
 */
gboolean
vhost_user_program_print_capabilities (VhostUserProgram *program)
{
  g_autoptr (GString) json = g_string_new ("{\"type\": ");

  g_return_val_if_fail (VHOST_USER_IS_PROGRAM (program), FALSE);

  if (!program->wants_capabilities)
    return FALSE;
  append_json (json, program->device_type);
  g_string_append (json, ", \"features\": [");
  for (guint i = 0; program->features != NULL && program->features[i] != NULL; i++) {
    g_string_append (json, i > 0 ? ", " : "");
    append_json (json, program->features[i]);
  }
  g_string_append (json, "]}\n");
  fputs (json->str, stdout);
  fflush (stdout);
  return TRUE;
}

/* --- The device ---------------------------------------------------------------------------- */

static gboolean
check_socket (VhostUserProgram *program, GError **error)
{
  if (vhost_user_program_has_socket (program))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "--socket-path or --fd is needed");
}

/**
 * vhost_user_program_open:
 * @program: a program
 * @frontend: a front-end
 * @cancellable: (nullable): to give up early
 * @error: return location
 *
 * Opens a front-end at the socket of the command line. An inherited descriptor becomes the
 * front-end's.
 *
 * Returns: %TRUE, or %FALSE with an error as of [method@Vhost.UserFrontend.open]
 *
 * Since: 1.0
 */
gboolean
vhost_user_program_open (VhostUserProgram *program, VhostUserFrontend *frontend,
                         GCancellable *cancellable, GError **error)
{
  gboolean opened;

  g_return_val_if_fail (VHOST_USER_IS_PROGRAM (program), FALSE);
  g_return_val_if_fail (VHOST_USER_IS_FRONTEND (frontend), FALSE);

  if (!check_socket (program, error))
    return FALSE;
  if (program->fd < 0)
    return vhost_user_frontend_open (frontend, program->socket_path, cancellable, error);
  opened = vhost_user_frontend_open_fd (frontend, program->fd, cancellable, error);
  if (opened)
    vhost_fd_clear (&program->fd);
  return opened;
}

static gboolean
open_backend (VhostUserProgram *program, VhostUserBackend *backend, GError **error)
{
  if (!check_socket (program, error))
    return FALSE;
  if (program->fd < 0)
    return vhost_user_backend_listen (backend, program->socket_path, error);
  if (!vhost_user_backend_open_fd (backend, program->fd, error))
    return FALSE;
  vhost_fd_clear (&program->fd); /* the device has its own */
  return TRUE;
}

static void
print_error (VhostUserProgram *program, const GError *error)
{
  g_printerr ("%s: %s\n", program->name != NULL ? program->name : g_get_prgname (), error->message);
}

static void
on_refused (VhostUserBackend *backend, guint request, const GError *error, gpointer data)
{
  print_error (data, error);
}

static void
on_device_failed (VhostUserBackend *backend, const GError *error, gpointer data)
{
  print_error (data, error);
}

static gboolean
on_signal (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_CONTINUE;
}

static GSource *
watch_signal (GMainContext *context, int number, GMainLoop *loop)
{
  GSource *source = g_unix_signal_source_new (number);

  g_source_set_callback (source, on_signal, loop, NULL);
  g_source_attach (source, context);
  return source;
}

static void
unwatch (GSource *source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

/* On a socket that was connected from the beginning the device ends with its peer. */
static void
serve (VhostUserProgram *program, VhostUserBackend *backend, GMainLoop *loop)
{
  gulong refused = g_signal_connect (backend, "refused", G_CALLBACK (on_refused), program);
  gulong failed =
      g_signal_connect (backend, "device-failed", G_CALLBACK (on_device_failed), program);
  gulong disconnected = 0;

  if (vhost_user_backend_is_connected (backend))
    disconnected =
        g_signal_connect_swapped (backend, "disconnected", G_CALLBACK (g_main_loop_quit), loop);
  g_main_loop_run (loop);
  vhost_user_backend_close (backend);
  g_clear_signal_handler (&disconnected, backend);
  g_clear_signal_handler (&refused, backend);
  g_clear_signal_handler (&failed, backend);
}

/**
 * vhost_user_program_run:
 * @program: a program
 * @backend: the device, not open yet
 *
 * Serves a device at the socket of the command line: listens at `--socket-path`, or uses the
 * descriptor, which may be a listening socket or a connected one. Runs a main loop in the
 * thread-default main context until SIGTERM or SIGINT, or, on a connected socket, until the
 * front-end leaves; then closes the device. What goes wrong is printed to standard error.
 *
 * Returns: the exit status: 0, or 1 when the device could not be opened
 *
 * Since: 1.0
 */
int
vhost_user_program_run (VhostUserProgram *program, VhostUserBackend *backend)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  g_autoptr (GError) error = NULL;
  GSource *terminate, *interrupt;

  g_return_val_if_fail (VHOST_USER_IS_PROGRAM (program), 1);
  g_return_val_if_fail (VHOST_USER_IS_BACKEND (backend), 1);

  /* Before anybody can see the socket, and then end the program in order. */
  terminate = watch_signal (context, SIGTERM, loop);
  interrupt = watch_signal (context, SIGINT, loop);
  if (open_backend (program, backend, &error))
    serve (program, backend, loop);
  else
    print_error (program, error);
  unwatch (interrupt);
  unwatch (terminate);
  return error != NULL ? 1 : 0;
}

/* --- The object ---------------------------------------------------------------------------- */

static void
vhost_user_program_finalize (GObject *object)
{
  VhostUserProgram *program = VHOST_USER_PROGRAM (object);

  forget_arguments (program);
  g_free (program->device_type);
  g_strfreev (program->features);
  G_OBJECT_CLASS (vhost_user_program_parent_class)->finalize (object);
}

static void
vhost_user_program_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  VhostUserProgram *program = VHOST_USER_PROGRAM (object);

  switch (id) {
  case PROP_DEVICE_TYPE:
    g_value_set_string (value, program->device_type);
    break;
  case PROP_FEATURES:
    g_value_set_boxed (value, program->features);
    break;
  case PROP_SOCKET_PATH:
    g_value_set_string (value, program->socket_path);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_program_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  VhostUserProgram *program = VHOST_USER_PROGRAM (object);

  switch (id) {
  case PROP_DEVICE_TYPE:
    program->device_type = g_value_dup_string (value);
    break;
  case PROP_FEATURES:
    program->features = g_value_dup_boxed (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
vhost_user_program_class_init (VhostUserProgramClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags constructed =
      G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  object_class->finalize = vhost_user_program_finalize;
  object_class->get_property = vhost_user_program_get_property;
  object_class->set_property = vhost_user_program_set_property;

  /**
   * VhostUserProgram:device-type:
   *
   * What the program serves, as the specification names it; %NULL for a front-end, which has no
   * `--print-capabilities`.
   *
   * Since: 1.0
   */
  properties[PROP_DEVICE_TYPE] = g_param_spec_string ("device-type", NULL, NULL, NULL, constructed);
  /**
   * VhostUserProgram:features:
   *
   * What the program offers of the features that the specification names for its type.
   *
   * Since: 1.0
   */
  properties[PROP_FEATURES] = g_param_spec_boxed ("features", NULL, NULL, G_TYPE_STRV, constructed);
  /**
   * VhostUserProgram:socket-path:
   *
   * The path of the command line; %NULL when it names a descriptor or no socket.
   *
   * Since: 1.0
   */
  properties[PROP_SOCKET_PATH] = g_param_spec_string ("socket-path", NULL, NULL, NULL,
                                                      G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
vhost_user_program_init (VhostUserProgram *program)
{
  program->fd = -1;
}
