"""Settings of all tests, made before torch is imported."""

from __future__ import annotations

import os

# Tests run beside each other (`-n 2`) and are small; several threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
