/* SPDX-License-Identifier: BSD-3-Clause */
/* Random 4 KiB reads from a vhost-user disk: ours in a process of its own, and qemu-storage-daemon
 * beside it, under the same driver.
 *
 *   bench-blk --serve SOCKET direct|buffered|null IMAGE     is our process
 *   bench-blk --drive SOCKET DEPTH polled|eventfd SECONDS   is the driver, alone
 */

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"
#include "blk-driver.h"

#define IMAGE_SIZE (64 * 1024 * 1024)
#define DAEMON "qemu-storage-daemon"

typedef struct {
  BlkDriver *driver;
  pid_t pid;
  char *socket;
} Side;

typedef struct {
  const char *name;
  const char *kind;     /* of our disk */
  const char *blockdev; /* of the daemon: %s is the image */
  const char *folder;   /* where the image is */
} Disk;

typedef struct {
  guint depth;
  gboolean polling;
  double at_least; /* how many times as fast */
  double cpu;      /* 0, or how much CPU time of theirs a request may take */
} Point;

static Side sides[2];
static Point point;
static double seconds;

/* --- Our process --------------------------------------------------------------------------- */

/* The queue is polled by a worker. */
static gboolean
use_worker (VhostBackend *backend, GError **error)
{
  static VhostWorker *worker; /* as long as the process */

  worker = vhost_worker_new ();
  return vhost_worker_start (worker, error) &&
         vhost_queue_set_worker (vhost_backend_get_queue (backend, 0), worker, error);
}

static int
serve (char **argv)
{
  g_autoptr (VhostUserBackend) backend = vhost_user_backend_new (VHOST_DEVICE_ID_BLOCK, 1);
  g_autoptr (VhostVirtioBlk) disk = vhost_virtio_blk_new (VHOST_BACKEND (backend));
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  GError *error = NULL;
  gboolean done;

  if (g_str_equal (argv[3], "null"))
    done = vhost_virtio_blk_open_null (disk, IMAGE_SIZE, &error);
  else
    done = vhost_virtio_blk_open (disk, argv[4],
                                  g_str_equal (argv[3], "direct") ? VHOST_VIRTIO_BLK_FLAGS_DIRECT
                                                                  : VHOST_VIRTIO_BLK_FLAGS_NONE,
                                  &error);
  if (!done || !use_worker (VHOST_BACKEND (backend), &error) ||
      !vhost_user_backend_listen (backend, argv[2], &error))
    g_error ("%s", error->message);
  g_main_loop_run (loop);
  return 0;
}

/* Alone, to look at with a profiler. */
static int
drive (char **argv)
{
  BlkDriver *driver = blk_driver_open (argv[2]);
  double rate = blk_driver_run (driver, (guint) atoi (argv[3]), g_str_equal (argv[4], "polled"),
                                g_ascii_strtod (argv[5], NULL));

  printf ("%.0f k/s\n", rate / 1000);
  blk_driver_close (driver);
  return 0;
}

/* --- Sides --------------------------------------------------------------------------------- */

static pid_t
spawn (char **argv)
{
  pid_t pid = fork ();

  if (pid != 0)
    return pid;
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  execvp (argv[0], argv);
  _exit (127);
}

static void
start_ours (Side *side, const Disk *disk, const char *self, const char *image)
{
  char *argv[] = { (char *) self,       (char *) "--serve", side->socket,
                   (char *) disk->kind, (char *) image,     NULL };

  side->pid = spawn (argv);
}

static char *
replace_image (const char *text, const char *image)
{
  g_auto (GStrv) parts = g_strsplit (text, "%s", 2);

  return g_strjoinv (image, parts);
}

static void
start_theirs (Side *side, const Disk *disk, const char *image)
{
  g_autofree char *blockdev = replace_image (disk->blockdev, image);
  g_autofree char *export = g_strdup_printf ("vhost-user-blk,id=e,node-name=f,addr.type=unix,"
                                             "addr.path=%s,num-queues=1,iothread=io",
                                             side->socket);
  char *argv[] = { (char *) DAEMON,
                   (char *) "--object",
                   (char *) "iothread,id=io",
                   (char *) "--blockdev",
                   blockdev,
                   (char *) "--export",
                   export,
                   NULL };

  side->pid = spawn (argv);
}

static void
stop (Side *side)
{
  blk_driver_close (side->driver);
  kill (side->pid, SIGKILL); /* the daemon may wait for its front-end for ever */
  waitpid (side->pid, NULL, 0);
  g_unlink (side->socket);
  g_free (side->socket);
}

static char *
make_image (const char *folder)
{
  char *path = g_strdup_printf ("%s/vhost-bench-%d.img", folder, (int) getpid ());
  g_autofree char *content = g_malloc (IMAGE_SIZE);
  GError *error = NULL;

  memset (content, 0x5a, IMAGE_SIZE);
  if (!g_file_set_contents (path, content, IMAGE_SIZE, &error))
    g_error ("%s", error->message);
  sync ();
  return path;
}

/* --- Measuring ----------------------------------------------------------------------------- */

static double
get_cpu_ns (pid_t pid)
{
  struct timespec time;
  clockid_t clock;

  clock_getcpuclockid (pid, &clock);
  clock_gettime (clock, &time);
  return (double) time.tv_sec * 1e9 + (double) time.tv_nsec;
}

typedef struct {
  double rate; /* thousands a second */
  double cpu;  /* µs of each */
} Result;

static Result
measure (Side *side)
{
  double before = get_cpu_ns (side->pid);
  double rate = blk_driver_run (side->driver, point.depth, point.polling, seconds);

  return (Result){ rate / 1000, (get_cpu_ns (side->pid) - before) / (rate * seconds) / 1000 };
}

static void
measure_pairs (const Disk *disk, guint n)
{
  g_autofree char *name = g_strdup_printf ("%s, %s, depth %u", disk->name,
                                           point.polling ? "polled" : "eventfd", point.depth);
  g_autofree char *cpu_name = g_strdup_printf ("%s, CPU", name);
  const BenchFigure rate = {
    .figure = name, .unit = "k/s", .peer = DAEMON, .at_least = point.at_least
  };
  const BenchFigure cpu = {
    .figure = cpu_name, .unit = "µs", .peer = DAEMON, .at_most = point.cpu
  };

  for (guint i = 0; i < n + 1; i++) {
    Result first = measure (&sides[i % 2]);
    Result second = measure (&sides[1 - i % 2]);
    const Result *ours = i % 2 == 0 ? &first : &second;
    const Result *theirs = i % 2 == 0 ? &second : &first;

    if (i == 0)
      continue;
    bench_print_pair (&rate, ours->rate, theirs->rate);
    bench_print_pair (&cpu, ours->cpu, theirs->cpu);
    fflush (stdout);
  }
}

static void
measure_disk (const Disk *disk, const Point *points, guint n_points, guint n, const char *self)
{
  g_autofree char *image = disk->folder != NULL ? make_image (disk->folder) : g_strdup ("");

  for (guint i = 0; i < 2; i++)
    sides[i].socket =
        g_strdup_printf ("%s/vhost-bench-%d-%u.sock", g_get_tmp_dir (), (int) getpid (), i);
  start_ours (&sides[0], disk, self, image);
  start_theirs (&sides[1], disk, image);
  for (guint i = 0; i < 2; i++)
    sides[i].driver = blk_driver_open (sides[i].socket);
  for (guint i = 0; i < n_points; i++) {
    point = points[i];
    measure_pairs (disk, n);
  }
  for (guint i = 0; i < 2; i++)
    stop (&sides[i]);
  g_unlink (image);
}

int
main (int argc, char **argv)
{
  static const Disk null = { "null disk", "null", "null-co,node-name=f,size=67108864", NULL };
  static const Disk cached = { "page cache", "buffered",
                               "file,node-name=f,filename=%s,aio=io_uring", "/var/tmp" };
  static const Disk tmpfs = { "tmpfs", "buffered", "file,node-name=f,filename=%s,aio=threads",
                              "/dev/shm" };
  static const Disk direct = { "O_DIRECT", "direct",
                               "file,node-name=f,filename=%s,aio=native,cache.direct=on",
                               "/var/tmp" };
  static const Point null_points[] = { { 1, TRUE, 2, 0 },
                                       { 32, TRUE, 2.5, 0 },
                                       { 128, TRUE, 4, 0 },
                                       { 32, FALSE, 2.3, 0 },
                                       { 128, FALSE, 2.8, 0 } };
  static const Point cached_points[] = { { 32, TRUE, 1.5, 0.65 }, { 32, FALSE, 1.5, 0.65 } };
  static const Point tmpfs_points[] = { { 1, TRUE, 1.6, 0 },
                                        { 32, TRUE, 1.8, 0 },
                                        { 128, TRUE, 1.8, 0 } };
  static const Point direct_points[] = { { 32, TRUE, 1, 0.7 }, { 128, TRUE, 1, 0.7 } };
  gboolean quick = bench_is_quick (argc, argv);
  guint n = quick ? 1 : 9;

  if (argc > 4 && g_str_equal (argv[1], "--serve"))
    return serve (argv);
  if (argc > 5 && g_str_equal (argv[1], "--drive"))
    return drive (argv);
  if (g_find_program_in_path (DAEMON) == NULL) {
    bench_print_missing ("vhost-user-blk", DAEMON, "qemu-storage-daemon is not installed");
    return 0;
  }
  seconds = quick ? 0.05 : 0.2;
  measure_disk (&null, null_points, G_N_ELEMENTS (null_points), n, argv[0]);
  measure_disk (&cached, cached_points, G_N_ELEMENTS (cached_points), n, argv[0]);
  measure_disk (&tmpfs, tmpfs_points, G_N_ELEMENTS (tmpfs_points), n, argv[0]);
  measure_disk (&direct, direct_points, G_N_ELEMENTS (direct_points), n, argv[0]);
  return 0;
}
