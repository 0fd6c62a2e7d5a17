// SPDX-License-Identifier: LGPL-2.1-or-later
#include "table.hpp"

#include <algorithm>

namespace udpcr::tool {

std::string columns(const std::vector<Row>& rows, std::size_t first_number, std::size_t last_number,
                    const std::string& indent) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      const bool right = i >= first_number && i <= last_number;
      line += (i == 0 ? "" : "  ") + (right ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::string local_text(const SocketRecord& record) {
  return record.local.port == 0 && record.local.is_wildcard() ? "-" : to_string(record.local);
}

std::string shutdown_text(unsigned state) {
  return state == 1 ? "receiving" : state == 2 ? "sending" : "receiving and sending";
}

}  // namespace udpcr::tool
