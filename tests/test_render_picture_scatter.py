"""Pictures of points: where they stand, and that their classes can be told apart without colour."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sslterm.render.palette import categorical_on_paper, rgb
from sslterm.render.picture_scatter import mark, scatter_picture
from sslterm.run.panels import Panel


def test_fourteen_classes_differ_without_colour() -> None:
    inks = [255.0 - np.asarray(mark(kind).convert("L")) for kind in range(14)]
    shapes = [ink / ink.max() for ink in inks]
    for one, other in combinations(range(14), 2):
        assert np.abs(shapes[one] - shapes[other]).sum() >= 8, (one, other)


def test_points_stand_where_they_should_in_the_colour_of_their_class() -> None:
    array = np.array([[0, 0, 0], [10, 5, 1], [10, 0, 0]], dtype=np.float32)
    picture, note = scatter_picture(
        Panel(name="p", kind="scatter", array=array, labels=("a", "b"), x_label="x", y_label="y")
    )
    assert note == "3 points"
    pixels = np.asarray(picture).astype(int)
    places = {}
    for kind in (0, 1):
        near = np.abs(pixels - rgb(categorical_on_paper(kind))).sum(-1) < 30
        rows, columns = np.nonzero(near[40:])  # below the legend
        places[kind] = rows, columns
    rows, columns = places[0]
    left, right = columns < columns.mean(), columns > columns.mean()
    assert abs(rows[left].mean() - rows[right].mean()) < 1  # both at y = 0
    rows_b, columns_b = places[1]
    assert abs(columns_b.mean() - columns[right].mean()) < 1  # both at x = 10
    assert rows[right].mean() - rows_b.mean() > 500  # upwards
    assert columns[right].mean() - columns[left].mean() > 500
