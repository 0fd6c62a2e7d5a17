# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipe of docs/container.md, by its own words, with Podman."""

import re
import subprocess
from pathlib import Path

from guest import Server, check, equal, run, udp_line, until

RECIPE = Path(__file__).resolve().parents[2] / "docs/container.md"
# This guest's root is no file system of its own, and has no session bus.
CONTAINERS = """
[engine]
no_pivot_root = true
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
VOLUMES = Path("/var/lib/containers/storage/volumes")
# Of the program alone; the rest is the recipe's.
MORE = ["--detach", "--network", "host", "-e", "UDPCR_PARK=always", "-e", "UDPCR_AFTER=exit",
        "-e", "UDPCR_LOG=debug"]


def docker_run():
    """The document's command, in words."""
    text = RECIPE.read_text()
    block = re.search(r"^    (docker run (?:.*\\\n)*.*)$", text, re.MULTILINE).group(1)
    words = block.replace("\\\n", " ").split()
    equal(words[-1], "IMAGE", "last word of the recipe")
    return words[2:-1]


def make_image(name, program):
    """A container's image with the program and the C library."""
    box = Path("/var/lib/box")
    for place in ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"):
        run("install", "-D", place, box / place[1:])
    run("install", program, box)
    run("tar", "-C", box, "-cf", "/var/lib/box.tar", ".")
    run("podman", "import", "--quiet", "/var/lib/box.tar", name)


class Container(Server):
    """Its program is process 1 there."""

    def __init__(self, port):
        super().__init__("container", port, VOLUMES / "app/_data")

    def prepare(self):
        configured = Path("/etc/containers")
        configured.mkdir(exist_ok=True)
        (configured / "containers.conf").write_text(CONTAINERS)
        (configured / "storage.conf").write_text(STORAGE)
        run("systemctl", "start", "udpcr-keeper")
        # Where the recipe has it.
        run("install", "/usr/local/lib/libudpcr_shim.so", "/usr/lib")
        make_image("flow", "/usr/local/bin/flow")

    def start(self):
        """Each start is a container of its own."""
        run("podman", "run", "--name", self.name, *MORE, *docker_run(), "flow", "/flow", "serve",
            self.port, "/data/slots", "/data/report")
        until("the container's socket", lambda: udp_line(self.port))

    def state(self, field):
        return run("podman", "inspect", "-f", f"{{{{.State.{field}}}}}", self.name).strip()

    def ended(self, status):
        until("the container's end", lambda: self.state("Status") == "exited")
        equal(self.state("ExitCode"), str(status), "exit status of the container")
        run("podman", "rm", self.name)

    def restart(self):
        """A checkpoint by the signal; UDPCR_AFTER=exit ends it."""
        run("podman", "kill", "-s", "USR2", self.name)
        self.ended(0)
        check((self.work / "app.udpcr").exists(), "no image was written")
        self.start()

    def crash(self):
        run("podman", "kill", self.name)
        self.ended(128 + 9)
        self.start()

    def checkpoint(self):
        """By the host's number of it."""
        run("udpcr", "checkpoint", self.state("Pid"))
        self.ended(0)

    def close(self):
        run("podman", "kill", "-s", "USR1", self.name)
        self.ended(0)

    def words(self):
        told = [["podman", "logs", self.name],
                ["journalctl", "-b", "--no-pager", "-u", "udpcr-keeper"]]
        return [line for command in told
                for line in subprocess.run(command, stdout=subprocess.PIPE, text=True,
                                           stderr=subprocess.STDOUT).stdout.splitlines()]


def podman(container):
    container.prepare()
    container.conserve(1)
    equal(container.said("are back"), 1, "containers that have taken the socket")
    container.checkpoint()
    container.start()
    container.await_starts(4)
    equal(container.said("are back"), 1, "containers that have taken the socket")
    container.close()
    run("systemctl", "stop", "udpcr-keeper")
