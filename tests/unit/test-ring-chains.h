/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains for the tests in which a driver engine meets a device engine. All that chain number n is
 * follows from n: how many pieces, where, how long, what is in them, and how much the device
 * writes. Its first bytes are n, from the driver, so that the device knows which it is. */
#pragma once

#include "ring/vhost-device-ring-private.h"
#include "ring/vhost-driver-ring-private.h"
#include "test-ring.h"

#define MAX_PIECES 6

typedef struct {
  guint number;
  guint n_pieces;
  guint n_readable;
} TestChain;

static inline TestChain
test_chain (guint number, guint max_pieces)
{
  guint n_pieces = 1 + number % max_pieces;

  return (TestChain){ number, n_pieces, number / MAX_PIECES % (n_pieces + 1) };
}

static inline guint32
test_chain_get_length (const TestChain *chain, guint i)
{
  return 4 + (chain->number * 7 + i * 13) % 60;
}

static inline guint64
test_chain_get_address (const TestChain *chain, guint i)
{
  return GUEST_BUFFERS + (chain->number % 2048) * 512 + i * 64;
}

/* What the device reports of it: all that is writable, or a little less. */
static inline guint32
test_chain_get_written (const TestChain *chain)
{
  guint32 writable = 0;

  for (guint i = chain->n_readable; i < chain->n_pieces; i++)
    writable += test_chain_get_length (chain, i);
  return writable - MIN (writable, chain->number % 5);
}

static inline gboolean
test_chain_add (const TestChain *chain, const Guest *guest, VhostDriverSideRing *driver)
{
  VhostDriverPiece pieces[MAX_PIECES];

  for (guint i = 0; i < chain->n_pieces; i++)
    pieces[i] =
        (VhostDriverPiece){ test_chain_get_address (chain, i), test_chain_get_length (chain, i) };
  if (!vhost_driver_ring_add (driver, pieces, chain->n_readable,
                              chain->n_pieces - chain->n_readable,
                              GUINT_TO_POINTER (chain->number)))
    return FALSE;
  memcpy (guest_at (guest, pieces[0].address), &chain->number, sizeof chain->number);
  return TRUE;
}

static inline TestChain
test_chain_from_slot (const VhostSlot *slot, guint max_pieces)
{
  return test_chain (*(guint *) slot->iov[0].iov_base, max_pieces);
}

/* Did the device engine make of it what the driver engine was told? */
static inline void
test_chain_check_slot (const TestChain *chain, const VhostSlot *slot)
{
  g_assert_cmpuint (slot->n_readable, ==, chain->n_readable);
  g_assert_cmpuint (slot->n_writable, ==, chain->n_pieces - chain->n_readable);
  for (guint i = 0; i < chain->n_pieces; i++)
    g_assert_cmpuint (slot->iov[i].iov_len, ==, test_chain_get_length (chain, i));
}
