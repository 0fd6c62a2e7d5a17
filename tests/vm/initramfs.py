# SPDX-License-Identifier: LGPL-2.1-or-later
"""The initramfs of a kernel: busybox, what mounts the host's files, and the first process.

With systemd it is the guest's root as well: what systemd_root.sh has made, and behind it this."""

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
# What the first process calls.
APPLETS = ("cat", "insmod", "mkdir", "mount", "reboot", "rmmod", "sh", "stat", "switch_root")
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


def archive(folder, kernel, boot, extra):
    """All lies in /vm but the first process and `extra`, a folder whose files the root gets."""
    with tempfile.TemporaryDirectory(prefix="udpcr-initramfs-") as name:
        root = Path(name)
        if extra:
            shutil.copytree(extra, root, dirs_exist_ok=True)
        (root / "vm/bin").mkdir(parents=True)
        (root / "vm/modules").mkdir()
        shutil.copy(BUSYBOX, root / "vm/bin/busybox")
        for applet in APPLETS:
            (root / "vm/bin" / applet).symlink_to("busybox")
        shutil.copy(boot, root / "init")
        (root / "init").chmod(0o755)
        order = []
        release = (folder / "release").read_text().strip()
        for path in [] if kernel == "debug" else module_files(folder, release):
            order.append(path.name.removesuffix(".xz"))
            (root / "vm/modules" / order[-1]).write_bytes(unpacked(path))
        (root / "vm/modules/order").write_text("\n".join(order) + "\n")
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root,
                              input=names.encode(), stdout=subprocess.PIPE, check=True).stdout


def build(folder, kernel, parts, target):
    boot, system, extra = parts
    new = target.with_name(f"{target.name}.{os.getpid()}")
    with open(new, "wb") as file:
        if system:
            with open(system, "rb") as root:
                shutil.copyfileobj(root, file)
        file.write(archive(folder, kernel, boot, extra))
    new.rename(target)


def cached(folder, kernel, systemd=None):
    """The initramfs beside the kernel; made anew when what goes into it has changed.

    `systemd`: the root that systemd_root.sh has made."""
    if not BUSYBOX.exists():
        sys.exit(f"{BUSYBOX} is not there: apt-get install busybox-static")
    boot = HERE / ("systemd_boot.sh" if systemd else "guest_boot.sh")
    extra = HERE / "systemd" if systemd else None
    recipe = hashlib.sha256()
    for part in (boot, Path(__file__), BUSYBOX, folder / "release",
                 *([systemd.with_name("recipe"), *sorted(extra.rglob("*.*"))] if systemd else [])):
        recipe.update(part.read_bytes())
    kind = "systemd" if systemd else "initramfs"
    target = folder / f"{kind}-{recipe.hexdigest()[:16]}"
    if not target.exists():
        for old in folder.glob(f"{kind}-*"):
            old.unlink(missing_ok=True)
        build(folder, kernel, (boot, systemd, extra), target)
    return target
