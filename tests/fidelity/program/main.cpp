// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: fidelity_program GROUP    with FIDELITY_PHASE=control|blank|first|second,
//                                  FIDELITY_MODE=adopt|inherit
//        fidelity_program --rows   each row and what names its loss
//        fidelity_program --walk   options of this kernel that no row has
//
// An ordinary program with UDP sockets: it is linked to nothing of ours, and in
// the second run it sets nothing that the first one has set.  GROUP is the
// first part of the rows' names, or `all`.
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "rows.hpp"

using namespace fidelity;

namespace {

constexpr const char* kNotes = "notes";

Rows all_rows() {
  Rows rows;
  add_addresses(rows);
  add_options(rows);
  add_behaviours(rows);
  add_policies(rows);
  add_queues(rows);
  add_queue_headers(rows);
  add_queue_states(rows);
  add_corks(rows);
  add_errors(rows);
  add_multicast(rows);
  add_filters(rows);
  add_sharing(rows);
  add_cgroups(rows);
  add_trees(rows);
  return rows;
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

Phase phase() {
  const std::string text = setting("FIDELITY_PHASE");
  if (text == "first") return Phase::first;
  if (text == "second") return Phase::second;
  return text == "blank" ? Phase::blank : Phase::control;
}

// See settle().
void stay_on_one_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ::sched_setaffinity(0, sizeof one, &one);
}

int run(const Rows& rows, const std::string& group) {
  const Phase now = phase();
  const Mode mode = setting("FIDELITY_MODE") == "adopt" ? Mode::adopt : Mode::inherit;
  Notes notes;
  if (now == Phase::second) notes.read(kNotes);
  std::vector<Trial> trials;
  unsigned number = 0;
  for (const Row& row : rows) {
    if (group == "all" || row.name.compare(0, group.size() + 1, group + "/") == 0) {
      trials.emplace_back(row, number, now, mode, notes);
    }
    ++number;
  }
  stay_on_one_processor();
  for (Trial& trial : trials) trial.prepare();
  if (now == Phase::first) {
    notes.write(kNotes);
  } else {
    for (Trial& trial : trials) trial.observe();
  }
  for (const Trial& trial : trials) trial.print();
  std::cout << "ready" << std::endl;
  while (now == Phase::first) ::pause();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string group = argc > 1 ? argv[1] : "all";
  const Rows rows = all_rows();
  if (group == "--walk") return walk_options();
  if (group != "--rows") return run(rows, group);
  for (const Row& row : rows) std::cout << row.name << ' ' << row.named << '\n';
  return 0;
}
