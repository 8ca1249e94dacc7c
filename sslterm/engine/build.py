"""From a resolved preset to the objects that train: method, device, and what the data gives."""

from __future__ import annotations

import importlib

import torch

from sslterm.catalog import find_method
from sslterm.config.read import parse
from sslterm.config.schema import ClipConfig, Experiment
from sslterm.data.source import Source
from sslterm.errors import DeviceError, UsageError, did_you_mean
from sslterm.methods.base import Inputs, Method
from sslterm.rows import world_size


def method_class(name: str) -> type[Method]:
    """Import the class that the catalog names."""
    module, _, attribute = find_method(name).target.partition(":")
    cls: type[Method] = getattr(importlib.import_module(module), attribute)
    assert issubclass(cls, Method)
    return cls


def inputs_of(experiment: Experiment, source: Source) -> Inputs:
    """What a method is built for, read off the data itself."""
    images = source.train.images
    *_, channels, height, width = images.shape
    return Inputs(
        channels=channels,
        height=height,
        width=width,
        train_images=len(images),
        batch=experiment.train.batch,
        classes=len(source.class_names),
        unlabelled=int((source.train.labels < 0).sum()),
        frames=experiment.data.frames if isinstance(experiment.data, ClipConfig) else 0,
        views=experiment.augment,
    )


def build_method(experiment: Experiment, inputs: Inputs) -> Method:
    """The untrained method, on the CPU; its weights are a function of the seed alone.

    Raises:
        UsageError: a field of `[method]` is missing, unknown, mistyped or out of range, or an optimizer has no group.
    """
    cls = method_class(experiment.run.method)
    where = f"{experiment.run.method}/{experiment.run.preset} [method]"
    config = parse(cls.Config, experiment.method, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.run.seed)
        method = cls(config, inputs)
    groups = method.parameter_groups()
    if set(groups) != set(experiment.optim):
        raise UsageError(
            f"{experiment.run.method} trains {sorted(groups)}, "
            f"but the preset has [optim.*] for {sorted(experiment.optim)}"
        )
    if cls.couples_batch:
        _check_batch(experiment, inputs)
    if cls.couples_batch and experiment.train.micro_batches > 1:
        raise UsageError(
            f"train.micro_batches = {experiment.train.micro_batches}: the loss of {experiment.run.method} compares "
            "the images of a batch, so that a batch in portions would be a different method",
            "set train.micro_batches=1; to save memory, lower train.batch",
        )
    portion = experiment.train.batch // world_size()
    if experiment.train.micro_batches > portion:
        raise UsageError(
            f"train.micro_batches = {experiment.train.micro_batches}: there are {portion} images of a batch to divide",
            f"set train.micro_batches={portion} or less",
        )
    return method


def _check_batch(experiment: Experiment, inputs: Inputs) -> None:
    """Where images of a batch are compared, it needs two, and no image twice."""
    method, batch = experiment.run.method, experiment.train.batch
    if batch < 2:
        raise UsageError(
            f"train.batch = {batch}: {method} compares the images of a batch, and here is nothing to compare",
            "set train.batch to 2 or more; the preset's own is a good start",
        )
    if batch > inputs.train_images:
        raise UsageError(
            f"train.batch = {batch}, and there are {inputs.train_images} training images: {method} compares the "
            "images of a batch, and would meet the same one twice",
            f"set train.batch={inputs.train_images} or less, or give it more images",
        )


def place(method: Method, device: torch.device) -> Method:
    """The method on a device, in the layout of memory that its kernels are fastest in there."""
    method.to(device)
    if device.type != "mps" and any(parameter.ndim == 4 for parameter in method.parameters()):
        method.to(memory_format=torch.channels_last)
    return method


def describe_device(device: torch.device) -> str:
    """A device as people know it: "cuda:0 (NVIDIA H100)", "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


def find_device(name: str) -> torch.device:
    """The device that `--device` means: cpu, cuda, cuda:1, mps, or auto for the fastest there is.

    Raises:
        UsageError: no such kind of device.
        DeviceError: it is not available here.
    """
    kind = name.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"--device {name}: unknown", did_you_mean(kind, ("auto", "cpu", "cuda", "mps")))
    if kind == "auto":
        kind = name = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "there is no usable CUDA device here", "try --device cpu, or see what `sslterm doctor` finds"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("there is no usable MPS device here", "try --device cpu")
    device = torch.device(name)
    if kind == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return device
