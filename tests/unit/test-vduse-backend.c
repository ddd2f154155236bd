/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a device, serving the messages of its kernel, and what goes wrong. */

#include "test-vduse.h"

/* --- Opening ---------------------------------------------------------------------------------- */

static void
test_create (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  open_device (&test);
  g_assert_cmpstr (test.backend->name, ==, "disk0");
  vhost_vduse_backend_close (test.backend);
  g_assert_false (vhost_vduse_backend_is_open (test.backend));
}

static void
test_open_errors (guint *n_fds, gconstpointer data)
{
  static const struct {
    const char *node, *control, *create;
    GIOErrorEnum code;
    const char *words;
  } cases[] = {
    { "ENOENT", "ENOENT", NULL, G_IO_ERROR_NOT_FOUND, "module vduse" },
    { "ENOENT", "EACCES", NULL, G_IO_ERROR_PERMISSION_DENIED, "/dev/vduse/control" },
    { "EBUSY", NULL, NULL, G_IO_ERROR_BUSY, "another process serves it" },
    { "EACCES", NULL, NULL, G_IO_ERROR_PERMISSION_DENIED, "/dev/vduse/disk0" },
    { "ENOENT", "0", "EINVAL", G_IO_ERROR_INVALID_ARGUMENT, "kinds of devices" },
    { "ENOENT", "0", "EEXIST", G_IO_ERROR_EXISTS, "CREATE_DEV" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Test) test = { 0 };

    test_init (&test);
    if (cases[i].create != NULL) {
      expect_create (&test, cases[i].create);
    } else {
      expect_open (test.recording, "/dev/vduse/disk0", cases[i].node);
      if (cases[i].control != NULL)
        expect_open (test.recording, "/dev/vduse/control", cases[i].control);
    }
    fail_to_open (&test, "disk0", G_IO_ERROR, cases[i].code, cases[i].words);
  }
}

static void
test_names (guint *n_fds, gconstpointer data)
{
  g_autofree char *longest = g_strnfill (256, 'x');
  const char *names[] = { "", ".", "..", "control", "a/b", longest };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_auto (Test) test = { 0 };

    test_init (&test);
    fail_to_open (&test, names[i], VHOST_ERROR, VHOST_ERROR_INVALID_VALUE, names[i]);
  }
}

static void
test_destroy (guint *n_fds, gconstpointer data)
{
  const guint64 version = 0;
  const char name[VDUSE_NAME_MAX] = "disk0";
  const char *results[] = { "EBUSY", "0", "EINVAL" };
  const int codes[] = { G_IO_ERROR_BUSY, -1, G_IO_ERROR_NOT_FOUND };
  g_autoptr (GError) none = NULL;
  g_auto (Test) test = { 0 };

  test_init (&test);
  g_assert_false (vhost_vduse_backend_destroy (test.backend, &none));
  g_assert_error (none, VHOST_ERROR, VHOST_ERROR_BAD_STATE);
  expect_new_device (&test);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++) {
    expect_open (test.recording, "/dev/vduse/control", "0");
    expect_call (test.recording, "SET_API_VERSION", &version, sizeof version, NULL, 0, "0");
    expect_call (test.recording, "DESTROY_DEV", name, sizeof name, NULL, 0, results[i]);
  }
  open_device (&test);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_true (vhost_vduse_backend_destroy (test.backend, &error) == (codes[i] < 0));
    if (codes[i] >= 0)
      g_assert_error (error, G_IO_ERROR, codes[i]);
  }
}

/* --- Serving ---------------------------------------------------------------------------------- */

static void
test_start (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  guest_offer_buffer (&test.guest, 3, 16, TRUE);
  expect_new_device (&test);
  expect_start (&test, 7);
  expect_interrupt (&test, "EINVAL"); /* until the kernel has read our answer */
  expect_interrupt (&test, "EINVAL");
  expect_interrupt (&test, "0");
  open_device (&test);
  deliver (&test);
  run_calls (&test);
  g_assert_cmpuint (test.n_served, ==, 1);
  g_assert_cmpuint (test.guest.used->idx, ==, 1);
  g_assert_cmpuint (test.guest.used->ring[0].id, ==, 3);
  g_assert_cmpint (memcmp (guest_at (&test.guest, GUEST_BUFFERS + 3 * 256), "data", 4), ==, 0);
  g_assert_cmpuint (test.n_failures, ==, 0);
}

static void
test_features (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  expect_status (&test, 1, 11);
  expect_features (&test, FEATURES | VHOST_BIT (VHOST_FEATURE_RING_PACKED));
  expect_answer (&test, 1, VDUSE_REQ_RESULT_FAILED, 0, 0);
  expect_status (&test, 2, 11);
  expect_features (&test, FEATURES);
  expect_answer (&test, 2, VDUSE_REQ_RESULT_OK, 0, 0);
  open_device (&test);
  deliver (&test);
  g_assert_cmpuint (test.n_failures, ==, 1);
  deliver (&test);
  g_assert_cmpuint (test.n_failures, ==, 1);
  g_assert_true (vhost_backend_has_feature (VHOST_BACKEND (test.backend), VHOST_FEATURE_VERSION_1));
}

static void
test_start_without_memory (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  expect_status (&test, 1, 15);
  expect_features (&test, FEATURES);
  expect_info (&test, TRUE);
  expect_mapping (&test, GUEST_DESC, "EINVAL");
  expect_answer (&test, 1, VDUSE_REQ_RESULT_FAILED, 0, 0);
  open_device (&test);
  deliver (&test);
  g_assert_cmpuint (test.n_failures, ==, 1);
  g_assert_false (vhost_backend_any_started (VHOST_BACKEND (test.backend)));
}

static void
test_reset (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  expect_start (&test, 1);
  expect_status (&test, 2, 0);
  expect_answer (&test, 2, VDUSE_REQ_RESULT_OK, 0, 0);
  expect_start (&test, 3);
  start (&test);
  deliver (&test);
  g_assert_false (vhost_backend_any_started (VHOST_BACKEND (test.backend)));
  deliver (&test);
  g_assert_true (vhost_backend_any_started (VHOST_BACKEND (test.backend)));
}

static void
test_unknown_message (guint *n_fds, gconstpointer data)
{
  const struct vduse_dev_request request = { .type = 77, .request_id = 5 };
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  expect_message (&test, &request);
  expect_answer (&test, 5, VDUSE_REQ_RESULT_FAILED, 0, 0);
  open_device (&test);
  deliver (&test);
  g_assert_cmpuint (test.n_failures, ==, 1);
  g_assert_true (vhost_vduse_backend_is_open (test.backend));
}

static void
test_given_up (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  expect_new_device (&test);
  g_string_append (test.recording, "READ_MESSAGE = EIO\n");
  open_device (&test);
  deliver (&test);
  g_assert_cmpuint (test.n_failures, ==, 1);
  g_assert_false (vhost_vduse_backend_is_open (test.backend));
}

/* --- GET_VQ_STATE ----------------------------------------------------------------------------- */

static void
expect_state (Test *test, guint32 id, gboolean ready)
{
  const struct vduse_dev_request request = { .type = VDUSE_GET_VQ_STATE, .request_id = id };

  expect_message (test, &request);
  expect_info (test, ready);
}

static void
test_state (guint *n_fds, gconstpointer data)
{
  g_auto (Test) test = { 0 };

  test_init (&test);
  guest_offer_buffer (&test.guest, 0, 16, TRUE);
  guest_offer_buffer (&test.guest, 1, 16, TRUE);
  expect_new_device (&test);
  expect_start (&test, 1);
  expect_interrupt (&test, "0");
  expect_state (&test, 2, TRUE); /* of a queue that runs */
  expect_answer (&test, 2, VDUSE_REQ_RESULT_OK, 0, 2);
  expect_state (&test, 3, FALSE); /* of one that the driver has disabled */
  expect_answer (&test, 3, VDUSE_REQ_RESULT_OK, 0, 2);
  start (&test);
  deliver (&test);
  g_assert_true (vhost_backend_any_started (VHOST_BACKEND (test.backend)));
  deliver (&test);
  g_assert_false (vhost_backend_any_started (VHOST_BACKEND (test.backend)));
}

/* The answer waits for what is in flight. */
static void
test_state_drained (guint *n_fds, gconstpointer data)
{
  VhostQueue *queue;
  g_auto (Test) test = { 0 };

  test_init (&test);
  test.hold = TRUE;
  guest_offer_buffer (&test.guest, 0, 16, TRUE);
  expect_new_device (&test);
  expect_start (&test, 1);
  expect_state (&test, 2, FALSE);
  expect_answer (&test, 2, VDUSE_REQ_RESULT_OK, 0, 1);
  start (&test);
  queue = vhost_backend_get_queue (VHOST_BACKEND (test.backend), 0);
  deliver (&test);
  settle ();
  g_assert_true (g_str_has_prefix (vhost_ops_get_expected (test.backend->node.ops), "WRITE_ANS"));
  vhost_queue_push (queue, test.held, 0);
  g_assert_cmpuint (test.guest.used->idx, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/vduse-backend/create", test_create);
  add_fd_test ("/vduse-backend/open-errors", test_open_errors);
  add_fd_test ("/vduse-backend/names", test_names);
  add_fd_test ("/vduse-backend/destroy", test_destroy);
  add_fd_test ("/vduse-backend/start", test_start);
  add_fd_test ("/vduse-backend/features", test_features);
  add_fd_test ("/vduse-backend/start-without-memory", test_start_without_memory);
  add_fd_test ("/vduse-backend/reset", test_reset);
  add_fd_test ("/vduse-backend/unknown-message", test_unknown_message);
  add_fd_test ("/vduse-backend/given-up", test_given_up);
  add_fd_test ("/vduse-backend/state", test_state);
  add_fd_test ("/vduse-backend/state-drained", test_state_drained);
  return g_test_run ();
}
