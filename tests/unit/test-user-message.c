/* SPDX-License-Identifier: BSD-3-Clause */
/* A message as scripts use it: fields, payload, descriptors. */

#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include "core/vhost-error.h"
#include "user/vhost-user-message.h"
#include "test-fds.h"

#define CODE(name) VHOST_USER_FRONTEND_CODE_##name

static VhostUserMessage *
make (guint request)
{
  return vhost_user_message_new (VHOST_USER_ROLE_FRONTEND, request, VHOST_USER_FLAGS_VERSION);
}

static void
set (VhostUserMessage *message, const char *name, guint64 value)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (vhost_user_message_set_field (message, name, value, &error));
  g_assert_no_error (error);
}

static guint64
get (VhostUserMessage *message, const char *name)
{
  g_autoptr (GError) error = NULL;
  guint64 value = vhost_user_message_get_field (message, name, &error);

  g_assert_no_error (error);
  return value;
}

static gsize
get_size (VhostUserMessage *message)
{
  gsize length;

  g_free (vhost_user_message_get_payload (message, &length));
  return length;
}

static void
test_fields (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_VRING_NUM));
  g_autofree guint8 *payload = NULL;
  const guint32 expected[] = { 3, 256 };
  gsize length;

  set (message, "index", 3);
  set (message, "num", 256);
  g_assert_cmpuint (get (message, "index"), ==, 3);
  g_assert_cmpuint (get (message, "num"), ==, 256);
  payload = vhost_user_message_get_payload (message, &length);
  g_assert_cmpmem (payload, length, expected, sizeof expected);
  g_assert_cmpuint (vhost_user_message_get_request (message), ==, CODE (SET_VRING_NUM));
  g_assert_cmpint (vhost_user_message_get_role (message), ==, VHOST_USER_ROLE_FRONTEND);
  g_assert_true (vhost_user_message_check (message, 0, NULL));
}

static void
test_unknown_field_names_the_others (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_VRING_NUM));
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (vhost_user_message_get_field (message, "nmu", &error), ==, 0);
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_assert_cmpstr (error->message, ==, "SET_VRING_NUM has no field “nmu”, but: index, num");
}

static void
test_value_that_does_not_fit (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_VRING_NUM));
  g_autoptr (VhostUserMessage) kick = make (CODE (SET_VRING_KICK));
  g_autoptr (GError) error = NULL;

  set (message, "num", G_MAXUINT32);
  g_assert_false (
      vhost_user_message_set_field (message, "num", G_MAXUINT32 + G_GUINT64_CONSTANT (1), &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
  g_assert_cmpuint (get (message, "num"), ==, G_MAXUINT32);
  g_assert_false (vhost_user_message_set_field (kick, "nofd", 2, NULL));
  g_assert_false (vhost_user_message_set_field (kick, "index", 256, NULL));
}

static void
test_bits_share_a_number (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_VRING_KICK));
  g_autofree guint8 *payload = NULL;
  const guint64 expected = 0x1fe;
  gsize length;

  set (message, "nofd", 1);
  set (message, "index", 255);
  set (message, "index", 254);
  payload = vhost_user_message_get_payload (message, &length);
  g_assert_cmpmem (payload, length, &expected, sizeof expected);
  g_assert_true (vhost_user_message_check (message, 0, NULL));
  set (message, "nofd", 0);
  g_assert_cmpuint (get (message, "index"), ==, 254);
}

static void
test_table_grows_and_shrinks (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_MEM_TABLE));
  g_auto (GStrv) names = NULL;

  g_assert_cmpuint (get_size (message), ==, 8);
  set (message, "n_regions", 2);
  g_assert_cmpuint (get_size (message), ==, 8 + 2 * 32);
  set (message, "region[1].size", 0x1000);
  set (message, "region[0].guest_address", 0x2000);
  g_assert_cmpuint (get (message, "region[1].size"), ==, 0x1000);
  names = vhost_user_message_list_fields (message);
  g_assert_cmpuint (g_strv_length (names), ==, 1 + 2 * 4);
  set (message, "n_regions", 1);
  g_assert_false (vhost_user_message_set_field (message, "region[1].size", 0, NULL));
  set (message, "n_regions", 2);
  g_assert_cmpuint (get (message, "region[1].size"), ==, 0);
  g_assert_cmpuint (get (message, "region[0].guest_address"), ==, 0x2000);
}

/* For tests of what no honest peer sends: the count may lie. */
static void
test_table_may_lie (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_MEM_TABLE));
  g_autofree char *text = NULL;

  set (message, "n_regions", G_MAXUINT32);
  g_assert_cmpuint (get_size (message), ==, 8);
  g_assert_false (vhost_user_message_check (message, 0, NULL));
  text = vhost_user_message_to_string (message);
  g_assert_cmpstr (text, ==, "SET_MEM_TABLE n_regions=4294967295");
}

static void
test_xen_table (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_MEM_TABLE));
  guint8 bytes[8 + 2 * 40] = { 0 };
  const guint32 n = 2;

  memcpy (bytes, &n, sizeof n);
  g_assert_true (vhost_user_message_set_payload (message, bytes, sizeof bytes, NULL));
  set (message, "region[1].xen_domid", 7);
  set (message, "n_regions", 3);
  g_assert_cmpuint (get_size (message), ==, 8 + 3 * 40);
  g_assert_cmpuint (get (message, "region[1].xen_domid"), ==, 7);
}

static void
test_config_follows_its_size (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (GET_CONFIG));

  g_assert_cmpuint (get_size (message), ==, 12);
  set (message, "size", 60);
  g_assert_cmpuint (get_size (message), ==, 72);
  g_assert_true (vhost_user_message_check (message, 0, NULL));
  g_assert_cmpuint (vhost_user_message_get_field (message, "data", NULL), ==, 0);
  g_assert_false (vhost_user_message_set_field (message, "data", 1, NULL));
  set (message, "size", G_MAXUINT32);
  g_assert_cmpuint (get_size (message), ==, 72);
}

static void
test_payload_has_a_limit (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (77);
  g_autofree guint8 *bytes = g_malloc0 (4097);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_assert_null (vhost_user_message_get_name (message));
  g_assert_true (vhost_user_message_set_payload (message, bytes, 4096, NULL));
  g_assert_false (vhost_user_message_set_payload (message, bytes, 4097, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_SIZE);
  text = vhost_user_message_to_string (message);
  g_assert_cmpstr (text, ==, "request 77 (unknown), 4096 bytes");
}

static void
test_replies_have_their_own_payload (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) reply =
      vhost_user_message_new (VHOST_USER_ROLE_FRONTEND, CODE (GET_INFLIGHT_FD),
                              VHOST_USER_FLAGS_VERSION | VHOST_USER_FLAGS_REPLY);
  g_autoptr (VhostUserMessage) ack =
      vhost_user_message_new (VHOST_USER_ROLE_FRONTEND, CODE (SET_MEM_TABLE), 5);

  set (reply, "mmap_size", 4096);
  set (ack, "value", 1);
  g_assert_cmpuint (get_size (reply), ==, 24);
  g_assert_cmpuint (get_size (ack), ==, 8);
  g_assert_true (vhost_user_message_check (ack, 0, NULL));
  vhost_user_message_set_flags (ack, 0xd);
  g_assert_cmpuint (vhost_user_message_get_flags (ack), ==, 0xd);
  g_assert_false (vhost_user_message_check (ack, 0, NULL));
}

static void
test_descriptors_are_duplicated (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_LOG_FD));
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GUnixFDList) back = NULL;
  int fd = eventfd (0, EFD_CLOEXEC);
  guint before;

  g_assert_cmpint (g_unix_fd_list_append (fds, fd, NULL), ==, 0);
  close (fd);
  before = count_fds ();
  g_assert_true (vhost_user_message_set_fds (message, fds, NULL));
  g_assert_true (vhost_user_message_set_fds (message, fds, NULL));
  g_assert_cmpuint (count_fds (), ==, before + 1);
  g_assert_true (vhost_user_message_check (message, 0, NULL));
  back = vhost_user_message_get_fds (message, NULL);
  g_assert_cmpint (g_unix_fd_list_get_length (back), ==, 1);
  g_assert_true (vhost_user_message_set_fds (message, NULL, NULL));
  g_assert_false (vhost_user_message_check (message, 0, NULL));
  g_assert_cmpuint (count_fds (), ==, before + 1);
}

static void
test_too_many_descriptors (guint *n_fds, gconstpointer data)
{
  g_autoptr (VhostUserMessage) message = make (CODE (SET_LOG_FD));
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 33; i++)
    g_unix_fd_list_append (fds, 0, NULL);
  g_assert_true (vhost_user_message_set_fds (message, fds, NULL));
  g_assert_false (vhost_user_message_check (message, 0, &error));
  g_assert_error (error, VHOST_ERROR, VHOST_ERROR_BAD_FDS);
}

static void
test_decode_needs_a_header (guint *n_fds, gconstpointer data)
{
  const guint8 bytes[12] = { 1, 0, 0, 0, 1 };
  g_autoptr (VhostUserMessage) message = NULL;

  for (gsize length = 0; length < sizeof bytes; length++)
    g_assert_null (
        vhost_user_message_decode (VHOST_USER_ROLE_FRONTEND, bytes, length, NULL, 0, NULL));
  message = vhost_user_message_decode (VHOST_USER_ROLE_FRONTEND, bytes, 12, NULL, 0, NULL);
  g_assert_cmpstr (vhost_user_message_get_name (message), ==, "GET_FEATURES");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/user-message/fields", test_fields);
  add_fd_test ("/user-message/unknown-field-names-the-others", test_unknown_field_names_the_others);
  add_fd_test ("/user-message/value-that-does-not-fit", test_value_that_does_not_fit);
  add_fd_test ("/user-message/bits-share-a-number", test_bits_share_a_number);
  add_fd_test ("/user-message/table-grows-and-shrinks", test_table_grows_and_shrinks);
  add_fd_test ("/user-message/table-may-lie", test_table_may_lie);
  add_fd_test ("/user-message/xen-table", test_xen_table);
  add_fd_test ("/user-message/config-follows-its-size", test_config_follows_its_size);
  add_fd_test ("/user-message/payload-has-a-limit", test_payload_has_a_limit);
  add_fd_test ("/user-message/replies-have-their-own-payload", test_replies_have_their_own_payload);
  add_fd_test ("/user-message/descriptors-are-duplicated", test_descriptors_are_duplicated);
  add_fd_test ("/user-message/too-many-descriptors", test_too_many_descriptors);
  add_fd_test ("/user-message/decode-needs-a-header", test_decode_needs_a_header);
  return g_test_run ();
}
