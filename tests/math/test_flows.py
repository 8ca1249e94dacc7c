"""Flows against autograd's Jacobians, torch.distributions, quadrature, and their own inverses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.flow.flow import Flow, dequantize, from_logits, ladder_panel, to_logits
from sslterm.methods.flow.glow import Glow
from sslterm.methods.flow.nice import NICE, halves, interleave
from sslterm.methods.flow.realnvp import RealNVP
