// SPDX-License-Identifier: LGPL-2.1-or-later
#include "worker.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <udpcr/udpcr_netlink.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "alive.hpp"
#include "fresh_socket.hpp"
#include "image_report.hpp"
#include "interface_indices.hpp"
#include "kernel_numbers.hpp"
#include "namespace_engine.hpp"
#include "options.hpp"
#include "origin.hpp"
#include "persist.hpp"
#include "signal_owner.hpp"
#include "unseen.hpp"

namespace udpcr::keeper {

namespace {

// How long a program that was told to end may take before it is killed.
constexpr std::chrono::milliseconds kExitPatience{2000};
// Disk space kept for what arrives between the image and the program's end.
constexpr std::uint64_t kLargestReserve = 64ULL << 20;
// What one checkpoint may hold in memory.
constexpr std::size_t kMostSockets = 65536;
constexpr std::size_t kMostQueueBytes = std::size_t{1} << 30;

// A checkpoint while it is being made.
class Work {
 public:
  Work(Gathered& gathered, const Identity& identity, const Settings& settings,
       const ImageFolder& folder, Page& page, Log& log, const ToldOptions& told, Watch& watch)
      : gathered_(gathered),
        identity_(identity),
        settings_(settings),
        folder_(folder),
        page_(page),
        log_(log),
        told_(told),
        watch_(watch) {
    image_.executable = identity.executable;
    image_.arguments = identity.arguments;
    if (identity.arguments_cut) image_.full_arguments_hash = identity.arguments_hash;
  }

  // `channel`: to the keeper.
  Report run(int channel) {
    engine_ = std::make_unique<NamespaceEngine>(UseEngine(settings_.engine));
    describe_machine(image_, engine_->name());
    capture();
    still_waits();
    if (sockets_.empty()) {
      release(wire::Verdict::resume);
      const std::string line =
          "nothing to checkpoint: the program has no UDP socket that udpcr has seen it open";
      log_.warn(line);
      return {Outcome::failed, line + "\n"};
    }
    if (settings_.after == After::continue_) {
      // What it closes from now on is closed: the keeper lets it go on when it
      // holds none of its sockets either.
      close_sockets();
      watch_.enter(Watch::Phase::writing_freely);
      // A keeper that was killed holds none, and its program waits for it no more.
      const bool told = Report{Outcome::captured, {}}.send(channel);
      if (!told && errno != EPIPE && errno != ECONNRESET) {
        throw Error("the keeper cannot be told that the sockets are read: " +
                        std::string(std::strerror(errno)),
                    errno);
      }
      released_ = told;
      ImageFile(folder_.fd(), folder_.name(), folder_.path()).write(serialize_image(image_));
    } else {
      hand_over();
    }
    return tell();
  }

  // UDPCR_AFTER=stop: what arrives from the stop on waits in the program's
  // sockets.  If the program ends without reading it, it belongs to the next
  // start.
  void await_stopped_program() {
    for (const Gathered::Member& member : gathered_.members) {
      while (!ends_within(member.pidfd, std::chrono::hours(1))) {
      }
    }
    ImageFile last(folder_.fd(), folder_.name(), folder_.path());
    take_rest(QueueEnd::refuses, last);
  }

  void close_sockets() {
    for (Gathered::Member& member : gathered_.members) member.fds.clear();
  }

  // False: the program has gone on before.
  bool release(wire::Verdict verdict) {
    if (released_) return true;
    released_ = true;
    return page_.release(verdict);
  }

 private:
  struct Captured {
    std::uint64_t inode;
    int fd;  // one of Gathered's
    std::size_t datagrams;
    std::uint32_t receive_buffer;
  };

  void capture() {
    if (!gathered_.not_frozen.empty()) {
      image_.losses.push_back({"consistency", gathered_.not_frozen,
                               "datagrams that the program read meanwhile may come back a second "
                               "time; checkpoint again"});
    }
    image_.losses.insert(image_.losses.end(), gathered_.losses.begin(), gathered_.losses.end());
    merge_origins();
    std::set<std::uint32_t> seen;  // sockets
    for (const Gathered::Member& member : gathered_.members) {
      ImageProcess process;
      process.pid = member.pid;
      for (const SentFd& sent : member.fds) {
        const std::uint32_t index = socket_index(inode_of(sent.fd.get()), sent);
        // One that has no name yet may be in the middle of socket(2).
        if ((sent.entry.flags & wire::kFdUnseen) == 0 || !has_port(sent.fd.get())) {
          seen.insert(index);
        }
        const bool cloexec = (sent.entry.flags & wire::kFdCloexec) != 0;
        process.fds.push_back(
            {sent.entry.fd, cloexec ? std::uint32_t{FD_CLOEXEC} : 0, index, name_of(sent)});
      }
      image_.processes.push_back(std::move(process));
    }
    if (settings_.fds == FdMode::adopt) name_unseen(seen);
  }

  void name_unseen(const std::set<std::uint32_t>& seen) {
    for (const ImageProcess& process : image_.processes) {
      for (const ImageFd& fd : process.fds) {
        std::vector<Loss>& losses = image_.sockets[fd.socket].losses;
        if (seen.count(fd.socket) != 0 || has_unseen(losses)) continue;
        losses.push_back(
            {kUnseenLoss,
             "fd " + std::to_string(fd.number) + " of process " + std::to_string(process.pid) +
                 " came by a call that udpcr does not see (an inline system call, io_uring, "
                 "SCM_RIGHTS), and so will its bind at the next start",
             "start it with UDPCR_FDS=inherit, which brings it back at its old fd"});
      }
    }
  }

  // Of LISTEN_FDNAMES, while the socket stands where it was handed down.
  [[nodiscard]] std::string name_of(const SentFd& sent) const {
    for (const LiveSocket& live : identity_.live) {
      if (live.number == sent.entry.fd && !live.name.empty() &&
          live.cookie == read_cookie(sent.fd.get(), kSoCookie)) {
        return live.name;
      }
    }
    return {};
  }

  // A socket may have been made by one process and bound by another.
  void merge_origins() {
    constexpr std::uint32_t kBound =
        wire::kFdBound | wire::kFdBoundPort | wire::kFdBoundAddress | wire::kFdOriginKnown;
    for (const Gathered::Member& member : gathered_.members) {
      for (const SentFd& sent : member.fds) {
        const std::uint32_t told = sent.entry.flags & kBound;
        const auto [place, first] = origins_.try_emplace(sent.entry.inode, told);
        if (first) continue;
        std::uint32_t& known = place->second;
        const bool all_know = (known & told & wire::kFdOriginKnown) != 0;
        known = (known | told) & ~wire::kFdOriginKnown;
        if (all_know || (known & wire::kFdBound) != 0) known |= wire::kFdOriginKnown;
      }
    }
  }

  [[nodiscard]] std::uint32_t origin_of(std::uint64_t inode) const {
    wire::FdEntry entry{};
    const auto known = origins_.find(inode);
    if (known != origins_.end()) entry.flags = known->second;
    return origin_flags(entry.flags);
  }

  // Captures the socket unless another fd of it has come before.
  std::uint32_t socket_index(std::uint64_t inode, const SentFd& sent) {
    const auto [place, fresh] = index_.try_emplace(inode, std::uint32_t(sockets_.size()));
    if (!fresh) return place->second;
    if (sockets_.size() == kMostSockets) {
      throw Error("the program has more than " + std::to_string(kMostSockets) +
                  " UDP sockets, the most that one image holds");
    }
    CaptureOptions options;
    options.queues = Queues(settings_.queues);
    options.origin_flags = origin_of(inode);
    options.is_kept = gathered_.parked.count(inode) != 0;
    SocketState state;
    try {
      state = engine_->capture(sent.fd.get(), options);
    } catch (const Error& error) {
      throw Error("fd " + std::to_string(sent.entry.fd) + ": " + error.what(),
                  error.error_number());
    }
    forget_foreign_owner(sent.fd.get(), member_pids(), state);
    if (read_by_module(state)) {
      told_.name_losses(state);
    } else {
      told_.complete(state, (options.origin_flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0);
      name_interfaces(sent.fd.get(), state);
    }
    queue_bytes_ += state.receive_queue.bytes().size() + state.send_queue.bytes().size() +
                    state.error_queue.bytes().size();
    if (queue_bytes_ > kMostQueueBytes) {
      throw Error("the program's queues hold more than " + std::to_string(kMostQueueBytes >> 20) +
                  " MiB, the most that one image takes; UDPCR_QUEUES=none leaves them out");
    }
    const int buffer = require_number(sent.fd.get(), SOL_SOCKET, SO_RCVBUF);
    sockets_.push_back(
        {inode, sent.fd.get(), state.receive_queue.count(), std::uint32_t(std::max(buffer, 0))});
    image_.sockets.push_back({encode_record(state.record), std::move(state.receive_queue),
                              std::move(state.send_queue), std::move(state.losses),
                              std::move(state.error_queue)});
    return place->second;
  }

  [[nodiscard]] std::vector<pid_t> member_pids() const {
    std::vector<pid_t> pids;
    for (const Gathered::Member& member : gathered_.members) pids.push_back(member.pid);
    return pids;
  }

  // Of what a program sets it tells more than the program could.
  [[nodiscard]] bool read_by_module(const SocketState& state) const {
    return engine_->name() == "module" &&
           std::none_of(state.losses.begin(), state.losses.end(),
                        [](const Loss& loss) { return loss.what == "kernel module"; });
  }

  // It has given the keeper up: what was read is no state of its sockets.
  void still_waits() const {
    if (page_.has_moved()) throw Error("the program waited no longer, and goes on");
  }

  // Everything that can fail comes before the program is told to end.
  void hand_over() {
    watch_.enter(Watch::Phase::writing);
    if (!gathered_.not_frozen.empty()) {
      throw Error("handover not possible, the program goes on: " + gathered_.not_frozen +
                  "; UDPCR_AFTER=continue makes an image all the same");
    }
    const Bytes first = serialize_image(image_);
    std::uint64_t reserve = 0;
    for (const Captured& socket : sockets_) reserve += socket.receive_buffer;
    ImageFile second(folder_.fd(), folder_.name(), folder_.path());
    second.reserve(first.size() + std::min(reserve, kLargestReserve));
    // Locked from the beginning: the next start waits until it is complete.
    lock_ = ImageFile(folder_.fd(), folder_.name(), folder_.path()).write(first);

    // From here on either the program or the keeper has the queues, and both know who.
    // Where the keeper was quicker it is about to end this process.
    while (!watch_.decide()) pause();
    if (settings_.after == After::stop) {
      stop_program(second);
    } else {
      if (!release(wire::Verdict::exit_)) throw Error(kGoesOn);
      await_end();
      take_rest(QueueEnd::refuses, second);
    }
  }

  void stop_program(ImageFile& file) {
    for (const Gathered::Member& member : gathered_.members) {
      // One that runs on would read what is taken out of its sockets.
      if (signal(member, SIGSTOP) || ends_within(member.pidfd, std::chrono::milliseconds(0))) {
        continue;
      }
      for (const Gathered::Member& one : gathered_.members) signal(one, SIGCONT);
      throw Error("process " + std::to_string(member.pid) + " cannot be stopped");
    }
    try {
      take_rest(QueueEnd::stays_open, file);
    } catch (...) {
      if (page_.is_given_up()) {
        for (const Gathered::Member& member : gathered_.members) signal(member, SIGCONT);
      }
      throw;
    }
  }

  void take_rest(QueueEnd end, ImageFile& file) {
    const std::size_t added = append_rest(end);
    // Of a program that is stopped; one that reads again has its queues put back.
    if (!release(wire::Verdict::resume)) {
      engine_->settle_rest(false);
      throw Error(kGoesOn);
    }
    try {
      // The earlier one stays locked until this one, which is locked too, stands
      // in its place.
      if (added != 0) lock_ = write_again(file);
    } catch (const Error& error) {
      engine_->settle_rest(false);
      throw Error(
          std::to_string(added) +
              " datagrams that arrived after the image was written are not in it: " + error.what(),
          error.error_number());
    }
    engine_->settle_rest(true);
  }

  // The program cannot go on any more, so a second way is tried: a file that
  // has nothing of the first.
  UniqueFd write_again(ImageFile& file) {
    const Bytes whole = serialize_image(image_);
    try {
      return file.write(whole);
    } catch (const Error& error) {
      log_.debug(error.what());
      return ImageFile(folder_.fd(), folder_.name(), folder_.path()).write(whole);
    }
  }

  // The number of datagrams that the image has now and its file has not.  What
  // could not be taken of one socket is that one's loss.
  std::size_t append_rest(QueueEnd end) {
    std::size_t added = 0;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (gathered_.parked.count(sockets_[i].inode) != 0) continue;
      try {
        added += append_rest(i, end);
      } catch (const Error& error) {
        image_.sockets[i].losses.push_back(
            {"receive queue",
             std::string("what arrived after the image was begun is not kept: ") + error.what(),
             "let the senders send again"});
        ++added;  // the loss is to stand in the file too
      }
    }
    return added;
  }

  std::size_t append_rest(std::size_t socket, QueueEnd end) {
    Captured& captured = sockets_[socket];
    const MessageStream rest = engine_->take_rest(captured.fd, captured.datagrams, end);
    captured.datagrams = 0;
    std::size_t offset = 0;
    for (ByteView message = rest.next(offset); !message.empty(); message = rest.next(offset)) {
      image_.sockets[socket].receive_queue.append(message);
    }
    return rest.count();
  }

  // Whether it could be sent.
  static bool signal(const Gathered::Member& member, int number) {
    return member.signalable && signal_process(member.pid, member.pidfd, number) == 0;
  }

  void await_end() {
    for (const Gathered::Member& member : gathered_.members) {
      if (ends_within(member.pidfd, kExitPatience)) continue;
      log_.info("process " + std::to_string(member.pid) + " did not end by itself, killing it");
      signal(member, SIGKILL);
      if (!ends_within(member.pidfd, kExitPatience)) {
        log_.error("process " + std::to_string(member.pid) +
                   " does not end; what it reads from here on may come a second time: end it");
      }
    }
  }

  Report tell() {
    std::string text = summary_line(image_, folder_.path());
    log_.info(text);
    text += "\n";
    const std::vector<std::string> losses = loss_lines(image_);
    for (const std::string& line : losses) {
      log_.warn(line);
      text += line + "\n";
    }
    std::uint64_t datagrams = 0;
    for (const ImageSocket& socket : image_.sockets) datagrams += socket.receive_queue.count();
    return {losses.empty() ? Outcome::kept : Outcome::kept_in_part,
            std::move(text),
            folder_.path(),
            std::uint32_t(image_.sockets.size()),
            datagrams,
            std::uint32_t(losses.size())};
  }

  static constexpr char kGoesOn[] =
      "the program waited no longer, and goes on; the image that stands has its sockets as they "
      "were a moment ago, as one of UDPCR_AFTER=continue does";

  Gathered& gathered_;
  const Identity& identity_;
  const Settings& settings_;
  const ImageFolder& folder_;
  std::unique_ptr<Engine> engine_;
  Page& page_;
  Log& log_;
  const ToldOptions& told_;
  Watch& watch_;
  Image image_;
  std::map<std::uint64_t, std::uint32_t> origins_;  // wire::kFd* by inode
  std::vector<Captured> sockets_;                   // beside Image::sockets
  std::map<std::uint64_t, std::uint32_t> index_;
  std::size_t queue_bytes_ = 0;
  UniqueFd lock_;
  bool released_ = false;
};

Report failure(const std::string& why, Log& log) {
  const std::string line = "checkpoint failed: " + why;
  log.error(line);
  return {Outcome::failed, line + "\n"};
}

}  // namespace

namespace {

// The image stays locked until nobody holds its sockets any more: the keeper
// hangs up when it has closed its own.
void await_end_of_keeper(int channel) {
  char answer = 0;
  for (;;) {
    const ssize_t got = recv(channel, &answer, 1, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return;
    pollfd end{channel, POLLIN, 0};
    if (poll(&end, 1, 1000) < 0 || got < 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}

}  // namespace

Outcome run_worker(Gathered gathered, const Identity& identity, const Settings& settings,
                   const ImageFolder& folder, Page& page, Log& log, const ToldOptions& told_options,
                   int channel, Watch& watch) {
  // Signs of life are those of the keeper's loop.
  show_life_to(Viewer::program, nullptr);
  show_life_to(Viewer::worker, nullptr);
  watch.guard(page, log);
  Work work(gathered, identity, settings, folder, page, log, told_options, watch);
  Report report;
  try {
    report = work.run(channel);
  } catch (const Error& error) {
    report = failure(error.what(), log);
  } catch (const std::bad_alloc&) {
    report = failure("the keeper has not enough memory for the queues", log);
  } catch (const std::exception& error) {
    report = failure(error.what(), log);
  }
  work.release(wire::Verdict::resume);
  watch.enter(Watch::Phase::done);
  const bool told = report.send(channel);
  if (report.outcome != Outcome::failed && settings.after == After::stop) {
    try {
      work.await_stopped_program();
    } catch (const Error& error) {
      failure(error.what(), log);
    }
  }
  work.close_sockets();
  if (told) await_end_of_keeper(channel);
  return report.outcome;
}

}  // namespace udpcr::keeper
