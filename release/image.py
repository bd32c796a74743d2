"""Build the image of Containerfile with buildah, and write beside it what is in it.

Usage: python release/image.py [--base IMAGE | --bootstrap SUITE] [--folder DIR]

Leaves ncrawl-VERSION.oci.tar and ncrawl-VERSION.image.sbom.json (CycloneDX) in the folder. --bootstrap makes the base
from Debian's packages, with mmdebstrap and as root: no registry of images is asked. Nothing stays in this user's store
of images: `podman load`, `docker load`, `skopeo copy` take the archive. PIP_CERT holds while building.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
TAG = "localhost/ncrawl"
PACKAGES = (
    "import importlib.metadata as m;"
    "print(*sorted({f'{d.name.lower()} {d.version}' for d in m.distributions()}), sep='\\n')"
)


class Builder:
    """Buildah with a store of its own, in a folder that ends with it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        store = ("--root", str(scratch / "root"), "--runroot", str(scratch / "run"), "--storage-driver", "vfs")
        self._command = ["buildah", *store]

    def __call__(self, *words: str | Path) -> str:
        """Run it, and return what it wrote to standard output; what it says of its work goes to standard error."""
        command = [*self._command, *map(str, words)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout

    def bootstrap(self, suite: str) -> str:
        """Make a base image of Debian's smallest system, and return its name."""
        packed = self.scratch / "base.tar"
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", suite, str(packed)], check=True)
        container = self("from", "scratch").strip()
        self("add", "--quiet", container, packed, "/")
        self("commit", "--quiet", "--rm", container, "localhost/base")
        return "localhost/base"

    def build(self, *options: str) -> None:
        """Build the image. Where PIP_CERT names authorities, pip is told of them, and the image keeps no trace."""
        volumes: list[str] = []
        if authorities := os.environ.get("PIP_CERT"):
            (self.scratch / "pip.conf").write_text("[global]\ncert = /run/authorities.crt\n")
            volumes = [f"--volume={self.scratch}/pip.conf:/etc/pip.conf:ro"]
            volumes += [f"--volume={authorities}:/run/authorities.crt:ro"]
        self("bud", "--isolation", "chroot", *volumes, *options, "--tag", TAG, "--file", "Containerfile", ".")

    @contextmanager
    def container(self) -> Iterator[str]:
        """Make a container of the image, for as long as it is looked into."""
        name = self("from", TAG).strip()
        try:
            yield name
        finally:
            self("rm", name)


def bill(debian: str, python: str) -> dict[str, object]:
    """Return a CycloneDX bill of materials of lines `NAME VERSION`."""
    components = []
    for kind, lines in (("deb/debian", debian), ("pypi", python)):
        for name, version in (line.split() for line in sorted(set(lines.splitlines()))):
            purl = f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}"
            components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


def make(folder: Path, base: str | None, suite: str | None) -> Path:
    """Build the image and its bill, and return the archive."""
    with tempfile.TemporaryDirectory(prefix="ncrawl-image-") as scratch:
        builder = Builder(Path(scratch))
        if suite:
            base = builder.bootstrap(suite)
        builder.build(*([f"--build-arg=BASE={base}"] if base else []))
        with builder.container() as container:
            look = ("run", "--isolation", "chroot", container, "--")
            version = builder(*look, "ncrawl", "--version").split()[1]
            debian = builder(*look, "dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n")
            python = builder(*look, "/opt/ncrawl/bin/python", "-c", PACKAGES)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"ncrawl-{version}.image.sbom.json").write_text(json.dumps(bill(debian, python), indent=2) + "\n")
        archive = folder / f"ncrawl-{version}.oci.tar"
        archive.unlink(missing_ok=True)
        builder("push", "--quiet", TAG, f"oci-archive:{archive}:ncrawl:{version}")
    return archive


def main() -> None:
    """Make it, and say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", help="image to build on; without it, the one that Containerfile names")
    parser.add_argument("--bootstrap", metavar="SUITE", help="make the base from Debian's packages: trixie")
    parser.add_argument("--folder", type=Path, default=ROOT / "dist", help="where to")
    chosen = parser.parse_args()
    print(make(chosen.folder.absolute(), chosen.base, chosen.bootstrap))


if __name__ == "__main__":
    main()
