// SPDX-License-Identifier: LGPL-2.1-or-later
#include "datagram_filter.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <udpcr/udpcr_netlink.h>

#include "attributes.hpp"

namespace udpcr {
namespace {

template <typename Handle>
void each_message(const MessageStream& datagrams, Handle handle) {
  std::size_t offset = 0;
  for (ByteView message = datagrams.next(offset); !message.empty();
       message = datagrams.next(offset)) {
    handle(message);
  }
}

}  // namespace

AttributeCounts count_attributes(const MessageStream& datagrams) {
  AttributeCounts counts;
  each_message(datagrams, [&](ByteView message) {
    AttributeReader reader(message.subspan(GENL_HDRLEN));
    for (Attribute attribute; reader.next(attribute);) {
      if (attribute.type != UDPCR_A_PAD) ++counts[attribute.type];
    }
  });
  return counts;
}

MessageStream keep_attributes(const MessageStream& datagrams,
                              const std::set<std::uint16_t>& accepted) {
  MessageStream kept;
  each_message(datagrams, [&](ByteView message) {
    Bytes copy(message.begin(), message.begin() + GENL_HDRLEN);
    std::size_t end = copy.size();
    AttributeReader reader(message.subspan(GENL_HDRLEN));
    for (Attribute attribute; reader.next(attribute);) {
      if (!accepted.contains(attribute.type)) continue;
      // With its header, in which stand the flags that its type had.
      const auto* const head = attribute.value.data() - NLA_HDRLEN;
      copy.resize(NLA_ALIGN(copy.size()));
      copy.insert(copy.end(), head, attribute.value.data() + attribute.value.size());
      end = copy.size();
    }
    copy.resize(end);
    kept.append(copy);
  });
  return kept;
}

}  // namespace udpcr
