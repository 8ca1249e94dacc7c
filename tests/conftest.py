"""Settings of all tests, made before torch is imported."""

from __future__ import annotations

import os
import tempfile

# Tests run beside each other (`-n 2`) and are small; several threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What the live view remembers stays out of the home of whoever runs the tests.
os.environ["SSLTERM_SETTINGS"] = os.path.join(tempfile.gettempdir(), f"sslterm-view-{os.getpid()}.json")
