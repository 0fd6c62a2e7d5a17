// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "check.hpp"
#include "support.hpp"

using namespace udpcr;
using namespace udpcr::test;

TEST_CASE("limits of root do not speak of missing rights") {
  const auto limits = engine_under_test()->limits();
  CHECK_FALSE(names(limits, "source address"));
  CHECK(names(limits, "arrival time") != with_module());
  for (const Loss& limit : limits) {
    CHECK_FALSE(limit.why.empty());
    CHECK_FALSE(limit.remedy.empty());
  }
}

TEST_CASE("udpcr check exits 0, and refuses what is no option") {
  char name[] = "check";
  char more[] = "--more";
  char* argv[] = {name, more, nullptr};
  CHECK(check_main(1, argv) == 0);
  CHECK(check_main(2, argv) == 125);
}
