/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the process's answer to SIGBUS inside guest memory. A peer can cut the file behind a mapping
 * short at any time; the next access then raises SIGBUS, which would end the process and with it
 * the devices of other guests. The handler puts a private zero page in the place of the lost one
 * and marks the region broken; the access goes on, and the queue that made it finds the mark before
 * it trusts what it read. A SIGBUS anywhere else goes to the handler that was there before.
 *
 * Registering happens on any thread under a lock. The handler runs on the thread that faulted and
 * takes none: it reads a table whose entries are switched on last and off first. */

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "memory/vhost-memory-private.h"

#define ENTRIES_PER_BLOCK 256

typedef struct {
  _Atomic (guint8 *) base; /* NULL: free */
  gsize length;
  gsize page_size;
  int *broken;
} GuardEntry;

/* Blocks are never freed, so that the handler may walk them at any time. */
typedef struct _GuardBlock {
  GuardEntry entries[ENTRIES_PER_BLOCK];
  _Atomic (struct _GuardBlock *) next;
} GuardBlock;

static GMutex guard_lock;
static GuardBlock first_block;
static struct sigaction previous_action;
static gboolean installed;
static atomic_uint guard_count;

static GuardEntry *
find_entry (const guint8 *address)
{
  for (GuardBlock *block = &first_block; block != NULL; block = atomic_load (&block->next)) {
    for (guint i = 0; i < ENTRIES_PER_BLOCK; i++) {
      GuardEntry *entry = &block->entries[i];
      const guint8 *base = atomic_load_explicit (&entry->base, memory_order_acquire);

      if (base != NULL && address >= base && (gsize) (address - base) < entry->length)
        return entry;
    }
  }
  return NULL;
}

/* As the kernel would have done without us: the old handler, or death by SIGBUS. */
static void
pass_on (int signal_number, siginfo_t *info, void *context)
{
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction (signal_number, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler (signal_number);
  } else {
    sigaction (SIGBUS, &previous_action, NULL); /* the access is tried again, and kills */
  }
}

static void
handle_sigbus (int signal_number, siginfo_t *info, void *context)
{
  guint8 *address = info->si_addr;
  GuardEntry *entry = info->si_code > 0 ? find_entry (address) : NULL;
  guint8 *base;
  gsize offset;

  if (entry == NULL) {
    pass_on (signal_number, info, context);
    return;
  }
  base = atomic_load (&entry->base);
  offset = (gsize) (address - base) / entry->page_size * entry->page_size;
  if (mmap (base + offset, entry->page_size, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    pass_on (signal_number, info, context);
    return;
  }
  g_atomic_int_set (entry->broken, 1);
  atomic_fetch_add (&guard_count, 1);
}

static void
install_handler (void)
{
  struct sigaction action = { .sa_sigaction = handle_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };

  if (installed)
    return;
  sigemptyset (&action.sa_mask);
  installed = sigaction (SIGBUS, &action, &previous_action) == 0;
}

static GuardEntry *
take_free_entry (void)
{
  GuardBlock *block = &first_block;

  for (;;) {
    for (guint i = 0; i < ENTRIES_PER_BLOCK; i++) {
      if (atomic_load (&block->entries[i].base) == NULL)
        return &block->entries[i];
    }
    if (atomic_load (&block->next) == NULL)
      atomic_store (&block->next, g_new0 (GuardBlock, 1));
    block = atomic_load (&block->next);
  }
}

void
vhost_sigbus_register (guint8 *base, gsize length, gsize page_size, int *broken)
{
  GuardEntry *entry;

  g_mutex_lock (&guard_lock);
  install_handler ();
  entry = take_free_entry ();
  entry->length = length;
  entry->page_size = page_size;
  entry->broken = broken;
  atomic_store_explicit (&entry->base, base, memory_order_release);
  g_mutex_unlock (&guard_lock);
}

void
vhost_sigbus_unregister (guint8 *base)
{
  GuardEntry *entry;

  g_mutex_lock (&guard_lock);
  entry = find_entry (base);
  if (entry != NULL)
    atomic_store (&entry->base, NULL);
  g_mutex_unlock (&guard_lock);
}

guint
vhost_sigbus_get_count (void)
{
  return atomic_load_explicit (&guard_count, memory_order_acquire);
}
