#!/vm/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Process 1 of a guest that runs systemd; the initramfs is its root.  The host's files
# are in /host, read-only, this checkout at its own path too.
export PATH=/vm/bin
mkdir -p /proc /sys /dev /run /host
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2> /dev/null
exec > /dev/console 2>&1 < /dev/null

for module in $(cat /vm/modules/order); do
  insmod "/vm/modules/$module" || echo "systemd_boot: cannot load $module"
done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /host &&
  mount -t tmpfs -o mode=755 run /run &&
  mkdir /run/vm &&
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none share /run/vm &&
  . /run/vm/settings &&
  mkdir -p "$source" &&
  mount -o bind "/host$source" "$source" || {
  echo "systemd_boot: cannot mount the host's files"
  reboot -f
}
exec /lib/systemd/systemd --unit=udpcr-test.service --show-status=no
