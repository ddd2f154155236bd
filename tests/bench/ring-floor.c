/* SPDX-License-Identifier: BSD-3-Clause */
/* See ring-floor.h. One thread; everything is the caller's. Little endian. */

#include "ring-floor.h"

#include <stddef.h>

#define NEXT 1
#define WRITE 2
#define INDIRECT 4
#define AVAIL 0x80
#define USED 0x8000
#define MAX_TABLE 1024

/* The two words of a descriptor: 64 bits of address; length, then two fields of 16 bits. */
typedef struct {
  uint64_t address;
  uint64_t rest;
} Desc;

typedef struct {
  uint16_t flags;
  uint16_t idx;
  uint16_t ring[];
} Avail;

typedef struct {
  uint16_t flags;
  uint16_t idx;
  struct {
    uint32_t id;
    uint32_t length;
  } ring[];
} Used;

static inline Desc
fetch (const Desc *desc)
{
  uint64_t rest = __atomic_load_n (&desc->rest, __ATOMIC_ACQUIRE);

  return (Desc){ __atomic_load_n (&desc->address, __ATOMIC_RELAXED), rest };
}

/* --- Memory -------------------------------------------------------------------------------- */

static __attribute__ ((noinline)) const FloorRegion *
search (const FloorRing *ring, uint64_t address)
{
  unsigned low = 0, high = ring->n_regions;

  while (low < high) {
    unsigned middle = (low + high) / 2;
    const FloorRegion *region = &ring->regions[middle];

    if (address < region->start)
      high = middle;
    else if (address - region->start >= region->size)
      low = middle + 1;
    else
      return region;
  }
  return NULL;
}

/* A range inside one region: a chain of this program never lies in two. */
static inline uint8_t *
translate (FloorRing *ring, uint64_t address, uint32_t length)
{
  const FloorRegion *region = ring->last;
  uint64_t offset = address - region->start;

  if (__builtin_expect (offset >= region->size, 0)) {
    region = search (ring, address);
    if (region == NULL)
      return NULL;
    ring->last = region;
    offset = address - region->start;
  }
  return length <= region->size - offset ? region->host + offset : NULL;
}

/* --- Chains -------------------------------------------------------------------------------- */

static inline int
add_piece (FloorRing *ring, FloorChain *chain, const Desc *desc, unsigned flags)
{
  uint32_t length = (uint32_t) desc->rest;
  unsigned n = chain->n_readable + chain->n_writable;
  uint8_t *host = translate (ring, desc->address, length);

  if (__builtin_expect (host == NULL || n == FLOOR_MAX_PIECES, 0))
    return 0;
  chain->iov[n] = (struct iovec){ host, length };
  if (flags & WRITE) {
    chain->n_writable++;
    return !__builtin_add_overflow (chain->writable_size, length, &chain->writable_size);
  }
  chain->n_readable++;
  return chain->n_writable == 0 &&
         !__builtin_add_overflow (chain->readable_size, length, &chain->readable_size);
}

/* Where the table that @desc names is mapped, and how many entries it has; 0: it is not as it
 * should be. Entries are fetched once each, as those of the ring are. */
static inline unsigned
find_table (FloorRing *ring, const Desc *desc, const Desc **table)
{
  uint32_t length = (uint32_t) desc->rest;

  if (length == 0 || length % sizeof *desc != 0 || length > MAX_TABLE * sizeof *desc)
    return 0;
  *table = (const Desc *) translate (ring, desc->address, length);
  return *table != NULL ? length / sizeof *desc : 0;
}

/* --- Split --------------------------------------------------------------------------------- */

static int
walk_split_table (FloorRing *ring, FloorChain *chain, const Desc *head)
{
  const Desc *table;
  unsigned n = find_table (ring, head, &table);
  unsigned index = 0;

  for (unsigned left = n; left > 0; left--) {
    Desc desc = fetch (&table[index]);
    unsigned flags = (uint16_t) (desc.rest >> 32);

    if (flags & INDIRECT || !add_piece (ring, chain, &desc, flags))
      return 0;
    if (!(flags & NEXT))
      return 1;
    index = (unsigned) (desc.rest >> 48);
    if (index >= n)
      return 0;
  }
  return 0;
}

static inline int
walk_split (FloorRing *ring, FloorChain *chain)
{
  const Desc *descs = ring->desc;
  unsigned index = chain->head;

  for (unsigned left = ring->size; left > 0; left--) {
    Desc desc = fetch (&descs[index]);
    unsigned flags = (uint16_t) (desc.rest >> 32);

    if (flags & INDIRECT)
      return !(flags & NEXT) && walk_split_table (ring, chain, &desc);
    if (__builtin_expect (!add_piece (ring, chain, &desc, flags), 0))
      return 0;
    if (!(flags & NEXT))
      return 1;
    index = (unsigned) (desc.rest >> 48);
    if (__builtin_expect (index >= ring->size, 0))
      return 0;
  }
  return 0;
}

static inline void
start_chain (FloorChain *chain)
{
  chain->n_readable = 0;
  chain->n_writable = 0;
  chain->readable_size = 0;
  chain->writable_size = 0;
}

unsigned
floor_split_pop (FloorRing *ring, FloorChain *chains, unsigned max)
{
  const Avail *avail = ring->avail;
  uint16_t ready = __atomic_load_n (&avail->idx, __ATOMIC_ACQUIRE) - ring->avail_position;
  unsigned n;

  if (ready > ring->size)
    return 0;
  if (ready < max)
    max = ready;
  for (n = 0; n < max; n++) {
    FloorChain *chain = &chains[n];
    unsigned entry = (ring->avail_position + n) & (ring->size - 1);

    start_chain (chain);
    chain->head = __atomic_load_n (&avail->ring[entry], __ATOMIC_RELAXED);
    if (__builtin_expect (chain->head >= ring->size || ring->in_flight[chain->head], 0) ||
        !walk_split (ring, chain))
      break;
    ring->in_flight[chain->head] = 1;
  }
  ring->avail_position += n;
  return n;
}

void
floor_split_push (FloorRing *ring, const FloorChain *chains, const uint32_t *lengths, unsigned n)
{
  Used *used = ring->used;

  for (unsigned i = 0; i < n; i++) {
    unsigned entry = (ring->used_position + i) & (ring->size - 1);
    uint32_t length = lengths[i] < chains[i].writable_size ? lengths[i] : chains[i].writable_size;

    used->ring[entry].id = chains[i].head;
    used->ring[entry].length = length;
    ring->in_flight[chains[i].head] = 0;
  }
  ring->used_position += n;
  __atomic_store_n (&used->idx, ring->used_position, __ATOMIC_RELEASE);
}

/* --- Packed -------------------------------------------------------------------------------- */

static inline void
advance (FloorRing *ring, uint16_t *position, uint8_t *wrap, unsigned n)
{
  unsigned next = *position + n;

  if (next >= ring->size) {
    next -= ring->size;
    *wrap ^= 1;
  }
  *position = (uint16_t) next;
}

static int
walk_packed_table (FloorRing *ring, FloorChain *chain, const Desc *head)
{
  const Desc *table;
  unsigned n = find_table (ring, head, &table);

  for (unsigned i = 0; i < n; i++) {
    Desc desc = fetch (&table[i]);

    if (!add_piece (ring, chain, &desc, (unsigned) (desc.rest >> 48) & WRITE))
      return 0;
  }
  return n > 0;
}

/* The entries from the ring's position on, of which @desc is the first. */
static inline int
walk_packed (FloorRing *ring, FloorChain *chain, Desc desc)
{
  const Desc *descs = ring->desc;
  unsigned position = ring->avail_position;
  unsigned room = ring->size - ring->n_fetched;

  for (chain->n_descs = 1; chain->n_descs <= room; chain->n_descs++) {
    unsigned flags = (unsigned) (desc.rest >> 48);

    chain->head = (uint16_t) (desc.rest >> 32);
    if (flags & INDIRECT)
      return !(flags & NEXT) && chain->n_descs == 1 && walk_packed_table (ring, chain, &desc);
    if (__builtin_expect (!add_piece (ring, chain, &desc, flags), 0))
      return 0;
    if (!(flags & NEXT))
      return 1;
    if (++position == ring->size)
      position = 0;
    desc = fetch (&descs[position]);
  }
  return 0;
}

unsigned
floor_packed_pop (FloorRing *ring, FloorChain *chains, unsigned max)
{
  const Desc *descs = ring->desc;
  unsigned n;

  for (n = 0; n < max && ring->n_fetched < ring->size; n++) {
    FloorChain *chain = &chains[n];
    Desc desc = fetch (&descs[ring->avail_position]);
    unsigned flags = (unsigned) (desc.rest >> 48) & (AVAIL | USED);

    if (flags != (ring->avail_wrap ? AVAIL : USED))
      break;
    start_chain (chain);
    if (!walk_packed (ring, chain, desc) ||
        __builtin_expect (chain->head >= ring->size || ring->in_flight[chain->head], 0))
      break;
    ring->in_flight[chain->head] = 1;
    ring->n_fetched += chain->n_descs;
    advance (ring, &ring->avail_position, &ring->avail_wrap, chain->n_descs);
  }
  return n;
}

static inline uint64_t
make_used (const FloorRing *ring, const FloorChain *chain, uint32_t length)
{
  uint64_t flags = ring->used_wrap ? AVAIL | USED : 0;

  if (length > chain->writable_size)
    length = chain->writable_size;
  if (length > 0)
    flags |= WRITE;
  return length | (uint64_t) chain->head << 32 | flags << 48;
}

/* The first entry is written last. */
void
floor_packed_push (FloorRing *ring, const FloorChain *chains, const uint32_t *lengths, unsigned n)
{
  Desc *descs = ring->desc;
  Desc *first = &descs[ring->used_position];
  uint64_t first_rest = n > 0 ? make_used (ring, &chains[0], lengths[0]) : 0;

  for (unsigned i = 0; i < n; i++) {
    if (i > 0)
      __atomic_store_n (&descs[ring->used_position].rest, make_used (ring, &chains[i], lengths[i]),
                        __ATOMIC_RELAXED);
    ring->in_flight[chains[i].head] = 0;
    ring->n_fetched -= chains[i].n_descs;
    advance (ring, &ring->used_position, &ring->used_wrap, chains[i].n_descs);
  }
  if (n > 0)
    __atomic_store_n (&first->rest, first_rest, __ATOMIC_RELEASE);
}
