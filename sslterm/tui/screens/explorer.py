"""What the screens that explore a run share: a worker that is asked without waiting, and its ups and downs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen

from sslterm.catalog import Capability
from sslterm.errors import SsltermError
from sslterm.render.cells import text_width
from sslterm.render.palette import ACCENT, ERROR, MUTED
from sslterm.render.quantity import amount
from sslterm.run.checkpoints import checkpoint_counts
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader
from sslterm.run.worker_client import Worker
from sslterm.run.worker_thread import Answer, Asked, Progress, WorkerThread
from sslterm.tui.export import ask_to_write_screen
from sslterm.tui.facts import LIVE, entry_of
from sslterm.tui.key import Key
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.explorer_layout import share_out
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.decoded_view import DecodedView
from sslterm.tui.widgets.headline import Headline
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.strips import Strips

TICK_SECONDS = 0.25
_TICKS_A_LOOK = 4
"""The run directory is looked at once in so many ticks."""
_RETRY = "enter starts it again"

StartWorker = Callable[[RunDirectory, bool], AbstractContextManager[Asked]]
"""(run, whether it is being trained) -> a worker."""


def start_worker(run: RunDirectory, live: bool) -> AbstractContextManager[Asked]:
    """A worker that does not disturb the training.

    The device of a run in training is the trainer's: on a GPU a second process takes half a gigabyte for itself,
    and running out of memory would end the training. So the worker computes on the CPU then, with one thread at a
    low priority; a single image takes milliseconds there. Afterwards it takes the fastest device there is.
    """
    return Worker(run, "cpu", background=True) if live else Worker(run, "auto")


class ExplorerScreen(Screen[None]):
    """Loads the newest checkpoint of a run in a worker, which ends with the screen.

    Subclasses ask with `ask`, and are told by `answered`; `first_question` is asked when a worker has started or
    has gone over to another checkpoint.
    """

    needs: ClassVar[Capability]
    lacks: ClassVar[str]
    """What is said of a method without that capability, after its name."""
    key_table: ClassVar[tuple[Key, ...]]
    DEFAULT_CSS = """
    ExplorerScreen { background: ansi_default; }
    ExplorerScreen Headline { width: 1fr; height: 1; }
    ExplorerScreen #body { height: 1fr; background: ansi_default; }
    ExplorerScreen #body > * { height: 1fr; }
    ExplorerScreen .beside { margin-left: 2; }
    ExplorerScreen Strips { width: 1fr; }
    ExplorerScreen KeyBar { width: 1fr; height: 1; }
    """

    class Told(Message):
        """News from the worker."""

        def __init__(self, news: Answer | Progress, worker: WorkerThread) -> None:
            super().__init__()
            self.news, self.worker = news, worker

    def __init__(self, run: RunDirectory, start: StartWorker = start_worker) -> None:
        super().__init__()
        self.reader = RunReader(run)
        self.headline, self.key_bar = Headline(), KeyBar(self.key_table)
        self.picture, self.strips = DecodedView(), Strips()
        self.thread: WorkerThread | None = None
        self.images: int | None = None
        """Training images of the checkpoint that is loaded."""
        self.trouble = ""
        """Why there is nothing to explore, or no more answers."""
        self.hopeless = False
        """Nothing that may happen to the run will change that."""
        self._start = start
        self._doing = ""
        self._ticks = 0
        self._was_busy = False

    @property
    def left(self) -> Canvas:
        """The space that is explored."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield self.headline
        with Horizontal(id="body"):
            yield self.left
            yield self.picture
        yield self.strips
        yield self.key_bar

    def share_out(self, width: int, height: int, *, strips: bool, square: bool) -> None:
        """Give each widget its room, see `explorer_layout.share_out`."""
        rooms = share_out(width, height, strips=strips, square=square)
        self.headline.display, self.key_bar.display = rooms.head > 0, rooms.keys > 0
        self.strips.display, self.strips.styles.height = rooms.strip > 0, rooms.strip
        self.left.display = rooms.field > 0
        self.left.styles.width, self.picture.styles.width = rooms.field, rooms.image
        self.picture.set_class(rooms.field > 0, "beside")

    def on_mount(self) -> None:
        self.reader.refresh()
        self.set_interval(TICK_SECONDS, self.tick)
        self.begin()

    def on_unmount(self) -> None:
        if self.thread is not None:
            self.thread.close()

    # -- the worker

    def begin(self) -> None:
        """Start a worker, if the run can be explored already."""
        run, entry = self.reader.run, entry_of(self.reader.config)
        if entry is not None and self.needs not in entry.capabilities:
            self.trouble, self.hopeless = f"{entry.name} {self.lacks}", True
        elif not checkpoint_counts(run):
            self.trouble = "no checkpoint yet: what is explored is the newest one"
            if self.reader.state in LIVE:
                self.trouble += "; k on the screen of the run saves one now"
        else:
            live = self.reader.state in LIVE
            thread = WorkerThread(lambda: self._start(run, live), lambda news: self._deliver(news, thread))
            self.thread, self.trouble, self._doing = thread, "", f"loading {run.name}"
            self.first_question()
        self.tell()

    def _deliver(self, news: Answer | Progress, thread: WorkerThread) -> None:
        with suppress(RuntimeError):  # the application has ended meanwhile
            self.post_message(self.Told(news, thread))

    def ask(self, key: str, do: str, *, about: Any = None, **arguments: Any) -> None:
        if self.thread is not None:
            self.thread.ask(key, do, about=about, **arguments)

    def first_question(self) -> None:
        """Ask for what is shown first."""
        raise NotImplementedError

    def answered(self, answer: Answer, result: dict[str, Any]) -> None:
        """Take an answer.

        Raises:
            ValueError, KeyError, TypeError: it is none that was expected.
        """
        raise NotImplementedError

    def show_trouble(self) -> None:
        """Say `trouble` where there is nothing else to see."""
        raise NotImplementedError

    def on_explorer_screen_told(self, message: Told) -> None:
        message.stop()
        if message.worker is not self.thread:  # of one that has been given up
            return
        news = message.news
        if isinstance(news, Progress):
            many = f" {news.done:,} of {news.total:,}" if news.total > 1 else ""
            self._doing = f"{news.stage}{many}"
            self._was_busy = True
        elif news.error is not None:
            self._failed(news, news.error)
        else:
            self._take(news)
        self.tell()

    def _take(self, answer: Answer) -> None:
        result, self._doing = answer.result or {}, ""
        if answer.question.key == "reload":
            self.say(f"loaded the checkpoint at {amount(int(result.get('images', 0)))} images")
            self.first_question()
            return
        try:
            self.answered(answer, result)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self.say(f"the worker's answer cannot be read: {error!r}")

    def _failed(self, answer: Answer, error: SsltermError) -> None:
        self._doing = ""
        text = " · ".join(part for part in (error.message, error.hint) if part)
        if answer.died or self.images is None:
            if self.thread is not None:
                self.thread.close()
            self.thread, self.trouble = None, f"{text} · {_RETRY}"
        else:
            self.say(text)

    def action_again(self) -> None:
        """Start the worker again, which has died or could not load the run."""
        if self.thread is None and not self.hopeless:
            self.reader.refresh()
            self.begin()

    def action_newest(self) -> None:
        if self.thread is None:
            self.action_again()
        elif self.newer is not None:
            self._doing = "loading the checkpoint"
            self.ask("reload", "reload")
        else:
            self.say("this is the newest checkpoint")
        self.tell()

    @property
    def newer(self) -> int | None:
        """Training images of a checkpoint that is newer than the one loaded."""
        counts = checkpoint_counts(self.reader.run)
        return counts[-1] if counts and self.images is not None and counts[-1] > self.images else None

    # -- what is said

    def tick(self) -> None:
        self._ticks += 1
        busy = self.thread is not None and self.thread.busy
        look = self._ticks % _TICKS_A_LOOK == 0
        if look:
            self.reader.refresh()
            waits = self.thread is None and self.images is None and not self.hopeless
            if waits and not self.trouble.endswith(_RETRY):
                self.begin()
        if look or busy != self._was_busy:
            self._was_busy = busy
            self.tell()

    def about(self) -> list[tuple[int, str]]:
        """What the headline says of what is explored, with ranks."""
        return []

    def tell(self) -> None:
        """Say how things are in the first row."""
        at = [(2, f"checkpoint at {amount(self.images)} images")] if self.images is not None else []
        self.headline.tell(self.reader.run.name, self.reader.state, [*at, *self.about()])
        newer = self.newer
        if self.trouble and self.images is not None:
            self.headline.remark(self.trouble, ERROR)
        elif self._doing or (self._was_busy and self.thread is not None and self.thread.busy):
            self.headline.remark(f"{self._doing or 'working'} …")
        elif newer is not None:
            self.headline.remark(f"newer checkpoint at {amount(newer)} images: u loads it", ACCENT)
        else:
            self.headline.remark("", MUTED)
        self.show_trouble()

    @property
    def message(self) -> str:
        """What stands in an empty view."""
        return self.trouble or (f"{self._doing} …" if self._doing else "")

    def say(self, text: str) -> None:
        """Say something in place of the keys, until the next one."""
        self.key_bar.say(text)

    def say_saved(self, path: str, also: str) -> None:
        """Say where something was saved; a long path is cut at its beginning, which a person knows."""
        room = self.size.width - len(f"saved  and {also}")
        if text_width(path) > room:
            path = "…" + path[max(len(path) - room + 1, 0) :]
        self.say(f"saved {path} and {also}")

    def hush(self) -> None:
        if self.key_bar.notice:
            self.key_bar.say("")

    # -- keys that all have

    def action_write(self) -> None:
        ask_to_write_screen(self, self.reader.run, self.say)

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", self.key_table))

    def action_leave(self) -> None:
        """Back to the screen before; out, where there is none."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()
