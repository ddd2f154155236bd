/* SPDX-License-Identifier: BSD-3-Clause */
/* In the guest: vsock PORT BYTES sends bytes to an echo on the host while it reads them back, shuts
 * its side down, and prints how many came back as they were until the end of the stream. */

#include <sys/socket.h>

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 5000

static unsigned char
get_byte (long place)
{
  return place * 7 + place / 251;
}

static int
send_all (int fd, long size)
{
  unsigned char block[BLOCK];

  for (long done = 0; done < size;) {
    long n = size - done < BLOCK ? size - done : BLOCK;

    for (long i = 0; i < n; i++)
      block[i] = get_byte (done + i);
    n = write (fd, block, n);
    if (n <= 0)
      return 1;
    done += n;
  }
  return shutdown (fd, SHUT_WR);
}

static long
receive_all (int fd)
{
  unsigned char block[BLOCK];
  long done = 0, n;

  while ((n = read (fd, block, BLOCK)) > 0) {
    for (long i = 0; i < n; i++) {
      if (block[i] != get_byte (done + i))
        return -1;
    }
    done += n;
  }
  return n == 0 ? done : -1;
}

int
main (int argc, char **argv)
{
  struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST };
  int fd = socket (AF_VSOCK, SOCK_STREAM, 0);

  if (argc != 3 || fd < 0)
    return 1;
  host.svm_port = atoi (argv[1]);
  if (connect (fd, (struct sockaddr *) &host, sizeof host) != 0) {
    printf ("%s\n", strerror (errno));
    return 0;
  }
  if (fork () == 0)
    return send_all (fd, atol (argv[2]));
  printf ("%ld\n", receive_all (fd));
  return 0;
}
