// SPDX-License-Identifier: LGPL-2.1-or-later
#include "recorded_options.h"

#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <string.h>

#include <atomic>

#include "fd_table.h"
#include "log.h"
#include "sys.h"
#include "turn.h"

namespace udpcr::recorded_options {

namespace {

// Missing in older headers: include/uapi/asm-generic/socket.h, linux/in6.h.
constexpr int kSoBusyPollBudget = 70;
constexpr int kIpv6JoinAnycast = 27;
constexpr int kIpv6LeaveAnycast = 28;

// linux/in.h, linux/in6.h
constexpr int kIpsecPolicy4 = 16;
constexpr int kXfrmPolicy4 = 17;
constexpr int kIpsecPolicy6 = 34;
constexpr int kXfrmPolicy6 = 35;

constexpr unsigned kMostNumbers = 4096;
constexpr unsigned kMostPrograms = 32;
// What a writer in another thread may take.
constexpr int kReadAttempts = 100;

constinit std::atomic<bool> turn = false;

// One writer at a time, whom no handler of its own thread interrupts: a handler
// that reads would wait for it in vain.
struct Writing {
  BlockSignals blocked;
  Turn mine{turn};
};

// A record that the handler may read while it is written: `version` is odd
// meanwhile.
template <size_t value_size>
struct Slot {
  std::atomic<uint32_t> version;
  wire::RecordedOption option{};  // inode 0: free
  uint8_t value[value_size] = {};

  void write(const wire::RecordedOption& from, const void* bytes) {
    change([&] {
      option = from;
      if (from.size > 0) memcpy(value, bytes, from.size);
    });
  }
  template <typename Change>
  void change(Change by) {
    version.fetch_add(1, std::memory_order_acq_rel);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    by();
    version.fetch_add(1, std::memory_order_release);
  }
};

template <size_t value_size, unsigned count>
class Slots {
 public:
  // The one that `fits`; nullptr: there is none.
  template <typename Fits>
  Slot<value_size>* find(Fits fits) {
    const unsigned used = used_.load(std::memory_order_acquire);
    for (unsigned i = 0; i < used; ++i) {
      if (slots_[i].option.inode != 0 && fits(slots_[i])) return &slots_[i];
    }
    return nullptr;
  }

  Slot<value_size>* free_one() {
    const unsigned used = used_.load(std::memory_order_acquire);
    for (unsigned i = 0; i < used; ++i) {
      if (slots_[i].option.inode == 0) return &slots_[i];
    }
    if (used == count) return nullptr;
    used_.store(used + 1, std::memory_order_release);
    return &slots_[used];
  }

  template <typename Visit>
  void each_of(uint64_t inode, Visit visit) {
    const unsigned used = used_.load(std::memory_order_acquire);
    for (unsigned i = 0; i < used; ++i) {
      if (slots_[i].option.inode == inode) slots_[i].change([&] { visit(slots_[i].option.inode); });
    }
  }

  // In the handler.
  int send_each(Send send, void* context) {
    static constinit uint8_t copy[value_size] = {};
    const unsigned used = used_.load(std::memory_order_acquire);
    for (unsigned i = 0; i < used; ++i) {
      wire::RecordedOption option{};
      if (!read(slots_[i], option, copy)) continue;
      const int error = send(context, option, copy);
      if (error != 0) return error;
    }
    return 0;
  }

  // What a thread that does not exist here was writing is lost.
  void end_writes() {
    const unsigned used = used_.load(std::memory_order_relaxed);
    for (unsigned i = 0; i < used; ++i) {
      if (slots_[i].version.load(std::memory_order_relaxed) % 2 == 0) continue;
      slots_[i].option = {};
      slots_[i].version.fetch_add(1, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] bool any() const { return used_.load(std::memory_order_relaxed) != 0; }

 private:
  // False: it is free, or its writer, who may be a thread that is gone, does
  // not come to an end.
  static bool read(const Slot<value_size>& slot, wire::RecordedOption& option, uint8_t* copy) {
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      const uint32_t version = slot.version.load(std::memory_order_acquire);
      option = slot.option;
      memcpy(copy, slot.value, value_size);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (version % 2 == 0 && version == slot.version.load(std::memory_order_relaxed)) {
        return option.inode != 0;
      }
      sys::poll(nullptr, 0, 1);
    }
    return false;
  }

  std::atomic<unsigned> used_;
  Slot<value_size> slots_[count] = {};
};

constinit Slots<wire::kLargestRecorded, kMostNumbers> numbers{};
constinit Slots<wire::kLargestProgram, kMostPrograms> programs{};
constinit bool overflow_was_said = false;

void say_that_it_is_full() {
  if (overflow_was_said) return;
  overflow_was_said = true;
  Line line;
  line << "more than " << kMostNumbers << " socket options that the kernel does not tell again, or "
       << kMostPrograms
       << " steering programs: those beyond are not kept without the kernel module; load it";
  log_line(LogLevel::warn, line);
}

template <typename List, typename Fits>
void keep(List& list, const wire::RecordedOption& option, const void* value, Fits fits) {
  if (!is_own_process()) return;
  auto* slot = list.find(fits);
  if (slot == nullptr) slot = list.free_one();
  if (slot == nullptr) return say_that_it_is_full();
  slot->write(option, value);
}

template <typename List, typename Fits>
void drop(List& list, Fits fits) {
  if (!is_own_process()) return;
  auto* const slot = list.find(fits);
  if (slot != nullptr) slot->write({}, nullptr);
}

auto is_option(uint64_t inode, int level, int name) {
  return [=](const auto& slot) {
    return slot.option.inode == inode && slot.option.level == level && slot.option.name == name;
  };
}

// The one value of an option.  That of a fresh socket is kept too: it stands
// against what the keeper knows of a restored one.
void note_value(uint64_t inode, int level, int name, const void* bytes, uint32_t size) {
  keep(numbers, {inode, level, name, size}, bytes, is_option(inode, level, name));
}

// By address it can be read again: zeros say that.
void note_multicast_interface(uint64_t inode, const void* value, socklen_t size) {
  ip_mreqn request{};
  if (size >= sizeof request) memcpy(&request, value, sizeof request);
  request.imr_multiaddr.s_addr = 0;
  if (request.imr_ifindex == 0) memset(&request, 0, sizeof request);
  note_value(inode, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
}

// Several on one socket.
void note_anycast(uint64_t inode, bool joins, const void* value) {
  ipv6_mreq request{};
  memcpy(&request, value, sizeof request);
  const auto same = [&](const auto& slot) {
    ipv6_mreq other{};
    memcpy(&other, slot.value, sizeof other);
    const bool interface = request.ipv6mr_interface == other.ipv6mr_interface ||
                           (!joins && request.ipv6mr_interface == 0);
    return is_option(inode, IPPROTO_IPV6, kIpv6JoinAnycast)(slot) && interface &&
           memcmp(&request.ipv6mr_multiaddr, &other.ipv6mr_multiaddr, sizeof(in6_addr)) == 0;
  };
  if (!joins) return drop(numbers, same);
  keep(numbers, {inode, IPPROTO_IPV6, kIpv6JoinAnycast, sizeof request}, &request, same);
}

// The kernel has written the label that it chose into the request
// (net/ipv6/ip6_flowlabel.c, ipv6_flowlabel_get, Linux 6.1).
void note_flow_label(uint64_t inode, const void* value) {
  in6_flowlabel_req request{};
  memcpy(&request, value, sizeof request);
  const auto same = [&](const auto& slot) {
    in6_flowlabel_req other{};
    memcpy(&other, slot.value, sizeof other);
    return is_option(inode, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR)(slot) &&
           other.flr_label == request.flr_label;
  };
  if (request.flr_action == IPV6_FL_A_PUT) return drop(numbers, same);
  if (request.flr_action != IPV6_FL_A_GET) return;
  keep(numbers, {inode, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, sizeof request}, &request, same);
}

// A program steers a whole group; a new one takes the old one's place.  Of one
// that does not fit, of an eBPF program and of a detached one the fact is kept.
void note_steering(uint64_t inode, int name, const void* value) {
  const auto any = [&](const auto& slot) { return slot.option.inode == inode; };
  wire::RecordedOption option{inode, SOL_SOCKET, name, 0};
  const void* bytes = nullptr;
  if (name == SO_ATTACH_REUSEPORT_CBPF) {
    sock_fprog program{};
    memcpy(&program, value, sizeof program);
    const size_t size = program.len * sizeof(sock_filter);
    if (size <= wire::kLargestProgram) {
      option.size = static_cast<uint32_t>(size);
      bytes = program.filter;
    }
  }
  keep(programs, option, bytes, any);
}

bool is_policy(int level, int name) {
  if (level == IPPROTO_IP) return name == kIpsecPolicy4 || name == kXfrmPolicy4;
  return level == IPPROTO_IPV6 && (name == kIpsecPolicy6 || name == kXfrmPolicy6);
}

// That there is one; without a value both directions are gone
// (net/xfrm/xfrm_state.c, xfrm_user_policy, Linux 6.1).
void note_policy(uint64_t inode, int level, int name, const void* value) {
  if (value == nullptr) return drop(numbers, is_option(inode, level, name));
  note_value(inode, level, name, nullptr, 0);
}

}  // namespace

bool concerns(int level, int name) {
  if (is_policy(level, name)) return true;
  switch (level) {
    case IPPROTO_IP:
      return name == IP_MULTICAST_IF;
    case IPPROTO_IPV6:
      return name == IPV6_MTU || name == IPV6_PKTINFO || name == kIpv6JoinAnycast ||
             name == kIpv6LeaveAnycast || name == IPV6_FLOWLABEL_MGR;
    case SOL_SOCKET:
      return name == kSoBusyPollBudget || name == SO_ATTACH_REUSEPORT_CBPF ||
             name == SO_ATTACH_REUSEPORT_EBPF || name == SO_DETACH_REUSEPORT_BPF;
    default:
      return false;
  }
}

void note(uint64_t inode, int level, int name, const void* value, socklen_t size) {
  const auto whole = [&](size_t least) { return value != nullptr && size >= least; };
  if (is_policy(level, name)) {
    const Writing mine;
    return note_policy(inode, level, name, value);
  }
  if (level == IPPROTO_IP) {
    if (name != IP_MULTICAST_IF || !whole(sizeof(in_addr))) return;
    const Writing mine;
    return note_multicast_interface(inode, value, size);
  }
  if (level == SOL_SOCKET) {
    const bool budget = name == kSoBusyPollBudget && whole(sizeof(int));
    const bool steering = (name == SO_ATTACH_REUSEPORT_CBPF && whole(sizeof(sock_fprog))) ||
                          name == SO_ATTACH_REUSEPORT_EBPF || name == SO_DETACH_REUSEPORT_BPF;
    if (!budget && !steering) return;
    const Writing mine;
    if (steering) return note_steering(inode, name, value);
    return note_value(inode, level, name, value, sizeof(int));
  }
  if (level != IPPROTO_IPV6) return;
  const bool mtu = name == IPV6_MTU && whole(sizeof(int));
  const bool sticky = name == IPV6_PKTINFO && whole(sizeof(in6_pktinfo));
  const bool anycast =
      (name == kIpv6JoinAnycast || name == kIpv6LeaveAnycast) && whole(sizeof(ipv6_mreq));
  const bool label = name == IPV6_FLOWLABEL_MGR && whole(sizeof(in6_flowlabel_req));
  if (!mtu && !sticky && !anycast && !label) return;
  const Writing mine;
  if (anycast) return note_anycast(inode, name == kIpv6JoinAnycast, value);
  if (label) return note_flow_label(inode, value);
  note_value(inode, level, name, value, mtu ? sizeof(int) : sizeof(in6_pktinfo));
}

void forget(uint64_t inode) { move(inode, 0); }

void move(uint64_t from, uint64_t to) {
  if (from == 0 || (!numbers.any() && !programs.any())) return;
  const Writing mine;
  const auto rename = [to](uint64_t& inode) { inode = to; };
  numbers.each_of(from, rename);
  programs.each_of(from, rename);
}

int each(Send send, void* context) {
  const int error = numbers.send_each(send, context);
  return error != 0 ? error : programs.send_each(send, context);
}

void reset_turn() {
  turn.store(false, std::memory_order_relaxed);
  numbers.end_writes();
  programs.end_writes();
}

}  // namespace udpcr::recorded_options
