# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Process 1 of the guest on the host's root, or a service of a guest that runs
# systemd.  run.py has laid into /run/vm:
#
#   settings   variables: source, directory, modules, module, account, debug, systemd
#   command    the script to run
#
# and finds there afterwards: started, output, status, symbols, leaks, kmsg,
# taint, trouble (a sentence), and at the very end word, without which the run
# has failed.
set -u
vm=/run/vm
source $vm/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/vm/bin HOME=/root TMPDIR=/run/tmp

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

note_symbols() {
  grep '\[udpcr\]' /proc/kallsyms >> $vm/symbols
}

# A leak is one when two looks at memory, made when it is old enough, find no
# reference; by then the module is gone, so its symbols are kept.
look_for_leaks() {
  sleep 6
  echo scan > /sys/kernel/debug/kmemleak && echo scan > /sys/kernel/debug/kmemleak &&
    cat /sys/kernel/debug/kmemleak > $vm/leaks
}

# The guest's own file systems and links; systemd has mounted them.
furnish() {
  [ -z "$systemd" ] || { mkdir -m 1777 $TMPDIR; return; }
  mkdir -p -m 755 /dev/pts /dev/shm /run/lock /sys/fs/cgroup /lib/modules &&
    mkdir -m 1777 $TMPDIR &&
    mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts &&
    mount -t tmpfs -o mode=1777 shm /dev/shm &&
    mount -t debugfs debugfs /sys/kernel/debug &&
    mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
    ln -s /proc/self/fd /dev/fd &&
    ln -s fd/0 /dev/stdin &&
    ln -s fd/1 /dev/stdout &&
    ln -s fd/2 /dev/stderr &&
    echo vm > /proc/sys/kernel/hostname &&
    { [ -z "$modules" ] || mount --bind "$modules" /lib/modules; }
}

dmesg -n 5
furnish || give_up "the guest could not mount its own file systems"
# Only the scans at the end: each takes the guest seconds.
[ -z "$debug" ] || echo scan=off > /sys/kernel/debug/kmemleak || give_up "the debug kernel has no kmemleak"
# In a root of its own.
[ -z "$systemd" ] || mkdir -p "$directory"
[ -d "$directory" ] || give_up "the guest does not see $directory"

if [ -n "$module" ]; then
  insmod "$module" || give_up "insmod $module failed in the guest"
  note_symbols
fi

# Through a pipe: what the command writes reaches the host in order even when
# it opens /dev/stdout again.  In a process namespace of its own: what it leaves
# behind ends with it.  With systemd it talks to that one instead.
mkfifo /run/output
cat /run/output > $vm/output &
cat=$!
as=()
if [ -n "$account" ]; then
  HOME=$TMPDIR
  as=(setpriv --reuid "$account" --regid "$account" --clear-groups)
fi
apart=(unshare --mount --pid --fork --kill-child --mount-proc
       "$source/tests/lib/in_namespace.sh" "$directory")
if [ -n "$systemd" ]; then
  apart=()
  cd "$directory" && busybox ip link set lo up
fi
touch $vm/started
"${apart[@]}" "${as[@]}" /bin/bash $vm/command > /run/output 2>&1 < /dev/null
status=$?
wait "$cat"
echo "$status" > $vm/status

# The command may have unloaded it, or loaded it by itself.
if [ -e /sys/module/udpcr ]; then
  note_symbols
  rmmod udpcr || give_up "rmmod udpcr failed in the guest after the command"
fi
if [ -n "$debug" ]; then
  look_for_leaks || give_up "kmemleak of the debug kernel does not answer"
fi
finish
