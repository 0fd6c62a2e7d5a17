// SPDX-License-Identifier: LGPL-2.1-or-later
#include "identity.hpp"

#include <algorithm>

namespace udpcr::keeper {

Identity Identity::from_hello(const Packet& packet) {
  const auto hello = packet.as<wire::HelloMessage>();
  if (packet.data.size() !=
      sizeof hello + std::size_t{hello.executable_size} + hello.arguments_size) {
    throw Error("the program's hello does not have the length that it states");
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
  return identity;
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
