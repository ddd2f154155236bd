/* SPDX-License-Identifier: BSD-3-Clause */
/* What a benchmark in C needs: a clock, pairs, and the lines that bench.py reads. */
#pragma once

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <glib.h>

/* One figure, and the peer it is compared with. */
typedef struct {
  const char *figure;
  const char *unit;
  const char *peer;
  double at_most;  /* what the ratio should be; 0: not said */
  double at_least; /* the same */
  const char *along;
  guint x; /* with along: the point of the curve */
} BenchFigure;

static inline double
bench_now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* Few samples are wanted: somebody only looks whether it works. */
static inline gboolean
bench_is_quick (int argc, char **argv)
{
  return argc > 1 && strcmp (argv[1], "--quick") == 0;
}

static inline void
bench_print_head (const BenchFigure *figure)
{
  printf ("{\"figure\": \"%s\", \"unit\": \"%s\", \"peer\": \"%s\"", figure->figure, figure->unit,
          figure->peer);
  if (figure->along != NULL)
    printf (", \"along\": \"%s\", \"x\": %u", figure->along, figure->x);
  if (figure->at_most > 0)
    printf (", \"at_most\": %g", figure->at_most);
  if (figure->at_least > 0)
    printf (", \"at_least\": %g", figure->at_least);
}

/* One pair: both were measured just now. */
static inline void
bench_print_pair (const BenchFigure *figure, double ours, double theirs)
{
  bench_print_head (figure);
  printf (", \"ours\": %.4f, \"theirs\": %.4f}\n", ours, theirs);
}

static inline void
bench_print_missing (const char *figure, const char *peer, const char *reason)
{
  printf ("{\"figure\": \"%s\", \"peer\": \"%s\", \"missing\": \"%s\"}\n", figure, peer, reason);
}

/* What one side of a pair does: measures itself once, in the unit of the figure. */
typedef double (*BenchSide) (gpointer data);

/* Measures in turns, after a few that do not count. Who begins alternates too. */
static inline void
bench_run_pairs (const BenchFigure *figure, guint n, BenchSide ours, gpointer our_data,
                 BenchSide theirs, gpointer their_data)
{
  for (guint i = 0; i < n + 4; i++) {
    double first = i % 2 ? ours (our_data) : theirs (their_data);
    double second = i % 2 ? theirs (their_data) : ours (our_data);

    if (i >= 4)
      bench_print_pair (figure, i % 2 ? first : second, i % 2 ? second : first);
  }
}
