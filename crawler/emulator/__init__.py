"""The API on loopback: signatures, three regions, pages, errors, throttling, faults and change. No account needed."""

from crawler.emulator.options import EmulatorOptions
from crawler.emulator.server import Emulator

__all__ = ["Emulator", "EmulatorOptions"]
