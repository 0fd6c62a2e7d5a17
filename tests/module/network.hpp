// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The two network namespaces of the tests, and processes with other rights.
//
//      near (where the tests live)                      far
//      lo: 127.0.0.1, ::1, 192.0.2.7, 2001:db8::7       lo: 127.0.0.1, ::1
//      left (10.9.0.1/24, fd00:9::1/64) ---- veth ---- right (10.9.0.2/24, fd00:9::2/64)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <udpcr/udpcr.hpp>

namespace udpcr::test {

// Throws when the networks cannot be made.
void build_networks();

enum class Net { initial, near, far };

// Sockets and netlink sockets made while it lives belong to `net`.
class In {
 public:
  explicit In(Net net);
  ~In();
  In(const In&) = delete;
  In& operator=(const In&) = delete;
};

// Returns when what this thread has sent over loopback has arrived: the kernel
// may leave that to ksoftirqd (kernel/softirq.c of 6.1, do_softirq).  Does
// nothing in other threads than the first one.
void settle();

unsigned index_of(const char* interface);

// Runs `body` in a child; returns what it threw, "" when it threw nothing, or
// how the child died.
std::string in_child(const std::function<void()>& body);
// Throws unless it holds; for use in children, where Catch's macros do not help.
void demand(bool holds, const std::string& what);

// Become another: never of the test program itself.
void become_user(unsigned uid);
// A user namespace of its own, in which the user is root, and a network
// namespace that belongs to it.
void enter_own_namespaces();

// A process that holds what `make` makes there.
class Holder {
 public:
  explicit Holder(const std::function<UniqueFd()>& make);
  ~Holder();
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  [[nodiscard]] std::uint64_t inode() const { return inode_; }

 private:
  int child_ = -1;
  std::uint64_t inode_ = 0;
};

// Sends `fd` as a message into one end of a socket pair and returns both ends:
// the message under way is then a reference to the socket.
struct Pair {
  UniqueFd ends[2];
};
Pair pair();
void send_fd(int through, int fd);
UniqueFd receive_fd(int through);

// A BPF sockmap that holds `fd`; none when it cannot be.  CONFIG_BPF_STREAM_PARSER,
// which Debian's kernels have and the debug kernel must have.
UniqueFd sockmap_with(int fd);

std::string file_text(const std::string& path);
// False when it cannot be written.
bool write_file(const std::string& path, const std::string& text);

// Sets a file under /proc or /sys for as long as it lives; throws if it cannot.
class Setting {
 public:
  Setting(std::string path, const std::string& value);
  ~Setting();
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  std::string path_;
  std::string before_;
};

}  // namespace udpcr::test
