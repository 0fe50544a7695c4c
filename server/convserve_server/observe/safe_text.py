"""Text that others control, made safe to write: one line, printable, of bounded length."""

from __future__ import annotations

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: str, most: int) -> str:
    """At most ``most`` characters of ``text``, with what is not printable as an escape (each is up to 10 characters).

    Not printable are, by Unicode's categories, control characters (a terminal obeys them), line and paragraph
    separators (a reader of lines believes them), marks that reverse the order of what follows, and lone surrogates.
    """
    kept = text[:most]
    if not kept.isprintable():
        kept = "".join(c if c.isprintable() else _escape(c) for c in kept)
    return kept if len(text) <= most else f"{kept}... ({len(text) - most} more)"


def quoted(value: object, most: int) -> str:
    """A value for ``key=value`` in a line of text: in quotes where it could be taken for more than one."""
    text = safe(str(value), most)
    if text and not any(c in text for c in ' ="\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
