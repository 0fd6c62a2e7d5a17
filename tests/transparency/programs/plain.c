// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One socket, bound and read: what all the others build on.
#include "transparency.h"

int main(void) {
  const int fd = udp_socket(5300);
  say("fd %d", fd);
  return serve(fd);
}
