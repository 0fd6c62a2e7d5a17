// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The classic BPF programs of a socket.  In its record they stand as options
// whose value is the array of struct sock_filter.
#pragma once

#include <udpcr/udpcr.hpp>

namespace udpcr {

// SO_ATTACH_FILTER and SO_ATTACH_REUSEPORT_CBPF: no option of the table.
bool is_attached_filter(const SocketOption& option) noexcept;

// Adds the socket's filter to the record's options, unless it stands there.
// Appends a Loss for an eBPF one, which cannot be read.
void read_filter(int fd, SocketRecord& record, std::vector<Loss>& losses);

// `name`: SO_ATTACH_FILTER or SO_ATTACH_REUSEPORT_CBPF.
void attach_filter(int fd, const SocketRecord& record, int name, std::vector<Loss>& losses);

}  // namespace udpcr
