// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The socket options that are kept: one table, from which capture reads,
// restore writes, and names for people come.
#pragma once

#include <optional>
#include <span>
#include <udpcr/udpcr.hpp>

namespace udpcr {

enum class OptionKind : std::uint8_t {
  number,  // int
  buffer,  // int, reads as twice what was set (net/core/sock.c, __sock_set_rcvbuf)
  bytes,   // anything else: a structure, or of a varying length
};

// Which sockets have the option.
enum class OptionScope : std::uint8_t { all, ipv6, udp_lite };

enum class SetWhen : std::uint8_t { before_bind, after_bind };

// Who can read the option.  What both can, the module's engine takes from the
// module's record.
enum class ReadBy : std::uint8_t { both, getsockopt, module };

struct OptionRow {
  int level;
  int name;
  const char* text;  // "SO_RCVBUF"
  OptionKind kind = OptionKind::number;
  SetWhen when = SetWhen::before_bind;
  OptionScope scope = OptionScope::all;
  ReadBy read_by = ReadBy::both;
};

// In the order in which they must be set: one option may change another.
std::span<const OptionRow> option_table() noexcept;

bool applies(const OptionRow& row, int family, int protocol) noexcept;

// Null when the table has no such option.
const OptionRow* find_option(int level, int name) noexcept;

// "SO_RCVBUF"; "option" for one that the table does not have.
const char* option_name(int level, int name) noexcept;

// Empty when the kernel says that the socket does not have the option, or that
// this user may not read it.  Throws Error when it could not be asked.
std::optional<Bytes> read_option(int fd, int level, int name);
std::optional<int> read_number(int fd, int level, int name);

// Of an option that every socket has: any failure throws Error.
int require_number(int fd, int level, int name);

// Both return 0 or the errno.
int write_option(int fd, int level, int name, ByteView value) noexcept;
int write_number(int fd, int level, int name, int value) noexcept;

// Writes what read_option() gave, so that it reads the same again.
int put_back(int fd, const OptionRow& row, ByteView value) noexcept;

// Whether two values of an option mean the same; they may come from different
// readers.
bool same_value(const OptionRow& row, ByteView one, ByteView other) noexcept;

}  // namespace udpcr
