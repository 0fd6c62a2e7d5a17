// SPDX-License-Identifier: LGPL-2.1-or-later
//
// All sockets of an image are made again.
#pragma once

#include <optional>
#include <set>
#include <udpcr/image.hpp>
#include <vector>

#include "address_map.hpp"
#include "identity.hpp"
#include "keeper/park/key.hpp"
#include "log.hpp"
#include "settings.h"
#include "signal_owner.hpp"
#include "told_options.hpp"

namespace udpcr::keeper {

// In Image::sockets: not there.
constexpr std::size_t kNotInImage = ~std::size_t{0};

struct RestoredSocket {
  std::size_t number = kNotInImage;  // in Image::sockets
  UniqueFd fd;
  SocketRecord record;  // mapped
  SignalOwner owner;
  std::size_t datagrams = 0;
  std::optional<ParkKey> parked;  // the very socket of an earlier start
};

using OpenSocket = decltype(RestoreOptions::open_socket);

class ImageRestore {
 public:
  // `path` names the image in lines.  What goes wrong with a socket is a line,
  // and the others are restored.
  // `parked`: cookies of sockets that live, parked.
  ImageRestore(const Image& image, const Settings& settings, const std::string& path,
               const AddressMap& map, const Identity& program,
               const std::set<std::uint64_t>& parked, ToldOptions& told, Log& log);

  // See RestoreOptions::open_socket.
  void open_sockets_by(OpenSocket open) { options_.open_socket = std::move(open); }
  // In the order of the image.
  std::vector<RestoredSocket> run(Engine& engine);
  // Nothing is missing.
  [[nodiscard]] bool complete() const { return complete_; }
  // Passed over: the program was handed them down.
  [[nodiscard]] std::size_t alive() const { return alive_; }

 private:
  std::vector<SocketRecord> decode_records();
  void restore(std::size_t number, SocketRecord record, Engine& engine);
  Restored restore_patiently(Engine& engine, const SocketState& state);
  void say(const SocketRecord& record, const std::vector<Loss>& losses);

  const Image& image_;
  const Settings& settings_;
  const std::string& path_;
  const AddressMap& map_;
  const Identity& program_;
  const std::set<std::uint64_t>& parked_;
  ToldOptions& told_;
  Log& log_;
  RestoreOptions options_;
  std::string boot_id_;
  std::vector<RestoredSocket> restored_;
  std::size_t too_old_ = 0;
  std::size_t alive_ = 0;
  int ports_waited_ms_ = 0;
  bool complete_ = true;
};

// bind(2) was called, as far as is known.
bool was_bound(const SocketRecord& record);

}  // namespace udpcr::keeper
