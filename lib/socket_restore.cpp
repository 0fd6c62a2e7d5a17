// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Each step but filling the queue is an ordinary call, so that the kernel
// checks values and rights.
#include "socket_restore.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "attached_filters.hpp"
#include "cork.hpp"
#include "errors.hpp"
#include "file_owner.hpp"
#include "interface_indices.hpp"
#include "kernel_numbers.hpp"
#include "memberships.hpp"
#include "options.hpp"
#include "persist.hpp"
#include "rights.hpp"
#include "security_label.hpp"
#include "shutdown.hpp"

namespace udpcr {
namespace {

constexpr int kOnFile = O_NONBLOCK | O_NOATIME;

const SocketOption* find(const SocketRecord& record, int level, int name) {
  for (const SocketOption& option : record.options) {
    if (option.level == level && option.name == name) return &option;
  }
  return nullptr;
}

// Without these the address itself may not be had again.
bool decides_bind(const OptionRow& row) noexcept {
  if (row.level == SOL_SOCKET) return row.name == SO_REUSEADDR || row.name == SO_REUSEPORT;
  if (row.level == SOL_IP) return row.name == IP_FREEBIND || row.name == IP_TRANSPARENT;
  return row.level == SOL_IPV6 && (row.name == kIpv6Freebind || row.name == IPV6_TRANSPARENT);
}

bool is_now(const std::pair<const OptionRow*, std::optional<Bytes>>& now, const Bytes& wanted) {
  return now.second && same_value(*now.first, *now.second, wanted);
}

std::string hex(ByteView bytes) {
  if (bytes.size() == sizeof(int)) {
    int number = 0;
    std::memcpy(&number, bytes.data(), sizeof number);
    return std::to_string(number);
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

class Restorer {
 public:
  Restorer(const SocketState& state, const RestoreOptions& options, FreshSockets& fresh,
           QueueFill& fill)
      : state_(state), record_(state.record), options_(options), fresh_(fresh), fill_(fill) {}

  Restored run();

 private:
  void create();
  void set_device();
  void set_options(SetWhen when);
  [[nodiscard]] const Bytes* wanted_value(
      const std::pair<const OptionRow*, std::optional<Bytes>>& usual) const;
  void check_options();
  void bind();
  bool bind_automatic_port(const Address& address);
  int bind_to(const Address& address);
  void connect();
  void set_file_flags();
  void name_label();
  void set_uid();
  void lose(std::string what, std::string why, std::string remedy) {
    restored_.losses.push_back({std::move(what), std::move(why), std::move(remedy)});
  }
  [[nodiscard]] Address local_now() const;

  const SocketState& state_;
  const SocketRecord& record_;
  const RestoreOptions& options_;
  FreshSockets& fresh_;
  QueueFill& fill_;
  Restored restored_;
  int fd_ = -1;
};

void Restorer::create() {
  if (record_.family != AF_INET && record_.family != AF_INET6) {
    throw Error("cannot restore a socket of address family " + std::to_string(record_.family) +
                ": only IPv4 (2) and IPv6 (10) are known; use a newer udpcr");
  }
  restored_.fd = options_.open_socket
                     ? options_.open_socket(record_.family, record_.protocol)
                     : UniqueFd(rights().socket(record_.family, SOCK_DGRAM, record_.protocol));
  fd_ = restored_.fd.get();
  if (fd_ < 0) {
    fail("create the socket for " + to_string(record_.local), errno,
         "raise RLIMIT_NOFILE or use a kernel that has this protocol");
  }
  // Decides what the queue may hold.
  if (const SocketOption* only = find(record_, SOL_IPV6, IPV6_V6ONLY)) {
    write_option(fd_, SOL_IPV6, IPV6_V6ONLY, only->value);
  }
}

void Restorer::set_device() {
  if (record_.device.empty()) return;
  if (rights().setsockopt(fd_, SOL_SOCKET, SO_BINDTODEVICE, record_.device.c_str(),
                          static_cast<socklen_t>(record_.device.size() + 1)) == 0) {
    return;
  }
  const int error = errno;
  fail("bind the socket of " + to_string(record_.local) + " to device \"" + record_.device + "\"",
       error, error == ENODEV ? "create that interface first" : "run with CAP_NET_RAW");
}

void Restorer::set_options(SetWhen when) {
  for (const OptionRow& row : option_table()) {
    if (row.when != when || (!options_.restore_options && !decides_bind(row))) continue;
    const SocketOption* option = find(record_, row.level, row.name);
    // What cannot be set is found by check_options().
    if (option != nullptr) put_back(fd_, row, option->value);
  }
}

// Null when it does not matter.
const Bytes* Restorer::wanted_value(
    const std::pair<const OptionRow*, std::optional<Bytes>>& usual) const {
  const OptionRow& row = *usual.first;
  if (const SocketOption* option = find(record_, row.level, row.name)) return &option->value;
  // bind(2) to an IPv6 address sets it (net/ipv6/af_inet6.c, __inet6_bind).
  if (row.level == SOL_IPV6 && row.name == IPV6_V6ONLY) return nullptr;
  // Received datagrams may.
  if (row.level == SOL_SOCKET && row.name == SO_INCOMING_CPU) return nullptr;
  return usual.second ? &*usual.second : nullptr;
}

// Reads all back: one option may have changed another, and some values are cut
// by the kernel without a word.
void Restorer::check_options() {
  if (!options_.restore_options) return;
  const FreshSocket& fresh = fresh_.like(record_.family, record_.protocol);
  OptionValues now = fresh_.read(fd_, record_.family, record_.protocol);
  bool changed = false;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const Bytes* const wanted = wanted_value(fresh.values[i]);
    if (wanted == nullptr || is_now(now[i], *wanted)) continue;
    put_back(fd_, *now[i].first, *wanted);
    changed = true;
  }
  if (changed) now = fresh_.read(fd_, record_.family, record_.protocol);
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto& [row, value] = now[i];
    const Bytes* const wanted = wanted_value(fresh.values[i]);
    if (wanted == nullptr || is_now(now[i], *wanted)) continue;
    const int error = put_back(fd_, *row, *wanted);
    // Set, and this engine cannot read it.
    if (error == 0 && !value && row->read_by == ReadBy::module) continue;
    lose(row->text,
         "it was " + hex(*wanted) + " and is " +
             (value ? hex(*value) : "not known to this kernel") +
             (error != 0 ? " (" + errno_text(error) + ")" : ""),
         error == EPERM ? "run with CAP_NET_ADMIN" : "");
  }
  for (const SocketOption& option : record_.options) {
    if (find_option(option.level, option.name) != nullptr || is_attached_filter(option)) continue;
    lose("option " + std::to_string(option.level) + "/" + std::to_string(option.name),
         "this version does not know it; its value was " + hex(option.value), "use a newer udpcr");
  }
}

int Restorer::bind_to(const Address& address) {
  socklen_t size = 0;
  const sockaddr_storage name = address.to_sockaddr(size);
  return rights().bind(fd_, reinterpret_cast<const sockaddr*>(&name), size) == 0 ? 0 : errno;
}

// A port that the kernel had chosen is had again from a range of one, so that
// the kernel goes on to treat it as its own choice (no SOCK_BINDPORT_LOCK).
bool Restorer::bind_automatic_port(const Address& address) {
  const std::uint32_t port = record_.local.port;
  const int before = read_number(fd_, SOL_IP, kIpLocalPortRange).value_or(0);
  if (write_number(fd_, SOL_IP, kIpLocalPortRange, static_cast<int>(port << 16U | port)) != 0) {
    return false;
  }
  Address choice = address;
  choice.port = 0;
  const bool bound = bind_to(choice) == 0;
  write_number(fd_, SOL_IP, kIpLocalPortRange, before);
  if (!bound || local_now().port == port) return bound;
  // Outside net.ipv4.ip_local_port_range the kernel takes its own range.
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  static_cast<void>(::connect(fd_, &none, sizeof none));
  set_device();
  return false;
}

void Restorer::bind() {
  if (record_.local.port == 0) return;
  const bool known = (record_.flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0;
  const bool automatic_port = known && (record_.flags & UDPCR_SOCK_BOUND_PORT) == 0;
  const bool automatic_address = known && (record_.flags & UDPCR_SOCK_BOUND_ADDR) == 0;
  Address address = record_.local;
  // The kernel chooses the address again when the socket is connected.
  if (automatic_address && record_.peer) {
    std::fill(std::begin(address.bytes), std::end(address.bytes), std::uint8_t{0});
    address.scope = 0;
  }
  if (automatic_port) {
    if (bind_automatic_port(address)) return;
  }
  const int error = bind_to(address);
  if (error == 0) {
    if (!automatic_port || fill_.forget_port(fd_, record_)) return;
    lose("automatic port",
         "port " + std::to_string(record_.local.port) + " is now bound as if asked for",
         "load the kernel module, or use Linux 6.3 or newer and the same "
         "net.ipv4.ip_local_port_range");
    return;
  }
  std::string remedy;
  if (error == EADDRINUSE) {
    remedy = "end the program that has this port (ss -ulnp), or let both set SO_REUSEPORT";
  } else if (error == EADDRNOTAVAIL) {
    remedy = "add the address to an interface of this machine, or map it with UDPCR_MAP";
  } else if (error == EACCES) {
    remedy = "ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE";
  } else if (error == EINVAL && address.scope != 0) {
    remedy = "the interface of a link-local address must exist (index " +
             std::to_string(address.scope) + ")";
  }
  fail("bind " + to_string(address), error, remedy);
}

void Restorer::connect() {
  if (!record_.peer) return;
  const auto attempt = [&] {
    socklen_t size = 0;
    const sockaddr_storage name = record_.peer->to_sockaddr(size);
    return ::connect(fd_, reinterpret_cast<const sockaddr*>(&name), size) == 0 ? 0 : errno;
  };
  const int error = attempt();
  if (error != 0) {
    fail("connect " + to_string(record_.local) + " to its peer " + to_string(*record_.peer), error,
         error == ENETUNREACH || error == EHOSTUNREACH ? "add a route to the peer first" : "");
  }
  const Address now = local_now();
  if (record_.local.is_wildcard() || now == record_.local) return;
  lose("local address",
       "connected to " + to_string(*record_.peer) + " the socket now has " + to_string(now) +
           " instead of " + to_string(record_.local),
       "give this machine the same addresses and routes");
}

void Restorer::set_file_flags() {
  const int wanted = static_cast<int>(record_.file_flags) & kOnFile;
  if (wanted == 0 || persist([&] { return ::fcntl(fd_, F_SETFL, wanted); }) == 0) return;
  lose("file flags", "they could not be set again: " + errno_text(errno),
       "let the program set them (fcntl, F_SETFL)");
}

void Restorer::name_label() {
  std::string label;
  try {
    label = read_label(fd_);
  } catch (const Error& error) {
    return lose("security label", error.what(), "look at it yourself");
  }
  if (label == record_.label) return;
  const auto text = [](const std::string& one) { return one.empty() ? "none" : one; };
  lose("security label", "it was " + text(record_.label) + " and is " + text(label),
       "restart under the security context that made the socket");
}

// fchown(2) of a socket changes whom it belongs to (net/socket.c, sockfs_setattr).
void Restorer::set_uid() {
  struct stat status {};
  if (persist([&] { return ::fstat(fd_, &status); }) != 0) {
    fail("read whom the restored socket belongs to", errno, "");
  }
  if (status.st_uid == record_.uid) return;
  if (rights().chown(fd_, record_.uid) == 0) return;
  lose("uid",
       "it belonged to user " + std::to_string(record_.uid) + " and belongs to " +
           std::to_string(status.st_uid) + ": " + errno_text(errno),
       "restart as that user, or with CAP_CHOWN");
}

Address Restorer::local_now() const {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  const auto ask = [&] { return ::getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size); };
  if (persist(ask) != 0) fail("read the address of the restored socket", errno, "");
  return Address::from_sockaddr(name);
}

Restored Restorer::run() {
  create();
  const bool fill = options_.restore_queues && !state_.receive_queue.empty();
  if (fill) fill_.before_bind(fd_, state_, restored_);
  set_device();
  set_options(SetWhen::before_bind);
  if (options_.restore_options) {
    // Before traffic arrives.
    attach_filter(fd_, record_, SO_ATTACH_FILTER, restored_.losses);
    join_groups(fd_, record_.memberships, restored_.losses);
  }
  bind();
  connect();
  if (options_.restore_options) {
    attach_filter(fd_, record_, SO_ATTACH_REUSEPORT_CBPF, restored_.losses);
  }
  set_options(SetWhen::after_bind);
  if (fill) fill_.bound(fd_, state_, restored_);
  check_options();
  set_file_flags();
  set_owner_signal(fd_, record_.owner, restored_.losses);
  if (options_.restore_queues) restore_cork(fd_, state_, restored_.losses);
  shut_down(fd_, record_.shutdown, restored_.losses);
  fill_.finish(fd_, state_, restored_);
  name_label();
  set_uid();
  return std::move(restored_);
}

}  // namespace

Restored restore_socket(const SocketState& state, const RestoreOptions& options,
                        FreshSockets& fresh, QueueFill& fill) {
  std::vector<Loss> losses;
  const std::optional<SocketState> here = with_indices_of_here(state, losses);
  Restored restored = Restorer(here ? *here : state, options, fresh, fill).run();
  restored.losses.insert(restored.losses.begin(), losses.begin(), losses.end());
  return restored;
}

}  // namespace udpcr
