// SPDX-License-Identifier: LGPL-2.1-or-later
#include "signal_thread.h"

#include <pthread.h>
#include <string.h>

#include "sys.h"

namespace udpcr::signals {

thread_local constinit Thread self = {};

namespace {

constexpr unsigned kThreads = 1024;  // beyond it some thread is not poked
constexpr unsigned kTries = 16;
constexpr unsigned kMostForProcess = 32;
constexpr int kFirstRealTime = 32;  // the kernel's SIGRTMIN
// Behind what signals that were sent (si_code not above 0) use of the kernel's
// siginfo, which carries it all.
constexpr size_t kMarkAt = 40;
constexpr uint64_t kForThread = 0x7564706374687264;  // "udpcthrd"
constexpr uint64_t kAgain = 0x7564706361676e20;      // "udpcagn "
constexpr uint32_t kPoke = 0x7564706b;               // "udpk", upper half of si_value

constinit ThreadSlot slots[kThreads] = {};

constinit std::atomic<bool> turn = false;
constinit std::atomic<unsigned> generation = 0;
constinit std::atomic<unsigned> process_count = 0;
constinit unsigned process_generation = 0;
constinit Sent process_sent[kMostForProcess] = {};

// pthread_t's thread id: struct pthread of glibc 2.4 to 2.41, compared with
// the real one at the start.
#if defined(__x86_64__)
constexpr ptrdiff_t kIdAt = 0x2d0;
#elif defined(__aarch64__)
constexpr ptrdiff_t kIdAt = 0xd0;
#else
constexpr ptrdiff_t kIdAt = 0;
#endif
constinit bool id_is_there = false;

pid_t read_id(pthread_t thread) {
  pid_t id = 0;
  memcpy(&id, reinterpret_cast<const char*>(thread) + kIdAt, sizeof id);
  return id;
}

// The caller has blocked all signals.
class Taken {
 public:
  Taken() {
    while (turn.exchange(true, std::memory_order_acquire)) syscall(SYS_sched_yield);
  }
  ~Taken() { turn.store(false, std::memory_order_release); }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
};

// One of the standard signals waits once.  False: there is no room.
bool append(Sent* queue, unsigned& count, unsigned most, int signal, const siginfo_t& info) {
  if (count > 0 && signal < kFirstRealTime) return true;
  if (count == most) return false;
  memcpy(queue[count++].bytes, &info, sizeof(Sent));
  return true;
}

void take_first(Sent* queue, unsigned count, siginfo_t& info) {
  memset(&info, 0, sizeof info);
  memcpy(&info, queue[0].bytes, sizeof(Sent));
  memmove(queue, queue + 1, (count - 1) * sizeof(Sent));
}

// Asks nobody who is still there.  Where all are taken another thread loses its.
ThreadSlot* free_slot(pid_t id) {
  for (unsigned i = 0; i < kTries; ++i) {
    ThreadSlot& slot = slots[(static_cast<unsigned>(id) + i) % kThreads];
    pid_t before = slot.id.load(std::memory_order_relaxed);
    if (before == id) return &slot;
    if (before == 0 && slot.id.compare_exchange_strong(before, id)) return &slot;
  }
  ThreadSlot& slot = slots[static_cast<unsigned>(id) % kThreads];
  slot.id.store(id);
  return &slot;
}

bool has_slot() {
  return self.slot != nullptr && self.slot->id.load(std::memory_order_relaxed) == thread_id();
}

}  // namespace

void find_thread_id() {
  id_is_there = kIdAt != 0 && read_id(pthread_self()) == syscall(SYS_gettid);
}

pid_t thread_id() {
  return id_is_there ? read_id(pthread_self()) : static_cast<pid_t>(syscall(SYS_gettid));
}

pid_t id_of(pthread_t thread) { return id_is_there ? read_id(thread) : 0; }

void enter_thread(bool blocked) {
  const KeepErrno errno_before;
  self.slot = free_slot(thread_id());
  believe(blocked);
}

void leave_thread() {
  if (has_slot()) {
    self.slot->open.store(false);
    self.slot->id.store(0);
  }
  self.slot = nullptr;
}

void forget_other_threads() {
  for (ThreadSlot& slot : slots) slot.id.store(0, std::memory_order_relaxed);
  turn.store(false, std::memory_order_relaxed);
  process_count.store(0, std::memory_order_relaxed);
  self.count = 0;
  self.slot = nullptr;
  enter_thread(self.blocked);
}

void believe(bool blocked) {
  self.blocked = blocked;
  if (has_slot()) self.slot->open.store(!blocked, std::memory_order_seq_cst);
}

bool keep(int signal, const siginfo_t& info, To to) {
  const unsigned now = generation.load();
  if (to == To::thread) {
    if (self.generation != now) self.count = 0;
    self.generation = now;
    return append(self.sent, self.count, Thread::kMost, signal, info);
  }
  const Taken taken;
  unsigned count = process_count.load();
  if (process_generation != now) count = 0;
  process_generation = now;
  const bool kept = append(process_sent, count, kMostForProcess, signal, info);
  process_count.store(count, std::memory_order_seq_cst);
  return kept;
}

bool take(siginfo_t& info, To& to) {
  const unsigned now = generation.load();
  if (self.generation != now) self.count = 0;
  if (self.count > 0) {
    to = To::thread;
    take_first(self.sent, self.count--, info);
    return true;
  }
  if (process_count.load(std::memory_order_seq_cst) == 0) return false;
  const Taken taken;
  unsigned count = process_count.load();
  if (process_generation != now) count = 0;
  if (count > 0) {
    to = To::process;
    take_first(process_sent, count, info);
  }
  process_count.store(count > 0 ? count - 1 : 0);
  return count > 0;
}

void flush() { generation.fetch_add(1); }

bool is_any_kept() {
  const unsigned now = generation.load();
  return (self.count > 0 && self.generation == now) ||
         (process_count.load(std::memory_order_seq_cst) > 0 && process_generation == now);
}

namespace {

void set_mark(siginfo_t& info, uint64_t mark) {
  memcpy(reinterpret_cast<char*>(&info) + kMarkAt, &mark, sizeof mark);
}

// 0: none.
uint64_t mark_of(const siginfo_t& info) {
  uint64_t mark = 0;
  if (info.si_code > 0) return 0;
  memcpy(&mark, reinterpret_cast<const char*>(&info) + kMarkAt, sizeof mark);
  return mark == kForThread || mark == kAgain ? mark : 0;
}

}  // namespace

To addressee(siginfo_t& info) {
  const uint64_t mark = mark_of(info);
  if (mark != 0) set_mark(info, 0);
  return mark == kForThread || info.si_code == SI_TKILL ? To::thread : To::process;
}

void mark_for_thread(siginfo_t& info) {
  if (info.si_code <= 0) set_mark(info, kForThread);
}

bool is_sent_again(const siginfo_t& info) { return mark_of(info) != 0; }

void send_again(int signal, siginfo_t& info, To to) {
  const pid_t process = sys::getpid();
  if (to == To::process) {
    if (info.si_code <= 0) set_mark(info, kAgain);
    syscall(SYS_rt_sigqueueinfo, process, signal, &info);
  } else {
    mark_for_thread(info);
    syscall(SYS_rt_tgsigqueueinfo, process, thread_id(), signal, &info);
  }
}

namespace {

bool poke(int signal, pid_t thread) {
  siginfo_t poke{};
  poke.si_signo = signal;
  poke.si_code = SI_QUEUE;
  poke.si_pid = sys::getpid();
  const uint64_t value = uint64_t{kPoke} << 32;
  memcpy(&poke.si_value, &value, sizeof value);
  return syscall(SYS_rt_tgsigqueueinfo, poke.si_pid, thread, signal, &poke) == 0;
}

}  // namespace

void poke_this(int signal) { poke(signal, thread_id()); }

void poke_any(int signal) {
  const auto takes = [](const ThreadSlot& slot) {
    return slot.id.load(std::memory_order_relaxed) != 0 &&
           slot.open.load(std::memory_order_seq_cst);
  };
  // The main thread first, as the kernel does.
  const pid_t process = sys::getpid();
  for (ThreadSlot& slot : slots) {
    if (slot.id.load(std::memory_order_relaxed) != process) continue;
    if (takes(slot) && poke(signal, process)) return;
  }
  if (!self.blocked) return poke_this(signal);
  for (ThreadSlot& slot : slots) {
    if (!takes(slot)) continue;
    if (poke(signal, slot.id.load(std::memory_order_relaxed))) return;
    slot.open.store(false);  // has ended
  }
}

bool is_poke(const siginfo_t& info) {
  if (info.si_code != SI_QUEUE) return false;
  uint64_t value = 0;
  memcpy(&value, &info.si_value, sizeof value);
  return value == uint64_t{kPoke} << 32;
}

}  // namespace udpcr::signals
