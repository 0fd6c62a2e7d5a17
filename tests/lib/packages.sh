# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The one list of what building, testing and showing udpcr needs on Debian 12.
# Sourced by tests/run.sh, demo/run.sh and the scripts in tests/vm.

build_packages=(g++ cmake ninja-build pkg-config libboost-serialization-dev libnl-3-dev
                libnl-genl-3-dev libseccomp-dev python3 iproute2 util-linux)
demo_packages=(dnsmasq-base)
test_packages=(catch2 clang clang-format clang-tidy socat dnsmasq-base git python3-yaml strace)
# What tests/programs/NAME needs, beside test_packages: see fetch_program.sh.
declare -A program_packages=(
  [avahi]="avahi-daemon" [chronyd]="chrony" [java]="openjdk-17-jre-headless libecj-java"
  [named]="bind9" [openvpn]="openvpn" [snmpd]="snmpd")
vm_packages=(qemu-system-x86 busybox-static cpio kmod xz-utils zstd)
# uidmap: mmdebstrap by an ordinary user.
systemd_packages=(mmdebstrap cpio uidmap)
module_packages=(make gcc libc6-dev libelf-dev dkms)
kernel_style_packages=(perl sparse xz-utils)
debug_kernel_packages=(make gcc flex bison bc libelf-dev libssl-dev xz-utils)

# need_packages NAME...: installs those that are missing; as root, or through sudo.
need_packages() {
  local package state missing=() as_root=()
  for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) || state=
    [[ $state == ii* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "packages are missing and there is no sudo: as root run apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}"
  # Another installation may be at work on this machine.
  local patience=DPkg::Lock::Timeout=600
  "${as_root[@]}" apt-get -o "$patience" update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get -o "$patience" install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
    echo "apt-get could not install ${missing[*]}: see its message above" >&2
    return 1
  }
}

# build_preset NAME: configures and builds build/NAME; quiet unless it fails.
build_preset() {
  local log
  log=$(mktemp)
  if ! { cmake --preset "$1" && cmake --build --preset "$1"; } >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    echo "preset $1 does not build: see above" >&2
    return 1
  fi
  rm -f "$log"
}
