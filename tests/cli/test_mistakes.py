"""Mistakes that people make: each gets one sentence that says what is wrong, where, and how to mend it.

The exit code is 2, or 74 for what cannot be written. Nothing is requested.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from support.snapshot_maker import make_nights

from crawler.cli import run

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "http://127.0.0.1:1"

MISTAKES = [
    # commands and options
    ("imgaes", "no such command: imgaes; did you mean images?"),
    ("help imgaes", "no such command: imgaes; did you mean images?"),
    ("images --regoin kr", r"No such option '--regoin'\. .*Did you mean one of: '--region'"),
    ("images --level tags", "--level is no option of images, but of snapshot, plan, fleet task, fleet run"),
    ("fleet run a b --resume", "--resume is no option of fleet run, but of snapshot"),
    ("--rate 5 images", "--rate is no option of ncrawl, but of images, registries, "),
    ("images --rate", "Option '--rate' requires an argument"),
    ("snapshot", r"Missing argument 'DIR'"),
    ("images -q -v", "--quiet and --verbose contradict each other: drop one"),
    ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    # values
    ("images --region xx", "--region: 'xx' is no region of zone public: give kr, sgn, jpn"),
    ("images --zone mars", "--zone: 'mars' is not known: give public or gov or fin"),
    ("images --rate fast", "--rate: 'fast' is not a rate: give requests a second from "),
    ("images --concurrency 5000", "--concurrency: '5000' is not a whole number from 1 to 1024"),
    ("images --deadline 5", "--deadline: '5' is not a duration: give whole numbers with units, such as 90s"),
    ("images --heartbeat 5", "--heartbeat: '5' is not a duration: .*, or off"),
    ("images --verify sometimes", "--verify: 'sometimes' is not known: give auto or always or never"),
    ("images --exclude team*/", r"--exclude: 'team\*/' is no pattern: give name or region/name"),
    ("images --ping monitor", "--ping: the value .not shown. is not a URL such as https://host/path"),
    ("images --gateway http://example.com", "--gateway: 'http://example.com' is not safe: https is needed"),
    ("images --api v3 --zone gov", "--api: zone gov has no v3, as far as is known: leave it at v2"),
    ("snapshot . --keep 0", "--keep: '0' is not a whole number from 1 to 100000"),
    ("snapshot . --accept most", "--accept: 'most' is no policy: give complete, partial, or a share"),
    ("snapshot . --reuse latest", "--reuse copies tags, and --level images lists none: add --level tags"),
    # names
    ("images xx/team-a", "REGISTRY: 'xx/team-a' is not in a region to be crawled: kr, sgn, jpn"),
    ("images kr/team-a/app", "'kr/team-a/app' names an image: `ncrawl tags` lists what is in one"),
    ("images team..a", r"REGISTRY: 'team\.\.a' cannot be a registry's name: letters, digits, "),
    ("history . kr", "kr: name REGION/REGISTRY or REGION/REGISTRY/IMAGE, such as kr/team-a/app"),
    ("history nights kr/team-x", "kr/team-x is in none of the 2 snapshots of nights: is it spelled so"),
    # files that are read
    ("images --config none.toml", "--config: cannot read none.toml: No such file or directory"),
    ("images --config broken.toml", r"broken\.toml: not valid TOML: .* \(at line 1, column 8\)"),
    ("images --config typo.toml", r"typo\.toml: regoin: no such key: did you mean region"),
    ("images --config open.toml", r"open\.toml is not safe, for whoever can write it .*: chmod go-w it"),
    (
        "images --profile other",
        r"profile 'other': there is no .*/\.ncloud/configure: write it as `ncloud configure` does",
    ),
    ("images --registry-file none", "--registry-file: cannot read none: No such file or directory"),
    ("images --accounts none.toml", r"--accounts: cannot read none\.toml: No such file or directory"),
    # what is written
    ("images -o images.csv", r"--output: 'images\.csv' will not do: \.csv is another format, .* end in \.ndjson"),
    (
        "images -o no/x.ndjson",
        r"cannot write no/x\.ndjson: No such file or directory: make its folder with `mkdir -p no`",
    ),
    ("images -o /", "cannot write /: Is a directory: name a file"),
    ("images -o .", r"cannot write \.: Is a directory: name a file"),
    ("images --summary /", "cannot write /: Is a directory: name a file"),
    ("snapshot none", "none does not exist: make it with `mkdir -p none`"),
    ("snapshot broken.toml", r"broken\.toml is a file: name a folder"),
    # snapshots
    ("verify none", "none is not a snapshot: nothing is there"),
    ("verify nights", r"nights is not a snapshot: no manifest\.json; did you mean nights/[0-9]+T[0-9]+Z\?"),
    ("diff nights nights", r"nights is not a snapshot: no manifest\.json; did you mean nights/[0-9]+T[0-9]+Z\?"),
    ("report none -o x.html", "none is no folder: name a snapshot, or the folder that snapshots are in"),
    ("history none kr/team-a", "none cannot be read: No such file or directory; name a folder of snapshots"),
    ("history nights/none kr/team-a", "nights/none cannot be read: No such file or directory; name a folder of"),
    ("export none -o out", "none is not a snapshot: nothing is there"),
    ("prune nights", "nothing says what to keep: give --keep N, --keep-days N, or both"),
    ("prune none --keep 1", "none is no folder: name the one that the snapshots are in"),
    ("snapshots none", "none cannot be read: No such file or directory; name a folder of snapshots"),
    ("plan --from none", "none is no folder: name a snapshot, or the folder that snapshots are in"),
    ("push nights ftp://x", "ftp://x is no place for snapshots: give s3://BUCKET/PREFIX, gs://, "),
]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with snapshots and settings in it, and keys for a gateway that is not there."""
    for name in [one for one in os.environ if one.startswith(("NCRAWL_", "NCLOUD_", "XDG_"))]:
        monkeypatch.delenv(name)
    keys = {"NCLOUD_ACCESS_KEY_ID": "a", "NCLOUD_SECRET_KEY": "b", "NCLOUD_METADATA_ENDPOINT": NOWHERE}
    for name, value in (keys | {"HOME": str(tmp_path), "NCRAWL_GATEWAY": NOWHERE, "NCRAWL_DEADLINE": "1s"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nights").mkdir()
    make_nights(tmp_path / "nights", 2)
    for name, text in (("broken", "rate = \n"), ("typo", "regoin = 'kr'\n"), ("open", "rate = 5\n")):
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "open.toml").chmod(0o666)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_mistakes(words: str, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What, where and how to mend it, on standard error alone, in one line after the usage, if that is shown."""
    arguments = words.split()
    assert run(arguments) == (74 if told.startswith("cannot write") else 2)
    out, err = capfd.readouterr()
    assert out == ""
    (said,) = [line for line in err.splitlines() if not re.match(r"Usage: |Try 'ncrawl|$", line)]
    assert re.search(rf"^(?:ncrawl|Error|\S+Z - ncrawl|\S+Z \S+Z ncrawl): .*{told}", said), err
    assert len(said) < 500


@pytest.mark.usefixtures("_here")
def test_a_file_of_figures_that_cannot_be(capfd: pytest.CaptureFixture[str]) -> None:
    """Is told in the beginning, before anything else that goes wrong, and changes no exit code."""
    assert run(["images", "--metrics-file", "no/x.prom", "-o", "no/x.ndjson"]) == 74
    first = capfd.readouterr().err.splitlines()[0]
    assert re.search(
        r"warning: --metrics-file: cannot write no/x\.prom: .*: make its folder with `mkdir -p no`$", first
    )
