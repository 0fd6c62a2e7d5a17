// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trial.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace fidelity {
namespace {

constexpr unsigned kFirstPort = 10000;  // below net.ipv4.ip_local_port_range
constexpr unsigned kPortsOfARow = 4;

// Of one word, so that a line can be split at its spaces; bytes that are no
// text as %NN.
std::string word(const std::string& text) {
  std::string out;
  for (const char c : text) {
    char digits[4] = {c, '\0'};
    if (c == ' ' || c == '\n') digits[0] = '_';
    if (c < '\n' || c == 0x7f) std::snprintf(digits, sizeof digits, "%%%02x", c & 0xff);
    out += digits;
  }
  return out.empty() ? "-" : out;
}

}  // namespace

void fail(const std::string& operation, int error) {
  const std::string text = operation + ": " + std::strerror(error);
  switch (error) {
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case ENOSYS:
    case EPERM:
    case EACCES:
      throw Absent(text);
    default:
      throw Broken(text);
  }
}

void Notes::put(const std::string& row, const std::string& key, const std::string& value) {
  values_[row + " " + key] = word(value);
}

std::string Notes::get(const std::string& row, const std::string& key) const {
  const auto found = values_.find(row + " " + key);
  return found == values_.end() ? "" : found->second;
}

void Notes::read(const char* path) {
  std::ifstream file(path);
  std::string row;
  std::string key;
  std::string value;
  while (file >> row >> key >> value) put(row, key, value);
}

void Notes::write(const char* path) const {
  std::ofstream file(path);
  for (const auto& [key, value] : values_) file << key << ' ' << value << '\n';
}

int Trial::make(int family, int protocol) {
  const int fd = ::socket(family, SOCK_DGRAM, protocol);
  if (fd < 0) fail("socket", errno);
  own(fd);
  return fd;
}

std::uint16_t Trial::port(unsigned which) const {
  return static_cast<std::uint16_t>(kFirstPort + number_ * kPortsOfARow + which);
}

void Trial::answer(const std::string& key, const std::string& value) {
  answers_.emplace_back(word(key), word(value));
}

void Trial::close_all() {
  for (const int fd : fds_) ::close(fd);
  fds_.clear();
}

void Trial::find_inherited() {
  std::istringstream numbers(noted("fds"));
  std::string number;
  while (std::getline(numbers, number, ',')) own(std::stoi(number));
}

void Trial::prepare() {
  if (!takes_part()) return;
  try {
    if (phase_ == Phase::second) {
      if (!noted("absent").empty()) {
        absent_ = noted("absent");
        return;
      }
      if (mode_ == Mode::inherit) return find_inherited();
    }
    row_.open(*this);
    if (sets()) row_.set(*this);
  } catch (const Absent& why) {
    absent_ = why.what();
    close_all();
  } catch (const std::exception& why) {
    broken_ = why.what();
    close_all();
  }
  if (phase_ != Phase::first) return;
  if (!absent_.empty()) note("absent", absent_);
  std::string numbers;
  for (const int fd : fds_) {
    if (!numbers.empty()) numbers += ',';
    numbers += std::to_string(fd);
  }
  if (!numbers.empty()) note("fds", numbers);
}

void Trial::observe() {
  if (!takes_part() || !absent_.empty() || !broken_.empty()) return;
  for (const int fd : fds_) {
    if (::fcntl(fd, F_GETFD) < 0) return answer("socket", "gone");
  }
  try {
    row_.observe(*this);
  } catch (const std::exception& why) {
    answer("error", why.what());
  }
}

void Trial::print() const {
  if (!takes_part()) return;
  if (!broken_.empty()) {
    std::cout << "broken " << row_.name << ' ' << broken_ << '\n';
  } else if (!absent_.empty()) {
    std::cout << "absent " << row_.name << ' ' << absent_ << '\n';
  } else {
    std::cout << "row " << row_.name;
    if (phase_ == Phase::first) std::cout << " fds=" << noted("fds");
    for (const auto& [key, value] : answers_) std::cout << ' ' << key << '=' << value;
    std::cout << '\n';
  }
}

}  // namespace fidelity
