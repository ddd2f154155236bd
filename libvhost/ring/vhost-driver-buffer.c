/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device wrote into one buffer, copied out of shared memory when it was collected.
 * Immutable. */

#include "ring/vhost-driver-queue-private.h"

#include <string.h>

struct _VhostDriverBuffer {
  gatomicrefcount ref_count;
  guint token;
  guint8 *data;
  gsize size;
};

G_DEFINE_BOXED_TYPE (VhostDriverBuffer, vhost_driver_buffer, vhost_driver_buffer_ref,
                     vhost_driver_buffer_unref)

VhostDriverBuffer *
vhost_driver_buffer_new_take (guint token, guint8 *data, gsize size)
{
  VhostDriverBuffer *buffer = g_new0 (VhostDriverBuffer, 1);

  g_atomic_ref_count_init (&buffer->ref_count);
  buffer->token = token;
  buffer->data = data;
  buffer->size = size;
  return buffer;
}

guint8 *
vhost_driver_buffer_steal_data (VhostDriverBuffer *buffer, gsize *length)
{
  *length = buffer->size;
  buffer->size = 0;
  return g_steal_pointer (&buffer->data);
}

/**
 * vhost_driver_buffer_ref:
 * @buffer: a buffer
 *
 * Takes one more reference.
 *
 * Returns: (transfer full): @buffer
 *
 * Since: 1.0
 */
VhostDriverBuffer *
vhost_driver_buffer_ref (VhostDriverBuffer *buffer)
{
  g_atomic_ref_count_inc (&buffer->ref_count);
  return buffer;
}

/**
 * vhost_driver_buffer_unref:
 * @buffer: (transfer full): a buffer
 *
 * Drops a reference. May be called from any thread.
 *
 * Since: 1.0
 */
void
vhost_driver_buffer_unref (VhostDriverBuffer *buffer)
{
  if (!g_atomic_ref_count_dec (&buffer->ref_count))
    return;
  g_free (buffer->data);
  g_free (buffer);
}

/**
 * vhost_driver_buffer_get_token:
 * @buffer: a buffer
 *
 * Tells which buffer it is: see [method@Vhost.DriverQueue.add].
 *
 * Returns: what [method@Vhost.DriverQueue.add] returned for it
 *
 * Since: 1.0
 */
guint
vhost_driver_buffer_get_token (VhostDriverBuffer *buffer)
{
  return buffer->token;
}

/**
 * vhost_driver_buffer_get_size:
 * @buffer: a buffer
 *
 * Tells how much the device wrote.
 *
 * Returns: how many bytes the device wrote
 *
 * Since: 1.0
 */
gsize
vhost_driver_buffer_get_size (VhostDriverBuffer *buffer)
{
  return buffer->size;
}

/**
 * vhost_driver_buffer_get_data:
 * @buffer: a buffer
 * @length: (out): bytes
 *
 * Copies what the device wrote.
 *
 * Returns: (transfer full) (array length=length): what the device wrote
 *
 * Since: 1.0
 */
guint8 *
vhost_driver_buffer_get_data (VhostDriverBuffer *buffer, gsize *length)
{
  guint8 *copy = g_malloc (MAX (buffer->size, 1));

  memcpy (copy, buffer->data, buffer->size);
  *length = buffer->size;
  return copy;
}
