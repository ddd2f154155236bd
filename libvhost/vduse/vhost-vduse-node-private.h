/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel is asked, request by request: an error names the request and the reason. No
 * request waits for anybody. One thread. */
#pragma once

#include <gio/gio.h>
#include "core/vhost-ops-private.h"
#include "vduse/vhost-vduse-uapi-private.h"

/* A device node, /dev/vduse/NAME. */
typedef struct {
  VhostOps *ops;
  char *name; /* NULL: not open */
  int fd;
} VhostVduseNode;

/* A device as it is created. */
typedef struct {
  guint32 device_id;
  guint32 vendor_id;
  guint64 features;
  guint n_queues;
  const guint8 *config;
  gsize config_size;
} VhostVduseDescription;

void vhost_vduse_node_init (VhostVduseNode *node, VhostOps *ops); /* takes @ops */
void vhost_vduse_node_clear (VhostVduseNode *node);

/* Opens the node of @name; makes the device when there is none. */
gboolean vhost_vduse_node_open (VhostVduseNode *node, const char *name,
                                const VhostVduseDescription *description, GError **error);
void vhost_vduse_node_close (VhostVduseNode *node);

/* Removes the device @name: nobody may serve or use it any more. */
gboolean vhost_vduse_node_destroy (VhostVduseNode *node, const char *name, GError **error);

gboolean vhost_vduse_node_set_queue_size (VhostVduseNode *node, guint index, guint size,
                                          GError **error);
gboolean vhost_vduse_node_get_features (VhostVduseNode *node, guint64 *features, GError **error);
gboolean vhost_vduse_node_get_queue (VhostVduseNode *node, guint index, struct vduse_vq_info *info,
                                     GError **error);
/* @fd: an eventfd, -1 for none; stays the caller's. */
gboolean vhost_vduse_node_set_kick (VhostVduseNode *node, guint index, int fd, GError **error);
gboolean vhost_vduse_node_set_config (VhostVduseNode *node, const guint8 *data, gsize size,
                                      GError **error);

/* The part of the address space that holds @address: its descriptor, the caller's, or -1. */
int vhost_vduse_node_get_mapping (VhostVduseNode *node, guint64 address,
                                  struct vduse_iotlb_entry *entry, GError **error);

typedef enum {
  VHOST_VDUSE_INTERRUPT_SENT,
  VHOST_VDUSE_INTERRUPT_TOO_EARLY, /* the kernel has not read our answer to DRIVER_OK */
  VHOST_VDUSE_INTERRUPT_FAILED,
} VhostVduseInterrupt;

VhostVduseInterrupt vhost_vduse_node_interrupt (VhostVduseNode *node, guint index);
VhostVduseInterrupt vhost_vduse_node_interrupt_config (VhostVduseNode *node);

/* A message of the kernel: 1 there is one, 0 there is none, -1 with an error. */
int vhost_vduse_node_read (VhostVduseNode *node, struct vduse_dev_request *request, GError **error);
gboolean vhost_vduse_node_answer (VhostVduseNode *node, const struct vduse_dev_response *response,
                                  GError **error);
