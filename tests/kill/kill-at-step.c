/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a program and kills it at a numbered machine instruction. What it executes between the
 * signals URG and WINCH, which it sends itself, is counted and stepped through one instruction at a
 * time; the rest runs freely. At its end it tells how many there were.
 *
 * usage: kill-at-step STEP PROGRAM ARGUMENT…      (STEP 0: never) */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void
on_terminate (int number)
{
  kill (child, SIGTERM);
}

static int
run (char **arguments)
{
  if (ptrace (PTRACE_TRACEME, 0, NULL, NULL) < 0)
    return 126;
  execv (arguments[0], arguments);
  return 127;
}

/* Goes on until the next stop; 0: the program has ended, with *@status. */
static int
resume (int request, int number, int *status)
{
  if (ptrace (request, child, NULL, (void *) (long) number) < 0 && errno != ESRCH)
    return 0; /* ESRCH: killed, and to be waited for */
  while (waitpid (child, status, 0) < 0) {
    if (errno != EINTR)
      return 0;
  }
  return WIFSTOPPED (*status);
}

static int
is_ours (int number)
{
  return number == SIGURG || number == SIGWINCH || number == SIGTRAP;
}

/* Returns how many steps were counted. */
static unsigned long
step_through (unsigned long last, int *status)
{
  unsigned long n = 0;
  int counting = 0;
  int pending = 0;

  while (resume (counting ? PTRACE_SINGLESTEP : PTRACE_CONT, pending, status)) {
    int number = WSTOPSIG (*status);

    if (number == SIGURG || number == SIGWINCH)
      counting = number == SIGURG;
    else if (number == SIGTRAP && counting && ++n == last)
      kill (child, SIGKILL);
    pending = is_ours (number) ? 0 : number;
  }
  return n;
}

/* Each step switches to the program and back. On two processors that is two wake-ups, and takes
 * nearly four times as long. */
static void
stay_on_one_processor (void)
{
  cpu_set_t here;

  CPU_ZERO (&here);
  CPU_SET (sched_getcpu (), &here);
  sched_setaffinity (0, sizeof here, &here);
}

int
main (int argc, char **argv)
{
  struct sigaction action = { .sa_handler = on_terminate };
  unsigned long last, n;
  int status;

  if (argc < 3)
    return 2;
  stay_on_one_processor ();
  last = strtoul (argv[1], NULL, 10);
  child = fork ();
  if (child == 0)
    _exit (run (argv + 2));
  sigaction (SIGTERM, &action, NULL);
  if (child < 0 || waitpid (child, &status, 0) < 0 || !WIFSTOPPED (status))
    return 1;
  ptrace (PTRACE_SETOPTIONS, child, NULL, (void *) PTRACE_O_EXITKILL);
  n = step_through (last, &status);
  printf ("%lu\n", n);
  return WIFSIGNALED (status) ? 128 + WTERMSIG (status) : WEXITSTATUS (status);
}
