// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {

// Ancillary data for sendmsg(2), one piece after the other.
class ControlMessages {
 public:
  template <typename T>
  void add(int level, int type, const T& value) {
    put(level, type, &value, sizeof value);
  }
  void add_bytes(int level, int type, ByteView value) {
    put(level, type, value.data(), value.size());
  }
  // `message` refers to what is collected here.
  void attach(msghdr& message) {
    message.msg_control = bytes_.empty() ? nullptr : bytes_.data();
    message.msg_controllen = bytes_.size();
  }

 private:
  void put(int level, int type, const void* value, std::size_t size) {
    cmsghdr header{};
    header.cmsg_level = level;
    header.cmsg_type = type;
    header.cmsg_len = CMSG_LEN(size);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + CMSG_SPACE(size));
    std::memcpy(&bytes_[at], &header, sizeof header);
    std::memcpy(&bytes_[at + CMSG_LEN(0)], value, size);
  }
  Bytes bytes_;  // new[] aligns it for a cmsghdr
};

}  // namespace udpcr
