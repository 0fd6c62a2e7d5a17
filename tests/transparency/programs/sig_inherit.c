// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What children and executed programs inherit of the signal.  Second argument
// "child": such a program, which says what it has found.
#include "signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;
static char number[12];
static const char* self;

static void say_state(const char* who) {
  struct sigaction now;
  MUST(sigaction(the_signal, NULL, &now) == 0);
  say("%s: %s, blocked %d, pending %d", who,
      now.sa_handler == SIG_DFL   ? "default"
      : now.sa_handler == SIG_IGN ? "ignored"
                                  : "handler",
      is_blocked(the_signal), is_pending());
}

// As the kernel tells it of a program that is not under udpcr.
static void say_kernel_state(void) {
  FILE* const status = fopen("/proc/self/status", "r");
  char line[128];
  while (fgets(line, sizeof line, status) != NULL) {
    char name[8] = "";
    unsigned long long mask = 0;
    if (sscanf(line, "Sig%7[^:]: %llx", name, &mask) != 2 || strcmp(name, "Q") == 0) continue;
    say("kernel: Sig%s %d", name, (int)(mask >> (the_signal - 1) & 1));
  }
  fclose(status);
}

static void await(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) MUST(errno == EINTR);
  say("status %#x", (unsigned)status);
}

// Some as they are, some without the preloaded library.
static char** without_preload(void) {
  static char* kept[256];
  int count = 0;
  for (char** one = environ; *one != NULL && count < 250; ++one) {
    if (strncmp(*one, "LD_PRELOAD=", 11) != 0) kept[count++] = *one;
  }
  kept[count++] = (char*)"BARE=1";
  kept[count] = NULL;
  return kept;
}

static void by_exec(const char* how) {
  const pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    char* arguments[] = {(char*)self, number, (char*)"child", (char*)how, NULL};
    if (strcmp(how, "execve") == 0) execve(self, arguments, without_preload());
    if (strcmp(how, "execv") == 0) execv(self, arguments);
    if (strcmp(how, "execvp") == 0) execvp(self, arguments);
    if (strcmp(how, "execvpe") == 0) execvpe(self, arguments, without_preload());
    if (strcmp(how, "execl") == 0) execl(self, self, number, "child", how, NULL);
    if (strcmp(how, "execlp") == 0) execlp(self, self, number, "child", how, NULL);
    if (strcmp(how, "execle") == 0)
      execle(self, self, number, "child", how, NULL, without_preload());
    if (strcmp(how, "fexecve") == 0) fexecve(open(self, O_RDONLY), arguments, without_preload());
    if (strcmp(how, "execveat") == 0) execveat(AT_FDCWD, self, arguments, without_preload(), 0);
    _exit(9);
  }
  await(child);
}

static void by_vfork(bool changes) {
  const pid_t child = vfork();
  if (child == 0) {
    if (changes) {
      unblock_it();
      signal(the_signal, SIG_DFL);
      block_it();
      unblock_it();
      say("child of vfork: blocked %d", is_blocked(the_signal));
    }
    char* arguments[] = {(char*)self, number, (char*)"child", (char*)"vfork", NULL};
    execve("/nonexistent", arguments, environ);
    execve(self, arguments, changes ? environ : without_preload());
    _exit(9);
  }
  await(child);
}

static void by_spawn(const posix_spawnattr_t* attributes, bool preloaded) {
  char* arguments[] = {(char*)self, number, (char*)"child", (char*)"spawn", NULL};
  pid_t child = 0;
  const int error = preloaded
                        ? posix_spawnp(&child, self, NULL, attributes, arguments, environ)
                        : posix_spawn(&child, self, NULL, attributes, arguments, without_preload());
  if (error == 0) await(child);
  say("spawn: %d", error);
}

static void by_popen(void) {
  char command[512];
  snprintf(command, sizeof command, "exec '%s' %s child popen", self, number);
  FILE* const pipe = popen(command, "r");
  MUST(pipe != NULL);
  char line[256];
  while (fgets(line, sizeof line, pipe) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    say("%s", line);
  }
  say("pclose %#x", (unsigned)pclose(pipe));
}

static void by_system(void) {
  char command[512];
  snprintf(command, sizeof command, "'%s' %s child system", self, number);
  say("system %#x", (unsigned)system(command));
  say("system %#x", (unsigned)system("exit 3"));
  say("system %#x", (unsigned)system("kill -INT $$"));
  say("the mask: CHLD %d", is_blocked(SIGCHLD));
}

static void all(const char* when) {
  static const char* const ways[] = {"execve", "execv",  "execvp",  "execvpe", "execl",
                                     "execlp", "execle", "fexecve", "execveat"};
  say("== %s", when);
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; ++i) by_exec(ways[i]);
  by_vfork(false);
  say_state("after vfork");
  by_vfork(true);
  say_state("after vfork");
  by_spawn(NULL, false);
  by_spawn(NULL, true);
  posix_spawnattr_t attributes;
  sigset_t set = only_the_signal();
  MUST(posix_spawnattr_init(&attributes) == 0);
  MUST(posix_spawnattr_setsigdefault(&attributes, &set) == 0);
  MUST(posix_spawnattr_setsigmask(&attributes, &set) == 0);
  MUST(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
  by_spawn(&attributes, false);
  sigemptyset(&set);
  MUST(posix_spawnattr_setsigmask(&attributes, &set) == 0);
  by_spawn(&attributes, false);
  by_popen();
  by_system();
  say_state("afterwards");
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  snprintf(number, sizeof number, "%d", the_signal);
  if (argc > 3 && strcmp(argv[2], "child") == 0) {
    say_state(argv[3]);
    if (getenv("BARE") != NULL) say_kernel_state();
    return 0;
  }
  self = argv[0];
  const int fd = udp_socket(5300);
  MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
  all("as it was");
  set_handler(0, handle_and_say);
  all("a handler");
  block_it();
  all("blocked");
  queue_to_process(1);
  // What is pending is not the child's, but the executed program's own.
  all("pending");
  const pid_t child = fork();
  MUST(child >= 0);
  if (child == 0) {
    say_state("child of fork");
    raise(the_signal);
    char* arguments[] = {(char*)self, number, (char*)"child", (char*)"pending", NULL};
    execve("/nonexistent", arguments, environ);
    say_state("exec has failed");
    execve(self, arguments, without_preload());
    _exit(9);
  }
  await(child);
  say("pending %d", is_pending());
  MUST(signal(the_signal, SIG_IGN) != SIG_ERR);
  unblock_it();
  all("ignored");
  say("execve: %d %d", execve("/nonexistent", argv, environ), errno == ENOENT);
  say_state("exec has failed");
  return serve(fd);
}
