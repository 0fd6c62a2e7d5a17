// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The keeper's side: what it may not do itself it asks of its monitor.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>

#include "operations.hpp"
#include "rights.hpp"

namespace udpcr::keeper::monitor {

class Client final : public PrivilegedCalls {
 public:
  // `may_send_raw`: the monitor has CAP_NET_RAW.
  Client(UniqueFd channel, bool may_send_raw);

  int place_of(int socket) noexcept override;
  int socket(int family, int type, int protocol) noexcept override;
  int open_proc_net(const char* name) noexcept override;
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept override;
  int bind(int fd, const sockaddr* name, socklen_t size) noexcept override;
  int chown(int fd, uid_t user) noexcept override;
  ssize_t send_more(int fd, const msghdr& message) noexcept override;
  bool may_send_raw() noexcept override { return may_send_raw_; }
  int raw_socket(int family) noexcept override;
  int send_raw(int raw, int target, mmsghdr* messages, unsigned count) noexcept override;
  ssize_t send_to_module(int netlink, int socket, const void* request,
                         std::size_t size) noexcept override;
  int claim_parked(std::uint64_t inode, std::uint64_t cookie, ByteView key) noexcept override;
  int open_file(int folder, const char* name, int flags) noexcept override;
  int rename_file(int folder, const char* from, const char* to) noexcept override;
  int unlink_file(int folder, const char* name) noexcept override;

  // False: the monitor has ended, or does not answer.
  [[nodiscard]] bool serves() const noexcept { return bool(channel_); }

  // The image's folder and name, the checkpoint signal, and the monitor's name
  // (presence.hpp; -1: none); once.
  void setup(const std::string& folder, const std::string& name, int signal, int listener);
  // Empty with errno: it cannot be opened.
  UniqueFd folder();
  // What the module parks is for a session of the keeper service as well, which has no
  // capability: it is parked with this process's rights.
  void park_for_sessions() noexcept { parks_for_sessions_ = true; }
  // A process of the program has made itself known by `channel`.
  void join(pid_t pid, int pidfd, int channel);
  // 0 or an errno.  `thread` 0: the process.
  int signal(pid_t pid, pid_t thread, int number, std::uint64_t value);
  std::optional<std::set<std::uint64_t>> sockets(pid_t pid);
  // kChild*; empty: it is no child of that process any more.
  std::optional<int> child(pid_t child, pid_t parent);

 private:
  struct Ask {
    Operation operation;
    std::int32_t number[3] = {};
    std::uint64_t value = 0;
  };
  // The answer's error; EPERM when there is no monitor any more.
  int ask(const Ask& ask, ByteView payload, std::initializer_list<int> fds, Answer& answer,
          UniqueFd* fd, bool in_place = false) noexcept;
  // As a system call.
  int call(const Ask& ask, ByteView payload, std::initializer_list<int> fds, UniqueFd* fd = nullptr,
           bool in_place = false) noexcept;
  bool connect_anew() noexcept;

  UniqueFd channel_;
  pid_t owner_;  // whose the channel is
  bool may_send_raw_;
  bool parks_for_sessions_ = false;
};

// Null: this keeper has no right that another one could have for it.
Client* client() noexcept;

// From here on the process has no capability.  Where it had any of `most`, another
// process has those, and serves it.  Throws Error.
void separate(std::uint64_t most);

}  // namespace udpcr::keeper::monitor
