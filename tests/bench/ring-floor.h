/* SPDX-License-Identifier: BSD-3-Clause */
/* The floor under the figures of rings: the device side of a ring as somebody would write it for
 * one program, in bursts, with every check that the library makes. One that takes chains of a few
 * pieces, keeps no record of what is in flight but the heads, and has nothing around it.
 *
 * Written from the specification, not from the library. Made a shared object of its own, because
 * the library is one too. (VIRTIO 1.4, sections 2.7 and 2.8) */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#define FLOOR_MAX_PIECES 8

typedef struct {
  uint64_t start;
  uint64_t size;
  uint8_t *host;
} FloorRegion;

typedef struct {
  uint16_t head;
  uint16_t n_descs;
  uint16_t n_readable;
  uint16_t n_writable;
  uint32_t readable_size;
  uint32_t writable_size;
  struct iovec iov[FLOOR_MAX_PIECES];
} FloorChain;

typedef struct {
  const FloorRegion *regions; /* by start */
  const FloorRegion *last;    /* the one hit last */
  unsigned n_regions;
  uint32_t size;
  void *desc;
  void *avail;
  void *used;
  uint16_t avail_position;
  uint16_t used_position;
  uint8_t avail_wrap; /* packed */
  uint8_t used_wrap;
  uint32_t n_fetched; /* entries in flight */
  uint8_t in_flight[32768];
} FloorRing;

typedef unsigned (*FloorPop) (FloorRing *ring, FloorChain *chains, unsigned max);
typedef void (*FloorPush) (FloorRing *ring, const FloorChain *chains, const uint32_t *lengths,
                           unsigned n);

/* Up to @max chains; fewer when there are no more, or one is not as it should be. */
__attribute__ ((visibility ("default"))) unsigned floor_split_pop (FloorRing *ring,
                                                                   FloorChain *chains,
                                                                   unsigned max);
__attribute__ ((visibility ("default"))) unsigned floor_packed_pop (FloorRing *ring,
                                                                    FloorChain *chains,
                                                                    unsigned max);

/* Gives them back, visible at once. */
__attribute__ ((visibility ("default"))) void floor_split_push (FloorRing *ring,
                                                                const FloorChain *chains,
                                                                const uint32_t *lengths,
                                                                unsigned n);
__attribute__ ((visibility ("default"))) void floor_packed_push (FloorRing *ring,
                                                                 const FloorChain *chains,
                                                                 const uint32_t *lengths,
                                                                 unsigned n);
