"""The table of the server's options in README.md, written from their declarations.

python -m tools.option_table     write it anew
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from convserve_server.settings import OPTIONS

README = Path(__file__).parents[1] / "README.md"
ROW = re.compile(r"(?:^\| `--[a-z0-9-]+` \| `CONVSERVE_\w+` \| .*\n)+", re.MULTILINE)


def rows() -> str:
    """One line an option: flag, variable, default and sentence."""
    return "".join(
        f"| `{option.flag}` | `{option.variable}` | {_default(option.default)} | {option.help} |\n"
        for option in OPTIONS
    )


def _default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return "`" + str(value).lower() + "`" if isinstance(value, bool) else f"`{value}`"


def main() -> None:
    """Put the rows where the old ones stand."""
    argparse.ArgumentParser(prog="python -m tools.option_table", description=__doc__).parse_args()
    README.write_text(ROW.sub(lambda old: rows(), README.read_text(), count=1))


if __name__ == "__main__":
    main()
