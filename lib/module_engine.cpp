// SPDX-License-Identifier: LGPL-2.1-or-later
#include "module_engine.hpp"

#include <netinet/udp.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "attached_filters.hpp"
#include "errors.hpp"
#include "interface_indices.hpp"
#include "kernel_numbers.hpp"
#include "refuse.hpp"
#include "rights.hpp"
#include "socket_facts.hpp"

namespace udpcr {
namespace {

// By the table: the module's values, and what only getsockopt(2) gives.
OptionValues merge_options(int fd, const SocketRecord& record) {
  OptionValues values;
  for (const OptionRow& row : option_table()) {
    if (!applies(row, record.family, record.protocol)) continue;
    std::optional<Bytes> value;
    for (const SocketOption& option : record.options) {
      if (option.level == row.level && option.name == row.name) value = option.value;
    }
    if (!value && row.read_by != ReadBy::module) value = read_option(fd, row.level, row.name);
    values.emplace_back(&row, std::move(value));
  }
  return values;
}

// The record's options that are in no table of ours, and why not.
bool kept_elsewhere(const SocketOption& option) noexcept {
  if (option.level == SOL_UDP) return option.name == kUdpEncap;  // a Loss of its own
  return is_attached_filter(option);
}

// The module knows of the address and of the port; of bind(2) to neither only
// the shim does, or else that is concluded.
void merge_origin(SocketRecord& record, std::uint32_t origin_flags) {
  if ((origin_flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0) {
    record.flags |= origin_flags & UDPCR_SOCK_BOUND;
  } else if (record.local.port != 0 && !record.peer) {
    record.flags |= UDPCR_SOCK_BOUND;
  }
}

// Rights, encapsulation, sockmap: of one socket, not of the request.
bool is_refusal(const Error& error) {
  return error.error_number() == EPERM || error.error_number() == EOPNOTSUPP;
}

void require_udp(int fd, const char* what) {
  if (is_udp_socket(fd)) return;
  throw Error(std::string("cannot ") + what + " fd " + std::to_string(fd) +
                  ": it is not a UDP or UDP-Lite socket over IPv4 or IPv6; pass UDP sockets only",
              EPROTOTYPE);
}

}  // namespace

ModuleEngine::ModuleEngine(std::unique_ptr<Engine> substitute)
    : substitute_(std::move(substitute)), fresh_([this](int fd, int /*family*/, int /*protocol*/) {
        std::vector<std::uint16_t> unknown;
        return merge_options(fd, read_record(fd, unknown));
      }) {
  if (!client_.available()) throw client_.absence();
}

SocketRecord ModuleEngine::read_record(int fd, std::vector<std::uint16_t>& unknown) {
  return decode_record(client_.record(SocketName::of(fd)), unknown);
}

SocketState ModuleEngine::capture(int fd, const CaptureOptions& options) {
  require_udp(fd, "capture");
  try {
    SocketState state = capture_through_module(fd, options);
    name_interfaces(fd, state);
    return state;
  } catch (const Error& error) {
    if (!substitute_ || !is_refusal(error)) throw;
    SocketState state = substitute_->capture(fd, options);
    state.losses.push_back({"kernel module", std::string("it was not asked: ") + error.what(),
                            "what the userspace engine reads is kept"});
    return state;
  }
}

SocketState ModuleEngine::capture_through_module(int fd, const CaptureOptions& options) {
  SocketState state;
  std::vector<std::uint16_t> unknown;
  // Makes one where there is none.
  const std::uint64_t cookie = read_cookie(fd, kSoCookie);
  state.record = read_record(fd, unknown);
  SocketRecord& record = state.record;
  const FreshSocket& fresh = fresh_.like(record.family, record.protocol);
  std::vector<SocketOption> attached;
  std::copy_if(record.options.begin(), record.options.end(), std::back_inserter(attached),
               is_attached_filter);
  record.options = changed_options(merge_options(fd, record), fresh, record.peer.has_value());
  std::move(attached.begin(), attached.end(), std::back_inserter(record.options));
  record.cookie = cookie;
  merge_origin(record, options.origin_flags);

  for (const std::uint16_t number : unknown) {
    state.losses.push_back({"record attribute " + std::to_string(number),
                            "this version does not know it", "use a newer udpcr"});
  }
  find_module_losses(record, state.losses);
  read_attachments(fd, record, state.losses);
  if (read_cookie(fd, kSoNetnsCookie) != fresh.netns) {
    state.losses.push_back({"network namespace", "it lives in another one than the checkpointer",
                            "checkpoint and restart inside that namespace"});
  }
  read_queues(fd, options.queues, state);
  return state;
}

void ModuleEngine::read_queues(int fd, Queues wanted, SocketState& state) {
  SocketRecord& record = state.record;
  const bool receive = wanted == Queues::both || wanted == Queues::receive;
  const bool send = wanted == Queues::both || wanted == Queues::send;
  constexpr const char* kAsk = "set UDPCR_QUEUES=both to keep them";
  const SocketName name = SocketName::of(fd);
  if (record.queue_count != 0 && !receive) {
    state.losses.push_back(
        {"receive queue", std::to_string(record.queue_count) + " datagrams are queued", kAsk});
  } else if (record.queue_count != 0) {
    try {
      state.receive_queue = client_.read_queue(name, UDPCR_QUEUE_RECEIVE);
    } catch (const Error& error) {
      if (substitute_ || error.error_number() != EOPNOTSUPP) throw;
      state.losses.push_back({"receive queue", error.what(), "set UDPCR_ENGINE=auto"});
    }
    record.queue_count = static_cast<std::uint32_t>(state.receive_queue.count());
  }
  const auto read = [&](std::uint32_t queue, bool asked, MessageStream& into, const char* what,
                        const std::string& number) {
    if (!asked) {
      state.losses.push_back({what, number, kAsk});
      return;
    }
    try {
      into = client_.read_queue(name, queue);
    } catch (const Error& error) {
      state.losses.push_back({what, number + ": " + error.what(), "let the program send again"});
    }
  };
  if (record.cork_length != 0) {
    read(UDPCR_QUEUE_SEND, send, state.send_queue, "cork",
         std::to_string(record.cork_length) + " bytes are corked");
  }
  if (record.error_count != 0) {
    read(UDPCR_QUEUE_ERROR, receive, state.error_queue, "error queue",
         std::to_string(record.error_count) + " messages wait to be read");
  }
}

MessageStream ModuleEngine::take_rest(int fd, std::size_t already, QueueEnd end) {
  require_udp(fd, "take the queue of");
  if (end == QueueEnd::refuses) {
    refuse_datagrams(fd);
    std::this_thread::sleep_for(kInFlight);
  }
  const std::uint32_t handle = new_handle();
  try {
    client_.take(SocketName::of(fd), handle);
  } catch (const Error& error) {
    if (!substitute_ || !is_refusal(error)) throw;
    return substitute_->take_rest(fd, already, end);
  }
  taken_.push_back(handle);
  const MessageStream all = client_.read_list(handle);
  MessageStream rest;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < all.count(); ++i) {
    const ByteView message = all.next(offset);
    if (i >= already) rest.append(message);
  }
  return rest;
}

void ModuleEngine::settle_rest(bool stored) {
  for (const std::uint32_t handle : std::exchange(taken_, {})) {
    if (stored) {
      client_.drop(handle);
    } else {
      client_.put(handle, UDPCR_POSITION_FRONT);
    }
  }
}

Restored ModuleEngine::restore(const SocketState& state, const RestoreOptions& options) {
  ModuleFill fill(client_, new_handle(), new_handle());
  return restore_socket(state, options, fresh_, fill);
}

std::vector<Loss> ModuleEngine::limits() const {
  std::vector<Loss> limits;
  ModuleClient client;
  const UniqueFd fd(rights().socket(AF_INET6, SOCK_DGRAM, 0));
  if (fd && client.available()) {
    std::vector<std::uint16_t> unknown;
    const SocketRecord record = decode_record(client.record(SocketName::of(fd.get())), unknown);
    for (const SocketOption& option : record.options) {
      if (find_option(option.level, option.name) != nullptr || kept_elsewhere(option)) continue;
      limits.push_back({std::string("option ") + std::to_string(option.level) + "/" +
                            std::to_string(option.name),
                        "the module tells it, and this version does not know it",
                        "use a newer udpcr"});
    }
    if (write_number(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, 65536) != 0) {
      limits.push_back({"sockets of other users, buffers beyond net.core.rmem_max, SO_MARK",
                        "this user may not read or set them", "run with CAP_NET_ADMIN"});
    }
  }
  constexpr const char* kAgain = "let the program set them again";
  limits.push_back({"eBPF programs, UDP_ENCAP, sockmap", "they are found and named", kAgain});
  limits.push_back({"flow label leases, eBPF steering, IPsec policies (IP_XFRM_POLICY)",
                    "the kernel does not tell them", kAgain});
  limits.push_back({"security label, cgroup", "they are those of whoever restarts the program",
                    "restart in the same context"});
  return limits;
}

std::unique_ptr<Engine> make_engine(UseEngine choice) {
  if (choice == UseEngine::userspace) return make_userspace_engine();
  if (choice == UseEngine::module) {
    try {
      return std::make_unique<ModuleEngine>(nullptr);
    } catch (const Error& error) {
      throw Error(std::string("UDPCR_ENGINE=module is not possible: ") + error.what() +
                      ", or set UDPCR_ENGINE=auto",
                  error.error_number());
    }
  }
  try {
    return std::make_unique<ModuleEngine>(make_userspace_engine());
  } catch (const Error&) {
    return make_userspace_engine();
  }
}

}  // namespace udpcr
