"""Prints what pyproject.toml wants installed for some extras, so that an image layer can hold just that.

Dependencies change rarely and code often: installed from this list before any code is copied, they stay cached.

    python requirements.py pyproject.toml server-cpu > requirements.txt
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str]) -> list[str]:
    """The base dependencies, and those of each extra. Raises KeyError for an extra that is not there."""
    project = tomllib.loads(pyproject)["project"]
    return [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]).read_text(), sys.argv[2:])))
