"""The API on loopback: signatures, every region, pages, errors, throttling, faults and change. No account needed."""

from crawler.emulation.options import EmulatorOptions
from crawler.emulation.server import Emulator

__all__ = ["Emulator", "EmulatorOptions"]
