// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "abstract_name.hpp"
#include "namespace_engine.hpp"
#include "privileges.hpp"

namespace udpcr::keeper {

namespace {

// While threads are being brought to a stop, how often we look.
constexpr int kGatheringPollMs = 1;
// A program that executes itself leaves its keeper behind, and the control name
// of its pid for as long as that one takes to notice.
constexpr int kNamePollMs = 10;
constexpr int kNameAttempts = 500;
// What one process may send for a checkpoint.
constexpr std::size_t kMostFds = 65536;

std::string image_path(const Packet& start) {
  const auto message = start.as<wire::StartMessage>();
  const char* const path = message.settings.image;
  if (path[0] != '/' || std::memchr(path, '\0', sizeof message.settings.image) == nullptr) {
    throw Error("the start message carries no absolute image path");
  }
  return path;
}

// While the program runs SIGTERM means nothing: it is likely to be for both.
UniqueFd receive_end_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

Keeper::Keeper(UniqueFd channel, const Packet& start, Log& log)
    : settings_(start.as<wire::StartMessage>().settings),
      folder_(image_path(start)),
      log_(log),
      parks_(settings_, log_),
      park_answers_(parks_, log_),
      held_(settings_, folder_, told_, parks_, log_) {
  settings_.image[sizeof settings_.image - 1] = '\0';
  settings_.log_file[sizeof settings_.log_file - 1] = '\0';
  settings_.map[sizeof settings_.map - 1] = '\0';
  log_.set_level(settings_.log);
  if (settings_.log_file[0] != '\0') log_.open_file(settings_.log_file);
  if (start.fds.size() != 1) throw Error("the start message carries no shared page");
  page_ = std::make_unique<Page>(start.fds.front());
  if (!add_process(std::move(channel))) throw Error("the program has ended before its keeper ran");
}

bool Keeper::add_process(UniqueFd channel) {
  Process process;
  process.pid = channel_owner(channel.get());
  process.channel = std::move(channel);
  if (process.pid <= 0) return false;
  process.pidfd = UniqueFd(int(syscall(SYS_pidfd_open, process.pid, 0)));
  process.control = listen_for_control(process.pid);
  processes_.push_back(std::move(process));
  return true;
}

bool Keeper::await_control_names() {
  bool any = false;
  for (Process& process : processes_) {
    if (process.control || process.control_attempts > kNameAttempts) continue;
    process.control = listen_for_control(process.pid);
    if (process.control) continue;
    any = true;
    if (++process.control_attempts > kNameAttempts) {
      log_.info("udpcr checkpoint " + std::to_string(process.pid) +
                " will not work: its control name is taken");
    }
  }
  return any;
}

std::vector<Keeper::Source> Keeper::sources() {
  std::vector<Source> sources;
  for (Process& process : processes_) {
    if (!process.channel_ended) sources.push_back({process.channel.get(), &process});
    if (process.control) sources.push_back({process.control.get(), &process});
  }
  for (Client& client : clients_) sources.push_back({client.fd.get(), nullptr, &client});
  if (worker_channel_) sources.push_back({worker_channel_.get()});
  if (end_signal_) sources.push_back({end_signal_.get(), nullptr, nullptr, false, true});
  for (const int fd : park_answers_.sources()) sources.push_back({fd, nullptr, nullptr, true});
  return sources;
}

int Keeper::patience() {
  const int held = held_.expire();
  const int claims = shared_claims_.expire(processes_);
  const int parks = parks_.expire();
  if (gathering_) return kGatheringPollMs;
  const int names = await_control_names() ? kNamePollMs : -1;
  int soonest = -1;
  for (const int due : {held, claims, parks, names}) {
    if (due >= 0 && (soonest < 0 || due < soonest)) soonest = due;
  }
  return soonest;
}

void Keeper::run() {
  end_signal_ = receive_end_signal();
  for (;;) {
    if (processes_.empty()) {
      end_program();
      if (told_to_end_) parks_.give_up();
      parks_.expire();
      if (!parks_.holds()) return;
    }
    const int patience_ms = patience();
    const std::vector<Source> all = sources();
    std::vector<pollfd> polled;
    for (const Source& source : all) polled.push_back({source.fd, POLLIN, 0});
    if (poll(polled.data(), polled.size(), patience_ms) < 0 && errno != EINTR) {
      throw Error("poll: " + std::string(std::strerror(errno)), errno);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (polled[i].revents != 0) serve(all[i]);
    }
    clients_.remove_if([](const Client& client) { return !client.fd; });
    if (wanted_ && !busy()) begin_checkpoint();
    if (gathering_) step_gathering();
    if (!busy()) forget_ended();
  }
}

void Keeper::serve(const Source& source) {
  if (source.of_signal) {
    told_to_end_ = true;
    end_signal_.reset();
  } else if (source.of_parks) {
    park_answers_.serve(source.fd, living());
  } else if (source.client != nullptr) {
    read_client(*source.client);
  } else if (source.process == nullptr) {
    end_worker();
  } else if (source.fd == source.process->channel.get()) {
    read_channel(*source.process);
  } else {
    Client client{accept_own(source.fd), source.process->pid, false, false};
    if (client.fd) clients_.push_back(std::move(client));
  }
}

pid_t Keeper::living() const {
  for (const Process& process : processes_) {
    if (!process.has_left()) return process.pid;
  }
  return 0;
}

// What is parked may be kept longer.
void Keeper::end_program() {
  held_.close_all();
  parks_.program_ended();
  image_claim_.reset();
  clients_.clear();
}

void Keeper::forget_ended() {
  processes_.remove_if([](const Process& process) { return process.channel_ended; });
}

void Keeper::read_channel(Process& process) {
  for (;;) {
    Packet packet;
    try {
      const Received received = receive_packet(process.channel.get(), packet);
      if (received == Received::nothing) return;
      if (received == Received::end) {
        process.channel_ended = true;
        return parks_.left(process);
      }
      handle(process, packet);
    } catch (const Error& error) {
      log_.error("process " + std::to_string(process.pid) + ": " + error.what());
    }
  }
}

void Keeper::handle(Process& process, Packet& packet) {
  switch (packet.type()) {
    case wire::Type::hello:
      return hello(process, packet);
    case wire::Type::stored:
      if (identity_) break;
      return held_.take_stored(packet);
    case wire::Type::forked:
      if (packet.fds.size() == 1 && add_process(std::move(packet.fds.front()))) {
        parks_.forked(process.pid, processes_.back().pid);
      }
      return;
    case wire::Type::checkpoint:
      return take_fds(process, packet);
    case wire::Type::option:
      return take_option(process, packet);
    case wire::Type::claim:
    case wire::Type::release:
    case wire::Type::give_back:
      return answer_claim(process, packet);
    case wire::Type::exchanged:
      return shared_claims_.exchanged(process, packet.as<wire::ClaimMessage>(), processes_);
    case wire::Type::park:
      return park(process, packet);
    case wire::Type::unpark:
    case wire::Type::sweep:
      return unpark(process, packet);
    case wire::Type::start:
    case wire::Type::ready:
    case wire::Type::inherit:
    case wire::Type::claimed:
    case wire::Type::exchange:
      break;
  }
  throw Error("message of type " + std::to_string(unsigned(packet.type())) +
              " is not for the keeper");
}

void Keeper::hello(Process& process, Packet& packet) {
  if (identity_) throw Error("a second hello");
  identity_ = Identity::from_hello(packet);
  parks_.begin(*identity_);
  if (!packet.fds.empty()) log_.borrow(std::move(packet.fds.back()));
  std::unique_ptr<Engine> engine;
  try {
    engine = std::make_unique<NamespaceEngine>(UseEngine(settings_.engine));
    log_.debug("the " + std::string(engine->name()) + " engine is used");
  } catch (const Error& error) {
    log_.error(std::string(error.what()) + "; nothing is restored, and no checkpoint is possible");
  }
  wire::ReadyMessage ready{};
  ready.header = {wire::Type::ready, wire::kVersion};
  ready.abort = held_.restore(*identity_, engine.get()) ? 1 : 0;
  // Before the program binds anything: it may be killed right afterwards.
  park_answers_.listen_if_expected();
  held_.confirm_parked();
  ready.inherited = std::uint32_t(held_.inherited().size());
  const int table = held_.table_fd();
  if (table >= 0) ready.entries = std::uint32_t(held_.entries());
  const std::span<const int> fds(&table, table >= 0 ? 1 : 0);
  const std::string& names = held_.listen_names();
  ready.names_size = std::uint32_t(names.size());
  Bytes packed(sizeof ready + names.size());
  std::memcpy(packed.data(), &ready, sizeof ready);
  std::memcpy(packed.data() + sizeof ready, names.data(), names.size());
  send_packet(process.channel.get(), packed.data(), packed.size(), fds);
  for (LiveSocket& named : held_.named()) identity_->live.push_back(std::move(named));
  if (settings_.fds != FdMode::adopt) {
    held_.hand_over_inherited(process.channel.get(), process.pid);
  }
  log_.borrow({});
  log_.settle();
}

void Keeper::take_fds(Process& process, Packet& packet) {
  const auto message = packet.as<wire::CheckpointMessage>();
  const std::size_t entries = message.count;
  if (packet.data.size() != sizeof message + entries * sizeof(wire::FdEntry) ||
      packet.fds.size() != entries + (message.has_stderr != 0 ? 1 : 0)) {
    throw Error("a checkpoint message does not hold what it states");
  }
  // Two threads asked at once, or so late that the checkpoint is over for them.
  if (process.sent_all || message.epoch != page_->epoch()) return;
  // Forked while the others stood still: it waits with them, and asks for nothing.
  if (!gathering_ && page_->is_frozen()) return;
  if (process.sent.size() + entries > kMostFds) {
    process.sent.clear();
    process.sent_all = true;
    throw Error("more than " + std::to_string(kMostFds) + " fds for one checkpoint");
  }
  for (std::size_t i = 0; i < entries; ++i) {
    SentFd sent;
    std::memcpy(&sent.entry, packet.data.data() + sizeof message + i * sizeof sent.entry,
                sizeof sent.entry);
    sent.fd = std::move(packet.fds[i]);
    if (is_udp_socket(sent.fd.get())) process.sent.push_back(std::move(sent));
  }
  if (message.has_stderr != 0) log_.borrow(std::move(packet.fds.back()));
  // One that was asked by a signal does not know how far its fds reach.
  const std::uint32_t reach = std::min(fd_table_size(process.pid), wire::kMostNumber);
  process.sent_all = message.last != 0 && message.scanned >= reach;
  if (message.last != 0 && !process.sent_all) page_->scan_to(reach);
  if (!gathering_) wanted_ = true;
}

void Keeper::take_option(const Process& process, const Packet& packet) {
  if (process.sent_all || packet.as<wire::OptionMessage>().epoch != page_->epoch()) return;
  told_.take(packet);
}

void Keeper::answer_claim(Process& process, Packet& packet) {
  const auto claim = packet.as<wire::ClaimMessage>();
  wire::ClaimedMessage answer{};
  answer.header = {wire::Type::claimed, wire::kVersion};
  UniqueFd socket;
  if (claim.header.type == wire::Type::claim) {
    answer.status = held_.claim(claim.entry, process.pid, socket);
    if (answer.status == 0 && claim.shared != 0 &&
        shared_claims_.begin(process, claim, socket, processes_, settings_.signal)) {
      return;
    }
  } else if (claim.header.type == wire::Type::release) {
    answer.status = held_.release(claim.entry);
  } else {
    answer.status = packet.fds.size() == 1
                        ? held_.take_back(claim.entry, std::move(packet.fds.front()))
                        : EBADF;
  }
  const int fd = socket.get();
  send_packet(process.channel.get(), &answer, sizeof answer,
              std::span<const int>(&fd, socket ? 1 : 0));
}

void Keeper::park(Process& process, Packet& packet) {
  const auto message = packet.as<wire::ParkMessage>();
  if (packet.fds.size() != 1) throw Error("a park message carries no socket");
  parks_.add(message.entry, process.pid, std::move(packet.fds.front()));
}

void Keeper::unpark(Process& process, const Packet& packet) {
  if (packet.type() == wire::Type::unpark) {
    parks_.unpark(packet.as<wire::UnparkMessage>().inode, process.pid);
  } else {
    const auto sweep = packet.as<wire::SweepMessage>();
    if (sweep.executes != 0) {
      parks_.executes(process.pid);
    } else {
      parks_.sweep(process.pid, std::uint16_t(sweep.port));
    }
  }
  wire::ClaimedMessage answer{};
  answer.header = {wire::Type::claimed, wire::kVersion};
  send_packet(process.channel.get(), &answer, sizeof answer, {});
}

void Keeper::read_client(Client& client) {
  char buffer[sizeof kControlRequest];
  const ssize_t size = recv(client.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  const std::string_view request(buffer, std::size_t(std::max<ssize_t>(size, 0)));
  client.restarts = request == kRestartRequest;
  if (!client.restarts && request != kControlRequest) {
    client.fd.reset();
    return;
  }
  client.asked = true;
  // While the program is still being brought to a stop, it is not too late.
  client.served = gathering_.has_value();
  if (client.served && client.restarts) restart_ = true;
  if (!client.served) wanted_ = true;
}

bool Keeper::is_here(pid_t pid) const {
  return std::any_of(processes_.begin(), processes_.end(), [pid](const Process& process) {
    return process.pid == pid && !process.has_left();
  });
}

void Keeper::begin_checkpoint() {
  wanted_ = false;
  // One that has executed another program since has another keeper: it is asked
  // again when we hang up.
  clients_.remove_if([this](const Client& client) { return client.asked && !is_here(client.pid); });
  restart_ = false;
  for (Client& client : clients_) {
    client.served = client.asked;
    if (client.served && client.restarts) restart_ = true;
  }
  // Of an earlier checkpoint with UDPCR_AFTER=stop, whose program goes on.
  if (worker_ != 0) {
    kill(worker_, SIGKILL);
    waitpid(worker_, nullptr, 0);
    worker_ = 0;
  }
  if (!may_write_image()) return;
  gathering_.emplace(processes_, settings_.signal, *page_, log_);
}

bool Keeper::may_write_image() {
  pid_t holder = 0;
  try {
    if (!image_claim_) image_claim_ = claim_image(folder_.fd(), folder_.name(), holder);
  } catch (const Error& error) {
    fail_checkpoint(error.what());
    return false;
  }
  if (image_claim_) return true;
  fail_checkpoint("image " + folder_.path() + " is that of another running program (keeper " +
                  std::to_string(holder) +
                  "): give each program its own UDPCR_IMAGE, or start those that belong together "
                  "with one `udpcr run`");
  return false;
}

void Keeper::step_gathering() {
  switch (gathering_->step()) {
    case Gathering::State::waiting:
      return;
    case Gathering::State::failed:
      return fail_checkpoint(std::string(gathering_->failure()));
    case Gathering::State::complete:
      gathered_ = gathering_->take();
      gathering_.reset();
      return start_worker();
  }
}

// Of what has no name the next start could not tell which it is, unless it is
// given back at its fd.
bool Keeper::choose_settings() {
  checkpoint_settings_ = settings_;
  if (!restart_) return true;
  checkpoint_settings_.after = After::exit_;
  if (settings_.park == ParkMode::off) checkpoint_settings_.park = ParkMode::checkpoint;
  return std::any_of(clients_.begin(), clients_.end(), [](const Client& client) {
    return client.fd && client.served && client.restarts;
  });
}

void Keeper::park_gathered() {
  if (checkpoint_settings_.park == ParkMode::off) return;
  const bool by_name = settings_.fds == FdMode::adopt;
  for (const Gathered::Member& member : gathered_.members) {
    for (const SentFd& sent : member.fds) {
      if (by_name && ((sent.entry.flags & wire::kFdUnseen) != 0 || !has_port(sent.fd.get()))) {
        continue;
      }
      struct stat status {};
      UniqueFd copy(fcntl(sent.fd.get(), F_DUPFD_CLOEXEC, 0));
      try {
        if (!copy || fstat(copy.get(), &status) != 0) {
          throw Error("no fd is left (RLIMIT_NOFILE)", errno);
        }
        if (parks_.add(sent.entry, member.pid, std::move(copy))) {
          newly_parked_.push_back(status.st_ino);
        }
      } catch (const Error& error) {
        log_.warn("not parked: fd " + std::to_string(sent.entry.fd) + ": " + error.what());
      }
      if (parks_.has(status.st_ino)) gathered_.parked.insert(status.st_ino);
    }
  }
  if (!gathered_.parked.empty()) page_->set_parking();
}

void Keeper::undo_parks() {
  for (const std::uint64_t inode : newly_parked_) parks_.drop(inode);
  newly_parked_.clear();
}

void Keeper::fail_checkpoint(const std::string& why) {
  gathering_.reset();
  undo_parks();
  told_.forget();
  for (Process& process : processes_) {
    process.sent.clear();
    process.sent_all = false;
  }
  page_->release(wire::Verdict::resume);
  const std::string line = "checkpoint failed: " + why;
  log_.error(line);
  log_.borrow({});
  answer_clients({Outcome::failed, line + "\n"});
}

void Keeper::start_worker() {
  if (!choose_settings()) {
    gathered_ = {};
    return fail_checkpoint("who asked for a restart waits for it no longer; the program goes on");
  }
  park_gathered();
  for (const Gathered::Member& member : gathered_.members) {
    for (const SentFd& sent : member.fds) {
      reading_states_.emplace_back(sent.fd.get());
    }
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail_checkpoint("socketpair: " + std::string(std::strerror(errno)));
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  worker_ = fork();
  if (worker_ < 0) {
    worker_ = 0;
    return fail_checkpoint("the keeper cannot fork: " + std::string(std::strerror(errno)));
  }
  if (worker_ == 0) {
    ours.reset();
    held_.forget();
    parks_.forget_all();
    park_answers_.close();
    for (Process& process : processes_) process.control.reset();
    run_worker(std::move(gathered_), identity_.value_or(Identity{}), checkpoint_settings_, folder_,
               *page_, log_, told_, theirs.get());
    _exit(0);
  }
  told_.forget();
  worker_channel_ = std::move(ours);
}

void Keeper::end_worker() {
  Report report;
  if (!Report::receive(worker_channel_.get(), report)) {
    int status = 0;
    waitpid(worker_, &status, 0);
    worker_ = 0;
    worker_channel_.reset();
    for (const ReadingState& state : reading_states_) state.restore();
    reading_states_.clear();
    gathered_ = {};
    return fail_checkpoint("the process that reads the sockets was ended by signal " +
                           std::to_string(WTERMSIG(status)) +
                           "; the sockets are as they were, no image was harmed");
  }
  reading_states_.clear();
  gathered_ = {};
  if (report.outcome == Outcome::captured) return page_->release(wire::Verdict::resume);
  // A program that has ended has left them.
  if (report.outcome == Outcome::failed && living() != 0) undo_parks();
  newly_parked_.clear();
  // Tells the worker that we hold none of the sockets any more.
  worker_channel_.reset();
  const bool lasting =
      checkpoint_settings_.after == After::stop && report.outcome != Outcome::failed;
  if (!lasting) {
    waitpid(worker_, nullptr, 0);
    worker_ = 0;
  }
  log_.borrow({});
  answer_clients(report);
}

void Keeper::answer_clients(const Report& report) {
  for (Client& client : clients_) {
    if (!client.served) continue;
    report.send(client.fd.get());
    client.fd.reset();
  }
  clients_.remove_if([](const Client& client) { return !client.fd; });
}

int keeper_main(int argc, char** argv) {
  int channel = -1;
  if (argc == 2) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), channel);
  if (channel < 0) {
    static constexpr char kUsage[] =
        "udpcr: error: the keeper is started by the shim or by `udpcr run`, not by hand\n";
    std::fputs(kUsage, stderr);
    return 125;
  }
  Log log(STDERR_FILENO);
  try {
    enter_keeper_life(channel);
    UniqueFd owned(channel);
    pollfd first{channel, POLLIN, 0};
    Packet start;
    const Received received =
        poll(&first, 1, 10'000) == 1 ? receive_packet(channel, start) : Received::nothing;
    if (received == Received::end) return 0;  // the program was killed as it began
    if (received == Received::nothing || start.type() != wire::Type::start) {
      throw Error("no start message within 10 s");
    }
    Keeper(std::move(owned), start, log).run();
    return 0;
  } catch (const std::exception& error) {
    log.error("the keeper ends: " + std::string(error.what()));
    return 125;
  }
}

}  // namespace udpcr::keeper
