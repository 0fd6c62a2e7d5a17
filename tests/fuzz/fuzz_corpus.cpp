// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Writes what fuzzing starts from: fuzz_corpus FOLDER makes FOLDER/seeds/TARGET for
// each target.  The images of FOLDER/large are not mutated, only read: they try the
// bound of memory.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <udpcr/image.hpp>

#include "image_sample.hpp"

namespace {

using namespace udpcr;

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] UniqueFd open(const std::string& name) const {
    const std::string path = path_ + "/" + name;
    std::filesystem::create_directories(path);
    UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) throw Error(path + ": " + std::strerror(errno), errno);
    return folder;
  }
  // A seed of `target`.
  void put(const std::string& target, const std::string& name, ByteView content) const {
    ImageFile(open("seeds/" + target).get(), name, name).write(content);
  }

 private:
  std::string path_;
};

void write_image(int folder, const char* name, const Image& image) {
  ImageFile(folder, name, name).write(serialize_image(image));
}

void write_small(int folder) {
  write_image(folder, "empty", Image{});
  write_image(folder, "sample", test::sample_image());
  Image bare = test::sample_image();
  for (ImageSocket& socket : bare.sockets) {
    socket.receive_queue = {};
    socket.send_queue = {};
    socket.losses.clear();
  }
  write_image(folder, "no-queues", bare);
  Image queue;
  queue.executable = "/a";
  queue.processes = {{1, {{3, 0, 0}}}};
  queue.sockets.resize(1);
  queue.sockets[0].record = encode_record(test::full_record());
  for (const std::size_t size : {0, 1, 100, 1400}) {
    queue.sockets[0].receive_queue.append(encode_datagram(test::full_datagram(size)));
  }
  queue.sockets[0].receive_queue.append(encode_datagram(test::full_error(8)));
  write_image(folder, "queue", queue);
}

void write_large(int folder) {
  Image sockets;
  sockets.sockets.resize(30'000);
  write_image(folder, "sockets", sockets);
  Image arguments;
  arguments.arguments.assign(100'000, "");
  write_image(folder, "arguments", arguments);
  Image losses;
  losses.losses.assign(50'000, Loss{"a", "", ""});
  write_image(folder, "losses", losses);
  Image queue;
  queue.sockets.resize(1);
  queue.sockets[0].record = encode_record(test::full_record());
  for (int i = 0; i < 20'000; ++i) {
    queue.sockets[0].receive_queue.append(encode_datagram(test::full_datagram(100)));
  }
  write_image(folder, "queue", queue);
}

// One for each message of a queue, and one for all.
void write_queue(const Folder& folder, const std::string& name, const MessageStream& queue) {
  std::size_t offset = 0;
  for (std::size_t i = 0; i < queue.count(); ++i) {
    folder.put("datagram", name + "-" + std::to_string(i), queue.next(offset));
  }
  folder.put("stream", name, queue.bytes());
}

void write_image_parts(const Folder& folder) {
  const Image image = test::sample_image();
  for (std::size_t i = 0; i < image.sockets.size(); ++i) {
    const ImageSocket& socket = image.sockets[i];
    const std::string name = "sample-" + std::to_string(i);
    folder.put("record", name, socket.record);
    write_queue(folder, name, socket.receive_queue);
    write_queue(folder, name + "-error", socket.error_queue);
  }
}

// What the userspace engine tells of a socket that has something of each kind.
void write_captured(const Folder& folder, int family) {
  const UniqueFd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name{};
  name.ss_family = sa_family_t(family);
  socklen_t size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(name).sin6_addr = in6addr_loopback;
  } else {
    reinterpret_cast<sockaddr_in&>(name).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  const int on = 1;
  if (!fd || bind(fd.get(), address, size) != 0 || getsockname(fd.get(), address, &size) != 0) {
    throw Error("a socket for the corpus cannot be bound: " + std::string(std::strerror(errno)),
                errno);
  }
  setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  if (family == AF_INET) {
    ip_mreqn group{};
    group.imr_multiaddr.s_addr = htonl(0xef010203);
    group.imr_address.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group);
    setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  } else {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  }
  for (const char* text : {"", "one", "two and more"}) {
    sendto(fd.get(), text, std::strlen(text), 0, address, size);
  }
  const SocketState state = make_engine(UseEngine::userspace)->capture(fd.get(), {});
  if (state.receive_queue.count() != 3) throw Error("not all datagrams were captured");
  const std::string label = family == AF_INET6 ? "captured-6" : "captured-4";
  folder.put("record", label, encode_record(state.record));
  write_queue(folder, label, state.receive_queue);
}

void write_texts(const Folder& folder) {
  const Bytes record = encode_record(test::full_record());
  int number = 0;
  for (const char* text :
       {"", "53=5353", "192.0.2.1=198.51.100.1,2001:db8::1=2001:db8::2", "eth0=ens3,wlan0=wlan1",
        "192.0.2.1:53=192.0.2.2:5353,[fe80::1]:5353=[fe80::3]:54,fe80::2=fe80::4",
        "239.1.2.3=239.1.2.4,53=54,54=53", "0.0.0.0=127.0.0.1,::=::1"}) {
    Bytes map(text, text + std::strlen(text) + 1);
    map.insert(map.end(), record.begin(), record.end());
    folder.put("map", std::to_string(++number), map);
  }
  for (const char* text :
       {"UDPCR_IMAGE=%e-%h-%u-%%.udpcr\nUDPCR_SIGNAL=RTMIN+3\nUDPCR_AFTER=exit\nUDPCR_PARK=always",
        "/usr/bin/app\nUDPCR_IMAGE=./a/%x\nUDPCR_QUEUES=receive\nUDPCR_QUEUE_MAX_AGE=0\n"
        "UDPCR_PARK_SECONDS=4294967296\nUDPCR_OPTIONS=none\nUDPCR_FDS=listen\nUDPCR_MATCH=any",
        "UDPCR_ENGINE=userspace\nUDPCR_ON_ERROR=abort\nUDPCR_KEEP_IMAGE=1\nUDPCR_LOG=debug\n"
        "UDPCR_LOG_FILE=/tmp/%u.log\nUDPCR_KEEPER=/run/udpcr/keeper\nUDPCR_SIGNAL_CHAIN=on\n"
        "UDPCR_MAP=53=5353\nUDPCR_SIGNAL=SIGUSR1",
        "UDPCR_SIGNAL=9\nUDPCR_DISABLE=1", "UDPCR_SIGNAL=SEGV\nUDPCR_KEEPER=off"}) {
    folder.put("settings", std::to_string(++number), Bytes(text, text + std::strlen(text)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "Usage: fuzz_corpus FOLDER\n");
    return 2;
  }
  try {
    const Folder folder(argv[1]);
    write_small(folder.open("seeds/image").get());
    write_large(folder.open("large").get());
    write_image_parts(folder);
    for (const int family : {AF_INET, AF_INET6}) write_captured(folder, family);
    write_texts(folder);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_corpus: %s\n", error.what());
    return 1;
  }
  return 0;
}
