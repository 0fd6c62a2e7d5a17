// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An image as a table that a person reads.
#include <udpcr/udpcr_netlink.h>

#include <cstring>

#include "json.hpp"
#include "show.hpp"
#include "table.hpp"

namespace udpcr::tool {
namespace {

std::string address(const std::optional<Address>& address) {
  return address ? to_string(*address) : "-";
}

std::string plural(std::size_t count, const std::string& what, const std::string& ending = "s") {
  return std::to_string(count) + " " + what + (count == 1 ? "" : ending);
}

std::string fds(const ShownSocket& socket, bool with_pids) {
  std::string text;
  for (const auto& [pid, number] : socket.fds) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
    if (with_pids) text += "@" + std::to_string(pid);
  }
  return or_dash(text);
}

// What bind(2) was told, as far as it is known.
std::string bound(const SocketRecord& record) {
  const std::uint32_t flags = record.flags;
  if ((flags & UDPCR_SOCK_BOUND) == 0) return record.local.port == 0 ? "no" : "auto";
  std::string text = (flags & UDPCR_SOCK_BOUND_ADDR) != 0 ? "address" : "wildcard";
  text += (flags & UDPCR_SOCK_BOUND_PORT) != 0 ? "+port" : "+any port";
  return (flags & UDPCR_SOCK_ORIGIN_KNOWN) != 0 ? text : text + "?";
}

std::string options(const SocketRecord& record) {
  std::string text;
  for (const SocketOption& option : record.options) {
    text += (text.empty() ? "" : ", ") + option_label(option);
  }
  return or_dash(text);
}

// Quotes make an empty argument, or one with blanks, visible as one.
std::string argument(const std::string& text) {
  const std::string shown = printable(text);
  return shown.empty() || shown.find(' ') != std::string::npos ? "'" + shown + "'" : shown;
}

std::string header(const Shown& shown) {
  const Image& image = shown.image;
  std::string program = printable(image.executable);
  for (std::size_t i = 1; i < image.arguments.size(); ++i) {
    program += " " + argument(image.arguments[i]);
  }
  if (image.full_arguments_hash) program += " ...";
  std::string processes = plural(image.processes.size(), "process", "es");
  for (std::size_t i = 0; i < image.processes.size(); ++i) {
    processes += (i == 0 ? ": pid " : ", ") + std::to_string(image.processes[i].pid);
  }
  std::size_t datagrams = 0;
  std::uint64_t bytes = 0;
  for (const ShownSocket& socket : shown.sockets) {
    datagrams += socket.receive_queue.datagrams + socket.send_queue.datagrams;
    bytes += socket.receive_queue.bytes + socket.send_queue.bytes;
  }
  return columns(
      {{"image", printable(shown.path)},
       {"program", program},
       {"host", printable(image.host) + ", kernel " + printable(image.kernel) + ", boot " +
                    printable(image.boot_id)},
       {"written", utc_time(image.created) + ", " + printable(image.engine) + " engine"},
       {"tree", processes},
       {"sockets", plural(shown.sockets.size(), "socket") + ", " + plural(datagrams, "datagram") +
                       " queued (" + plural(bytes, "byte") + ")"}},
      1, 0);
}

std::string sockets(const Shown& shown) {
  if (shown.sockets.empty()) return "";
  const bool with_pids = shown.image.processes.size() > 1;
  std::vector<Row> rows{{"#", with_pids ? "FD@PID" : "FD", "PROTO", "LOCAL", "PEER", "DEVICE",
                         "BOUND", "QUEUED", "BYTES", "UNSENT", "DROPS", "OPTIONS"}};
  for (std::size_t i = 0; i < shown.sockets.size(); ++i) {
    const ShownSocket& socket = shown.sockets[i];
    const SocketRecord& record = socket.record;
    rows.push_back({std::to_string(i), fds(socket, with_pids),
                    protocol_name(record.protocol) + (record.family == AF_INET ? "4" : "6"),
                    local_text(record), address(record.peer), or_dash(printable(record.device)),
                    bound(record), std::to_string(socket.receive_queue.datagrams),
                    std::to_string(socket.receive_queue.bytes),
                    std::to_string(socket.send_queue.datagrams), std::to_string(record.drops),
                    options(record)});
  }
  return "\n" + columns(rows, 7, 10);
}

// What no column has.
std::string also(const SocketRecord& record) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  for (const Membership& member : record.memberships) {
    std::string what = "member of " + ip_text(member.group) + " on ";
    what += member.device.empty() ? "interface " + std::to_string(member.ifindex)
                                  : printable(member.device);
    if (member.anycast) what += " (anycast)";
    if (!member.sources.empty()) {
      what += member.mode == MCAST_INCLUDE ? " from " : " but not from ";
      for (std::size_t i = 0; i < member.sources.size(); ++i) {
        what += (i == 0 ? "" : ", ") + ip_text(member.sources[i]);
      }
    }
    add(what);
  }
  if (!record.netns.empty()) add("in network namespace " + printable(record.netns));
  if (!record.interfaces.empty()) {
    std::string names = "interfaces ";
    for (const Interface& interface : record.interfaces) {
      if (names.back() != ' ') names += ", ";
      names += std::to_string(interface.index) + " " + printable(interface.name);
    }
    add(names);
  }
  if (record.owner.pid != 0) {
    add(owner_kind(record.owner) + " " + std::to_string(record.owner.pid) + " is signalled" +
        (record.owner.signal == 0 ? "" : " by " + std::to_string(record.owner.signal)));
  }
  if (record.cgroup != 0) add("cgroup " + std::to_string(record.cgroup));
  if (!record.label.empty()) add("label " + printable(record.label));
  if (record.reuseport_index) {
    add("number " + std::to_string(*record.reuseport_index) + " of its SO_REUSEPORT group");
  }
  if (record.tskey != 0) add("transmit timestamp " + std::to_string(record.tskey) + " is next");
  if (record.shutdown != 0) add("shut down for " + shutdown_text(record.shutdown));
  if (record.error != 0) {
    add(std::string("pending error: ") + std::strerror(static_cast<int>(record.error)));
  }
  if (record.error_count != 0) add(plural(record.error_count, "message") + " in the error queue");
  if (record.cork_length != 0) add(plural(record.cork_length, "corked byte"));
  if (record.held_count != 0) add(plural(record.held_count, "datagram") + " held aside");
  return text;
}

std::string queue(const std::string& title, const ShownQueue& queue) {
  if (queue.listed.empty()) return "";
  std::vector<Row> rows{{"#", "SOURCE", "DESTINATION", "SIZE"}};
  for (std::size_t i = 0; i < queue.listed.size(); ++i) {
    const ShownDatagram& datagram = queue.listed[i];
    rows.push_back({std::to_string(i), address(datagram.source), address(datagram.destination),
                    std::to_string(datagram.size)});
  }
  return "\n" + title + "\n" + columns(rows, 3, 3, "  ");
}

void add_losses(std::string& text, const std::string& whose, const std::vector<Loss>& losses) {
  for (const Loss& loss : losses) {
    text += "  " + whose + printable(loss.what) + ": " + printable(loss.why);
    if (!loss.remedy.empty()) text += "; " + printable(loss.remedy);
    text += "\n";
  }
}

std::string losses(const Shown& shown) {
  std::string text;
  add_losses(text, "", shown.image.losses);
  for (std::size_t i = 0; i < shown.sockets.size(); ++i) {
    const std::string whose =
        "socket " + std::to_string(i) + " (" + local_text(shown.sockets[i].record) + "): ";
    add_losses(text, whose, shown.image.sockets[i].losses);
  }
  for (const std::uint16_t number : shown.unknown) {
    text += "  attribute " + std::to_string(number) +
            ": this udpcr does not know it; show the image with the udpcr that wrote it\n";
  }
  return text.empty() ? "\nNothing was left out.\n" : "\nNot kept:\n" + text;
}

}  // namespace

std::string show_table(const Shown& shown) {
  std::string text = header(shown) + sockets(shown);
  for (std::size_t i = 0; i < shown.sockets.size(); ++i) {
    const std::string more = also(shown.sockets[i].record);
    if (!more.empty()) text += "\nOn socket " + std::to_string(i) + ": " + more + "\n";
  }
  for (std::size_t i = 0; i < shown.sockets.size(); ++i) {
    const std::string socket = " of socket " + std::to_string(i) + ":";
    text += queue("Receive queue" + socket, shown.sockets[i].receive_queue);
    text += queue("Send queue" + socket, shown.sockets[i].send_queue);
    text += queue("Error queue" + socket, shown.sockets[i].error_queue);
  }
  return text + losses(shown);
}

}  // namespace udpcr::tool
