// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Sockets of other network namespaces than the keeper's: each is captured and
// restored by an engine whose sockets were all opened there (PrivilegedCalls::visit()); the
// keeper itself stays where it is.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <udpcr/udpcr.hpp>

namespace udpcr::keeper {

class NamespaceEngine final : public Engine {
 public:
  // Throws Error as make_engine() does.
  explicit NamespaceEngine(UseEngine choice);

  [[nodiscard]] std::string_view name() const noexcept override { return home_->name(); }
  // A namespace is remembered by its name in /run/netns; of one that has none,
  // or may not be entered, there is a Loss "network namespace".
  SocketState capture(int fd, const CaptureOptions& options) override;
  MessageStream take_rest(int fd, std::size_t already, QueueEnd end) override;
  void settle_rest(bool stored) override;
  // Throws Error when there is no namespace of that name, or it may not be
  // entered, or the socket was in one without a name.
  Restored restore(const SocketState& state, const RestoreOptions& options) override;
  [[nodiscard]] std::vector<Loss> limits() const override { return home_->limits(); }

 private:
  struct Place {
    dev_t device = 0;
    ino_t inode = 0;
    UniqueFd fd;
    std::unique_ptr<Engine> engine;  // made there
  };

  int home_fd();
  // That of the socket; null when it is the keeper's own, or may not be known or
  // entered.
  Place* place_of_socket(int fd);
  // Takes the namespace's fd.  Throws Error when it may not be entered.
  Place& place_at(UniqueFd fd);
  bool is_home(int fd);

  UseEngine choice_;
  std::unique_ptr<Engine> home_;
  UniqueFd home_fd_;
  std::uint64_t home_cookie_;
  std::list<Place> places_;
};

}  // namespace udpcr::keeper
