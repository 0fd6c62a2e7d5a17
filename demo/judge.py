#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what the demo's clients sent with what the server read and they got back.

usage: judge.py echo  SERVER_LOG ADDRESSES REPLIES
       judge.py user  SERVER_LOG ADDRESSES REPLIES   (senders are not known)
       judge.py dns   ANSWERS
"""

import sys

EACH = 20
FAMILY = {"alice": "IPv4", "bob": "IPv4", "carol": "IPv6"}
QUERIES = 10


def fail(sentence):
    sys.exit(f"   WRONG: {sentence}")


def expect(what, found, wanted):
    if found != wanted:
        place = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b),
                     min(len(found), len(wanted)))
        fail(f"{what}: {len(found)} instead of {len(wanted)}; the first difference is at "
             f"{place + 1}: {found[place:place + 1]} instead of {wanted[place:place + 1]}")


def echo(log, addresses, replies, senders_known):
    who = {name: (address, port) for name, address, port in
           (line.split() for line in open(addresses))}
    read = [line.split() for line in open(log) if line != "ready\n"]
    if len(read) != EACH * len(who):
        fail(f"the server read {len(read)} datagrams instead of {EACH * len(who)}")
    for family in ("IPv4", "IPv6"):
        names = [name for name in who if FAMILY[name] == family]
        sent = [f"{name}-{number}" for number in range(1, EACH + 1) for name in names]
        got = [line for line in read if line[0] == family]
        expect(f"order on the {family} socket", [line[3] for line in got], sent)
        if senders_known:
            expect(f"senders on the {family} socket", [(line[1], line[2]) for line in got],
                   [who[payload.split("-")[0]] for payload in sent])
    lines = open(replies).read().splitlines()
    for name in who if senders_known else ():
        expect(f"replies to {name}", [line for line in lines if line.startswith(name + " ")],
               [f"{name} from server: reply to {name}-{n}" for n in range(1, EACH + 1)])
    print(f"   all {len(read)} datagrams read once and in order;", end=" ")
    if senders_known:
        print("each with its own sender's address; every reply reached its sender")
    else:
        print("their true senders,\n"
              "   who hold their ports on this machine, were not kept, as udpcr had said")


def dns(answers):
    expect("answers", sorted(open(answers).read().splitlines()),
           sorted(f"client {n} asked {n} got {n}: 192.0.2.7" for n in range(1, QUERIES + 1)))
    print(f"   all {QUERIES} waiting queries answered, each once, to the client that asked")


if sys.argv[1] == "dns":
    dns(sys.argv[2])
else:
    echo(*sys.argv[2:5], senders_known=sys.argv[1] == "echo")
