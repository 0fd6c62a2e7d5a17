#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds the debug kernel (Debian's 6.1 source; KASAN, lockdep, kmemleak, UBSAN,
# fault injection) once, into $UDPCR_CACHE/kernels/debug, laid out as
# kernels.sh lays out Debian's.  Six minutes on two cores.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${UDPCR_CACHE:-$HOME/.cache/udpcr}/kernels
target=$cache/debug
stamp=$(sha256sum "$here/debug-kernel.config" | cut -c1-16)
if [ -e "$target/release" ] && [ "$(cat "$target/stamp")" = "$stamp" ]; then
  echo "kernel debug: $(cat "$target/release")"
  exit 0
fi

rm -rf "$target.new"
mkdir -p "$target.new/debs"
(cd "$target.new/debs" && apt-get download -qq linux-source-6.1 && dpkg -x ./*.deb .)
mkdir "$target.new/source"
tar -xf "$target.new"/debs/usr/src/linux-source-6.1.tar.xz -C "$target.new/source" --strip-components=1
rm -rf "$target.new/debs"
cd "$target.new/source"
make -s tinyconfig
scripts/kconfig/merge_config.sh -m .config "$here/debug-kernel.config" > /dev/null
make -s olddefconfig
for option in KASAN PROVE_LOCKING DEBUG_KMEMLEAK UBSAN FAULT_INJECTION SLUB NET_9P_VIRTIO; do
  grep -q "^CONFIG_$option=y" .config || { echo "debug_kernel.sh: CONFIG_$option is not set" >&2; exit 1; }
done
make -s -j"$(nproc)" bzImage modules > ../build.log 2>&1 || { tail -30 ../build.log >&2; exit 1; }
make -s kernelrelease > ../release.new
ln -s source/arch/x86/boot/bzImage ../vmlinuz
ln -s source ../build
echo "$stamp" > ../stamp
mv ../release.new ../release
cd "$cache"
rm -rf "$target"
mv "$target.new" "$target"
echo "kernel debug: $(cat "$target/release")"
