// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A monitor is asked by a keeper that has been taken over: it does what is on its
// list, and nothing else.
#include "keeper/monitor/monitor.hpp"

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <udpcr/udpcr_netlink.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <random>

#include "attributes.hpp"
#include "keeper/monitor/channel.hpp"
#include "keeper/monitor/module_requests.hpp"
#include "keeper/monitor/operations.hpp"
#include "keeper/monitor/raw_packets.hpp"
#include "keeper/park/key.hpp"
#include "scratch_folder.hpp"

using namespace udpcr;
using namespace udpcr::keeper::monitor;

namespace {

ByteView view(const void* data, std::size_t size) {
  return {static_cast<const std::uint8_t*>(data), size};
}
ByteView view(const std::string& text) { return view(text.data(), text.size()); }

// In a process of its own, as a keeper has it.
class Served {
 public:
  Served() {
    int pair[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    keeper_ = UniqueFd(pair[0]);
    UniqueFd theirs(pair[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      keeper_.reset();
      live(std::move(theirs), ::getppid());
      ::_exit(0);
    }
  }
  ~Served() {
    keeper_.reset();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    CHECK(status == 0);
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  // The answer's error; -1: none.
  int ask(Operation operation, std::initializer_list<std::int32_t> numbers, ByteView payload,
          std::initializer_list<int> fds) {
    Request request{};
    request.operation = operation;
    std::copy(numbers.begin(), numbers.end(), request.number);
    request.size = static_cast<std::uint32_t>(payload.size());
    return exchange(view(&request, sizeof request), payload, {fds.begin(), fds.size()});
  }

  int exchange(ByteView head, ByteView payload, std::span<const int> fds) {
    if (!send_parts(keeper_.get(), head, payload, fds)) return -1;
    std::uint8_t bytes[sizeof(Answer)];
    std::size_t size = 0;
    std::vector<UniqueFd> received;
    pollfd answer_comes{keeper_.get(), POLLIN, 0};
    if (::poll(&answer_comes, 1, 10'000) != 1) return -1;
    if (!receive_parts(keeper_.get(), bytes, size, received)) return -1;
    REQUIRE(size == sizeof(Answer));
    Answer answer{};
    std::memcpy(&answer, bytes, sizeof answer);
    count = answer.count;
    fd = received.empty() ? UniqueFd() : std::move(received.front());
    return answer.error;
  }

  std::uint64_t count = 0;
  UniqueFd fd;

 private:
  UniqueFd keeper_;
  pid_t pid_ = -1;
};

// From Linux 6.5 on; before, the keeper's own end may have got a name.
bool has_peer_pidfd(int channel) {
  constexpr int kSoPeerpidfd = 77;  // include/uapi/asm-generic/socket.h
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  const bool has = ::getsockopt(channel, SOL_SOCKET, kSoPeerpidfd, &pidfd, &size) == 0;
  if (has) ::close(pidfd);
  return has;
}

// A request to the module, of family 20.
Bytes request_of(std::uint8_t command, const AttributeWriter& attributes, std::uint16_t flags = 0,
                 std::uint16_t family = 20) {
  nlmsghdr header{};
  header.nlmsg_type = family;
  header.nlmsg_flags = flags;
  header.nlmsg_len =
      static_cast<std::uint32_t>(NLMSG_HDRLEN + GENL_HDRLEN + attributes.bytes().size());
  const genlmsghdr command_of{command, 1, 0};
  Bytes bytes(NLMSG_HDRLEN + GENL_HDRLEN);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &command_of, sizeof command_of);
  bytes.insert(bytes.end(), attributes.bytes().begin(), attributes.bytes().end());
  return bytes;
}

AttributeWriter named(std::uint64_t inode, std::initializer_list<std::uint32_t> fds) {
  AttributeWriter attributes;
  attributes.u64(UDPCR_A_INO, inode);
  for (const std::uint32_t fd : fds) attributes.u32(UDPCR_A_FD, fd);
  return attributes;
}

AttributeWriter key_for(AttributeWriter attributes, std::uint64_t image) {
  udpcr::keeper::ParkKey key;
  key.image = image;
  attributes.put(UDPCR_A_KEY, &key, sizeof key);
  return attributes;
}

UniqueFd udp(int family = AF_INET) {
  return UniqueFd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

std::uint16_t bound(int fd, std::uint32_t address) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(address);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  socklen_t size = sizeof name;
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  return ntohs(name.sin_port);
}

// An IPv4 datagram of 4 bytes.
Bytes packet_to(std::uint32_t address, std::uint16_t port) {
  Bytes bytes(32);
  bytes[0] = 0x45;
  bytes[3] = 32;
  bytes[4] = 7;
  bytes[8] = 64;
  bytes[9] = IPPROTO_UDP;
  const std::uint32_t source = htonl(0xc0000201);
  const std::uint32_t destination = htonl(address);
  std::memcpy(&bytes[12], &source, 4);
  std::memcpy(&bytes[16], &destination, 4);
  bytes[20] = 1;
  bytes[22] = static_cast<std::uint8_t>(port >> 8);
  bytes[23] = static_cast<std::uint8_t>(port);
  bytes[25] = 12;
  return bytes;
}

bool passes(const Bytes& bytes, std::uint16_t port, const RawPacket& how = {}) {
  Address destination;
  RawCheck check(AF_INET, IPPROTO_UDP, port);
  return check.may_pass(how, bytes, destination);
}

constexpr std::uint32_t kHere = INADDR_LOOPBACK;
constexpr std::uint32_t kElsewhere = 0xc0000263;  // 192.0.2.99

}  // namespace

TEST_CASE("monitor: packets go to the private port, and on this machine alone", "[monitor]") {
  CHECK(passes(packet_to(kHere, 40000), 40000));
  CHECK_FALSE(passes(packet_to(kHere, 53), 40000));
  CHECK_FALSE(passes(packet_to(kElsewhere, 40000), 40000));
  RawPacket how{};
  how.interface = 2;
  CHECK_FALSE(passes(packet_to(kElsewhere, 40000), 40000, how));
  // By the loopback interface nothing leaves.
  how.interface = 1;
  CHECK(passes(packet_to(kElsewhere, 40000), 40000, how));
  // A multicast that may hop once would leave.
  Bytes group = packet_to(0xe0000001, 40000);
  how.interface = 2;
  CHECK_FALSE(passes(group, 40000, how));
  group[8] = 0;
  CHECK(passes(group, 40000, how));
}

TEST_CASE("monitor: a packet that is no datagram is not sent", "[monitor]") {
  const Bytes good = packet_to(kHere, 40000);
  for (std::size_t size = 0; size < 28; ++size) {
    CHECK_FALSE(passes(Bytes(good.begin(), good.begin() + std::ptrdiff_t(size)), 40000));
  }
  Bytes tcp = good;
  tcp[9] = IPPROTO_TCP;
  CHECK_FALSE(passes(tcp, 40000));
  Bytes ipv6 = good;
  ipv6[0] = 0x65;
  CHECK_FALSE(passes(ipv6, 40000));
  Bytes long_header = good;
  long_header[0] = 0x4f;
  CHECK_FALSE(passes(long_header, 40000));
}

TEST_CASE("monitor: a routing header may have no segments left", "[monitor]") {
  Bytes bytes(40 + 24 + 8);
  bytes[0] = 0x60;
  bytes[6] = IPPROTO_ROUTING;
  bytes[7] = 64;
  bytes[39] = 1;  // to ::1
  bytes[40] = IPPROTO_UDP;
  bytes[41] = 2;  // 8-octet units behind the first one
  bytes[42] = 2;  // type
  bytes[66] = 40000 >> 8;
  bytes[67] = 40000 & 0xff;
  const auto may_pass = [&] {
    Address destination;
    return RawCheck(AF_INET6, IPPROTO_UDP, 40000).may_pass({}, bytes, destination);
  };
  CHECK(may_pass());
  bytes[43] = 1;
  CHECK_FALSE(may_pass());
  bytes[43] = 0;
  bytes[41] = 200;  // longer than the packet
  CHECK_FALSE(may_pass());
}

TEST_CASE("monitor: a fragment follows its datagram's first one", "[monitor]") {
  Address destination;
  RawCheck check(AF_INET, IPPROTO_UDP, 40000);
  Bytes rest = packet_to(kHere, 53);
  rest[7] = 1;  // offset
  CHECK_FALSE(check.may_pass({}, rest, destination));
  CHECK(check.may_pass({}, packet_to(kHere, 40000), destination));
  CHECK(check.may_pass({}, rest, destination));
  rest[4] = 8;  // another identification
  CHECK_FALSE(check.may_pass({}, rest, destination));
}

TEST_CASE("monitor: what is filled has no address, no low port and no peer", "[monitor]") {
  const UniqueFd open = udp();
  CHECK(private_port_of(open.get()) == std::nullopt);
  const std::uint16_t port = bound(open.get(), INADDR_ANY);
  CHECK(private_port_of(open.get()) == port);
  const UniqueFd local = udp();
  bound(local.get(), kHere);
  CHECK(private_port_of(local.get()) == std::nullopt);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(9);
  peer.sin_addr.s_addr = htonl(kHere);
  REQUIRE(::connect(open.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0);
  CHECK(private_port_of(open.get()) == std::nullopt);
  CHECK(private_port_of(STDIN_FILENO) == std::nullopt);
}

TEST_CASE("monitor: options and addresses of UDP sockets, and of a list", "[monitor]") {
  Served monitor;
  const UniqueFd socket = udp();
  const UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int value = 5;
  const ByteView bytes = view(&value, sizeof value);
  const int allowed =
      monitor.ask(Operation::option, {SOL_SOCKET, SO_PRIORITY}, bytes, {socket.get()});
  CHECK(allowed == 0);
  CHECK(monitor.ask(Operation::option, {SOL_SOCKET, SO_PRIORITY}, bytes, {tcp.get()}) == EPERM);
  CHECK(monitor.ask(Operation::option, {SOL_SOCKET, SO_PRIORITY}, bytes, {}) == EPERM);
  CHECK(monitor.ask(Operation::option, {SOL_SOCKET, SO_ATTACH_FILTER}, bytes, {socket.get()}) ==
        EPERM);
  CHECK(monitor.ask(Operation::option, {SOL_IP, IP_ADD_MEMBERSHIP}, bytes, {socket.get()}) ==
        EPERM);
  const sockaddr_in any{AF_INET, 0, {0}, {}};
  CHECK(monitor.ask(Operation::bind, {}, view(&any, sizeof any), {tcp.get()}) == EPERM);
  CHECK(monitor.ask(Operation::bind, {}, view(&any, sizeof any), {socket.get()}) == 0);
  CHECK(monitor.ask(Operation::chown, {1}, {}, {tcp.get()}) == EPERM);
}

TEST_CASE("monitor: it opens no raw or other sockets, and no file of a path", "[monitor]") {
  Served monitor;
  CHECK(monitor.ask(Operation::socket, {AF_INET, SOCK_DGRAM, 0}, {}, {}) == 0);
  CHECK(monitor.fd);
  CHECK(monitor.ask(Operation::socket, {AF_INET, SOCK_RAW, IPPROTO_RAW}, {}, {}) == EPERM);
  CHECK(monitor.ask(Operation::socket, {AF_INET, SOCK_STREAM, 0}, {}, {}) == EPERM);
  CHECK(monitor.ask(Operation::socket, {AF_PACKET, SOCK_RAW, 0}, {}, {}) == EPERM);
  CHECK(monitor.ask(Operation::socket, {AF_NETLINK, SOCK_RAW, 9 /* audit */}, {}, {}) == EPERM);
  CHECK(monitor.ask(Operation::proc_net, {}, view("igmp"), {}) == 0);
  CHECK(monitor.ask(Operation::proc_net, {}, view("../../etc/shadow"), {}) == EPERM);
  CHECK(monitor.ask(Operation::proc_net, {}, view("arp"), {}) == EPERM);
}

TEST_CASE("monitor: files of the image's names in the one folder", "[monitor]") {
  const test::ScratchFolder scratch;
  Served monitor;
  const auto texts = [](const std::string& one, const std::string& other) {
    return one + '\0' + other + '\0';
  };
  const auto open = [&](const char* name, int flags) {
    return monitor.ask(Operation::open_file, {flags}, view(std::string(name) + '\0'), {});
  };
  CHECK(open("a", O_RDONLY) == EPERM);  // no folder yet
  CHECK(monitor.ask(Operation::setup, {SIGUSR2}, view(texts(scratch.path(""), "../a")), {}) ==
        EPERM);
  REQUIRE(monitor.ask(Operation::setup, {SIGUSR2}, view(texts(scratch.path(""), "a")), {}) == 0);
  CHECK(monitor.ask(Operation::setup, {SIGUSR2}, view(texts("/etc", "passwd")), {}) == EPERM);
  CHECK(open("a", O_RDONLY) == ENOENT);
  CHECK(open("b", O_RDONLY) == EPERM);
  CHECK(open("../a", O_RDONLY) == EPERM);
  CHECK(open(".a.0.tmp", O_RDWR | O_CREAT | O_EXCL) == 0);
  CHECK(open(".a.0.tmp", O_RDWR | O_CREAT | O_EXCL) == EEXIST);
  CHECK(open(".a.0.tmp", O_RDWR | O_CREAT) == EPERM);
  CHECK(open("a", O_RDWR | O_TRUNC) == EPERM);
  CHECK(monitor.ask(Operation::rename_file, {}, view(texts(".a.0.tmp", "b")), {}) == EPERM);
  CHECK(monitor.ask(Operation::rename_file, {}, view(texts(".a.0.tmp", "a")), {}) == 0);
  CHECK(open("a", O_RDONLY) == 0);
  CHECK(monitor.ask(Operation::rename_file, {}, view(texts("a", "a.restored")), {}) == 0);
  REQUIRE(::symlink("/etc/passwd", (scratch.path("a")).c_str()) == 0);
  CHECK(open("a", O_RDONLY) == ELOOP);
  CHECK(monitor.ask(Operation::unlink_file, {}, view(std::string("a") + '\0'), {}) == 0);
}

TEST_CASE("monitor: it signals who has joined by a pair of his own, and nobody else", "[monitor]") {
  const pid_t victim = ::fork();
  if (victim == 0) {
    for (;;) ::pause();
  }
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, victim, 0)));
  REQUIRE(pidfd);
  {
    Served monitor;
    const auto signal = [&](int number) {
      return monitor.ask(Operation::signal, {victim, 0, number}, {}, {});
    };
    CHECK(signal(SIGKILL) == ESRCH);
    int pair[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    const UniqueFd one(pair[0]);
    const UniqueFd other(pair[1]);
    // Made by this process, not by the victim.
    CHECK(monitor.ask(Operation::join, {victim}, {}, {pidfd.get(), one.get()}) == EPERM);
    // A connection to a socket that the victim might listen on: it has a name.
    const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "udpcr-test-%d", ::getpid());
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    const UniqueFd caller(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(caller.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    CHECK(monitor.ask(Operation::join, {::getpid()}, {}, {pidfd.get(), caller.get()}) == EPERM);
    // And what it accepts is made by whoever has connected, no child of anybody's here.
    const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
    REQUIRE(accepted);
    const int refused =
        monitor.ask(Operation::join, {::getpid()}, {}, {pidfd.get(), accepted.get()});
    if (has_peer_pidfd(accepted.get())) CHECK(refused == EPERM);
    CHECK(monitor.ask(Operation::sockets, {victim}, {}, {}) == ESRCH);
    CHECK(monitor.ask(Operation::child, {victim, 1}, {}, {}) == ESRCH);
    // Ourselves, who have made the pair: then only what is on the list.
    const UniqueFd own(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    REQUIRE(monitor.ask(Operation::join, {::getpid()}, {}, {own.get(), one.get()}) == 0);
    CHECK(monitor.ask(Operation::signal, {::getpid(), 0, SIGTERM}, {}, {}) == EPERM);
    CHECK(monitor.ask(Operation::signal, {::getpid(), 0, SIGCONT}, {}, {}) == 0);
    const UniqueFd mine = udp();
    CHECK(monitor.ask(Operation::sockets, {::getpid()}, {}, {}) == 0);
    CHECK(monitor.count > 0);
  }
  CHECK(::waitpid(victim, nullptr, WNOHANG) == 0);
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
}

TEST_CASE("monitor: the module is asked of shown sockets, own lists and own parks", "[monitor]") {
  ModuleRequests requests;
  constexpr std::uint64_t kShown = 77;
  constexpr std::uint64_t kImage = 5;
  const auto passes = [&](const Bytes& packet, int number = 9) {
    return requests.may_pass(packet, number, kShown);
  };
  CHECK_FALSE(passes(request_of(UDPCR_CMD_SET, named(kShown, {9}))));  // no family yet
  requests.set_family(20);
  CHECK_FALSE(passes(request_of(UDPCR_CMD_SET, named(kShown, {9}), 0, GENL_ID_CTRL)));
  for (const std::uint8_t command :
       {UDPCR_CMD_SOCKET, UDPCR_CMD_QUEUE, UDPCR_CMD_TAKE, UDPCR_CMD_STAGE, UDPCR_CMD_SET}) {
    CHECK(passes(request_of(command, named(kShown, {9}))));
    // Another's, by its inode alone, or by a number that was not shown.
    CHECK_FALSE(passes(request_of(command, named(78, {}))));
    CHECK_FALSE(passes(request_of(command, named(kShown, {}))));
    CHECK_FALSE(passes(request_of(command, named(78, {9}))));
    CHECK_FALSE(passes(request_of(command, named(kShown, {10}))));
    CHECK_FALSE(passes(request_of(command, named(kShown, {9, 10}))));
    CHECK_FALSE(passes(request_of(command, named(kShown, {10, 9}))));
    CHECK_FALSE(passes(request_of(command, named(kShown, {0xffffffffU})), -1));
  }
  CHECK_FALSE(passes(request_of(UDPCR_CMD_SOCKET, {}, NLM_F_DUMP)));
  CHECK_FALSE(passes(request_of(UDPCR_CMD_SOCKET, named(kShown, {9}), NLM_F_DUMP)));
  AttributeWriter list;
  list.u32(UDPCR_A_HANDLE, 3);
  for (const std::uint8_t command :
       {UDPCR_CMD_QUEUE, UDPCR_CMD_DATAGRAM, UDPCR_CMD_PUT, UDPCR_CMD_DROP}) {
    CHECK(passes(request_of(command, list), -1));
    CHECK_FALSE(passes(request_of(command, {}), -1));
  }
  AttributeWriter both = list;
  both.u64(UDPCR_A_INO, 78);
  CHECK_FALSE(passes(request_of(UDPCR_CMD_QUEUE, both), -1));

  const Bytes park = request_of(UDPCR_CMD_PARK, key_for(named(kShown, {9}), kImage));
  const Bytes unpark = request_of(UDPCR_CMD_UNPARK, named(kShown, {}));
  CHECK_FALSE(passes(park));  // for no image
  requests.set_image(kImage);
  CHECK_FALSE(passes(unpark, -1));
  CHECK_FALSE(passes(request_of(UDPCR_CMD_PARK, key_for(named(kShown, {9}), 6))));
  CHECK_FALSE(passes(request_of(UDPCR_CMD_PARK, key_for(named(78, {9}), kImage))));
  CHECK(passes(park));
  CHECK(passes(unpark, -1));
  CHECK_FALSE(passes(request_of(UDPCR_CMD_UNPARK, named(78, {})), -1));
  CHECK(passes(request_of(UDPCR_CMD_PARKED, {}, NLM_F_DUMP), -1));
  AttributeWriter everywhere;
  everywhere.put(UDPCR_A_ALL_NETNS, nullptr, 0);
  CHECK_FALSE(passes(request_of(UDPCR_CMD_PARKED, everywhere, NLM_F_DUMP), -1));
  for (const std::uint8_t command : {UDPCR_CMD_OPEN, UDPCR_CMD_CLAIM, __UDPCR_CMD_MAX}) {
    CHECK_FALSE(passes(request_of(command, key_for(named(kShown, {9}), kImage))));
  }
  // One behind another, and one that is cut off.
  Bytes two = request_of(UDPCR_CMD_SET, named(kShown, {9}));
  two.resize(NLMSG_ALIGN(two.size()));
  const Bytes second = request_of(UDPCR_CMD_SET, named(78, {}));
  two.insert(two.end(), second.begin(), second.end());
  CHECK_FALSE(passes(two));
  Bytes cut = park;
  cut.pop_back();
  CHECK_FALSE(passes(cut));
}

TEST_CASE("monitor: packets are of the family of the socket that is filled", "[monitor]") {
  Served monitor;
  const UniqueFd six = udp(AF_INET6);
  const int only = 1;
  REQUIRE(::setsockopt(six.get(), SOL_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  REQUIRE(::bind(six.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  const std::uint16_t port = *private_port_of(six.get());
  // Another's, who has the port of the other family.
  const UniqueFd victim = udp();
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(port);
  REQUIRE(::bind(victim.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
  const Bytes bytes = packet_to(kHere, port);
  RawPacket packet{};
  packet.size = static_cast<std::uint32_t>(bytes.size());
  Bytes payload(sizeof packet);
  std::memcpy(payload.data(), &packet, sizeof packet);
  payload.insert(payload.end(), bytes.begin(), bytes.end());
  CHECK(monitor.ask(Operation::raw, {AF_INET, 1}, payload, {six.get()}) == EPERM);
  char byte = 0;
  CHECK(::recv(victim.get(), &byte, 1, MSG_DONTWAIT) < 0);
}

TEST_CASE("monitor: whatever comes, it answers and goes on", "[monitor]") {
  Served monitor;
  const UniqueFd socket = udp();
  std::mt19937 random(12);  // NOLINT: the same requests each time
  const auto some = [&](unsigned most) { return random() % most; };
  for (int i = 0; i < 20'000; ++i) {
    Request request{};
    // Not `channel`, which has no answer.
    request.operation = Operation(some(24));
    if (request.operation == Operation::channel) continue;
    request.in_place = some(4) == 0 ? 1 : 0;
    for (std::int32_t& number : request.number) number = std::int32_t(random() >> some(32));
    Bytes payload(some(3) == 0 ? some(4096) : some(64));
    for (std::uint8_t& byte : payload) byte = static_cast<std::uint8_t>(random());
    request.size = static_cast<std::uint32_t>(payload.size() + (some(16) == 0 ? 1 : 0));
    // Nothing of the machine's is to be set by chance.
    if (request.operation == Operation::setup) request.operation = Operation::folder;
    const int fds[] = {socket.get(), STDERR_FILENO, socket.get()};
    const std::size_t head = some(32) == 0 ? some(sizeof request) : sizeof request;
    REQUIRE(monitor.exchange(view(&request, head), payload, {fds, some(4)}) >= 0);
  }
  CHECK(monitor.ask(Operation::socket, {AF_INET, SOCK_DGRAM, 0}, {}, {}) == 0);
}
