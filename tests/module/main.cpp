// SPDX-License-Identifier: LGPL-2.1-or-later
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "network.hpp"
#include "talk.hpp"

// Without the module every test would fail: said once, and nothing runs.  A
// listing of the tests needs neither.
int main(int argc, char** argv) {
  Catch::Session session;
  if (const int status = session.applyCommandLine(argc, argv)) return status;
  const auto& config = session.configData();
  if (!config.listTests && !config.listTestNamesOnly && !config.listTags && !config.showHelp) {
    try {
      udpcr::test::build_networks();
      udpcr::test::Talk();
    } catch (const std::exception& error) {
      std::cerr << "module_tests: " << error.what() << "\n";
      return 1;
    }
  }
  return session.run();
}
