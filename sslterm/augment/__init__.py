"""Random views of images: each with its own parameters and its own order of colour operations."""

from sslterm.augment.backends import Backend, backend, why_not_native
from sslterm.augment.table import Colour, Table
from sslterm.augment.view import RANDOM_VIEW, View

__all__ = ["RANDOM_VIEW", "Backend", "Colour", "Table", "View", "backend", "why_not_native"]
