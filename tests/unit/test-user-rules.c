/* SPDX-License-Identifier: BSD-3-Clause */
/* The rule table against itself, and the names that come from it. */

#include <string.h>
#include "core/vhost-error.h"
#include "user/vhost-user-rules-private.h"
#include "test-fds.h"

static void
test_numbers_are_in_order (guint *n_fds, gconstpointer data)
{
  const guint expected[] = { 44, 10 };

  for (VhostUserRole role = VHOST_USER_ROLE_FRONTEND; role <= VHOST_USER_ROLE_BACKEND; role++) {
    guint n;
    const VhostUserRule *rules = vhost_user_rules_get (role, &n);

    g_assert_cmpuint (n, ==, expected[role]);
    for (guint i = 0; i < n; i++) {
      g_assert_cmpuint (rules[i].request, ==, i + 1);
      g_assert_true (vhost_user_rule_find (role, i + 1) == &rules[i]);
      g_assert_cmpstr (vhost_user_get_request_name (role, i + 1), ==, rules[i].name);
    }
    g_assert_null (vhost_user_rule_find (role, 0));
    g_assert_null (vhost_user_rule_find (role, n + 1));
    g_assert_null (vhost_user_rule_find (role, G_MAXUINT));
  }
}

/* What a row says must fit together, whatever it says. */
static void
test_rows_are_consistent (guint *n_fds, gconstpointer data)
{
  for (VhostUserRole role = VHOST_USER_ROLE_FRONTEND; role <= VHOST_USER_ROLE_BACKEND; role++) {
    guint n;
    const VhostUserRule *rules = vhost_user_rules_get (role, &n);

    for (guint i = 0; i < n; i++) {
      const VhostUserRule *rule = &rules[i];

      g_assert_cmpint (rule->gate, >=, -1);
      g_assert_cmpint (rule->feature, >=, -1);
      g_assert_true (rule->gate < 0 || vhost_user_protocol_feature_get_name (rule->gate) != NULL);
      g_assert_true (
          rule->reply == VHOST_USER_REPLY_BODY ||
          (rule->reply_layout == VHOST_USER_LAYOUT_NONE && rule->reply_fds == VHOST_USER_FDS_NONE));
      g_assert_cmpint (rule->fds == VHOST_USER_FDS_PER_REGION, ==,
                       rule->layout == VHOST_USER_LAYOUT_MEM_TABLE);
      g_assert_cmpint (rule->fds == VHOST_USER_FDS_BY_NOFD, ==,
                       rule->layout == VHOST_USER_LAYOUT_VRING_FD ||
                           rule->layout == VHOST_USER_LAYOUT_VRING_AREA);
      g_assert_cmpuint (vhost_user_layout_get_max_size (rule->layout), <=, VHOST_USER_MAX_PAYLOAD);
    }
  }
}

/* Requests that are answered whether asked for or not; SET_LOG_BASE only with LOG_SHMFD. */
static void
test_replies_that_always_come (guint *n_fds, gconstpointer data)
{
  const guint always[] = { 1, 6, 11, 15, 17, 22, 24, 26, 28, 29, 30, 31, 36, 40, 41, 42, 43, 44 };
  guint n, k = 0;
  const VhostUserRule *rules = vhost_user_rules_get (VHOST_USER_ROLE_FRONTEND, &n);

  for (guint i = 0; i < n; i++) {
    gboolean expected = k < G_N_ELEMENTS (always) && always[k] == rules[i].request;

    k += expected;
    if (expected == (rules[i].reply == VHOST_USER_REPLY_ACK))
      g_test_message ("%s", rules[i].name);
    g_assert_cmpint (expected, ==, rules[i].reply != VHOST_USER_REPLY_ACK);
  }
  g_assert_cmpuint (k, ==, G_N_ELEMENTS (always));
}

/* The place of @request in a list that ends with 0, or -1. */
static int
find_in (const guint *list, guint request)
{
  for (int i = 0; list[i] != 0; i++) {
    if (list[i] == request)
      return i;
  }
  return -1;
}

/* Which requests each protocol feature allows, front-end and back-end. */
static void
test_gates (guint *n_fds, gconstpointer data)
{
  static const guint allowed[2][23][6] = {
    { [0] = { 17 },
      [2] = { 19 },
      [4] = { 20 },
      [5] = { 21 },
      [6] = { 23 },
      [7] = { 26, 27 },
      [8] = { 28, 29, 30 },
      [9] = { 24, 25 },
      [12] = { 31, 32 },
      [13] = { 34 },
      [14] = { 35 },
      [15] = { 36, 37, 38 },
      [16] = { 39, 40 },
      [18] = { 41 },
      [19] = { 42, 43 },
      [22] = { 44 } },
    { [5] = { 1 },
      [9] = { 2 },
      [11] = { 3 },
      [14] = { 4, 5 },
      [18] = { 6, 7, 8 },
      [22] = { 9, 10 } },
  };

  for (VhostUserRole role = VHOST_USER_ROLE_FRONTEND; role <= VHOST_USER_ROLE_BACKEND; role++) {
    guint n;
    const VhostUserRule *rules = vhost_user_rules_get (role, &n);

    for (guint i = 0; i < n; i++) {
      int gate = -1;

      for (int bit = 0; bit < 23; bit++) {
        if (find_in (allowed[role][bit], rules[i].request) >= 0)
          gate = bit;
      }
      g_test_message ("%s", rules[i].name);
      g_assert_cmpint (rules[i].gate, ==, gate);
    }
  }
}

/* What else must be so: a VIRTIO feature, a device, a state. */
static void
test_conditions (guint *n_fds, gconstpointer data)
{
  const guint states[][8] = { { 0 }, { 3 }, { 0 }, { 8, 10, 23 }, { 31, 32, 42, 43 } };
  const guint features[] = { 15, 30, 16, 30, 18, 30, 20, 3, 22, 33 };
  const guint devices[] = { 19, 1, 20, 1, 26, 20, 27, 20, 33, 16 };
  guint n;
  const VhostUserRule *rules = vhost_user_rules_get (VHOST_USER_ROLE_FRONTEND, &n);

  for (guint i = 0; i < n; i++) {
    int feature = -1, device = 0;

    for (guint k = 0; k < G_N_ELEMENTS (features); k += 2)
      feature = features[k] == rules[i].request ? (int) features[k + 1] : feature;
    for (guint k = 0; k < G_N_ELEMENTS (devices); k += 2)
      device = devices[k] == rules[i].request ? (int) devices[k + 1] : device;
    g_assert_cmpint (rules[i].feature, ==, feature);
    g_assert_cmpint (rules[i].device, ==, device);
    for (VhostUserState state = VHOST_USER_STATE_UNOWNED; state <= VHOST_USER_STATE_ALL_STOPPED;
         state++)
      g_assert_cmpint (rules[i].state == state, ==, find_in (states[state], rules[i].request) >= 0);
  }
}

static void
test_protocol_feature_names (guint *n_fds, gconstpointer data)
{
  g_autofree char *text = vhost_user_protocol_features_to_string (0x10000000009);
  g_autofree char *empty = vhost_user_protocol_features_to_string (0);

  for (guint bit = 0; bit <= VHOST_USER_PROTOCOL_FEATURE_SHMEM; bit++)
    g_assert_nonnull (vhost_user_protocol_feature_get_name (bit));
  g_assert_null (vhost_user_protocol_feature_get_name (VHOST_USER_PROTOCOL_FEATURE_SHMEM + 1));
  g_assert_cmpstr (text, ==, "MQ, REPLY_ACK, bit 40");
  g_assert_cmpstr (empty, ==, "");
}

static void
assert_refused (VhostUserFrame *frame, guint64 protocol_features, int code, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (
      vhost_user_frame_check (VHOST_USER_ROLE_FRONTEND, frame, protocol_features, &error));
  g_assert_error (error, VHOST_ERROR, code);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_errors_name_request_and_reason (guint *n_fds, gconstpointer data)
{
  VhostUserFrame frame;

  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_SET_VRING_NUM, 0, 4);
  assert_refused (&frame, 0, VHOST_ERROR_BAD_SIZE, "SET_VRING_NUM: payload of 4 bytes, must be 8");
  frame.size = 9;
  assert_refused (&frame, 0, VHOST_ERROR_BAD_SIZE, "SET_VRING_NUM: payload of 9 bytes, at most 8");
  vhost_user_frame_init (&frame, 77, 0, 0);
  assert_refused (&frame, 0, VHOST_ERROR_UNKNOWN_REQUEST, "request 77 is unknown");
  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_SET_LOG_FD, 0, 0);
  assert_refused (&frame, 0, VHOST_ERROR_BAD_FDS, "SET_LOG_FD: 0 file descriptors, must be 1");
  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_SET_VRING_CALL, 0, 8);
  frame.payload.u64 = 0x200;
  assert_refused (&frame, 0, VHOST_ERROR_INVALID_VALUE,
                  "SET_VRING_CALL: 0x200 has more than a queue index and the no-fd bit");
  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_SET_MEM_TABLE, 0, 8);
  assert_refused (&frame, 0, VHOST_ERROR_INVALID_VALUE, "SET_MEM_TABLE: 0 regions, must be 1 to 8");
  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_SET_LOG_BASE, 0, 8);
  assert_refused (&frame, 1 << VHOST_USER_PROTOCOL_FEATURE_LOG_SHMFD, VHOST_ERROR_BAD_SIZE,
                  "SET_LOG_BASE: payload of 8 bytes, must be 16");
  vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_GET_FEATURES, VHOST_USER_FLAGS_REPLY, 0);
  assert_refused (&frame, 0, VHOST_ERROR_BAD_SIZE,
                  "GET_FEATURES reply: payload of 0 bytes, must be 8");
}

/* H022: what is asked for lies inside the 256 bytes, without overflow. */
static void
test_h022_config_ranges (guint *n_fds, gconstpointer data)
{
  const struct {
    guint32 offset, size;
    gboolean right;
  } cases[] = {
    { 0, 0, TRUE },           { 0, 256, TRUE },         { 256, 0, TRUE },
    { 255, 1, TRUE },         { 0, 257, FALSE },        { 256, 1, FALSE },
    { 257, 0, FALSE },        { 0xffffffff, 1, FALSE }, { 0xffffff00, 256, FALSE },
    { 1, 0xffffffff, FALSE }, { 8, 0xfffffff8, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    VhostUserFrame frame;

    vhost_user_frame_init (&frame, VHOST_USER_FRONTEND_CODE_GET_CONFIG, 0,
                           12 + MIN (cases[i].size, 256));
    frame.payload.config.offset = cases[i].offset;
    frame.payload.config.size = cases[i].size;
    g_assert_cmpint (vhost_user_frame_check (VHOST_USER_ROLE_FRONTEND, &frame, 0, &error), ==,
                     cases[i].right);
    g_assert_true (cases[i].right ||
                   g_error_matches (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/user-rules/numbers-are-in-order", test_numbers_are_in_order);
  add_fd_test ("/user-rules/rows-are-consistent", test_rows_are_consistent);
  add_fd_test ("/user-rules/replies-that-always-come", test_replies_that_always_come);
  add_fd_test ("/user-rules/gates", test_gates);
  add_fd_test ("/user-rules/conditions", test_conditions);
  add_fd_test ("/user-rules/protocol-feature-names", test_protocol_feature_names);
  add_fd_test ("/user-rules/errors-name-request-and-reason", test_errors_name_request_and_reason);
  add_fd_test ("/user-rules/H022-config-ranges", test_h022_config_ranges);
  return g_test_run ();
}
