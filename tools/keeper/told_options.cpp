// SPDX-License-Identifier: LGPL-2.1-or-later
#include "told_options.hpp"

#include <linux/filter.h>
#include <linux/in6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>

#include "kernel_numbers.hpp"
#include "options.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

// Of all messages of one checkpoint.
constexpr std::size_t kMostBytes = std::size_t{16} << 20;
// The budget of a fresh socket (BUSY_POLL_BUDGET, include/net/busy_poll.h,
// Linux 6.1): more needs CAP_NET_ADMIN, which the keeper may have and the
// program not.
constexpr int kUsualBudget = 8;
constexpr int kSmallestMtu = 1280;
constexpr int kLargestMtu = 65535;
// linux/in.h, linux/in6.h
constexpr int kIpsecPolicy4 = 16;
constexpr int kXfrmPolicy4 = 17;
constexpr int kIpsecPolicy6 = 34;
constexpr int kXfrmPolicy6 = 35;
constexpr const char* kUseModule = "load the kernel module, which keeps it";

enum class Kind : std::uint8_t { value, program, fact, anycast, label };

struct Known {
  int level;
  int name;
  std::size_t size;  // of a program: the most
  Kind kind;
};

constexpr Known kKnown[] = {
    {SOL_IP, IP_MULTICAST_IF, sizeof(ip_mreqn), Kind::value},
    {SOL_IPV6, IPV6_MTU, sizeof(int), Kind::value},
    {SOL_IPV6, IPV6_PKTINFO, sizeof(in6_pktinfo), Kind::value},
    {SOL_SOCKET, kSoBusyPollBudget, sizeof(int), Kind::value},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, wire::kLargestProgram, Kind::program},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, 0, Kind::fact},
    {SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0, Kind::fact},
    {SOL_IP, kIpsecPolicy4, 0, Kind::fact},
    {SOL_IP, kXfrmPolicy4, 0, Kind::fact},
    {SOL_IPV6, kIpsecPolicy6, 0, Kind::fact},
    {SOL_IPV6, kXfrmPolicy6, 0, Kind::fact},
    {SOL_IPV6, IPV6_JOIN_ANYCAST, sizeof(ipv6_mreq), Kind::anycast},
    {SOL_IPV6, IPV6_FLOWLABEL_MGR, sizeof(in6_flowlabel_req), Kind::label},
};

const Known* find_known(int level, int name) {
  for (const Known& known : kKnown) {
    if (known.level == level && known.name == name) return &known;
  }
  return nullptr;
}

bool has_right_size(const Known& known, std::size_t size) {
  if (known.kind != Kind::program) return size == known.size;
  return size <= known.size && size % sizeof(sock_filter) == 0;
}

// One steers a group: they take each other's place.
bool is_steering(int level, int name) {
  return level == SOL_SOCKET &&
         (name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF ||
          name == SO_DETACH_REUSEPORT_BPF);
}

template <typename Value>
Value as(const Bytes& bytes) {
  Value value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

// The interface that has the anycast address: "2    eth0  2001...  1" of
// /proc/net/anycast6 (net/ipv6/anycast.c, ac6_seq_show).  That it stands there
// is the proof: joining needs CAP_NET_ADMIN.
std::optional<std::pair<unsigned, std::string>> anycast_interface(const ipv6_mreq& request) {
  std::string wanted;
  for (const std::uint8_t byte : request.ipv6mr_multiaddr.s6_addr) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    wanted += digits;
  }
  std::istringstream table(read_text("/proc/net/anycast6"));
  unsigned index = 0;
  std::string name;
  std::string address;
  std::string users;
  while (table >> index >> name >> address >> users) {
    const bool here = request.ipv6mr_interface == 0 || request.ipv6mr_interface == index;
    if (address == wanted && here) return std::pair(index, name);
  }
  return std::nullopt;
}

}  // namespace

void ToldOptions::take(const Packet& packet) {
  const auto message = packet.as<wire::OptionMessage>();
  const wire::RecordedOption& option = message.option;
  const Known* const known = find_known(option.level, option.name);
  if (known == nullptr || !has_right_size(*known, option.size) ||
      packet.data.size() != sizeof message + option.size) {
    throw Error("socket option " + std::to_string(option.level) + "/" +
                std::to_string(option.name) + " of " + std::to_string(option.size) +
                " bytes is none that a program may tell; it is left out");
  }
  bytes_ += packet.data.size();
  if (bytes_ > kMostBytes) {
    throw Error("the program tells more than " + std::to_string(kMostBytes >> 20) +
                " MiB of socket options; this one is left out");
  }
  told_[option.inode].push_back(
      {option.level, option.name,
       Bytes(packet.data.begin() + std::ptrdiff_t(sizeof message), packet.data.end())});
}

void ToldOptions::remember(int fd, const SocketRecord& record, const std::vector<Loss>& losses) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return;
  const auto is_lost = [&](const std::string& what) {
    return std::any_of(losses.begin(), losses.end(),
                       [&](const Loss& loss) { return loss.what == what; });
  };
  Options options;
  for (const SocketOption& option : record.options) {
    const Known* const known = find_known(option.level, option.name);
    if (known == nullptr || !has_right_size(*known, option.value.size())) continue;
    if (is_lost(option_name(option.level, option.name))) continue;
    options.push_back({option.level, option.name, option.value});
  }
  for (const Membership& membership : record.memberships) {
    if (!membership.anycast || !record.netns.empty() || is_lost("anycast")) continue;
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, membership.group.bytes, sizeof(in6_addr));
    request.ipv6mr_interface = if_nametoindex(membership.device.c_str());
    Bytes value(sizeof request);
    std::memcpy(value.data(), &request, sizeof request);
    options.push_back({SOL_IPV6, IPV6_JOIN_ANYCAST, std::move(value)});
  }
  remembered_[status.st_ino] = std::move(options);
}

void ToldOptions::complete(SocketState& state, bool seen) const {
  const auto told = told_.find(state.record.inode);
  const auto remembered = remembered_.find(state.record.inode);
  static const Options kNone;
  const Options& now = told == told_.end() ? kNone : told->second;
  // Named by the engine for every anycast address of the machine.
  if (seen || remembered != remembered_.end()) {
    std::erase_if(state.losses, [](const Loss& loss) { return loss.what == "anycast"; });
  }
  if (remembered != remembered_.end()) {
    for (const Option& option : remembered->second) {
      const bool outdated = std::any_of(now.begin(), now.end(), [&](const Option& other) {
        if (is_steering(option.level, option.name)) return is_steering(other.level, other.name);
        return other.level == option.level && other.name == option.name &&
               (option.name != IPV6_JOIN_ANYCAST || other.value == option.value);
      });
      if (!outdated) add(state, option);
    }
  }
  for (const Option& option : now) add(state, option);
}

void ToldOptions::name_losses(SocketState& state) const {
  const auto told = told_.find(state.record.inode);
  if (told == told_.end()) return;
  for (const Option& option : told->second) {
    const Kind kind = find_known(option.level, option.name)->kind;
    if (kind == Kind::fact || kind == Kind::label) add(state, option);
  }
}

void ToldOptions::add(SocketState& state, const Option& option) {
  const auto lose = [&](const char* what, const std::string& why, const char* remedy) {
    state.losses.push_back({what, why, remedy});
  };
  switch (find_known(option.level, option.name)->kind) {
    case Kind::anycast:
      return add_anycast(state, option);
    case Kind::label: {
      char label[16];
      std::snprintf(label, sizeof label, "%05x",
                    ntohl(as<in6_flowlabel_req>(option.value).flr_label));
      return lose("flow label", std::string("the socket leases label ") + label,
                  "let the program lease it again");
    }
    case Kind::fact:
      if (option.level != SOL_SOCKET) {
        return lose("IPsec policy", "the socket has one of its own, which the kernel does not tell",
                    "let the program set it again");
      }
      if (option.name == SO_DETACH_REUSEPORT_BPF) return;
      return lose("reuseport steering", "an eBPF program chooses among the sockets of the port",
                  "let the program attach it again");
    case Kind::program:
      if (!option.value.empty()) break;
      return lose("reuseport steering", "its program has more than 256 instructions", kUseModule);
    case Kind::value:
      if (std::all_of(option.value.begin(), option.value.end(),
                      [](std::uint8_t byte) { return byte == 0; })) {
        return;
      }
      break;
  }
  const int number = as<int>(option.value);
  if (option.level == SOL_SOCKET && option.name == kSoBusyPollBudget &&
      (number < 0 || number > kUsualBudget)) {
    return lose("SO_BUSY_POLL_BUDGET",
                "it is " + std::to_string(number) +
                    ", which needs CAP_NET_ADMIN and is not taken from the program's word",
                kUseModule);
  }
  if (option.level == SOL_IPV6 && option.name == IPV6_MTU &&
      (number < kSmallestMtu || number > kLargestMtu)) {
    return lose("IPV6_MTU", std::to_string(number) + " is no MTU", "");
  }
  std::vector<SocketOption>& options = state.record.options;
  const auto same = std::find_if(options.begin(), options.end(), [&](const SocketOption& other) {
    return other.level == option.level && other.name == option.name;
  });
  if (same != options.end()) {
    same->value = option.value;
  } else {
    options.push_back({option.level, option.name, option.value});
  }
}

void ToldOptions::add_anycast(SocketState& state, const Option& option) {
  const auto request = as<ipv6_mreq>(option.value);
  Membership membership;
  membership.anycast = true;
  membership.group.family = AF_INET6;
  std::memcpy(membership.group.bytes, &request.ipv6mr_multiaddr, sizeof(in6_addr));
  // /proc/net shows this namespace alone.
  const auto interface = state.record.netns.empty() ? anycast_interface(request) : std::nullopt;
  if (!interface) {
    state.losses.push_back({"anycast",
                            "the program says that it is a member of " +
                                to_string(membership.group) +
                                ", and /proc/net/anycast6 does not have it",
                            "let the program join it again"});
    return;
  }
  membership.ifindex = interface->first;
  membership.device = interface->second;
  std::vector<Membership>& memberships = state.record.memberships;
  if (std::find(memberships.begin(), memberships.end(), membership) == memberships.end()) {
    memberships.push_back(std::move(membership));
  }
}

}  // namespace udpcr::keeper
