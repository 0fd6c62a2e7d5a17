#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds the debug kernel (Debian's 6.1 source; KASAN, lockdep, kmemleak, UBSAN,
# fault injection) once, into $UDPCR_CACHE/kernels/debug, laid out as
# kernels.sh lays out Debian's.  Seven minutes on two cores.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/packages.sh"
source "$here/cache.sh"

target=$cache/debug
stamp=$(sha256sum "$here/debug-kernel.config" | cut -c1-16)
ready() {
  [ -e "$target/release" ] && [ "$(cat "$target/stamp")" = "$stamp" ]
}

lock debug
if ready; then
  echo "kernel debug: $(cat "$target/release")"
  exit 0
fi
need_packages "${debug_kernel_packages[@]}"

rm -rf "$target.new"
mkdir -p "$target.new/debs" "$target.new/source"
(
  lock apt
  apt_state bookworm
  cd "$target.new/debs"
  apt_in bookworm apt-get download -qq linux-source-6.1
)
dpkg -x "$target.new"/debs/*.deb "$target.new/debs"
tar -xf "$target.new"/debs/usr/src/linux-source-6.1.tar.xz -C "$target.new/source" --strip-components=1
rm -rf "$target.new/debs"

cd "$target.new/source"
make -s tinyconfig > ../build.log 2>&1
scripts/kconfig/merge_config.sh -m .config "$here/debug-kernel.config" >> ../build.log
make -s olddefconfig >> ../build.log 2>&1
# A symbol whose dependencies are missing is dropped without a word.
missing=$(grep '^CONFIG_' "$here/debug-kernel.config" | grep -vxFf .config || true)
if [ -n "$missing" ]; then
  echo "debug_kernel.sh: not in the configuration: $missing; correct debug-kernel.config" >&2
  exit 1
fi
nice -n 19 make -s -j"$(nproc)" bzImage modules >> ../build.log 2>&1 || {
  tail -30 ../build.log >&2
  echo "debug_kernel.sh: the kernel does not build; all of it: $target.new/build.log" >&2
  exit 1
}
# With nothing built as a module there is no list of exports for other modules.
[ -s Module.symvers ] || cp vmlinux.symvers Module.symvers
make -s kernelrelease > ../release.new
ln -s source/arch/x86/boot/bzImage ../vmlinuz
ln -s source ../build
echo "$stamp" > ../stamp
mv ../release.new ../release
cd "$cache"
rm -rf "$target"
mv "$target.new" "$target"
echo "kernel debug: $(cat "$target/release")"
