// SPDX-License-Identifier: LGPL-2.1-or-later
#include "image_restore.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "image_report.hpp"
#include "restore_order.hpp"
#include "unseen.hpp"

namespace udpcr::keeper {

namespace {

// For ports that are still taken, all together.
constexpr int kPortPatienceMs = 1000;
constexpr int kPortPollMs = 10;

std::uint64_t age_seconds(const Image& image) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::uint64_t created = image.created / 1'000'000'000;
  return std::uint64_t(now.tv_sec) > created ? std::uint64_t(now.tv_sec) - created : 0;
}

// A program names a socket by binding or connecting it.
bool recognisable(const SocketRecord& record) { return was_bound(record) || record.peer; }

// Interfaces may have other numbers here.
void take_scopes_of(int fd, SocketRecord& record) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    record.local.scope = Address::from_sockaddr(name).scope;
  }
  size = sizeof name;
  if (record.peer && getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    record.peer->scope = Address::from_sockaddr(name).scope;
  }
}

}  // namespace

bool was_bound(const SocketRecord& record) {
  if ((record.flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0) return (record.flags & UDPCR_SOCK_BOUND) != 0;
  return record.local.port != 0;
}

ImageRestore::ImageRestore(const Image& image, const Settings& settings, const std::string& path,
                           const AddressMap& map, const Identity& program,
                           const std::set<std::uint64_t>& parked, ToldOptions& told, Log& log)
    : image_(image),
      settings_(settings),
      path_(path),
      map_(map),
      program_(program),
      parked_(parked),
      told_(told),
      log_(log),
      boot_id_(boot_id()) {
  options_.restore_options = settings.restore_options;
  options_.restore_queues =
      settings.queue_max_age == 0 || age_seconds(image) <= settings.queue_max_age;
}

std::vector<RestoredSocket> ImageRestore::run(Engine& engine) {
  std::vector<SocketRecord> records = decode_records();
  for (const std::size_t number : restore_order(records)) {
    // One that could not be decoded, as has been said.
    if (records[number].family == AF_UNSPEC) continue;
    // Handed down by a service manager, or kept through an exec.
    if (image_.boot_id == boot_id_ && program_.has_alive(records[number].cookie)) {
      ++alive_;
      log_.info(to_string(records[number].local) + " is not restored from image " + path_ +
                ": the program has the socket itself, with its queue");
      continue;
    }
    if (image_.boot_id == boot_id_ && parked_.count(records[number].cookie) != 0) {
      log_.debug(to_string(records[number].local) + " is not restored from image " + path_ +
                 ": the socket itself lives, parked");
      continue;
    }
    restore(number, std::move(records[number]), engine);
  }
  if (restored_.empty() && complete_ && !parked_.empty()) return {};
  std::sort(restored_.begin(), restored_.end(),
            [](const RestoredSocket& one, const RestoredSocket& other) {
              return one.number < other.number;
            });
  if (too_old_ > 0) {
    log_.warn(std::to_string(too_old_) + " queued datagrams of image " + path_ +
              " are not brought back: it is " + std::to_string(age_seconds(image_)) +
              " s old, UDPCR_QUEUE_MAX_AGE is " + std::to_string(settings_.queue_max_age) + " s");
  }
  std::size_t datagrams = 0;
  for (const RestoredSocket& socket : restored_) datagrams += socket.datagrams;
  log_.info("image " + path_ + ": " + std::to_string(restored_.size()) + " of " +
            std::to_string(image_.sockets.size()) + " sockets and " + std::to_string(datagrams) +
            " queued datagrams are back");
  return std::move(restored_);
}

std::vector<SocketRecord> ImageRestore::decode_records() {
  std::vector<SocketRecord> records;
  for (const ImageSocket& socket : image_.sockets) {
    SocketRecord& record = records.emplace_back();
    try {
      std::vector<std::uint16_t> unknown;
      record = decode_record(socket.record, unknown);
      for (const std::uint16_t attribute : unknown) {
        log_.warn("not restored: socket " + to_string(record.local) + ": attribute " +
                  std::to_string(attribute) + " is not known to this version");
      }
    } catch (const Error& error) {
      log_.error("not restored: " + std::string(error.what()));
      record = {};
      complete_ = false;
    }
  }
  return records;
}

void ImageRestore::restore(std::size_t number, SocketRecord record, Engine& engine) {
  const ImageSocket& socket = image_.sockets[number];
  const std::string where = to_string(record.local);
  if (settings_.fds == FdMode::adopt && !recognisable(record)) {
    log_.warn(
        "not restored: a socket that was neither bound nor connected cannot be told "
        "apart; UDPCR_FDS=inherit brings it back");
    complete_ = false;
    return;
  }
  // Held for nobody, it would be in the way of the program's own.
  if (settings_.fds == FdMode::adopt && has_unseen(socket.losses)) {
    log_.warn("not restored: " + to_string(record.local) +
              ": the program got it by a call that udpcr does not see; UDPCR_FDS=inherit brings "
              "it back");
    complete_ = false;
    return;
  }
  try {
    SocketState state;
    state.record = std::move(record);
    state.receive_queue = socket.receive_queue;
    state.send_queue = socket.send_queue;
    state.error_queue = socket.error_queue;
    state.losses = socket.losses;
    if (!map_.empty()) map_.apply(state);
    if (!options_.restore_queues) too_old_ += socket.receive_queue.count();
    Restored restored = restore_patiently(engine, state);
    RestoredSocket result;
    if (options_.restore_options) {
      result.owner = SignalOwner(state.record.owner, image_, number, boot_id_, restored.losses);
      told_.remember(restored.fd.get(), state.record, restored.losses);
    }
    say(state.record, restored.losses);
    take_scopes_of(restored.fd.get(), state.record);
    result.number = number;
    result.fd = std::move(restored.fd);
    result.record = std::move(state.record);
    result.datagrams = restored.datagrams;
    restored_.push_back(std::move(result));
  } catch (const Error& error) {
    const std::string why = error.what();
    log_.error("not restored: " + (why.find(where) == std::string::npos ? where + ": " : "") + why);
    complete_ = false;
  }
}

// A program that was killed a moment ago may still hold its port.
Restored ImageRestore::restore_patiently(Engine& engine, const SocketState& state) {
  for (;;) {
    try {
      return engine.restore(state, options_);
    } catch (const Error& error) {
      if (error.error_number() != EADDRINUSE || ports_waited_ms_ >= kPortPatienceMs) throw;
    }
    poll(nullptr, 0, kPortPollMs);
    ports_waited_ms_ += kPortPollMs;
  }
}

void ImageRestore::say(const SocketRecord& record, const std::vector<Loss>& losses) {
  for (const Loss& loss : losses) {
    log_.warn("not restored: " + to_string(record.local) + ": " + loss.what + ": " + loss.why +
              (loss.remedy.empty() ? "" : "; " + loss.remedy));
    complete_ = false;
  }
}

}  // namespace udpcr::keeper
