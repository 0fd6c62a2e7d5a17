// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A row of the matrix, and its trial in one run of the program.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace fidelity {

// control  sets up and observes at once: what the kernel says of the state
// blank    opens the sockets as the program does, sets nothing, observes
// first    sets up and waits for its end
// second   the restarted one: opens (adopt) or finds (inherit), and observes
enum class Phase { control, blank, first, second };
enum class Mode { adopt, inherit };

// The kernel does not have the state, or this user may not set it.
struct Absent : std::runtime_error {
  using runtime_error::runtime_error;
};
// The test itself is wrong here.
struct Broken : std::runtime_error {
  using runtime_error::runtime_error;
};

// What the first run tells the second, in a file.
class Notes {
 public:
  void put(const std::string& row, const std::string& key, const std::string& value);
  [[nodiscard]] std::string get(const std::string& row, const std::string& key) const;
  void read(const char* path);
  void write(const char* path) const;

 private:
  std::map<std::string, std::string> values_;
};

class Trial;
using Step = std::function<void(Trial&)>;

struct Row {
  std::string name;   // "option/IP_TTL/v6"
  std::string named;  // regular expression: Loss::what that names the loss of it
  Step open;          // as any program would: socket, bind, connect
  Step set;           // the state
  Step observe;
  bool inherit_only = false;
};
using Rows = std::vector<Row>;

class Trial {
 public:
  Trial(const Row& row, unsigned number, Phase phase, Mode mode, Notes& notes)
      : row_(row), number_(number), phase_(phase), mode_(mode), notes_(notes) {}

  void prepare();
  void observe();
  void print() const;

  // A socket of the row's own; 0: the first one.
  int make(int family, int protocol = 0);
  void own(int fd) { fds_.push_back(fd); }
  [[nodiscard]] int fd(std::size_t index = 0) const { return fds_.at(index); }
  // Of the row's own.
  [[nodiscard]] std::uint16_t port(unsigned which = 0) const;
  // Whether this run sets state, for what must be set before bind.
  [[nodiscard]] bool sets() const { return phase_ == Phase::control || phase_ == Phase::first; }

  void note(const std::string& key, const std::string& value) { notes_.put(row_.name, key, value); }
  [[nodiscard]] std::string noted(const std::string& key) const {
    return notes_.get(row_.name, key);
  }
  void answer(const std::string& key, const std::string& value);
  void answer(const std::string& key, long long value) { answer(key, std::to_string(value)); }

 private:
  [[nodiscard]] bool takes_part() const { return mode_ == Mode::inherit || !row_.inherit_only; }
  void find_inherited();
  void close_all();

  const Row& row_;
  unsigned number_;
  Phase phase_;
  Mode mode_;
  Notes& notes_;
  std::vector<int> fds_;
  std::vector<std::pair<std::string, std::string>> answers_;
  std::string absent_;
  std::string broken_;
};

// The errno's Absent when it means that the state is not to be had, else Broken.
[[noreturn]] void fail(const std::string& operation, int error);

}  // namespace fidelity
