// SPDX-License-Identifier: LGPL-2.1-or-later
#include "main_program.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "log.h"

namespace udpcr {

namespace {

constexpr char kGoNote[4] = {'G', 'o', '\0', '\0'};

size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

bool has_go_note(const char* notes, size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note{};
    memcpy(&note, notes, sizeof note);
    notes += sizeof note;
    size -= sizeof note;
    const size_t name = padded(note.n_namesz);
    const size_t content = padded(note.n_descsz);
    if (name > size || content > size - name) return false;
    if (note.n_namesz == sizeof kGoNote && memcmp(notes, kGoNote, sizeof kGoNote) == 0) return true;
    notes += name + content;
    size -= name + content;
  }
  return false;
}

bool is_loaded(const dl_phdr_info& program, const ElfW(Phdr) & part) {
  for (unsigned i = 0; i < program.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = program.dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_R) != 0 &&
        part.p_vaddr >= segment.p_vaddr &&
        part.p_vaddr - segment.p_vaddr + part.p_filesz <= segment.p_filesz) {
      return true;
    }
  }
  return false;
}

// The first that is iterated over is the main program.
int look(dl_phdr_info* program, size_t, void* found) {
  for (unsigned i = 0; i < program->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE || !is_loaded(*program, segment)) continue;
    const auto* const notes = reinterpret_cast<const char*>(program->dlpi_addr + segment.p_vaddr);
    if (has_go_note(notes, segment.p_filesz)) *static_cast<bool*>(found) = true;
  }
  return 1;
}

}  // namespace

void say_what_is_not_seen() {
  bool is_go = false;
  dl_iterate_phdr(look, &is_go);
  if (!is_go) return;
  log_line(LogLevel::warn,
           "this is a Go program: it makes its system calls itself, so that sockets which it opens "
           "and binds are not seen; `udpcr check -- PROGRAM` tells what can be done");
}

}  // namespace udpcr
