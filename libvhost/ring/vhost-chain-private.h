/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles, as the queue sees them. */
#pragma once

#include "ring/vhost-queue-private.h"
#include "ring/vhost-ring-private.h"

/* A handle of @slot, which @queue has just popped; handles from before are dead. */
VhostChain *vhost_chain_new (VhostQueue *queue, VhostSlot *slot);

/* The slot behind a handle of @queue; NULL when the handle is dead or of another queue. */
VhostSlot *vhost_chain_get_slot (VhostChain *chain, VhostQueue *queue);
