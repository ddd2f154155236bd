/* SPDX-License-Identifier: BSD-3-Clause */
/* An open hash table that is at most half full. What is taken out is taken out by making it anew.
 *
 * Owns its entries. On the thread of the switch. */

#include "virtio/vhost-virtio-switch-table-private.h"

#define GOLDEN G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)

/* The entry of @key, or the free one where it would be. */
static VhostSwitchEntry *
find_entry (const VhostSwitchTable *table, guint64 key)
{
  guint mask = (1u << table->bits) - 1;
  guint i = (guint) (key * GOLDEN >> (64 - table->bits));

  while (table->entries[i].address != 0 && table->entries[i].address != key)
    i = (i + 1) & mask;
  return &table->entries[i];
}

static void
copy_without (VhostSwitchTable *table, guint bits, gpointer port)
{
  VhostSwitchTable copy = { g_new0 (VhostSwitchEntry, (gsize) 1 << bits), bits };

  for (gsize i = 0; table->bits > 0 && i < (gsize) 1 << table->bits; i++) {
    const VhostSwitchEntry *entry = &table->entries[i];

    if (entry->address != 0 && entry->port != port)
      *find_entry (&copy, entry->address) = *entry;
  }
  g_free (table->entries);
  *table = copy;
}

void
vhost_switch_table_resize (VhostSwitchTable *table, guint n_ports)
{
  guint bits = g_bit_storage (2 * VHOST_SWITCH_STATIONS * MAX (n_ports, 1) - 1);

  if (bits != table->bits)
    copy_without (table, bits, NULL);
}

void
vhost_switch_table_clear (VhostSwitchTable *table)
{
  g_clear_pointer (&table->entries, g_free);
  table->bits = 0;
}

gpointer
vhost_switch_table_find (const VhostSwitchTable *table, guint64 key)
{
  return find_entry (table, key)->port;
}

void
vhost_switch_table_set (VhostSwitchTable *table, guint64 key, gpointer port)
{
  *find_entry (table, key) = (VhostSwitchEntry){ key, port };
}

void
vhost_switch_table_remove_port (VhostSwitchTable *table, gpointer port)
{
  copy_without (table, table->bits, port);
}
