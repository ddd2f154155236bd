/* SPDX-License-Identifier: BSD-3-Clause */
/* The words for what the other side of a ring did wrong. Any thread. */

#include "ring/vhost-ring-private.h"

const char *
vhost_ring_fault_get_text (VhostRingFault fault)
{
  switch (fault) {
  case VHOST_RING_FAULT_NONE:
    return "no fault";
  case VHOST_RING_FAULT_INDEX_JUMP:
    return "an index jumped too far";
  case VHOST_RING_FAULT_HEAD_RANGE:
    return "a head is outside the descriptor table";
  case VHOST_RING_FAULT_HEAD_BUSY:
    return "a head is in flight already";
  case VHOST_RING_FAULT_NEXT_RANGE:
    return "a next descriptor is outside its table";
  case VHOST_RING_FAULT_LOOP:
    return "a chain is longer than its table";
  case VHOST_RING_FAULT_INDIRECT_OFF:
    return "an indirect descriptor without the feature";
  case VHOST_RING_FAULT_INDIRECT_SIZE:
    return "an indirect table of invalid size";
  case VHOST_RING_FAULT_INDIRECT_NESTED:
    return "an indirect descriptor inside an indirect table";
  case VHOST_RING_FAULT_INDIRECT_NEXT:
    return "an indirect descriptor with a next one";
  case VHOST_RING_FAULT_ORDER:
    return "a readable descriptor after a writable one";
  case VHOST_RING_FAULT_ADDRESS:
    return "a buffer is not in guest memory";
  case VHOST_RING_FAULT_ACCESS:
    return "a buffer is where the IOMMU does not let the device";
  case VHOST_RING_FAULT_TOO_LONG:
    return "a chain has too many bytes or pieces";
  case VHOST_RING_FAULT_MEMORY:
    return "the file behind guest memory went away";
  case VHOST_RING_FAULT_NOT_OUTSTANDING:
    return "a used buffer was not outstanding";
  }
  return "unknown fault";
}

char *
vhost_ring_error_to_string (const VhostRingError *error)
{
  const char *text = vhost_ring_fault_get_text (error->fault);

  if (error->fault == VHOST_RING_FAULT_ADDRESS || error->fault == VHOST_RING_FAULT_ACCESS ||
      error->fault == VHOST_RING_FAULT_MEMORY)
    return g_strdup_printf ("%s (0x%" G_GINT64_MODIFIER "x)", text, error->value);
  return g_strdup_printf ("%s (%" G_GUINT64_FORMAT ")", text, error->value);
}
