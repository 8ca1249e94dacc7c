"""`sslterm runs`: list, show, compare and remove runs; packing them is in `archive`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from sslterm.cli.archive import export, import_
from sslterm.cli.complete import complete_field, complete_run
from sslterm.cli.group import new_group
from sslterm.cli.options import AsJson, Root, RunName
from sslterm.cli.output import note, on_a_terminal, print_fields, print_json, print_line, print_table
from sslterm.cli.run_facts import age, compare, describe, headline, read_config, state_of, summarize
from sslterm.config.override import flatten
from sslterm.errors import UsageError
from sslterm.render.quantity import amount, duration, memory, number, whole
from sslterm.run.layout import RunDirectory, find_run, list_runs, runs_root
from sslterm.run.query import Facts, check_keys, check_order, parse, parse_order, sort_key
from sslterm.run.removal import refuse_live, remove_run
from sslterm.run.status import read_status

app = new_group(
    "List, show, compare, remove, pack and unpack runs; alone it lists them.",
    "sslterm runs                        list them, newest first",
    "sslterm runs show last              how the newest stands",
    "sslterm runs export last            pack it into one file",
)

RunNames = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN", help="Names, unique prefixes, paths, or `last`.", autocompletion=complete_run
    ),
]


@app.callback()
def start(ctx: typer.Context) -> None:
    """List, show, compare, remove, pack and unpack runs; alone it lists them."""
    if ctx.invoked_subcommand is None:
        show_list()


@app.command("list", short_help="List them, newest first.")
def show_list(
    runs: Root = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="QUERY", help="Only those that it picks: 'method = vae and test/knn > 0.8'."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The least of a key first; -KEY: the greatest first.",
            autocompletion=complete_field,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first.

    A query compares (= != < <= > >=, ~ for a part of a text) name, method, preset, state, step, images, age, any path
    of the configuration and the last value of any metric; `and`, `or`, `not` and brackets join; a word alone is a part
    of the name.

    \b
    Examples:
      sslterm runs list
      sslterm runs list --where "method = vae and test/knn > 0.8" --sort -test/knn
      sslterm runs list --where "state = running or age < 2h" --json
    """
    root = runs_root(runs)
    everything = list_runs(root)
    found = pick(everything, where or "", sort)
    if as_json:
        print_json([summarize(run) for run in found])
        return
    print_runs(found)
    if everything and not found:
        note(f"none of {len(everything)} runs in {root} is picked by: {where}")
    elif not found:
        note(f"there is no run in {root} yet; start one: sslterm train vae --preset digits")


def pick(runs: list[RunDirectory], where: str, sort: str | None) -> list[RunDirectory]:
    """The runs that a query picks, in the order asked for; the order given where none is.

    Raises:
        UsageError: the query or the key is none, or no run has a key.
    """
    query = parse(where)
    order = parse_order(sort) if sort is not None else None
    if not query.text.strip() and order is None:
        return runs
    facts = {run.path: _facts(run) for run in runs}
    check_keys(query, facts.values())
    found = [run for run in runs if query.matches(facts[run.path])]
    if order is not None:
        check_order(order, facts.values())
        rank = sort_key(order)
        found.sort(key=lambda run: rank(facts[run.path]))
    return found


def _facts(run: RunDirectory) -> Facts:
    """What a query may ask of a run, as this command prints it."""
    summary, status = summarize(run), read_status(run.status)
    fields = {key: summary[key] for key in ("name", "method", "preset", "state", "step", "images")}
    fields["age"] = max(time.time() - status.heartbeat, 0.0) if status else None
    config = flatten(read_config(run))
    return Facts(fields, lambda: config, summary["metrics"])


def print_runs(runs: list[RunDirectory]) -> None:
    """The table of `runs list`, on stdout."""
    if not runs:
        return
    now = time.time()
    rows = []
    for run in runs:
        facts, status = summarize(run), read_status(run.status)
        done = f"{min(status.images / status.total_images, 1):.0%}" if status and status.total_images else ""
        images = amount(facts["images"]) if facts["images"] else ""
        seen = age(now - status.heartbeat) if status else ""
        rows.append((run.name, facts["state"], done, images, headline(facts), seen))
    header = ("RUN", "STATE", "DONE", "IMAGES", "RESULT", "SEEN")
    print_table(header, rows, right=("DONE", "IMAGES"))


@app.command("show", short_help="How a run stands: progress, metrics, warnings.")
def show(
    run: RunName,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show how a run stands: progress, newest metrics, checkpoints, panels, warnings.

    \b
    Examples:
      sslterm runs show last
      sslterm runs show vae-digits-1 --json
    """
    facts = describe(find_run(run, runs_root(runs)))
    if as_json:
        print_json(facts)
    else:
        _print_run(facts)


def _print_run(facts: dict[str, Any]) -> None:
    total = facts["total_images"]
    done = (
        f"{whole(facts['images'])} of {whole(total)} images ({min(facts['images'] / total, 1):.0%})"
        if total
        else ""
    )
    left = f", {duration(facts['seconds_left'])} left" if facts["seconds_left"] is not None else ""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["started"])) if facts["started"] else ""
    print_fields(
        [
            ("run", facts["name"]),
            ("method", f"{facts['method']}, preset {facts['preset']}"),
            ("state", facts["state"]),
            ("message", facts["message"]),
            ("done", f"{done}, step {whole(facts['step'])}, epoch {facts['epoch']}" if done else ""),
            ("time", f"{duration(facts['elapsed_seconds'])}{left}" if facts["elapsed_seconds"] else ""),
            ("rate", f"{amount(facts['images_per_second'])} images/s" if facts["images_per_second"] else ""),
            ("on", f"{facts['device']}, {facts['precision']}, {facts['host']}" if facts["device"] else ""),
            ("size", f"{whole(facts['parameters'])} parameters" if facts["parameters"] else ""),
            ("started", started),
            ("path", f"{facts['path']} ({memory(facts['bytes'])})"),
            ("checkpoints", ", ".join(map(whole, facts["checkpoints"]))),
            ("panels", ", ".join(f"{name} ({len(images)})" for name, images in facts["panels"].items())),
        ]
    )
    if facts["metrics"]:
        print_line()
        print_fields([(name, number(value)) for name, value in facts["metrics"].items()])
    for warning in facts["warnings"]:
        print_line(f"warning at step {warning['step']}: {warning['text']}")


@app.command("diff", short_help="Where runs differ.")
def diff(
    names: RunNames,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show where runs differ: their configurations, and what came out.

    \b
    Examples:
      sslterm runs diff vae-digits-1 vae-digits-2
    """
    if len(names) < 2:
        raise UsageError("runs diff needs two runs or more")
    root = runs_root(runs)
    found = compare([find_run(name, root) for name in names])
    if as_json:
        print_json(found)
        return
    values = {key: [_shown(value) for value in row] for key, row in found["config"].items()}
    values |= {name: [_shown(value) for value in row] for name, row in found["metrics"].items()}
    if not values:
        note("they do not differ")
        return
    print_table(("", *found["runs"]), [(key, *row) for key, row in values.items()])


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)


@app.command("rm", short_help="Remove runs with all they hold.")
def remove(
    names: RunNames,
    runs: Root = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove runs with all they hold; asks first, and refuses while one is training.

    \b
    Examples:
      sslterm runs rm vae-digits-1
      sslterm runs rm vae-digits-1 vae-digits-2 --yes
    """
    root = runs_root(runs)
    found = list({run.path.resolve(): run for run in (find_run(name, root) for name in names)}.values())
    for run in found:
        refuse_live(run)
    if not yes:
        if not on_a_terminal():
            raise UsageError(
                "runs rm asks before it removes, and there is no terminal to ask on", "add --yes"
            )
        what = found[0].name if len(found) == 1 else f"{len(found)} runs"
        for run in found:
            print_fields([(run.name, f"{state_of(read_status(run.status))}, {run.path}")])
        if not typer.confirm(f"Remove {what} for good?"):
            note("nothing was removed")
            return
    removed = []
    for run in found:
        remove_run(run)
        removed.append(run.name)
        if not as_json:
            typer.echo(f"removed {run.name}")
    if as_json:
        print_json({"removed": removed})


app.command("export", short_help="Pack a run into one file.")(export)
app.command("import", short_help="Take in a run that was packed elsewhere.")(import_)
