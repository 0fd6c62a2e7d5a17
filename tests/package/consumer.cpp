// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A program that uses the installed library: captures a socket of its own and
// restores it beside the queue that waited.
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <udpcr/udpcr.hpp>

int main() {
  udpcr::UniqueFd server(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(7600);
  if (bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 1;
  const udpcr::UniqueFd client(socket(AF_INET, SOCK_DGRAM, 0));
  for (const char* text : {"one", "two", "three"}) {
    sendto(client.get(), text, std::strlen(text), 0, reinterpret_cast<sockaddr*>(&address),
           sizeof address);
  }
  try {
    const auto engine = udpcr::make_userspace_engine();
    const udpcr::SocketState state = engine->capture(server.get(), {});
    server.reset();
    const udpcr::Restored restored = engine->restore(state, {});
    char text[16] = "";
    for (std::size_t i = 0; i < restored.datagrams; ++i) {
      const ssize_t size = recv(restored.fd.get(), text, sizeof text, MSG_DONTWAIT);
      std::printf("%.*s\n", static_cast<int>(size), text);
    }
  } catch (const udpcr::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
