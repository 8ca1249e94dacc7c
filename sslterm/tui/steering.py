"""What a person asks of a run's trainer from its screen: questions first where there is something to lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from sslterm.errors import SsltermError
from sslterm.run.launch import kill_trainer
from sslterm.run.reader import RunReader
from sslterm.tui.facts import LIVE
from sslterm.tui.requests import Requests
from sslterm.tui.screens.dialog import LineQuestion, Option, Question


class View(Protocol):
    """The screen from which a trainer is steered."""

    def say(self, text: str, *, stays: bool = False) -> None: ...
    def ask_person(self, dialog: Any, then: Callable[[str | None], None]) -> None: ...


class Steering:
    """Sends requests to one run's trainer, and says what came of them."""

    def __init__(self, reader: RunReader, view: View) -> None:
        self.reader = reader
        self.view = view
        self.requests = Requests(reader.run)

    @property
    def live(self) -> bool:
        return self.reader.state in LIVE

    def ask(self, do: str, what: str = "", **arguments: Any) -> bool:
        """Ask the trainer, and say so until it answers; whether it could be asked."""
        if not self.live:
            self.view.say(f"no trainer is at work on this run ({self.reader.state})")
            return False
        try:
            self.requests.ask(do, what, **arguments)
        except SsltermError as error:
            self.view.say(error.message)
            return False
        self.view.say(f"{what or do}: asked …", stays=True)
        return True

    def answers(self) -> list[str]:
        """What the trainer has answered since the last look; nothing is waited for from one that is gone."""
        found = self.requests.answers(self.reader.events)
        if self.requests.waiting and not self.live:
            self.requests.waiting.clear()
            found.append("")
        return found

    def pause(self) -> None:
        self.ask("continue" if self.reader.state == "paused" else "pause")

    def stop(self) -> None:
        """Ask whether to save and stop, or to kill."""
        if not self.live:
            self.ask("stop")
            return
        name = self.reader.run.name
        options = (
            Option("s", "stop", "save and stop"),
            Option("k", "kill", "kill at once: what came after the last checkpoint is lost"),
            Option("w", "", "keep training"),
        )
        title = f"Stop {name}? Go on later with sslterm resume {name}"
        self.view.ask_person(Question(title, options), self._stopped)

    def _stopped(self, answer: str | None) -> None:
        if answer == "stop":
            self.ask("stop")
        elif answer == "kill":
            options = (Option("y", "yes", "kill it"), Option("n", "", "leave it alone"))
            question = Question(f"Kill the trainer of {self.reader.run.name}?", options)
            self.view.ask_person(question, self._killed)

    def _killed(self, answer: str | None) -> None:
        if not answer:
            return
        try:
            kill_trainer(self.reader.run)
        except SsltermError as error:
            self.view.say(error.message)
        else:
            self.view.say("killed")

    def rate(self) -> None:
        """Ask for a new learning rate, of one of the parameter groups."""
        if not self.live:
            self.ask("set")
            return
        groups = self._rates()
        if not groups:
            self.view.say("this run's configuration names no learning rate")
        elif len(groups) == 1:
            self._ask_rate(next(iter(groups)))
        else:
            keys = "123456789"
            options = [
                Option(keys[number], name, f"optim.{name}.lr, {rate:g} in the preset")
                for number, (name, rate) in enumerate(list(groups.items())[: len(keys)])
            ]
            self.view.ask_person(
                Question("Which learning rate?", options), lambda name: self._ask_rate(name) if name else None
            )

    def _rates(self) -> dict[str, float]:
        """The base rate of each parameter group, as configured."""
        optim = self.reader.config.get("optim")
        sections = optim.items() if isinstance(optim, dict) else ()
        found = {name: section.get("lr") for name, section in sections if isinstance(section, dict)}
        return {name: float(lr) for name, lr in found.items() if isinstance(lr, int | float)}

    def _ask_rate(self, group: str) -> None:
        now = self.reader.status.last.get(f"{group}/lr") if self.reader.status else None
        about = f"it was configured as {self._rates()[group]:g}" + (
            f", and the schedule has brought it to {now:.3g}" if now is not None else ""
        )
        question = LineQuestion(
            f"New base learning rate of {group}: {about}",
            value=f"{self._rates()[group]:g}",
            check=_check_rate,
        )
        self.view.ask_person(question, lambda text: self._confirm_rate(group, text) if text else None)

    def _confirm_rate(self, group: str, text: str) -> None:
        key, value = f"optim.{group}.lr", float(text)
        options = (Option("y", "yes", "change it, from the next step on"), Option("n", "", "leave it"))

        def confirmed(answer: str | None) -> None:
            if answer:
                self.ask("set", f"{key} = {value:g}", key=key, value=value)

        self.view.ask_person(Question(f"Set {key} to {value:g}?", options), confirmed)


def _check_rate(text: str) -> str:
    """What is wrong with a learning rate as it was typed; "" where nothing is."""
    try:
        value = float(text)
    except ValueError:
        return "a number is needed, such as 3e-4"
    return "" if math.isfinite(value) and value > 0 else "a positive number is needed, such as 3e-4"
