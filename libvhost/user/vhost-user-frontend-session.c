/* SPDX-License-Identifier: BSD-3-Clause */
/* Owns what a front-end has told its back-end, so that another back-end can be told the same. Kept
 * only by front-ends that reconnect; runs on the front-end's thread.
 *
 * A split ring goes on at its used index, which lies in guest memory: what the old back-end fetched
 * and did not use is fetched again, once more from the beginning. A request may so be carried out
 * twice, never zero times, provided that everything before the used index is done: true for a
 * back-end that uses buffers in order, and for VhostDriver, which sorts its ring on ::resuming. An
 * inflight area says more than the index: whoever is given one goes on where the area says, and a
 * packed ring can go on at all. (vhost-user, “Inflight I/O tracking”, “Ring states”) */

#include "core/vhost-error-private.h"
#include "ring/vhost-ring-private.h"
#include "user/vhost-user-frontend-private.h"
#include "user/vhost-user-frontend-session-private.h"

enum {
  KICK,
  CALL,
  ERR,
  N_FDS
};

typedef struct {
  gboolean known; /* the message was sent; fd is -1 if that was what it said */
  int fd;
} FdRecord;

typedef struct {
  gboolean has_num, has_base, has_addr, has_endian;
  guint32 num;
  guint32 endian;
  guint32 base;
  VhostUserVringAddr addr;
  FdRecord fds[N_FDS]; /* a known kick: the ring is started */
  gboolean enabled;
} VringRecord;

/* A write to the configuration space. */
typedef struct {
  guint offset;
  GBytes *data;
} ConfigRecord;

struct _VhostUserSession {
  gboolean has_features, has_status, has_mtu;
  guint64 features;
  guint64 protocol_features;
  guint status;
  guint mtu;
  GArray *config;      /* of ConfigRecord, the latest last */
  VhostMemory *memory; /* of the back-end that left */
  VhostUserLogBase log_base;
  FdRecord log, log_told;
  guint n_vrings;
  VringRecord *vrings;
};

static void
clear_config (gpointer data)
{
  ConfigRecord *record = data;

  g_bytes_unref (record->data);
}

VhostUserSession *
vhost_user_session_new (void)
{
  VhostUserSession *session = g_new0 (VhostUserSession, 1);

  session->config = g_array_new (FALSE, FALSE, sizeof (ConfigRecord));
  g_array_set_clear_func (session->config, clear_config);
  session->log.fd = session->log_told.fd = -1;
  return session;
}

static void
set_fd (FdRecord *record, gboolean known, int fd)
{
  vhost_fd_clear (&record->fd);
  record->known = known;
  record->fd = fd;
}

static void
forget_fds (VringRecord *vring)
{
  for (guint i = 0; i < N_FDS; i++)
    set_fd (&vring->fds[i], FALSE, -1);
}

void
vhost_user_session_free (VhostUserSession *session)
{
  for (guint i = 0; i < session->n_vrings; i++)
    forget_fds (&session->vrings[i]);
  g_free (session->vrings);
  g_clear_pointer (&session->config, g_array_unref);
  set_fd (&session->log, FALSE, -1);
  set_fd (&session->log_told, FALSE, -1);
  g_clear_pointer (&session->memory, vhost_memory_unref);
  g_free (session);
}

guint64
vhost_user_session_get_protocol_features (const VhostUserSession *session)
{
  return session->protocol_features;
}

void
vhost_user_session_keep (VhostUserSession *session, guint64 protocol_features, VhostMemory *memory)
{
  session->protocol_features = protocol_features;
  g_clear_pointer (&session->memory, vhost_memory_unref);
  session->memory = memory != NULL ? vhost_memory_ref (memory) : NULL;
}

/* --- Recording ----------------------------------------------------------------------------- */

static VringRecord *
get_vring (VhostUserSession *session, guint index)
{
  for (; session->n_vrings <= index; session->n_vrings++) {
    session->vrings = g_renew (VringRecord, session->vrings, session->n_vrings + 1);
    session->vrings[session->n_vrings] =
        (VringRecord){ .fds = { { FALSE, -1 }, { FALSE, -1 }, { FALSE, -1 } } };
  }
  return &session->vrings[index];
}

static gboolean
record_fd (FdRecord *record, const VhostUserFrame *frame, GError **error)
{
  int fd = -1;

  if (frame->fds.n > 0) {
    fd = vhost_fd_dup (frame->fds.fd[0], error);
    if (fd < 0)
      return FALSE;
  }
  set_fd (record, TRUE, fd);
  return TRUE;
}

static gboolean
record_vring_fd (VhostUserSession *session, const VhostUserFrame *frame, guint which,
                 GError **error)
{
  VringRecord *vring = get_vring (session, frame->payload.u64 & VHOST_USER_VRING_INDEX_MASK);

  return record_fd (&vring->fds[which], frame, error);
}

/* The back-end forgets kick and call. */
static void
record_stop (VringRecord *vring, guint32 base)
{
  vring->has_base = TRUE;
  vring->base = base;
  set_fd (&vring->fds[KICK], FALSE, -1);
  set_fd (&vring->fds[CALL], FALSE, -1);
}

/* A later write takes the place of what it covers. */
static void
record_config (VhostUserSession *session, const VhostUserConfigSpace *config)
{
  ConfigRecord record = { config->offset, g_bytes_new (config->data, config->size) };

  for (guint i = session->config->len; i-- > 0;) {
    const ConfigRecord *other = &g_array_index (session->config, ConfigRecord, i);

    if (other->offset >= config->offset &&
        other->offset + g_bytes_get_size (other->data) <= config->offset + config->size)
      g_array_remove_index (session->config, i);
  }
  g_array_append_val (session->config, record);
}

/* A device that is reset has its own configuration again. */
static void
record_status (VhostUserSession *session, guint status)
{
  session->has_status = TRUE;
  session->status = status;
  if (status == 0)
    g_array_set_size (session->config, 0);
}

static void
record_reset (VhostUserSession *session)
{
  session->status = 0;
  g_array_set_size (session->config, 0);
  for (guint i = 0; i < session->n_vrings; i++) {
    session->vrings[i].enabled = FALSE;
    record_stop (&session->vrings[i], 0);
  }
}

static void
record_state (VhostUserSession *session, const VhostUserFrame *frame)
{
  VringRecord *vring = get_vring (session, MIN (frame->payload.state.index, 255));
  guint32 num = frame->payload.state.num;

  if (frame->request == VHOST_USER_FRONTEND_CODE_SET_VRING_NUM) {
    vring->has_num = TRUE;
    vring->num = num;
  } else if (frame->request == VHOST_USER_FRONTEND_CODE_SET_VRING_BASE) {
    vring->has_base = TRUE;
    vring->base = num;
  } else if (frame->request == VHOST_USER_FRONTEND_CODE_SET_VRING_ENDIAN) {
    vring->has_endian = TRUE;
    vring->endian = num;
  } else {
    vring->enabled = num != 0;
  }
}

gboolean
vhost_user_session_record (VhostUserSession *session, const VhostUserFrame *frame,
                           const VhostUserFrame *reply, GError **error)
{
  VringRecord *vring;

  switch (frame->request) {
  case VHOST_USER_FRONTEND_CODE_SET_FEATURES:
    session->has_features = TRUE;
    session->features = frame->payload.u64;
    break;
  case VHOST_USER_FRONTEND_CODE_SET_STATUS:
    record_status (session, (guint) frame->payload.u64);
    break;
  case VHOST_USER_FRONTEND_CODE_NET_SET_MTU:
    session->has_mtu = TRUE;
    session->mtu = (guint) frame->payload.u64;
    break;
  case VHOST_USER_FRONTEND_CODE_SET_CONFIG:
    record_config (session, &frame->payload.config);
    break;
  case VHOST_USER_FRONTEND_CODE_SET_VRING_NUM:
  case VHOST_USER_FRONTEND_CODE_SET_VRING_BASE:
  case VHOST_USER_FRONTEND_CODE_SET_VRING_ENABLE:
  case VHOST_USER_FRONTEND_CODE_SET_VRING_ENDIAN:
    record_state (session, frame);
    break;
  case VHOST_USER_FRONTEND_CODE_SET_VRING_ADDR:
    vring = get_vring (session, MIN (frame->payload.addr.index, 255));
    vring->has_addr = TRUE;
    vring->addr = frame->payload.addr;
    break;
  case VHOST_USER_FRONTEND_CODE_SET_VRING_KICK:
    return record_vring_fd (session, frame, KICK, error);
  case VHOST_USER_FRONTEND_CODE_SET_VRING_CALL:
    return record_vring_fd (session, frame, CALL, error);
  case VHOST_USER_FRONTEND_CODE_SET_VRING_ERR:
    return record_vring_fd (session, frame, ERR, error);
  case VHOST_USER_FRONTEND_CODE_SET_LOG_BASE:
    session->log_base = frame->payload.log;
    return record_fd (&session->log, frame, error);
  case VHOST_USER_FRONTEND_CODE_SET_LOG_FD:
    return record_fd (&session->log_told, frame, error);
  case VHOST_USER_FRONTEND_CODE_GET_VRING_BASE:
    record_stop (get_vring (session, MIN (frame->payload.state.index, 255)),
                 reply->payload.state.num);
    break;
  case VHOST_USER_FRONTEND_CODE_RESET_DEVICE:
  case VHOST_USER_FRONTEND_CODE_RESET_OWNER:
    record_reset (session);
    break;
  default:
    break;
  }
  return TRUE;
}

/* --- Replaying ----------------------------------------------------------------------------- */

static gboolean
is_started (const VringRecord *vring)
{
  return vring->fds[KICK].known;
}

static gboolean
is_packed (const VhostUserSession *session)
{
  return vhost_word_has (session->features, VHOST_FEATURE_RING_PACKED);
}

static gboolean
any_started (const VhostUserSession *session)
{
  for (guint i = 0; i < session->n_vrings; i++) {
    if (is_started (&session->vrings[i]))
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_word (guint64 needed, guint64 offered, const char *(*get_name) (guint bit), GError **error)
{
  guint64 missing = needed & ~offered;

  if (missing == 0)
    return TRUE;
  return vhost_set_error (error, VHOST_ERROR_NOT_NEGOTIATED,
                          "the new back-end does not offer %s, which is in use",
                          get_name ((guint) __builtin_ctzll (missing)));
}

static const char *
get_feature_name (guint bit)
{
  return vhost_feature_get_name (VHOST_DEVICE_ID_NONE, bit);
}

/* A new back-end may have more to offer than the one that left, not less. */
static gboolean
check_offer (VhostUserFrontend *frontend, const VhostUserSession *session, GError **error)
{
  guint n_regions = session->memory != NULL ? session->memory->n_regions : 0;

  if (!check_word (session->features, frontend->offered, get_feature_name, error) ||
      !check_word (session->protocol_features, frontend->acked_protocol,
                   vhost_user_protocol_feature_get_name, error))
    return FALSE;
  if (session->n_vrings > frontend->n_queues)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "the new back-end has %u queues; %u are in use", frontend->n_queues,
                            session->n_vrings);
  if (n_regions > frontend->n_slots)
    return vhost_set_error (error, VHOST_ERROR_BAD_MEMORY,
                            "the new back-end has room for %u memory regions; %u are in use",
                            frontend->n_slots, n_regions);
  if (is_packed (session) && any_started (session) && frontend->inflight_fd < 0)
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "a packed ring cannot go on without an inflight area");
  return TRUE;
}

/* Of a packed ring the inflight area knows where to go on; what is told counts only as long as
 * nothing has been recorded, which is from the last SET_VRING_BASE on. */
static gboolean
find_base (const VhostUserSession *session, const VringRecord *vring, guint index, guint32 *base,
           GError **error)
{
  gboolean guest =
      vhost_word_has (session->protocol_features, VHOST_USER_PROTOCOL_FEATURE_GPA_ADDRESSES);
  const VhostRingUsed *used = NULL;

  *base = vring->base;
  if (!is_started (vring) || is_packed (session))
    return TRUE;
  if (session->memory != NULL)
    used = (gpointer) vhost_memory_find_range (session->memory,
                                               guest ? VHOST_ADDRESS_GUEST : VHOST_ADDRESS_USER,
                                               vring->addr.used, sizeof *used);
  if (used == NULL)
    return vhost_set_error (error, VHOST_ERROR_BAD_ADDRESS,
                            "queue %u: its used ring is in no memory that the back-end had", index);
  *base = vhost_ring_load16_acquire (&used->idx);
  return TRUE;
}

static gboolean
replay_addr (VhostUserFrontend *frontend, const VringRecord *vring, GCancellable *cancellable,
             GError **error)
{
  VhostUserFrame frame = { 0 };

  vhost_user_frontend_init_request (&frame, VHOST_USER_FRONTEND_CODE_SET_VRING_ADDR,
                                    sizeof frame.payload.addr);
  frame.payload.addr = vring->addr;
  return vhost_user_frontend_call (frontend, &frame, NULL, cancellable, error);
}

static gboolean
replay_setup (VhostUserFrontend *frontend, guint index, GCancellable *cancellable, GError **error)
{
  VhostDevice *device = VHOST_DEVICE (frontend);
  const VringRecord *vring = &frontend->session->vrings[index];
  guint32 base;

  return find_base (frontend->session, vring, index, &base, error) &&
         (!vring->has_num ||
          vhost_device_set_vring_num (device, index, vring->num, cancellable, error)) &&
         (!vring->has_base ||
          vhost_device_set_vring_base (device, index, base, cancellable, error)) &&
         (!vring->has_endian ||
          vhost_device_set_vring_endian (device, index, vring->endian != 0, cancellable, error)) &&
         (!vring->has_addr || replay_addr (frontend, vring, cancellable, error)) &&
         (!vring->fds[CALL].known ||
          vhost_device_set_vring_call (device, index, vring->fds[CALL].fd, cancellable, error)) &&
         (!vring->fds[ERR].known ||
          vhost_device_set_vring_err (device, index, vring->fds[ERR].fd, cancellable, error)) &&
         (!vring->fds[KICK].known ||
          vhost_device_set_vring_kick (device, index, vring->fds[KICK].fd, cancellable, error));
}

/* The old back-end may have used buffers and left before it said so. */
static void
signal_call (const VringRecord *vring)
{
  if (vring->fds[CALL].fd >= 0)
    vhost_fd_signal_event (vring->fds[CALL].fd);
}

static gboolean
replay_vrings (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  const VhostUserSession *session = frontend->session;

  for (guint i = 0; i < session->n_vrings; i++) {
    if (!replay_setup (frontend, i, cancellable, error))
      return FALSE;
  }
  for (guint i = 0; i < session->n_vrings; i++) {
    if (session->vrings[i].enabled &&
        !vhost_device_set_vring_enable (VHOST_DEVICE (frontend), i, TRUE, cancellable, error))
      return FALSE;
    signal_call (&session->vrings[i]);
  }
  return TRUE;
}

static gboolean
replay_status (VhostUserFrontend *frontend, guint mask, GCancellable *cancellable, GError **error)
{
  const VhostUserSession *session = frontend->session;

  return !session->has_status ||
         vhost_device_set_status (VHOST_DEVICE (frontend), session->status & mask, cancellable,
                                  error);
}

static gboolean
replay_config (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  const GArray *config = frontend->session->config;

  for (guint i = 0; i < config->len; i++) {
    const ConfigRecord *record = &g_array_index (config, ConfigRecord, i);
    gsize size;
    const guint8 *bytes = g_bytes_get_data (record->data, &size);

    if (!vhost_device_set_config (VHOST_DEVICE (frontend), record->offset, bytes, size, cancellable,
                                  error))
      return FALSE;
  }
  return TRUE;
}

/* The windows stay where they are: the guest has been told their sizes. */
static gboolean
replay_shmem (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  g_autofree guint64 *sizes = NULL;
  gsize n_regions;

  if (frontend->shmem == NULL)
    return TRUE;
  sizes = vhost_user_frontend_get_shmem_config (frontend, cancellable, &n_regions, error);
  return sizes != NULL;
}

static gboolean
replay_log (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  VhostDevice *device = VHOST_DEVICE (frontend);
  const VhostUserSession *session = frontend->session;

  return (!session->log.known ||
          vhost_device_set_log_base (device, session->log.fd, session->log_base.mmap_size,
                                     session->log_base.mmap_offset, cancellable, error)) &&
         (!session->log_told.known ||
          vhost_device_set_log_fd (device, session->log_told.fd, cancellable, error));
}

/* What is known before the memory is. The log comes before the feature that switches it on. */
static gboolean
replay_device (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  VhostDevice *device = VHOST_DEVICE (frontend);
  const VhostUserSession *session = frontend->session;

  return (!session->has_mtu ||
          vhost_user_frontend_set_mtu (frontend, session->mtu, cancellable, error)) &&
         replay_log (frontend, cancellable, error) &&
         (!session->has_features ||
          vhost_device_set_features (device, session->features, cancellable, error)) &&
         replay_status (frontend, ~(guint) VHOST_STATUS_DRIVER_OK, cancellable, error) &&
         replay_config (frontend, cancellable, error) &&
         replay_shmem (frontend, cancellable, error) &&
         (frontend->inflight_fd < 0 || vhost_device_give_inflight (device, cancellable, error));
}

/* The last moment at which a driver can put its rings in order. */
static gboolean
tell_resuming (VhostUserFrontend *frontend, GError **error)
{
  g_signal_emit_by_name (frontend, "resuming");
  return frontend->connection != NULL ||
         vhost_set_error (error, VHOST_ERROR_DISCONNECTED, "the front-end was closed");
}

gboolean
vhost_user_session_replay (VhostUserFrontend *frontend, GCancellable *cancellable, GError **error)
{
  VhostDevice *device = VHOST_DEVICE (frontend);
  VhostUserSession *session = frontend->session;

  return check_offer (frontend, session, error) && replay_device (frontend, cancellable, error) &&
         (session->memory == NULL || session->memory->n_regions == 0 ||
          vhost_device_set_memory (device, session->memory, cancellable, error)) &&
         tell_resuming (frontend, error) && replay_vrings (frontend, cancellable, error) &&
         replay_status (frontend, G_MAXUINT, cancellable, error);
}
