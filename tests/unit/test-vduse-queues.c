/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of a device and their memory: changed under them, and taken over from a process that
 * died. */

#include "test-vduse.h"

/* --- Memory ----------------------------------------------------------------------------------- */

static void
expect_update (Test *test, guint32 id)
{
  struct vduse_dev_request request = { .type = VDUSE_UPDATE_IOTLB, .request_id = id };

  request.iova.last = G_MAXUINT64;
  expect_message (test, &request);
}

static void
test_update (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  expect_start (&test, 1);
  expect_update (&test, 2); /* all as before */
  expect_mapping (&test, GUEST_DESC, "0");
  expect_answer (&test, 2, VDUSE_REQ_RESULT_OK, 0, 0);
  expect_update (&test, 3); /* nothing is mapped any more */
  expect_mapping (&test, GUEST_DESC, "EINVAL");
  expect_answer (&test, 3, VDUSE_REQ_RESULT_OK, 0, 0);
  expect_update (&test, 4); /* the ring is back, and a buffer in it */
  expect_mapping (&test, GUEST_DESC, "0");
  expect_answer (&test, 4, VDUSE_REQ_RESULT_OK, 0, 0);
  expect_interrupt (&test, "0");
  start (&test);
  deliver (&test);
  settle ();
  deliver (&test);
  guest_offer_buffer (&test.guest, 2, 16, TRUE);
  settle ();
  g_assert_cmpuint (test.n_served, ==, 0);
  deliver (&test);
  run_calls (&test);
  g_assert_cmpuint (test.n_served, ==, 1);
  g_assert_cmpuint (test.n_failures, ==, 0);
}

/* --- Going on --------------------------------------------------------------------------------- */

static void
expect_old_device (Test *test, guint64 features)
{
  expect_open (test->recording, "/dev/vduse/disk0", "0");
  expect_setup (test);
  expect_info (test, TRUE);
  expect_features (test, features);
  expect_info (test, TRUE);
}

/* Two buffers were used by the process before, which has not told of the second; one is left. */
static void
test_resume (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  for (guint16 i = 0; i < 3; i++)
    guest_offer_buffer (&test.guest, i, 16, TRUE);
  test.guest.used->idx = 2;
  expect_old_device (&test, FEATURES);
  expect_mapping (&test, GUEST_DESC, "0");
  expect_kick (&test);
  expect_interrupt (&test, "0");
  expect_interrupt (&test, "0");
  open_device (&test);
  run_calls (&test);
  g_assert_cmpuint (test.n_served, ==, 1);
  g_assert_cmpuint (test.guest.used->idx, ==, 3);
  g_assert_cmpuint (test.guest.used->ring[2].id, ==, 2);
  g_assert_cmpuint (vhost_backend_get_status (VHOST_BACKEND (test.backend)), ==, 15);
}

/* A record says more than the used ring: head 0 was used, but 1 was still in flight when 2 was
 * done. */
static void
test_resume_recorded (guint *n_fds, gconstpointer data)
{
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "vhost-vduse-XXXXXX", NULL);
  VHOST_AUTO_FD fd = g_mkstemp (path);

  g_assert_cmpint (fd, >=, 0);
  for (guint round = 0; round < 2; round++) {
    g_auto (Test) test = { 0 };

    test_init (&test);
    g_object_set (test.backend, "recovery-file", path, NULL);
    guest_offer_buffer (&test.guest, 1, 16, TRUE);
    if (round == 0) {
      test.hold = TRUE; /* and it dies with it */
      expect_new_device (&test);
      expect_start (&test, 1);
      start (&test);
    } else {
      expect_old_device (&test, FEATURES);
      expect_mapping (&test, GUEST_DESC, "0");
      expect_kick (&test);
      expect_interrupt (&test, "0");
      expect_interrupt (&test, "0");
      open_device (&test);
      run_calls (&test);
      g_assert_cmpuint (test.guest.used->idx, ==, 1);
    }
    g_assert_cmpuint (test.n_served, ==, 1);
  }
  unlink (path);
}

/* The file is gone, and with it where the ring was. */
static void
test_resume_packed (guint *n_fds, gconstpointer data)
{
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "vhost-vduse-XXXXXX", NULL);
  VHOST_AUTO_FD fd = g_mkstemp (path);
  g_auto (Test) test = { 0 };

  test_init (&test);
  vhost_backend_add_feature (VHOST_BACKEND (test.backend), VHOST_FEATURE_RING_PACKED);
  g_object_set (test.backend, "recovery-file", path, NULL);
  expect_old_device (&test, FEATURES | VHOST_BIT (VHOST_FEATURE_RING_PACKED));
  expect_mapping (&test, GUEST_DESC, "0");
  fail_to_open (&test, "disk0", VHOST_ERROR, VHOST_ERROR_BAD_STATE, "recovery file");
  unlink (path);
}

static void
test_base (guint *n_fds, gconstpointer data)
{
  struct vduse_vq_info info = { 0 };

  info.split.avail_index = 0xfffe;
  g_assert_cmphex (vhost_vduse_get_base (&info, FALSE), ==, 0xfffe);
  info.packed = (struct vduse_vq_state_packed){ 1, 5, 0, 3 };
  g_assert_cmphex (vhost_vduse_get_base (&info, TRUE), ==, 0x00038005);
  info.packed = (struct vduse_vq_state_packed){ 0, 0x7fff, 1, 0 };
  g_assert_cmphex (vhost_vduse_get_base (&info, TRUE), ==, 0x80007fff);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/vduse-queues/update", test_update);
  add_fd_test ("/vduse-queues/resume", test_resume);
  add_fd_test ("/vduse-queues/resume-recorded", test_resume_recorded);
  add_fd_test ("/vduse-queues/resume-packed", test_resume_packed);
  add_fd_test ("/vduse-queues/base", test_base);
  return g_test_run ();
}
