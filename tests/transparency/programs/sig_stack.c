// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How much of an alternate stack is used while the test takes a checkpoint,
// beyond the kernel's frame: on stderr, in bytes.  Second argument: how many
// sockets; 0: none but the one that is served, and that is closed before.
#include "signals.h"

#include <sys/auxv.h>

enum { kSize = 256 * 1024, kPattern = 0xa5 };
static unsigned char* stack;
static uintptr_t entered_at;

__attribute__((noinline)) static void note_entry(int signal) {
  (void)signal;
  // What the return address stands on.
  entered_at = (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(void*);
}

static long touched(void) {
  long untouched = 0;
  while (untouched < kSize && stack[untouched] == kPattern) ++untouched;
  return kSize - untouched;
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int sockets = argc > 2 ? atoi(argv[2]) : 1;
  const int fd = udp_socket(5300);
  for (int i = 1; i < sockets; ++i) MUST(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
  stack = malloc(kSize);
  memset(stack, kPattern, kSize);
  const stack_t alternate = {.ss_sp = stack, .ss_size = kSize};
  MUST(sigaltstack(&alternate, NULL) == 0);
  struct sigaction action = {.sa_handler = note_entry, .sa_flags = SA_ONSTACK};
  MUST(sigaction(SIGWINCH, &action, NULL) == 0);
  raise(SIGWINCH);
  const long frame = (long)((uintptr_t)stack + kSize - entered_at);
  memset(stack, kPattern, kSize);
  await_test();
  const long used = touched();
  dprintf(2, "stack: %ld bytes beyond the frame of %ld\n", used == 0 ? 0 : used - frame, frame);
  say("little stack: %d", used - frame < 4096);
  say_queued(fd);
  say("end");
  return 0;
}
