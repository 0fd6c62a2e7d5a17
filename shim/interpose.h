// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How an interposed function is defined: with C linkage and exported.  The
// names stand in exports.map and in tests/shim/exports.txt as well.
#pragma once

#define UDPCR_EXPORT extern "C" __attribute__((visibility("default")))
