# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network of the fidelity matrix, and the packet socket at its far end.

  lo: 127.0.0.1, ::1, 192.0.2.7, 2001:db8::7
  left (10.9.0.1/24, fd00:9::1/64, fe80::1/64) ---- right, in the namespace `wire`

Nobody lives in `wire`; 10.9.0.2 and its likes are neighbours by decree.
"""

import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
LEFT, RIGHT = "02:00:00:00:09:01", "02:00:00:00:09:02"
NEIGHBOURS = [*(f"10.9.0.{n}" for n in range(2, 10)), *(f"fd00:9::{n}" for n in range(2, 10)),
              "fe80::2"]
# Only this mount namespace sees the names of network namespaces.
SETUP = f"""
# Where it is a module: a socket's IPsec policy.
modprobe -q xfrm_user || true
set -e
mkdir -p /run/netns
mount -t tmpfs none /run/netns
ip netns add wire
ip netns add other
ip -n other link set lo up
ip link set lo up
ip addr add 192.0.2.7/32 dev lo
ip addr add 2001:db8::7/128 dev lo nodad
"""
LINK = f"""
set -e
ip link add left address {LEFT} type veth peer name right address {RIGHT} netns wire
echo 0 > /proc/sys/net/ipv6/conf/left/accept_dad
ip addr add 10.9.0.1/24 brd + dev left
ip addr add fd00:9::1/64 dev left nodad
ip addr add fe80::1/64 dev left nodad
ip netns exec wire sh -c 'echo 1 > /proc/sys/net/ipv6/conf/right/disable_ipv6'
ip -n wire link set right up
ip link set left up
""" + "".join(f"ip neigh replace {address} lladdr {RIGHT} nud permanent dev left\n"
              for address in NEIGHBOURS) + """
# When the link is up, IPv6 gets its routes in the background.
n=0
until ip -6 route show table local type multicast | grep -q 'dev left'; do
  n=$((n + 1)); [ $n -lt 500 ] || { echo "no IPv6 multicast route" >&2; exit 1; }
  sleep 0.02
done
"""


def shell(script):
    made = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    if made.returncode != 0:
        raise RuntimeError(f"the test's network cannot be built: {made.stderr.strip()}")


def build():
    shell(SETUP)
    shell(LINK)


def build_link_again():
    """The same link with another interface number."""
    shell("ip link del left; ip link add spare type veth peer name spare2")
    shell(LINK)


def wire():
    """A packet socket in `wire`, bound to the link's far end while that is there."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        fd = os.open(path, os.O_RDONLY)
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
        os.close(fd)

    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter("/run/netns/wire")
    try:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        if "right" in (name for _, name in socket.if_nameindex()):
            packets.bind(("right", ETH_P_ALL))
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
    return packets
