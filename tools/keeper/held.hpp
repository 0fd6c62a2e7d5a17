// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The sockets that a start has found parked or has brought back from an image,
// and that the program has not asked for yet.
#pragma once

#include <chrono>
#include <optional>
#include <udpcr/image.hpp>
#include <vector>

#include "folder.hpp"
#include "identity.hpp"
#include "image_restore.hpp"
#include "keeper/park/parks.hpp"
#include "keeper/park/take.hpp"
#include "log.hpp"
#include "packet.hpp"
#include "told_options.hpp"
#include "wire.h"

namespace udpcr::keeper {

class HeldSockets {
 public:
  HeldSockets(const Settings& settings, const ImageFolder& folder, ToldOptions& told, Parks& parks,
              Log& log)
      : settings_(settings), folder_(folder), told_(told), parks_(parks), log_(log) {}
  ~HeldSockets();
  HeldSockets(const HeldSockets&) = delete;
  HeldSockets& operator=(const HeldSockets&) = delete;

  // Whose the restored sockets are; not called: the keeper's.
  void open_sockets_by(OpenSocket open) { open_socket_ = std::move(open); }

  // Takes the sockets that were parked for `program`, and brings back those of
  // the image, if there is one and it may take it.  Everything that goes wrong is a line in the
  // log.  True when UDPCR_ON_ERROR=abort asks for the program to end.  `engine` null: there is
  // none, as has been said, so that nothing can be restored.
  bool restore(const Identity& program, Engine* engine);

  // Before: those that the service manager has kept and handed down.
  void take_stored(Packet& packet);
  // The next start would find the parked sockets here: whoever had them may
  // close them.
  void confirm_parked() {
    if (take_) take_->done();
    take_.reset();
  }

  // UDPCR_FDS=adopt: the table for the shim; -1 when nothing is held.
  [[nodiscard]] int table_fd() const noexcept { return table_fd_.get(); }
  [[nodiscard]] std::size_t entries() const noexcept { return entries_.size(); }

  // UDPCR_FDS=inherit and listen: hands all over through `channel`, after `ready`.
  struct Inherited {
    std::int32_t number;
    bool cloexec;
    std::size_t entry;
    std::string name;  // of LISTEN_FDNAMES
  };
  [[nodiscard]] const std::vector<Inherited>& inherited() const noexcept { return inherited_; }
  // UDPCR_FDS=listen: LISTEN_FDNAMES.
  [[nodiscard]] const std::string& listen_names() const noexcept { return listen_names_; }
  // Those that have names, which later images are to keep.
  [[nodiscard]] std::vector<LiveSocket> named() const;
  // `process` is at its other end.
  void hand_over_inherited(int channel, pid_t process);

  // Answers to the shim of `process`; the errno of ClaimedMessage.
  std::int32_t claim(std::uint32_t entry, pid_t process, UniqueFd& socket);
  std::int32_t release(std::uint32_t entry);
  // One that was claimed.
  std::int32_t take_back(std::uint32_t entry, UniqueFd socket);

  // Closes what was not claimed in time.  Milliseconds until that is due; -1
  // when nothing is held.
  int expire();
  // The program has ended.
  void close_all();
  // In a forked copy of the keeper: these sockets are not its business.
  void forget() { entries_.clear(); }

 private:
  void take_parked(const Identity& program);
  // True as restore().
  bool restore_image(const Identity& program, Engine* engine, Image& image);
  void recognise_parked(const Image& image);
  void pass_park_to(pid_t process, const RestoredSocket& socket);
  // The entry is not to be had any more, parked or not.
  void close_entry(std::size_t entry);
  [[nodiscard]] std::string fate_of_queue(const RestoredSocket& socket) const;
  void choose_inherited(const Image& image);
  bool number_as_activated(const Identity& program);
  void make_table();
  void set_state(std::size_t entry, wire::EntryState state);
  void first_one_adopted();
  [[nodiscard]] bool any_held() const;

  const Settings& settings_;
  const ImageFolder& folder_;
  ToldOptions& told_;
  Parks& parks_;
  std::optional<ParkTake> take_;  // while others have them too
  Log& log_;
  OpenSocket open_socket_;
  std::vector<TakenPark> stored_;
  std::vector<RestoredSocket> entries_;
  std::vector<Inherited> inherited_;
  std::string listen_names_;
  UniqueFd table_fd_;
  wire::Table* table_ = nullptr;
  std::size_t table_size_ = 0;
  std::chrono::steady_clock::time_point deadline_;
  bool image_taken_ = false;  // there is one, and it is this program's
  bool image_set_aside_ = false;
};

}  // namespace udpcr::keeper
