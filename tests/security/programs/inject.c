// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs a command, counts the system calls of each process of its tree by the
// part that the process plays for udpcr, and lets one of them fail.
//
//     inject LOG -- COMMAND...                                counts only
//     inject LOG ROLE CALL NTH ERRNO TIMES -- COMMAND...      TIMES calls from the NTH on fail
//
// ROLE is keeper, worker, service, session, tool or shim; the last are the calls
// of the program that stand in libudpcr_shim.so.  LOG receives lines:
//
//     ended STATUS                  of the command itself (wait(2)'s status)
//     injected ROLE CALL NTH PID    once, at the first of them
//     count ROLE CALL NUMBER        when the whole tree has ended
//
// Its own status is 0 when the tree has ended.  If it is killed, so is the tree.
// The tracer is attached before anything else happens, so it works for keepers
// too, which are not dumpable.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum role { KEEPER, WORKER, SERVICE, SESSION, TOOL, SHIM, ROLES, UNKNOWN };
static const char* const role_names[ROLES] = {"keeper",  "worker", "service",
                                              "session", "tool",   "shim"};

// clang-format off
#define CALLS(X)                                                                                   \
  X(accept)                                                                                        \
  X(accept4)                                                                                       \
  X(access)                                                                                        \
  X(bind)                                                                                          \
  X(brk)                                                                                           \
  X(capget) X(capset) X(chdir) X(clock_nanosleep) X(clone) X(clone3) X(close) X(close_range) X(    \
      connect) X(copy_file_range) X(dup) X(dup2) X(dup3) X(epoll_create1) X(epoll_ctl)             \
      X(epoll_wait) X(execve) X(execveat) X(faccessat) X(faccessat2) X(fallocate) X(fchdir) X(     \
          fchmod) X(fchmodat) X(fchown) X(fchownat) X(fcntl) X(fdatasync) X(fgetxattr) X(flock)    \
          X(fork) X(fstat) X(fsync) X(ftruncate) X(futex) X(getdents64) X(getpeername) X(getpgid)  \
              X(getpgrp) X(getpid) X(getppid) X(getrandom) X(getresgid) X(getresuid) X(getrlimit)  \
                  X(getsid) X(getsockname) X(getsockopt) X(gettid) X(geteuid) X(getuid) X(getegid) \
                      X(getgid) X(ioctl) X(kill) X(linkat) X(listen) X(lseek) X(lstat) X(          \
                          madvise) X(membarrier) X(memfd_create) X(mkdir) X(mkdirat) X(mmap)       \
                          X(mprotect) X(mremap) X(munmap) X(nanosleep) X(newfstatat) X(open) X(    \
                              openat) X(openat2) X(pidfd_getfd) X(pidfd_open)                      \
                              X(pidfd_send_signal) X(pipe) X(pipe2) X(poll) X(ppoll) X(prctl) X(   \
                                  pread64)                                                         \
                                  X(prlimit64) X(pwrite64) X(read) X(readlink) X(                  \
                                      readlinkat) X(recvfrom) X(recvmmsg) X(recvmsg)               \
                                      X(rename) X(renameat) X(renameat2) X(rt_sigaction) X(        \
                                          rt_sigprocmask) X(rt_sigtimedwait) X(rt_tgsigqueueinfo)  \
                                          X(sched_getaffinity) X(sched_setaffinity) X(             \
                                              seccomp) X(sendmmsg) X(sendmsg) X(sendto) X(setgid)  \
                                              X(setgroups) X(setns) X(setpriority) X(setresgid) X( \
                                                  setresuid) X(setrlimit) X(setsid) X(setsockopt)  \
                                                  X(setuid) X(shutdown) X(sigaltstack) X(          \
                                                      signalfd4) X(socket) X(socketpair) X(stat)   \
                                                      X(statfs) X(statx) X(symlinkat)              \
                                                          X(sync_file_range) X(syncfs) X(tgkill)   \
                                                              X(timerfd_create) X(timerfd_settime) \
                                                                  X(tkill) X(umask) X(uname)       \
                                                                      X(unlink) X(unlinkat)        \
                                                                          X(unshare) X(vfork)      \
                                                                              X(wait4) X(waitid)   \
                                                                                  X(write)         \
                                                                                      X(writev)
// clang-format on

// Not every architecture has every call.
static const struct {
  const char* name;
  long number;
} calls[] = {
#define DEFINED_OR(name) {#name, SYS_##name},
#ifndef __x86_64__
#error "the list above is x86-64's; take out what this architecture does not have"
#endif
    CALLS(DEFINED_OR)};
enum { MOST_CALLS = 512, MOST_TRACEES = 512 };

struct tracee {
  pid_t pid;
  enum role role;
  int held;     // it has stopped before its parent's event said what it is
  int entered;  // between a call's entry and its exit
  int fails;    // this call does
  unsigned long shim_begin, shim_end;
};

static struct tracee tracees[MOST_TRACEES];
static unsigned long counts[ROLES][MOST_CALLS];
static int log_fd = -1;
static struct {
  enum role role;
  long call;
  unsigned long nth, times;
  int error;
  int told;
} wanted = {UNKNOWN, -1, 0, 0, 0, 0};

static void die(const char* what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  exit(2);
}

static const char* call_name(long number, char* room) {
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    if (calls[i].number == number) return calls[i].name;
  }
  sprintf(room, "%ld", number);
  return room;
}

static struct tracee* find(pid_t pid, int make) {
  struct tracee* empty = NULL;
  for (int i = 0; i < MOST_TRACEES; ++i) {
    if (tracees[i].pid == pid) return &tracees[i];
    if (tracees[i].pid == 0 && empty == NULL) empty = &tracees[i];
  }
  if (!make) return NULL;
  if (empty == NULL) {
    errno = ENOSPC;
    die("more processes than expected");
  }
  *empty = (struct tracee){.pid = pid, .role = UNKNOWN};
  return empty;
}

static void resume(const struct tracee* one, int signal) {
  ptrace(PTRACE_SYSCALL, one->pid, NULL, (void*)(long)signal);
}

// What an executed program is for udpcr, by its command line.
static enum role role_of(pid_t pid) {
  char path[64];
  char words[4096] = "";
  sprintf(path, "/proc/%d/cmdline", (int)pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t size = file < 0 ? 0 : read(file, words, sizeof words - 2);
  if (file >= 0) close(file);
  if (size <= 0) return SHIM;
  words[size] = words[size + 1] = '\0';
  const char* const slash = strrchr(words, '/');
  if (strcmp(slash == NULL ? words : slash + 1, "udpcr") != 0) return SHIM;
  const char* const command = words + strlen(words) + 1;
  if (command >= words + size || strcmp(command, "keeper") != 0) return TOOL;
  const char* const how = command + strlen(command) + 1;
  return how < words + size && strcmp(how, "--listen") == 0 ? SERVICE : KEEPER;
}

static enum role role_of_child(enum role parent) {
  if (parent == KEEPER || parent == SESSION) return WORKER;
  if (parent == SERVICE) return SESSION;
  return parent;
}

static void find_shim(struct tracee* one) {
  char path[64];
  char line[1024];
  sprintf(path, "/proc/%d/maps", (int)one->pid);
  FILE* const maps = fopen(path, "re");
  if (maps == NULL) return;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[8];
    if (strstr(line, "/libudpcr_shim.so") == NULL ||
        sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3 || strchr(rights, 'x') == NULL) {
      continue;
    }
    one->shim_begin = begin;
    one->shim_end = end;
  }
  fclose(maps);
}

static void enter(struct tracee* one) {
  struct __ptrace_syscall_info info;
  memset(&info, 0, sizeof info);
  if (ptrace(PTRACE_GET_SYSCALL_INFO, one->pid, (void*)sizeof info, &info) <= 0 ||
      info.op != PTRACE_SYSCALL_INFO_ENTRY) {
    return;
  }
  const long number = (long)info.entry.nr;
  if (one->role == UNKNOWN || number < 0 || number >= MOST_CALLS) return;
  // No kernel refuses to wake: glibc ends a program that it tells so (nptl/futex-internal.h).
  const unsigned long futex = info.entry.args[1] & FUTEX_CMD_MASK;
  if (number == SYS_futex && futex != FUTEX_WAIT && futex != FUTEX_WAIT_BITSET) return;
  if (one->role == SHIM) {
    if (one->shim_end == 0) find_shim(one);
    const unsigned long place = info.instruction_pointer;
    if (place < one->shim_begin || place > one->shim_end) return;
  }
  const unsigned long nth = ++counts[one->role][number];
  if (one->role != wanted.role || number != wanted.call || nth < wanted.nth ||
      nth >= wanted.nth + wanted.times) {
    return;
  }
  one->fails = 1;
  // It closes whatever it says (close(2)).
  if (number == SYS_close) goto told;
  ptrace(PTRACE_POKEUSER, one->pid, (void*)offsetof(struct user, regs.orig_rax), (void*)-1L);
told:
  if (wanted.told) return;
  wanted.told = 1;
  char room[32];
  dprintf(log_fd, "injected %s %s %lu %d\n", role_names[one->role], call_name(number, room), nth,
          (int)one->pid);
}

static void leave(struct tracee* one) {
  if (!one->fails) return;
  one->fails = 0;
  ptrace(PTRACE_POKEUSER, one->pid, (void*)offsetof(struct user, regs.rax),
         (void*)(long)-wanted.error);
}

static void born(const struct tracee* parent) {
  unsigned long message = 0;
  ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &message);
  const struct tracee known = *parent;
  struct tracee* const child = find((pid_t)message, 1);
  // A thread is no process of its own.
  char path[64];
  sprintf(path, "/proc/%d/task/%d", (int)known.pid, (int)message);
  child->role = access(path, F_OK) == 0 ? known.role : role_of_child(known.role);
  child->shim_begin = known.shim_begin;
  child->shim_end = known.shim_end;
  if (child->held) {
    child->held = 0;
    resume(child, 0);
  }
}

// True: the tree has ended.
static int step(pid_t first) {
  int status = 0;
  const pid_t pid = waitpid(-1, &status, __WALL);
  if (pid < 0 && errno == EINTR) return 0;
  if (pid < 0) return 1;
  struct tracee* const one = find(pid, WIFSTOPPED(status));
  if (!WIFSTOPPED(status)) {
    if (one != NULL) one->pid = 0;
    if (pid == first) dprintf(log_fd, "ended %d\n", status);
    return 0;
  }
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
    born(one);
    resume(one, 0);
  } else if (event == PTRACE_EVENT_EXEC) {
    one->role = role_of(pid);
    one->shim_begin = one->shim_end = 0;
    resume(one, 0);
  } else if (event == PTRACE_EVENT_STOP) {
    if (one->role == UNKNOWN) {
      one->held = 1;
    } else if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
      ptrace(PTRACE_LISTEN, pid, NULL, NULL);
    } else {
      resume(one, 0);
    }
  } else if (signal == (SIGTRAP | 0x80)) {
    one->entered = !one->entered;
    one->entered ? enter(one) : leave(one);
    resume(one, 0);
  } else {
    resume(one, event != 0 ? 0 : signal);
  }
  return 0;
}

static void parse_wanted(char** words) {
  for (int role = 0; role < ROLES; ++role) {
    if (strcmp(words[0], role_names[role]) == 0) wanted.role = (enum role)role;
  }
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; ++i) {
    if (strcmp(words[1], calls[i].name) == 0) wanted.call = calls[i].number;
  }
  wanted.nth = strtoul(words[2], NULL, 10);
  wanted.error = atoi(words[3]);
  wanted.times = strtoul(words[4], NULL, 10);
  if (wanted.role == UNKNOWN || wanted.call < 0 || wanted.nth == 0 || wanted.error == 0) {
    fprintf(stderr, "inject: %s %s is not known\n", words[0], words[1]);
    exit(2);
  }
}

int main(int argc, char** argv) {
  int command = 3;
  if (argc >= 9 && strcmp(argv[7], "--") == 0) {
    parse_wanted(argv + 2);
    command = 8;
  } else if (argc < 4 || strcmp(argv[2], "--") != 0) {
    fprintf(stderr, "inject: see the head of inject.c\n");
    return 2;
  }
  log_fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) die(argv[1]);
  int go[2];
  if (pipe2(go, O_CLOEXEC) != 0) die("pipe");
  const pid_t first = fork();
  if (first < 0) die("fork");
  if (first == 0) {
    char byte = 0;
    close(go[1]);
    if (read(go[0], &byte, 1) != 1) _exit(127);
    execvp(argv[command], argv + command);
    _exit(127);
  }
  // What is for the command is not for us; only SIGKILL ends both.
  for (const int* one = (const int[]){SIGINT, SIGTERM, SIGHUP, 0}; *one != 0; ++one) {
    signal(*one, SIG_IGN);
  }
  const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  find(first, 1)->role = SHIM;
  if (ptrace(PTRACE_SEIZE, first, NULL, (void*)options) != 0) die("ptrace");
  if (ptrace(PTRACE_INTERRUPT, first, NULL, NULL) != 0) die("ptrace");
  if (write(go[1], "", 1) != 1) die("write");
  close(go[0]);
  close(go[1]);
  close(STDIN_FILENO);
  while (!step(first)) {
  }
  char room[32];
  for (int role = 0; role < ROLES; ++role) {
    for (long call = 0; call < MOST_CALLS; ++call) {
      if (counts[role][call] == 0) continue;
      dprintf(log_fd, "count %s %s %lu\n", role_names[role], call_name(call, room),
              counts[role][call]);
    }
  }
  return 0;
}
