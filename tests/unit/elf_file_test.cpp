// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The reader of ELF files, with whole ones, crafted ones and damaged ones.
#include "elf_file.hpp"

#include <elf.h>
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "scratch_folder.hpp"

using namespace udpcr;
using udpcr::test::ScratchFolder;

namespace {

// A file with room for everything that a test puts at a place of its choice.
class Craft {
 public:
  Craft() : bytes_(4096) {
    std::memcpy(header().e_ident, ELFMAG, SELFMAG);
    header().e_ident[EI_CLASS] = ELFCLASS64;
    header().e_ident[EI_DATA] = ELFDATA2LSB;
    header().e_type = ET_DYN;
    header().e_machine = EM_X86_64;
    header().e_phoff = 64;
    header().e_phentsize = sizeof(Elf64_Phdr);
    header().e_shentsize = sizeof(Elf64_Shdr);
  }
  Elf64_Ehdr& header() { return *reinterpret_cast<Elf64_Ehdr*>(bytes_.data()); }
  Elf64_Phdr& segment(std::uint32_t type, std::uint64_t offset, std::uint64_t size) {
    auto& segment =
        reinterpret_cast<Elf64_Phdr*>(bytes_.data() + header().e_phoff)[header().e_phnum++];
    segment.p_type = type;
    segment.p_offset = offset;
    segment.p_filesz = size;
    return segment;
  }
  Elf64_Shdr& section(std::uint32_t type, std::uint64_t offset, std::uint64_t size) {
    header().e_shoff = 2048;
    auto& section =
        reinterpret_cast<Elf64_Shdr*>(bytes_.data() + header().e_shoff)[header().e_shnum++];
    section.sh_type = type;
    section.sh_offset = offset;
    section.sh_size = size;
    return section;
  }
  void put(std::size_t offset, const void* content, std::size_t size) {
    std::memcpy(bytes_.data() + offset, content, size);
  }
  void cut(std::size_t size) { bytes_.resize(size); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

std::optional<ElfFile> read(const Bytes& bytes) {
  const ScratchFolder folder;
  folder.put("file", bytes);
  const UniqueFd file(open(folder.path("file").c_str(), O_RDONLY | O_CLOEXEC));
  return read_elf(file.get());
}

std::optional<ElfFile> read(const Craft& craft) { return read(craft.bytes()); }

constexpr char kLoader[] = "/lib64/ld-linux-x86-64.so.2";

Craft with_loader() {
  Craft craft;
  craft.put(1024, kLoader, sizeof kLoader);
  craft.segment(PT_INTERP, 1024, sizeof kLoader);
  return craft;
}

}  // namespace

TEST_CASE("the ELF file of this very program") {
  const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto elf = read_elf(file.get());
  REQUIRE(elf);
  CHECK(elf->bits == 8 * sizeof(void*));
  CHECK(elf->type == ET_DYN);
  CHECK(elf->interpreter.find("ld") != std::string::npos);
  CHECK_FALSE(elf->go);
  CHECK(std::find(elf->libraries.begin(), elf->libraries.end(), "libc.so.6") !=
        elf->libraries.end());
  CHECK(elf->imports.count("memcpy") + elf->imports.count("memcmp") > 0);
  CHECK(elf->same_machine(*elf));
}

TEST_CASE("what is no ELF file") {
  CHECK_FALSE(read(Bytes{}));
  CHECK_FALSE(read(Bytes(3, 0x7f)));
  CHECK_FALSE(read(Bytes(5000, 'x')));
}

TEST_CASE("statically linked, or with a loader") {
  const auto bare = read(Craft());
  REQUIRE(bare);
  CHECK(bare->interpreter.empty());
  CHECK(bare->machine_name() == "x86-64, 64 bits");
  const auto whole = read(with_loader());
  REQUIRE(whole);
  CHECK(whole->interpreter == kLoader);
}

TEST_CASE("another width, order or machine") {
  Craft craft;
  craft.header().e_ident[EI_CLASS] = ELFCLASS32;
  craft.header().e_machine = EM_386;
  const auto narrow = read(craft);
  REQUIRE(narrow);
  CHECK(narrow->machine_name() == "i386, 32 bits");
  CHECK_FALSE(narrow->same_machine(*read(Craft())));

  Craft swapped;
  swapped.header().e_ident[EI_DATA] = ELFDATA2MSB;
  swapped.header().e_machine = __builtin_bswap16(EM_S390);
  swapped.header().e_phoff = ~0ULL;  // not looked at
  const auto other = read(swapped);
  REQUIRE(other);
  CHECK(other->machine_name() == "s390, 64 bits, big-endian");
}

TEST_CASE("a Go program") {
  Craft by_note = with_loader();
  const Elf64_Nhdr first{4, 5, 1};
  const Elf64_Nhdr second{4, 4, 4};
  by_note.put(1200, &first, sizeof first);
  by_note.put(1212,
              "GNU\0"
              "12345678",
              12);
  by_note.put(1224, &second, sizeof second);
  by_note.put(1236,
              "Go\0\0"
              "abcd",
              8);
  by_note.segment(PT_NOTE, 1200, 44);
  CHECK(read(by_note)->go);

  Craft by_section = with_loader();
  by_section.put(1300, "\0.go.buildinfo", 15);
  by_section.section(SHT_STRTAB, 1300, 15);
  by_section.section(SHT_PROGBITS, 0, 0).sh_name = 1;
  by_section.header().e_shstrndx = 0;
  CHECK(read(by_section)->go);

  Craft neither = with_loader();
  neither.put(1200, &first, sizeof first);
  neither.segment(PT_NOTE, 1200, 24);
  CHECK_FALSE(read(neither)->go);
}

TEST_CASE("libraries and symbols") {
  Craft craft = with_loader();
  constexpr char kNames[] = "\0liburing.so.2\0bind\0socket";
  craft.put(1300, kNames, sizeof kNames);
  const Elf64_Dyn libraries[] = {{DT_NEEDED, {1}}, {DT_NULL, {0}}, {DT_NEEDED, {15}}};
  craft.put(1400, libraries, sizeof libraries);
  Elf64_Sym symbols[3] = {};
  symbols[1].st_name = 15;
  symbols[2].st_name = 20;
  symbols[2].st_shndx = 1;
  craft.put(1500, symbols, sizeof symbols);
  craft.section(SHT_STRTAB, 1300, sizeof kNames);
  craft.section(SHT_DYNAMIC, 1400, sizeof libraries).sh_link = 0;
  craft.section(SHT_DYNSYM, 1500, sizeof symbols).sh_link = 0;
  craft.header().e_shstrndx = 0;
  const auto elf = read(craft);
  CHECK(elf->libraries == std::vector<std::string>{"liburing.so.2"});
  CHECK(elf->imports == std::set<std::string>{"bind"});
  CHECK(elf->exports == std::set<std::string>{"socket"});
}

TEST_CASE("damaged ELF files are refused with a sentence") {
  const auto refuses = [](const Craft& craft, const std::string& piece) {
    CHECK_THROWS_WITH(read(craft), Catch::Contains("damaged") && Catch::Contains(piece));
  };
  Craft craft = with_loader();
  craft.cut(10);
  refuses(craft, "the ELF header");
  craft = with_loader();
  craft.cut(63);
  refuses(craft, "the ELF header");
  craft = with_loader();
  craft.header().e_ident[EI_CLASS] = 3;
  refuses(craft, "ELF class is 3");
  craft = with_loader();
  craft.header().e_phoff = ~0ULL - 8;
  refuses(craft, "the program header table");
  craft = with_loader();
  craft.header().e_phnum = 65535;
  refuses(craft, "65535 entries");
  craft = with_loader();
  craft.header().e_phentsize = 32;
  refuses(craft, "32 bytes long");
  craft = Craft();
  craft.segment(PT_INTERP, 4090, 20);
  refuses(craft, "its interpreter");
  craft = Craft();
  craft.segment(PT_INTERP, 1024, ~0ULL);
  refuses(craft, "its interpreter");
  craft = Craft();
  craft.put(1024, "abc", 3);
  craft.segment(PT_INTERP, 1024, 3);  // without its NUL
  refuses(craft, "no name");
}

TEST_CASE("damaged sections are as none") {
  const auto bears = [](const Craft& craft) {
    const auto elf = read(craft);
    REQUIRE(elf);
    CHECK(elf->interpreter == kLoader);
    CHECK(elf->imports.empty());
    CHECK(elf->libraries.empty());
  };
  Craft craft = with_loader();
  craft.section(SHT_DYNSYM, 0, ~0ULL).sh_link = 7;
  bears(craft);
  craft = with_loader();
  craft.section(SHT_DYNSYM, 4000, 480).sh_link = 0;
  bears(craft);
  craft = with_loader();
  craft.header().e_shnum = 65535;
  craft.header().e_shoff = 4000;
  bears(craft);
  craft = with_loader();
  craft.section(SHT_STRTAB, 1300, 4);
  Elf64_Sym symbol{};
  symbol.st_name = 2;
  craft.put(1300, "\0abc", 4);  // a name without its end
  craft.put(1400, &symbol, sizeof symbol);
  craft.section(SHT_DYNSYM, 1400, sizeof symbol);
  bears(craft);
}

TEST_CASE("whatever stands in an ELF file, reading it ends well") {
  std::mt19937 random(5);
  Craft crafted = with_loader();
  constexpr char kNames[] = "\0liburing.so.2\0bind\0socket";
  crafted.put(1300, kNames, sizeof kNames);
  crafted.section(SHT_STRTAB, 1300, sizeof kNames);
  crafted.section(SHT_DYNAMIC, 1400, 48);
  crafted.section(SHT_DYNSYM, 1500, 72);
  crafted.segment(PT_NOTE, 1200, 44);
  const ScratchFolder folder;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = crafted.bytes();
    for (int change = 0; change < 1 + round % 8; ++change) {
      const std::size_t places[] = {4 + random() % 60, 64 + random() % 200, 1200 + random() % 372,
                                    2048 + random() % 256};
      bytes[places[random() % 4]] = std::uint8_t(random() % 4 == 0 ? 0xff : random());
    }
    if (round % 16 == 0) bytes.resize(random() % bytes.size());
    folder.put("file", bytes);
    const UniqueFd file(open(folder.path("file").c_str(), O_RDONLY | O_CLOEXEC));
    try {
      const auto elf = read_elf(file.get());
      if (elf) CHECK(elf->interpreter.size() < 4096);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find("damaged") != std::string::npos);
    }
  }
}
