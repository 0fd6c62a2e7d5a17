#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: in_namespace.sh FOLDER COMMAND [ARGUMENT...]
#
# Process 1 of a test's own namespaces: when it ends, the kernel ends what the
# test has left behind.
ip link set lo up || exit 1
cd "$1" || exit 1
shift
export TEST_ISOLATED=1
"$@" &
wait $!
