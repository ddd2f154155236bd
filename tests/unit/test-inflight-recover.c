/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery from regions that nobody in their right mind wrote. */

#include <string.h>
#include "ring/vhost-inflight-private.h"

static void
assert_contradiction (VhostInflightRecovery *recovery, const char *words)
{
  g_assert_nonnull (recovery->contradiction);
  g_assert_nonnull (strstr (recovery->contradiction, words));
}

static void
test_h075_contradictions (void)
{
  static const struct {
    guint16 version, desc_num, size;
    const char *words;
  } cases[] = {
    { 2, 8, 8, "version is 2" },
    { 1, 9, 8, "room for 9" },
    { 0, 8, 16, "the ring has 16" },
    { 1, 8, 4, "descriptor 6 of 4" },
  };
  guint8 used[VHOST_RING_USED_BYTES (16)] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    gsize bytes = vhost_inflight_get_stride (FALSE, 8);
    g_autofree VhostInflightSplitRegion *region = g_malloc0 (bytes);
    g_autofree guint8 *before = NULL;
    g_auto (VhostInflightRecovery) recovery = { 0 };
    VhostInflight inflight;

    region->version = cases[i].version;
    region->desc_num = cases[i].desc_num;
    region->entry[6].inflight = 1;
    before = g_memdup2 (region, bytes);
    g_assert_false (vhost_inflight_init_split (&inflight, region, 8, cases[i].size, (gpointer) used,
                                               0, &recovery));
    assert_contradiction (&recovery, cases[i].words);
    g_assert_cmpmem (region, bytes, before, bytes);
    vhost_inflight_clear (&inflight);
  }
}

static guint16
random_index (GRand *rand, guint n)
{
  return (guint16) (g_rand_int_range (rand, 0, 8) > 0
                        ? (guint32) g_rand_int_range (rand, 0, (gint) n + 1)
                        : g_rand_int (rand));
}

/* Runs what was recovered to its end, on a ring that is nobody's. */
static void
complete_all (VhostInflight *inflight, const VhostInflightRecovery *recovery)
{
  for (guint i = 0; i < recovery->n_requests; i++) {
    const VhostInflightRequest *request = &recovery->requests[i];
    VhostSlot slot = { .head = request->entry,
                       .entry = request->entry,
                       .n_descs = request->n_descs };
    VhostSlot *slots = &slot;

    g_assert_cmpuint (request->entry, <, inflight->desc_num);
    g_assert_true (i == 0 || recovery->requests[i - 1].counter <= request->counter);
    vhost_inflight_begin_push (inflight, &slots, 1);
    vhost_inflight_end_push (inflight, &slots, 1);
  }
  g_assert_cmpuint (inflight->n, ==, 0);
}

static guint
forge_split (GRand *rand)
{
  guint8 used[VHOST_RING_USED_BYTES (8)];
  g_autofree VhostInflightSplitRegion *region = g_malloc0 (vhost_inflight_get_stride (FALSE, 8));
  g_auto (VhostInflightRecovery) recovery = { 0 };
  VhostInflight inflight;
  gboolean accepted;

  for (gsize i = 0; i < sizeof used; i++)
    used[i] = (guint8) g_rand_int_range (rand, 0, 9);
  region->version = (guint16) g_rand_int_range (rand, 0, 20) == 0 ? 2 : 1;
  region->desc_num = 8;
  region->last_batch_head = random_index (rand, 8);
  region->used_idx = random_index (rand, 300);
  for (guint i = 0; i < 8; i++)
    region->entry[i] = (VhostInflightSplitEntry){ .inflight = (guint8) random_index (rand, 1),
                                                  .next = random_index (rand, 8),
                                                  .counter = random_index (rand, 20) };
  accepted = vhost_inflight_init_split (&inflight, region, 8, 8, (gpointer) used, 0, &recovery);
  g_assert_cmpuint (recovery.n_requests, <=, 8);
  if (accepted)
    complete_all (&inflight, &recovery);
  vhost_inflight_clear (&inflight);
  return accepted;
}

static guint
forge_packed (GRand *rand)
{
  VhostPackedDesc desc[8];
  g_autofree VhostInflightPackedRegion *region = g_malloc0 (vhost_inflight_get_stride (TRUE, 8));
  g_auto (VhostInflightRecovery) recovery = { 0 };
  VhostInflight inflight;
  gboolean accepted;

  for (guint i = 0; i < 8; i++)
    desc[i].flags = (guint16) g_rand_int (rand);
  region->heads.version = (guint16) g_rand_int_range (rand, 0, 20) == 0 ? 2 : 1;
  region->heads.desc_num = 8;
  region->heads.free_head = random_index (rand, 8);
  region->heads.old_free_head = random_index (rand, 8);
  region->used.used_idx = random_index (rand, 7);
  region->used.old_used_idx = random_index (rand, 7);
  region->used.used_wrap_counter = g_rand_boolean (rand);
  region->used.old_used_wrap_counter = g_rand_boolean (rand);
  for (guint i = 0; i < 8; i++)
    region->entry[i] = (VhostInflightPackedEntry){
      .inflight = (guint8) random_index (rand, 1),
      .next = g_rand_boolean (rand) ? (guint16) (i + 1) : random_index (rand, 8),
      .last = random_index (rand, 8),
      .num = random_index (rand, 3),
      .counter = random_index (rand, 20),
    };
  accepted = vhost_inflight_init_packed (&inflight, region, 8, 8, desc, 0, &recovery);
  if (accepted)
    complete_all (&inflight, &recovery);
  vhost_inflight_clear (&inflight);
  return accepted;
}

static void
test_h075_forged (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  guint n_split = 0;
  guint n_packed = 0;

  for (guint i = 0; i < 500000; i++) {
    n_split += forge_split (rand);
    n_packed += forge_packed (rand);
  }
  g_test_message ("accepted: %u split, %u packed", n_split, n_packed);
  g_assert_cmpuint (n_split, >, 1000);
  g_assert_cmpuint (n_packed, >, 200);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hostile/H075-contradictions", test_h075_contradictions);
  g_test_add_func ("/hostile/H075-forged", test_h075_forged);
  return g_test_run ();
}
