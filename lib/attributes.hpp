// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The attributes of netlink messages, read and written one by one.
//
// They are walked here, not by nla_for_each_attr(): a stored message may stand
// at an odd address, and libnl passes over what trails the last attribute.
#pragma once

#include <bitset>
#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {

[[noreturn]] void broken(const std::string& what);

struct Attribute {
  std::uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
  ByteView value;

  // For T of a fixed length.
  template <typename T>
  [[nodiscard]] T as() const {
    if (value.size() != sizeof(T)) wrong_size(sizeof(T));
    T result{};
    std::memcpy(&result, value.data(), sizeof(T));
    return result;
  }
  [[nodiscard]] std::uint16_t as_port() const;
  // Sets family and bytes; the value has 4 or 16 bytes.
  void to_address(Address& address) const;
  [[nodiscard]] std::string as_device() const;
  // 1 to `most` characters and a NUL.
  [[nodiscard]] std::string as_string(std::size_t most) const;

 private:
  [[noreturn]] void wrong_size(std::size_t right) const;
};

// The attributes of a message or of a nest, in order.  Throws Error on one
// that does not lie inside.
class AttributeReader {
 public:
  explicit AttributeReader(ByteView bytes) : left_(bytes) {}
  bool next(Attribute& attribute);

 private:
  ByteView left_;
};

// Which attributes a message has shown so far.
class Seen {
 public:
  explicit Seen(std::vector<std::uint16_t>& unknown) : unknown_(unknown) {}

  void once(std::uint16_t type);
  // Names each number once.
  void unknown(std::uint16_t type);
  [[nodiscard]] bool has(std::uint16_t type) const { return types_.test(type); }
  void require(std::uint16_t type, const char* what) const;
  // An address and its port come together; a scope needs them.
  void require_together(std::uint16_t address, std::uint16_t port, std::uint16_t scope) const;

 private:
  std::bitset<0x4000> types_;
  std::vector<std::uint16_t>& unknown_;
};

// Attributes one after the other, each padded to 4 bytes.
class AttributeWriter {
 public:
  void u32(std::uint16_t type, std::uint32_t value) { put(type, &value, sizeof value); }
  void u64(std::uint16_t type, std::uint64_t value) { put(type, &value, sizeof value); }
  // Throws Error when `size` is more than an attribute holds.
  void put(std::uint16_t type, const void* data, std::size_t size);
  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace udpcr
