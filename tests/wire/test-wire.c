/* SPDX-License-Identifier: BSD-3-Clause */
/* The codec against golden frames that were made without it, and against each frame spoilt in every
 * way. */

#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include "core/vhost-error.h"
#include "user/vhost-user-message.h"
#include "user/vhost-user-rules-private.h"
#include "tests/unit/test-fds.h"

typedef struct {
  char **parts; /* of its line */
  VhostUserRole role;
  const char *name;
  gboolean reply;
  guint64 protocol_features;
  guint n_fds;
  guint8 *bytes;
  gsize length;
  const char *text;
} Vector;

static GPtrArray *vectors;

static void
parse_bytes (Vector *vector, const char *hex)
{
  vector->length = strlen (hex) / 2;
  vector->bytes = g_malloc (vector->length);
  for (gsize i = 0; i < vector->length; i++)
    vector->bytes[i] =
        g_ascii_xdigit_value (hex[2 * i]) << 4 | g_ascii_xdigit_value (hex[2 * i + 1]);
}

static Vector *
parse_line (const char *line)
{
  char **parts = g_strsplit (line, "\t", -1);
  Vector *vector = g_new0 (Vector, 1);

  g_assert_cmpuint (g_strv_length (parts), ==, 7);
  vector->parts = parts;
  vector->role =
      g_str_equal (parts[0], "backend") ? VHOST_USER_ROLE_BACKEND : VHOST_USER_ROLE_FRONTEND;
  vector->name = parts[1];
  vector->reply = g_str_equal (parts[2], "reply");
  vector->protocol_features = g_ascii_strtoull (parts[3], NULL, 16);
  vector->n_fds = g_ascii_strtoull (parts[4], NULL, 10);
  parse_bytes (vector, parts[5]);
  vector->text = parts[6];
  return vector;
}

static void
vector_free (Vector *vector)
{
  g_strfreev (vector->parts);
  g_free (vector->bytes);
  g_free (vector);
}

static void
load_vectors (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "wire", "vectors.txt", NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  vectors = g_ptr_array_new_with_free_func ((GDestroyNotify) vector_free);
  for (guint i = 0; lines[i] != NULL && lines[i][0] != '\0'; i++)
    g_ptr_array_add (vectors, parse_line (lines[i]));
  g_assert_cmpuint (vectors->len, >, 54);
}

#define for_each_vector(v)                                                                         \
  for (guint i_ = 0; i_ < vectors->len; i_++)                                                      \
    for (const Vector *v = vectors->pdata[i_]; v != NULL; v = NULL)

static GUnixFDList *
make_fds (guint n)
{
  GUnixFDList *list = g_unix_fd_list_new ();
  int fd = eventfd (0, EFD_CLOEXEC);

  for (guint i = 0; i < n; i++)
    g_assert_cmpint (g_unix_fd_list_append (list, fd, NULL), >=, 0);
  close (fd);
  return list;
}

static VhostUserMessage *
decode (const Vector *vector, const guint8 *bytes, gsize length, guint n_fds, GError **error)
{
  g_autoptr (GUnixFDList) fds = make_fds (n_fds);
  guint8 *exact = g_memdup2 (bytes, length); /* so that a sanitizer sees a read behind the end */
  VhostUserMessage *message = vhost_user_message_decode (vector->role, exact, length, fds,
                                                         vector->protocol_features, error);

  g_free (exact);
  return message;
}

/* The message is refused with a reason that names the request. */
static void
assert_refused (const Vector *vector, const guint8 *bytes, gsize length, guint n_fds)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VhostUserMessage) message = decode (vector, bytes, length, n_fds, &error);

  if (message != NULL)
    g_test_message ("accepted: %s with %" G_GSIZE_FORMAT " bytes and %u fds", vector->text, length,
                    n_fds);
  g_assert_null (message);
  g_assert_nonnull (error);
  g_assert_cmpint (error->domain, ==, VHOST_ERROR);
}

static void
test_every_rule_has_vectors (guint *n_fds, gconstpointer data)
{
  guint n_covered = 0, n_rules = 0;

  for (VhostUserRole role = VHOST_USER_ROLE_FRONTEND; role <= VHOST_USER_ROLE_BACKEND; role++) {
    guint n;
    const VhostUserRule *rules = vhost_user_rules_get (role, &n);

    n_rules += n;
    for (guint i = 0; i < n; i++) {
      gboolean request = FALSE, reply = rules[i].reply == VHOST_USER_REPLY_ACK;

      for_each_vector (vector)
      {
        gboolean same = vector->role == role && g_str_equal (vector->name, rules[i].name);

        request |= same && !vector->reply;
        reply |= same && vector->reply;
      }
      if (!request || !reply)
        g_test_message ("%s has no %s", rules[i].name, request ? "reply" : "request");
      n_covered += request && reply;
    }
  }
  g_test_message ("%u of %u requests have golden frames", n_covered, n_rules);
  g_assert_cmpuint (n_rules, ==, 54);
  g_assert_cmpuint (n_covered, ==, n_rules);
}

static void
test_decode_then_encode (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (VhostUserMessage) message =
        decode (vector, vector->bytes, vector->length, vector->n_fds, &error);
    g_autoptr (GUnixFDList) fds = NULL;
    g_autofree guint8 *bytes = NULL;
    g_autofree char *text = NULL;
    gsize length;

    g_assert_no_error (error);
    bytes = vhost_user_message_encode (message, &length);
    g_assert_cmpmem (bytes, length, vector->bytes, vector->length);
    g_assert_cmpstr (vhost_user_message_get_name (message), ==, vector->name);
    text = vhost_user_message_to_string (message);
    g_assert_cmpstr (text, ==, vector->text);
    fds = vhost_user_message_get_fds (message, NULL);
    g_assert_cmpint (g_unix_fd_list_get_length (fds), ==, vector->n_fds);
  }
}

/* Each number of each frame can be read and written back, and one more than fits cannot. */
static void
test_fields_write_back (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    g_autoptr (VhostUserMessage) message =
        decode (vector, vector->bytes, vector->length, vector->n_fds, NULL);
    g_auto (GStrv) names = vhost_user_message_list_fields (message);
    g_autofree guint8 *bytes = NULL;
    gsize length;

    for (guint i = 0; names[i] != NULL; i++) {
      g_autoptr (GError) error = NULL;
      guint64 value = vhost_user_message_get_field (message, names[i], &error);

      if (error == NULL)
        g_assert_true (vhost_user_message_set_field (message, names[i], value, NULL));
      else
        g_assert_error (error, VHOST_ERROR, VHOST_ERROR_INVALID_VALUE);
    }
    bytes = vhost_user_message_encode (message, &length);
    g_assert_cmpmem (bytes, length, vector->bytes, vector->length);
  }
}

static void
test_truncations (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    for (gsize length = 0; length < vector->length; length++)
      assert_refused (vector, vector->bytes, length, vector->n_fds);
  }
}

/* Payload sizes that a frame may have besides its own, its content being what it is. */
static gboolean
is_other_size_right (const Vector *vector, guint32 size)
{
  if (g_str_equal (vector->name, "GET_CONFIG") && vector->reply)
    return size == 0;
  if (!g_str_equal (vector->name, "SET_LOG_BASE"))
    return FALSE;
  if (vector->reply)
    return size == 0 || size == 8 || size == 16;
  return vector->n_fds == 0 && (size == 8 || size == 16);
}

static void
spoil_size (const Vector *vector, guint32 size)
{
  g_autofree guint8 *bytes = g_malloc0 (12 + 5000);

  if (size == vector->length - 12 || is_other_size_right (vector, size))
    return;
  memcpy (bytes, vector->bytes, vector->length);
  memcpy (bytes + 8, &size, 4);
  assert_refused (vector, bytes, vector->length, vector->n_fds);
  assert_refused (vector, bytes, 12 + MIN (size, 5000), vector->n_fds);
}

static void
test_h004_h005_wrong_sizes (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    guint32 right = vector->length - 12;
    const guint32 sizes[] = { right - 1, right + 1, right + 8, right + 40, right / 2,  0,
                              8,         16,        4096,      4097,       0x7fffffff, 0xffffffff };

    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
      spoil_size (vector, sizes[i]);
  }
}

static gboolean
is_fd_optional (const Vector *vector)
{
  static const char *const optional[] = { "REM_MEM_REG request",        "GET_INFLIGHT_FD reply",
                                          "GET_SHARED_OBJECT reply",    "SET_DEVICE_STATE_FD reply",
                                          "SHARED_OBJECT_LOOKUP reply", NULL };
  g_autofree char *key = g_strconcat (vector->name, vector->reply ? " reply" : " request", NULL);

  return g_strv_contains (optional, key);
}

static void
test_h009_h010_wrong_fds (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    for (guint n = 0; n <= 33; n++) {
      if (n != vector->n_fds && !(n <= 1 && is_fd_optional (vector)))
        assert_refused (vector, vector->bytes, vector->length, n);
    }
  }
}

static void
test_h006_unknown_requests (guint *n_fds, gconstpointer data)
{
  const guint32 requests[] = { 0, 45, 77, 1000, 0xffffffff };

  for_each_vector (vector)
  {
    g_autofree guint8 *bytes = g_memdup2 (vector->bytes, vector->length);

    for (guint i = 0; i < G_N_ELEMENTS (requests); i++) {
      g_autoptr (GError) error = NULL;
      g_autofree char *number = g_strdup_printf ("request %u is unknown", requests[i]);

      memcpy (bytes, &requests[i], 4);
      g_assert_null (decode (vector, bytes, vector->length, vector->n_fds, &error));
      g_assert_error (error, VHOST_ERROR, VHOST_ERROR_UNKNOWN_REQUEST);
      g_assert_nonnull (strstr (error->message, number));
    }
  }
}

static void
test_h007_wrong_versions_and_flags (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    g_autofree guint8 *bytes = g_memdup2 (vector->bytes, vector->length);
    guint32 right, flags;

    memcpy (&right, bytes + 4, 4);
    for (guint version = 0; version < 4; version++) {
      flags = (right & ~3u) | version;
      memcpy (bytes + 4, &flags, 4);
      if (version != 1)
        assert_refused (vector, bytes, vector->length, vector->n_fds);
    }
    for (guint bit = 4; bit < 32; bit++) {
      flags = right | 1u << bit;
      memcpy (bytes + 4, &flags, 4);
      assert_refused (vector, bytes, vector->length, vector->n_fds);
    }
  }
}

static void
test_h007_requests_are_no_replies (guint *n_fds, gconstpointer data)
{
  for_each_vector (vector)
  {
    guint32 header[3];

    memcpy (header, vector->bytes, sizeof header);
    g_assert_true (vhost_user_header_check (vector->role, vector->reply, header[0], header[1],
                                            header[2], NULL));
    for (guint other = 0; other < 2; other++) {
      g_autoptr (GError) error = NULL;
      guint32 flags = other == 0 ? header[1] : header[1] ^ VHOST_USER_FLAGS_REPLY;
      gboolean expect_reply = other == 0 ? !vector->reply : vector->reply;

      g_assert_false (
          vhost_user_header_check (vector->role, expect_reply, header[0], flags, 0, &error));
      g_assert_error (error, VHOST_ERROR, VHOST_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, vector->name));
    }
    g_assert_false (vhost_user_header_check (vector->role, TRUE, header[0], 0xd, 0, NULL));
  }
}

/* Frames are random but for a header that gets through: nothing but an error may come of them. */
static void
test_random_payloads (guint *n_fds, gconstpointer data)
{
  for (guint round = 0; round < 20000; round++) {
    const Vector *vector = vectors->pdata[g_test_rand_int_range (0, vectors->len)];
    g_autofree guint8 *bytes = g_memdup2 (vector->bytes, vector->length);
    g_autoptr (VhostUserMessage) message = NULL;
    g_autofree char *text = NULL;

    for (gint i = g_test_rand_int_range (0, 4); i > 0 && vector->length > 12; i--)
      bytes[g_test_rand_int_range (12, vector->length)] = g_test_rand_int ();
    message = decode (vector, bytes, vector->length, vector->n_fds, NULL);
    if (message != NULL)
      text = vhost_user_message_to_string (message);
    g_assert_true (message == NULL || strlen (text) > 0);
  }
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  load_vectors ();
  add_fd_test ("/wire/every-rule-has-vectors", test_every_rule_has_vectors);
  add_fd_test ("/wire/decode-then-encode", test_decode_then_encode);
  add_fd_test ("/wire/fields-write-back", test_fields_write_back);
  add_fd_test ("/wire/truncations", test_truncations);
  add_fd_test ("/wire/H004-H005-wrong-sizes", test_h004_h005_wrong_sizes);
  add_fd_test ("/wire/H009-H010-wrong-fds", test_h009_h010_wrong_fds);
  add_fd_test ("/wire/H006-unknown-requests", test_h006_unknown_requests);
  add_fd_test ("/wire/H007-wrong-versions-and-flags", test_h007_wrong_versions_and_flags);
  add_fd_test ("/wire/H007-requests-are-no-replies", test_h007_requests_are_no_replies);
  add_fd_test ("/wire/random-payloads", test_random_payloads);
  result = g_test_run ();
  g_ptr_array_unref (vectors);
  return result;
}
