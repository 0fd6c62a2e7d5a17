# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Process 1 of the guest on the host's root.  run.py has laid into /run/vm:
#
#   settings   variables: directory, modules, module, account, debug
#   command    the script to run
#
# and finds there afterwards: started, output, status, symbols, leaks, kmsg,
# taint, trouble (a sentence), and at the very end word, without which the run
# has failed.
set -u
vm=/run/vm
source $vm/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp

give_up() {
  echo "$*" > $vm/trouble
  finish
}

finish() {
  dmesg > $vm/kmsg
  cat /proc/sys/kernel/tainted > $vm/taint
  [ -e $vm/trouble ] || echo "the guest has ended in order" > $vm/word
  sync
  busybox reboot -f
}

# end_all SPARED: ends every process but this one, SPARED and the kernel's, and
# waits until they are gone.
end_all() {
  local entry pid left=1
  while [ $left = 1 ]; do
    left=0
    for entry in /proc/[0-9]*; do
      pid=${entry#/proc/}
      if [ "$pid" != 1 ] && [ "$pid" != "$1" ] && [ -e "$entry/exe" ]; then
        kill -KILL "$pid" 2> /dev/null
        left=1
      fi
    done
  done
}

# A leak is one when two looks at memory, made when it is old enough, find no
# reference; by then the module is gone, so its symbols are kept.
look_for_leaks() {
  sleep 6
  echo scan > /sys/kernel/debug/kmemleak && echo scan > /sys/kernel/debug/kmemleak &&
    cat /sys/kernel/debug/kmemleak > $vm/leaks
}

dmesg -n 5
mkdir -p -m 755 /dev/pts /dev/shm /run/lock
mkdir -m 1777 $TMPDIR
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
if [ -n "$modules" ]; then
  mkdir -p /lib/modules && mount --bind "$modules" /lib/modules
fi
hostname vm
ip link set lo up
cd "$directory" || give_up "the guest does not see $directory"

if [ -n "$module" ]; then
  insmod "$module" || give_up "insmod $module failed in the guest"
  grep '\[udpcr\]' /proc/kallsyms > $vm/symbols
fi

# Through a pipe: what the command writes reaches the host in order even when
# it opens /dev/stdout again.
mkfifo /run/output
cat /run/output > $vm/output &
cat=$!
as=()
if [ -n "$account" ]; then
  HOME=$TMPDIR
  as=(setpriv --reuid "$account" --regid "$account" --clear-groups)
fi
exec 3> /run/output
touch $vm/started
"${as[@]}" /bin/bash $vm/command >&3 2>&1 3>&- < /dev/null
status=$?
exec 3>&-
end_all "$cat"
wait "$cat"
echo "$status" > $vm/status

if [ -n "$module" ]; then
  rmmod udpcr || give_up "rmmod udpcr failed in the guest after the command"
fi
if [ -n "$debug" ]; then
  look_for_leaks || give_up "kmemleak of the debug kernel does not answer"
fi
finish
