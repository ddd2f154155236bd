/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "core/vhost-features.h"

#define VHOST_BIT(n) (G_GUINT64_CONSTANT (1) << (n))

static inline gboolean
vhost_word_has (guint64 word, guint bit)
{
  return bit < 64 && (word >> bit) & 1;
}

/* "A, B, bit 63": the names of the bits of @word, by @get_name (NULL from it: "bit N"). */
char *vhost_word_to_string (guint64 word, const char *(*get_name) (guint bit, gpointer data),
                            gpointer data);
