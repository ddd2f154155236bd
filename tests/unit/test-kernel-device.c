/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel devices without a kernel: sessions that were recorded in a guest are played back, request
 * by request and byte by byte, and what must not reach the kernel is kept from it. */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "driver/vhost-driver.h"
#include "kernel/vhost-kernel-device-private.h"
#include "kernel/vhost-kernel-net.h"
#include "kernel/vhost-kernel-scsi.h"
#include "kernel/vhost-kernel-vsock.h"
#include "test-fds.h"

#define OPENED                                                                                     \
  "open /dev/vhost-net = 0\n"                                                                      \
  "GET_FORK_FROM_OWNER = EPERM\n"                                                                  \
  "SET_OWNER = 0\n"                                                                                \
  "GET_FEATURES < 0080003f03000000 = 0\n"                                                          \
  "GET_BACKEND_FEATURES = ENOTTY\n"

static VhostOps *
give_ops (gpointer device, const char *recording)
{
  VhostOps *ops = vhost_ops_new_replay (recording);

  vhost_kernel_set_ops (device, ops);
  return ops;
}

static VhostKernelDevice *
open_net (const char *recording)
{
  g_autofree char *all = g_strconcat (OPENED, recording, NULL);
  VhostKernelDevice *net = VHOST_KERNEL_DEVICE (vhost_kernel_net_new ());
  g_autoptr (GError) error = NULL;

  give_ops (net, all);
  vhost_kernel_device_open (net, NULL, &error);
  g_assert_no_error (error);
  return net;
}

static void
assert_played (gpointer device)
{
  g_assert_cmpstr (vhost_ops_get_expected (vhost_kernel_get_state (device)->ops), ==, NULL);
}

static VhostMemory *
make_memory (void)
{
  VHOST_AUTO_FD fd = memfd_create ("guest", MFD_CLOEXEC);
  g_autoptr (VhostMemory) none = vhost_memory_new ();
  g_autoptr (VhostMemoryRegion) region = NULL;
  g_autoptr (GError) error = NULL;
  VhostMemory *memory;

  g_assert_cmpint (ftruncate (fd, 0x10000), ==, 0);
  region = vhost_memory_region_new (0x100000, 0x10000, 0x100000, fd, 0, &error);
  g_assert_no_error (error);
  memory = vhost_memory_add (none, region, &error);
  g_assert_no_error (error);
  return memory;
}

/* --- what was recorded --- */

static void
play_session (gpointer device, const char *name, guint n_queues)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "unit", "recordings", name, NULL);
  g_autofree char *recording = NULL;
  g_autoptr (VhostDriver) driver = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &recording, NULL, &error);
  g_assert_no_error (error);
  give_ops (device, recording);
  vhost_kernel_device_open (device, NULL, &error);
  g_assert_no_error (error);
  driver = vhost_driver_new (device);
  if (VHOST_IS_KERNEL_NET (device)) {
    VHOST_AUTO_FD tap = vhost_fd_new_event (&error); /* the recording says what it is */

    vhost_kernel_net_set_backend (device, tap, &error);
  } else if (VHOST_IS_KERNEL_VSOCK (device)) {
    vhost_kernel_vsock_set_guest_cid (device, 42, &error);
  } else {
    vhost_kernel_scsi_set_endpoint (device, "naa.5001405aabbccdd0", 1, &error);
  }
  g_assert_no_error (error);
  vhost_driver_start (driver, n_queues, 256, NULL, &error);
  g_assert_no_error (error);
  if (VHOST_IS_KERNEL_VSOCK (device)) {
    g_assert_true (vhost_kernel_vsock_stop (device, &error));
    g_assert_true (vhost_kernel_vsock_start (device, &error));
  }
  vhost_driver_stop (driver, NULL, &error);
  g_assert_no_error (error);
  assert_played (device);
  vhost_kernel_device_close (device);
}

static void
test_net_session (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelNet) net = vhost_kernel_net_new ();

  play_session (net, "net-6.12.txt", 2);
}

static void
test_vsock_session (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelVsock) vsock = vhost_kernel_vsock_new ();

  play_session (vsock, "vsock-6.12.txt", 2);
}

static void
test_scsi_session (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelScsi) scsi = vhost_kernel_scsi_new ();

  play_session (scsi, "scsi-6.12.txt", 3);
}

static void
test_other_session (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelNet) net = vhost_kernel_net_new ();
  g_autoptr (GError) error = NULL;

  give_ops (net, "open /dev/vhost-vsock = 0\n");
  g_assert_false (vhost_kernel_device_open (VHOST_KERNEL_DEVICE (net), NULL, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (
      vhost_ops_get_expected (vhost_kernel_get_state (VHOST_KERNEL_DEVICE (net))->ops));
}

/* --- mistakes that others made --- */

/* The position of a queue is written by the kernel into what it was given. */
static void
test_seed_vring_base (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelDevice) net =
      open_net ("GET_VRING_BASE > 0100000000000000 < 010000002c010000 = 0\n");
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (vhost_device_get_vring_base (VHOST_DEVICE (net), 1, NULL, &error), ==, 300);
  g_assert_no_error (error);
  assert_played (net);
}

static void
set_up_ring (VhostKernelDevice *net, guint64 desc, guint64 avail, guint64 used, guint64 log,
             GError **error)
{
  g_autoptr (VhostMemory) memory = make_memory ();
  VhostDevice *device = VHOST_DEVICE (net);

  g_assert_true (vhost_device_set_memory (device, memory, NULL, NULL));
  g_assert_true (vhost_device_set_vring_num (device, 0, 16, NULL, NULL));
  vhost_device_set_vring_addr (device, 0, 1, desc, avail, used, log, NULL, error);
}

#define MEMORY                                                                                     \
  "SET_MEM_TABLE > 0100000000000000000010000000000000000100000000000000100000000000"               \
  "0000000000000000 = 0\n"                                                                         \
  "SET_VRING_NUM > 0000000010000000 = 0\n"

/* Descriptors, used, available: the kernel's order is not that of the specification. The log goes
 * by the guest's addresses, and may be anywhere. */
static void
test_seed_ring_order_and_log (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelDevice) net =
      open_net (MEMORY "SET_VRING_ADDR > 0000000001000000001010000000000000301000000000000020100000"
                       "0000000040105000000000 = 0\n");
  g_autoptr (GError) error = NULL;

  set_up_ring (net, 0x101000, 0x102000, 0x103000, 0x50104000, &error);
  g_assert_no_error (error);
  assert_played (net);
}

/* A used ring needs more room than an available ring of as many entries: 134 bytes, and 38. */
static void
test_seed_ring_sizes (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostKernelDevice) net =
      open_net (MEMORY MEMORY "SET_VRING_ADDR > 00000000010000000010100000000000003010000000000"
                              "0daff1000000000000030100000000000 = 0\n");
  g_autoptr (GError) error = NULL;

  set_up_ring (net, 0x101000, 0x103000, 0x10ffd8, 0x103000, &error);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_ADDRESS);
  g_clear_error (&error);
  set_up_ring (net, 0x101000, 0x10ffda, 0x103000, 0x103000, &error);
  g_assert_no_error (error);
  assert_played (net);
}

/* --- numbers --- */

static void
test_numbers (guint *n_fds, gconstpointer data)
{
  static const guint32 numbers[] = {
    0x8008af00, 0x4008af00, 0x0000af01, 0x0000af02, 0x4008af03, 0x4008af04, 0x4004af07, 0x8004af08,
    0x4004af09, 0x4008af10, 0x4028af11, 0x4008af12, 0xc008af12, 0x4008af13, 0x4008af14, 0x4008af15,
    0xc008af16, 0x4008af20, 0x4008af21, 0x4008af22, 0x4008af23, 0x4008af24, 0x4008af25, 0x8008af26,
    0x4008af30, 0x40e8af40, 0x40e8af41, 0x4004af42, 0x4004af43, 0x4004af44, 0x4008af60, 0x4004af61,
    0x8004af70, 0x8001af71, 0x4001af72, 0x8008af73, 0x4008af74, 0x4008af75, 0x8002af76, 0x4004af77,
    0x8010af78, 0x8004af79, 0x8004af7a, 0xc008af7b, 0x4008af7c, 0x0000af7d, 0x0000af7e, 0xc008af7f,
    0x8004af80, 0x8004af81, 0xc008af82, 0x8008af83, 0x4008af83, 0x4001af84, 0x8001af85,
  };

  G_STATIC_ASSERT (G_N_ELEMENTS (numbers) == VHOST_KERNEL_N_IOCTLS);
  for (guint i = 0; i < VHOST_KERNEL_N_IOCTLS; i++)
    g_assert_cmphex (vhost_kernel_calls[i].number, ==, numbers[i]);
}

/* --- messages of an IOMMU --- */

/* The first word is the form of the message; 40 bytes count, and 72 are written. */
static char *
make_message (guint form, const char *body)
{
  return g_strdup_printf ("%02x00000000000000%s%0*d", form, body, 144 - 16 - (int) strlen (body),
                          0);
}

static VhostKernelDevice *
open_with_messages (guint form)
{
  g_autofree char *update = make_message (form, "0000400000000000"
                                                "0010000000000000"
                                                "0000400000000000"
                                                "0302");
  g_autofree char *miss = make_message (form, "0000500000000000"
                                              "0000000000000000"
                                              "0000000000000000"
                                              "0201");
  g_autofree char *invalidate = make_message (form, "0000400000000000"
                                                    "0010000000000000"
                                                    "0000000000000000"
                                                    "0003");
  g_autofree char *recording = g_strdup_printf (
      "open /dev/vhost-net = 0\nGET_FORK_FROM_OWNER < 01 = 0\nSET_OWNER = 0\n"
      "GET_FEATURES < 0080003f03000000 = 0\nGET_BACKEND_FEATURES < %02x00000000000000 = 0\n%s"
      "WRITE_IOTLB > %s = 72\nREAD_IOTLB < %s = 72\nREAD_IOTLB = EAGAIN\n"
      "WRITE_IOTLB > %s = EFAULT\n",
      form == 2 ? 2 : 0, form == 2 ? "SET_BACKEND_FEATURES > 0200000000000000 = 0\n" : "", update,
      miss, invalidate);
  VhostKernelDevice *net = VHOST_KERNEL_DEVICE (vhost_kernel_net_new ());
  g_autoptr (GError) error = NULL;

  give_ops (net, recording);
  vhost_kernel_device_open (net, NULL, &error);
  g_assert_no_error (error);
  return net;
}

static void
test_iotlb (guint *n_fds, gconstpointer data)
{
  for (guint form = 1; form <= 2; form++) {
    g_autoptr (VhostKernelDevice) net = open_with_messages (form);
    g_autoptr (GError) error = NULL;
    static const guint8 host[4096];
    guint64 iova;
    guint access;

    vhost_kernel_send_iotlb (net, VHOST_IOTLB_UPDATE, 0, 0x400000, 4096, host, VHOST_ACCESS_RW,
                             &error);
    g_assert_no_error (error);
    g_assert_cmpint (vhost_kernel_read_miss (net, &iova, &access, &error), ==, 1);
    g_assert_cmphex (iova, ==, 0x500000);
    g_assert_cmpuint (access, ==, VHOST_ACCESS_WO);
    g_assert_cmpint (vhost_kernel_read_miss (net, &iova, &access, &error), ==, 0);
    g_assert_false (
        vhost_kernel_send_iotlb (net, VHOST_IOTLB_INVALIDATE, 0, 0x400000, 4096, NULL, 0, &error));
    g_assert_error (error, VHOST_ERROR, VHOST_ERROR_REFUSED);
    assert_played (net);
  }
}

static void
test_iotlb_refused (guint *n_fds, gconstpointer data)
{
  static const struct {
    guint type, asid;
    guint64 iova, size;
    int code;
  } wrong[] = {
    { VHOST_IOTLB_UPDATE, 1, 0, 4096, VHOST_ERROR_NOT_NEGOTIATED },
    { VHOST_IOTLB_BATCH_BEGIN, 0, 0, 0, VHOST_ERROR_NOT_NEGOTIATED },
    { VHOST_IOTLB_UPDATE, 0, 0, 0, VHOST_ERROR_INVALID_VALUE },
    { VHOST_IOTLB_INVALIDATE, 0, G_MAXUINT64 - 4095, 8192, VHOST_ERROR_INVALID_VALUE },
  };
  g_autoptr (VhostKernelDevice) net = open_net ("");

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (vhost_kernel_send_iotlb (net, wrong[i].type, wrong[i].asid, wrong[i].iova,
                                             wrong[i].size, NULL, VHOST_ACCESS_RW, &error));
    g_assert_error (error, VHOST_ERROR, wrong[i].code);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/kernel/session/net", test_net_session);
  add_fd_test ("/kernel/session/vsock", test_vsock_session);
  add_fd_test ("/kernel/session/scsi", test_scsi_session);
  add_fd_test ("/kernel/session/other", test_other_session);
  add_fd_test ("/kernel/seed/get-vring-base-is-written", test_seed_vring_base);
  add_fd_test ("/kernel/seed/ring-order-and-guest-log-address", test_seed_ring_order_and_log);
  add_fd_test ("/kernel/seed/ring-sizes", test_seed_ring_sizes);
  add_fd_test ("/kernel/numbers", test_numbers);
  add_fd_test ("/kernel/iotlb/messages", test_iotlb);
  add_fd_test ("/kernel/iotlb/refused", test_iotlb_refused);
  return g_test_run ();
}
