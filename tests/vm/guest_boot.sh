#!/vm/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Process 1 of the initramfs: the host's root, read-only over 9p, under an
# overlay in memory; then on to guest_run.sh, which lies in the shared folder.
export PATH=/vm/bin
mkdir -p /proc /sys /dev /ro /rw /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2> /dev/null
exec > /dev/console 2>&1 < /dev/null

for module in $(cat /vm/modules/order); do
  insmod "/vm/modules/$module" || echo "guest_boot: cannot load $module"
done
# Seen from a user namespace the host's root belongs to nobody, and a set-uid program would
# turn the guest's root into nobody.
overlay() {
  local options=lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work
  [ "$(stat -c %u /ro)" = 0 ] || options=nosuid,$options
  mount -t overlay -o $options overlay /new
}

mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /ro &&
  mount -t tmpfs -o mode=755 memory /rw &&
  mkdir /rw/upper /rw/work &&
  overlay &&
  mount -t tmpfs -o mode=755 run /new/run &&
  mkdir /new/run/vm &&
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none share /new/run/vm || {
  echo "guest_boot: cannot mount the host's root"
  reboot -f
}
mount --move /dev /new/dev
mount --move /sys /new/sys
mount --move /proc /new/proc
exec switch_root /new /bin/bash /run/vm/guest_run.sh
