// SPDX-License-Identifier: LGPL-2.1-or-later
#include "identity.hpp"

#include <algorithm>
#include <string_view>

#include "fresh_socket.hpp"
#include "kernel_numbers.hpp"

namespace udpcr::keeper {

namespace {

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    names.emplace_back(text.substr(0, colon));
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  return names;
}

}  // namespace

Identity Identity::from_hello(const Packet& packet) {
  const auto hello = packet.as<wire::HelloMessage>();
  if (packet.data.size() != sizeof hello + std::size_t{hello.executable_size} +
                                hello.arguments_size + hello.names_size ||
      hello.live_count > wire::kMostLive ||
      packet.fds.size() != (hello.has_stderr != 0 ? 1U : 0U)) {
    throw Error("the program's hello does not hold what it states");
  }
  Identity identity;
  identity.arguments_cut = hello.arguments_cut != 0;
  identity.arguments_hash = hello.arguments_hash;
  const char* text = reinterpret_cast<const char*>(packet.data.data()) + sizeof hello;
  if (hello.executable_size > 0) identity.executable.assign(text, hello.executable_size - 1);
  text += hello.executable_size;
  const char* const end = text + hello.arguments_size;
  while (text < end) {
    const char* const stop = std::find(text, end, '\0');
    identity.arguments.emplace_back(text, stop);
    text = stop + 1;
  }
  const std::vector<std::string> names = split_names({end, hello.names_size});
  identity.listen_count = hello.listen_count;
  identity.listen_room = hello.listen_room;
  identity.waits = hello.waits != 0;
  for (std::size_t i = 0; i < hello.live_count; ++i) {
    LiveSocket live{hello.live[i].fd, hello.live[i].cookie, {}};
    const auto place = std::size_t(live.number - kFirstListenFd);
    if (live.number >= kFirstListenFd && place < names.size() && place < hello.listen_count) {
      live.name = names[place];
    }
    identity.live.push_back(std::move(live));
  }
  return identity;
}

bool Identity::has_alive(std::uint64_t cookie) const {
  return cookie != 0 && std::any_of(live.begin(), live.end(), [&](const LiveSocket& socket) {
           return socket.cookie == cookie;
         });
}

bool may_take(const Identity& program, const Image& image, Match match, std::string& reason) {
  if (match == Match::any) return true;
  if (program.executable != image.executable) {
    reason = "it was written by " + image.executable + ", this is " + program.executable;
    return false;
  }
  if (match == Match::argv && program.arguments_hash != image.full_arguments_hash.value_or(
                                                            arguments_hash(image.arguments))) {
    reason = "it was written by " + image.executable +
             " with other arguments (UDPCR_MATCH=exe takes it all the same)";
    return false;
  }
  return true;
}

}  // namespace udpcr::keeper
