// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The smallest alternate stack that the kernel allows, with nothing below it,
// is enough for a checkpoint of many sockets and for the program's handler.
#include "signals.h"

#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static void do_nothing(int signal) { handled += signal == the_signal; }

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  for (int i = 1; i < 300; ++i) udp_socket(20000 + i);
  size_t size = getauxval(AT_MINSIGSTKSZ);
  // Where the kernel does not tell; libc's MINSIGSTKSZ is larger.
  if (size < 2048) size = 2048;
  const size_t page = (size_t)getpagesize();
  char* const guard =
      mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(guard != MAP_FAILED && mprotect(guard, page, PROT_NONE) == 0);
  const stack_t alternate = {.ss_sp = guard + page, .ss_size = size};
  MUST(sigaltstack(&alternate, NULL) == 0);
  struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_ONSTACK | SA_RESTART};
  MUST(sigaction(the_signal, &action, NULL) == 0);
  raise(the_signal);
  block_it();
  queue_to_process(1);
  unblock_it();
  say("handled %d", (int)handled);
  await_test();
  raise(the_signal);
  say("handled %d", (int)handled);
  say_queued(fd);
  say("end");
  return 0;
}
