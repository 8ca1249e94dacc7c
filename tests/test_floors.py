"""Imports go downwards only, and nothing that reads runs reaches torch.

Two towers meet at floor 0: readers (`run`, `config` -> `render` -> `tui`, `cli`) and trainers (`run`,
`config` -> `nn`, `data`, `augment` -> `methods`, `evaluate` -> `engine` -> `train`, `bench`, `worker`). The imports
are read from the syntax of every module, wherever in it they stand; what a reader drags in is followed
through the imports that run when a module is imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

PACKAGE = Path(__file__).parents[1] / "sslterm"

# Each part of the package, and the parts it may import besides itself.
PROJECT = {"catalog", "config", "errors", "run"}
BLOCKS = PROJECT | {"rows"}
MAY_IMPORT: dict[str, set[str]] = {
    # floor 0
    "errors": set(),
    "catalog": {"errors"},
    "run": {"errors"},
    "config": {"errors", "catalog"},
    "method_text": {"errors", "catalog"},
    "rows": set(),
    # floor 1
    "render": PROJECT,
    "nn": BLOCKS,
    "data": BLOCKS,
    "augment": BLOCKS,
    # floor 2
    "report": PROJECT | {"render"},
    "mirror": PROJECT,
    "tui": PROJECT | {"render", "method_text"},
    "methods": BLOCKS | {"nn", "data", "augment"},
    "evaluate": BLOCKS | {"nn", "data", "methods"},
    # floor 3
    "engine": BLOCKS | {"nn", "data", "augment", "methods", "evaluate"},
    # floor 4
    "train": BLOCKS | {"nn", "data", "augment", "methods", "evaluate", "engine", "render", "mirror"},
    "bench": BLOCKS | {"nn", "data", "augment", "methods", "evaluate", "engine"},
    "worker": BLOCKS | {"nn", "data", "augment", "methods", "evaluate", "engine", "render"},
    # on top
    "cli": PROJECT | {"render", "report", "mirror", "data", "method_text"},
    "__main__": {"cli"},
}
CATALOG_OF_DATA = "sslterm.data.catalog"
"""All of `data` that the live view may import: what data there is, by name."""
CLI_WITHIN_A_FUNCTION = {"bench", "train", "tui"}
"""What starting a command must not import, and running it may."""

BASES_OF_METHODS = {
    "sslterm.methods.base",
    "sslterm.methods.adversarial.implicit",
    "sslterm.methods.adversarial.pair",
    "sslterm.methods.autoregressive.completion",
    "sslterm.methods.autoregressive.density_panels",
    "sslterm.methods.autoregressive.ordered_bits",
    "sslterm.methods.autoregressive.pixel_model",
    "sslterm.methods.diffusion.generator",
    "sslterm.methods.diffusion.samplers",
    "sslterm.methods.encoder",
    "sslterm.methods.energy.boltzmann",
    "sslterm.methods.filters",
    "sslterm.methods.flow.flow",
    "sslterm.methods.joint_embedding.embedder",
    "sslterm.methods.joint_embedding.multi_crop",
    "sslterm.methods.joint_embedding.pseudo_labels",
    "sslterm.methods.latent.latent_model",
    "sslterm.methods.pretext.clips",
    "sslterm.methods.pretext.coder",
    "sslterm.methods.pretext.confusion",
    "sslterm.methods.pretext.puzzle",
}
"""All of `methods` that anything names: the catalog finds the rest."""

READERS = (
    "errors",
    "catalog",
    "run",
    "config",
    "render",
    "report",
    "mirror",
    "tui",
    "cli",
    "__main__",
    "data.catalog",
)
TRAINING_LIBRARIES = {"torch", "torchvision", "safetensors", "sklearn", "scipy", "lightly"}
SCREEN_LIBRARIES = {"textual", "typer", "click", "rich"}

LIBRARIES: dict[str, set[str]] = {
    "errors": set(),
    "catalog": set(),
    "run": {"numpy"},
    "config": {"tomli_w"},
    "render": {"numpy", "PIL"},
    "mirror": {"numpy", "PIL", "tensorboardX", "tomli_w"},
    "report": {"PIL", "jinja2", "markupsafe", "tomli_w"},
    "data.catalog": {"platformdirs"},
}
"""All that the lower floors of the readers may import besides the standard library."""


@dataclass(frozen=True)
class Import:
    """One import statement, or a call that imports by name."""

    importer: str
    """Module that contains it."""
    target: str
    """Module that is imported, or its package where that is all that can be told."""
    line: int
    place: Literal["top", "function", "types"]
    """Runs when the module is imported, when a function is called, or only for a type checker."""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


class _Visitor(ast.NodeVisitor):
    """Collects (name, line, place) of every import of a module."""

    def __init__(self, module: str, *, is_package: bool, known: set[str]) -> None:
        self.found: list[tuple[str, int, Literal["top", "function", "types"]]] = []
        self._package = module if is_package else module.rpartition(".")[0]
        self._known = known
        self._place: Literal["top", "function", "types"] = "top"

    def _add(self, name: str, node: ast.stmt | ast.expr) -> None:
        self.found.append((name, node.lineno, self._place))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parents = self._package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            self._add(submodule if submodule in self._known else base, node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
            self._add(str(first.value), node)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self._place = self._place, "function" if self._place == "top" else self._place
        self.generic_visit(node)
        self._place = before

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        test = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        before = self._place
        if test == "TYPE_CHECKING":
            self._place = "types"
        for statement in node.body:
            self.visit(statement)
        self._place = before
        for statement in node.orelse:
            self.visit(statement)


class Tree:
    """The modules of a package, and their imports."""

    def __init__(self, package: Path) -> None:
        files = {self._name(path, package): path for path in sorted(package.rglob("*.py"))}
        self.modules = set(files)
        self.imports: dict[str, list[Import]] = {}
        for name, path in files.items():
            visitor = _Visitor(name, is_package=path.name == "__init__.py", known=self.modules)
            visitor.visit(ast.parse(path.read_text(), filename=str(path)))
            self.imports[name] = [Import(name, *found) for found in visitor.found]

    @staticmethod
    def _name(path: Path, package: Path) -> str:
        parts = path.relative_to(package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def all(self) -> Iterator[Import]:
        for imports in self.imports.values():
            yield from imports

    def part(self, module: str) -> str:
        """sslterm.run.layout -> run; "" for the package itself and for other packages."""
        head, *rest = module.split(".")
        return rest[0] if head == "sslterm" and rest else ""

    def within(self, part: str) -> list[str]:
        prefix = f"sslterm.{part}"
        return [name for name in self.modules if name == prefix or name.startswith(prefix + ".")]

    def _run_by(self, module: str) -> list[str]:
        """What is run to import a module: the packages it is in, and itself."""
        parts = module.split(".")
        names = [".".join(parts[: n + 1]) for n in range(len(parts))]
        return [name for name in names if name in self.modules]

    def drags_in(self, modules: Iterable[str], libraries: set[str]) -> list[str]:
        """Chains of imports from `modules` to one of `libraries`, when they are imported."""
        chains = {name: [name] for module in modules for name in self._run_by(module)}
        waiting, bad = list(chains), []
        while waiting:
            name = waiting.pop()
            for found in self.imports[name]:
                if found.place != "top":
                    continue
                if found.target.split(".")[0] in libraries:
                    bad.append(" -> ".join([*chains[name], found.target]))
                for target in self._run_by(found.target):
                    if target not in chains:
                        chains[target] = [*chains[name], target]
                        waiting.append(target)
        return bad


def upward(tree: Tree) -> list[str]:
    """Imports of a part that the importing part may not import."""
    bad = []
    for found in tree.all():
        here, there = tree.part(found.importer), tree.part(found.target)
        if not there or here == there or there in MAY_IMPORT.get(here, set()):
            continue
        if here == "tui" and found.target == CATALOG_OF_DATA:
            continue
        if here == "cli" and there in CLI_WITHIN_A_FUNCTION and found.place == "function":
            continue
        bad.append(str(found))
    return bad


def methods_by_name(tree: Tree) -> list[str]:
    """Imports of a method, by another or by anything else."""
    return [
        str(found)
        for found in tree.all()
        if found.target.startswith("sslterm.methods.") and found.target not in BASES_OF_METHODS
    ]


def libraries_beyond(tree: Tree, part: str, allowed: set[str]) -> list[str]:
    """Imports of a part that are neither its own package's, the standard library's, nor allowed."""
    known = {*sys.stdlib_module_names, "sslterm"} | allowed
    imports = (found for name in tree.within(part) for found in tree.imports[name])
    return [str(found) for found in imports if found.target.split(".")[0] not in known]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(PACKAGE)


def test_every_part_has_a_floor(tree: Tree) -> None:
    assert {tree.part(name) for name in tree.modules} - {""} <= MAY_IMPORT.keys(), (
        "say in MAY_IMPORT where it stands"
    )


def test_the_package_itself_imports_nothing(tree: Tree) -> None:
    assert tree.imports["sslterm"] == []


def test_imports_go_downwards(tree: Tree) -> None:
    assert upward(tree) == []


def test_floors_have_no_cycles() -> None:
    """The table itself goes downwards: whoever may be imported may not import back."""
    above: dict[str, set[str]] = {part: set(below) for part, below in MAY_IMPORT.items()}
    while above:
        ground = {part for part, below in above.items() if not below & above.keys()}
        assert ground, f"these may import each other in a circle: {sorted(above)}"
        above = {part: below for part, below in above.items() if part not in ground}


def test_no_method_is_imported_by_name(tree: Tree) -> None:
    assert methods_by_name(tree) == []


def test_readers_never_reach_the_training_libraries(tree: Tree) -> None:
    modules = [name for part in READERS for name in tree.within(part)]
    assert len(modules) > len(READERS)
    assert tree.drags_in(modules, TRAINING_LIBRARIES) == []


def test_only_the_live_view_draws_with_textual(tree: Tree) -> None:
    modules = [name for name in tree.modules if tree.part(name) != "tui"]
    assert tree.drags_in(modules, {"textual"}) == []


def test_trainers_know_no_screen(tree: Tree) -> None:
    parts = ("rows", "nn", "data", "augment", "methods", "evaluate", "engine", "train", "bench", "worker")
    modules = [name for part in parts for name in tree.within(part)]
    assert tree.drags_in(modules, SCREEN_LIBRARIES) == []


@pytest.mark.parametrize("part", LIBRARIES)
def test_the_lower_floors_of_readers_need_little(tree: Tree, part: str) -> None:
    assert libraries_beyond(tree, part, LIBRARIES[part]) == []


def test_importing_readers_imports_neither_torch_nor_textual(tree: Tree) -> None:
    """The same of a real process, with all that other libraries drag in."""
    modules = [name for part in READERS for name in tree.within(part)]
    modules = sorted(name for name in modules if tree.part(name) not in ("tui", "__main__"))
    script = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"print(*sorted({TRAINING_LIBRARIES | {'textual'}} & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == []


# -- that the checks find what they look for

CLEAN = {
    "__init__.py": "",
    "errors.py": "",
    "run/__init__.py": "",
    "run/layout.py": "import os\nimport numpy as np\nfrom sslterm.errors import UsageError",
    "methods/__init__.py": "",
    "methods/base.py": "import torch\nfrom sslterm.run.layout import RunDirectory",
    "methods/vae.py": "from sslterm.methods.base import Method",
    "tui/__init__.py": "from sslterm.tui.app import watch",
    "tui/app.py": "import textual",
    "cli/__init__.py": "",
    "cli/app.py": "import typer\ndef show():\n    from sslterm.tui import watch",
}


def tree_of(folder: Path, **changed: str) -> Tree:
    """The clean package with some files changed: `run__layout="import torch"`."""
    files = CLEAN | {name.replace("__", "/") + ".py": text for name, text in changed.items()}
    for name, text in files.items():
        path = folder / "sslterm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(folder / "sslterm")


def test_a_clean_package_passes(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    assert upward(tree) == methods_by_name(tree) == libraries_beyond(tree, "run", {"numpy"}) == []
    assert tree.drags_in(tree.within("run") + tree.within("cli"), {"torch", "textual"}) == []
    assert tree.drags_in(["sslterm.methods.vae"], {"torch"}) == [
        "sslterm.methods.vae -> sslterm.methods.base -> torch"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import sslterm.methods.base",
        "from sslterm.methods import base",
        "from sslterm.methods.base import Method as M",
        "from sslterm import methods",
        "from .. import methods",
        "from ..methods.base import Method",
        "def f():\n    import sslterm.methods.base",
        "class A:\n    try:\n        import sslterm.methods.base\n    except ImportError: pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sslterm.methods.base import Method",
        "import importlib\nimportlib.import_module('sslterm.methods.base')",
    ],
)
def test_an_import_upwards_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    (found,) = upward(tree_of(tmp_path, run__layout=text))
    assert found.startswith("sslterm.run.layout:")
    assert "imports sslterm.methods" in found


def test_siblings_methods_and_early_imports_are_found(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        methods__gan="from sslterm.methods.vae import VAE",
        nn__resnet="from sslterm.data.batch import Batch",
        data__batch="import torch",
        cli__app="from sslterm.tui import watch\nfrom sslterm.cli.plot import plot",
        cli__plot="import rich\nimport sslterm.methods.base\n",
        run__layout="import pandas",
    )
    assert methods_by_name(tree) == ["sslterm.methods.gan:1 imports sslterm.methods.vae"]
    assert upward(tree) == [
        "sslterm.cli.app:1 imports sslterm.tui",
        "sslterm.cli.plot:2 imports sslterm.methods.base",
        "sslterm.nn.resnet:1 imports sslterm.data.batch",
    ]
    assert tree.drags_in(["sslterm.cli.app"], {"textual"}) == [
        "sslterm.cli.app -> sslterm.tui -> sslterm.tui.app -> textual"
    ]
    assert tree.drags_in(["sslterm.cli.app"], {"torch"}) == [
        "sslterm.cli.app -> sslterm.cli.plot -> sslterm.methods.base -> torch"
    ]
    assert libraries_beyond(tree, "run", {"numpy"}) == ["sslterm.run.layout:1 imports pandas"]
