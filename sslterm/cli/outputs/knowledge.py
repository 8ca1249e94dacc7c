"""What commands that know methods, presets and data print with `--json`."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from sslterm.catalog.entry import Capability


class PresetOfMethod(TypedDict):
    name: str
    data: Annotated[str | None, "null where the file is damaged"]
    needs_download: bool


class MethodSummary(TypedDict):
    name: str
    topic: Literal["pretext", "representation", "generative"]
    family: str
    title: str
    year: int
    paper: Annotated[str, "arXiv identifier, DOI or address"]
    capabilities: list[Capability]
    presets: list[PresetOfMethod]


class Setting(TypedDict):
    """What --set method.NAME= takes."""

    name: str
    type: str
    about: str


class MethodDescription(MethodSummary):
    authors: str
    uses_labels: Annotated[bool, "in training; evaluations always may"]
    headline: Annotated[str, "the metric to watch"]
    unit: Annotated[str, "its unit, and what kind of number it is"]
    panels: Annotated[list[str], "worth seeing first"]
    sections: Annotated[dict[str, str], "idea, objective, departures from the paper, what to watch for"]
    settings: list[Setting]
    file: Annotated[str, "its code"]


class PresetSummary(TypedDict):
    method: str
    name: str
    data: str | None
    needs_download: bool | None
    images: Annotated[int | None, "that it trains on"]
    batch: int | None
    about: str
    path: str
    problem: Annotated[str | None, "what is wrong with the file"]


class PresetCopied(TypedDict):
    method: str
    preset: str
    path: str


class DataSummary(TypedDict):
    name: str
    kind: Literal["images", "clips"]
    description: str
    side: Annotated[int, "in pixels; 0 where it is not fixed"]
    channels: Annotated[int, "0 where it is not fixed"]
    train: Annotated[int, "images; 0 where it is not fixed"]
    test: int
    classes: list[str]
    needs_download: bool
    download_bytes: int
    takes_path: Annotated[bool, "it is a folder of one's own"]
    is_ready: Annotated[bool, "nothing has to be fetched any more"]
    licence: str
    citation: str


class DataFetched(TypedDict):
    name: str
    path: Annotated[str | None, "where it was put; null where it is built in"]
    train: int
    test: int


class ClassCount(TypedDict):
    name: str
    train: int
    test: int


class DataChecked(TypedDict):
    name: str
    path: str | None
    train: int
    test: int
    channels: int
    height: int
    width: int
    frames: Annotated[int, "of a clip; 0 of still images"]
    labelled: Annotated[int, "images with a class"]
    classes: list[ClassCount]
    notes: Annotated[list[str], "what was skipped, and why"]


class ManualWritten(TypedDict):
    path: Annotated[str, "the folder"]
    files: Annotated[list[str], "the pages in it"]
