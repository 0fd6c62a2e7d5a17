// SPDX-License-Identifier: LGPL-2.1-or-later
#include "monitor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <list>

#include "channel.hpp"
#include "folder_operations.hpp"
#include "network_operations.hpp"
#include "persist.hpp"
#include "process_operations.hpp"

namespace udpcr::keeper::monitor {

namespace {

// The keeper's own, its worker's, and that of a worker which waits for a program
// that is stopped.
constexpr std::size_t kMostChannels = 16;

class Monitor {
 public:
  Monitor(UniqueFd channel, pid_t keeper) : processes_(keeper) {
    channels_.push_back(std::move(channel));
  }

  void run() {
    while (!channels_.empty()) {
      std::vector<pollfd> polled;
      for (const UniqueFd& channel : channels_) polled.push_back({channel.get(), POLLIN, 0});
      polled.push_back({name_.get(), POLLIN, 0});
      if (persist([&] { return poll(polled.data(), polled.size(), -1); }) < 0) return;
      // Whoever asks is told enough by the name's being there.
      if (polled.back().revents != 0 && !UniqueFd(persist([&] {
            return accept4(name_.get(), nullptr, nullptr, SOCK_CLOEXEC);
          })) &&
          !is_passing(errno) && errno != ECONNABORTED) {
        name_.reset();  // it would wake us for ever
      }
      polled.pop_back();
      auto channel = channels_.begin();
      for (const pollfd& one : polled) {
        const auto here = channel++;
        if (one.revents != 0 && !serve(here->get())) channels_.erase(here);
      }
    }
  }

 private:
  // False: the end of the channel.
  bool serve(int channel) {
    std::vector<UniqueFd> fds;
    std::size_t size = 0;
    if (!receive_parts(channel, buffer_, size, fds)) return false;
    Request request{};
    Result result;
    result.error = EPERM;
    if (size >= sizeof request) {
      std::memcpy(&request, buffer_.data(), sizeof request);
      if (request.size == size - sizeof request) {
        UniqueFd place;
        if (request.in_place != 0 && !fds.empty()) {
          place = std::move(fds.back());
          fds.pop_back();
        }
        const ByteView payload = ByteView(buffer_).subspan(sizeof request, request.size);
        // One that is meant for another namespace is not done in this one.
        if (request.in_place == 0 || place) result = perform({request, payload, fds}, place.get());
      }
    }
    // Whoever has the answer may close its own, and expects the port to be free.
    fds.clear();
    // Whoever asks for it shares this channel with others, and does not read here.
    if (request.operation == Operation::channel) return true;
    const Answer answer{result.error, result.value, result.count};
    const int fd = result.fd.get();
    return send_parts(channel, {reinterpret_cast<const std::uint8_t*>(&answer), sizeof answer}, {},
                      {&fd, result.fd ? 1U : 0U});
  }

  Result perform(const Asked& asked, int place) {
    try {
      switch (asked.request.operation) {
        case Operation::setup: {
          Result result = folder_.setup(asked);
          if (result.error == 0) {
            take_name(asked);
            processes_.set_signal(asked.request.number[0]);
            network_.set_image(folder_.image());
          }
          return result;
        }
        case Operation::channel:
          return add_channel(asked);
        case Operation::join:
        case Operation::signal:
        case Operation::sockets:
        case Operation::child:
          return processes_.serve(asked);
        case Operation::folder:
        case Operation::open_file:
        case Operation::rename_file:
        case Operation::unlink_file:
          return folder_.serve(asked);
        default:
          return network_.serve(asked, place);
      }
    } catch (const Error&) {
      return {EPERM, 0, 0, {}};  // what is shown could not be looked at
    } catch (const std::exception&) {
      return {ENOMEM, 0, 0, {}};
    }
  }

  // Sockets that were shown here stay open when the keeper has been killed: a start
  // must not find their ports taken (presence.hpp).
  void take_name(const Asked& asked) {
    UniqueFd name(fcntl(asked.fd(0), F_DUPFD_CLOEXEC, 0));
    // Who listened last is who has it (net/unix/af_unix.c, unix_listen).
    if (name && listen(name.get(), SOMAXCONN) == 0) name_ = std::move(name);
  }

  Result add_channel(const Asked& asked) {
    int type = 0;
    socklen_t size = sizeof type;
    if (channels_.size() >= kMostChannels ||
        getsockopt(asked.fd(0), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
      return {EPERM, 0, 0, {}};
    }
    channels_.emplace_back(fcntl(asked.fd(0), F_DUPFD_CLOEXEC, 0));
    return {};
  }

  std::list<UniqueFd> channels_;
  UniqueFd name_;
  NetworkOperations network_;
  ProcessOperations processes_;
  FolderOperations folder_;
  Bytes buffer_ = Bytes(sizeof(Request) + kMostPayload);
};

}  // namespace

void live(UniqueFd channel, pid_t keeper) noexcept {
  try {
    Monitor(std::move(channel), keeper).run();
  } catch (const std::exception&) {
    // The keeper is told so by the end of its channel.
  }
}

}  // namespace udpcr::keeper::monitor
