/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns a device node of /dev/vduse, and makes the requests that it and the control node take. The
 * kernel is trusted to keep to its own interface, not to grant what it is asked. One thread.
 * (<linux/vduse.h>) */

#include "vduse/vhost-vduse-node-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "core/vhost-error-private.h"
#include "core/vhost-fd-private.h"

#define DIRECTORY "/dev/vduse"
#define CONTROL "control"

static void
hide_kick (VhostOps *ops, gpointer argument, gsize size)
{
  struct vduse_vq_eventfd *kick = argument;

  kick->fd = MIN (kick->fd, 0);
}

#define CALL(name, flags, size)                                                                    \
  {                                                                                                \
#name, VDUSE_##name, flags, size, NULL                                                         \
  }

static const VhostCall set_api_version = CALL (SET_API_VERSION, VHOST_CALL_IN, sizeof (guint64));
static const VhostCall create_dev =
    CALL (CREATE_DEV, VHOST_CALL_IN, sizeof (struct vduse_dev_config));
static const VhostCall destroy_dev = CALL (DESTROY_DEV, VHOST_CALL_IN, VDUSE_NAME_MAX);
static const VhostCall iotlb_get_fd =
    CALL (IOTLB_GET_FD, VHOST_CALL_BOTH | VHOST_CALL_FD, sizeof (struct vduse_iotlb_entry));
static const VhostCall dev_get_features = CALL (DEV_GET_FEATURES, VHOST_CALL_OUT, sizeof (guint64));
static const VhostCall dev_set_config =
    CALL (DEV_SET_CONFIG, VHOST_CALL_IN, sizeof (struct vduse_config_data));
static const VhostCall dev_inject_config_irq = CALL (DEV_INJECT_CONFIG_IRQ, 0, 0);
static const VhostCall vq_setup = CALL (VQ_SETUP, VHOST_CALL_IN, sizeof (struct vduse_vq_config));
static const VhostCall vq_get_info =
    CALL (VQ_GET_INFO, VHOST_CALL_BOTH, sizeof (struct vduse_vq_info));
static const VhostCall vq_setup_kickfd = { "VQ_SETUP_KICKFD", VDUSE_VQ_SETUP_KICKFD, VHOST_CALL_IN,
                                           sizeof (struct vduse_vq_eventfd), hide_kick };
static const VhostCall vq_inject_irq = CALL (VQ_INJECT_IRQ, VHOST_CALL_IN, sizeof (guint32));
static const VhostCall read_message = { "READ_MESSAGE", 0, VHOST_CALL_OUT,
                                        sizeof (struct vduse_dev_request), NULL };
static const VhostCall write_answer = { "WRITE_ANSWER", 0, VHOST_CALL_IN,
                                        sizeof (struct vduse_dev_response), NULL };

void
vhost_vduse_node_init (VhostVduseNode *node, VhostOps *ops)
{
  *node = (VhostVduseNode){ .ops = ops, .fd = -1 };
}

void
vhost_vduse_node_clear (VhostVduseNode *node)
{
  vhost_vduse_node_close (node);
  g_clear_pointer (&node->ops, vhost_ops_free);
}

/* --- Control ---------------------------------------------------------------------------------- */

/* The name is one of a file, and of a device on the vDPA bus. */
static gboolean
check_name (const char *name, GError **error)
{
  if (*name != '\0' && strlen (name) < VDUSE_NAME_MAX && strchr (name, '/') == NULL &&
      strcmp (name, ".") != 0 && strcmp (name, "..") != 0 && strcmp (name, CONTROL) != 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "“%s” cannot be the name of a VDUSE device", name);
}

static int
open_control (VhostOps *ops, GError **error)
{
  guint64 version = VHOST_VDUSE_API_VERSION;
  VHOST_AUTO_FD fd = vhost_ops_open (ops, DIRECTORY "/" CONTROL, O_RDWR);
  int result;

  if (fd < 0) {
    vhost_set_error_from_errno (error, -fd, "cannot open " DIRECTORY "/" CONTROL "%s",
                                fd == -ENOENT ? " (is the module vduse loaded?)" : "");
    return -1;
  }
  result = vhost_ops_call (ops, fd, &set_api_version, &version, sizeof version);
  if (result < 0) {
    vhost_set_error_from_errno (error, -result, "VDUSE_SET_API_VERSION %" G_GUINT64_FORMAT,
                                version);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

static struct vduse_dev_config *
describe (const char *name, const VhostVduseDescription *description)
{
  struct vduse_dev_config *config = g_malloc0 (sizeof *config + description->config_size);

  strcpy (config->name, name);
  config->device_id = description->device_id;
  config->vendor_id = description->vendor_id;
  config->features = description->features;
  config->vq_num = description->n_queues;
  config->vq_align = (guint32) sysconf (_SC_PAGESIZE);
  config->config_size = (guint32) description->config_size;
  if (description->config_size > 0)
    memcpy (config->config, description->config, description->config_size);
  return config;
}

static gboolean
create (VhostVduseNode *node, const char *name, const VhostVduseDescription *description,
        GError **error)
{
  g_autofree struct vduse_dev_config *config = describe (name, description);
  VHOST_AUTO_FD control = open_control (node->ops, error);
  int result;

  if (control < 0)
    return FALSE;
  result = vhost_ops_call (node->ops, control, &create_dev, config,
                           sizeof *config + description->config_size);
  if (result >= 0)
    return TRUE;
  return vhost_set_error_from_errno (
      error, -result, "VDUSE_CREATE_DEV of “%s”%s", name,
      result == -EINVAL ? " (the kernel serves some kinds of devices only, and needs "
                          "configuration that no driver writes)"
                        : "");
}

gboolean
vhost_vduse_node_destroy (VhostVduseNode *node, const char *name, GError **error)
{
  char buffer[VDUSE_NAME_MAX] = "";
  VHOST_AUTO_FD control = check_name (name, error) ? open_control (node->ops, error) : -1;
  int result;

  if (control < 0)
    return FALSE;
  strcpy (buffer, name);
  result = vhost_ops_call (node->ops, control, &destroy_dev, buffer, sizeof buffer);
  if (result >= 0)
    return TRUE;
  if (result == -EINVAL)
    result = -ENOENT;
  return vhost_set_error_from_errno (
      error, -result, "VDUSE_DESTROY_DEV of “%s”%s", name,
      result == -EBUSY ? " (it is on the vDPA bus, or a process serves it)" : "");
}

/* --- The device node -------------------------------------------------------------------------- */

static int
try_to_open (VhostVduseNode *node, const char *name)
{
  g_autofree char *path = g_strdup_printf (DIRECTORY "/%s", name);

  return vhost_ops_open (node->ops, path, O_RDWR | O_NONBLOCK);
}

gboolean
vhost_vduse_node_open (VhostVduseNode *node, const char *name,
                       const VhostVduseDescription *description, GError **error)
{
  VHOST_AUTO_FD fd = -1;

  if (!check_name (name, error))
    return FALSE;
  fd = try_to_open (node, name);
  if (fd == -ENOENT) {
    if (!create (node, name, description, error))
      return FALSE;
    fd = try_to_open (node, name);
  }
  if (fd < 0)
    return vhost_set_error_from_errno (error, -fd, "cannot open " DIRECTORY "/%s%s", name,
                                       fd == -EBUSY ? " (another process serves it)" : "");
  node->name = g_strdup (name);
  node->fd = vhost_fd_steal (&fd);
  return TRUE;
}

void
vhost_vduse_node_close (VhostVduseNode *node)
{
  vhost_fd_clear (&node->fd);
  g_clear_pointer (&node->name, g_free);
}

/* Makes a request; EPERM is what a device answers that the kernel has given up. */
static gboolean
call (VhostVduseNode *node, const VhostCall *call, gpointer argument, gsize size, GError **error)
{
  int result = vhost_ops_call (node->ops, node->fd, call, argument, size);

  if (result >= 0)
    return TRUE;
  return vhost_set_error_from_errno (
      error, -result, "VDUSE_%s of “%s”%s", call->name, node->name,
      result == -EPERM ? " (the kernel has given it up: an answer came too late)" : "");
}

static gboolean
call_for_queue (VhostVduseNode *node, const VhostCall *what, guint index, gpointer argument,
                gsize size, GError **error)
{
  if (call (node, what, argument, size, error))
    return TRUE;
  g_prefix_error (error, "queue %u: ", index);
  return FALSE;
}

gboolean
vhost_vduse_node_set_queue_size (VhostVduseNode *node, guint index, guint size, GError **error)
{
  struct vduse_vq_config config = { .index = index, .max_size = (guint16) size };

  return call_for_queue (node, &vq_setup, index, &config, sizeof config, error);
}

gboolean
vhost_vduse_node_get_features (VhostVduseNode *node, guint64 *features, GError **error)
{
  return call (node, &dev_get_features, features, sizeof *features, error);
}

gboolean
vhost_vduse_node_get_queue (VhostVduseNode *node, guint index, struct vduse_vq_info *info,
                            GError **error)
{
  memset (info, 0, sizeof *info);
  info->index = index;
  return call_for_queue (node, &vq_get_info, index, info, sizeof *info, error);
}

gboolean
vhost_vduse_node_set_kick (VhostVduseNode *node, guint index, int fd, GError **error)
{
  struct vduse_vq_eventfd kick = { .index = index, .fd = fd };

  return call_for_queue (node, &vq_setup_kickfd, index, &kick, sizeof kick, error);
}

gboolean
vhost_vduse_node_set_config (VhostVduseNode *node, const guint8 *data, gsize size, GError **error)
{
  g_autofree struct vduse_config_data *config = g_malloc0 (sizeof *config + size);

  config->length = (guint32) size;
  memcpy (config->buffer, data, size);
  return call (node, &dev_set_config, config, sizeof *config + size, error);
}

int
vhost_vduse_node_get_mapping (VhostVduseNode *node, guint64 address,
                              struct vduse_iotlb_entry *entry, GError **error)
{
  VHOST_AUTO_FD fd = -1;

  memset (entry, 0, sizeof *entry);
  entry->start = entry->last = address;
  fd = vhost_ops_call (node->ops, node->fd, &iotlb_get_fd, entry, sizeof *entry);
  if (fd < 0) {
    vhost_set_error_from_errno (error, -fd,
                                "VDUSE_IOTLB_GET_FD of “%s”: address 0x%" G_GINT64_MODIFIER "x%s",
                                node->name, address, fd == -EINVAL ? " is not mapped" : "");
    return -1;
  }
  fcntl (fd, F_SETFD, FD_CLOEXEC); /* the kernel makes it without */
  if (entry->start > address || entry->last < address) {
    vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                     "VDUSE_IOTLB_GET_FD of “%s”: 0x%" G_GINT64_MODIFIER
                     "x is answered with 0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER "x",
                     node->name, address, (guint64) entry->start, (guint64) entry->last);
    return -1;
  }
  return vhost_fd_steal (&fd);
}

/* --- Interrupts ------------------------------------------------------------------------------- */

static VhostVduseInterrupt
judge (int result)
{
  if (result >= 0)
    return VHOST_VDUSE_INTERRUPT_SENT;
  return result == -EINVAL ? VHOST_VDUSE_INTERRUPT_TOO_EARLY : VHOST_VDUSE_INTERRUPT_FAILED;
}

VhostVduseInterrupt
vhost_vduse_node_interrupt (VhostVduseNode *node, guint index)
{
  guint32 number = index;

  return judge (vhost_ops_call (node->ops, node->fd, &vq_inject_irq, &number, sizeof number));
}

VhostVduseInterrupt
vhost_vduse_node_interrupt_config (VhostVduseNode *node)
{
  return judge (vhost_ops_call (node->ops, node->fd, &dev_inject_config_irq, NULL, 0));
}

/* --- Messages --------------------------------------------------------------------------------- */

int
vhost_vduse_node_read (VhostVduseNode *node, struct vduse_dev_request *request, GError **error)
{
  gssize n = vhost_ops_read (node->ops, node->fd, &read_message, request, sizeof *request);

  if (n == sizeof *request)
    return 1;
  if (n == -EAGAIN || n == -EINTR)
    return 0;
  vhost_set_error_from_errno (error, n < 0 ? (int) -n : EIO, "cannot read a message of “%s”",
                              node->name);
  return -1;
}

gboolean
vhost_vduse_node_answer (VhostVduseNode *node, const struct vduse_dev_response *response,
                         GError **error)
{
  gssize n = vhost_ops_write (node->ops, node->fd, &write_answer, response, sizeof *response);

  if (n == sizeof *response)
    return TRUE;
  return vhost_set_error_from_errno (error, n < 0 ? (int) -n : EIO,
                                     "cannot answer message %u of “%s”", response->request_id,
                                     node->name);
}
