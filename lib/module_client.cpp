// SPDX-License-Identifier: LGPL-2.1-or-later
#include "module_client.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/stat.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "attributes.hpp"
#include "errors.hpp"
#include "rights.hpp"

namespace udpcr {
namespace {

// A dump of all sockets during which some came and went is made again.
constexpr int kDumpAttempts = 8;

Bytes message_of(std::uint8_t command, std::uint8_t version, ByteView attributes) {
  const genlmsghdr header{command, version, 0};
  Bytes message(sizeof header + attributes.size());
  std::memcpy(message.data(), &header, sizeof header);
  std::copy(attributes.begin(), attributes.end(), message.begin() + sizeof header);
  return message;
}

AttributeWriter named(const SocketName& name) {
  AttributeWriter writer;
  writer.u64(UDPCR_A_INO, name.inode);
  if (name.fd) writer.u32(UDPCR_A_FD, static_cast<std::uint32_t>(*name.fd));
  if (name.cookie) writer.u64(UDPCR_A_COOKIE, *name.cookie);
  return writer;
}

AttributeWriter named_in_park(const SocketName& name) {
  return named({name.inode, std::nullopt, name.cookie});
}

AttributeWriter listed(std::uint32_t handle) {
  AttributeWriter writer;
  writer.u32(UDPCR_A_HANDLE, handle);
  return writer;
}

std::string text_of(const SocketName& name) { return "socket " + std::to_string(name.inode); }
std::string text_of(std::uint32_t handle) { return "list " + std::to_string(handle); }

AttributeReader attributes_of(ByteView message) {
  return AttributeReader(message.subspan(std::min<std::size_t>(GENL_HDRLEN, message.size())));
}

// PARKED tells a part of the record, and what is the park's.
Parked decode_parked(ByteView message) {
  Bytes record(message.begin(), message.end());
  if (!record.empty()) record[offsetof(genlmsghdr, cmd)] = UDPCR_CMD_SOCKET;
  std::vector<std::uint16_t> not_of_record;
  Parked parked;
  parked.record = decode_record(record, not_of_record);
  AttributeReader reader = attributes_of(message);
  for (Attribute attribute; reader.next(attribute);) {
    if (attribute.type == UDPCR_A_KEY) {
      parked.key.assign(attribute.value.begin(), attribute.value.end());
    } else if (attribute.type == UDPCR_A_SECONDS) {
      parked.seconds = attribute.as<std::uint32_t>();
    } else if (attribute.type == UDPCR_A_SINCE) {
      parked.since = attribute.as<std::uint64_t>();
    } else if (attribute.type == UDPCR_A_NETNS_INO) {
      parked.netns_inode = attribute.as<std::uint64_t>();
    } else if (attribute.type == UDPCR_A_NETNS_COOKIE) {
      parked.netns_cookie = attribute.as<std::uint64_t>();
    }
  }
  return parked;
}

// The fd of an answer.
std::optional<UniqueFd> fd_of(const std::vector<Bytes>& replies) {
  for (const Bytes& reply : replies) {
    AttributeReader reader = attributes_of(reply);
    for (Attribute attribute; reader.next(attribute);) {
      if (attribute.type != UDPCR_A_FD) continue;
      return UniqueFd(static_cast<int>(attribute.as<std::uint32_t>()));
    }
  }
  return std::nullopt;
}

std::uint16_t resolve(NetlinkSocket& socket) {
  AttributeWriter writer;
  writer.put(CTRL_ATTR_FAMILY_NAME, UDPCR_GENL_NAME, sizeof UDPCR_GENL_NAME);
  std::uint16_t family = 0;
  const Ack ack = socket.request(GENL_ID_CTRL, 0, message_of(CTRL_CMD_GETFAMILY, 1, writer.bytes()),
                                 [&](ByteView reply) {
                                   AttributeReader reader = attributes_of(reply);
                                   for (Attribute attribute; reader.next(attribute);) {
                                     if (attribute.type == CTRL_ATTR_FAMILY_ID)
                                       family = attribute.as<std::uint16_t>();
                                   }
                                 });
  if (ack.error_number == ENOENT) {
    throw Error("the kernel module udpcr is not loaded; load it with `modprobe udpcr`", ENOENT);
  }
  if (ack.error_number != 0 || family == 0) {
    fail("look for the kernel module udpcr", ack.error_number, ack.sentence);
  }
  return family;
}

}  // namespace

SocketName SocketName::of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("read the inode of fd " + std::to_string(fd), errno, "");
  return {status.st_ino, fd, std::nullopt};
}

ModuleClient::ModuleClient() noexcept {
  try {
    connection_ = std::make_unique<NetlinkSocket>();
    connected_in_ = ::getpid();
    family_ = resolve(*connection_);
  } catch (const Error& error) {
    absence_ = error;
  } catch (const std::exception& error) {
    absence_ = Error(error.what(), ENOMEM);
  }
}

NetlinkSocket& ModuleClient::connection() {
  if (!available()) throw absence_;
  if (connected_in_ != ::getpid()) {
    connection_ = std::make_unique<NetlinkSocket>();
    connected_in_ = ::getpid();
  }
  return *connection_;
}

Answer ModuleClient::raw(std::uint8_t command, std::uint16_t flags, ByteView attributes) {
  Answer answer;
  answer.ack = connection().request(
      family_, flags, message_of(command, UDPCR_GENL_VERSION, attributes),
      [&](ByteView reply) { answer.replies.emplace_back(reply.begin(), reply.end()); });
  return answer;
}

Answer ModuleClient::ask(const std::string& what, std::uint8_t command, std::uint16_t flags,
                         ByteView attributes) {
  Answer answer = raw(command, flags, attributes);
  if (answer.ack.error_number != 0) fail(what, answer.ack.error_number, answer.ack.sentence);
  return answer;
}

Bytes ModuleClient::record(const SocketName& name) {
  const std::string what = "read the record of " + text_of(name);
  Answer answer = ask(what, UDPCR_CMD_SOCKET, 0, named(name).bytes());
  if (answer.replies.size() != 1) fail(what, EPROTO, "load the module of this udpcr");
  return std::move(answer.replies.front());
}

std::vector<Bytes> ModuleClient::records() {
  Answer answer;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    answer = ask("list the sockets of this network namespace", UDPCR_CMD_SOCKET, NLM_F_DUMP, {});
    if (!answer.ack.interrupted) break;
  }
  return std::move(answer.replies);
}

// Not through raw(): a queue may be large, and is copied once only.
MessageStream ModuleClient::dump_queue(const std::string& what, ByteView attributes) {
  MessageStream stream;
  const Ack ack = connection().request(family_, NLM_F_DUMP,
                                       message_of(UDPCR_CMD_QUEUE, UDPCR_GENL_VERSION, attributes),
                                       [&](ByteView reply) { stream.append(reply); });
  if (ack.error_number != 0) fail(what, ack.error_number, ack.sentence);
  if (ack.interrupted) fail(what, EAGAIN, "it changed meanwhile; try again");
  return stream;
}

MessageStream ModuleClient::read_queue(const SocketName& name, std::uint32_t queue) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_QUEUE, queue);
  return dump_queue("read queue " + std::to_string(queue) + " of " + text_of(name),
                    request.bytes());
}

MessageStream ModuleClient::read_list(std::uint32_t handle) {
  return dump_queue("read " + text_of(handle), listed(handle).bytes());
}

Taken ModuleClient::take(const SocketName& name, std::uint32_t handle) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_HANDLE, handle);
  const Answer answer =
      ask("take the queue of " + text_of(name) + " aside", UDPCR_CMD_TAKE, 0, request.bytes());
  Taken taken;
  for (const Bytes& reply : answer.replies) {
    AttributeReader reader = attributes_of(reply);
    for (Attribute attribute; reader.next(attribute);) {
      if (attribute.type == UDPCR_A_QUEUE_COUNT) taken.count = attribute.as<std::uint32_t>();
      if (attribute.type == UDPCR_A_RMEM) taken.rmem = attribute.as<std::uint32_t>();
    }
  }
  return taken;
}

void ModuleClient::stage(const SocketName& name, std::uint32_t handle, std::uint32_t queue) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_HANDLE, handle);
  const std::string what = "begin queue " + std::to_string(queue) + " for " + text_of(name);
  // Left out where it is the default: an older module knows no other queue.
  if (queue != UDPCR_QUEUE_RECEIVE) {
    need(what, UDPCR_CMD_STAGE, UDPCR_A_QUEUE);
    request.u32(UDPCR_A_QUEUE, queue);
  }
  ask(what, UDPCR_CMD_STAGE, 0, request.bytes());
}

std::vector<Refusal> ModuleClient::add(std::uint32_t handle, const MessageStream& datagrams) {
  std::vector<Refusal> refusals;
  const AttributeWriter list = listed(handle);
  NetlinkSocket& socket = connection();
  socket.begin([&](std::size_t number, const Ack& ack) { refusals.push_back({number, ack}); });
  std::size_t offset = 0;
  for (ByteView message = datagrams.next(offset); !message.empty();
       message = datagrams.next(offset)) {
    socket.add(family_, message, list.bytes());
  }
  socket.flush();
  return refusals;
}

void ModuleClient::put(std::uint32_t handle, std::uint32_t position) {
  AttributeWriter request = listed(handle);
  request.u32(UDPCR_A_POSITION, position);
  ask("put " + text_of(handle) + " into its queue", UDPCR_CMD_PUT, 0, request.bytes());
}

void ModuleClient::drop(std::uint32_t handle) {
  ask("drop " + text_of(handle), UDPCR_CMD_DROP, 0, listed(handle).bytes());
}

UniqueFd ModuleClient::open_socket(const SocketName& name) {
  const std::string what = "open " + text_of(name);
  auto fd = fd_of(ask(what, UDPCR_CMD_OPEN, 0, named(name).bytes()).replies);
  if (!fd) fail(what, EPROTO, "load the module of this udpcr");
  return *std::move(fd);
}

void ModuleClient::set_drops(const SocketName& name, std::uint32_t drops) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_DROPS, drops);
  ask("set the drop counter of " + text_of(name), UDPCR_CMD_SET, 0, request.bytes());
}

void ModuleClient::set_error(const SocketName& name, std::uint32_t error_number) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_ERROR, error_number);
  ask("set the pending error of " + text_of(name), UDPCR_CMD_SET, 0, request.bytes());
}

void ModuleClient::set_tskey(const SocketName& name, std::uint32_t key) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_TSKEY, key);
  const std::string what = "set the counter of timestamps of " + text_of(name);
  need(what, UDPCR_CMD_SET, UDPCR_A_TSKEY);
  ask(what, UDPCR_CMD_SET, 0, request.bytes());
}

void ModuleClient::set_bound(const SocketName& name, std::uint32_t flags) {
  AttributeWriter request = named(name);
  request.u32(UDPCR_A_SOCK_FLAGS, flags);
  const std::string what = "set what was bound of " + text_of(name);
  need(what, UDPCR_CMD_SET, UDPCR_A_SOCK_FLAGS);
  ask(what, UDPCR_CMD_SET, 0, request.bytes());
}

bool Parked::has_siblings() const { return (record.flags & UDPCR_SOCK_REUSEPORT_SIBLINGS) != 0; }

bool ModuleClient::parks() {
  if (!available()) throw absence_;
  try {
    return attributes(UDPCR_CMD_PARK).count(UDPCR_A_KEY) != 0;
  } catch (const Error& error) {
    // ctrl_dumppolicy_start (net/netlink/genetlink.c) of a command that is none.
    if (error.error_number() == ENOENT) return false;
    throw;
  }
}

void ModuleClient::park(const SocketName& name, ByteView key, std::uint32_t seconds) {
  AttributeWriter request = named(name);
  request.put(UDPCR_A_KEY, key.data(), key.size());
  request.u32(UDPCR_A_SECONDS, seconds);
  ask("park " + text_of(name), UDPCR_CMD_PARK, 0, request.bytes());
}

UniqueFd ModuleClient::claim(const SocketName& name, ByteView key) {
  const std::string what = "claim " + text_of(name);
  if (name.cookie) {
    UniqueFd by_others(rights().claim_parked(name.inode, *name.cookie, key));
    if (by_others) return by_others;
    if (errno != ENOSYS) fail(what, errno, "");
  }
  AttributeWriter request = named_in_park(name);
  request.put(UDPCR_A_KEY, key.data(), key.size());
  auto fd = fd_of(ask(what, UDPCR_CMD_CLAIM, 0, request.bytes()).replies);
  if (!fd) fail(what, EPROTO, "load the module of this udpcr");
  return *std::move(fd);
}

void ModuleClient::unpark(const SocketName& name) {
  ask("end the park of " + text_of(name), UDPCR_CMD_UNPARK, 0, named_in_park(name).bytes());
}

std::vector<Parked> ModuleClient::parked() { return dump_parked({}); }

std::vector<Parked> ModuleClient::parked_everywhere() {
  AttributeWriter request;
  request.put(UDPCR_A_ALL_NETNS, nullptr, 0);
  return dump_parked(request.bytes());
}

std::vector<Parked> ModuleClient::dump_parked(ByteView attributes) {
  std::vector<Parked> all;
  const Answer answer = ask("list the parked sockets", UDPCR_CMD_PARKED, NLM_F_DUMP, attributes);
  all.reserve(answer.replies.size());
  for (const Bytes& reply : answer.replies) all.push_back(decode_parked(reply));
  return all;
}

// include/uapi/linux/genetlink.h: CTRL_ATTR_OP_POLICY tells the number of the
// request's policy, CTRL_ATTR_POLICY that policy, an attribute a message.
const std::set<std::uint16_t>& ModuleClient::attributes(std::uint8_t command) {
  const auto known = attributes_.find(command);
  if (known != attributes_.end()) return known->second;
  NetlinkSocket& socket = connection();
  AttributeWriter request;
  request.put(CTRL_ATTR_FAMILY_ID, &family_, sizeof family_);
  request.u32(CTRL_ATTR_OP, command);
  std::optional<std::uint32_t> policy;
  std::set<std::uint16_t> taken;
  const auto each = [](ByteView nest, const auto& handle) {
    AttributeReader reader(nest);
    for (Attribute attribute; reader.next(attribute);) handle(attribute);
  };
  const Ack ack =
      socket.request(GENL_ID_CTRL, NLM_F_DUMP, message_of(CTRL_CMD_GETPOLICY, 1, request.bytes()),
                     [&](ByteView reply) {
                       each(reply.subspan(GENL_HDRLEN), [&](const Attribute& top) {
                         if (top.type != CTRL_ATTR_OP_POLICY && top.type != CTRL_ATTR_POLICY)
                           return;
                         each(top.value, [&](const Attribute& second) {
                           each(second.value, [&](const Attribute& third) {
                             if (top.type == CTRL_ATTR_POLICY) {
                               if (second.type == policy) taken.insert(third.type);
                             } else if (third.type == CTRL_ATTR_POLICY_DO) {
                               policy = third.as<std::uint32_t>();
                             }
                           });
                         });
                       });
                     });
  if (ack.error_number != 0 || taken.empty()) {
    fail("learn which attributes the kernel module takes", ack.error_number, ack.sentence);
  }
  return attributes_[command] = std::move(taken);
}

const std::set<std::uint16_t>& ModuleClient::datagram_attributes() {
  return attributes(UDPCR_CMD_DATAGRAM);
}

void ModuleClient::need(const std::string& what, std::uint8_t command, std::uint16_t attribute) {
  if (attributes(command).count(attribute) == 0) {
    fail(what, EOPNOTSUPP,
         "the loaded module is older than this udpcr; load the module of this udpcr");
  }
}

}  // namespace udpcr
