// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Images to test with; the fuzz corpus is made of them too.
#pragma once

#include <functional>
#include <udpcr/image.hpp>

namespace udpcr::test {

Address v4(const char* text, std::uint16_t port);
Address v6(const char* text, std::uint16_t port, std::uint32_t scope = 0);

// With every attribute present.
SocketRecord full_record();
// What most datagrams have, all over IPv6.
Datagram full_datagram(std::size_t payload);
// With every attribute present.
Datagram full_error(std::size_t payload);

// Two processes, three sockets (one shared, one with nothing known), queues,
// losses.
Image sample_image();

// The sentence of the Error that `what` throws; fails when it throws none.
std::string error_of(const std::function<void()>& what);

// Sizes and checksum as they have to be for what is in `file` behind the
// header of `header_size` bytes.
void seal(Bytes& file, std::size_t metadata_size);

}  // namespace udpcr::test
