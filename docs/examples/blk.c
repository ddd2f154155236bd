/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves a file or a block device as a vhost-user disk:
 *
 *   cc blk.c -o blk $(pkg-config --cflags --libs libvhost-1 gio-unix-2.0)
 *   ./blk --socket-path /tmp/disk.sock --num-queues 4 disk.img
 *
 * On SIGHUP it looks how long the file is now, and the guest is told. */

#include <glib-unix.h>
#include <libvhost/vhost.h>

static int n_queues = 1;
static gboolean read_only;
static gboolean direct;
static gboolean use_threads;
static char *serial;
static char **images;

static const GOptionEntry entries[] = {
  { "num-queues", 0, 0, G_OPTION_ARG_INT, &n_queues, "How many queues, 1 to 256", "N" },
  { "read-only", 0, 0, G_OPTION_ARG_NONE, &read_only, "Refuse to change the image", NULL },
  { "direct", 0, 0, G_OPTION_ARG_NONE, &direct, "Past the page cache", NULL },
  { "threads", 0, 0, G_OPTION_ARG_NONE, &use_threads, "Do without io_uring", NULL },
  { "serial", 0, 0, G_OPTION_ARG_STRING, &serial, "What the guest sees as serial number", "TEXT" },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &images, NULL, "IMAGE" },
  { NULL },
};

static gboolean
on_hangup (gpointer disk)
{
  g_autoptr (GError) error = NULL;

  if (!vhost_virtio_blk_refresh_size (disk, &error))
    g_printerr ("%s\n", error->message);
  return G_SOURCE_CONTINUE;
}

static gboolean
parse (char **arguments, GError **error)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse_strv (context, &arguments, error))
    return FALSE;
  if (images != NULL && images[1] == NULL && n_queues >= 1 && n_queues <= 256)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "one image and 1 to 256 queues are needed");
  return FALSE;
}

static int
serve (VhostUserProgram *program, GError **error)
{
  g_autoptr (VhostUserBackend) backend =
      vhost_user_backend_new (VHOST_DEVICE_ID_BLOCK, (guint) n_queues);
  g_autoptr (VhostVirtioBlk) disk = vhost_virtio_blk_new (VHOST_BACKEND (backend));
  VhostVirtioBlkFlags flags = (read_only ? VHOST_VIRTIO_BLK_FLAGS_READ_ONLY : 0) |
                              (direct ? VHOST_VIRTIO_BLK_FLAGS_DIRECT : 0);

  if (use_threads)
    g_object_set (disk, "engine", VHOST_VIRTIO_BLK_ENGINE_THREADS, NULL);
  g_object_set (disk, "serial", serial, NULL);
  if (!vhost_virtio_blk_open (disk, images[0], flags, error))
    return 1;
  g_unix_signal_add (SIGHUP, on_hangup, disk);
  return vhost_user_program_run (program, backend);
}

int
main (int argc, char **argv)
{
  const char *features[] = { "read-only", NULL };
  g_autoptr (VhostUserProgram) program = vhost_user_program_new ("block", features);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) rest = vhost_user_program_parse (program, (const char *const *) argv, &error);
  int status = 1;

  if (rest != NULL && vhost_user_program_print_capabilities (program))
    return 0;
  if (rest != NULL && parse (rest, &error))
    status = serve (program, &error);
  if (error != NULL)
    g_printerr ("%s: %s\n", argv[0], error->message);
  g_strfreev (images);
  g_free (serial);
  return status;
}
