// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The commands of the kernel module (udpcr_netlink.h), a method each.  Errors
// are udpcr::Error with the kernel's errno and its sentence.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <udpcr/udpcr.hpp>

#include "netlink_socket.hpp"

namespace udpcr {

// How a request names a socket.
struct SocketName {
  std::uint64_t inode = 0;
  std::optional<int> fd;                // of the caller
  std::optional<std::uint64_t> cookie;  // SO_COOKIE

  // The socket that `fd` refers to.
  static SocketName of(int fd);
};

// What a request is answered with.
struct Answer {
  Ack ack;
  std::vector<Bytes> replies;  // from genlmsghdr on, without final padding
};

struct Taken {
  std::uint32_t count = 0;  // datagrams
  std::uint32_t rmem = 0;   // bytes charged for them
};

// A socket that the module has parked.
struct Parked {
  // What PARKED tells of it; `uid` is who parked it.
  SocketRecord record;
  Bytes key;
  std::uint32_t seconds = 0;           // from `since` on
  std::optional<std::uint64_t> since;  // ns of CLOCK_BOOTTIME; absent: somebody has it open
  std::uint64_t netns_inode = 0;       // of its network namespace; 0: an older module
  std::uint64_t netns_cookie = 0;      // SO_NETNS_COOKIE

  // UDPCR_SOCK_REUSEPORT_SIBLINGS: what it gets is kept from readers that live.
  [[nodiscard]] bool has_siblings() const;
};

// A datagram that the module did not take.
struct Refusal {
  std::size_t index = 0;  // in the stream
  Ack ack;
};

// Lists held aside are known on the netlink socket of this object, which a
// fork's child makes anew with its first request: a list is its maker's.
class ModuleClient {
 public:
  // Looks for the module in the caller's network namespace; throws nothing.
  ModuleClient() noexcept;

  // False: no module answers; then `absence` says why, and every other method
  // throws it.
  [[nodiscard]] bool available() const noexcept { return family_ != 0; }
  [[nodiscard]] std::uint16_t family() const noexcept { return family_; }
  [[nodiscard]] const Error& absence() const noexcept { return absence_; }

  // UDPCR_CMD_SOCKET: messages for decode_record().
  Bytes record(const SocketName& name);
  std::vector<Bytes> records();

  // UDPCR_CMD_QUEUE; `queue`: UDPCR_QUEUE_*.
  MessageStream read_queue(const SocketName& name, std::uint32_t queue);
  MessageStream read_list(std::uint32_t handle);

  Taken take(const SocketName& name, std::uint32_t handle);
  // `queue`: UDPCR_QUEUE_RECEIVE or UDPCR_QUEUE_ERROR.
  void stage(const SocketName& name, std::uint32_t handle, std::uint32_t queue = 0);
  // UDPCR_CMD_DATAGRAM for each message, in order; those refused are left out.
  std::vector<Refusal> add(std::uint32_t handle, const MessageStream& datagrams);
  // `position`: UDPCR_POSITION_*.
  void put(std::uint32_t handle, std::uint32_t position);
  void drop(std::uint32_t handle);

  UniqueFd open_socket(const SocketName& name);
  void set_drops(const SocketName& name, std::uint32_t drops);
  void set_error(const SocketName& name, std::uint32_t error_number);
  void set_tskey(const SocketName& name, std::uint32_t key);
  // `flags`: of UDPCR_SOCK_BOUND_ADDR and _PORT those that stay.
  void set_bound(const SocketName& name, std::uint32_t flags);

  // Whether the loaded module is new enough for those that follow; an older one
  // refuses them with EOPNOTSUPP.
  bool parks();
  // `key`: at most UDPCR_MAX_KEY bytes; `seconds`: 0 for UDPCR_PARK_SECONDS.
  // `name` has an fd.
  void park(const SocketName& name, ByteView key, std::uint32_t seconds = 0);
  // EBUSY while anybody else has it open, ENOENT when another was faster,
  // EKEYREJECTED when `key` is not the park's.  Of `name` only inode and cookie
  // count here.
  UniqueFd claim(const SocketName& name, ByteView key);
  void unpark(const SocketName& name);
  // What the caller may claim.
  std::vector<Parked> parked();
  // What is parked in all network namespaces, of those too that nobody is in;
  // EPERM without CAP_NET_ADMIN in the initial user namespace.
  std::vector<Parked> parked_everywhere();

  // The attributes that the loaded module takes with a command.  stage() for
  // the error queue, set_tskey() and set_bound() throw Error with EOPNOTSUPP
  // when it is too old for them.
  const std::set<std::uint16_t>& attributes(std::uint8_t command);
  const std::set<std::uint16_t>& datagram_attributes();

  // For tests: any request.  `flags`: NLM_F_DUMP or 0; `attributes`: whole
  // and padded.
  Answer raw(std::uint8_t command, std::uint16_t flags, ByteView attributes);

 private:
  NetlinkSocket& connection();
  // Throws what the module refuses: "cannot WHAT: SENTENCE".
  Answer ask(const std::string& what, std::uint8_t command, std::uint16_t flags,
             ByteView attributes);
  void need(const std::string& what, std::uint8_t command, std::uint16_t attribute);
  MessageStream dump_queue(const std::string& what, ByteView attributes);
  std::vector<Parked> dump_parked(ByteView attributes);

  std::unique_ptr<NetlinkSocket> connection_;
  int connected_in_ = 0;      // process id
  std::uint16_t family_ = 0;  // 0: none
  Error absence_{""};
  std::map<std::uint8_t, std::set<std::uint16_t>> attributes_;
};

}  // namespace udpcr
