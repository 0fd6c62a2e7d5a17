# SPDX-License-Identifier: LGPL-2.1-or-later
"""The initramfs of a kernel: busybox, what mounts the host's files, and guest_boot.sh."""

import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUSYBOX = Path("/bin/busybox")
# What guest_boot.sh calls.
APPLETS = ("cat", "insmod", "mkdir", "mount", "reboot", "sh", "stat", "switch_root")
# What the guest mounts its root with; Debian's kernels have it as modules.
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng")


def module_files(folder, release):
    """The files of the wanted modules, each after those that it needs."""
    files = []
    for wanted in WANTED:
        listing = subprocess.run(["/sbin/modprobe", "-d", folder / "root", "-S", release,
                                  "--show-depends", wanted],
                                 capture_output=True, text=True, check=False)
        if listing.returncode != 0:
            sys.exit(f"kernel {release} has no module {wanted}: {listing.stderr.strip()}")
        for line in listing.stdout.splitlines():
            word, _, path = line.partition(" ")
            if word == "insmod" and path.strip() not in files:
                files.append(path.strip())
    return [Path(name) for name in files]


def unpacked(path):
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def build(folder, kernel, target):
    with tempfile.TemporaryDirectory(prefix="udpcr-initramfs-") as name:
        root = Path(name)
        (root / "bin").mkdir()
        (root / "modules").mkdir()
        shutil.copy(BUSYBOX, root / "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        shutil.copy(HERE / "guest_boot.sh", root / "init")
        (root / "init").chmod(0o755)
        order = []
        release = (folder / "release").read_text().strip()
        for path in [] if kernel == "debug" else module_files(folder, release):
            order.append(path.name.removesuffix(".xz"))
            (root / "modules" / order[-1]).write_bytes(unpacked(path))
        (root / "modules/order").write_text("\n".join(order) + "\n")
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                                 input=names.encode(), stdout=subprocess.PIPE, check=True).stdout
    new = target.with_name(f"{target.name}.{os.getpid()}")
    new.write_bytes(archive)
    new.rename(target)


def cached(folder, kernel):
    """The initramfs beside the kernel; made anew when what goes into it has changed."""
    if not BUSYBOX.exists():
        sys.exit(f"{BUSYBOX} is not there: apt-get install busybox-static")
    recipe = hashlib.sha256()
    for part in (HERE / "guest_boot.sh", Path(__file__), BUSYBOX, folder / "release"):
        recipe.update(part.read_bytes())
    target = folder / f"initramfs-{recipe.hexdigest()[:16]}"
    if not target.exists():
        for old in folder.glob("initramfs-*"):
            old.unlink(missing_ok=True)
        build(folder, kernel, target)
    return target
