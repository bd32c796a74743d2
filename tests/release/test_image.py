"""The container's image: built of Debian's packages, run as a cluster runs it. As root, with buildah and mmdebstrap."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.raw_server import RawServer

from crawler.emulation import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("image")]  # built once

ROOT = Path(__file__).parents[2]
NEEDED = ("buildah", "mmdebstrap", "unshare", "nsenter", "setpriv", "mount")
SETUP = """
set -e
mount --bind "$1" "$1"; mount --bind "$2" "$1/mnt"; mount -o remount,bind,ro "$1"
mount -t tmpfs tmpfs "$1/tmp"; mount -t proc proc "$1/proc"
rights="--reuid=$3 --regid=$4 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
root=$1; shift 4
exec chroot "$root" /usr/bin/setpriv $rights /usr/bin/env -i "$@"
"""
ORPHAN = "import os, sys; os.fork() and os._exit(0); print(os.getpid()); sys.stdout.close(); os.close(1)"


@dataclass(frozen=True)
class Image:
    """An image that was unpacked.

    Attributes:
        root: its files.
        config: what it says of how it is run.
        folder: with what was built: the archive, and its bill of materials.
    """

    root: Path
    config: dict[str, Any]
    folder: Path

    def command(self, data: Path, *arguments: str, **environ: str) -> list[str]:
        """Return the command that runs it: process 1, read-only, without rights; data is mounted on /mnt."""
        user, _, group = self.config["User"].partition(":")
        environment = [*self.config["Env"], *(f"{name}={value}" for name, value in environ.items())]
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        program = [*environment, *self.config["Entrypoint"], *arguments]
        return [*isolated, "sh", "-c", SETUP, "sh", str(self.root), str(data), user, group, *program]


def unpack(archive: Path, root: Path) -> dict[str, Any]:
    """Unpack an OCI archive, layer by layer, and return the image's configuration."""
    with tarfile.open(archive) as packed:
        packed.extractall(root.with_suffix(".oci"), filter="fully_trusted")

    def blob(descriptor: dict[str, Any]) -> Path:
        return root.with_suffix(".oci").joinpath("blobs", *descriptor["digest"].split(":"))

    (entry,) = json.loads((root.with_suffix(".oci") / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(entry).read_bytes())
    root.mkdir()
    for layer in manifest["layers"]:
        subprocess.run(["tar", "--extract", "--file", blob(layer), "--directory", root], check=True)
        for gone in list(root.rglob(".wh.*")):
            shutil.rmtree(gone.with_name(gone.name[4:]), ignore_errors=True)
            gone.with_name(gone.name[4:]).unlink(missing_ok=True)
            gone.unlink()
    config: dict[str, Any] = json.loads(blob(manifest["config"]).read_bytes())["config"]
    return config


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this tree, built once."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("not run: the image is built on Linux, and as root")
    if lacking := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not run: {', '.join(lacking)} is not here")
    folder = tmp_path_factory.mktemp("image")
    build = [sys.executable, "release/image.py", "--bootstrap", "trixie", "--folder", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    root = folder / "root"
    config = unpack(Path(done.stdout.splitlines()[-1]), root)
    yield Image(root, config, folder)
    shutil.rmtree(root)
    shutil.rmtree(root.with_suffix(".oci"))


@pytest.fixture
def data(tmp_path: Path, image: Image) -> Path:
    """A folder that the image's user may write, as a volume is."""
    folder = tmp_path / "volume"
    folder.mkdir()
    os.chown(folder, *map(int, image.config["User"].split(":")))
    return folder


async def ended(command: list[str]) -> tuple[int, str]:
    """Run a command to its end, and return its exit code and what it said."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@asynccontextmanager
async def waiting(image: Image, data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a snapshot that waits for its gateway: the process, and its process 1 as this machine numbers it."""
    asked = asyncio.Event()

    async def never(_writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.get_running_loop().create_future()

    async with RawServer(never) as gateway:
        keys = {
            "NCLOUD_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "NCLOUD_SECRET_KEY": "SECRETEXAMPLE",
            "NCRAWL_GATEWAY": gateway.url,
        }
        process = await asyncio.create_subprocess_exec(*image.command(data, "snapshot", "/mnt", **keys))
        try:
            async with asyncio.timeout(60):
                await asked.wait()
            (first,) = children_of(process.pid)
            yield process, int(first)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_the_job_of_the_cluster(image: Image, data: Path) -> None:
    """With the arguments of config/ncrawl-cronjob.yaml it leaves a snapshot; nothing else is written anywhere."""
    (line,) = re.findall(r"args: \[(.*)\]", (ROOT / "config/ncrawl-cronjob.yaml").read_text())
    arguments = [word.strip(' "').replace("/snapshots", "/mnt") for word in line.split(",")]
    async with Emulator(EmulatorOptions(registries=3, images=60)) as emulator:
        keys = {"NCLOUD_ACCESS_KEY_ID": emulator.access_key, "NCLOUD_SECRET_KEY": emulator.secret_key}
        code, said = await ended(image.command(data, *arguments, NCRAWL_GATEWAY=emulator.url, **keys))
    assert code == 0, said
    manifest = json.loads((data / "latest" / "manifest.json").read_bytes())
    assert (manifest["verdict"], manifest["totals"]["images"]) == ("complete", 60)


async def test_signals_reach_it(image: Image, data: Path) -> None:
    """SIGTERM to process 1 stops a run cleanly, at once: 143."""
    async with waiting(image, data) as (process, first), asyncio.timeout(20):
        os.kill(first, signal.SIGTERM)
        assert await process.wait() == 143


async def test_no_zombies(image: Image, data: Path) -> None:
    """What somebody leaves behind in the container is buried by process 1, while the run goes on."""
    async with waiting(image, data) as (process, first):
        before = children_of(first)
        command = ["nsenter", f"--target={first}", "--pid", "--mount", "--root", "/opt/ncrawl/bin/python", "-c", ORPHAN]
        code, said = await ended(command)
        assert (code, said.strip().isdigit()) == (0, True), said
        async with asyncio.timeout(20):
            while children_of(first) != before:  # noqa: ASYNC110 - nobody but process 1 is told of it
                await asyncio.sleep(0)
        assert process.returncode is None


def children_of(process: int) -> list[str]:
    """Return the processes that a process has to look after, dead ones included."""
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


async def test_it_has_no_rights(image: Image, data: Path) -> None:
    """A user that is not root, no capability, nothing writable but what is mounted, no pip, no compiler."""
    look = (
        "import os, shutil; status = open('/proc/self/status').read(); print(os.getuid(), os.getgid(), os.getpid(),"
        "status.split('CapEff:')[1].split()[0], [p for p in ('/', '/opt/ncrawl', '/usr', '/var', '/run', '/etc') "
        "if os.access(p, os.W_OK)], [p for p in ('pip', 'gcc', 'cc') if shutil.which(p)])"
    )
    config = image.config | {"Entrypoint": ["/opt/ncrawl/bin/python", "-c", look]}
    code, said = await ended(Image(image.root, config, image.folder).command(data))
    assert (code, said) == (0, "10001 10001 1 0000000000000000 [] []\n")


def test_its_bill_names_what_is_in_it(image: Image) -> None:
    """Every package that dpkg and the virtual environment know, and no other."""
    (file,) = image.folder.glob("ncrawl-*.image.sbom.json")
    bill = json.loads(file.read_bytes())
    named = {(one["purl"].partition("/")[0], one["name"]) for one in bill["components"]}
    status = (image.root / "var/lib/dpkg/status").read_text()
    debian = {("pkg:deb", name) for name in re.findall(r"^Package: (.*)$", status, re.MULTILINE)}
    folders = (image.root / "opt/ncrawl/lib").glob("python3.*/site-packages/*.dist-info/METADATA")
    python = {
        ("pkg:pypi", re.findall(r"^Name: (.*)$", one.read_text(), re.MULTILINE)[0].lower().replace("-", "_"))
        for one in folders
    }
    assert {(kind, name.replace("-", "_") if kind == "pkg:pypi" else name) for kind, name in named} == debian | python
    assert ("pkg:pypi", "ncrawl") in named
