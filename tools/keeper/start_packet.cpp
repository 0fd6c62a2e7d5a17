// SPDX-License-Identifier: LGPL-2.1-or-later
#include "start_packet.hpp"

#include <bit>
#include <cstring>

namespace udpcr::keeper {

namespace {

std::string image_path(const Packet& start) {
  const auto message = start.as<wire::StartMessage>();
  const char* const path = message.settings.image;
  if (path[0] != '/' || std::memchr(path, '\0', sizeof message.settings.image) == nullptr) {
    throw Error("the start message carries no absolute image path");
  }
  return path;
}

}  // namespace

const UniqueFd& start_file(const Packet& start, std::uint32_t kind) {
  static const UniqueFd kNone;
  const std::uint32_t kinds = start.as<wire::StartMessage>().fds;
  const std::size_t before = std::size_t(std::popcount(kinds & (kind - 1)));
  return (kinds & kind) != 0 ? start.fds[1 + before] : kNone;
}

ImageFolder image_folder(const Packet& start, bool by_path) {
  const std::size_t files = std::size_t(std::popcount(start.as<wire::StartMessage>().fds));
  if (start.fds.size() != 1 + files) {
    throw Error("the start message does not carry the shared page and what it states");
  }
  if (by_path) return ImageFolder(image_path(start));
  return {image_path(start), start_file(start, wire::kStartFolder)};
}

}  // namespace udpcr::keeper
