/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory with two rings in it, each filled by a driver that does no more than it must: one is
 * served by a queue of the library, set up over vhost-user, the other one is for the floor. */
#pragma once

#include <libvhost/vhost.h>
#include "ring-floor.h"

#define RIG_SIZE 256     /* entries of a ring */
#define RIG_BATCH 32     /* chains taken at once */
#define RIG_BUFFER 0x800 /* bytes of a buffer */

/* What each chain consists of. */
typedef struct {
  const char *name;
  guint n_descs; /* of a chain, or of its indirect table */
  gboolean indirect;
} RigShape;

typedef enum {
  RIG_BUFFERS_IN_LAST, /* region */
  RIG_BUFFERS_SPREAD,  /* over all regions, at random */
} RigBuffers;

/* The driver of one ring: offers as many chains as the ring holds, the same ones each time. */
typedef struct {
  guint64 address; /* guest physical */
  guint8 *host;
  gboolean packed;
  RigShape shape;
  guint n_chains; /* that fit in the ring */
  guint16 idx;
  gboolean wrap;
} RigDriver;

typedef struct {
  guint n_regions;
  FloorRegion *regions;
  VhostMemory *memory;
  guint8 *map;
  gsize map_size;
  RigDriver ours;
  RigDriver theirs;

  VhostUserBackend *backend;
  VhostUserFrontend *frontend;
  VhostQueue *queue; /* borrowed */
  FloorRing *floor;
  FloorPop floor_pop;
  FloorPush floor_push;
} RingRig;

RingRig *ring_rig_new (gboolean packed, const RigShape *shape, guint n_regions, RigBuffers buffers);
void ring_rig_free (RingRig *rig);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (RingRig, ring_rig_free)

/* Makes all chains available; every one of those before has been used. */
void rig_driver_offer (RigDriver *driver);

/* Has the device used all of them? */
gboolean rig_driver_is_done (const RigDriver *driver);
