// SPDX-License-Identifier: LGPL-2.1-or-later
#include "image_sample.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <sys/socket.h>
#include <udpcr/udpcr_netlink.h>
#include <csignal>

#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>

namespace udpcr::test {

Address v4(const char* text, std::uint16_t port) {
  Address address;
  address.family = AF_INET;
  address.port = port;
  inet_pton(AF_INET, text, address.bytes);
  return address;
}

Address v6(const char* text, std::uint16_t port, std::uint32_t scope) {
  Address address;
  address.family = AF_INET6;
  address.port = port;
  address.scope = scope;
  inet_pton(AF_INET6, text, address.bytes);
  return address;
}

SocketRecord full_record() {
  SocketRecord record;
  record.inode = 0x1122334455667788;
  record.cookie = 77;
  record.family = AF_INET6;
  record.protocol = IPPROTO_UDPLITE;
  record.flags =
      UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT | UDPCR_SOCK_ORIGIN_KNOWN | UDPCR_SOCK_CONNECTED;
  record.local = v6("fe80::1", 5353, 2);
  record.peer = v6("fe80::2", 53, 3);
  record.device = "enp0s31f6";
  record.uid = 1000;
  record.file_flags = O_NONBLOCK;
  record.drops = 12;
  record.rmem = 4096;
  record.queue_count = 2;
  record.options = {
      {SOL_SOCKET, SO_RCVBUF, {0, 0, 4, 0}}, {IPPROTO_IP, IP_TOS, {16}}, {-1, -2, {}}};
  record.shutdown = 1;
  record.error = ECONNREFUSED;
  record.error_count = 3;
  record.cork_length = 100;
  record.held_count = 4;
  record.memberships = {{v4("239.1.2.3", 0), 2, "enp0s31f6", MCAST_EXCLUDE, {}, false},
                        {v6("ff05::1234", 0, 0),
                         3,
                         "",
                         MCAST_INCLUDE,
                         {v6("2001:db8::1", 0, 0), v6("2001:db8::2", 0, 0)},
                         false},
                        {v6("2001:db8::", 0, 0), 2, "enp0s31f6", 0, {}, true}};
  record.tskey = 41;
  record.cgroup = 0x100000002;
  record.reuseport_index = 0;
  record.netns = "blue";
  record.interfaces = {{2, "enp0s31f6"}, {3, "wlan0"}};
  record.owner = {F_OWNER_PGRP, 1234, SIGUSR1};
  record.label = "system_u:object_r:named_t:s0:c1";
  return record;
}

Datagram full_datagram(std::size_t payload) {
  Datagram datagram;
  datagram.source = v6("fe80::2", 53, 3);
  datagram.destination = v6("fe80::1", 5353);
  datagram.ifindex = 2;
  datagram.timestamp = 1'700'000'000'123'456'789;
  datagram.tos = 16;
  datagram.ttl = 64;
  datagram.mark = 7;
  datagram.gso_size = 1200;
  for (std::size_t i = 0; i < payload; ++i) {
    datagram.payload.push_back(static_cast<std::uint8_t>(i * 7));
  }
  return datagram;
}

Datagram full_error(std::size_t payload) {
  Datagram datagram = full_datagram(payload);
  datagram.ip_options = {17, 0, 5, 2, 0, 0, 1, 0};
  datagram.next_header = IPPROTO_HOPOPTS;
  datagram.flow_label = 0xfffff;
  datagram.peeked = true;
  datagram.priority = 6;
  datagram.frag_size = 1280;
  datagram.error = {ECONNREFUSED, SO_EE_ORIGIN_ICMP6, 1, 4, 5, 6, v6("fe80::7", 0, 0)};
  return datagram;
}

Image sample_image() {
  Image image;
  image.executable = "/usr/sbin/dnsmasq";
  image.arguments = {"dnsmasq", "--port=5353", "", "--conf-file=/dev/null"};
  image.host = "host.example";
  image.kernel = "6.1.0-test";
  image.boot_id = "0f3a9c9e-1111-2222-3333-444455556666";
  image.engine = "userspace";
  image.created = 1'700'000'000'123'456'789;
  image.processes = {{100, {{3, FD_CLOEXEC, 0}, {4, 0, 1}, {7, 0, 0}}},
                     {101, {{3, 0, 0}, {5, 0, 2}}}};

  ImageSocket shared;
  shared.record = encode_record(full_record());
  for (std::size_t size = 0; size < 5; ++size) {
    shared.receive_queue.append(encode_datagram(full_datagram(size)));
  }
  shared.send_queue.append(encode_datagram(full_datagram(9)));
  shared.error_queue.append(encode_datagram(full_error(3)));
  shared.losses = {{"membership", "224.0.0.251 on eth0 was joined", "join it again"},
                   {"cork", "12 bytes cannot be read", ""}};

  ImageSocket plain;
  SocketRecord record;
  record.inode = 5;
  record.family = AF_INET;
  record.local = v4("127.0.0.1", 5000);
  record.flags = UDPCR_SOCK_BOUND | UDPCR_SOCK_BOUND_PORT | UDPCR_SOCK_BOUND_ADDR;
  record.options = {{SOL_SOCKET, SO_BROADCAST, {1, 0, 0, 0}}};
  plain.record = encode_record(record);
  Datagram datagram;
  datagram.source = v4("127.0.0.1", 4000);
  datagram.payload = {'h', 'i'};
  plain.receive_queue.append(encode_datagram(datagram));

  ImageSocket fresh;
  SocketRecord nothing;
  nothing.family = AF_INET;
  fresh.record = encode_record(nothing);

  image.sockets = {shared, plain, fresh};
  image.losses = {{"inherited", "fd 9 is no UDP socket", "open it again"}};
  return image;
}

std::string error_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

void seal(Bytes& file, std::size_t metadata_size) {
  udpcr_image_header header{};
  std::memcpy(&header, file.data(), sizeof header);
  header.metadata_size = metadata_size;
  header.queues_size = file.size() - header.header_size - metadata_size;
  header.checksum = 0;
  std::memcpy(file.data(), &header, sizeof header);
  boost::crc_32_type crc;
  crc.process_bytes(file.data(), file.size());
  header.checksum = crc.checksum();
  std::memcpy(file.data(), &header, sizeof header);
}

}  // namespace udpcr::test
