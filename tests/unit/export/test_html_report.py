"""Charts and pictures of report.html: well-formed, escaped, and without anything from the network."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
from convserve_export import html_charts
from convserve_export.html_pictures import picture, tile


def test_charts_are_well_formed_and_escape_names() -> None:
    numbers = np.linspace(-1, 1, 20)
    for chart in (
        html_charts.bars([("<a & b>", 3.0, "3"), ("none", 0.0, "0")]),
        html_charts.scatter(numbers, numbers, title="<same>"),
        html_charts.scatter(np.zeros(3), np.zeros(3), title="one point"),
        html_charts.confusion([[3, 1], [0, 0]], ["<cat>", "dog"], title="&"),
    ):
        ElementTree.fromstring(chart)


def test_a_confusion_matrix_tells_the_accuracy_of_each_class() -> None:
    chart = html_charts.confusion([[3, 1], [2, 2]], ["cat", "dog"], title="t")
    assert re.findall(r">([\d.]+%)<", chart) == ["75.0%", "50.0%"]


def test_a_tile_shows_zero_as_the_middle_and_the_largest_as_an_end() -> None:
    assert tile(np.array([[-2.0, 0.0, 2.0]])).tolist() == [[1, 128, 255]]
    assert tile(np.zeros((3, 2, 2))).shape == (2, 2, 3)


def test_a_picture_is_inside_of_the_page() -> None:
    html = picture(np.zeros((2, 2, 3), np.uint8), caption="<cat>\n90%")
    assert 'src="data:image/png;base64,' in html
    assert "&lt;cat&gt;<br>90%" in html
