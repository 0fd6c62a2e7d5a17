#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The main job in one command: programs that know nothing of udpcr are killed
# and started again, and what waited in their sockets is still read.
#
# usage: demo/run.sh [userspace] [module]    installs and builds what is missing; checks itself
#
#   userspace   the built-in engine, on this machine
#   module      the kernel module, in a virtual machine with Debian's kernel
set -u
cd "$(dirname "$0")/.." || exit 1
source tests/lib/packages.sh

# Inside: what this script starts itself again for.
if [[ -z ${UDPCR_DEMO_INSIDE:-} ]]; then
  (($#)) || set -- userspace module
  need_packages "${build_packages[@]}" "${demo_packages[@]}" || exit 1
  echo "building preset release"
  build_preset release || exit 1
  for engine; do
    echo
    case $engine in
      userspace)
        # Network and process namespaces of its own, where that is allowed.
        private=(unshare --net --mount --pid --fork --kill-child --mount-proc)
        ((EUID == 0)) || private+=(--user --map-root-user)
        inside=userspace
        if ! "${private[@]}" true 2>/dev/null; then
          echo "no namespaces here: running beside the machine's own sockets"
          private=()
          inside=crowded
        fi
        echo "==== the built-in userspace engine, on this machine"
        "${private[@]}" env UDPCR_DEMO_INSIDE="$inside" UDPCR_DEMO_USER="$(id -un)" "$0" || exit
        ;;
      module)
        need_packages "${vm_packages[@]}" && tests/vm/build_module.sh 6.1 || exit 1
        echo "==== the kernel module, on Linux 6.1 in a virtual machine"
        tests/vm/run.py 6.1 -- env UDPCR_DEMO_INSIDE=module demo/run.sh || exit
        ;;
      *)
        echo "usage: demo/run.sh [userspace] [module]" >&2
        exit 2
        ;;
    esac
  done
  exit
fi
# Two machines where namespaces are allowed: the senders are in a network of
# their own, behind a virtual cable.  Else everybody is on loopback.
places=(127.0.0.1 ::1 127.0.0.2 127.0.0.3 ::1)
elsewhere=()
unprivileged=none
pids=()
inside=$UDPCR_DEMO_INSIDE
unset UDPCR_DEMO_INSIDE
if [[ $inside != crowded ]]; then
  unshare --net sleep infinity & disown
  pids+=("$!")
  elsewhere=(nsenter "--net=/proc/$!/ns/net")
  until [[ $(readlink "/proc/$!/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.02; done
  places=(10.77.0.1 fd77::1 10.77.0.2 10.77.0.3 fd77::2)
  ip link set lo up && ip link add cable type veth peer name senders netns "$!" &&
    ip address add 10.77.0.1/24 dev cable && ip address add fd77::1/64 dev cable nodad &&
    "${elsewhere[@]}" ip address add 10.77.0.2/24 dev senders &&
    "${elsewhere[@]}" ip address add 10.77.0.3/24 dev senders &&
    "${elsewhere[@]}" ip address add fd77::2/64 dev senders nodad &&
    "${elsewhere[@]}" ip link set senders up && ip link set cable up || {
    echo "the two networks cannot be set up: see above" >&2
    exit 1
  }
  unprivileged=user
fi
# The module gives every sender back to everybody.
[[ $inside != module ]] || unprivileged=echo

demo=$PWD/demo
work=$(mktemp -d)
chmod 755 "$work"
# Both files where any user can read them, in the neighbourhood that they have
# when installed.
mkdir "$work/bin" "$work/lib"
cp build/release/bin/udpcr "$work/bin/" && cp build/release/lib/libudpcr_shim.so "$work/lib/" || exit 1
cp demo/echo_server.py "$work/"
udpcr=$work/bin/udpcr
shim=$work/lib/libudpcr_shim.so
finish() {
  ((${#pids[@]})) && kill -9 "${pids[@]}" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

say() { printf '   %s\n' "$*"; }
fail() {
  printf '   WRONG: %s\n' "$*" >&2
  local log
  for log in "$work"/part/*.err; do
    [[ -s $log ]] && sed "s|^|   ${log##*/}: |" "$log" >&2
  done
  exit 1
}
# await WHAT SECONDS COMMAND...: until the command succeeds.
await() {
  local what=$1 tries=$(($2 * 20))
  shift 2
  until "$@"; do
    ((tries-- > 0)) || fail "$what did not happen in time"
    sleep 0.05
  done
}
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps_state "$1") == Z ]]; }
ps_state() { sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null; }
new_part() {
  echo
  echo "== $1"
  rm -rf "$work/part"
  mkdir -m 777 "$work/part"
  cd "$work/part" || exit 1
}
# saved PID: `udpcr checkpoint`, whose status 3 says that some things were named as not kept.
saved() {
  local status
  "$udpcr" checkpoint "$1" >saved 2>&1
  status=$?
  sed 's/^/   | /' saved
  ((status == 0 || status == ${2:-0})) || fail "udpcr checkpoint $1 ended with status $status"
}

# start_echo_server SAYS COMMAND...: started by COMMAND; leaves its pid in $server.
start_echo_server() {
  local says=$1
  shift
  "$@" /usr/bin/python3 "$work/echo_server.py" 7000 log gate 2>"$says" &
  server=$!
  pids+=("$server")
}
# Leaves the senders' pid in $senders.
send_60_datagrams() {
  "${elsewhere[@]}" /usr/bin/python3 "$demo/senders.py" 7000 addresses replies "${places[@]}" \
    2>senders.err &
  senders=$!
  pids+=("$senders")
  await "the sending" 10 test -e addresses
}

# echo_part KIND COMMAND...: kill and restart of the echo server, started by COMMAND.
echo_part() {
  local kind=$1 server senders
  shift
  start_echo_server first.err "$@"
  await "the server's start" 10 grep -qs ready log
  say "server $server is busy; 3 senders send it 60 datagrams and wait"
  send_60_datagrams

  say "kill -USR2 $server; udpcr checkpoint $server"
  kill -USR2 "$server"
  if [[ $kind != echo ]]; then saved "$server" 3; else saved "$server"; fi
  say "udpcr show"
  "$udpcr" show ./*.udpcr >show.out 2>show.err || fail "udpcr show: $(<show.err)"
  sed 's/^/   | /' show.out
  say "kill -9 $server"
  kill -9 "$server"
  wait "$server" 2>/dev/null
  [[ $(wc -l <log) == 1 ]] || fail "the first server has read something"

  touch gate
  start_echo_server second.err "$@"
  say "the same command again: server $server"
  has_read() { [[ $(wc -l 2>/dev/null <log) -ge 61 ]]; }
  await "the reading of 60 datagrams" 20 has_read
  if [[ $kind != echo ]]; then
    sleep 1
    touch replies.stop
    grep 'not restored.*source' second.err | sed 's/^/   | /'
    grep -q 'not restored.*source' second.err || fail "nothing was said of the senders"
  fi
  await "the senders' end" 70 gone "$senders"
  /usr/bin/python3 "$demo/judge.py" "$kind" log addresses replies || fail "see above"
  kill -9 "$server"
  wait "$server" 2>/dev/null
}

# The datagrams come while there is no server at all.
parked_part() {
  local server senders
  start_echo_server first.err parked_run
  await "the server's start" 10 grep -qs ready log
  say "server $server runs with UDPCR_PARK=always; kill -9 $server"
  kill -9 "$server"
  wait "$server" 2>/dev/null
  say "3 senders send 60 datagrams, to no server"
  send_60_datagrams
  say "udpcr list"
  "$udpcr" list 2>list.err | grep -e STATE -e parked >listed || fail "udpcr list shows nothing parked"
  sed 's/^/   | /' listed
  touch gate
  start_echo_server second.err parked_run
  say "the same command again: server $server"
  await "the senders' end" 70 gone "$senders"
  /usr/bin/python3 "$demo/judge.py" echo log addresses replies || fail "see above"
  kill -9 "$server"
  wait "$server" 2>/dev/null
  "$udpcr" drop $("$udpcr" list --json 2>list.err |
    /usr/bin/python3 -c 'import json, sys
print(*(one["inode"] for one in json.load(sys.stdin)["sockets"] if one["park"]))') >dropped ||
    fail "udpcr drop: see above"
}

dns_part() {
  local server clients
  local dnsmasq=(dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --no-resolv --no-hosts
                 --port=5300 --listen-address=127.0.0.1,::1 --bind-interfaces --user="$(id -un)"
                 --address=/demo.example/192.0.2.7 --log-facility=-)
  LD_PRELOAD=$shim UDPCR_AFTER=exit "${dnsmasq[@]}" 2>first.err &
  server=$!
  pids+=("$server")
  await "dnsmasq's start" 10 grep -q 'started' first.err
  kill -STOP "$server"
  await "dnsmasq's stop" 5 eval '[[ $(ps_state "$server") == T ]]'
  /usr/bin/python3 "$demo/dns_clients.py" 5300 asked answers 2>clients.err &
  clients=$!
  pids+=("$clients")
  await "the asking" 10 test -e asked
  say "dnsmasq $server is stopped, 10 clients wait for their answers"
  say "kill -USR2 $server (UDPCR_AFTER=exit: the next start takes over), kill -CONT $server"
  kill -USR2 "$server"
  kill -CONT "$server"
  await "dnsmasq's end" 15 gone "$server"
  kill -9 "$server" 2>/dev/null
  "$udpcr" show ./*.udpcr >show.out 2>show.err || fail "udpcr show: $(<show.err)"
  sed 's/^/   | /' show.out
  LD_PRELOAD=$shim UDPCR_AFTER=exit "${dnsmasq[@]}" 2>second.err &
  server=$!
  pids+=("$server")
  say "the same command again: dnsmasq $server"
  await "the answers" 40 test -e answers
  /usr/bin/python3 "$demo/judge.py" dns answers || fail "see above"
  kill -9 "$server"
  wait "$server" 2>/dev/null
}

preload() { LD_PRELOAD=$shim exec "$@"; }
run_it() { exec "$udpcr" run -- "$@"; }
parked_run() { exec "$udpcr" run --park always -- "$@"; }
# Nobody's rights: another user, or, where there is no other, no capability at all.
as_nobody() {
  if [[ ${UDPCR_DEMO_USER:-root} == root ]]; then
    exec setpriv --reuid=nobody --regid=nogroup --clear-groups \
      env LD_PRELOAD="$shim" "$@"
  fi
  exec setpriv --bounding-set=-all --inh-caps=-all env LD_PRELOAD="$shim" "$@"
}

if [[ $inside == module ]]; then
  "$udpcr" check | sed -n '/^kernel\|^engine/s/^/   /p'
fi

new_part "1. a python server, unmodified: LD_PRELOAD=libudpcr_shim.so"
echo_part echo preload

new_part "2. dnsmasq, unmodified: queries that came while it was stopped"
dns_part

new_part "3. the same as 1, started by udpcr run"
echo_part echo run_it

new_part "4. the same as 1 as an ordinary user, without any privilege"
echo_part "$unprivileged" as_nobody

new_part "5. no server at all for a while: UDPCR_PARK=always, kill -9"
parked_part

echo
echo "all five parts did what they should"
