// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A thread waits in each call while the test takes a checkpoint.  Then: which of
// them have returned EINTR, though the program has no handler.
#include "signals.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static int silent[2];
static int epoll_fd;
static const struct timespec long_time = {60, 0};
static const struct timeval receive_timeout = {60, 0};
static char bytes[65536];

static int on_poll(void) { return poll(NULL, 0, 60000); }
static int on_ppoll(void) { return ppoll(NULL, 0, &long_time, NULL); }
static int on_select(void) { return select(0, NULL, NULL, NULL, &(struct timeval){60, 0}); }
static int on_pselect(void) { return pselect(0, NULL, NULL, NULL, &long_time, NULL); }
static int on_epoll_wait(void) {
  struct epoll_event event;
  return epoll_wait(epoll_fd, &event, 1, 60000);
}
static int on_epoll_pwait(void) {
  struct epoll_event event;
  return epoll_pwait(epoll_fd, &event, 1, 60000, NULL);
}
static int on_nanosleep(void) { return nanosleep(&long_time, NULL); }
static int on_clock_nanosleep(void) {
  const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, NULL);
  errno = error;
  return error == 0 ? 0 : -1;
}
static int on_usleep(void) { return usleep(60000000); }
static int on_sleep(void) {
  // It says how much is left.
  errno = EINTR;
  return sleep(60) > 0 ? -1 : 0;
}
static int on_pause(void) { return pause(); }
static int on_sigsuspend(void) {
  sigset_t none;
  sigemptyset(&none);
  return sigsuspend(&none);
}
static sigset_t a_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return set;
}
static int on_sigwaitinfo(void) {
  const sigset_t set = a_signal();
  return sigwaitinfo(&set, NULL);
}
static int on_sigtimedwait(void) {
  const sigset_t set = a_signal();
  return sigtimedwait(&set, NULL, &long_time);
}
static int new_semaphores(void) {
  const int id = semget(IPC_PRIVATE, 1, 0600);
  MUST(id >= 0);
  return id;
}
static int on_semop(void) {
  struct sembuf one = {0, -1, 0};
  return semop(new_semaphores(), &one, 1);
}
static int on_semtimedop(void) {
  struct sembuf one = {0, -1, 0};
  return semtimedop(new_semaphores(), &one, 1, &long_time);
}
static int on_msgrcv(void) {
  const int id = msgget(IPC_PRIVATE, 0600);
  MUST(id >= 0);
  return (int)msgrcv(id, bytes, 100, 0, 0);
}
static int on_msgsnd(void) {
  const int id = msgget(IPC_PRIVATE, 0600);
  struct {
    long type;
    char text[4000];
  } message = {.type = 1};
  MUST(id >= 0);
  while (msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0) {
  }
  return msgsnd(id, &message, sizeof message.text, 0);
}
static int on_io_getevents(void) {
  aio_context_t context = 0;
  struct io_event event;
  MUST(syscall(SYS_io_setup, 1, &context) == 0);
  return (int)syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
}
static int quiet_socket(bool timed) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  MUST(fd >= 0 && bind_loopback(fd, 0) == 0);
  if (timed) {
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive_timeout, sizeof receive_timeout) == 0);
  }
  return fd;
}
static int on_recv(void) { return (int)recv(quiet_socket(false), bytes, 1, 0); }
static int on_timed_recv(void) { return (int)recv(quiet_socket(true), bytes, 1, 0); }
static int on_recvmsg(void) {
  struct msghdr message = {0};
  return (int)recvmsg(quiet_socket(false), &message, 0);
}
static int on_timed_recvmsg(void) {
  struct msghdr message = {0};
  return (int)recvmsg(quiet_socket(true), &message, 0);
}
static int listener(bool timed, struct sockaddr_un* address, socklen_t* size) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  *size = sizeof *address;
  MUST(fd >= 0 && bind(fd, (struct sockaddr*)address, sizeof(sa_family_t)) == 0);
  MUST(getsockname(fd, (struct sockaddr*)address, size) == 0 && listen(fd, 0) == 0);
  if (timed) {
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive_timeout, sizeof receive_timeout) == 0);
  }
  return fd;
}
static int on_accept(void) {
  struct sockaddr_un address;
  socklen_t size;
  return accept(listener(false, &address, &size), NULL, NULL);
}
static int on_timed_accept(void) {
  struct sockaddr_un address;
  socklen_t size;
  return accept(listener(true, &address, &size), NULL, NULL);
}
// The listener's queue is full.
static int connect_late(bool timed) {
  struct sockaddr_un address;
  socklen_t size;
  listener(false, &address, &size);
  for (int i = 0;; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    MUST(fd >= 0);
    if (connect(fd, (struct sockaddr*)&address, size) == 0) continue;
    MUST(errno == EAGAIN && fcntl(fd, F_SETFL, 0) == 0);
    if (timed) {
      MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &receive_timeout, sizeof receive_timeout) == 0);
    }
    return connect(fd, (struct sockaddr*)&address, size);
  }
}
static int on_connect(void) { return connect_late(false); }
static int on_timed_connect(void) { return connect_late(true); }
static int send_much(bool timed) {
  int pair[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  if (timed) {
    MUST(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &receive_timeout, sizeof receive_timeout) ==
         0);
  }
  while (send(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
  }
  return (int)send(pair[0], bytes, 1, 0);
}
static int on_send(void) { return send_much(false); }
static int on_timed_send(void) { return send_much(true); }
static int on_read(void) { return (int)read(silent[0], bytes, 1); }
static int on_write(void) {
  int full[2];
  MUST(pipe2(full, O_NONBLOCK) == 0);
  while (write(full[1], bytes, sizeof bytes) > 0) {
  }
  while (write(full[1], bytes, 1) > 0) {
  }
  MUST(fcntl(full[1], F_SETFL, 0) == 0);
  return (int)write(full[1], bytes, 1);
}
static int on_inotify_read(void) { return (int)read(inotify_init1(0), bytes, sizeof bytes); }
static int on_eventfd_read(void) { return (int)read(eventfd(0, 0), bytes, 8); }
static int on_timerfd_read(void) { return (int)read(timerfd_create(CLOCK_MONOTONIC, 0), bytes, 8); }
static int on_flock(void) {
  const int one = open("lock", O_RDWR | O_CREAT, 0600);
  const int other = open("lock", O_RDWR);
  MUST(one >= 0 && other >= 0 && flock(one, LOCK_EX) == 0);
  return flock(other, LOCK_EX);
}
static int on_setlkw(void) {
  const int one = open("file_lock", O_RDWR | O_CREAT, 0600);
  const int other = open("file_lock", O_RDWR);
  struct flock lock = {.l_type = F_WRLCK};
  MUST(one >= 0 && other >= 0 && fcntl(one, F_OFD_SETLK, &lock) == 0);
  return fcntl(other, F_OFD_SETLKW, &lock);
}
static int on_futex(void) {
  static int word;
  return (int)syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}
static int on_timed_futex(void) {
  static int word;
  return (int)syscall(SYS_futex, &word, FUTEX_WAIT, 0, &long_time, NULL, 0);
}
static int on_sem_wait(void) {
  static sem_t none;
  MUST(sem_init(&none, 0, 0) == 0);
  return sem_wait(&none);
}
static int on_sem_timedwait(void) {
  static sem_t none;
  struct timespec later;
  MUST(sem_init(&none, 0, 0) == 0 && clock_gettime(CLOCK_REALTIME, &later) == 0);
  later.tv_sec += 60;
  return sem_timedwait(&none, &later);
}
static pid_t child;
static int on_waitpid(void) { return waitpid(child, NULL, 0); }
static int on_mq_receive(void) {
  struct mq_attr shape = {.mq_maxmsg = 1, .mq_msgsize = 100};
  const mqd_t queue = mq_open("/udpcr-eintr", O_RDWR | O_CREAT, 0600, &shape);
  MUST(queue >= 0 && mq_unlink("/udpcr-eintr") == 0);
  return (int)mq_receive(queue, bytes, sizeof bytes, NULL);
}

static struct waiter {
  const char* name;
  int (*call)(void);
  volatile int result;
  volatile int error;
  volatile bool over;
} waiters[] = {
    {.name = "poll", .call = on_poll},
    {.name = "ppoll", .call = on_ppoll},
    {.name = "select", .call = on_select},
    {.name = "pselect", .call = on_pselect},
    {.name = "epoll_wait", .call = on_epoll_wait},
    {.name = "epoll_pwait", .call = on_epoll_pwait},
    {.name = "nanosleep", .call = on_nanosleep},
    {.name = "clock_nanosleep", .call = on_clock_nanosleep},
    {.name = "usleep", .call = on_usleep},
    {.name = "sleep", .call = on_sleep},
    {.name = "pause", .call = on_pause},
    {.name = "sigsuspend", .call = on_sigsuspend},
    {.name = "sigwaitinfo", .call = on_sigwaitinfo},
    {.name = "sigtimedwait", .call = on_sigtimedwait},
    {.name = "semop", .call = on_semop},
    {.name = "semtimedop", .call = on_semtimedop},
    {.name = "msgrcv", .call = on_msgrcv},
    {.name = "msgsnd", .call = on_msgsnd},
    {.name = "io_getevents", .call = on_io_getevents},
    {.name = "recv", .call = on_recv},
    {.name = "recv+timeout", .call = on_timed_recv},
    {.name = "recvmsg", .call = on_recvmsg},
    {.name = "recvmsg+timeout", .call = on_timed_recvmsg},
    {.name = "accept", .call = on_accept},
    {.name = "accept+timeout", .call = on_timed_accept},
    {.name = "connect", .call = on_connect},
    {.name = "connect+timeout", .call = on_timed_connect},
    {.name = "send", .call = on_send},
    {.name = "send+timeout", .call = on_timed_send},
    {.name = "read", .call = on_read},
    {.name = "write", .call = on_write},
    {.name = "read_inotify", .call = on_inotify_read},
    {.name = "read_eventfd", .call = on_eventfd_read},
    {.name = "read_timerfd", .call = on_timerfd_read},
    {.name = "flock", .call = on_flock},
    {.name = "fcntl_setlkw", .call = on_setlkw},
    {.name = "futex", .call = on_futex},
    {.name = "futex+timeout", .call = on_timed_futex},
    {.name = "sem_wait", .call = on_sem_wait},
    {.name = "sem_timedwait+timeout", .call = on_sem_timedwait},
    {.name = "waitpid", .call = on_waitpid},
    {.name = "mq_receive", .call = on_mq_receive},
};

static void* wait_in_it(void* raw) {
  struct waiter* const self = raw;
  self->result = self->call();
  self->error = errno;
  self->over = true;
  return NULL;
}

int main(int argc, char** argv) {
  choose_signal(argc, argv);
  const int fd = udp_socket(5300);
  MUST(pipe(silent) == 0);
  epoll_fd = epoll_create1(0);
  child = fork();
  MUST(child >= 0);
  if (child == 0) {
    // Until the parent ends.
    close(silent[1]);
    if (read(silent[0], bytes, 1) == 0) _exit(0);
  }
  enum { kWaiters = sizeof waiters / sizeof waiters[0] };
  for (int i = 0; i < kWaiters; ++i) {
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, wait_in_it, &waiters[i]) == 0);
  }
  sleep(1);
  for (int i = 0; i < kWaiters; ++i) {
    if (waiters[i].over)
      say("%s does not wait: %s", waiters[i].name, strerrorname_np(waiters[i].error));
  }
  await_test();
  sleep(1);
  for (int i = 0; i < kWaiters; ++i) {
    const struct waiter* const one = &waiters[i];
    if (!one->over) {
      say("%s goes on", one->name);
    } else {
      say("%s returns %s", one->name, one->result < 0 ? strerrorname_np(one->error) : "something");
    }
  }
  say_queued(fd);
  say("end");
  _exit(0);
}
