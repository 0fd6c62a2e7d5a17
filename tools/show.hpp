// SPDX-License-Identifier: LGPL-2.1-or-later
//
// `udpcr show` and `udpcr verify`: what an image holds, and whether it is sound.
#pragma once

#include <cstdint>
#include <string>
#include <udpcr/image.hpp>
#include <utility>
#include <vector>

namespace udpcr::tool {

// Exit status 0: good; 1: error, said on stderr; 2: usage.
// `argv[0]` is the command's own name.
int show_main(int argc, char** argv);
int verify_main(int argc, char** argv);

struct ShownDatagram {
  std::optional<Address> source;
  std::optional<Address> destination;
  std::size_t size = 0;  // bytes of payload
};

struct ShownQueue {
  std::size_t datagrams = 0;
  std::uint64_t bytes = 0;            // of payload
  std::vector<ShownDatagram> listed;  // empty unless asked for
};

struct ShownSocket {
  SocketRecord record;
  std::vector<std::pair<std::int32_t, std::int32_t>> fds;  // pid, number
  ShownQueue receive_queue;
  ShownQueue send_queue;
  ShownQueue error_queue;
};

// An image with its messages decoded.
struct Shown {
  std::string path;
  bool queues = false;  // the datagrams themselves are to be listed
  Image image;          // the queues are gone: `sockets` has what is shown of them
  std::vector<ShownSocket> sockets;
  std::vector<std::uint16_t> unknown;  // attributes that were skipped, each number once
};

// Decodes every message; throws Error on the first that is broken, with the
// socket's number in the image.
Shown examine(Image image, std::string path, bool queues);

std::string show_table(const Shown& shown);
std::string show_json(const Shown& shown);

// "SO_RCVBUF", or "level 17 option 4" when the name is not known.
std::string option_label(const SocketOption& option);
// "2024-05-01T12:00:00.123456789Z"
std::string utc_time(std::uint64_t nanoseconds);
// Whom F_SETOWN names: "process", "thread", "group"; "nobody".
std::string owner_kind(const FileOwner& owner);
std::string protocol_name(std::uint16_t protocol);
// For a terminal: control characters and what is no UTF-8 as \xNN.
std::string printable(const std::string& text);
// The length of the UTF-8 sequence (RFC 3629) at `at`; 0 when there is none.
std::size_t utf8_length(const std::string& text, std::size_t at) noexcept;

}  // namespace udpcr::tool
