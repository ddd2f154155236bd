/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is where: MAC addresses and the port at which each was seen last. */
#pragma once

#include <glib.h>

/* Addresses learnt at one port: what is behind one cannot push others out. */
#define VHOST_SWITCH_STATIONS 256

typedef struct {
  guint64 address; /* 0: free */
  gpointer port;
} VhostSwitchEntry;

typedef struct {
  VhostSwitchEntry *entries;
  guint bits; /* 2^bits entries, at least half of them free; 0: none */
} VhostSwitchTable;

/* The six bytes as a number above 0. */
static inline guint64
vhost_switch_table_key (const guint8 *mac)
{
  guint64 key = 0;

  for (guint i = 0; i < 6; i++)
    key = key << 8 | mac[i];
  return key | G_GUINT64_CONSTANT (1) << 48;
}

static inline gboolean
vhost_switch_table_is_group (guint64 key)
{
  return (key >> 40 & 1) != 0;
}

/* Room for the stations of @n_ports. */
void vhost_switch_table_resize (VhostSwitchTable *table, guint n_ports);
void vhost_switch_table_clear (VhostSwitchTable *table);

/* NULL: nobody has seen it. */
gpointer vhost_switch_table_find (const VhostSwitchTable *table, guint64 key);

/* There is room: the caller counts what it adds. */
void vhost_switch_table_set (VhostSwitchTable *table, guint64 key, gpointer port);

/* Forgets what was seen at @port. */
void vhost_switch_table_remove_port (VhostSwitchTable *table, gpointer port);
