/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues without event descriptors: kicks, calls and errors as messages; and the byte order of
 * legacy rings. A call that the front-end has not answered yet stands for all that follow, as the
 * count of an eventfd does: a front-end that does not read cannot make calls pile up. Control
 * thread. (vhost-user, “In-band notifications”, CROSS_ENDIAN) */

#include "core/vhost-error-private.h"
#include "user/vhost-user-backend-extra-private.h"

/* Of one queue. */
struct _VhostUserInBand {
  gboolean err;    /* errors go as messages */
  gboolean asked;  /* a call is on its way */
  gboolean wanted; /* one more has to follow */
};

static gboolean
is_in_band (VhostUserBackend *backend)
{
  return vhost_word_has (backend->acked_protocol, VHOST_USER_PROTOCOL_FEATURE_INBAND_NOTIFICATIONS);
}

static VhostUserInBand *
get_state (VhostUserBackend *backend, guint index)
{
  if (backend->in_band == NULL)
    backend->in_band =
        g_new0 (VhostUserInBand, vhost_backend_get_n_queues (VHOST_BACKEND (backend)));
  return &backend->in_band[index];
}

static void
init_request (VhostUserFrame *frame, VhostUserBackendCode code, guint index)
{
  vhost_user_frame_init (frame, code, VHOST_USER_FLAGS_VERSION, sizeof frame->payload.state);
  frame->payload.state.index = index;
}

static void send_call (VhostUserBackend *backend, guint index);

static void
on_call_answered (VhostUserBackend *backend, VhostUserFrame *answer, const GError *error,
                  gpointer data)
{
  guint index = GPOINTER_TO_UINT (data);
  VhostUserInBand *state = get_state (backend, index);

  state->asked = FALSE;
  state->wanted |= error != NULL; /* who knows whether it arrived */
  send_call (backend, index);
  vhost_user_backend_report_refusal (backend, answer, error, NULL);
}

/* Without a channel it stays wanted; a queue that has stopped wants none. */
static void
send_call (VhostUserBackend *backend, guint index)
{
  VhostUserInBand *state = get_state (backend, index);
  VhostQueue *queue = vhost_backend_get_queue (VHOST_BACKEND (backend), index);
  VhostUserFrame frame = { 0 };

  if (!state->wanted || state->asked || backend->channel == NULL ||
      !vhost_queue_is_called_in_band (queue))
    return;
  init_request (&frame, VHOST_USER_BACKEND_CODE_VRING_CALL, index);
  state->asked = vhost_user_backend_send (backend, &frame, FALSE, on_call_answered,
                                          GUINT_TO_POINTER (index), NULL);
  state->wanted = !state->asked;
}

void
vhost_user_backend_call_queue (VhostBackend *base, VhostQueue *queue)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);
  guint index = vhost_queue_get_index (queue);

  get_state (backend, index)->wanted = TRUE;
  send_call (backend, index);
}

void
vhost_user_backend_resume_calls (VhostUserBackend *backend)
{
  guint n_queues = vhost_backend_get_n_queues (VHOST_BACKEND (backend));

  for (guint i = 0; backend->in_band != NULL && i < n_queues; i++)
    send_call (backend, i);
}

void
vhost_user_backend_report_broken (VhostBackend *base, VhostQueue *queue)
{
  VhostUserBackend *backend = VHOST_USER_BACKEND (base);
  guint index = vhost_queue_get_index (queue);
  g_autoptr (GError) error = NULL;
  VhostUserFrame frame = { 0 };

  if (!is_in_band (backend) || !get_state (backend, index)->err)
    return;
  init_request (&frame, VHOST_USER_BACKEND_CODE_VRING_ERR, index);
  if (!vhost_user_backend_send (backend, &frame, TRUE, vhost_user_backend_report_refusal, NULL,
                                &error))
    g_info ("%s", error->message);
}

void
vhost_user_backend_set_call_kind (VhostUserBackend *backend, VhostQueue *queue, gboolean fd)
{
  get_state (backend, vhost_queue_get_index (queue))->wanted = FALSE;
  if (!fd && is_in_band (backend))
    vhost_queue_call_in_band (queue);
}

void
vhost_user_backend_set_err_kind (VhostUserBackend *backend, VhostQueue *queue, gboolean fd)
{
  get_state (backend, vhost_queue_get_index (queue))->err = !fd;
}

/* Answered when the queue has been looked at. Starts one that is stopped, as SET_VRING_KICK does.
 */
gboolean
vhost_user_backend_vring_kick (VhostUserBackend *backend, VhostUserFrame *frame,
                               VhostUserFrame *reply, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  VhostVring *vring = vhost_backend_find_vring (base, frame->payload.state.index, error);
  g_autoptr (VhostQueue) queue = NULL;

  if (vring == NULL)
    return FALSE;
  queue = g_object_ref (vring->queue);
  if (!vhost_queue_is_started (queue) && !vring->start_wanted &&
      !vhost_vring_start (base, vring, -1, error))
    return FALSE;
  vhost_queue_kick (queue);
  return TRUE;
}

/* Rings are read and written little endian: what big-endian guests without VERSION_1 have is
 * refused, and nothing is translated. */
gboolean
vhost_user_backend_set_vring_endian (VhostUserBackend *backend, VhostUserFrame *frame,
                                     VhostUserFrame *reply, GError **error)
{
  VhostBackend *base = VHOST_BACKEND (backend);
  const VhostUserVringState *state = &frame->payload.state;
  VhostVring *vring = vhost_backend_find_vring (base, state->index, error);

  if (vring == NULL)
    return FALSE;
  if (vhost_backend_has_feature (base, VHOST_FEATURE_VERSION_1))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE,
                            "with VERSION_1 every ring is little endian");
  if (vhost_queue_is_started (vring->queue))
    return vhost_set_error (error, VHOST_ERROR_BAD_STATE, "queue %u is running", state->index);
  if (state->num == 1)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE,
                            "big-endian rings are not served, only little-endian ones");
  if (state->num != 0)
    return vhost_set_error (error, VHOST_ERROR_INVALID_VALUE, "num is %u, must be 0 or 1",
                            state->num);
  return TRUE;
}
