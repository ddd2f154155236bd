/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes memory regions, whose length depends on what was negotiated, and says which of
 * them can be served. Pure functions, any thread. (vhost-user, “Memory region description”,
 * XEN_MMAP, GPA_ADDRESSES) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-features-private.h"
#include "user/vhost-user-region-private.h"

#define FIRST_REGION 8 /* after count and padding, or padding alone */
#define XEN_FOREIGN 0x1
#define XEN_GRANT 0x2

G_STATIC_ASSERT (sizeof (VhostUserWireRegion) == 40);

gsize
vhost_user_region_get_size (guint64 protocol_features)
{
  return vhost_word_has (protocol_features, VHOST_USER_PROTOCOL_FEATURE_XEN_MMAP)
             ? sizeof (VhostUserWireRegion)
             : sizeof (VhostUserRegion);
}

void
vhost_user_region_load (const VhostUserFrame *frame, guint index, guint64 protocol_features,
                        VhostUserWireRegion *region)
{
  gsize size = vhost_user_region_get_size (protocol_features);

  *region = (VhostUserWireRegion){ .xen_flags = 0 };
  memcpy (region, frame->payload.bytes + FIRST_REGION + index * size, size);
}

void
vhost_user_region_store (VhostUserFrame *frame, guint index, guint64 protocol_features,
                         const VhostUserWireRegion *region)
{
  gsize size = vhost_user_region_get_size (protocol_features);

  memcpy (frame->payload.bytes + FIRST_REGION + index * size, region, size);
}

static const char *
describe_xen (guint32 flags)
{
  switch (flags & (XEN_FOREIGN | XEN_GRANT)) {
  case XEN_FOREIGN:
    return "foreign memory, which needs Xen's privcmd";
  case XEN_GRANT:
    return "grant memory, which needs Xen's gntdev";
  case XEN_FOREIGN | XEN_GRANT:
    return "both foreign and grant memory";
  default:
    return "memory of an unknown kind";
  }
}

gboolean
vhost_user_region_check (const VhostUserWireRegion *region, guint64 protocol_features,
                         GError **error)
{
  const VhostUserRegion *base = &region->region;

  if (region->xen_flags != 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "Xen flags 0x%x of domain %u mean %s: only 0 is mapped",
                            region->xen_flags, region->xen_domid, describe_xen (region->xen_flags));
  if (vhost_word_has (protocol_features, VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES) &&
      base->user_address != base->guest_address)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "user address 0x%" G_GINT64_MODIFIER
                            "x differs from guest address 0x%" G_GINT64_MODIFIER
                            "x although GPA_ADDRESSES was negotiated",
                            base->user_address, base->guest_address);
  return TRUE;
}
