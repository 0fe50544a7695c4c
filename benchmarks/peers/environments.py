"""Virtual environments of peers that cannot share ours, made once and kept in a folder of the caller's choice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_INSTALL_SECONDS = 900.0


class NotInstallable(Exception):
    """A peer that cannot be installed here; the message says what pip said."""


def python_with(folder: Path, requirements: list[str]) -> Path:
    """The interpreter of an environment with these requirements; it is made where it is not there yet.

    Raises NotInstallable.
    """
    python = folder / "bin" / "python"
    complete = folder / "requirements.txt"
    wanted = "\n".join(requirements) + "\n"
    if complete.exists() and complete.read_text() == wanted:
        return python
    print(f"installing {', '.join(requirements)} ...", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True, text=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "pip said nothing").strip().splitlines()
        raise NotInstallable(said[-1] if said else "pip said nothing") from None
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"pip took more than {_INSTALL_SECONDS:.0f} s") from None
    complete.write_text(wanted)
    return python
