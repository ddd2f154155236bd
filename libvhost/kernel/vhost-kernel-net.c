/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns the descriptor that a network device of the kernel sends to and receives from, and knows who
 * has to put the virtio-net header before a frame. Runs on the thread that opened the device.
 * (Linux, drivers/vhost/net.c) */

#include <errno.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"
#include "kernel/vhost-kernel-device-private.h"
#include "kernel/vhost-kernel-net.h"

#define N_QUEUES 2
#define MAX_WORDS 64
#define MAX_FEATURE_WORDS 2 /* that this library asks for */
#define HEADER 12           /* with num_buffers */
#define SHORT_HEADER 10

/* The kernel has this bit's number from ANY_LAYOUT: it is told “put headers there yourself”. */
#define ADD_HEADER VHOST_BIT (VHOST_NET_F_VIRTIO_NET_HDR)

struct _VhostKernelNet {
  VhostKernelDevice parent_instance;

  int backend_fd;
  gboolean is_tap;
  gboolean has_header; /* what the back-end takes and gives begins with one */
};

G_DEFINE_FINAL_TYPE (VhostKernelNet, vhost_kernel_net, VHOST_TYPE_KERNEL_DEVICE)

static const VhostCall tun_get_iff = { "TUNGETIFF", TUNGETIFF, VHOST_CALL_OUT,
                                       sizeof (struct ifreq), NULL };
static const VhostCall tun_set_header = { "TUNSETVNETHDRSZ", TUNSETVNETHDRSZ, VHOST_CALL_IN,
                                          sizeof (int), NULL };

static VhostKernelDevicePrivate *
get_state (VhostKernelNet *net)
{
  return vhost_kernel_get_state (VHOST_KERNEL_DEVICE (net));
}

/* --- what a back-end is --- */

static int
get_option (int fd, int level, int name)
{
  int value = -1;
  socklen_t length = sizeof value;

  return getsockopt (fd, level, name, &value, &length) == 0 ? value : -1;
}

static gboolean
inspect_socket (VhostKernelNet *net, int fd, GError **error)
{
  if (get_option (fd, SOL_SOCKET, SO_DOMAIN) != AF_PACKET ||
      get_option (fd, SOL_SOCKET, SO_TYPE) != SOCK_RAW)
    return vhost_set_error (error, VHOST_ERROR_BAD_FDS,
                            "NET_SET_BACKEND: neither a TAP device nor a raw packet socket");
  net->is_tap = FALSE;
  net->has_header = get_option (fd, SOL_PACKET, PACKET_VNET_HDR) == 1;
  return TRUE;
}

static gboolean
inspect_backend (VhostKernelNet *net, int fd, GError **error)
{
  struct ifreq request = { 0 };
  int result = vhost_ops_call (get_state (net)->ops, fd, &tun_get_iff, &request, sizeof request);

  if (result < 0)
    return inspect_socket (net, fd, error);
  net->is_tap = TRUE;
  net->has_header = (request.ifr_flags & IFF_VNET_HDR) != 0;
  return TRUE;
}

/* --- features --- */

static guint64
net_get_own_features (VhostKernelDevice *device)
{
  VhostKernelNet *net = VHOST_KERNEL_NET (device);

  return net->backend_fd >= 0 && !net->has_header ? ADD_HEADER : 0;
}

static gboolean
settle_header (VhostKernelNet *net, GError **error)
{
  VhostKernelDevicePrivate *state = get_state (net);
  const guint64 with_count =
      VHOST_BIT (VHOST_FEATURE_VERSION_1) | VHOST_BIT (VHOST_NET_FEATURE_MRG_RXBUF);
  int size = (state->features & with_count) != 0 ? HEADER : SHORT_HEADER;
  int result;

  if ((state->features & ADD_HEADER) != net_get_own_features (VHOST_KERNEL_DEVICE (net)) &&
      !vhost_kernel_tell_features (VHOST_KERNEL_DEVICE (net), state->features, error))
    return FALSE;
  if (!net->is_tap || !net->has_header)
    return TRUE;
  result = vhost_ops_call (state->ops, net->backend_fd, &tun_set_header, &size, sizeof size);
  return result >= 0 || vhost_set_error_from_errno (error, -result, "TUNSETVNETHDRSZ");
}

/* --- running --- */

static gboolean
attach (VhostKernelNet *net, guint index, int fd, GError **error)
{
  struct vhost_vring_file file = { index, fd };

  return vhost_kernel_call (VHOST_KERNEL_DEVICE (net), VHOST_KERNEL_CALL_NET_SET_BACKEND, &file,
                            error);
}

static gboolean
net_set_running (VhostKernelDevice *device, guint index, gboolean running, GError **error)
{
  VhostKernelNet *net = VHOST_KERNEL_NET (device);

  if (!running)
    return attach (net, index, -1, error);
  if (net->backend_fd < 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "NET_SET_BACKEND: the device was given no TAP device and no socket");
  if (!vhost_kernel_is_running (device) && !settle_header (net, error))
    return FALSE;
  return attach (net, index, net->backend_fd, error);
}

static gboolean
run_enabled (VhostKernelNet *net, gboolean running, GError **error)
{
  VhostKernelDevicePrivate *state = get_state (net);

  for (guint i = 0; i < state->n_queues; i++) {
    VhostKernelQueue *queue = &state->queues[i];

    if (!queue->enabled || queue->running == running)
      continue;
    if (!net_set_running (VHOST_KERNEL_DEVICE (net), i, running, error))
      return FALSE;
    queue->running = running;
  }
  return TRUE;
}

static void
net_close (VhostKernelDevice *device)
{
  vhost_fd_clear (&VHOST_KERNEL_NET (device)->backend_fd);
}

/**
 * vhost_kernel_net_new:
 *
 * Makes a network device, not open yet.
 *
 * Returns: (transfer full): the device
 *
 * Since: 1.0
 */
VhostKernelNet *
vhost_kernel_net_new (void)
{
  return g_object_new (VHOST_TYPE_KERNEL_NET, NULL);
}

/**
 * vhost_kernel_net_set_backend:
 * @net: an open device
 * @fd: a TAP device, or a packet socket of type `SOCK_RAW` bound to an interface; duplicated. -1:
 *   none
 * @error: return location
 *
 * Says where frames go and come from. Queues that are enabled go on with it at once, others when
 * they start; without one, what is enabled rests.
 *
 * Each frame in a queue begins with a virtio-net header. A TAP device with `IFF_VNET_HDR`, or a
 * socket with `PACKET_VNET_HDR`, gives and takes it; for others the kernel puts one there and takes
 * it away.
 *
 * Returns: %TRUE, or %FALSE with %VHOST_ERROR_BAD_FDS when @fd is something else, or another error
 *   that names the request and the reason
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_net_set_backend (VhostKernelNet *net, int fd, GError **error)
{
  VHOST_AUTO_FD copy = -1;

  g_return_val_if_fail (VHOST_IS_KERNEL_NET (net), FALSE);
  g_return_val_if_fail (fd >= -1, FALSE);

  if (!vhost_kernel_check_open (VHOST_KERNEL_DEVICE (net), VHOST_KERNEL_CALL_NET_SET_BACKEND,
                                error))
    return FALSE;
  if (fd >= 0 && (copy = vhost_fd_dup (fd, error)) < 0)
    return FALSE;
  if ((copy >= 0 && !inspect_backend (net, copy, error)) || !run_enabled (net, FALSE, error))
    return FALSE;
  vhost_fd_clear (&net->backend_fd);
  net->backend_fd = vhost_fd_steal (&copy);
  return net->backend_fd < 0 || run_enabled (net, TRUE, error);
}

/* --- features above bit 63 --- */

/* @words has one word more in front: the kernel's count. */
static int
call_array (VhostKernelNet *net, VhostKernelCall call, guint64 *words, gsize n_words)
{
  words[0] = n_words;
  return vhost_kernel_try (VHOST_KERNEL_DEVICE (net), call, words, (n_words + 1) * sizeof *words);
}

/**
 * vhost_kernel_net_get_features_array:
 * @net: an open device
 * @n_words: (out): how many words
 * @error: return location
 *
 * Asks which features the device offers, those above bit 63 as well: bit 0 of the second word is
 * feature 64. A kernel that knows 64 features answers with one word.
 *
 * Returns: (array length=n_words) (transfer full): the words, or %NULL with an error
 *
 * Since: 1.0
 */
guint64 *
vhost_kernel_net_get_features_array (VhostKernelNet *net, gsize *n_words, GError **error)
{
  guint64 words[1 + MAX_FEATURE_WORDS] = { 0 };
  g_autoptr (GError) reason = NULL;

  g_return_val_if_fail (VHOST_IS_KERNEL_NET (net), NULL);

  *n_words = 0;
  words[1] = vhost_device_get_features (VHOST_DEVICE (net), NULL, &reason);
  if (reason != NULL) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return NULL;
  }
  if (call_array (net, VHOST_KERNEL_CALL_GET_FEATURES_ARRAY, words, MAX_FEATURE_WORDS) < 0) {
    *n_words = 1;
    return g_memdup2 (&words[1], sizeof words[1]);
  }
  words[1] &= ~ADD_HEADER;
  *n_words = MAX_FEATURE_WORDS;
  return g_memdup2 (&words[1], MAX_FEATURE_WORDS * sizeof words[1]);
}

static gboolean
has_high_words (const guint64 *words, gsize n_words)
{
  for (gsize i = 1; i < n_words; i++) {
    if (words[i] != 0)
      return TRUE;
  }
  return FALSE;
}

/**
 * vhost_kernel_net_set_features_array:
 * @net: an open device
 * @words: (array length=n_words): the features that are in use, as
 *   [method@Vhost.KernelNet.get_features_array] gives them
 * @n_words: how many words
 * @error: return location
 *
 * Tells the device which features are in use, those above bit 63 as well. To be called in place of
 * [method@Vhost.Device.set_features], while no queue runs.
 *
 * Returns: %TRUE, or %FALSE with `G_IO_ERROR_NOT_SUPPORTED` when features above bit 63 are asked of
 *   a kernel that has none, or another error
 *
 * Since: 1.0
 */
gboolean
vhost_kernel_net_set_features_array (VhostKernelNet *net, const guint64 *words, gsize n_words,
                                     GError **error)
{
  const VhostKernelCall call = VHOST_KERNEL_CALL_SET_FEATURES_ARRAY;
  g_autofree guint64 *all = NULL;
  int result;

  g_return_val_if_fail (VHOST_IS_KERNEL_NET (net), FALSE);
  g_return_val_if_fail (n_words > 0 && n_words <= MAX_WORDS, FALSE);

  if (!vhost_kernel_tell_features (VHOST_KERNEL_DEVICE (net), words[0], error))
    return FALSE;
  if (!has_high_words (words, n_words))
    return TRUE;
  all = g_new0 (guint64, n_words + 1);
  memcpy (all + 1, words, n_words * sizeof *words);
  all[1] = get_state (net)->features;
  result = call_array (net, call, all, n_words);
  return result >= 0 || vhost_kernel_set_error (error, call, -result);
}

static void
vhost_kernel_net_class_init (VhostKernelNetClass *klass)
{
  static const VhostKernelKind kind = {
    .path = "/dev/vhost-net",
    .module = "vhost_net",
    .n_queues = N_QUEUES,
    .hidden_features = ADD_HEADER,
    .get_own_features = net_get_own_features,
    .set_running = net_set_running,
    .close = net_close,
  };

  VHOST_KERNEL_DEVICE_CLASS (klass)->kind = &kind;
}

static void
vhost_kernel_net_init (VhostKernelNet *net)
{
  net->backend_fd = -1;
}
