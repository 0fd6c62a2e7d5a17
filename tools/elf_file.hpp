// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What an ELF file says of the program that is made from it.  The file may be
// damaged or hostile: nothing in it is believed before it is compared with the
// file's length.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace udpcr {

struct ElfFile {
  unsigned bits = 0;          // 32 or 64
  bool little_endian = true;  // of another order or width nothing more is known
  std::uint16_t machine = 0;  // EM_*
  std::uint16_t type = 0;     // ET_*
  std::string interpreter;    // PT_INTERP; empty: statically linked
  bool go = false;            // made by the Go tools

  // Of the sections, which need not be there; empty when they are damaged.
  std::vector<std::string> libraries;  // DT_NEEDED
  std::set<std::string> imports;
  std::set<std::string> exports;

  // Whether programs of the two can live in one process.
  [[nodiscard]] bool same_machine(const ElfFile& other) const {
    return bits == other.bits && little_endian == other.little_endian && machine == other.machine;
  }
  [[nodiscard]] std::string machine_name() const;
};

// Empty when the file is no ELF file.  Throws Error that says what is damaged.
// `file` is a regular file, open for reading; its position stays.
std::optional<ElfFile> read_elf(int file);

}  // namespace udpcr
