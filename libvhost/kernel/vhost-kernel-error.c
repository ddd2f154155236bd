/* SPDX-License-Identifier: BSD-3-Clause */
/* What an errno of a kernel device means, in words. Holds no state. (Linux, drivers/vhost) */

#include <errno.h>
#include "core/vhost-error-private.h"
#include "kernel/vhost-kernel-device-private.h"

/* @call is VHOST_KERNEL_N_CALLS where the meaning is the same for all. */
typedef struct {
  VhostKernelCall call;
  int code;
  VhostError error;
  const char *reason;
} Meaning;

static const Meaning meanings[] = {
  { VHOST_KERNEL_CALL_NET_SET_BACKEND, ENOTSOCK, VHOST_ERROR_BAD_FDS,
    "neither a TAP device nor a packet socket" },
  { VHOST_KERNEL_CALL_NET_SET_BACKEND, ESOCKTNOSUPPORT, VHOST_ERROR_BAD_FDS,
    "a socket, but no raw packet socket" },
  { VHOST_KERNEL_CALL_NET_SET_BACKEND, EPFNOSUPPORT, VHOST_ERROR_BAD_FDS,
    "a socket, but no packet socket" },
  { VHOST_KERNEL_CALL_NET_SET_BACKEND, EFAULT, VHOST_ERROR_BAD_ADDRESS,
    "the ring is not in memory that the device can reach" },
  { VHOST_KERNEL_CALL_VSOCK_SET_RUNNING, EFAULT, VHOST_ERROR_BAD_ADDRESS,
    "the rings are not in memory that the device can reach" },
  { VHOST_KERNEL_CALL_SCSI_SET_ENDPOINT, EFAULT, VHOST_ERROR_BAD_ADDRESS,
    "the rings are not in memory that the device can reach" },
  { VHOST_KERNEL_CALL_SET_FEATURES, EFAULT, VHOST_ERROR_BAD_ADDRESS,
    "the log is too small, or gone" },
  { VHOST_KERNEL_CALL_SET_VRING_KICK, EINVAL, VHOST_ERROR_BAD_FDS, "not an eventfd" },
  { VHOST_KERNEL_CALL_SET_VRING_CALL, EINVAL, VHOST_ERROR_BAD_FDS, "not an eventfd" },
  { VHOST_KERNEL_CALL_SET_VRING_ERR, EINVAL, VHOST_ERROR_BAD_FDS, "not an eventfd" },
  { VHOST_KERNEL_CALL_SET_LOG_FD, EINVAL, VHOST_ERROR_BAD_FDS, "not an eventfd" },
  { VHOST_KERNEL_N_CALLS, ENOBUFS, VHOST_ERROR_INVALID_VALUE, "there is no such queue" },
};

/* Reasons of the operating system that its own words do not explain. */
static const struct {
  VhostKernelCall call;
  int code;
  const char *reason;
} explanations[] = {
  { VHOST_KERNEL_CALL_SET_OWNER, EBUSY, "the device has an owner already" },
  { VHOST_KERNEL_CALL_SCSI_SET_ENDPOINT, ENODEV, "no target of that name has a nexus and is free" },
  { VHOST_KERNEL_CALL_SCSI_SET_ENDPOINT, EEXIST, "an endpoint is set already" },
  { VHOST_KERNEL_CALL_SCSI_CLEAR_ENDPOINT, EINVAL, "another endpoint is set" },
  { VHOST_KERNEL_CALL_VSOCK_SET_GUEST_CID, EADDRINUSE, "another guest has this CID" },
  { VHOST_KERNEL_CALL_FREE_WORKER, EBUSY, "a queue is attached to the worker" },
  { VHOST_KERNEL_CALL_FREE_WORKER, ENODEV, "there is no such worker" },
  { VHOST_KERNEL_CALL_ATTACH_VRING_WORKER, ENODEV, "there is no such worker" },
  { VHOST_KERNEL_N_CALLS, EPERM, "another process owns the device, or none" },
  { VHOST_KERNEL_N_CALLS, EBUSY, "the queue is running" },
};

/* A request that the kernel does not know goes on to be one of a queue, whose number is looked for
 * where the argument of this one is, or would be. */
static gboolean
is_unknown (VhostKernelCall call, int code)
{
  static const VhostKernelCall of_no_queue[] = {
    VHOST_KERNEL_CALL_RESET_OWNER,         VHOST_KERNEL_CALL_GET_FEATURES_ARRAY,
    VHOST_KERNEL_CALL_SET_FEATURES_ARRAY,  VHOST_KERNEL_CALL_GET_FORK_FROM_OWNER,
    VHOST_KERNEL_CALL_SET_FORK_FROM_OWNER, VHOST_KERNEL_CALL_VDPA_SUSPEND,
    VHOST_KERNEL_CALL_VDPA_RESUME,
  };

  if (code == ENOTTY)
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (of_no_queue); i++) {
    if (of_no_queue[i] == call)
      return code == EFAULT || code == ENOBUFS;
  }
  return FALSE;
}

static gboolean
is_about (VhostKernelCall row, int row_code, VhostKernelCall call, int code)
{
  return row_code == code && (row == call || row == VHOST_KERNEL_N_CALLS);
}

static void
set_io_error (GError **error, VhostKernelCall call, int code, const char *reason)
{
  const gboolean unknown = code == ENOTTY || code == EOPNOTSUPP;

  g_set_error (error, G_IO_ERROR, unknown ? G_IO_ERROR_NOT_SUPPORTED : g_io_error_from_errno (code),
               "%s: %s", vhost_kernel_calls[call].name, reason);
}

gboolean
vhost_kernel_set_error (GError **error, VhostKernelCall call, int code)
{
  if (is_unknown (call, code)) {
    set_io_error (error, call, ENOTTY, "the device has no such request");
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (meanings); i++) {
    if (is_about (meanings[i].call, meanings[i].code, call, code))
      return vhost_set_error (error, meanings[i].error, "%s: %s", vhost_kernel_calls[call].name,
                              meanings[i].reason);
  }
  for (guint i = 0; i < G_N_ELEMENTS (explanations); i++) {
    if (is_about (explanations[i].call, explanations[i].code, call, code)) {
      set_io_error (error, call, code, explanations[i].reason);
      return FALSE;
    }
  }
  set_io_error (error, call, code, g_strerror (code));
  return FALSE;
}

gboolean
vhost_kernel_set_open_error (GError **error, const char *path, const char *module, int code)
{
  if (code == ENOENT || code == ENODEV || code == ENXIO) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "cannot open %s: %s (module %s)", path,
                 g_strerror (code), module);
    return FALSE;
  }
  return vhost_set_error_from_errno (error, code, "cannot open %s", path);
}
