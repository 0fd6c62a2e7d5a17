#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fuzzes what parses: tests/fuzz/run.sh [EXECUTIONS [TARGET...]]
# 50,000 executions of every target unless said; TARGET is one of FUZZ_TARGETS in
# CMakeLists.txt.  A line `ok TARGET` or `not ok TARGET WHY` each, and `done`; the
# input of a finding is left in build/fuzz/findings/TARGET.
set -eu
executions=${1:-50000}
case $executions in
'' | *[!0-9]*)
    echo "tests/fuzz/run.sh: EXECUTIONS is a number, and \"$executions\" is none" >&2
    exit 2
    ;;
esac
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/../.."
build=build/fuzz
known=$(sed -n 's/^set(FUZZ_TARGETS \(.*\))$/\1/p' tests/fuzz/CMakeLists.txt)
[ -n "$known" ] || {
    echo "tests/fuzz/run.sh: tests/fuzz/CMakeLists.txt names no targets" >&2
    exit 1
}
targets=${*:-$known}
programs=
for target in $targets; do
    case " $known " in
    *" $target "*) programs="$programs fuzz_$target" ;;
    *)
        echo "tests/fuzz/run.sh: there is no target $target; the targets are $known" >&2
        exit 2
        ;;
    esac
done
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz_corpus $programs

# The corpus that earlier runs have found is kept in $build/corpus/TARGET.
$build/bin/fuzz_corpus $build
export UBSAN_OPTIONS=print_stacktrace=1
failed=0

not_ok() {
    echo "not ok $1 $2"
    failed=1
}

# What is too large to be changed many times is read once.
read_large() {
    for image in $build/large/*; do
        $build/bin/fuzz_image "$image" >$build/large.log 2>&1 || {
            cat $build/large.log
            return 1
        }
    done
}

# fuzz TARGET LONGEST_INPUT
fuzz() {
    mkdir -p $build/corpus/$1 $build/findings/$1 $build/seeds/$1
    log=$build/fuzz_$1.log
    start=$(date +%s)
    if ! $build/bin/fuzz_$1 -runs="$executions" -max_len=$2 -timeout=10 -rss_limit_mb=2048 \
        -seed="${TEST_SEED:-0}" -print_final_stats=1 -artifact_prefix=$build/findings/$1/ $build/corpus/$1 \
        $build/seeds/$1 >$log 2>&1; then
        tail -n 60 $log
        not_ok $1 "a finding; its input is in $build/findings/$1"
        return
    fi
    done=$(sed -n 's/^stat::number_of_executed_units: *//p' $log)
    if [ "${done:-0}" -lt "$executions" ]; then
        tail -n 60 $log
        not_ok $1 "only ${done:-0} of $executions executions were made"
        return
    fi
    grep -E 'DONE +cov' $log || true
    echo "$done executions in $(($(date +%s) - start)) s, no finding"
    echo "ok $1"
}

for target in $targets; do
    case $target in
    image)
        if read_large; then
            fuzz image 8192
        else
            not_ok image "the reader failed on one of $build/large"
        fi
        ;;
    settings) fuzz settings 16384 ;;
    *) fuzz $target 4096 ;;
    esac
done
echo done
exit $failed
