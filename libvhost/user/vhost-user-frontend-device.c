/* SPDX-License-Identifier: BSD-3-Clause */
/* The device interface of a front-end: each call is one request, or a short series of them. Ring
 * addresses come in as guest physical and go out as the user addresses of the regions that hold
 * them. (vhost-user, “Front-end message types”) */

#include <string.h>
#include "core/vhost-error-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-region-private.h"

static gboolean
is_acked (VhostUserFrontend *frontend, guint bit)
{
  return vhost_word_has (frontend->acked_protocol, bit);
}

/* For calls that look at something else before they send. */
static gboolean
check_open (VhostUserFrontend *frontend, const char *request, GCancellable *cancellable,
            GError **error)
{
  if (vhost_user_frontend_check_open (frontend, cancellable, error))
    return TRUE;
  g_prefix_error (error, "%s: ", request);
  return FALSE;
}

static gboolean
call_empty (VhostDevice *device, VhostUserFrontendCode code, GCancellable *cancellable,
            GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, 0);
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

static gboolean
call_number (VhostDevice *device, VhostUserFrontendCode code, guint64 number,
             GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.u64);
  frame.payload.u64 = number;
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

static gboolean
call_state (VhostDevice *device, VhostUserFrontendCode code, guint index, guint num,
            VhostUserFrame *reply, GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.state);
  frame.payload.state.index = index;
  frame.payload.state.num = num;
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, reply, cancellable, error);
}

static gboolean
ask_number (VhostDevice *device, VhostUserFrontendCode code, guint64 *number,
            GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  vhost_user_frontend_init_request (&frame, code, 0);
  if (!vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, &reply, cancellable, error))
    return FALSE;
  *number = reply.payload.u64;
  return TRUE;
}

/* The used index of a ring behind an IOMMU is not looked for: no other back-end can go on there. */
static gboolean
can_translate (VhostUserFrontend *frontend)
{
  return frontend->iommu != NULL && frontend->session == NULL &&
         is_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_BACKEND_REQ) &&
         is_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK);
}

/* Returns when the back-end has done what it was told last: without acks, an answer to another
 * request shows it. */
static gboolean
wait_until_done (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  guint64 features;

  return is_acked (VHOST_USER_FRONTEND (device), VHOST_USER_PROTOCOL_FEATURE_REPLY_ACK) ||
         ask_number (device, VHOST_USER_FRONTEND_CODE_GET_FEATURES, &features, cancellable, error);
}

/* What no driver sees: PROTOCOL_FEATURES is between the two sockets' ends, a packed ring cannot go
 * on with another back-end unless what is in flight is recorded, and somebody has to translate. */
static guint64
get_hidden (VhostUserFrontend *frontend)
{
  gboolean packed =
      frontend->session == NULL || is_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_INFLIGHT_SHMFD);

  return VHOST_BIT (VHOST_FEATURE_PROTOCOL_FEATURES) |
         (packed ? 0 : VHOST_BIT (VHOST_FEATURE_RING_PACKED)) |
         (can_translate (frontend) ? 0 : VHOST_BIT (VHOST_FEATURE_ACCESS_PLATFORM));
}

gboolean
vhost_user_frontend_has_iommu (VhostUserFrontend *frontend)
{
  return vhost_word_has (frontend->acked, VHOST_FEATURE_ACCESS_PLATFORM) &&
         can_translate (frontend);
}

static guint64
frontend_get_features (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  guint64 features;

  if (!ask_number (device, VHOST_USER_FRONTEND_CODE_GET_FEATURES, &features, cancellable, error))
    return 0;
  VHOST_USER_FRONTEND (device)->offered = features;
  return features & ~get_hidden (VHOST_USER_FRONTEND (device));
}

static gboolean
frontend_set_features (VhostDevice *device, guint64 features, GCancellable *cancellable,
                       GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  guint64 offered;

  if (!check_open (frontend, "SET_FEATURES", cancellable, error))
    return FALSE;
  offered = frontend->offered;
  if (!call_number (device, VHOST_USER_FRONTEND_CODE_SET_FEATURES,
                    features | (offered & VHOST_BIT (VHOST_FEATURE_PROTOCOL_FEATURES)), cancellable,
                    error))
    return FALSE;
  frontend->acked = features;
  return !vhost_word_has (features, VHOST_FEATURE_LOG_ALL) ||
         wait_until_done (device, cancellable, error);
}

static gboolean
frontend_set_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  return call_empty (device, VHOST_USER_FRONTEND_CODE_SET_OWNER, cancellable, error);
}

static gboolean
frontend_reset_owner (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  return call_empty (device, VHOST_USER_FRONTEND_CODE_RESET_OWNER, cancellable, error);
}

static guint
frontend_get_n_queues (VhostDevice *device)
{
  return VHOST_USER_FRONTEND (device)->n_queues;
}

/* With GPA_ADDRESSES there are no user addresses: the back-end does not learn ours. */
static guint64
get_user_address (VhostUserFrontend *frontend, const VhostMemoryRegion *region)
{
  return is_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES) ? region->guest_address
                                                                        : region->user_address;
}

static void
describe_region (VhostUserFrontend *frontend, VhostUserFrame *frame, guint index,
                 const VhostMemoryRegion *region)
{
  const VhostUserWireRegion wire = {
    .region = { region->guest_address, region->size, get_user_address (frontend, region),
                region->offset },
  };

  vhost_user_region_store (frame, index, frontend->acked_protocol, &wire);
}

static gboolean
check_regions (VhostUserFrontend *frontend, VhostMemory *memory, GError **error)
{
  if (memory->n_regions == 0 || memory->n_regions > frontend->n_slots)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "SET_MEM_TABLE: %u memory regions; the back-end takes 1 to %u",
                            memory->n_regions, frontend->n_slots);
  for (guint i = 0; i < memory->n_regions; i++) {
    if (memory->regions[i]->fd < 0)
      return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                              "SET_MEM_TABLE: memory region %u has no descriptor to hand over", i);
  }
  return TRUE;
}

static gboolean
send_table (VhostUserFrontend *frontend, VhostMemory *memory, GCancellable *cancellable,
            GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (
      &frame, VHOST_USER_FRONTEND_CODE_SET_MEM_TABLE,
      8 + memory->n_regions * (guint32) vhost_user_region_get_size (frontend->acked_protocol));
  frame.payload.table.n_regions = memory->n_regions;
  frame.fds.n = memory->n_regions;
  for (guint i = 0; i < memory->n_regions; i++) {
    describe_region (frontend, &frame, i, memory->regions[i]);
    frame.fds.fd[i] = memory->regions[i]->fd; /* borrowed: the frame is not cleared */
  }
  if (!vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error))
    return FALSE;
  g_clear_pointer (&frontend->memory, vhost_memory_unref);
  frontend->memory = vhost_memory_ref (memory);
  return TRUE;
}

/* One region in or out; what the back-end has is kept up to date, so that a failure half-way leaves
 * no doubt. */
static gboolean
send_region (VhostUserFrontend *frontend, VhostUserFrontendCode code, VhostMemoryRegion *region,
             GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };
  VhostMemory *changed;

  vhost_user_frontend_init_request (
      &frame, code, 8 + (guint32) vhost_user_region_get_size (frontend->acked_protocol));
  describe_region (frontend, &frame, 0, region);
  if (code == VHOST_USER_FRONTEND_CODE_ADD_MEM_REG) {
    frame.fds.n = 1;
    frame.fds.fd[0] = region->fd; /* borrowed: the frame is not cleared */
    changed = vhost_memory_add (frontend->memory, region, error);
  } else {
    changed = vhost_memory_remove (frontend->memory, region->guest_address, region->size,
                                   region->user_address, error);
  }
  if (changed == NULL)
    return FALSE;
  if (!vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error)) {
    vhost_memory_unref (changed);
    return FALSE;
  }
  g_clear_pointer (&frontend->memory, vhost_memory_unref); /* none, if another back-end came */
  frontend->memory = changed;
  return TRUE;
}

static gboolean
holds_region (VhostMemory *memory, const VhostMemoryRegion *region)
{
  for (guint i = 0; i < memory->n_regions; i++) {
    if (memory->regions[i] == region)
      return TRUE;
  }
  return FALSE;
}

static gboolean
add_regions (VhostUserFrontend *frontend, VhostMemory *before, VhostMemory *memory,
             GCancellable *cancellable, GError **error)
{
  for (guint i = 0; i < memory->n_regions; i++) {
    if (!holds_region (before, memory->regions[i]) &&
        !send_region (frontend, VHOST_USER_FRONTEND_CODE_ADD_MEM_REG, memory->regions[i],
                      cancellable, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
remove_regions (VhostUserFrontend *frontend, VhostMemory *before, VhostMemory *memory,
                GCancellable *cancellable, GError **error)
{
  for (guint i = before->n_regions; i-- > 0;) {
    if (!holds_region (memory, before->regions[i]) &&
        !send_region (frontend, VHOST_USER_FRONTEND_CODE_REM_MEM_REG, before->regions[i],
                      cancellable, error))
      return FALSE;
  }
  return TRUE;
}

/* Is there room for what comes beside what goes? */
static gboolean
fit_together (VhostUserFrontend *frontend, VhostMemory *before, VhostMemory *memory)
{
  g_autoptr (VhostMemory) both = vhost_memory_ref (before);

  for (guint i = 0; i < memory->n_regions; i++) {
    VhostMemory *sum;

    if (holds_region (before, memory->regions[i]))
      continue;
    sum = vhost_memory_add (both, memory->regions[i], NULL);
    if (sum == NULL)
      return FALSE;
    vhost_memory_unref (both);
    both = sum;
  }
  return both->n_regions <= frontend->n_slots;
}

/* What comes is added first where that is possible: a back-end of libvhost-user (QEMU 7.2) gives up
 * when a region is added while one that holds a ring is away, even the ring of a stopped queue. */
static gboolean
send_difference (VhostUserFrontend *frontend, VhostMemory *memory, GCancellable *cancellable,
                 GError **error)
{
  g_autoptr (VhostMemory) before =
      frontend->memory != NULL ? vhost_memory_ref (frontend->memory) : vhost_memory_new ();

  if (frontend->memory == NULL)
    frontend->memory = vhost_memory_ref (before);
  if (fit_together (frontend, before, memory))
    return add_regions (frontend, before, memory, cancellable, error) &&
           remove_regions (frontend, before, memory, cancellable, error);
  return remove_regions (frontend, before, memory, cancellable, error) &&
         add_regions (frontend, before, memory, cancellable, error);
}

static gboolean
frontend_set_memory (VhostDevice *device, VhostMemory *memory, GCancellable *cancellable,
                     GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);

  if (!check_open (frontend, "SET_MEM_TABLE", cancellable, error) ||
      !check_regions (frontend, memory, error))
    return FALSE;
  if (is_acked (frontend, VHOST_USER_PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS))
    return send_difference (frontend, memory, cancellable, error);
  return send_table (frontend, memory, cancellable, error);
}

static gboolean
frontend_set_vring_num (VhostDevice *device, guint index, guint num, GCancellable *cancellable,
                        GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_SET_VRING_NUM, index, num, NULL, cancellable,
                     error);
}

gboolean
vhost_user_frontend_find_address (VhostUserFrontend *frontend, guint64 guest_address,
                                  guint64 *user_address, guint64 *contiguous, GError **error)
{
  for (guint i = 0; frontend->memory != NULL && i < frontend->memory->n_regions; i++) {
    const VhostMemoryRegion *region = frontend->memory->regions[i];

    if (guest_address - region->guest_address < region->size) {
      *user_address = get_user_address (frontend, region) + (guest_address - region->guest_address);
      *contiguous = region->size - (guest_address - region->guest_address);
      return TRUE;
    }
  }
  return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                          "guest address 0x%" G_GINT64_MODIFIER
                          "x is in no memory that the back-end has",
                          guest_address);
}

/* I/O addresses are the same for everybody. */
static gboolean
find_ring_address (VhostUserFrontend *frontend, guint64 address, guint64 *found, GError **error)
{
  guint64 contiguous;

  *found = address;
  if (vhost_user_frontend_has_iommu (frontend) ||
      vhost_user_frontend_find_address (frontend, address, found, &contiguous, error))
    return TRUE;
  g_prefix_error (error, "SET_VRING_ADDR: ");
  return FALSE;
}

static gboolean
frontend_set_vring_addr (VhostDevice *device, guint index, guint flags, guint64 desc, guint64 avail,
                         guint64 used, guint64 log, GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);
  VhostUserFrame frame = { 0 };
  VhostUserVringAddr *addr = &frame.payload.addr;

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_VRING_ADDR, sizeof *addr);
  addr->index = index;
  addr->flags = flags;
  addr->log = log;
  return check_open (frontend, "SET_VRING_ADDR", cancellable, error) &&
         find_ring_address (frontend, desc, &addr->desc, error) &&
         find_ring_address (frontend, avail, &addr->avail, error) &&
         find_ring_address (frontend, used, &addr->used, error) &&
         vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error) &&
         (flags == 0 || wait_until_done (device, cancellable, error));
}

static gboolean
frontend_set_vring_base (VhostDevice *device, guint index, guint32 base, GCancellable *cancellable,
                         GError **error)
{
  return call_state (device, VHOST_USER_FRONTEND_CODE_SET_VRING_BASE, index, base, NULL,
                     cancellable, error);
}

static guint32
frontend_get_vring_base (VhostDevice *device, guint index, GCancellable *cancellable,
                         GError **error)
{
  g_auto (VhostUserFrame) reply = { 0 };

  if (!call_state (device, VHOST_USER_FRONTEND_CODE_GET_VRING_BASE, index, 0, &reply, cancellable,
                   error))
    return 0;
  if (reply.payload.state.index != index) {
    vhost_set_error (error, VHOST_ERROR_PROTOCOL, "GET_VRING_BASE: asked for queue %u, got %u",
                     index, reply.payload.state.index);
    return 0;
  }
  return reply.payload.state.num;
}

static gboolean
call_with_fd (VhostDevice *device, VhostUserFrontendCode code, guint index, int fd,
              GCancellable *cancellable, GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, code, sizeof frame.payload.u64);
  frame.payload.u64 = index | (fd < 0 ? VHOST_USER_VRING_NOFD : 0);
  frame.fds = (VhostFdSet){ .n = fd < 0 ? 0 : 1, .fd = { fd } };
  if (index > VHOST_USER_VRING_INDEX_MASK)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "%s: queue %u; vhost-user has 256",
                            vhost_user_get_request_name (VHOST_USER_ROLE_FRONTEND, code), index);
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

/* The message starts the ring. Back-ends of the older rule wait for the descriptor to become
 * readable: it is signalled as well. */
static gboolean
frontend_set_vring_kick (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                         GError **error)
{
  if (!call_with_fd (device, VHOST_USER_FRONTEND_CODE_SET_VRING_KICK, index, fd, cancellable,
                     error))
    return FALSE;
  vhost_fd_signal_event (fd);
  return TRUE;
}

static gboolean
frontend_set_vring_call (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                         GError **error)
{
  return call_with_fd (device, VHOST_USER_FRONTEND_CODE_SET_VRING_CALL, index, fd, cancellable,
                       error);
}

static gboolean
frontend_set_vring_err (VhostDevice *device, guint index, int fd, GCancellable *cancellable,
                        GError **error)
{
  return call_with_fd (device, VHOST_USER_FRONTEND_CODE_SET_VRING_ERR, index, fd, cancellable,
                       error);
}

/* Returns when the ring is enabled: a kick that came earlier might find it disabled and be lost. */
static gboolean
frontend_set_vring_enable (VhostDevice *device, guint index, gboolean enable,
                           GCancellable *cancellable, GError **error)
{
  VhostUserFrontend *frontend = VHOST_USER_FRONTEND (device);

  if (!check_open (frontend, "SET_VRING_ENABLE", cancellable, error))
    return FALSE;
  if (!vhost_word_has (frontend->offered, VHOST_FEATURE_PROTOCOL_FEATURES))
    return TRUE; /* rings are enabled from SET_FEATURES on, and cannot be disabled */
  return call_state (device, VHOST_USER_FRONTEND_CODE_SET_VRING_ENABLE, index, enable ? 1 : 0, NULL,
                     cancellable, error) &&
         wait_until_done (device, cancellable, error);
}

static gboolean
check_config_range (const char *request, guint offset, gsize size, GError **error)
{
  if (size > 0 && offset <= VHOST_USER_MAX_CONFIG && size <= VHOST_USER_MAX_CONFIG - offset)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                          "%s: %" G_GSIZE_FORMAT
                          " bytes at %u of a configuration space of at most %d",
                          request, size, offset, VHOST_USER_MAX_CONFIG);
}

static gboolean
check_config_reply (const VhostUserFrame *reply, guint offset, guint size, GError **error)
{
  const VhostUserConfigSpace *config = &reply->payload.config;

  if (reply->size < 12 || config->size == 0)
    return vhost_set_error (error, VHOST_ERROR_REFUSED, "GET_CONFIG: the back-end refused");
  if (config->offset == offset && config->size == size)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_PROTOCOL,
                          "GET_CONFIG: asked for %u bytes at %u, got %u at %u", size, offset,
                          config->size, config->offset);
}

static GBytes *
frontend_get_config (VhostDevice *device, guint offset, guint size, GCancellable *cancellable,
                     GError **error)
{
  VhostUserFrame frame = { 0 };
  g_auto (VhostUserFrame) reply = { 0 };

  if (!check_config_range ("GET_CONFIG", offset, size, error))
    return NULL;
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_GET_CONFIG, 12 + size);
  frame.payload.config.offset = offset;
  frame.payload.config.size = size;
  if (!vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, &reply, cancellable,
                                 error) ||
      !check_config_reply (&reply, offset, size, error))
    return NULL;
  return g_bytes_new (reply.payload.config.data, size);
}

static gboolean
frontend_set_config (VhostDevice *device, guint offset, GBytes *data, GCancellable *cancellable,
                     GError **error)
{
  VhostUserFrame frame = { 0 };
  gsize size;
  const guint8 *bytes = g_bytes_get_data (data, &size);

  if (!check_config_range ("SET_CONFIG", offset, size, error))
    return FALSE;
  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_CONFIG,
                                    12 + (guint32) size);
  frame.payload.config.offset = offset;
  frame.payload.config.size = (guint32) size;
  memcpy (frame.payload.config.data, bytes, size);
  return vhost_user_frontend_call (VHOST_USER_FRONTEND (device), &frame, NULL, cancellable, error);
}

static guint
frontend_get_status (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  guint64 status;

  if (!ask_number (device, VHOST_USER_FRONTEND_CODE_GET_STATUS, &status, cancellable, error))
    return 0;
  return status & 0xff;
}

static gboolean
frontend_set_status (VhostDevice *device, guint status, GCancellable *cancellable, GError **error)
{
  if (!call_number (device, VHOST_USER_FRONTEND_CODE_SET_STATUS, status, cancellable, error))
    return FALSE;
  if (status == 0)
    vhost_user_frontend_reset_shmem (VHOST_USER_FRONTEND (device));
  return TRUE;
}

static gboolean
frontend_reset (VhostDevice *device, GCancellable *cancellable, GError **error)
{
  if (!call_empty (device, VHOST_USER_FRONTEND_CODE_RESET_DEVICE, cancellable, error))
    return FALSE;
  vhost_user_frontend_reset_shmem (VHOST_USER_FRONTEND (device));
  return TRUE;
}

void
vhost_user_frontend_init_device (gpointer data, gpointer user_data)
{
  VhostDeviceInterface *iface = data;

  iface->get_features = frontend_get_features;
  iface->set_features = frontend_set_features;
  iface->set_owner = frontend_set_owner;
  iface->reset_owner = frontend_reset_owner;
  iface->get_n_queues = frontend_get_n_queues;
  iface->set_memory = frontend_set_memory;
  iface->set_log_base = vhost_user_frontend_set_log_base;
  iface->set_log_fd = vhost_user_frontend_set_log_fd;
  iface->set_vring_num = frontend_set_vring_num;
  iface->set_vring_addr = frontend_set_vring_addr;
  iface->set_vring_base = frontend_set_vring_base;
  iface->get_vring_base = frontend_get_vring_base;
  iface->set_vring_kick = frontend_set_vring_kick;
  iface->set_vring_call = frontend_set_vring_call;
  iface->set_vring_err = frontend_set_vring_err;
  iface->set_vring_enable = frontend_set_vring_enable;
  iface->get_config = frontend_get_config;
  iface->set_config = frontend_set_config;
  iface->get_status = frontend_get_status;
  iface->set_status = frontend_set_status;
  iface->request_inflight = vhost_user_frontend_request_inflight;
  iface->give_inflight = vhost_user_frontend_give_inflight;
  iface->drop_inflight = vhost_user_frontend_drop_inflight;
  iface->reset = frontend_reset;
  vhost_user_frontend_init_notify (iface);
  vhost_user_frontend_init_iotlb (iface);
}
