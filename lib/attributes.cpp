// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Messages may come from a hostile image: every length is checked, nothing is
// taken on trust.
#include "attributes.hpp"

#include <linux/netlink.h>
#include <net/if.h>

#include <algorithm>

namespace udpcr {
namespace {

// Without the two flag bits; NLA_TYPE_MASK as the unsigned number that it means.
constexpr std::uint16_t kTypeMask = static_cast<std::uint16_t>(NLA_TYPE_MASK);

}  // namespace

void broken(const std::string& what) {
  throw Error("broken message: " + what + "; take a new checkpoint");
}

void Attribute::wrong_size(std::size_t right) const {
  broken("attribute " + std::to_string(type) + " has " + std::to_string(value.size()) +
         " bytes where " + std::to_string(right) + " are right");
}

std::uint16_t Attribute::as_port() const { return ntohs(as<std::uint16_t>()); }

void Attribute::to_address(Address& address) const {
  if (value.size() != 4 && value.size() != 16) {
    broken("attribute " + std::to_string(type) + " has " + std::to_string(value.size()) +
           " bytes where an address has 4 or 16");
  }
  address.family = value.size() == 4 ? AF_INET : AF_INET6;
  std::copy(value.begin(), value.end(), address.bytes);
}

std::string Attribute::as_device() const {
  const auto end = std::find(value.begin(), value.end(), 0);
  if (value.empty() || value.size() > IFNAMSIZ || end != value.end() - 1) {
    broken("attribute " + std::to_string(type) + " of " + std::to_string(value.size()) +
           " bytes is no interface name of at most 15 characters and a NUL");
  }
  return {value.begin(), end};
}

std::string Attribute::as_string(std::size_t most) const {
  const auto end = std::find(value.begin(), value.end(), 0);
  if (value.size() < 2 || value.size() > most + 1 || end != value.end() - 1) {
    broken("attribute " + std::to_string(type) + " of " + std::to_string(value.size()) +
           " bytes is no text of 1 to " + std::to_string(most) + " characters and a NUL");
  }
  return {value.begin(), end};
}

bool AttributeReader::next(Attribute& attribute) {
  if (left_.empty()) return false;
  nlattr header{};
  if (left_.size() < sizeof header) {
    broken(std::to_string(left_.size()) + " bytes stand where an attribute's header of " +
           std::to_string(sizeof header) + " has to be");
  }
  std::memcpy(&header, left_.data(), sizeof header);
  attribute.type = header.nla_type & kTypeMask;
  if (header.nla_len < sizeof header || header.nla_len > left_.size()) {
    broken("attribute " + std::to_string(attribute.type) + " claims a length of " +
           std::to_string(header.nla_len) + " bytes, header included, but " +
           std::to_string(left_.size()) + " are left");
  }
  attribute.value = left_.subspan(sizeof header, header.nla_len - sizeof header);
  const std::size_t aligned = NLA_ALIGN(static_cast<std::size_t>(header.nla_len));
  left_ = left_.subspan(std::min(aligned, left_.size()));
  return true;
}

void Seen::once(std::uint16_t type) {
  if (types_.test(type)) broken("attribute " + std::to_string(type) + " stands there twice");
  types_.set(type);
}

void Seen::unknown(std::uint16_t type) {
  if (!types_.test(type)) unknown_.push_back(type);
  types_.set(type);
}

void Seen::require(std::uint16_t type, const char* what) const {
  if (!has(type)) {
    broken(std::string(what) + " (attribute " + std::to_string(type) + ") is missing");
  }
}

void Seen::require_together(std::uint16_t address, std::uint16_t port, std::uint16_t scope) const {
  if (has(address) != has(port) || (has(scope) && !has(address))) {
    broken("of address, port and scope (attributes " + std::to_string(address) + ", " +
           std::to_string(port) + ", " + std::to_string(scope) + ") only a part is there");
  }
}

void AttributeWriter::put(std::uint16_t type, const void* data, std::size_t size) {
  // nla_len is 16 bits wide and counts the attribute's header.
  if (size > UINT16_MAX - NLA_HDRLEN) {
    throw Error("cannot encode attribute " + std::to_string(type) + " of " + std::to_string(size) +
                " bytes: a netlink attribute holds at most " +
                std::to_string(UINT16_MAX - NLA_HDRLEN) + "; shorten it");
  }
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + size), type};
  const auto* const head = reinterpret_cast<const std::uint8_t*>(&header);
  const auto* const value = static_cast<const std::uint8_t*>(data);
  bytes_.insert(bytes_.end(), head, head + sizeof header);
  bytes_.insert(bytes_.end(), value, value + size);
  bytes_.resize(NLA_ALIGN(bytes_.size()));
}

}  // namespace udpcr
