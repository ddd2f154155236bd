/* SPDX-License-Identifier: BSD-3-Clause */
/* Every table of two descriptors, over flags, links, classes of addresses and classes of lengths,
 * given to the device engines and to a plain reading of the specification next to each other. What
 * the engine accepts, and only that, is what the specification allows; each piece lies in guest
 * memory and goes in the right direction; no word was loaded twice; no more is reported as used
 * than the chain can hold. (VIRTIO 1.4, sections 2.7 and 2.8)
 *
 * The engines are compiled into this program once more, with loads that are counted. */

#include "test-ring.h"

static void count_load (gconstpointer word);

#define __atomic_load_n(word, order) (count_load (word), *(word))
#include "ring/vhost-packed-device.c"

/* Both engines have helpers of these names. */
#undef get_flags
#define Desc SplitDesc
#define is_writable split_is_writable
#define set_fault split_set_fault
#define Walk SplitWalk
#define walk_chain split_walk_chain
#define walk_table split_walk_table
#define walk_on split_walk_on
#define walk_slowly split_walk_slowly
#define pop_ready split_pop_ready
#include "ring/vhost-split-device.c"
#undef __atomic_load_n

#define N 2 /* entries of the ring */
#define NEXT VHOST_RING_DESC_NEXT
#define WRITE VHOST_RING_DESC_WRITE
#define INDIRECT VHOST_RING_DESC_INDIRECT
#define MAX_PIECES 64

/* --- The states ---------------------------------------------------------------------------- */

static const guint16 links[] = { 0, 1, 2, G_MAXUINT16 }; /* next, or buffer id */
static const guint32 lengths[] = { 0, 1, 16, 32, 0x2000, G_MAXUINT32 };
static const guint64 addresses[] = {
  GUEST_BUFFERS,    /* in the middle of a region */
  GUEST_TABLES,     /* where there is an indirect table */
  GUEST_NEXT - 16,  /* goes on in the next region, after the first entry of a table */
  GUEST_END - 16,   /* leads out of memory */
  GUEST_APART + 8,  /* in another region; a table there is not aligned */
  GUEST_APART - 1,  /* begins outside */
  G_MAXUINT64 - 15, /* wraps */
};

#define N_STATES (8 * G_N_ELEMENTS (links) * G_N_ELEMENTS (addresses) * G_N_ELEMENTS (lengths))

/* A descriptor as the tables of both formats have it. */
typedef struct {
  guint64 address;
  guint32 length;
  guint16 flags;
  guint16 link;
} State;

static State
get_state (guint number)
{
  State state;

  state.flags = number % 8;
  number /= 8;
  state.link = links[number % G_N_ELEMENTS (links)];
  number /= G_N_ELEMENTS (links);
  state.address = addresses[number % G_N_ELEMENTS (addresses)];
  state.length = lengths[number / G_N_ELEMENTS (addresses)];
  return state;
}

/* --- What the specification says ----------------------------------------------------------- */

typedef struct {
  guint64 address;
  guint32 length;
  gboolean writable;
} Piece;

typedef struct {
  Piece pieces[MAX_PIECES];
  guint n;
  guint n_entries; /* of a packed ring */
  guint16 id;
} Reading;

static gboolean
is_memory (guint64 address, guint64 length)
{
  guint64 last = address + (length - 1);

  if (length == 0)
    return TRUE;
  if (last < address)
    return FALSE;
  return (address >= GUEST_BASE && last < GUEST_END) ||
         (address >= GUEST_APART && last < GUEST_APART + GUEST_APART_SIZE);
}

/* One without bytes has no direction, and comes to nothing. */
static gboolean
read_buffer (Reading *reading, guint64 address, guint32 length, gboolean writable)
{
  if (!is_memory (address, length))
    return FALSE;
  if (!writable && reading->n > 0 && reading->pieces[reading->n - 1].writable)
    return FALSE;
  if (length > 0)
    reading->pieces[reading->n++] = (Piece){ address, length, writable };
  return TRUE;
}

static gboolean
is_table (const State *state)
{
  return !(state->flags & NEXT) && state->length > 0 && state->length % 16 == 0 &&
         state->length <= 16 * VHOST_RING_MAX_IOVECS && is_memory (state->address, state->length);
}

static State
read_entry (const Guest *guest, guint64 table, guint i, gboolean packed)
{
  VhostRingDesc entry;

  memcpy (&entry, guest_at (guest, table + 16 * i), sizeof entry);
  if (packed)
    return (State){ entry.addr, entry.len, entry.next & WRITE, 0 };
  return (State){ entry.addr, entry.len, entry.flags, entry.next };
}

static gboolean
read_split_table (const Guest *guest, const State *head, Reading *reading)
{
  guint n = head->length / 16, i = 0;

  for (guint left = is_table (head) ? n : 0; left > 0; left--) {
    State state = read_entry (guest, head->address, i, FALSE);

    if (state.flags & INDIRECT ||
        !read_buffer (reading, state.address, state.length, (state.flags & WRITE) != 0))
      return FALSE;
    if (!(state.flags & NEXT))
      return TRUE;
    i = state.link;
    if (i >= n)
      return FALSE;
  }
  return FALSE;
}

static gboolean
read_split (const Guest *guest, const State *table, guint head, Reading *reading)
{
  *reading = (Reading){ .id = (guint16) head };
  for (guint left = N, i = head; left > 0; left--) {
    const State *state = &table[i];

    if (state->flags & INDIRECT)
      return read_split_table (guest, state, reading);
    if (!read_buffer (reading, state->address, state->length, (state->flags & WRITE) != 0))
      return FALSE;
    if (!(state->flags & NEXT))
      return TRUE;
    i = state->link;
    if (i >= N)
      return FALSE;
  }
  return FALSE;
}

static gboolean
read_packed_table (const Guest *guest, const State *head, Reading *reading)
{
  if (!is_table (head))
    return FALSE;
  for (guint i = 0; i < head->length / 16; i++) {
    State state = read_entry (guest, head->address, i, TRUE);

    if (!read_buffer (reading, state.address, state.length, (state.flags & WRITE) != 0))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_packed (const Guest *guest, const State *ring, guint first, Reading *reading)
{
  *reading = (Reading){ 0 };
  for (guint i = first; i < N; i++) {
    const State *state = &ring[i];

    reading->n_entries++;
    reading->id = state->link;
    if (state->flags & INDIRECT)
      return i == first && read_packed_table (guest, state, reading) && reading->id < N;
    if (!read_buffer (reading, state->address, state->length, (state->flags & WRITE) != 0))
      return FALSE;
    if (!(state->flags & NEXT))
      return reading->id < N;
  }
  return FALSE;
}

static guint64
get_size (const Reading *reading, gboolean writable)
{
  guint64 size = 0;

  for (guint i = 0; i < reading->n; i++)
    size += reading->pieces[i].writable == writable ? reading->pieces[i].length : 0;
  return size;
}

/* --- Loads --------------------------------------------------------------------------------- */

/* The words of the ring's table and of the indirect table. */
static guint8 n_loads[2][2 * 16];
static const guint8 *watched[2];

static void
count_load (gconstpointer word)
{
  for (guint i = 0; i < 2; i++) {
    gsize offset = (gsize) ((const guint8 *) word - watched[i]);

    if (watched[i] != NULL && offset < sizeof n_loads[i])
      n_loads[i][offset]++;
  }
}

static void
assert_loaded_once (void)
{
  for (guint i = 0; i < sizeof n_loads[0]; i++) {
    g_assert_cmpuint (n_loads[0][i], <=, 1);
    g_assert_cmpuint (n_loads[1][i], <=, 1);
  }
}

/* --- Comparing ----------------------------------------------------------------------------- */

typedef struct {
  Guest guest;
  VhostSplitDevice split;
  VhostPackedDevice packed;
  const State *table; /* the present one */
  guint n_states;
  guint n_accepted;
} Model;

/* Bytes of @slot, from the first piece on, are those of the reading, in its order. */
static void
assert_pieces (const Guest *guest, const VhostSlot *slot, const Reading *reading)
{
  guint i = 0;

  for (guint k = 0; k < reading->n; k++) {
    const Piece *piece = &reading->pieces[k];

    for (guint64 done = 0; done < piece->length; i++) {
      g_assert_cmpuint (i, <, slot->n_readable + slot->n_writable);
      g_assert_cmpint (i >= slot->n_readable, ==, piece->writable);
      g_assert_true (slot->iov[i].iov_base == guest_at (guest, piece->address + done));
      g_assert_true (slot->iov[i].iov_len > 0);
      g_assert_nonnull (vhost_memory_find_range (guest->memory, VHOST_ADDRESS_GUEST,
                                                 piece->address + done, slot->iov[i].iov_len));
      done += slot->iov[i].iov_len;
      g_assert_cmpuint (done, <=, piece->length);
    }
  }
  g_assert_cmpuint (i, ==, slot->n_readable + slot->n_writable);
  g_assert_cmpuint (slot->readable_size, ==, get_size (reading, FALSE));
  g_assert_cmpuint (slot->writable_size, ==, get_size (reading, TRUE));
}

static void
tell (const Model *model)
{
  for (guint i = 0; i < N; i++) {
    const State *state = &model->table[i];

    g_printerr ("%u: address 0x%" G_GINT64_MODIFIER "x length 0x%x flags %u link %u\n", i,
                state->address, state->length, state->flags, state->link);
  }
}

static gboolean
compare (Model *model, const VhostRingCommon *common, VhostSlot *slot, gboolean allowed,
         const Reading *reading)
{
  if ((slot != NULL) != allowed)
    tell (model);
  g_assert_cmpint (slot != NULL, ==, allowed);
  g_assert_cmpint (common->error.fault != VHOST_RING_FAULT_NONE, ==, !allowed);
  if (!allowed)
    return FALSE;
  g_assert_cmpuint (slot->head, ==, reading->id);
  assert_pieces (&model->guest, slot, reading);
  assert_loaded_once ();
  model->n_accepted++;
  return TRUE;
}

static VhostSlot *
pop_split (Model *model)
{
  VhostSlot *slot = NULL;

  memset (n_loads, 0, sizeof n_loads);
  return vhost_split_device_pop (&model->split, &slot, 1) == 1 ? slot : NULL;
}

static VhostSlot *
pop_packed (Model *model)
{
  VhostSlot *slot = NULL;

  memset (n_loads, 0, sizeof n_loads);
  return vhost_packed_device_pop (&model->packed, &slot, 1) == 1 ? slot : NULL;
}

/* Whatever length a device reports. */
static guint32
pick_length (const Model *model)
{
  return lengths[model->n_states % G_N_ELEMENTS (lengths)];
}

static void
check_split (Model *model, const State *table)
{
  VhostSlot *slots[N];
  Reading reading;
  guint n = 0;

  model->split.common.error = (VhostRingError){ VHOST_RING_FAULT_NONE, 0 };
  vhost_ring_store16 (&model->guest.avail->idx, N);
  vhost_ring_store16 (&model->guest.used->idx, 0);
  vhost_split_device_start (&model->split, 0);
  for (guint i = 0; i < N; i++)
    guest_write_desc (&model->guest, i, table[i].address, table[i].length, table[i].flags,
                      table[i].link);
  while (n < N) {
    gboolean allowed = read_split (&model->guest, table, n, &reading);

    slots[n] = pop_split (model);
    if (!compare (model, &model->split.common, slots[n], allowed, &reading))
      break;
    n++;
  }
  for (guint i = 0; i < n; i++) {
    const VhostRingUsedElem *elem = &model->guest.used->ring[i];
    guint32 length = pick_length (model);

    g_assert_cmpuint (vhost_split_device_push (&model->split, &slots[i], &length, 1), ==, 1);
    g_assert_cmpuint (elem->id, ==, slots[i]->head);
    g_assert_cmpuint (elem->len, ==, MIN (length, slots[i]->writable_size));
  }
  g_assert_cmpuint (model->split.common.n_in_flight, ==, 0);
}

static void
write_packed (Model *model, const State *ring)
{
  VhostPackedDesc *descs = (VhostPackedDesc *) model->guest.desc;

  for (guint i = 0; i < N; i++)
    descs[i] = (VhostPackedDesc){ ring[i].address, ring[i].length, ring[i].link,
                                  ring[i].flags | VHOST_PACKED_DESC_AVAIL };
}

static void
check_packed (Model *model, const State *ring)
{
  const VhostPackedDesc *descs = (const VhostPackedDesc *) model->guest.desc;
  VhostSlot *slots[N];
  guint n = 0, first = 0;
  guint ids = 0;

  model->packed.common.error = (VhostRingError){ VHOST_RING_FAULT_NONE, 0 };
  vhost_packed_device_start (&model->packed, 0x80008000);
  write_packed (model, ring);
  while (first < N) {
    Reading reading;
    gboolean allowed =
        read_packed (&model->guest, ring, first, &reading) && (ids & (1u << reading.id)) == 0;

    slots[n] = pop_packed (model);
    if (!compare (model, &model->packed.common, slots[n], allowed, &reading))
      break;
    g_assert_cmpuint (slots[n]->n_descs, ==, reading.n_entries);
    first += reading.n_entries;
    ids |= 1u << reading.id;
    n++;
  }
  first = 0;
  for (guint i = 0; i < n; i++) {
    guint32 length = pick_length (model);

    g_assert_cmpuint (vhost_packed_device_push (&model->packed, &slots[i], &length, 1), ==, 1);
    g_assert_cmpuint (descs[first].id, ==, slots[i]->head);
    g_assert_cmpuint (descs[first].len, ==, MIN (length, slots[i]->writable_size));
    first += slots[i]->n_descs;
  }
  g_assert_cmpuint (model->packed.common.n_in_flight, ==, 0);
}

/* --- All of them --------------------------------------------------------------------------- */

static void
model_init (Model *model)
{
  VhostRingDesc *table;

  *model = (Model){ 0 };
  guest_init (&model->guest, N);
  table = guest_at (&model->guest, GUEST_TABLES);
  write_desc (&table[0], GUEST_BUFFERS + 8, 4, NEXT, 1);
  write_desc (&table[1], GUEST_APART, 5, WRITE, WRITE); /* writable in either format */
  table = guest_at (&model->guest, GUEST_NEXT);
  write_desc (&table[0], GUEST_BUFFERS, 6, 0, 0);
  vhost_ring_store16 (&model->guest.avail->ring[1], 1);
  watched[0] = (const guint8 *) model->guest.desc;
  watched[1] = guest_at (&model->guest, GUEST_TABLES);

  vhost_split_device_init (&model->split, N, FALSE, TRUE);
  vhost_packed_device_init (&model->packed, N, FALSE, TRUE);
  vhost_split_device_set_memory (&model->split, model->guest.memory, model->guest.desc,
                                 model->guest.avail, model->guest.used);
  vhost_packed_device_set_memory (&model->packed, model->guest.memory, model->guest.desc,
                                  model->guest.avail, model->guest.used);
}

static void
model_clear (Model *model)
{
  vhost_split_device_clear (&model->split);
  vhost_packed_device_clear (&model->packed);
  guest_clear (&model->guest);
}

static void
test_every_table (gconstpointer data)
{
  void (*check) (Model * model, const State *table) = (gpointer) data;
  Model model;

  model_init (&model);
  for (guint first = 0; first < N_STATES; first++)
    for (guint second = 0; second < N_STATES; second++) {
      const State table[N] = { get_state (first), get_state (second) };

      model.n_states++;
      model.table = table;
      check (&model, table);
    }
  g_test_message ("%u tables, %u chains accepted", model.n_states, model.n_accepted);
  g_assert_cmpuint (model.n_states, >=, 900000);
  g_assert_cmpuint (model.n_accepted, >, model.n_states / 10);
  model_clear (&model);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/ring-model/split", check_split, test_every_table);
  g_test_add_data_func ("/ring-model/packed", check_packed, test_every_table);
  return g_test_run ();
}
