"""Entry point of ``ncrawl`` and of ``python -m crawler``."""

from __future__ import annotations


def main() -> int:
    """Run the program and return its exit code."""
    from crawler.cli import run  # noqa: PLC0415 - `--version` should not wait for what a crawl needs

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
