"""Widgets: each takes data, draws it with `render`, and sends only the cells that changed."""
