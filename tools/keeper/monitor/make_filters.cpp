// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: make_filters > filters.inc
//
// Compiles the lists of system calls below into programs of seccomp(2) when udpcr is
// built: libseccomp takes a millisecond for it, which each start would wait for.
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace {

// Memory, time, the process itself, and files that are open.
constexpr int kCommon[] = {
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(openat),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlinkat),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ftruncate),
    SCMP_SYS(bind),
    SCMP_SYS(connect),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(fchown),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sched_getaffinity),
};

// Of the keeper alone: images, parks, workers.
constexpr int kKeeper[] = {
    SCMP_SYS(open),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(statfs),
    SCMP_SYS(flock),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(syncfs),
    SCMP_SYS(fchmod),
    SCMP_SYS(linkat),
    SCMP_SYS(fgetxattr),
    SCMP_SYS(close_range),
    SCMP_SYS(listen),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(shutdown),
    SCMP_SYS(kill),
    SCMP_SYS(tgkill),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(signalfd4),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getpgid),
    SCMP_SYS(getpgrp),
    SCMP_SYS(getsid),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(setrlimit),
    SCMP_SYS(prctl),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(capget),
    SCMP_SYS(getcwd),
    SCMP_SYS(umask),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(clock_getres),
    SCMP_SYS(pause),
    SCMP_SYS(pipe2),
};

// Of the monitor alone: rights, its name.
constexpr int kMonitor[] = {SCMP_SYS(setns), SCMP_SYS(setresuid), SCMP_SYS(wait4), SCMP_SYS(listen),
                            SCMP_SYS(accept4)};

constexpr int kKeeperFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr int kMonitorFamilies[] = {AF_INET, AF_INET6, AF_NETLINK};

constexpr unsigned long kQuestions[] = {SIOCGSKNS,  SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS,
                                        SIOCGIFMTU, SIOCINQ,     SIOCOUTQ,     TCGETS};

constexpr std::uint64_t kNewNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID |
                                         CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

void require(int result, const char* what) {
  if (result >= 0) return;
  std::fprintf(stderr, "make_filters: %s: %s\n", what, std::strerror(-result));
  std::exit(1);
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {
    require(context_ ? 0 : -ENOMEM, "seccomp_init");
  }

  void allow(std::span<const int> calls) {
    for (const int call : calls) add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, call, 0));
  }
  void allow_families(std::span<const int> families) {
    for (const int family : families) {
      add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                           SCMP_A0(SCMP_CMP_EQ, scmp_datum_t(family))));
    }
  }
  // The kernel makes both before it asks the family whether it has pairs.
  void allow_pairs() {
    add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                         SCMP_A0(SCMP_CMP_EQ, scmp_datum_t(AF_UNIX))));
  }
  void allow_questions() {
    for (const unsigned long question : kQuestions) {
      add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                           SCMP_A1(SCMP_CMP_EQ, question)));
    }
  }
  // fork(2), in the same namespaces.  glibc falls back to clone(2) from ENOSYS alone.
  void allow_fork() {
    add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, SCMP_SYS(fork), 0));
    add(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, kNewNamespaces, 0)));
    add(seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
  }

  void print(const char* name) {
    const int file = memfd_create("filter", MFD_CLOEXEC);
    require(file < 0 ? -errno : 0, "memfd_create");
    require(seccomp_export_bpf(context_.get(), file), "seccomp_export_bpf");
    const off_t size = lseek(file, 0, SEEK_END);
    std::vector<Instruction> program(std::size_t(size) / sizeof(Instruction));
    require(pread(file, program.data(), std::size_t(size), 0) == size ? 0 : -EIO, "pread");
    close(file);
    std::printf("constexpr sock_filter %s[] = {\n", name);
    for (const Instruction& one : program) {
      std::printf("    {0x%x, %u, %u, 0x%x},\n", unsigned{one.code}, unsigned{one.jump_true},
                  unsigned{one.jump_false}, one.operand);
    }
    std::printf("};\n");
  }

 private:
  // As struct sock_filter of linux/filter.h.
  struct Instruction {
    std::uint16_t code;
    std::uint8_t jump_true, jump_false;
    std::uint32_t operand;
  };

  // A call that this processor's kernel does not have is no rule.
  static void add(int result) {
    if (result != -EDOM && result != -EEXIST && result != -EFAULT) {
      require(result, "seccomp_rule_add");
    }
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

}  // namespace

int main() {
  Filter keeper;
  keeper.allow(kCommon);
  keeper.allow(kKeeper);
  keeper.allow_families(kKeeperFamilies);
  keeper.allow_pairs();
  keeper.allow_questions();
  keeper.allow_fork();
  keeper.print("kKeeperFilter");
  Filter monitor;
  monitor.allow(kCommon);
  monitor.allow(kMonitor);
  monitor.allow_families(kMonitorFamilies);
  monitor.allow_questions();
  monitor.print("kMonitorFilter");
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? 0 : 1;
}
