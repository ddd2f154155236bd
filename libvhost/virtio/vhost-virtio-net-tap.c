/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens TAP interfaces, and tells them what a driver can do itself. The kernel checks each header
 * of a frame that is written to one: offsets, sizes and kinds that do not fit are refused.
 *
 * Owns nothing. Control thread. (Linux, Documentation/networking/tuntap.rst) */

#include "virtio/vhost-virtio-net-tap-private.h"

#include <fcntl.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_tun.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "core/vhost-features-private.h"

static gboolean
attach (int fd, const char *name, gboolean multi_queue, GError **error)
{
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

  if (multi_queue)
    request.ifr_flags |= IFF_MULTI_QUEUE;
  strncpy (request.ifr_name, name, IFNAMSIZ - 1);
  return ioctl (fd, TUNSETIFF, &request) == 0 ||
         vhost_set_error_from_errno (error, errno, "cannot open the TAP interface %s", name);
}

int
vhost_net_tap_open (const char *name, gboolean multi_queue, GError **error)
{
  VHOST_AUTO_FD fd = -1;

  if (strlen (name) >= IFNAMSIZ) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "%s is too long for the name of an interface", name);
    return -1;
  }
  fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    vhost_set_error_from_errno (error, errno, "cannot open /dev/net/tun");
    return -1;
  }
  return attach (fd, name, multi_queue, error) ? vhost_fd_steal (&fd) : -1;
}

static gboolean
check_socket (int fd, GError **error)
{
  int type = 0;
  socklen_t length = sizeof type;

  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
      (type == SOCK_DGRAM || type == SOCK_SEQPACKET || type == SOCK_RAW))
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                          "descriptor %d is neither a TAP interface nor a socket of datagrams", fd);
}

gboolean
vhost_net_tap_inspect (int fd, VhostNetTap *tap, GError **error)
{
  struct ifreq request = { 0 };
  int flags = fcntl (fd, F_GETFL);

  *tap = (VhostNetTap){ FALSE };
  if (flags < 0)
    return vhost_set_error_from_errno (error, errno, "descriptor %d", fd);
  if (ioctl (fd, TUNGETIFF, &request) == 0) {
    tap->is_tap = (request.ifr_flags & IFF_TAP) != 0;
    tap->has_header = (request.ifr_flags & IFF_VNET_HDR) != 0;
    tap->multi_queue = (request.ifr_flags & IFF_MULTI_QUEUE) != 0;
    if (!tap->is_tap || !(request.ifr_flags & IFF_NO_PI))
      return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                              "%.*s is not a TAP interface with IFF_NO_PI", IFNAMSIZ,
                              request.ifr_name);
  } else if (!check_socket (fd, error)) {
    return FALSE;
  }
  return fcntl (fd, F_SETFL, flags | O_NONBLOCK) == 0 ||
         vhost_set_error_from_errno (error, errno, "descriptor %d", fd);
}

static guint
to_offloads (guint64 features)
{
  static const struct {
    guint bit;
    guint offload;
  } known[] = {
    { VHOST_NET_FEATURE_GUEST_TSO4, TUN_F_TSO4 },
    { VHOST_NET_FEATURE_GUEST_TSO6, TUN_F_TSO6 },
    { VHOST_NET_FEATURE_GUEST_ECN, TUN_F_TSO_ECN },
  };
  guint offloads = TUN_F_CSUM;

  if (!(features & VHOST_BIT (VHOST_NET_FEATURE_GUEST_CSUM)))
    return 0;
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    offloads |= features & VHOST_BIT (known[i].bit) ? known[i].offload : 0;
  return offloads;
}

gboolean
vhost_net_tap_set_up (int fd, guint header_size, guint64 features, GError **error)
{
  int size = (int) header_size;
  int little_endian = 1;

  if (ioctl (fd, TUNSETVNETHDRSZ, &size) < 0)
    return vhost_set_error_from_errno (error, errno, "TUNSETVNETHDRSZ");
  if (ioctl (fd, TUNSETVNETLE, &little_endian) < 0)
    return vhost_set_error_from_errno (error, errno, "TUNSETVNETLE");
  if (ioctl (fd, TUNSETOFFLOAD, (gulong) to_offloads (features)) < 0)
    return vhost_set_error_from_errno (error, errno, "TUNSETOFFLOAD");
  return TRUE;
}

/* What is detached already says EINVAL. */
void
vhost_net_tap_set_queue (int fd, gboolean attached)
{
  struct ifreq request = { .ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

  ioctl (fd, TUNSETQUEUE, &request);
}
