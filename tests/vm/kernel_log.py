# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is wrong with a guest's kernel log, taint flags and kmemleak's report."""

import re

# Lockdep and KASAN begin their reports with WARNING: or BUG:, some others do not.
COMPLAINT = re.compile(
    r"WARNING:|BUG:|\bOops\b|KASAN:|UBSAN:|general protection fault|Kernel panic|refcount_t:"
    r"|possible circular locking|possible recursive locking|inconsistent lock state"
    r"|possible irq lock inversion|suspicious RCU usage|held lock freed|bad unlock balance"
    r"|scheduling while atomic|sleeping function called|corruption[.:]|blocked for more than"
    r"|unregister_netdevice: waiting for|kmemleak: .*(disabled|Cannot allocate)")
CONTEXT = (3, 40)  # lines before and after
# That a module from elsewhere is loaded, and that it is unsigned.
EXPECTED_TAINT = 1 << 12 | 1 << 13
# The debug kernel's boot log has these lines when its checkers are really on.
CHECKERS = {"KASAN": "kasan: KernelAddressSanitizer initialized",
            "lockdep": "Lock dependency validator:",
            "kmemleak": "kmemleak: Kernel memory leak detector initialized"}


def complaints(log):
    """The log's lines around its first complaint, or nothing."""
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if COMPLAINT.search(line):
            before, after = CONTEXT
            return "\n".join("  " + line for line in lines[max(0, number - before):number + after])
    return ""


def taint(flags):
    """The numbers of the taint bits that ought not to be set (see the kernel's tainted-kernels)."""
    wrong = flags & ~EXPECTED_TAINT
    return ", ".join(f"bit {bit}" for bit in range(64) if wrong >> bit & 1)


def missing_checkers(log):
    return ", ".join(name for name, line in CHECKERS.items() if line not in log)


def leaks(report, symbols):
    """kmemleak's objects that udpcr's code allocated; the module is unloaded by then.

    symbols are its lines of /proc/kallsyms from before."""
    fields = (line.split() for line in symbols.splitlines())
    table = sorted((int(address, 16), name) for address, kind, name, _ in fields if kind in "tT")
    ours = []
    for record in re.split(r"^(?=unreferenced object)", report, flags=re.MULTILINE):
        text = re.sub(r"(?<=\] )0x[0-9a-f]+", lambda match: named(int(match[0], 16), table), record)
        # What module_init or module_exit allocated: the first's own code is gone even earlier.
        if re.search(r"\[udpcr\]|do_init_module|sys_delete_module", text):
            ours.append(text)
    return "".join(ours)


def named(address, table):
    """FUNCTION+OFFSET [udpcr], or the address when it is none of the module's."""
    below = [entry for entry in table if entry[0] <= address]
    if not below or address > table[-1][0] + (1 << 16):
        return hex(address)
    return f"{below[-1][1]}+{address - below[-1][0]:#x} [udpcr]"
