"""Run the tests under the Pythons that Debian's unstable suite has and stable ones lack: 3.14 and 3.15.

Usage: python tests/long/next_pythons.py [--mirror URL] [--python VERSION]… [-- PYTEST OPTION…]

As root, debootstrap fills a folder of the user's cache with a system of its own; tree, virtual environments and tests
live in there, in a mount namespace that ends with them, and nothing of this system is mounted. The next run takes up
what is there. Exit codes: 0 the tests pass under all, 1 some fail, 3 not run, or not under all; it says so, and why.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BASE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ncrawl", "unstable")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PYTHONS = ("3.14", "3.15")
TOOLS = (
    "ca-certificates",
    "gcc",
    "libc6-dev",
    "jq",
    "strace",
    "e2fsprogs",
    "procps",
)  # zstandard has no wheel for 3.15
LONG = ("tests/faults", "tests/jobs/snapshot/test_crash.py", "tests/release", "tests/transport/test_wire.py")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_CERT": CERTIFICATES,
    "SSL_CERT_FILE": CERTIFICATES,
}
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "no_proxy", "CI")
INSIDE = """
mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" && mount -t tmpfs tmpfs "$1/tmp" &&
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts" && cd "$1/work" && shift &&
exec env -i "$@"
"""


class CannotRunError(Exception):
    """There is no such Python to be had here; says why."""


def say(text: str) -> None:
    """Write a line to standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def alone() -> Iterator[None]:
    """Let one run at a time use the folder."""
    BASE.parent.mkdir(parents=True, exist_ok=True)
    with BASE.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def apt(*packages: str) -> list[str]:
    """Return the command that installs packages."""
    return ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "-qq", "--no-install-recommends", *packages]


def told(command: list[str], problem: str) -> str:
    """Run a command and return what it wrote to standard output.

    Raises:
        CannotRunError: it failed: the problem, and its last line.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise CannotRunError(f"{problem}: {last}")
    return done.stdout


def private(*command: str) -> list[str]:
    """Return the command as it runs in a mount namespace of its own: what is mounted there ends with it."""
    return ["unshare", "--mount", "--propagation", "private", *command]


def inside(*command: str) -> list[str]:
    """Return the command as it runs in the folder's system."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment = [f"{name}={value}" for name, value in (ENVIRONMENT | passed_on).items()]
    chroot = shutil.which("chroot", path=os.defpath + ":/usr/sbin:/sbin") or "chroot"
    in_tree = ["sh", "-c", 'cd /work && exec "$@"', "sh", *command]
    return private("sh", "-c", INSIDE, "sh", str(BASE), *environment, chroot, str(BASE), *in_tree)


def check_machine() -> None:
    """Raise CannotRunError unless a system can be put into a folder here; installs debootstrap if that is all."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise CannotRunError("it takes Linux, and root")
    if not (shutil.which("debootstrap") and KEYRING.exists()):
        if shutil.which("apt-get") is None:
            raise CannotRunError("debootstrap is not here")
        told(apt("debootstrap", "debian-archive-keyring"), "debootstrap cannot be installed")
    told(private("true"), "no mount namespace can be made")


def make_base(mirror: str) -> None:
    """Fill the folder if it is empty, and bring its packages up to date."""
    if not (BASE / "etc/debian_version").exists() or not (BASE / "work").exists():
        shutil.rmtree(BASE, ignore_errors=True)
        BASE.mkdir(parents=True)
        options = ["--variant=minbase", "--force-check-gpg", f"--keyring={KEYRING}"]
        told(private("debootstrap", *options, "unstable", str(BASE), mirror), "debootstrap failed")
        (BASE / "work").mkdir()
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(name, BASE / name[1:])
    stale_too = ("-o", "Acquire::Check-Valid-Until=false")  # a mirror may lag; what it has is signed all the same
    told(inside("apt-get", "-qq", *stale_too, "update"), "no list of packages")
    told(inside(*apt(*TOOLS)), "packages cannot be installed")
    if ours := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
        shutil.copy(ours, BASE / CERTIFICATES[1:])


def make_environment(python: str) -> str:
    """Install a Python and the locked packages, unless they are there; return the path of its interpreter.

    Raises:
        CannotRunError: unstable does not have it, or something cannot be installed.
    """
    packages = (f"python{python}-venv", f"python{python}-dev")
    told(inside(*apt(*packages)), f"Debian's unstable suite gives no Python {python}")
    version = told(inside(f"python{python}", "--version"), "it does not run")
    lock = (ROOT / "requirements/dev.lock").read_bytes()
    name = f"/venv-{python}-{hashlib.sha256(version.encode() + lock).hexdigest()[:12]}"
    interpreter, mark = f"{name}/bin/python", BASE / name[1:] / "installed"
    if not mark.exists():
        for old in BASE.glob(f"venv-{python}-*"):
            shutil.rmtree(old)
        told(inside(f"python{python}", "-m", "venv", name), "no virtual environment can be made")
        install = (interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement")
        told(inside(*install, "/work/requirements/dev.lock"), "the locked packages cannot be installed")
        mark.touch()
    editable = (interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    told(inside(*editable), "ncrawl cannot be installed")
    return interpreter


def copy_tree() -> None:
    """Put the tree as it is, but for what git ignores, into the folder."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    shutil.rmtree(BASE / "work")
    for name in filter(None, told(command, "the tree is no clone").split("\0")):
        if (ROOT / name).is_file():
            (BASE / "work" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, BASE / "work" / name)


def run_tests(python: str, options: list[str]) -> bool:
    """Run the tests of `make test` under one Python; whether they pass.

    Raises:
        CannotRunError: they cannot be run.
    """
    interpreter = make_environment(python)
    began_s = time.monotonic()
    workers = ["--numprocesses", "2", "--dist", "worksteal", *(f"--ignore={path}" for path in LONG)]
    command = inside(interpreter, "-m", "pytest", "-p", "no:cacheprovider", *workers, *options)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    counted = re.findall(r"^.*\d+ (?:passed|failed|error).*$", done.stdout, re.MULTILINE)
    if done.returncode or not counted:
        say(done.stdout)
    version = told(inside(interpreter, "--version"), "it does not run").strip()
    said = counted[-1].strip("= ") if counted else f"no test ran, exit code {done.returncode}"
    say(f"{version}: {said}; {time.monotonic() - began_s:.0f} s")
    return done.returncode == 0 and bool(counted)


def run_and_tell(python: str, options: list[str], not_run: set[str]) -> int:
    """Run the tests under one Python, take it out of those not run, and return 1 if some fail; say why it cannot be."""
    try:
        passes = run_tests(python, options)
    except CannotRunError as error:
        say(f"not run: the tests under Python {python}: {error}")
        return 0
    not_run.remove(python)
    return int(not passes)


def main() -> int:
    """Run them under each Python."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="of Debian's packages")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this one; repeatable")
    parser.add_argument("options", nargs="*", help="of pytest, after --")
    chosen = parser.parse_args()
    wanted = chosen.python or list(PYTHONS)
    not_run: set[str] = set(wanted)
    code = 0
    try:
        check_machine()
        with alone():
            make_base(chosen.mirror)
            copy_tree()
            for python in wanted:
                code |= run_and_tell(python, chosen.options, not_run)
    except CannotRunError as error:
        say(f"not run: the tests under Python {' and '.join(wanted)}: {error}")
    return code or (3 if not_run else 0)


if __name__ == "__main__":
    sys.exit(main())
