"""What a server says can neither steer a terminal nor forge a log line."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.core.text import duration, escaped_for_terminal, visible
from crawler.settings.options import parse_duration

BIDI_AND_ZERO_WIDTH = "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
BIDI_AND_ZERO_WIDTH += (
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb\U000e0001\U000e0041"
)
EMBEDDING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
UNSAFE = [*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), *BIDI_AND_ZERO_WIDTH, "\ud800", "\udfff"]


@pytest.mark.parametrize("character", UNSAFE, ids=ascii)
def test_unsafe_characters_become_visible(character: str) -> None:
    """C0, DEL, C1, bidi, zero-width, line separators and halves of pairs: each comes out as an escape in ASCII."""
    shown = visible(f"a{character}b")
    assert character not in shown
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@pytest.mark.parametrize(
    "text",
    ["", "plain", "컨테이너 레지스트리", "ᄒ\u1161ᆫ", "日本語", "naïve ü", "😀 👍🏽 ❤️ 🇰🇷", "100 % \\ \"quoted\" 'so'"],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Korean, emoji with skin tones and flags, accents and quotes are not touched."""
    assert visible(text) == text


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=400) | st.text(st.sampled_from(["a", "한", *UNSAFE]), max_size=400))
def test_any_text_is_one_short_encodable_line(text: str) -> None:
    """Whatever comes in, one line of at most 300 characters comes out, and it can be encoded."""
    shown = visible(text)
    assert len(shown) <= 300
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)


def test_no_control_character_of_unicode_is_forgotten() -> None:
    """Every code point of the categories control, surrogate, line and paragraph separator is made visible."""
    everything = (chr(point) for point in range(sys.maxunicode + 1))
    unsafe = [c for c in everything if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [ascii(c) for c in unsafe if c in visible(c)]


def test_long_texts_are_cut() -> None:
    """The cut shows, and is exact to the character."""
    assert visible("x" * 300) == "x" * 300
    assert visible("x" * 301) == "x" * 299 + "…"
    assert visible("\x1b" * 1_000_000, longest=10) == "\\x1b\\x1b\\…"


@settings(deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(BIDI_AND_ZERO_WIDTH), max_size=50))
def test_lines_for_a_terminal_hold_the_same_values(text: str) -> None:
    """JSON for a terminal is the same JSON on one line, without control, bidi or zero-width characters (V1)."""
    line = json.dumps({"name": text}, ensure_ascii=False).encode() + b"\n"
    harmless = escaped_for_terminal(line)
    assert json.loads(harmless) == {"name": text}
    assert harmless.count(b"\n") == 1
    shown = harmless.decode()[:-1]
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in shown)
    assert not any(unicodedata.bidirectional(character) in EMBEDDING for character in shown)
    assert set(BIDI_AND_ZERO_WIDTH).isdisjoint(shown)


@given(st.integers(1, 30 * 86_400))
def test_durations_are_told_as_options_take_them(seconds: int) -> None:
    """What is told can be given to an option: it means the same."""
    assert parse_duration(duration(seconds)) == seconds


def test_a_duration_below_a_second() -> None:
    """Less than a second is none."""
    assert (duration(0.9), duration(43_200), duration(5400.5)) == ("0s", "12h", "1h30m")
