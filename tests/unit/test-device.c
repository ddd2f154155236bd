/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface: a device that implements nothing says so, call by call. */

#include <string.h>
#include "endpoint/vhost-device.h"
#include "test-fds.h"

#define TEST_TYPE_DEVICE (test_device_get_type ())
G_DECLARE_FINAL_TYPE (TestDevice, test_device, TEST, DEVICE, GObject)

struct _TestDevice {
  GObject parent_instance;
};

static void
test_device_init_iface (VhostDeviceInterface *iface)
{
}

G_DEFINE_FINAL_TYPE_WITH_CODE (TestDevice, test_device, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (VHOST_TYPE_DEVICE, test_device_init_iface))

static void
test_device_class_init (TestDeviceClass *klass)
{
}

static void
test_device_init (TestDevice *device)
{
}

static void
assert_not_supported (gboolean done, GError **error, const char *what)
{
  g_assert_false (done);
  g_assert_error (*error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr ((*error)->message, what));
  g_clear_error (error);
}

static void
test_nothing (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostDevice) device = g_object_new (TEST_TYPE_DEVICE, NULL);
  g_autoptr (VhostMemory) memory = vhost_memory_new ();
  GError *e = NULL;
  gsize length = 1;

  g_assert_cmpuint (vhost_device_get_n_queues (device), ==, 1);
  assert_not_supported (vhost_device_get_features (device, NULL, &e) != 0, &e, "get_features");
  assert_not_supported (vhost_device_set_features (device, 0, NULL, &e), &e, "set_features");
  assert_not_supported (vhost_device_set_owner (device, NULL, &e), &e, "set_owner");
  assert_not_supported (vhost_device_reset_owner (device, NULL, &e), &e, "reset_owner");
  assert_not_supported (vhost_device_set_memory (device, memory, NULL, &e), &e, "set_memory");
  assert_not_supported (vhost_device_set_log_base (device, 0, 0, 0, NULL, &e), &e, "set_log_base");
  assert_not_supported (vhost_device_set_log_fd (device, 0, NULL, &e), &e, "set_log_fd");
  assert_not_supported (vhost_device_set_vring_num (device, 0, 1, NULL, &e), &e, "set_vring_num");
  assert_not_supported (vhost_device_set_vring_addr (device, 0, 0, 0, 0, 0, 0, NULL, &e), &e,
                        "set_vring_addr");
  assert_not_supported (vhost_device_set_vring_base (device, 0, 0, NULL, &e), &e, "vring_base");
  assert_not_supported (vhost_device_get_vring_base (device, 0, NULL, &e) != 0, &e, "vring_base");
  assert_not_supported (vhost_device_set_vring_kick (device, 0, -1, NULL, &e), &e, "vring_kick");
  assert_not_supported (vhost_device_set_vring_call (device, 0, -1, NULL, &e), &e, "vring_call");
  assert_not_supported (vhost_device_set_vring_err (device, 0, -1, NULL, &e), &e, "vring_err");
  assert_not_supported (vhost_device_set_vring_enable (device, 0, 1, NULL, &e), &e, "enable");
  assert_not_supported (vhost_device_get_config (device, 0, 1, NULL, &length, &e) != NULL, &e,
                        "get_config");
  g_assert_cmpuint (length, ==, 0);
  assert_not_supported (vhost_device_set_config (device, 0, NULL, 0, NULL, &e), &e, "set_config");
  assert_not_supported (vhost_device_get_status (device, NULL, &e) != 0, &e, "get_status");
  assert_not_supported (vhost_device_set_status (device, 0, NULL, &e), &e, "set_status");
  assert_not_supported (vhost_device_reset (device, NULL, &e), &e, "reset");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/device/nothing", test_nothing);
  return g_test_run ();
}
