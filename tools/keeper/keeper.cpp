// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <udpcr/image_header.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "alive.hpp"
#include "keeper/monitor/client.hpp"
#include "keeper/park/abstract_name.hpp"
#include "keeper/service/program_socket.hpp"
#include "namespace_engine.hpp"
#include "privileges.hpp"
#include "start_packet.hpp"

namespace udpcr::keeper {

namespace {

// While the worker is at work: who waits for it is shown that we live.
constexpr int kWatchingPollMs = wire::kSliceMs / 2;
// While threads are being brought to a stop, how often we look.
constexpr int kGatheringPollMs = 1;
// A program that executes itself leaves its keeper behind, and the control name
// of its pid for as long as that one takes to notice.
constexpr int kNamePollMs = 10;
constexpr int kNameAttempts = 500;
// poll(2) that fails for ten seconds on end.
constexpr unsigned kMostFailedPolls = 1000;
constexpr std::chrono::milliseconds kPollPause{10};
// For keepers of earlier runs that are about to close what they have; and for those
// of them that do not say so (they restore, or are stopped).
constexpr std::chrono::seconds kOthersPatience{10};
constexpr std::chrono::milliseconds kSilencePatience{1000};
// What one process may send for a checkpoint.
constexpr std::size_t kMostFds = 65536;
// Processes of one tree.
constexpr std::size_t kMostProcesses = 4096;
// Messages of one process that are refused with a line each: then it is heard no more.
constexpr unsigned kMostFaults = 16;

// While the program runs SIGTERM means nothing: it is likely to be for both.
UniqueFd receive_end_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

Keeper::Keeper(UniqueFd channel, Packet& start, Log& log, Origin origin)
    : origin_(origin),
      settings_(start.as<wire::StartMessage>().settings),
      folder_(image_folder(start, origin == Origin::own)),
      log_(log),
      parks_(settings_, log_),
      park_answers_(parks_, log_),
      held_(settings_, folder_, told_, parks_, log_) {
  settings_.image[sizeof settings_.image - 1] = '\0';
  settings_.log_file[sizeof settings_.log_file - 1] = '\0';
  settings_.map[sizeof settings_.map - 1] = '\0';
  log_.set_level(settings_.log);
  if (origin == Origin::service) {
    const UniqueFd& file = start_file(start, wire::kStartLog);
    if (file) log_.use_file(UniqueFd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)));
  } else if (settings_.log_file[0] != '\0') {
    log_.open_file(settings_.log_file);
  }
  if (!is_confined()) {
    log_.warn(
        "the keeper runs without a filter of system calls: seccomp is not to be had here; where a "
        "sandbox forbids it, let it allow prctl(PR_SET_SECCOMP)");
  }
  presence_.listen(
      udpcr_identity_hash(UDPCR_HASH_START, settings_.image, std::strlen(settings_.image)));
  if (monitor::Client* const others = monitor::client()) {
    others->setup(folder_.folder(), folder_.name(), settings_.signal,
                  presence_.monitor_name().get());
    // Its service serves the next start, when it is there again.
    if (settings_.keeper[0] != '\0') others->park_for_sessions();
  }
  page_ = std::make_unique<Page>(start.fds.front());
  add_process(first_process(std::move(channel), start));
}

void Keeper::add_process(Process process) {
  if (monitor::Client* const others = monitor::client()) {
    others->join(process.pid, process.pidfd.get(), process.channel.get());
  }
  process.control = listen_for_control(process.pid);
  processes_.push_back(std::move(process));
}

void Keeper::take_in(const Process& parent, Packet& packet) {
  if (packet.fds.size() != 1) throw Error("a child without a channel");
  if (processes_.size() >= kMostProcesses) {
    if (!std::exchange(told_of_many_, true)) {
      log_.error("the program has more than " + std::to_string(kMostProcesses) +
                 " processes, the most that one keeper serves: the sockets of others are not kept");
    }
    return;
  }
  Process child = child_process(std::move(packet.fds.front()));
  if (is_here(child.pid)) throw Error("process " + std::to_string(child.pid) + " joins twice");
  add_process(std::move(child));
  parks_.forked(parent.pid, processes_.back().pid);
}

void Keeper::refuse(Process& process, const std::string& why) {
  log_.error("process " + std::to_string(process.pid) + ": " + why);
  if (++process.faults < kMostFaults) return;
  log_.error("process " + std::to_string(process.pid) + " has sent " + std::to_string(kMostFaults) +
             " messages that were refused: it has no keeper any more; restart the program");
  process.channel_ended = true;
  parks_.left(process);
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
  if (presence_.source() >= 0) {
    sources.push_back({presence_.source(), nullptr, nullptr, false, false, true});
  }
  for (const int fd : park_answers_.sources()) sources.push_back({fd, nullptr, nullptr, true});
  return sources;
}

int Keeper::patience() {
  const int held = held_.expire();
  const int claims = shared_claims_.expire(processes_);
  const int parks = parks_.expire();
  if (gathering_) return kGatheringPollMs;
  const int names = await_control_names() ? kNamePollMs : -1;
  const int better_name = park_answers_.improve_name();
  const int worker = worker_channel_ ? kWatchingPollMs : -1;
  int soonest = -1;
  for (const int due : {held, claims, parks, names, better_name, worker}) {
    if (due >= 0 && (soonest < 0 || due < soonest)) soonest = due;
  }
  return soonest;
}

void Keeper::run() {
  end_signal_ = receive_end_signal();
  unsigned failed_polls = 0;
  for (;;) {
    show_life();
    if (page_->is_given_up()) return abandon();
    if (worker_channel_) watch_worker();
    if (processes_.empty()) {
      end_program();
      if (told_to_end_) {
        parks_.give_up(
            "the program has ended and its keeper is told to (SIGTERM), as a service manager does "
            "that stops all of a unit; the kernel module, FileDescriptorStoreMax= or a keeper "
            "service (UDPCR_KEEPER) would keep it");
      }
      parks_.expire();
      if (!parks_.holds()) return;
    }
    const int patience_ms = patience();
    const std::vector<Source> all = sources();
    std::vector<pollfd> polled;
    for (const Source& source : all) polled.push_back({source.fd, POLLIN, 0});
    if (poll(polled.data(), polled.size(), patience_ms) < 0) {
      if (++failed_polls > kMostFailedPolls) {
        throw Error("poll: " + std::string(std::strerror(errno)), errno);
      }
      // Nothing is known of the sources, but what is due is due.
      for (pollfd& one : polled) one.revents = 0;
      if (errno != EINTR) std::this_thread::sleep_for(kPollPause);
    } else {
      failed_polls = 0;
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
  } else if (source.of_presence) {
    tell_of_us();
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

// Whatever closes it makes from now on are not told, so that nothing may be kept for
// it: neither its sockets nor what it has not taken.
void Keeper::abandon() {
  const std::string line =
      "the program goes on without this keeper, which did not run for a second; it ends";
  log_.info(line);
  if (worker_channel_ && watch_->overrule()) {
    kill(worker_, SIGKILL);
    await_worker();
    for (const ReadingState& state : reading_states_) state.restore();
  }
  answer_clients({Outcome::failed, "checkpoint failed: " + line + "\n"});
  held_.close_all();
  const bool lives = std::any_of(processes_.begin(), processes_.end(),
                                 [](const Process& process) { return !process.ended(); });
  if (lives) return parks_.drop_all();
  parks_.give_up("its program had given up the keeper, which did not run, and has ended since");
}

void Keeper::forget_ended() {
  processes_.remove_if([](const Process& process) { return process.channel_ended; });
}

namespace {

Received next_packet(Process& process, Packet& packet) {
  if (process.early.empty()) return receive_packet(process.channel.get(), packet);
  packet = std::move(process.early.front());
  process.early.pop_front();
  return Received::packet;
}

}  // namespace

void Keeper::read_channel(Process& process) {
  while (!process.channel_ended) {
    Packet packet;
    show_life();
    if (page_->is_given_up()) return;
    try {
      const Received received = next_packet(process, packet);
      if (received == Received::nothing) return;
      if (received == Received::end) {
        process.channel_ended = true;
        return parks_.left(process);
      }
      handle(process, packet);
    } catch (const Error& error) {
      refuse(process, error.what());
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
      return take_in(process, packet);
    case wire::Type::identified:
      return settle(process, packet);
    case wire::Type::checkpoint:
      return take_fds(process, packet);
    case wire::Type::option:
      return take_option(process, packet);
    case wire::Type::claim:
    case wire::Type::release:
    case wire::Type::give_back:
      return answer_claim(process, packet);
    case wire::Type::knock:
      return;  // having been read it has been answered
    case wire::Type::others:
      return tell_of_others(process);
    case wire::Type::exchanged:
      return shared_claims_.exchanged(process, packet.as<wire::ClaimMessage>(), processes_);
    case wire::Type::park:
      return park(process, packet);
    case wire::Type::unpark:
    case wire::Type::sweep:
      return unpark(process, packet);
    default:
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
  await_others();
  std::unique_ptr<Engine> engine;
  try {
    engine = std::make_unique<NamespaceEngine>(UseEngine(settings_.engine));
    log_.debug("the " + std::string(engine->name()) + " engine is used");
  } catch (const Error& error) {
    log_.error(std::string(error.what()) + "; nothing is restored, and no checkpoint is possible");
  }
  if (origin_ == Origin::service) {
    held_.open_sockets_by([&process](int family, int protocol) {
      return socket_of_program(process, family, protocol);
    });
  }
  wire::ReadyMessage ready{};
  ready.header = {wire::Type::ready, wire::kVersion};
  // The program waits for the answer, whatever happens.
  try {
    // A port that is restored for nobody is in the way: of a program that does not wait,
    // as there was nothing for it when it started, and of the start after one that has
    // ended.
    if (identity_->waits && living() != 0) {
      ready.abort = held_.restore(*identity_, engine.get()) ? 1 : 0;
    }
    // Before the program binds anything: it may be killed right afterwards.
    park_answers_.listen_if_expected();
    held_.confirm_parked();
  } catch (const Error& error) {
    log_.error("nothing more is restored: " + std::string(error.what()));
    if (settings_.on_error == OnError::abort) ready.abort = 1;
  }
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
  // A service's stderr holds up nobody.
  if (origin_ == Origin::own) log_.settle();
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
    try {
      if (is_udp_socket(sent.fd.get())) process.sent.push_back(std::move(sent));
    } catch (const Error& error) {
      process.failure = "fd " + std::to_string(sent.entry.fd) + " of process " +
                        std::to_string(process.pid) + ": " + error.what();
    }
  }
  if (message.has_stderr != 0) log_.borrow(std::move(packet.fds.back()));
  // One that was asked by a signal does not know how far its fds reach.
  std::uint32_t reach = 0;
  try {
    reach = std::min(fd_table_size(process.pid), wire::kMostNumber);
  } catch (const Error& error) {
    process.failure = error.what();
  }
  process.sent_all = message.last != 0 && message.scanned >= reach;
  if (message.last != 0 && !process.sent_all) page_->scan_to(reach);
  if (!gathering_) wanted_ = true;
}

void Keeper::take_option(const Process& process, const Packet& packet) {
  if (process.sent_all || packet.as<wire::OptionMessage>().epoch != page_->epoch()) return;
  told_.take(packet);
}

void Keeper::tell_of_others(const Process& process) {
  wire::ClaimedMessage answer{};
  answer.header = {wire::Type::claimed, wire::kVersion};
  const Presence::Others others =
      others_given_up_ ? Presence::Others::none : presence_.others([this] { tell_of_us(); });
  if (others == Presence::Others::ending) answer.status = EAGAIN;
  if (others == Presence::Others::silent) answer.status = EBUSY;
  send_packet(process.channel.get(), &answer, sizeof answer, {});
}

// What stays parked is not closed: it is for the start to take.
void Keeper::tell_of_us() const { presence_.answer(!processes_.empty() && living() == 0); }

void Keeper::await_others() {
  using namespace std::chrono;
  const auto start = steady_clock::now();
  milliseconds silent{0};
  for (bool told = false;;) {
    const auto before = steady_clock::now();
    const Presence::Others others = presence_.others([this] { tell_of_us(); });
    const auto now = steady_clock::now();
    if (others == Presence::Others::none || living() == 0) return;
    if (others == Presence::Others::silent) silent += duration_cast<milliseconds>(now - before);
    const std::string who = "keeper " + std::to_string(presence_.other()) + " of image " +
                            folder_.path() + ", of an earlier run,";
    if (now - start > kOthersPatience || silent > kSilencePatience) {
      log_.warn(who + " is not done with its sockets after " +
                std::to_string(duration_cast<milliseconds>(now - start).count()) +
                " ms: the program starts without waiting for it any longer, and may find its "
                "ports taken; end that keeper if it is stopped");
      others_given_up_ = true;
      return;
    }
    if (!told) log_.info(who + " is not done yet: the start waits for it");
    told = true;
    if (others == Presence::Others::ending) poll_alive(nullptr, 0, kNamePollMs);
  }
}

void Keeper::read_client(Client& client) {
  try {
    Packet packet;
    const Received received = receive_packet(client.fd.get(), packet);
    if (received == Received::nothing) return;
    if (received == Received::end || packet.type() != wire::Type::order) return client.fd.reset();
    client.restarts = packet.as<wire::OrderMessage>().order == wire::Order::restart;
  } catch (const Error& error) {
    // Of another release: it is told so.
    Report{Outcome::failed, std::string(error.what()) + "\n"}.send(client.fd.get());
    return client.fd.reset();
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

}  // namespace udpcr::keeper
