#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fuzzes the image reader: tests/fuzz/run.sh [EXECUTIONS]   (50,000 unless said)
# Ends with 0 when nothing was found; a finding is left in build/fuzz/findings.
set -eu
executions=${1:-50000}
case $executions in
'' | *[!0-9]*)
    echo "tests/fuzz/run.sh: EXECUTIONS is a number, and \"$executions\" is none" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/../.."
build=build/fuzz
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz_image fuzz_corpus

# The corpus that earlier runs have found is kept in $build/corpus.
mkdir -p $build/corpus $build/seeds $build/large $build/findings
$build/bin/fuzz_corpus $build/seeds $build/large

export UBSAN_OPTIONS=print_stacktrace=1
for image in $build/large/*; do
    $build/bin/fuzz_image "$image" >$build/large.log 2>&1 || {
        cat $build/large.log >&2
        echo "tests/fuzz/run.sh: the reader failed on $image" >&2
        exit 1
    }
done

start=$(date +%s)
$build/bin/fuzz_image -runs="$executions" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
    -seed="${TEST_SEED:-0}" -print_final_stats=1 -artifact_prefix=$build/findings/ $build/corpus $build/seeds \
    >$build/fuzz.log 2>&1 || {
    tail -n 60 $build/fuzz.log >&2
    echo "tests/fuzz/run.sh: a finding; its input is in $build/findings" >&2
    exit 1
}
done=$(sed -n 's/^stat::number_of_executed_units: *//p' $build/fuzz.log)
if [ "${done:-0}" -lt "$executions" ]; then
    tail -n 60 $build/fuzz.log >&2
    echo "tests/fuzz/run.sh: only ${done:-0} of $executions executions were made" >&2
    exit 1
fi
grep -E 'DONE +cov' $build/fuzz.log || true
echo "fuzz_image: $done executions in $(($(date +%s) - start)) s, no finding"
