// SPDX-License-Identifier: LGPL-2.1-or-later
#include "service.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <list>
#include <map>
#include <set>
#include <string>

#include "keeper/keeper.hpp"
#include "keeper/park/abstract_name.hpp"
#include "keeper/park/talk.hpp"
#include "listening_socket.hpp"
#include "peer.hpp"
#include "session_counts.hpp"
#include "text_file.hpp"

namespace udpcr::keeper {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFailed = 125;
constexpr mode_t kMode = 0666;
// A program sends its first message at once.
constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kMostWaiting = 256;
constexpr std::size_t kMostWaitingOfUser = 64;
// Of the first, this many are root's.
constexpr std::size_t kWaitingOfRoot = 64;
// Processes that ask keepers for parked sockets, and how long each keeper is waited for.
constexpr std::size_t kMostAsking = 64;
constexpr int kKeeperPatienceMs = 200;

constexpr char kUsage[] =
    "usage: udpcr keeper --listen PATH [--mode MODE]\n"
    "\n"
    "A keeper service: programs that are started with UDPCR_KEEPER=PATH (udpcr run\n"
    "--keeper PATH) have their keeper from it, with their own rights, and start none.\n"
    "A listening socket that a service manager hands down is used in PATH's place.\n"
    "SIGTERM ends the service; the keepers of running programs and of parked sockets\n"
    "stay.\n"
    "\n"
    "  --mode MODE   of the socket, octal, default 666: whoever may write to it may\n"
    "                use the service\n";

volatile std::sig_atomic_t ending = 0;

void end_service(int /*signal*/) { ending = 1; }
void note_child(int /*signal*/) {}

void refuse(int channel, const std::string& why) {
  wire::AcceptedMessage answer{};
  answer.header = {wire::Type::accepted, wire::kVersion};
  answer.refused = 1;
  why.copy(answer.why, sizeof answer.why - 1);
  send_packet(channel, &answer, sizeof answer, {}, 0);
}

// Keepers that have parked sockets of that image, of the program's user.
std::vector<Holder> keepers_of(int channel, std::uint64_t image) {
  const wire::NameOwner owner = owner_of_peer(channel);
  return find_in(park_stem(image, owner),
                 [&](int keeper) { return peer_of(keeper).uid == owner.uid; });
}

bool has_parked(int keeper, const wire::ProbeMessage& probe) {
  if (!send_packet(keeper, &probe, sizeof probe, {}, 0)) return false;
  try {
    Packet answer;
    const Received received = await_packet(keeper, answer, kKeeperPatienceMs);
    // One that is at work on a checkpoint answers later: then it may have some.
    if (received == Received::nothing) return true;
    return received == Received::packet && answer.type() == wire::Type::found &&
           answer.as<wire::FoundMessage>().parked != 0;
  } catch (const Error&) {
    return true;  // of another release
  }
}

void tell_found(int channel, bool parked) {
  wire::FoundMessage found{};
  found.header = {wire::Type::found, wire::kVersion};
  found.parked = parked ? 1 : 0;
  send_packet(channel, &found, sizeof found, {}, 0);
}

// Who has connected and has not said what for.
struct Waiting {
  UniqueFd fd;
  uid_t uid = 0;
  Clock::time_point deadline;
};

class Service {
 public:
  Service(const std::string& path, mode_t mode) : socket_(path, mode) {}

  void run();

 private:
  void accept_all();
  void make_room(uid_t newest);
  // False: it is done with.
  bool read(Waiting& waiting);
  // In a process of its own where somebody else has to be asked, who may be slow.
  void answer_probe(int channel, const wire::ProbeMessage& probe);
  void begin_session(Waiting& waiting, Packet& start);
  [[noreturn]] void live_in_session(UniqueFd channel, Packet& start, int place);
  void reap();

  ListeningSocket socket_;
  SessionCounts counts_;
  std::list<Waiting> waiting_;
  std::set<pid_t> asking_;
};

// When memory ends the session is in no less danger than its program: the service's own
// score, which a unit protects, is not for what strangers make it hold
// (proc_pid_oom_score_adj(5)).  To raise it needs no right.
void share_oom_score(pid_t program) {
  const std::string file = "/oom_score_adj";
  const int theirs =
      std::atoi(read_text_or_nothing("/proc/" + std::to_string(program) + file).c_str());
  const int ours = std::atoi(read_text_or_nothing("/proc/self" + file).c_str());
  if (theirs > ours) std::ofstream("/proc/self" + file) << theirs;
}

void Service::run() {
  sigset_t asleep;
  sigemptyset(&asleep);
  while (ending == 0) {
    reap();
    std::vector<pollfd> polled{{socket_.fd(), POLLIN, 0}};
    for (const Waiting& one : waiting_) polled.push_back({one.fd.get(), POLLIN, 0});
    const timespec second{1, 0};
    if (ppoll(polled.data(), polled.size(), waiting_.empty() ? nullptr : &second, &asleep) < 0) {
      continue;
    }
    std::size_t next = 1;
    for (auto one = waiting_.begin(); one != waiting_.end(); ++next) {
      const bool stays = polled[next].revents == 0 ? Clock::now() < one->deadline : read(*one);
      one = stays ? std::next(one) : waiting_.erase(one);
    }
    if (polled[0].revents != 0) accept_all();
  }
}

void Service::reap() {
  for (pid_t ended = 0; (ended = waitpid(-1, nullptr, WNOHANG)) > 0;) {
    if (asking_.erase(ended) == 0) counts_.ended(ended);
  }
}

void Service::accept_all() {
  for (;;) {
    UniqueFd fd(accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    // What it wants has come with it, as a rule.
    Waiting one{std::move(fd), peer.uid, Clock::now() + kPatience};
    if (!read(one)) continue;
    waiting_.push_back(std::move(one));
    make_room(peer.uid);
  }
}

// Nobody's silence is at the cost of others: of a user who has his share the oldest
// goes, and where all together have theirs, of the one who has most.
void Service::make_room(uid_t newest) {
  std::map<uid_t, std::size_t> shares;
  for (const Waiting& one : waiting_) ++shares[one.uid];
  const std::size_t of_others = waiting_.size() - (shares.count(0) != 0 ? shares[0] : 0);
  uid_t loser = newest;
  if (shares[newest] <= kMostWaitingOfUser) {
    if (newest == 0 || of_others <= kMostWaiting - kWaitingOfRoot) return;
    shares.erase(0);
    loser = std::max_element(shares.begin(), shares.end(), [](const auto& one, const auto& other) {
              return one.second < other.second;
            })->first;
  }
  const auto oldest = std::find_if(waiting_.begin(), waiting_.end(),
                                   [loser](const Waiting& one) { return one.uid == loser; });
  refuse(oldest->fd.get(), "too many programs of user " + std::to_string(loser) +
                               " have connected and say nothing; end them");
  waiting_.erase(oldest);
}

bool Service::read(Waiting& waiting) {
  try {
    Packet packet;
    const Received received = receive_packet(waiting.fd.get(), packet);
    if (received == Received::nothing) return true;
    if (received == Received::end) return false;
    if (packet.type() == wire::Type::start) {
      begin_session(waiting, packet);
    } else if (packet.type() == wire::Type::probe) {
      answer_probe(waiting.fd.get(), packet.as<wire::ProbeMessage>());
    }
  } catch (const Error& error) {
    refuse(waiting.fd.get(), error.what());
  }
  return false;
}

void Service::answer_probe(int channel, const wire::ProbeMessage& probe) {
  const std::vector<Holder> keepers = keepers_of(channel, probe.mine.image);
  if (keepers.empty()) return tell_found(channel, false);
  const pid_t asker = asking_.size() < kMostAsking ? fork() : -1;
  // Its session will see.
  if (asker < 0) return tell_found(channel, true);
  if (asker > 0) {
    asking_.insert(asker);
    return;
  }
  tell_found(channel, std::any_of(keepers.begin(), keepers.end(), [&](const Holder& keeper) {
               return has_parked(keeper.connection.get(), probe);
             }));
  _exit(0);
}

void Service::begin_session(Waiting& waiting, Packet& start) {
  const int place = counts_.take(waiting.uid);
  if (place < 0) {
    throw Error("user " + std::to_string(waiting.uid) + " has " +
                std::to_string(SessionCounts::kMostOfUser) +
                " programs with this service, the most that one user may have, or there are " +
                std::to_string(SessionCounts::kMost) +
                " in all: start others without UDPCR_KEEPER");
  }
  const pid_t session = fork();
  if (session < 0) {
    const int error = errno;
    counts_.give_back(place);
    throw Error("the service cannot fork: " + std::string(std::strerror(error)) +
                "; raise the limit of its processes (TasksMax=, RLIMIT_NPROC)");
  }
  if (session == 0) live_in_session(std::move(waiting.fd), start, place);
  counts_.set_pid(place, session);
}

void Service::live_in_session(UniqueFd channel, Packet& start, int place) {
  socket_.forget();
  waiting_.clear();
  Log log(STDERR_FILENO);
  try {
    setsid();
    signal(SIGCHLD, SIG_DFL);
    Peer peer(channel.get());
    log.name("program " + std::to_string(peer.pid()));
    const int fd = channel.get();
    try {
      peer.identify();
      share_oom_score(peer.pid());
      peer.become();
      // Its numbers in the namespaces that are entered now.
      start.sender = {peer.pid(), Rights::of(peer.pid()).real, gid_t(-1), peer.take_pidfd()};
    } catch (const Error& error) {
      refuse(fd, error.what());
      _exit(kFailed);
    }
    Keeper keeper(std::move(channel), start, log, Keeper::Origin::service);
    keeper.share_parks([this, place](std::uint64_t sockets, std::uint64_t bytes) {
      return counts_.hold(place, sockets, bytes);
    });
    start.fds.clear();
    wire::AcceptedMessage accepted{};
    accepted.header = {wire::Type::accepted, wire::kVersion};
    send_packet(fd, &accepted, sizeof accepted, {});
    keeper.run();
  } catch (const std::exception& error) {
    if (channel) refuse(channel.get(), error.what());
    log.error("the keeper ends: " + std::string(error.what()));
    _exit(kFailed);
  }
  _exit(0);
}

// To a service manager that waits for it (Type=notify, sd_notify(3)); its socket
// is not the sessions' business.
void tell_ready() {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un name{};
  const std::size_t size = path == nullptr ? 0 : std::strlen(path);
  if (size > 1 && size < sizeof name.sun_path) {
    constexpr char kReady[] = "READY=1";
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path, size);
    if (path[0] == '@') name.sun_path[0] = '\0';
    const UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (sendto(manager.get(), kReady, sizeof kReady - 1, MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&name),
               socklen_t(offsetof(sockaddr_un, sun_path) + size)) < 0) {
      std::fprintf(stderr, "udpcr: warning: NOTIFY_SOCKET %s: %s\n", path, std::strerror(errno));
    }
  }
  unsetenv("NOTIFY_SOCKET");
}

// What a session must not have is not there to begin with.
void begin_life() {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null) {
    dup2(null.get(), STDIN_FILENO);
    dup2(null.get(), STDOUT_FILENO);
  }
  if (chdir("/") != 0) throw Error("chdir: " + std::string(std::strerror(errno)), errno);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  // They interrupt ppoll() alone.
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) {
    sigaddset(&handled, number);
    struct sigaction action {};
    action.sa_handler = number == SIGCHLD ? note_child : end_service;
    sigaction(number, &action, nullptr);
  }
  sigprocmask(SIG_BLOCK, &handled, nullptr);
}

int usage(const std::string& problem) {
  std::fprintf(stderr, "udpcr: error: %s\n\n%s", problem.c_str(), kUsage);
  return 2;
}

}  // namespace

int service_main(int argc, char** argv) {
  std::string path;
  unsigned mode = kMode;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    const char* const value = i + 1 < argc ? argv[++i] : nullptr;
    if (value == nullptr) return usage(argument + " has no value, or is not known");
    const char* const end = value + std::strlen(value);
    if (argument == "--listen") {
      path = value;
    } else if (argument != "--mode") {
      return usage("there is no option " + argument);
    } else if (const auto [stop, error] = std::from_chars(value, end, mode, 8);
               error != std::errc{} || stop != end || mode > 0777) {
      return usage("--mode " + std::string(value) + " is not an octal number up to 777");
    }
  }
  if (path.empty()) return usage("--listen PATH is missing");
  if (path[0] != '/' || path.size() >= kLongestKeeper) {
    return usage("--listen " + path + ": give an absolute path of at most " +
                 std::to_string(kLongestKeeper - 1) + " bytes");
  }
  try {
    Service service(path, mode_t(mode));
    begin_life();
    std::fprintf(stderr, "udpcr: info: keeper service at %s\n", path.c_str());
    tell_ready();
    service.run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "udpcr: error: %s\n", error.what());
    return kFailed;
  }
}

}  // namespace udpcr::keeper
