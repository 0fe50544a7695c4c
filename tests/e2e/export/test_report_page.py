"""report.html in a real browser: it shows what it should, and asks for nothing from the network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Exported

BROWSER = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)


def test_the_page_asks_for_nothing_from_outside_and_has_no_scripts(exported: Exported) -> None:
    page = (exported.classifier / "report.html").read_text()
    assert "<script" not in page
    addresses = set(re.findall(r"https?://[^\"'\s<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "a name, not an address"
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]{5})', page))


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_a_browser_shows_every_section_and_every_picture(exported: Exported, tmp_path: Path) -> None:
    assert BROWSER is not None
    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    page = (exported.classifier / "report.html").as_uri()
    done = subprocess.run(
        [BROWSER, *options, "--window-size=1120,3000", f"--screenshot={picture}", "--dump-dom", page],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    for heading in ("Architecture", "Parameters", "The same answers in every form", "What the first layer looks for"):
        assert f"<h2>{heading}</h2>" in done.stdout
    assert done.stdout.count("<figure>") == 32 + 2 + 4, "filters, Sobel's kernels, photographs"
    assert done.stdout.count("<svg") >= 6
