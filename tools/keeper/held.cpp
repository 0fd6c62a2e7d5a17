// SPDX-License-Identifier: LGPL-2.1-or-later
#include "held.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <udpcr/udpcr_netlink.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <set>

#include "alive.hpp"
#include "fresh_socket.hpp"
#include "image_report.hpp"
#include "kernel_numbers.hpp"

namespace udpcr::keeper {

namespace {

// A handover that is not complete yet: how long a start waits for it.
constexpr int kCompletionPatienceMs = 10'000;
bool is_async(const SocketRecord& record) { return (record.file_flags & O_ASYNC) != 0; }

// How it was bound.
std::uint32_t flags_of(const SocketRecord& record) {
  const bool known = (record.flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0;
  const bool bound = was_bound(record);
  const bool port = known ? (record.flags & UDPCR_SOCK_BOUND_PORT) != 0 : bound;
  const bool address =
      known ? (record.flags & UDPCR_SOCK_BOUND_ADDR) != 0 : bound && !record.local.is_wildcard();
  return wire::kFdOriginKnown | (bound ? wire::kFdBound : 0) | (port ? wire::kFdBoundPort : 0) |
         (address ? wire::kFdBoundAddress : 0);
}

void fill_entry(wire::TableEntry& entry, const RestoredSocket& socket) {
  const SocketRecord& record = socket.record;
  socklen_t size = sizeof entry.netns_cookie;
  getsockopt(socket.fd.get(), SOL_SOCKET, kSoNetnsCookie, &entry.netns_cookie, &size);
  if (is_async(record)) entry.flags |= wire::kFdAsync;
  entry.state = wire::EntryState::held;
  entry.family = record.family;
  entry.protocol = record.protocol;
  entry.actual_port = record.local.port;
  entry.flags |= flags_of(record) & ~wire::kFdOriginKnown;
  if ((entry.flags & wire::kFdBoundPort) != 0) entry.local_port = record.local.port;
  if ((entry.flags & wire::kFdBoundAddress) != 0) {
    entry.local_scope = record.local.scope;
    std::memcpy(entry.local_address, record.local.bytes, sizeof entry.local_address);
  }
  if (record.peer) {
    entry.peer_port = record.peer->port;
    entry.peer_scope = record.peer->scope;
    std::memcpy(entry.peer_address, record.peer->bytes, sizeof entry.peer_address);
  }
  record.device.copy(entry.device, sizeof entry.device - 1);
  entry.owner = socket.owner.told();
}

}  // namespace

HeldSockets::~HeldSockets() {
  if (table_ != nullptr) munmap(table_, table_size_);
}

bool HeldSockets::restore(const Identity& program, Engine* engine) {
  take_parked(program);
  Image image;
  if (restore_image(program, engine, image)) {
    // What was parked stays so.
    entries_.clear();
    return true;
  }
  if (settings_.fds != FdMode::adopt) choose_inherited(image);
  if (settings_.fds == FdMode::listen && !number_as_activated(program)) {
    return settings_.on_error == OnError::abort;
  }
  deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(settings_.park_seconds);
  if (settings_.fds == FdMode::adopt && !entries_.empty()) make_table();
  return false;
}

void HeldSockets::take_stored(Packet& packet) {
  const auto message = packet.as<wire::StoredMessage>();
  if (message.count != packet.fds.size() ||
      packet.data.size() != sizeof message + message.count * std::size_t{wire::kParkKeySize}) {
    throw Error("a message of stored sockets does not hold what it states");
  }
  for (std::size_t i = 0; i < message.count; ++i) {
    show_life();
    const auto key = ParkKey::from(
        ByteView(packet.data).subspan(sizeof message + i * wire::kParkKeySize, wire::kParkKeySize));
    const int fd = packet.fds[i].get();
    if (!key || !is_udp_socket(fd)) continue;
    parks_.know_stored(*key, fd);
    stored_.push_back({*key, read_cookie(fd, kSoCookie), std::move(packet.fds[i])});
  }
}

// They are parked for this start at once: should it be killed, the next one
// finds them.
void HeldSockets::take_parked(const Identity& program) {
  take_.emplace(parks_.key(), settings_, log_);
  std::size_t unkept = 0;
  for (TakenPark& taken : take_->run(std::move(stored_))) {
    // Handed down as well: the program has it.
    if (program.has_alive(taken.cookie)) continue;
    RestoredSocket entry;
    try {
      entry.record.inode = inode_of(taken.fd.get());
      UniqueFd copy(fcntl(taken.fd.get(), F_DUPFD_CLOEXEC, 0));
      if (copy) {
        parks_.add({taken.key.number, taken.key.flags, entry.record.inode}, 0, std::move(copy));
      }
    } catch (const Error& error) {
      log_.debug(error.what());
    }
    const bool kept = parks_.has(entry.record.inode);
    if (!kept) ++unkept;
    try {
      entry.record = record_of_parked(taken.fd.get(), taken.key);
    } catch (const Error& error) {
      log_.error("parked fd " + std::to_string(taken.key.number) +
                 " of the program before is not given to this one: " + error.what() +
                 (kept ? "; it stays parked for the next start" : "; it is lost"));
      continue;
    }
    entry.parked = taken.key;
    entry.fd = std::move(taken.fd);
    entries_.push_back(std::move(entry));
  }
  if (unkept > 0) {
    log_.warn("lost if this start ends before the program has taken them: " +
              std::to_string(unkept) + " parked sockets; raise RLIMIT_NOFILE (ulimit -Hn)");
  }
  if (entries_.empty()) return;
  std::uint64_t bytes = 0;
  for (const RestoredSocket& entry : entries_) bytes += entry.record.rmem;
  log_.info("parked sockets that are back: " + std::to_string(entries_.size()) + ", with " +
            std::to_string(bytes) + " bytes of queued datagrams");
}

bool HeldSockets::restore_image(const Identity& program, Engine* engine, Image& image) {
  folder_.clean();
  try {
    run_beside([&] {
      folder_.await_completion(kCompletionPatienceMs);
      image = load_image(folder_.fd(), folder_.name(), folder_.path(), {geteuid()});
    });
  } catch (const Error& error) {
    if (error.error_number() == ENOENT) return false;
    log_.error("nothing is restored: " + std::string(error.what()));
    return settings_.on_error == OnError::abort;
  }
  std::string reason;
  if (!may_take(program, image, settings_.match, reason)) {
    log_.info("image " + folder_.path() + " is left alone: " + reason);
    image = {};
    return false;
  }
  image_taken_ = true;
  recognise_parked(image);
  if (engine == nullptr) return settings_.on_error == OnError::abort;
  AddressMap map;
  try {
    map = AddressMap::parse(settings_.map);
  } catch (const Error& error) {
    log_.error(std::string(error.what()) + "; nothing is mapped");
    if (settings_.on_error == OnError::abort) return true;
  }
  std::set<std::uint64_t> parked = take_->in_use();
  for (const RestoredSocket& entry : entries_) parked.insert(entry.record.cookie);
  ImageRestore restore(image, settings_, folder_.path(), map, program, parked, told_, log_);
  restore.open_sockets_by(open_socket_);
  std::vector<RestoredSocket> restored;
  run_beside([&] { restored = restore.run(*engine); });
  if (!restore.complete() && settings_.on_error == OnError::abort) return true;
  // Their queues are not to come once more.
  if (restore.alive() > 0) first_one_adopted();
  std::move(restored.begin(), restored.end(), std::back_inserter(entries_));
  // Those that no image knows are younger.
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const RestoredSocket& one, const RestoredSocket& other) {
                     return one.number < other.number;
                   });
  return false;
}

// What the image tells of parked sockets: their place in it, and options that
// the kernel does not tell.
void HeldSockets::recognise_parked(const Image& image) {
  if (entries_.empty() || image.boot_id != boot_id()) return;
  for (std::size_t number = 0; number < image.sockets.size(); ++number) {
    std::vector<std::uint16_t> unknown;
    SocketRecord record;
    try {
      record = decode_record(image.sockets[number].record, unknown);
    } catch (const Error&) {
      continue;  // said by the restore
    }
    for (RestoredSocket& entry : entries_) {
      if (record.cookie == 0 || entry.record.cookie != record.cookie) continue;
      entry.number = number;
      told_.remember(entry.fd.get(), record, image.sockets[number].losses);
    }
  }
}

// The root of the tree inherits its own; what only children had cannot be
// given to a process that does not exist yet.
void HeldSockets::choose_inherited(const Image& image) {
  std::vector<int> entry_of_socket(image.sockets.size(), -1);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].number != kNotInImage) entry_of_socket[entries_[i].number] = int(i);
  }
  std::vector<bool> given(entries_.size());
  if (!image.processes.empty()) {
    for (const ImageFd& fd : image.processes.front().fds) {
      const int entry = entry_of_socket.at(fd.socket);
      if (entry < 0) continue;
      inherited_.push_back({fd.number, (fd.flags & FD_CLOEXEC) != 0, std::size_t(entry), fd.name});
      given[std::size_t(entry)] = true;
    }
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (given[i]) continue;
    if (entries_[i].number == kNotInImage && entries_[i].parked) {
      const ParkKey& key = *entries_[i].parked;
      inherited_.push_back({key.number, (key.flags & wire::kFdCloexec) != 0, i, {}});
      continue;
    }
    log_.warn("not restored: " + to_string(entries_[i].record.local) +
              " belonged to a child of the program alone; UDPCR_FDS=adopt brings it back");
    close_entry(i);
  }
}

// In the order of the old numbers, each socket once, behind those that the
// program was handed by others.
bool HeldSockets::number_as_activated(const Identity& program) {
  std::sort(inherited_.begin(), inherited_.end(),
            [](const Inherited& one, const Inherited& other) { return one.number < other.number; });
  std::vector<Inherited> once;
  for (Inherited& fd : inherited_) {
    const bool known = std::any_of(once.begin(), once.end(),
                                   [&](const Inherited& other) { return other.entry == fd.entry; });
    if (!known) once.push_back(std::move(fd));
  }
  inherited_ = std::move(once);
  const std::size_t first = kFirstListenFd + program.listen_count;
  if (inherited_.size() > program.listen_room) {
    log_.error("nothing is restored: UDPCR_FDS=listen needs the fds from " + std::to_string(first) +
               " to " + std::to_string(first + inherited_.size() - 1) + ", and " +
               std::to_string(first + program.listen_room) +
               " is in use: start the program without it; image " + folder_.path() + " stays");
    inherited_.clear();
    entries_.clear();
    return false;
  }
  for (std::size_t i = 0; i < inherited_.size(); ++i) {
    Inherited& fd = inherited_[i];
    fd.number = std::int32_t(first + i);
    fd.cloexec = false;
    if (fd.name.empty()) fd.name = "unknown";
    if (listen_names_.size() + fd.name.size() < wire::kMostNames) {
      listen_names_ += (i == 0 ? "" : ":") + fd.name;
    }
  }
  return true;
}

std::vector<LiveSocket> HeldSockets::named() const {
  std::vector<LiveSocket> named;
  for (const Inherited& fd : inherited_) {
    const int socket = entries_[fd.entry].fd.get();
    if (!fd.name.empty()) named.push_back({fd.number, read_cookie(socket, kSoCookie), fd.name});
  }
  return named;
}

void HeldSockets::make_table() {
  table_size_ = sizeof(wire::Table) + entries_.size() * sizeof(wire::TableEntry);
  table_fd_ = UniqueFd(memfd_create("udpcr-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  void* map = MAP_FAILED;
  if (table_fd_ && ftruncate(table_fd_.get(), off_t(table_size_)) == 0) {
    map = mmap(nullptr, table_size_, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd_.get(), 0);
  }
  if (map == MAP_FAILED) {
    log_.error("nothing is restored: no memory for the table of " +
               std::to_string(entries_.size()) + " sockets");
    table_fd_.reset();
    entries_.clear();
    return;
  }
  table_ = static_cast<wire::Table*>(map);
  table_->header = {wire::Type::table, wire::kVersion};
  table_->header.length = std::uint32_t(table_size_);
  table_->entries = std::uint32_t(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    fill_entry(table_->entry[i], entries_[i]);
  }
  fcntl(table_fd_.get(), F_ADD_SEALS,
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

void HeldSockets::set_state(std::size_t entry, wire::EntryState state) {
  if (table_ == nullptr) return;
  std::atomic_ref(table_->entry[entry].state).store(state);
}

void HeldSockets::first_one_adopted() {
  if (!image_taken_ || image_set_aside_ || settings_.keep_image) return;
  image_set_aside_ = true;
  try {
    run_beside([this] { folder_.set_aside(); });
  } catch (const Error& error) {
    log_.error(error.what());
  }
}

void HeldSockets::hand_over_inherited(int channel, pid_t process) {
  std::size_t next = 0;
  while (next < inherited_.size()) {
    wire::InheritMessage message{};
    message.header = {wire::Type::inherit, wire::kVersion};
    std::vector<int> fds;
    while (next < inherited_.size() && fds.size() < wire::kFdsPerPart) {
      const Inherited& one = inherited_[next++];
      const RestoredSocket& socket = entries_[one.entry];
      message.fds[fds.size()] = {
          one.number,
          (one.cloexec ? wire::kFdCloexec : 0) | (is_async(socket.record) ? wire::kFdAsync : 0),
          socket.owner.told()};
      pass_park_to(process, socket);
      fds.push_back(socket.fd.get());
    }
    message.count = std::uint32_t(fds.size());
    if (!send_packet(channel, &message, sizeof message, fds)) {
      log_.error("the program did not take its sockets back; image " + folder_.path() + " stays");
      break;
    }
    first_one_adopted();
  }
  close_all();
}

std::int32_t HeldSockets::claim(std::uint32_t entry, pid_t process, UniqueFd& socket) {
  if (entry >= entries_.size()) return ENOENT;
  if (!entries_[entry].fd) return EALREADY;
  pass_park_to(process, entries_[entry]);
  socket = std::move(entries_[entry].fd);
  set_state(entry, wire::EntryState::taken);
  first_one_adopted();
  log_.debug("the program has taken " + to_string(entries_[entry].record.local));
  return 0;
}

// From now on it is this process's, which may end any time.
void HeldSockets::pass_park_to(pid_t process, const RestoredSocket& socket) {
  if (settings_.park != ParkMode::always) {
    if (socket.parked) parks_.drop(socket.record.inode);
    return;
  }
  const std::uint32_t flags = socket.parked ? socket.parked->flags : flags_of(socket.record);
  const std::int32_t number = socket.parked ? socket.parked->number : -1;
  UniqueFd copy(fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (copy) parks_.add({number, flags, socket.record.inode}, process, std::move(copy));
}

std::int32_t HeldSockets::release(std::uint32_t entry) {
  if (entry >= entries_.size()) return ENOENT;
  if (!entries_[entry].fd) return EALREADY;
  log_.warn("not restored: " + to_string(entries_[entry].record.local) +
            " gives way: the program binds its port in another way; " +
            fate_of_queue(entries_[entry]));
  close_entry(entry);
  return 0;
}

std::int32_t HeldSockets::take_back(std::uint32_t entry, UniqueFd socket) {
  if (entry >= entries_.size()) return ENOENT;
  if (entries_[entry].fd || !is_udp_socket(socket.get())) return EINVAL;
  entries_[entry].fd = std::move(socket);
  set_state(entry, wire::EntryState::held);
  log_.debug("the program has given back " + to_string(entries_[entry].record.local));
  return 0;
}

void HeldSockets::close_entry(std::size_t entry) {
  if (entries_[entry].parked) parks_.drop(entries_[entry].record.inode);
  entries_[entry].fd.reset();
  set_state(entry, wire::EntryState::gone);
}

std::string HeldSockets::fate_of_queue(const RestoredSocket& socket) const {
  if (!socket.parked) {
    return std::to_string(socket.datagrams) + " queued datagrams stay in the image";
  }
  return std::to_string(queue_bytes_of(socket.fd.get())) + " bytes of queued datagrams are lost";
}

bool HeldSockets::any_held() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const RestoredSocket& entry) { return bool(entry.fd); });
}

int HeldSockets::expire() {
  if (!any_held()) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline_ - std::chrono::steady_clock::now());
  if (left.count() > 0) return int(std::min<long long>(left.count() + 1, 1'000'000'000));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].fd) continue;
    log_.warn("not restored: " + to_string(entries_[i].record.local) +
              " is closed: the program did not ask for it within " +
              std::to_string(settings_.park_seconds) + " s (UDPCR_PARK_SECONDS); " +
              fate_of_queue(entries_[i]));
    close_entry(i);
  }
  return -1;
}

// What is parked stays so.
void HeldSockets::close_all() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].fd) continue;
    entries_[i].fd.reset();
    set_state(i, wire::EntryState::gone);
  }
}

}  // namespace udpcr::keeper
