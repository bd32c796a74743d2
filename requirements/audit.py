"""Audit requirements/runtime.lock for known vulnerabilities, and say how much of it was audited.

pip-audit ends with 0 and "no known vulnerabilities" also when it could look nothing up, so its answer is counted
against the lock's own pins. Exit codes: 0 all audited and clean, 1 vulnerable, 3 not all could be audited.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from check import pins

LOCK = Path(__file__).parent / "runtime.lock"


def audit() -> list[dict[str, object]]:
    """Return what pip-audit says of each package of the lock; nothing if it cannot say."""
    command = [Path(sys.executable).with_name("pip-audit"), "--requirement", LOCK, "--require-hashes", "--disable-pip"]
    answer = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, object]] = json.loads(answer.stdout)["dependencies"]
    except (ValueError, LookupError):
        print(answer.stderr.strip(), file=sys.stderr)
        return []
    return found


def main() -> int:
    """Audit, print a line for each finding and one for the whole."""
    wanted = {pin.partition("==")[0] for pin in pins(LOCK)}
    looked_up = {str(one["name"]): one["vulns"] for one in audit() if "skip_reason" not in one}
    for name, vulnerabilities in sorted(looked_up.items()):
        for one in vulnerabilities if isinstance(vulnerabilities, list) else []:
            print(f"{name}: {one['id']}: mended in {', '.join(one['fix_versions']) or 'no release'}")
    missing = sorted(wanted - looked_up.keys())
    if any(looked_up.values()):
        print(f"requirements/{LOCK.name}: VULNERABLE; {len(looked_up)} of {len(wanted)} packages audited")
        return 1
    if missing:
        print(f"requirements/{LOCK.name}: NOT AUDITED: {len(missing)} of {len(wanted)}: {', '.join(missing)}")
        return 3
    print(f"requirements/{LOCK.name}: clean; {len(looked_up)} of {len(wanted)} packages audited")
    return 0


if __name__ == "__main__":
    sys.exit(main())
