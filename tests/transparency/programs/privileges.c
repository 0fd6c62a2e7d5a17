// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: privileges SUBJECT before|after
//
// Gives something up before or after it makes its UDP socket.
#include "transparency.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { kNobody = 65534 };

static void say_ids(void) {
  uid_t uid[3];
  gid_t gid[3];
  MUST(getresuid(uid, uid + 1, uid + 2) == 0 && getresgid(gid, gid + 1, gid + 2) == 0);
  say("user %d %d %d group %d %d %d and %d", (int)uid[0], (int)uid[1], (int)uid[2], (int)gid[0],
      (int)gid[1], (int)gid[2], getgroups(0, NULL));
}

static void drop_user(void) {
  report("setgroups", setgroups(0, NULL));
  report("setgid", setgid(kNobody));
  report("setuid", setuid(kNobody));
  report("setuid back", setuid(0));
}

static void drop_three_ids(void) {
  report("initgroups", initgroups("nobody", kNobody));
  report("setresgid", setresgid(kNobody, kNobody, kNobody));
  report("setresuid", setresuid(kNobody, kNobody, kNobody));
}

static void change_there_and_back(void) {
  report("setegid", setegid(kNobody));
  report("seteuid", seteuid(kNobody));
  report("seteuid back", seteuid(0));
  report("setegid back", setegid(0));
  report("setreuid", setreuid(-1, kNobody));
  report("setregid", setregid(-1, -1));
  report("setreuid back", setreuid(-1, 0));
}

static void change_file_user(void) {
  report("setfsgid", setfsgid(kNobody));
  report("setfsuid", setfsuid(kNobody));
  report("setfsuid again", setfsuid(kNobody));
}

static pthread_barrier_t all_run;
static pthread_barrier_t look;

static void* stand_by(void* name) {
  pthread_barrier_wait(&all_run);
  pthread_barrier_wait(&look);
  say("thread %s: user %d", (const char*)name, (int)getuid());
  pause();
  return NULL;
}

static void drop_user_with_threads(void) {
  pthread_t one;
  MUST(pthread_barrier_init(&all_run, NULL, 2) == 0 && pthread_barrier_init(&look, NULL, 2) == 0);
  MUST(pthread_create(&one, NULL, stand_by, "one") == 0);
  pthread_barrier_wait(&all_run);
  drop_user();
  pthread_barrier_wait(&look);
  usleep(100 * 1000);
}

static void drop_capabilities(int by_number) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  int capset(void*, const void*);
  report("capset", by_number ? syscall(SYS_capset, &header, none) : capset(&header, none));
  report("chroot", chroot("."));
}

static void drop_by_capset(void) { drop_capabilities(0); }
static void drop_by_number(void) { drop_capabilities(1); }

static void drop_bounding(void) {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  report("CAP_NET_RAW", prctl(PR_CAPBSET_READ, CAP_NET_RAW, 0, 0, 0));
  report("securebits", prctl(PR_SET_SECUREBITS, 0x3 /* NOROOT, locked */, 0, 0, 0));
}

static void enter_root(void) {
  report("chroot", chroot("."));
  report("chdir", chdir("/"));
  report("/proc", access("/proc", F_OK));
}

static void close_all_and_enter_root(void) {
  for (int fd = 3; fd < 1100; ++fd) close(fd);
  closefrom(3);
  report("close_range", close_range(3, ~0U, 0));
  enter_root();
}

static void turn_root(void) {
  report("unshare", unshare(CLONE_NEWNS));
  MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  MUST(mkdir("root", 0755) == 0 || errno == EEXIST);
  MUST(mount("none", "root", "tmpfs", 0, NULL) == 0);
  MUST(mkdir("root/old", 0755) == 0);
  report("pivot_root", syscall(SYS_pivot_root, "root", "root/old"));
  report("chdir", chdir("/"));
  report("umount", umount2("/old", MNT_DETACH));
  report("/proc", access("/proc", F_OK));
}

static void leave_network(void) { report("unshare", unshare(CLONE_NEWNET)); }

static void leave_users(void) {
  report("unshare", unshare(CLONE_NEWUSER));
  say_ids();
}

static void enter_own_namespaces(void) {
  const char* const names[] = {"/proc/self/ns/net", "/proc/self/ns/mnt", "/proc/self/ns/uts"};
  for (int i = 0; i < 3; ++i) {
    const int fd = open(names[i], O_RDONLY | O_CLOEXEC);
    report(names[i], setns(fd, 0));
    close(fd);
  }
  report("setns by number", syscall(SYS_setns, -1, 0));
}

// The child is PID 1 of its namespace and serves.
static void leave_processes(void) {
  report("unshare", unshare(CLONE_NEWPID));
  const pid_t child = fork();
  MUST(child >= 0);
  if (child > 0) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  MUST(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
  report("getpid", getpid());
}

static void forbid_new_privileges(void) {
  report("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  report("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void become_undumpable(void) {
  report("dumpable", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  report("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define FORBID(call)                                     \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define PROGRAM(filter) \
  { sizeof(filter) / sizeof(filter)[0], filter }

// What a keeper would need to be started.
static struct sock_filter no_processes[] = {NUMBER,
                                            FORBID(execve),
                                            FORBID(clone),
                                            FORBID(clone3),
                                            FORBID(socketpair),
                                            FORBID(memfd_create),
                                            FORBID(openat),
                                            ALLOW};
static void filter_by_prctl(void) {
  const struct sock_fprog program = PROGRAM(no_processes);
  forbid_new_privileges();
  report("seccomp", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

static void filter_by_number(void) {
  const struct sock_fprog program = PROGRAM(no_processes);
  report("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
  report("seccomp of nothing", syscall(SYS_seccomp, -1, 0, NULL));
}

static void limit(const char* name, int resource, rlim_t most) {
  const struct rlimit both = {most, most};
  report(name, setrlimit(resource, &both));
}

static void limit_processes(void) {
  limit("NPROC", RLIMIT_NPROC, 0);
  drop_user();
}

// Room for the socket and, after the restart, for the one that it is exchanged
// for; but the limit may be raised, and room for one alone is enough.
static void limit_files(void) { limit("NOFILE", RLIMIT_NOFILE, 5); }

static void limit_files_softly(void) {
  const struct rlimit four = {4, 1024};
  report("NOFILE", setrlimit(RLIMIT_NOFILE, &four));
}
static void limit_files_to_none(void) { limit("NOFILE", RLIMIT_NOFILE, 0); }

static void limit_by_prlimit(void) {
  const struct rlimit64 five = {5, 5};
  report("prlimit64", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &five, NULL));
}

static const struct {
  const char* name;
  void (*give_up)(void);
} subjects[] = {{"setuid", drop_user},
                {"setresuid", drop_three_ids},
                {"seteuid", change_there_and_back},
                {"setfsuid", change_file_user},
                {"threads", drop_user_with_threads},
                {"capset", drop_by_capset},
                {"capset_number", drop_by_number},
                {"bounding", drop_bounding},
                {"chroot", enter_root},
                {"close_chroot", close_all_and_enter_root},
                {"pivot_root", turn_root},
                {"newnet", leave_network},
                {"newuser", leave_users},
                {"newpid", leave_processes},
                {"setns", enter_own_namespaces},
                {"no_new_privs", forbid_new_privileges},
                {"dumpable", become_undumpable},
                {"seccomp", filter_by_prctl},
                {"seccomp_number", filter_by_number},
                {"nproc", limit_processes},
                {"nofile", limit_files},
                {"nofile_soft", limit_files_softly},
                {"nofile_none", limit_files_to_none},
                {"nofile_number", limit_by_prlimit}};

int main(int count, char** arguments) {
  MUST(count == 3);
  const int after = strcmp(arguments[2], "after") == 0;
  int fd = after ? udp_socket(5300) : -1;
  for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; ++i) {
    if (strcmp(subjects[i].name, arguments[1]) == 0) subjects[i].give_up();
  }
  say_ids();
  if (!after) fd = udp_socket(5300);
  say("fd %d", fd);
  return serve(fd);
}
