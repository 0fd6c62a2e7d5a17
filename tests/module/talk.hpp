// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Netlink by hand: the module's messages as they are, so that what the
// library's client would never send, or would pass over, is tried too.
#pragma once

#include <udpcr/udpcr_netlink.h>

#include <functional>
#include <udpcr/udpcr.hpp>

#include "network.hpp"

namespace udpcr::test {

struct Attr {
  std::uint16_t type = 0;
  Bytes value;
};

// The attributes of a message or of a nest.
struct Attrs {
  std::vector<Attr> all;

  [[nodiscard]] bool has(std::uint16_t type) const { return find(type) != nullptr; }
  // Throw when it is not there once, or has another length.
  [[nodiscard]] Bytes bytes(std::uint16_t type) const;
  [[nodiscard]] std::string string(std::uint16_t type) const;  // without its NUL
  [[nodiscard]] std::uint8_t u8(std::uint16_t type) const { return as<std::uint8_t>(type); }
  [[nodiscard]] std::uint16_t u16(std::uint16_t type) const { return as<std::uint16_t>(type); }
  [[nodiscard]] std::uint16_t port(std::uint16_t type) const;  // in host order
  [[nodiscard]] std::uint32_t u32(std::uint16_t type) const { return as<std::uint32_t>(type); }
  [[nodiscard]] std::uint64_t u64(std::uint16_t type) const { return as<std::uint64_t>(type); }
  [[nodiscard]] std::vector<Attrs> nests(std::uint16_t type) const;
  // Of an address, a port and a scope attribute; 0 as scope: there is none.
  [[nodiscard]] Address address(std::uint16_t address, std::uint16_t port,
                                std::uint16_t scope = 0) const;

  static Attrs parse(ByteView bytes);

 private:
  [[nodiscard]] const Attr* find(std::uint16_t type) const;
  template <typename T>
  [[nodiscard]] T as(std::uint16_t type) const;
};

struct Message : Attrs {
  std::uint8_t command = 0;
};

// A message to be sent.
class Request {
 public:
  explicit Request(std::uint8_t command) : command_(command) {}
  Request& raw(std::uint16_t type, const void* data, std::size_t size);
  Request& bytes(std::uint16_t type, const Bytes& value) {
    return raw(type, value.data(), value.size());
  }
  Request& u8(std::uint16_t type, std::uint8_t value) { return raw(type, &value, sizeof value); }
  Request& u16(std::uint16_t type, std::uint16_t value) { return raw(type, &value, sizeof value); }
  Request& port(std::uint16_t type, std::uint16_t value);  // from host order
  Request& u32(std::uint16_t type, std::uint32_t value) { return raw(type, &value, sizeof value); }
  Request& u64(std::uint16_t type, std::uint64_t value) { return raw(type, &value, sizeof value); }
  Request& nest(std::uint16_t type, const Request& inner);
  // All attributes of a message that the module gave.
  Request& copy(const Attrs& attributes);

  // A socket by inode; with `proof` also by fd.
  Request& socket(int fd, bool proof = true);

  [[nodiscard]] std::uint8_t command() const { return command_; }
  [[nodiscard]] const Bytes& payload() const { return payload_; }

 private:
  std::uint8_t command_;
  Bytes payload_;
};

// How the module answered.
struct Answer {
  int error = 0;  // errno
  std::string sentence;
  std::vector<Message> messages;
  // The only message of a successful answer; throws when it is another number.
  [[nodiscard]] const Message& one() const;
};

// A generic netlink socket, made in the caller's network namespace.
class Talk {
 public:
  // Throws when the module is not there.
  Talk();
  Answer ask(const Request& request) { return exchange(request, 0); }
  Answer dump(const Request& request);
  // Throws unless the module agrees.
  Answer must(const Request& request);
  std::vector<Message> must_dump(const Request& request);
  // Sends without waiting; answers come with collect(), one ACK each.
  void post(const Request& request);
  Answer collect();
  // A dump by hand: what the next recv gives; false at the end.
  void begin_dump(const Request& request);
  bool next_part(Answer& answer);
  // From now on without an address, as by write(2): then the rights of the
  // socket's opener count as well (net/netlink/af_netlink.c, NETLINK_SKB_DST).
  void send_by_write();
  void close() { fd_.reset(); }
  // Goes on with another's netlink socket.
  void adopt(UniqueFd fd) { fd_ = std::move(fd); }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // Shorthands.
  Message record(int fd) {
    settle();
    return must(Request(UDPCR_CMD_SOCKET).socket(fd)).one();
  }
  std::vector<Message> queue(int fd, std::uint32_t which = UDPCR_QUEUE_RECEIVE);
  std::vector<Message> held(std::uint32_t handle);
  Message take(int fd, std::uint32_t handle);
  void stage(int fd, std::uint32_t handle, std::uint32_t which = UDPCR_QUEUE_RECEIVE);
  void add(std::uint32_t handle, const Attrs& datagram);
  void put(std::uint32_t handle, std::uint32_t position);
  void drop(std::uint32_t handle);

 private:
  Answer exchange(const Request& request, std::uint16_t flags);
  void send(const Request& request, std::uint16_t flags);
  bool receive(Answer& answer);

  UniqueFd fd_;
  bool by_write_ = false;
  std::uint16_t family_ = 0;
  std::uint32_t sequence_ = 0;
  Bytes room_;
};

std::uint64_t inode_of(int fd);

// "ENOENT: there is no ..."
std::string to_string(const Answer& answer);

}  // namespace udpcr::test
