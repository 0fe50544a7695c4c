"""Bills of materials in CycloneDX JSON: what an install brings, under which licence. Only the standard library is used.

    python -m tools.supply.sbom --out build/sbom        one for each install that we publish, from its locks
    python -m tools.supply.sbom --installed NAME        what this Python's environment holds; images have theirs by this

The same locks give the same bytes: no time, no random serial number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tomllib
import uuid
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from tools.supply import locks, table
from tools.supply.locks import INSTALLS, Pin

SPEC_VERSION = "1.6"
Document = dict[str, Any]


class Unlisted(Exception):
    """Something is installed that no lock lists; the message names it."""


def component(pin: Pin, expression: str) -> Document:
    """A distribution. The hashes are those of every file that the lock allows for it, on any platform."""
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    files = {
        "type": "distribution",
        "url": f"https://pypi.org/project/{pin.name}/{pin.version}/#files",
        "hashes": [{"alg": "SHA-256", "content": each.removeprefix("sha256:")} for each in pin.hashes],
    }
    found: Document = {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "licenses": [{"expression": expression}],
        "externalReferences": [files],
    }
    if pin.marker:
        found["properties"] = [{"name": "convserve:environment-marker", "value": pin.marker}]
    return found


def document(install: str, version: str, pins: Iterable[Pin], licences: dict[str, str]) -> Document:
    """The bill of one install of convserve at a version. Raises KeyError for a pin without a licence."""
    ours = f"pkg:pypi/convserve@{version}"
    components = [component(pin, licences[pin.name]) for pin in pins]
    content: Document = {
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "convserve",
                "version": version,
                "purl": ours,
                "licenses": [{"expression": "Apache-2.0"}],
                "properties": [{"name": "convserve:install", "value": install}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": ours, "dependsOn": [each["bom-ref"] for each in components]},
            *({"ref": each["bom-ref"]} for each in components),
        ],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        **content,
    }


def installed(listed: Iterable[Pin]) -> list[Pin]:
    """The pins of what this environment holds beside convserve. Raises Unlisted for what no lock has."""
    known = {(pin.name, pin.version): pin for pin in listed}
    found = []
    for distribution in distributions():
        # A build such as 2.13.0+cpu is one of those that a pin of 2.13.0 allows.
        name, version = locks.normal(distribution.metadata["Name"]), distribution.version.partition("+")[0]
        if name == "convserve":
            continue
        if (name, version) not in known:
            raise Unlisted(f"{name} {version} is installed and in no lock: `make constraints` renews the locks")
        found.append(known[name, version])
    return sorted(found, key=lambda pin: pin.name)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write bills of materials in CycloneDX JSON.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="folder for one file an install")
    where.add_argument("--installed", metavar="NAME", help="print what this environment holds, as the install NAME")
    options = parser.parse_args(arguments)
    pyproject = (locks.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(pyproject)["project"]["version"]
    licences = {row.name: row.expression for row in table.read()}
    if options.installed:
        every = locks.merged(locks.parse(file.read_text("utf-8")) for file in sorted(locks.FOLDER.glob("*.txt")))
        print(json.dumps(document(options.installed, version, installed(every), licences), indent=1))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    for install, names in INSTALLS.items():
        pins = locks.merged(map(locks.read, names))
        file = options.out / f"{install}.cdx.json"
        file.write_text(json.dumps(document(install, version, pins, licences), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {file}: {len(pins)} distributions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
