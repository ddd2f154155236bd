/* SPDX-License-Identifier: BSD-3-Clause */
/* Every call into a kernel device goes through one object, so that a conversation with the kernel
 * can be printed (VHOST_DEBUG=ioctl) and, by the tests, played back without it. One thread.
 *
 * A line for each call: its name, what the kernel was given, what it gave back, its result:
 *
 *   open /dev/vhost-net = 0
 *   SET_VRING_NUM > 0000000000010000 = 0
 *   GET_VRING_BASE > 0100000000000000 < 0100000007000000 = 0
 *   NET_SET_BACKEND > 0000000000000000 = ENOTSOCK
 *
 * What differs from run to run is replaced: descriptors by 0, addresses of this process by those
 * under which the device knows the same memory. */
#pragma once

#include <glib.h>

typedef struct _VhostOps VhostOps;

typedef enum {
  VHOST_CALL_IN = 1 << 0,  /* the kernel reads the argument */
  VHOST_CALL_OUT = 1 << 1, /* the kernel writes it */
  VHOST_CALL_BOTH = VHOST_CALL_IN | VHOST_CALL_OUT,
  VHOST_CALL_FD = 1 << 2, /* it returns a descriptor */
} VhostCallFlags;

/* One kind of call. The flags say what happens to the argument, which the letters of the number do
 * not always do. */
typedef struct {
  const char *name;
  unsigned long number;
  VhostCallFlags flags;
  gsize size; /* of the argument; the least, if it ends in an array */
  /* Makes a copy of an argument the same in every run. */
  void (*hide) (VhostOps *ops, gpointer argument, gsize size);
} VhostCall;

VhostOps *vhost_ops_new (void);
/* Expects the calls of these lines, in this order. */
VhostOps *vhost_ops_new_replay (const char *recording);
void vhost_ops_free (VhostOps *ops);
/* Its descriptors are duplicates of @fd, which stays the caller's; without, they are eventfds. */
void vhost_ops_set_stand_in (VhostOps *ops, int fd);
/* What the replay is at: %NULL at its end. */
const char *vhost_ops_get_expected (VhostOps *ops);

/* Each returns a result that is not negative, or a negated errno. An opened descriptor is the
 * caller's, close-on-exec. */
int vhost_ops_open (VhostOps *ops, const char *path, int flags);
int vhost_ops_call (VhostOps *ops, int fd, const VhostCall *call, gpointer argument, gsize size);
gssize vhost_ops_write (VhostOps *ops, int fd, const VhostCall *call, gconstpointer data,
                        gsize size);
gssize vhost_ops_read (VhostOps *ops, int fd, const VhostCall *call, gpointer data, gsize size);

/* For hide functions: the memory at @address of this process is what the device calls @known; an
 * address inside such memory is replaced, any other one stays as it is. */
void vhost_ops_name_memory (VhostOps *ops, guint64 address, guint64 size, guint64 known);
guint64 vhost_ops_hide_address (VhostOps *ops, guint64 address);
/* All that was named before is no longer known. */
void vhost_ops_forget_memory (VhostOps *ops);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VhostOps, vhost_ops_free)
