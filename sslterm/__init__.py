"""Train, watch and use un- and self-supervised models from the terminal."""

__version__ = "0.1.0"
