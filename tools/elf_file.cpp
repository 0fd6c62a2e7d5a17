// SPDX-License-Identifier: LGPL-2.1-or-later
#include "elf_file.hpp"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <udpcr/udpcr.hpp>

namespace udpcr {

namespace {

// The kernel takes no more program headers than fit here (fs/binfmt_elf.c,
// Linux 6.1), and no longer name of an interpreter than PATH_MAX.
constexpr std::uint64_t kMostHeaderBytes = 65536;
constexpr std::uint64_t kLongestInterpreter = 4096;
constexpr std::uint64_t kMostSectionBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMostNoteBytes = 65536;
constexpr char kGoNote[4] = {'G', 'o', '\0', '\0'};

class Reader {
 public:
  explicit Reader(int file) : file_(file) {
    struct stat status {};
    if (fstat(file, &status) != 0) throw Error("it cannot be read", errno);
    if (S_ISREG(status.st_mode)) size_ = std::uint64_t(status.st_size);
  }

  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= size_ && size <= size_ - offset;
  }

  void read(const char* what, std::uint64_t offset, void* target, std::uint64_t size) const {
    if (!holds(offset, size)) {
      throw Error("it is damaged: " + std::string(what) + " (" + std::to_string(size) +
                  " bytes at " + std::to_string(offset) + ") is not within its " +
                  std::to_string(size_) + " bytes");
    }
    for (std::uint64_t done = 0; done < size;) {
      const ssize_t got =
          pread(file_, static_cast<char*>(target) + done, size - done, off_t(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw Error("it cannot be read", errno);
      if (got == 0) throw Error("it became shorter while it was read");
      done += std::uint64_t(got);
    }
  }

  // A table of `count` entries.
  template <typename Entry>
  std::vector<Entry> table(const char* what, std::uint64_t offset, std::uint64_t count,
                           std::uint64_t most_bytes) const {
    if (count > most_bytes / sizeof(Entry)) {
      throw Error("it is damaged: " + std::string(what) + " has " + std::to_string(count) +
                  " entries");
    }
    // Before memory is had for it.
    if (!holds(offset, count * sizeof(Entry))) read(what, offset, nullptr, count * sizeof(Entry));
    std::vector<Entry> entries(count);
    read(what, offset, entries.data(), count * sizeof(Entry));
    return entries;
  }

 private:
  int file_;
  std::uint64_t size_ = 0;
};

// The string at `offset`; empty when it does not end within the table.
std::string string_at(const std::vector<char>& table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const char* const start = table.data() + offset;
  const std::size_t length = strnlen(start, table.size() - offset);
  return offset + length < table.size() ? std::string(start, length) : std::string();
}

// Notes are padded to 4 bytes (gABI; the 8 of some newer ones are not Go's).
bool has_go_note(const std::vector<char>& notes) {
  for (std::size_t at = 0; notes.size() - at >= sizeof(Elf64_Nhdr);) {
    Elf64_Nhdr note{};
    std::memcpy(&note, notes.data() + at, sizeof note);
    at += sizeof note;
    const std::uint64_t name = (std::uint64_t{note.n_namesz} + 3) & ~std::uint64_t{3};
    const std::uint64_t content = (std::uint64_t{note.n_descsz} + 3) & ~std::uint64_t{3};
    if (name + content > notes.size() - at) return false;
    if (note.n_namesz == sizeof kGoNote &&
        std::memcmp(notes.data() + at, kGoNote, sizeof kGoNote) == 0) {
      return true;
    }
    at += name + content;
  }
  return false;
}

void read_segments(const Reader& reader, const Elf64_Ehdr& header, ElfFile& elf) {
  if (header.e_phnum != 0 && header.e_phentsize != sizeof(Elf64_Phdr)) {
    throw Error("it is damaged: its program headers are " + std::to_string(header.e_phentsize) +
                " bytes long");
  }
  for (const auto& segment : reader.table<Elf64_Phdr>("the program header table", header.e_phoff,
                                                      header.e_phnum, kMostHeaderBytes)) {
    if (segment.p_type == PT_INTERP) {
      const auto name = reader.table<char>("the name of its interpreter", segment.p_offset,
                                           segment.p_filesz, kLongestInterpreter);
      elf.interpreter = string_at(name, 0);
      if (elf.interpreter.empty()) throw Error("it is damaged: its interpreter has no name");
    } else if (segment.p_type == PT_NOTE && segment.p_filesz <= kMostNoteBytes) {
      elf.go = elf.go || has_go_note(reader.table<char>("a note", segment.p_offset,
                                                        segment.p_filesz, kMostNoteBytes));
    }
  }
}

// What the loader does not need may be damaged, and is then not there.
class Sections {
 public:
  Sections(const Reader& reader, const Elf64_Ehdr& header) : reader_(reader) {
    if (header.e_shentsize == sizeof(Elf64_Shdr)) {
      sections_ = reader.table<Elf64_Shdr>("the section header table", header.e_shoff,
                                           header.e_shnum, kMostSectionBytes);
    }
    names_ = strings(header.e_shstrndx);
  }

  void tell(ElfFile& elf) const {
    for (const Elf64_Shdr& section : sections_) {
      const std::string name = string_at(names_, section.sh_name);
      elf.go = elf.go || name == ".go.buildinfo" || name == ".note.go.buildid";
      if (section.sh_type == SHT_DYNAMIC) tell_libraries(section, elf);
      if (section.sh_type == SHT_DYNSYM) tell_symbols(section, elf);
    }
  }

 private:
  [[nodiscard]] std::vector<char> strings(std::uint32_t index) const {
    if (index >= sections_.size() || sections_[index].sh_type != SHT_STRTAB) return {};
    return reader_.table<char>("a string table", sections_[index].sh_offset,
                               sections_[index].sh_size, kMostSectionBytes);
  }

  void tell_libraries(const Elf64_Shdr& section, ElfFile& elf) const {
    const std::vector<char> names = strings(section.sh_link);
    for (const auto& entry :
         reader_.table<Elf64_Dyn>("the dynamic section", section.sh_offset,
                                  section.sh_size / sizeof(Elf64_Dyn), kMostSectionBytes)) {
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_NEEDED) elf.libraries.push_back(string_at(names, entry.d_un.d_val));
    }
  }

  void tell_symbols(const Elf64_Shdr& section, ElfFile& elf) const {
    const std::vector<char> names = strings(section.sh_link);
    for (const auto& symbol :
         reader_.table<Elf64_Sym>("the symbol table", section.sh_offset,
                                  section.sh_size / sizeof(Elf64_Sym), kMostSectionBytes)) {
      std::string name = string_at(names, symbol.st_name);
      if (name.empty()) continue;
      (symbol.st_shndx == SHN_UNDEF ? elf.imports : elf.exports).insert(std::move(name));
    }
  }

  const Reader& reader_;
  std::vector<Elf64_Shdr> sections_;
  std::vector<char> names_;
};

}  // namespace

std::string ElfFile::machine_name() const {
  std::string name;
  switch (machine) {
    case EM_X86_64:
      name = bits == 32 ? "x32" : "x86-64";
      break;
    case EM_386:
      name = "i386";
      break;
    case EM_AARCH64:
      name = "aarch64";
      break;
    case EM_ARM:
      name = "ARM";
      break;
    case EM_RISCV:
      name = "RISC-V";
      break;
    case EM_PPC64:
      name = "ppc64";
      break;
    case EM_S390:
      name = "s390";
      break;
    default:
      name = "ELF machine " + std::to_string(machine);
  }
  return name + ", " + std::to_string(bits) + " bits" + (little_endian ? "" : ", big-endian");
}

std::optional<ElfFile> read_elf(int file) {
  const Reader reader(file);
  unsigned char start[EI_NIDENT + 4];
  if (!reader.holds(0, SELFMAG)) return std::nullopt;
  reader.read("its start", 0, start, SELFMAG);
  if (std::memcmp(start, ELFMAG, SELFMAG) != 0) return std::nullopt;
  reader.read("the ELF header", 0, start, sizeof start);

  ElfFile elf;
  if ((start[EI_CLASS] != ELFCLASS32 && start[EI_CLASS] != ELFCLASS64) ||
      (start[EI_DATA] != ELFDATA2LSB && start[EI_DATA] != ELFDATA2MSB)) {
    throw Error("it is damaged: its ELF class is " + std::to_string(start[EI_CLASS]) +
                " and its byte order " + std::to_string(start[EI_DATA]));
  }
  elf.bits = start[EI_CLASS] == ELFCLASS64 ? 64 : 32;
  elf.little_endian = start[EI_DATA] == ELFDATA2LSB;
  // e_type and e_machine stand at the same place in both classes.
  const unsigned low = elf.little_endian ? 0 : 1;
  const auto half = [&](unsigned at) {
    return std::uint16_t(start[at + low] | start[at + 1 - low] << 8);
  };
  elf.type = half(EI_NIDENT);
  elf.machine = half(EI_NIDENT + 2);
  const bool same_order = elf.little_endian == (std::endian::native == std::endian::little);
  if (elf.bits != 64 || !same_order) return elf;

  Elf64_Ehdr header{};
  reader.read("the ELF header", 0, &header, sizeof header);
  read_segments(reader, header, elf);
  try {
    ElfFile more = elf;
    Sections(reader, header).tell(more);
    elf = std::move(more);
  } catch (const Error&) {
  }
  return elf;
}

}  // namespace udpcr
