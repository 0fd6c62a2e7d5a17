# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be restored where something is missing: said for that socket, the others come back."""

import re
import shutil
import socket

import fidelity_cells as cells
import fidelity_network as network

GROUP = "address"
ABORTED = 125


def take_port(image):
    """Binds what the socket had."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind((image["local"]["address"], image["local"]["port"]))
    return taken


# Name, the row that is broken, how, how it is mended, what is said.
CASES = [
    ("address_gone", "address/bound/v4",
     lambda _: network.shell("ip addr del 192.0.2.7/32 dev lo"),
     lambda _: network.shell("ip addr add 192.0.2.7/32 dev lo"), "Cannot assign requested address"),
    ("port_taken", "address/bound/v4", take_port, lambda taken: taken.close(), "in use"),
    ("interface_missing", "address/link_local",
     lambda _: network.shell("ip link del left"), lambda _: network.shell(network.LINK),
     "interface|No such device|device"),
]


def one(column, checkpointed, control, case):
    """Complaints about the case, none when all is well."""
    name, row, break_it, mend, said = case
    folder, image, pid, (first, _, _) = checkpointed
    named = cells.Named(image, pid, [])
    broken = named.by_fd[int(first[row]["fds"])]
    state = break_it(broken)
    try:
        answers, log = column.restart(folder, "inherit")
        aborted, _ = column.abort(folder)
    finally:
        mend(state)
    named = cells.Named(image, pid, log)
    place = cells.place(broken["local"])
    if not any(re.search(place, line) and re.search(said, line) for line in named.log):
        yield f"no line names {place} and {said!r}: {named.log}"
    if answers.get(row, {}).get("socket") != "gone":
        yield f"{row} is {answers.get(row)}"
    if aborted != ABORTED:
        yield f"with UDPCR_ON_ERROR=abort the status is {aborted}"
    # Its peer or client may be gone as well; what only lives elsewhere is whole.
    for other in ("address/port_0/v4", "address/v4_mapped", "address/v6only"):
        if answers.get(other) != control[other]:
            yield f"{other}: {cells.differences(control[other], answers.get(other, {}))}"


def run(column, control):
    """Whether all cases hold; prints them."""
    all_well = True
    for case in CASES:
        column.group = GROUP
        checkpointed = column.checkpoint("inherit", f"broken_{case[0]}")
        complaints = list(one(column, checkpointed, control, case))
        shutil.rmtree(checkpointed[0])
        print(f"not ok broken/{case[0]} {'; '.join(complaints)}" if complaints
              else f"ok broken/{case[0]}")
        all_well = all_well and not complaints
    return all_well
