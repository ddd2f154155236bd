/* SPDX-License-Identifier: BSD-3-Clause */
/* What every served device has, without a transport: features, configuration space, the state of
 * rings. */

#include <string.h>
#include <sys/mman.h>
#include "core/vhost-error.h"
#include "core/vhost-fd-private.h"
#include "endpoint/vhost-backend-private.h"
#include "test-fds.h"

#define TEST_TYPE_BACKEND (test_backend_get_type ())
G_DECLARE_FINAL_TYPE (TestBackend, test_backend, TEST, BACKEND, VhostBackend)

struct _TestBackend {
  VhostBackend parent_instance;
  guint n_config_changes;
};

G_DEFINE_FINAL_TYPE (TestBackend, test_backend, VHOST_TYPE_BACKEND)

static void
test_backend_config_changed (VhostBackend *backend)
{
  TEST_BACKEND (backend)->n_config_changes++;
}

static void
test_backend_class_init (TestBackendClass *klass)
{
  VHOST_BACKEND_CLASS (klass)->config_changed = test_backend_config_changed;
}

static void
test_backend_init (TestBackend *backend)
{
}

static TestBackend *
make_backend (void)
{
  return g_object_new (TEST_TYPE_BACKEND, "device-id", VHOST_DEVICE_ID_BLOCK, "n-queues", 2, NULL);
}

static VhostMemory *
make_memory (void)
{
  VHOST_AUTO_FD fd = memfd_create ("test", MFD_CLOEXEC);
  g_autoptr (VhostMemory) none = vhost_memory_new ();
  g_autoptr (VhostMemoryRegion) region = NULL;

  g_assert_cmpint (ftruncate (fd, 65536), ==, 0);
  region = vhost_memory_region_new (0, 65536, 0x100000, fd, 0, NULL);
  return vhost_memory_add (none, region, NULL);
}

static const VhostQueueSetup addr = {
  .kind = VHOST_ADDRESS_USER,
  .desc = 0x100000,
  .avail = 0x101000,
  .used = 0x102000,
};

static void
begin_session (TestBackend *backend)
{
  g_autoptr (VhostReactor) reactor = vhost_reactor_get ();

  vhost_backend_begin_session (VHOST_BACKEND (backend), reactor);
}

static void
test_features (guint *n_fds, gconstpointer data)
{
  g_autoptr (TestBackend) test = make_backend ();
  VhostBackend *backend = VHOST_BACKEND (test);
  g_autoptr (GError) error = NULL;
  guint64 offered;

  vhost_backend_add_feature (backend, VHOST_BLK_FEATURE_FLUSH);
  vhost_backend_remove_feature (backend, VHOST_FEATURE_EVENT_IDX);
  g_object_get (backend, "features", &offered, NULL);
  g_assert_cmpuint (offered, ==, 1 << 9 | 1 << 28 | VHOST_BIT (32) | VHOST_BIT (34));
  g_assert_true (vhost_backend_accept_features (backend, offered, 1 << 9, NULL));
  g_assert_true (vhost_backend_has_feature (backend, 9));
  g_assert_false (vhost_backend_accept_features (backend, offered, 1 << 29, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_assert_cmpstr (error->message, ==, "not offered: EVENT_IDX");
  g_assert_true (vhost_backend_has_feature (backend, 9));
  vhost_backend_set_status (backend, VHOST_STATUS_DRIVER | VHOST_STATUS_FEATURES_OK);
  g_assert_cmpuint (vhost_backend_get_status (backend), ==, VHOST_STATUS_DRIVER);
}

static void
test_config (guint *n_fds, gconstpointer data)
{
  g_autoptr (TestBackend) test = make_backend ();
  VhostBackend *backend = VHOST_BACKEND (test);
  guint8 bytes[8] = { 0 };
  g_autofree guint8 *all = NULL;
  gsize length;

  vhost_backend_set_config (backend, (const guint8 *) "abcdefgh", 8);
  g_assert_true (vhost_backend_read_config (backend, 2, 3, bytes, NULL));
  g_assert_cmpmem (bytes, 3, "cde", 3);
  g_assert_false (vhost_backend_read_config (backend, 6, 3, bytes, NULL));
  g_assert_false (vhost_backend_read_config (backend, G_MAXUINT, 2, bytes, NULL));
  g_assert_false (vhost_backend_read_config (backend, 2, G_MAXUINT, bytes, NULL));
  g_assert_false (vhost_backend_read_config (backend, 2, 0, bytes, NULL));

  vhost_backend_set_config_writable (backend, 4, 2);
  g_assert_true (vhost_backend_write_config (backend, 4, 2, (const guint8 *) "XY", FALSE, NULL));
  g_assert_false (vhost_backend_write_config (backend, 4, 3, (const guint8 *) "123", FALSE, NULL));
  g_assert_true (vhost_backend_write_config (backend, 0, 1, (const guint8 *) "Z", TRUE, NULL));
  all = vhost_backend_get_config (backend, &length);
  g_assert_cmpmem (all, length, "ZbcdXYgh", 8);
}

static void
assert_refused (gboolean done, GError **error, VhostError code)
{
  g_assert_false (done);
  g_assert_error (*error, VHOST_ERROR, (int) code);
  g_clear_error (error);
}

static void
test_vring_checks (guint *n_fds, gconstpointer data)
{
  g_autoptr (TestBackend) test = make_backend ();
  VhostBackend *backend = VHOST_BACKEND (test);
  VhostVring *vring = vhost_backend_find_vring (backend, 1, NULL);
  VhostQueueSetup bad = addr;
  GError *e = NULL;
  const guint bad_sizes[] = { 0, 3, 32769, 0x10000, 0x10001, G_MAXUINT };

  begin_session (test);
  vhost_backend_take_memory (backend, make_memory ());
  g_assert_null (vhost_backend_find_vring (backend, 2, NULL));
  g_assert_null (vhost_backend_find_vring (backend, G_GUINT64_CONSTANT (0x100000001), &e));
  g_clear_error (&e);
  for (guint i = 0; i < G_N_ELEMENTS (bad_sizes); i++)
    assert_refused (vhost_vring_set_num (backend, vring, bad_sizes[i], &e), &e,
                    VHOST_ERROR_INVALID_VALUE);
  assert_refused (vhost_vring_set_base (backend, vring, 0x10000, &e), &e,
                  VHOST_ERROR_INVALID_VALUE);
  g_assert_true (vhost_vring_set_num (backend, vring, 256, NULL));
  assert_refused (vhost_vring_set_addr (backend, vring, &addr, 2, 0, &e), &e,
                  VHOST_ERROR_INVALID_VALUE);
  bad.desc += 8;
  assert_refused (vhost_vring_set_addr (backend, vring, &bad, 0, 0, &e), &e,
                  VHOST_ERROR_BAD_ADDRESS);
  bad = addr;
  bad.used = 0x110000 - 64;
  assert_refused (vhost_vring_set_addr (backend, vring, &bad, 0, 0, &e), &e,
                  VHOST_ERROR_BAD_ADDRESS);
  vhost_backend_end_session (backend);
}

/* Each order of number, addresses, memory and kick starts the ring with the last of the four. */
static void
set_one (TestBackend *test, VhostVring *vring, guint what)
{
  VhostBackend *backend = VHOST_BACKEND (test);

  switch (what) {
  case 0:
    g_assert_true (vhost_vring_set_num (backend, vring, 16, NULL));
    break;
  case 1:
    g_assert_true (vhost_vring_set_addr (backend, vring, &addr, 0, 0, NULL));
    break;
  case 2:
    vhost_backend_take_memory (backend, make_memory ());
    break;
  default:
    g_assert_true (vhost_vring_start (backend, vring, vhost_fd_new_event (NULL), NULL));
    break;
  }
}

static void
test_any_order (guint *n_fds, gconstpointer data)
{
  for (guint order = 0; order < 256; order++) {
    guint step[4] = { order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 };
    g_autoptr (TestBackend) test = NULL;
    VhostVring *vring;

    if ((1 << step[0] | 1 << step[1] | 1 << step[2] | 1 << step[3]) != 15)
      continue;
    test = make_backend ();
    vring = vhost_backend_find_vring (VHOST_BACKEND (test), 0, NULL);
    begin_session (test);
    for (guint i = 0; i < 4; i++) {
      g_assert_false (vhost_queue_is_started (vring->queue));
      set_one (test, vring, step[i]);
    }
    g_assert_true (vhost_queue_is_started (vring->queue));
    vhost_backend_end_session (VHOST_BACKEND (test));
    g_assert_false (vhost_queue_is_started (vring->queue));
  }
}

static void
test_running (guint *n_fds, gconstpointer data)
{
  g_autoptr (TestBackend) test = make_backend ();
  VhostBackend *backend = VHOST_BACKEND (test);
  VhostVring *vring = vhost_backend_find_vring (backend, 0, NULL);
  VhostQueueSetup moved = addr;
  GError *e = NULL;

  begin_session (test);
  vhost_backend_announce_config (backend);
  g_assert_cmpuint (test->n_config_changes, ==, 0);
  for (guint what = 0; what < 4; what++)
    set_one (test, vring, what);
  g_assert_cmpuint (test->n_config_changes, ==, 1);
  assert_refused (vhost_vring_set_num (backend, vring, 32, &e), &e, VHOST_ERROR_BAD_STATE);
  assert_refused (vhost_vring_set_base (backend, vring, 1, &e), &e, VHOST_ERROR_BAD_STATE);
  moved.used += 64;
  assert_refused (vhost_vring_set_addr (backend, vring, &moved, 0, 0, &e), &e,
                  VHOST_ERROR_BAD_STATE);
  g_assert_true (vhost_vring_set_addr (backend, vring, &addr, 1, 0, NULL));
  assert_refused (vhost_backend_accept_features (backend, G_MAXUINT64, 1, &e), &e,
                  VHOST_ERROR_BAD_STATE);
  g_assert_true (vhost_vring_stop (backend, vring));
  g_assert_cmpuint (vhost_vring_finish_stop (backend, vring), ==, 0);
  g_assert_true (vhost_vring_set_base (backend, vring, 7, NULL));
  g_assert_cmpuint (vhost_vring_finish_stop (backend, vring), ==, 7);
  vhost_backend_end_session (backend);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/backend/features", test_features);
  add_fd_test ("/backend/config", test_config);
  add_fd_test ("/hostile/H038-H040-vring-checks", test_vring_checks);
  add_fd_test ("/backend/any-order", test_any_order);
  add_fd_test ("/hostile/H041-running", test_running);
  return g_test_run ();
}
