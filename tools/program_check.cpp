// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program_check.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <udpcr/udpcr.hpp>

#include "elf_file.hpp"
#include "program_file.hpp"

namespace udpcr {

namespace {

using Kind = Finding::Kind;

// include/uapi/linux/binfmts.h and fs/exec.c, Linux 6.1.
constexpr std::size_t kFirstLine = 256;
constexpr unsigned kMostScripts = 5;

constexpr char kByInode[] =
    "its sockets can be saved one by one: `udpcr checkpoint --inode N` (kernel module)";

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

// "#! INTERPRETER [ARGUMENT]".
struct Script {
  std::string interpreter;
  std::string argument;
};

std::optional<Script> read_script(int file) {
  char line[kFirstLine + 1] = {};
  const ssize_t size = pread(file, line, kFirstLine, 0);
  if (size < 2 || line[0] != '#' || line[1] != '!') return std::nullopt;
  std::string text(line + 2, strcspn(line + 2, "\n"));
  const auto trim = [](std::string& words) {
    words.erase(0, words.find_first_not_of(" \t"));
    words.erase(words.find_last_not_of(" \t") + 1);
  };
  trim(text);
  Script script;
  const std::size_t end = text.find_first_of(" \t");
  script.interpreter = text.substr(0, end);
  if (end != std::string::npos) script.argument = text.substr(end);
  trim(script.argument);
  return script;
}

class Checker {
 public:
  explicit Checker(const std::string& shim) : shim_(shim) {}

  ProgramCheck check(const std::string& name) {
    check_shim();
    follow(name);
    std::stable_sort(result_.findings.begin(), result_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.kind < b.kind; });
    return std::move(result_);
  }

 private:
  void find(Kind kind, const std::string& what, const std::string& remedy = {}) {
    result_.findings.push_back({kind, what, remedy});
  }

  void check_shim() {
    if (shim_.empty()) {
      return find(Kind::not_loaded,
                  "libudpcr_shim.so is not where it was built or installed (" UDPCR_LIBDIR ")",
                  "install udpcr anew");
    }
    if (shim_.find_first_of(" :") != std::string::npos) {
      find(Kind::not_loaded,
           "the shim's path " + quoted(shim_) +
               " has a space or a colon, at which the loader parts LD_PRELOAD",
           "install udpcr in another folder");
    }
    if (access(shim_.c_str(), R_OK) != 0) {
      find(Kind::not_loaded, "this user may not read " + shim_, "make it readable for all");
    } else if (is_on(shim_, ST_NOEXEC)) {
      find(Kind::not_loaded, shim_ + " is on a file system that is mounted noexec",
           "install udpcr elsewhere, or mount it exec");
    }
  }

  static bool is_on(const std::string& file, unsigned long flag) {
    struct statvfs system {};
    return statvfs(file.c_str(), &system) == 0 && (system.f_flag & flag) != 0;
  }

  // A script is run by its interpreter, which may be a script too.
  void follow(const std::string& name) {
    std::string next = name;
    for (unsigned level = 0; !next.empty(); ++level) {
      if (level > kMostScripts) {
        return find(Kind::not_run, "its interpreters are scripts, more than " +
                                       std::to_string(kMostScripts) + " deep");
      }
      next = look_at(next);
    }
  }

  // Returns the program that runs this one; empty: none, or none that exists.
  std::string look_at(const std::string& name) {
    const std::string path = find_program(name);
    if (path.empty()) {
      find(Kind::not_run, name + ": there is no such file",
           name.find('/') == std::string::npos ? "it is not in any folder of PATH" : "");
      return {};
    }
    result_.files.push_back(path);
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      find(Kind::not_run, path + " is no regular file");
      return {};
    }
    if (is_on(path, ST_NOEXEC)) {
      find(Kind::not_run, path + " is on a file system that is mounted noexec",
           "copy it elsewhere, or mount it exec");
    } else if (access(path.c_str(), X_OK) != 0) {
      find(Kind::not_run, path + " may not be executed by this user", "chmod +x");
    }
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) {
      find(Kind::note, path + " may not be read by this user: what it is is not known",
           "ask as root");
      return {};
    }
    try {
      if (const std::optional<ElfFile> elf = read_elf(file.get())) {
        check_rights(path, status, file.get());
        check_elf(path, *elf);
        return {};
      }
      if (const std::optional<Script> script = read_script(file.get())) {
        return interpreter_of(path, *script);
      }
      find(Kind::not_run, path + " is neither an ELF file nor a script that begins with #!",
           "give the program that runs it, such as sh " + path);
    } catch (const Error& error) {
      find(Kind::not_run, path + ": " + error.what());
    }
    return {};
  }

  std::string interpreter_of(const std::string& path, const Script& script) {
    if (script.interpreter.empty()) {
      find(Kind::not_run, path + " is a script that names no interpreter");
      return {};
    }
    if (std::filesystem::path(script.interpreter).filename() != "env") return script.interpreter;
    return program_of_env(path, script);
  }

  // env(1): options, NAME=VALUE, the program.
  std::string program_of_env(const std::string& path, const Script& script) {
    result_.files.push_back(script.interpreter);
    std::istringstream words(script.argument);
    for (std::string word; words >> word;) {
      std::string value;
      if (word == "-u" || word == "-C") words >> value;
      if (word == "-i" || word == "-" || word == "--ignore-environment") {
        find(Kind::not_loaded, path + " clears its environment, and LD_PRELOAD with it",
             "start its interpreter by name");
      } else if (value == "LD_PRELOAD" || word == "--unset=LD_PRELOAD") {
        find(Kind::not_loaded, path + " takes LD_PRELOAD out of its environment",
             "start its interpreter by name");
      } else if (word[0] != '-' && word.find('=') == std::string::npos) {
        return word;
      }
    }
    find(Kind::not_run, path + " is a script whose interpreter env is given no program");
    return {};
  }

  // Secure execution: ld.so(8), and bprm->secureexec of the kernel.
  void check_rights(const std::string& path, const struct stat& status, int file) {
    if (is_on(path, ST_NOSUID)) return;
    const bool set_user = (status.st_mode & S_ISUID) != 0;
    const bool set_group = (status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    const std::string bit = set_user ? "set-uid" : "set-gid";
    if ((set_user && status.st_uid != getuid()) || (set_group && status.st_gid != getgid())) {
      find(Kind::not_loaded, path + " is " + bit + ": the loader leaves LD_PRELOAD out",
           "start it as the user whose rights it takes, or a copy without the bit");
    } else if (set_user || set_group) {
      find(Kind::note,
           path + " is " + bit + ": started by another user it would not load the shim");
    }
    if (fgetxattr(file, "security.capability", nullptr, 0) > 0) {
      const std::string what = path + " has file capabilities";
      if (getuid() != 0) {
        find(Kind::not_loaded, what + ": the loader leaves LD_PRELOAD out",
             "give them to its user instead (AmbientCapabilities= of a unit, setpriv "
             "--ambient-caps), and run a copy without them");
      } else {
        find(Kind::note, what + ": started by another user than root it would not load the shim");
      }
    }
  }

  void check_elf(const std::string& path, const ElfFile& elf) {
    const std::optional<ElfFile> ours = own_elf();
    if (ours && !elf.same_machine(*ours)) {
      return find(Kind::not_loaded,
                  path + " is for " + elf.machine_name() + ", the shim for " + ours->machine_name(),
                  "use a udpcr that was built for it");
    }
    if (elf.type != ET_EXEC && elf.type != ET_DYN) {
      return find(Kind::not_run,
                  path + " is no program (its ELF type is " + std::to_string(elf.type) + ")");
    }
    if (elf.exports.count("_rtld_global") != 0) {
      return find(Kind::note, path + " is the loader: what it is told to load was not looked at");
    }
    if (elf.interpreter.empty()) {
      return find(Kind::not_loaded,
                  path + " is statically linked" + (elf.go ? " (a Go program)" : "") +
                      ": no loader runs that could load the shim",
                  elf.go ? std::string("Go makes its system calls itself, too; ") + kByInode
                         : std::string("link it dynamically; or ") + kByInode);
    }
    check_loader(path, elf);
    check_calls(path, elf);
  }

  [[nodiscard]] std::optional<ElfFile> own_elf() const {
    const UniqueFd file(
        open(shim_.empty() ? "/proc/self/exe" : shim_.c_str(), O_RDONLY | O_CLOEXEC));
    try {
      return file ? read_elf(file.get()) : std::nullopt;
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  void check_loader(const std::string& path, const ElfFile& elf) {
    const std::string loader = std::filesystem::path(elf.interpreter).filename();
    if (access(elf.interpreter.c_str(), F_OK) != 0) {
      find(Kind::not_run, path + ": its loader " + elf.interpreter + " is not there");
    }
    if (loader.rfind("ld-musl", 0) == 0) {
      find(Kind::not_loaded, path + " is made for the C library musl, the shim for glibc",
           "use the program's glibc build");
    } else if (loader.rfind("ld-linux", 0) != 0 && loader.rfind("ld64", 0) != 0 &&
               loader.rfind("ld.so", 0) != 0) {
      find(Kind::not_loaded, path + " has the loader " + elf.interpreter +
                                 ", which is not glibc's, and the shim is made for glibc");
    }
  }

  void check_calls(const std::string& path, const ElfFile& elf) {
    if (elf.go) {
      find(Kind::unseen,
           path +
               " is a Go program: it makes its system calls itself, and the shim does not see "
               "its sockets being opened and bound",
           "UDPCR_FDS=inherit, for programs that look for their sockets at the old fds; " +
               std::string(kByInode));
    }
    const auto uses = [&](const char* start) {
      const auto has = [&](const std::string& name) { return name.rfind(start, 0) == 0; };
      return std::any_of(elf.libraries.begin(), elf.libraries.end(), has) ||
             std::any_of(elf.imports.begin(), elf.imports.end(), has);
    };
    if (uses("liburing") || uses("io_uring_")) {
      find(Kind::note,
           path +
               " uses io_uring: what is done with sockets by it is not seen, and a receive "
               "that waits in the ring takes a datagram while the program is frozen",
           "sockets that it opens, binds and closes by ordinary calls are kept");
    }
    if (elf.imports.count("syscall") != 0) {
      find(Kind::note,
           path + " uses syscall(2): sockets that it opens or binds by it are not seen");
    }
    if (elf.imports.count("dlmopen") != 0) {
      find(Kind::note, path + " uses dlmopen(3): what is loaded by it does not meet the shim");
    }
    const bool sanitized = uses("__asan_") || uses("__tsan_") || uses("__sanitizer_") ||
                           elf.exports.count("__sanitizer_print_stack_trace") != 0;
    if (uses("libasan")) {
      find(Kind::note, path + " wants its sanitizer to be the first library",
           "ASAN_OPTIONS=verify_asan_link_order=0");
    }
    for (const char* const name : {"socket", "bind", "connect", "close", "sigaction"}) {
      // The sanitizers' call the next one, which is ours.
      if (sanitized || elf.exports.count(name) == 0) continue;
      find(Kind::unseen, path + " has a " + name + "() of its own, which goes before the shim's",
           "rename it there, or link it without --export-dynamic");
      return;
    }
  }

  const std::string& shim_;
  ProgramCheck result_;
};

}  // namespace

bool ProgramCheck::has(Finding::Kind kind) const {
  return std::any_of(findings.begin(), findings.end(),
                     [&](const Finding& finding) { return finding.kind == kind; });
}

bool ProgramCheck::works() const {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.kind == Kind::note; });
}

ProgramCheck check_program(const std::string& name, const std::string& shim) {
  return Checker(shim).check(name);
}

}  // namespace udpcr
