/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that is served to the kernel, with a recording in the kernel's place: each call it makes
 * must be the one that is expected, byte for byte. */
#pragma once

#include <string.h>
#include "core/vhost-error.h"
#include "test-fds.h"
#include "test-recording.h"
#include "test-ring.h"
#include "vduse/vhost-vduse-backend-private.h"

#define QUEUE_SIZE 8
#define N_QUEUES 1
#define CONFIG "disk"
#define FEATURES (VHOST_BIT (VHOST_FEATURE_VERSION_1) | VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM))

typedef struct {
  VhostVduseBackend *backend;
  GString *recording;
  Guest guest;
  guint n_failures;
  guint n_served;
  VhostChain *held; /* what the device keeps; NULL unless it is told to */
  gboolean hold;
} Test;

static inline void
on_kick (VhostBackend *backend, VhostQueue *queue, gpointer data)
{
  Test *test = data;
  VhostChain *chain;

  while ((chain = vhost_queue_pop (queue)) != NULL) {
    test->n_served++;
    if (test->hold) {
      test->held = chain;
      return;
    }
    vhost_queue_push (queue, chain, vhost_chain_write (chain, 0, (const guint8 *) "data", 4));
    vhost_chain_unref (chain);
  }
  vhost_queue_notify (queue);
}

static inline void
on_failed (VhostBackend *backend, const GError *error, gpointer data)
{
  Test *test = data;

  g_test_message ("%s", error->message);
  test->n_failures++;
}

static inline void
test_init (Test *test)
{
  *test = (Test){ .recording = g_string_new (NULL) };
  guest_init (&test->guest, QUEUE_SIZE);
  test->backend = g_object_new (VHOST_VDUSE_TYPE_BACKEND, "device-id", VHOST_DEVICE_ID_BLOCK,
                                "n-queues", N_QUEUES, "queue-size", QUEUE_SIZE, "features",
                                VHOST_BIT (VHOST_FEATURE_VERSION_1), NULL);
  vhost_backend_set_config (VHOST_BACKEND (test->backend), (const guint8 *) CONFIG, 4);
  g_signal_connect (test->backend, "kick", G_CALLBACK (on_kick), test);
  g_signal_connect (test->backend, "device-failed", G_CALLBACK (on_failed), test);
}

/* All that was expected has come. */
static inline void
test_clear (Test *test)
{
  g_assert_cmpstr (vhost_ops_get_expected (test->backend->node.ops), ==, NULL);
  g_clear_pointer (&test->held, vhost_chain_unref);
  g_object_unref (test->backend);
  g_string_free (test->recording, TRUE);
  guest_clear (&test->guest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Test, test_clear)

/* --- What is expected ------------------------------------------------------------------------- */

static inline void
expect_create (Test *test, const char *result)
{
  const guint64 version = 0;
  guint8 bytes[sizeof (struct vduse_dev_config) + 4] = { 0 };
  struct vduse_dev_config *config = (struct vduse_dev_config *) bytes;

  strcpy (config->name, "disk0");
  config->device_id = VHOST_DEVICE_ID_BLOCK;
  config->features = FEATURES;
  config->vq_num = N_QUEUES;
  config->vq_align = (guint32) sysconf (_SC_PAGESIZE);
  config->config_size = 4;
  memcpy (config->config, CONFIG, 4);
  expect_open (test->recording, "/dev/vduse/disk0", "ENOENT");
  expect_open (test->recording, "/dev/vduse/control", "0");
  expect_call (test->recording, "SET_API_VERSION", &version, sizeof version, NULL, 0, "0");
  expect_call (test->recording, "CREATE_DEV", bytes, sizeof bytes, NULL, 0, result);
}

static inline void
expect_setup (Test *test)
{
  const struct vduse_vq_config config = { .index = 0, .max_size = QUEUE_SIZE };

  expect_call (test->recording, "VQ_SETUP", &config, sizeof config, NULL, 0, "0");
}

static inline void
expect_info (Test *test, gboolean ready)
{
  const struct vduse_vq_info asked = { .index = 0 };
  const struct vduse_vq_info info = { .index = 0,
                                      .num = QUEUE_SIZE,
                                      .desc_addr = GUEST_DESC,
                                      .driver_addr = GUEST_AVAIL,
                                      .device_addr = GUEST_USED,
                                      .ready = ready };

  expect_call (test->recording, "VQ_GET_INFO", &asked, sizeof asked, &info, sizeof info, "0");
}

static inline void
expect_mapping (Test *test, guint64 address, const char *result)
{
  const struct vduse_iotlb_entry asked = { .start = address, .last = address };
  const struct vduse_iotlb_entry entry = { .offset = 0,
                                           .start = GUEST_BASE,
                                           .last = GUEST_BASE + GUEST_BASE_SIZE - 1,
                                           .perm = VDUSE_ACCESS_RW };

  expect_call (test->recording, "IOTLB_GET_FD", &asked, sizeof asked, &entry, sizeof entry, result);
}

static inline void
expect_features (Test *test, guint64 features)
{
  expect_call (test->recording, "DEV_GET_FEATURES", NULL, 0, &features, sizeof features, "0");
}

static inline void
expect_kick (Test *test)
{
  const struct vduse_vq_eventfd kick = { .index = 0, .fd = 0 }; /* descriptors are hidden */

  expect_call (test->recording, "VQ_SETUP_KICKFD", &kick, sizeof kick, NULL, 0, "0");
}

static inline void
expect_interrupt (Test *test, const char *result)
{
  const guint32 index = 0;

  expect_call (test->recording, "VQ_INJECT_IRQ", &index, sizeof index, NULL, 0, result);
}

static inline void
expect_message (Test *test, const struct vduse_dev_request *request)
{
  expect_call (test->recording, "READ_MESSAGE", NULL, 0, request, sizeof *request, "152");
}

static inline void
expect_answer (Test *test, guint32 id, guint32 result, guint32 index, guint16 base)
{
  struct vduse_dev_response response = { .request_id = id, .result = result };

  response.vq_state.index = index;
  response.vq_state.split.avail_index = base;
  expect_call (test->recording, "WRITE_ANSWER", &response, sizeof response, NULL, 0, "152");
}

static inline void
expect_status (Test *test, guint32 id, guint8 status)
{
  struct vduse_dev_request request = { .type = VDUSE_SET_STATUS, .request_id = id };

  request.s.status = status;
  expect_message (test, &request);
}

/* All of a start at DRIVER_OK, up to the answer. */
static inline void
expect_start (Test *test, guint32 id)
{
  expect_status (test, id, 15);
  expect_features (test, FEATURES);
  expect_info (test, TRUE);
  expect_mapping (test, GUEST_DESC, "0");
  expect_kick (test);
  expect_answer (test, id, VDUSE_REQ_RESULT_OK, 0, 0);
}

/* --- Steps ------------------------------------------------------------------------------------ */

static inline void
replay (Test *test)
{
  VhostOps *ops = vhost_ops_new_replay (test->recording->str);

  vhost_ops_set_stand_in (ops, test->guest.base_fd);
  vhost_vduse_backend_take_ops (test->backend, ops);
}

static inline void
open_device (Test *test)
{
  g_autoptr (GError) error = NULL;

  replay (test);
  vhost_vduse_backend_open (test->backend, "disk0", &error);
  g_assert_no_error (error);
  g_assert_true (vhost_vduse_backend_is_open (test->backend));
}

static inline void
expect_new_device (Test *test)
{
  expect_create (test, "0");
  expect_open (test->recording, "/dev/vduse/disk0", "0");
  expect_setup (test);
  expect_info (test, FALSE);
}

/* Runs the loop until all calls were made. */
static inline void
run_calls (Test *test)
{
  while (vhost_ops_get_expected (test->backend->node.ops) != NULL)
    g_main_context_iteration (NULL, TRUE);
}

/* The kernel has a message: what is read from the node is in the recording. */
static inline void
deliver (Test *test)
{
  VhostOps *ops = test->backend->node.ops;
  const char *line = vhost_ops_get_expected (ops);

  vhost_fd_signal_event (test->backend->node.fd);
  while (vhost_ops_get_expected (ops) == line)
    g_main_context_iteration (NULL, TRUE);
  if (test->backend->node.fd >= 0)
    vhost_fd_drain_event (test->backend->node.fd);
}

static inline void
settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static inline void
start (Test *test)
{
  open_device (test);
  deliver (test);
  settle ();
  g_assert_true (vhost_backend_any_started (VHOST_BACKEND (test->backend)));
}

static inline void
fail_to_open (Test *test, const char *name, GQuark domain, int code, const char *words)
{
  g_autoptr (GError) error = NULL;

  replay (test);
  g_assert_false (vhost_vduse_backend_open (test->backend, name, &error));
  g_assert_error (error, domain, code);
  g_assert_nonnull (strstr (error->message, words));
  g_assert_false (vhost_vduse_backend_is_open (test->backend));
}
