#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/vm/build_module.sh 6.1|6.12|7.3|debug [MAKE ARGUMENT...]
#
# Builds this checkout's module for one of the cached kernels into
# build/kmod/KERNEL/udpcr.ko, with the warnings of W=1; any is an error.  Fetches
# or builds the kernel first where it is not there, and installs what run.py
# needs.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source=${here%/tests/vm}
source "$here/../lib/packages.sh"
source "$here/cache.sh"

kernel=${1:?usage: build_module.sh 6.1|6.12|7.3|debug [MAKE ARGUMENT...]}
shift
need_packages "${vm_packages[@]}" "${module_packages[@]}"
"$here/qemu.sh"
if [ "$kernel" = debug ]; then "$here/debug_kernel.sh"; else "$here/kernels.sh" "$kernel"; fi > /dev/null

# Links, so that the checkout stays clean and make sees what has changed.
build=$source/build/kmod/$kernel
mkdir -p "$build/kmod"
exec {build_lock}> "$build/lock"
flock "$build_lock"
find "$build/kmod" -maxdepth 1 -xtype l -delete
ln -sfn "$source/include" "$build/include"
ln -sf "$source"/kmod/* "$build/kmod/"

settings=(W=1 CC=gcc)
case $kernel in
  6.12 | 7.3)
    # Configured with a later gcc than this machine's, and no BTF of vmlinux.
    settings+=(CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= CONFIG_DEBUG_INFO_BTF_MODULES=)
    ;;
esac
make -s -j2 -C "$build/kmod" KDIR="$cache/$kernel/build" "${settings[@]}" "$@" > "$build/log" 2>&1 || {
  cat "$build/log" >&2
  echo "build_module.sh: udpcr.ko does not build for kernel $kernel: see above" >&2
  exit 1
}
# Sparse's findings too. Remarks about the tools that the kernel was built with are not ours.
if complaints=$(grep -iE 'warning|error:' "$build/log" | grep -vE 'the compiler differs|pahole version differs|Skipping BTF'); then
  echo "$complaints" >&2
  echo "build_module.sh: warnings for kernel $kernel: see above" >&2
  exit 1
fi
ln -sf kmod/udpcr.ko "$build/udpcr.ko"
