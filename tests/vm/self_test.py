#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: self_test.py [KERNEL]: the harness must see what goes wrong in a guest."""

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).resolve().parent / "run.py"

# Name, options, what the guest does, the status, what is said or relayed.
CASES = [
    ("good", [], "setsid sleep 1000 & echo before; echo after > /dev/stdout", 0,
     "before\nafter\nvm {kernel}: the command began"),
    ("failing_command", [], "exit 3", 3, "vm {kernel}: the command began"),
    ("user", ["--user", "--no-module"], "id -u; ! rmmod overlay 2> /dev/null", 0, "65534\n"),
    ("warning", [], "echo 'WARNING: made up' > /dev/kmsg", 1,
     "the guest's kernel complains"),
    ("crash", [], "echo c > /proc/sysrq-trigger; sleep 60", 1, "the guest's kernel complains"),
    ("no_word", [], "echo b > /proc/sysrq-trigger; sleep 60", 1,
     "the guest ended without its last word, while the command ran"),
    ("stuck_module", [], "ln -sf /bin/false /sbin/rmmod", 1,
     "rmmod udpcr failed in the guest after the command"),
    ("too_long", ["--seconds", "25"], "echo started; sleep 1000", 1,
     "the guest was not done after 25 s"),
]


def main():
    kernel = sys.argv[1] if len(sys.argv) > 1 else "6.12"
    for name, options, script, status, words in CASES:
        result = subprocess.run([RUN, kernel, *options, "--", "bash", "-c", script],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace")
        words = words.format(kernel=kernel)
        if result.returncode == status and words in result.stdout:
            print(f"ok {name}", flush=True)
        else:
            print(f"not ok {name} status {result.returncode} instead of {status},"
                  f" or {words!r} not said")
            print("".join(f"  {line}\n" for line in result.stdout.splitlines()[-60:]), flush=True)
    print("done")


if __name__ == "__main__":
    main()
