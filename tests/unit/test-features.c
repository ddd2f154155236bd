/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of devices and feature bits. */

#include "core/vhost-features-private.h"
#include "test-fds.h"

static void
test_names (guint *n_fds, gconstpointer data)
{
  g_assert_cmpstr (vhost_device_id_get_name (VHOST_DEVICE_ID_BLOCK), ==, "blk");
  g_assert_null (vhost_device_id_get_name (4711));
  g_assert_cmpstr (vhost_feature_get_name (VHOST_DEVICE_ID_BLOCK, 9), ==, "FLUSH");
  g_assert_cmpstr (vhost_feature_get_name (VHOST_DEVICE_ID_NETWORK, 15), ==, "MRG_RXBUF");
  g_assert_cmpstr (vhost_feature_get_name (VHOST_DEVICE_ID_NONE, 29), ==, "EVENT_IDX");
  g_assert_null (vhost_feature_get_name (VHOST_DEVICE_ID_ENTROPY, 9));
}

static void
test_words (guint *n_fds, gconstpointer data)
{
  guint64 word =
      VHOST_BIT (VHOST_BLK_FEATURE_FLUSH) | VHOST_BIT (VHOST_FEATURE_VERSION_1) | VHOST_BIT (55);
  g_autofree char *text = vhost_features_to_string (VHOST_DEVICE_ID_BLOCK, word);
  g_autofree char *empty = vhost_features_to_string (VHOST_DEVICE_ID_BLOCK, 0);

  g_assert_cmpstr (text, ==, "FLUSH, VERSION_1, bit 55");
  g_assert_cmpstr (empty, ==, "");
  g_assert_true (vhost_word_has (word, 55));
  g_assert_false (vhost_word_has (G_MAXUINT64, 64));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_fd_test ("/features/names", test_names);
  add_fd_test ("/features/words", test_words);
  return g_test_run ();
}
