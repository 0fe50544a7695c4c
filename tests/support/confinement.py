"""Commands with minimal rights: a user that owns nothing, no capability, nothing to write to but a temp folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# A number that no user of a machine has.
NOBODY = 64123
ROOT = Path(__file__).resolve().parents[2]
_TOOLS = ("unshare", "setpriv", "mount")

# In a mount namespace of the command's own: what it reads is made reachable where a folder above is closed to other
# users (arguments: temp folder, closed folders, "--", folders that are read, "--", command), everything that is mounted
# becomes read-only, and the temp folder a fresh tmpfs.
_CLOSE = """
set -e
temp=$1; shift
mount -t tmpfs tmpfs "$temp"
closed=
while [ "$1" != -- ]; do closed="$closed $1"; shift; done
shift
reads=
while [ "$1" != -- ]; do reads="$reads $1"; mkdir -p "$temp$1"; mount --bind "$1" "$temp$1"; shift; done
shift
for folder in $closed; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
for folder in $reads; do mkdir -p "$folder"; mount --move "$temp$folder" "$folder"; done
umount "$temp"
for point in $(cut -d' ' -f2 /proc/self/mounts); do
  case $point in
    /proc|/proc/*|/sys|/sys/*|/dev|/dev/pts) ;;
    *) mount -o remount,bind,ro "$point" 2>/dev/null || true ;;
  esac
done
mount -t tmpfs -o mode=1777,size=64m tmpfs "$temp"
cd /
exec "$@"
"""
_DROP = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]


def missing() -> str:
    """Why this machine cannot confine a command; empty where it can."""
    if sys.platform != "linux" or os.geteuid():
        return "taking rights away needs root on Linux"
    if absent := [tool for tool in _TOOLS if not shutil.which(tool)]:
        return f"needs {', '.join(absent)}"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return f"no mount namespace here: {tried.stderr.strip()}" if tried.returncode else ""


def _closed_above(folder: Path) -> str:
    """The outermost folder on the way to this one that other users may not enter; empty where there is none."""
    closed = [str(each) for each in [*reversed(folder.parents), folder] if not each.stat().st_mode & 0o001]
    return closed[0] if closed else ""


@dataclass(frozen=True)
class Confined:
    """Where a confined command may write. HOME and everything else of the caller's environment is unset."""

    temp: Path

    def command(self, *words: str, **environment: str) -> list[str]:
        """The command that runs these words with minimal rights."""
        path = os.environ.get("PYTHONPATH")
        known = {"PATH": os.environ["PATH"], "TMPDIR": str(self.temp)} | ({"PYTHONPATH": path} if path else {})
        settings = [f"{name}={value}" for name, value in (known | environment).items()]
        reads = {Path(sys.base_prefix), Path(sys.prefix), ROOT}
        closed = {str(folder): _closed_above(folder) for folder in reads if _closed_above(folder)}
        close = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _CLOSE, "sh", str(self.temp)]
        close += [*sorted(set(closed.values())), "--", *sorted(closed), "--"]
        return [*close, *_DROP, "env", "-i", *settings, *words]

    def seen_by(self, process: int) -> Path:
        """The temp folder as it is for a process that was started so."""
        return Path(f"/proc/{process}/root{self.temp}")
