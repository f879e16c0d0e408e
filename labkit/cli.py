"""``labkit`` in a terminal: install, doctor, up, down, status, lab, lessons, export, bench."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.brokers import BROKERS
from labkit.errors import LabError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed (says why and what to try), 2 wrong usage."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except LabError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labkit: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labkit", description="Run real message brokers to learn from.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    install = commands.add_parser("install", help="fetch what the brokers need, into the lab's own folder")
    _add_brokers(install)
    install.set_defaults(run=_install)

    doctor = commands.add_parser("doctor", help="show what was found for each broker, and what is missing")
    doctor.set_defaults(run=_doctor)

    up = commands.add_parser("up", help="start brokers that stay until `labkit down`")
    _add_brokers(up)
    _add_name(up)
    up.add_argument(
        "--standard-ports",
        action="store_true",
        help="listen on 4222, 5672, 6379 and 9092 instead of free ports",
    )
    up.add_argument("--keep", action="store_true", help="keep the data for the next lab of this name")
    up.add_argument(
        "--how",
        choices=("process", "container"),
        help="run them as processes or in containers (default: LABKIT_HOW, or processes)",
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="end the brokers that `labkit up` started")
    _add_name(down)
    down.set_defaults(run=_down)

    status = commands.add_parser(
        "status", help="show running brokers: processes, ports, versions, memory, age"
    )
    status.set_defaults(run=_status)

    lab = commands.add_parser("lab", help="open JupyterLab on the first lesson")
    lab.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    lab.add_argument("--port", type=int, default=0, help="listen here instead of on a free port")
    lab.add_argument("--ip", default="127.0.0.1", help="listen on this address (inside a container: 0.0.0.0)")
    lab.set_defaults(run=_lab)

    _add_lessons(commands)
    _add_export(commands)

    bench = commands.add_parser("bench", help="measure the lab's channels beside the raw clients")
    _add_brokers(bench)
    bench.add_argument(
        "--only", action="append", default=[], metavar="WORDS", help="cells whose name has this in it: stream"
    )
    bench.add_argument("--quick", action="store_true", help="one size and few rounds: does it work at all?")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here, too")
    bench.add_argument("--save", action="store_true", help="write table, picture and JSON to docs/bench, too")
    bench.set_defaults(run=_bench)
    return parser


def _add_lessons(commands: Any) -> None:
    lessons = commands.add_parser("lessons", help="list the lessons, and what you have done of them")
    lessons.set_defaults(run=_lessons)
    acts = lessons.add_subparsers(title="commands", metavar="COMMAND")

    following = acts.add_parser("next", help="open JupyterLab on the first lesson you have not done")
    following.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    following.set_defaults(run=_lessons_next)

    reset = acts.add_parser("reset", help="forget what you did, and put changed notebooks back as they came")
    reset.add_argument("lesson", nargs="?", metavar="LESSON", help="say, 01_publish_subscribe; all if none")
    reset.set_defaults(run=_lessons_reset)

    hint = acts.add_parser("hint", help="print the next hint for an exercise")
    hint.add_argument("exercise", metavar="EXERCISE", help="its name, as in exercise(...)")
    hint.add_argument("--solution", action="store_true", help="print the solution instead")
    hint.set_defaults(run=_lessons_hint)


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="write a lesson's pattern as a script with plain clients")
    export.add_argument("lesson", nargs="?", metavar="LESSON", help="say, 03_work_queue; none lists them")
    _add_brokers(export)
    export.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="write here (default: .)")
    export.add_argument("--force", action="store_true", help="overwrite what is there")
    export.set_defaults(run=_export)


def _add_brokers(command: argparse.ArgumentParser) -> None:
    command.add_argument("brokers", nargs="*", metavar="BROKER", help=f"of {', '.join(BROKERS)}; all if none")


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default="lab", help="the lab's name, for several at once (default: lab)")


def _chosen(options: argparse.Namespace) -> tuple[str, ...]:
    unknown = [broker for broker in options.brokers if broker not in BROKERS]
    if unknown:
        raise LabError(f"There is no broker {unknown[0]!r}.", remedy=f"one of {', '.join(BROKERS)}")
    return tuple(options.brokers) or tuple(BROKERS)


# Each command imports what it needs, so that `labkit --help` answers at once.


def _install(options: argparse.Namespace) -> int:
    from labkit.programs.install import main_install

    return main_install(_chosen(options))


def _doctor(options: argparse.Namespace) -> int:
    from labkit.programs.doctor import main_doctor

    return main_doctor(BROKERS)


def _up(options: argparse.Namespace) -> int:
    from labkit.servers.terminal import main_up

    return main_up(_chosen(options), options.name, options.standard_ports, options.keep, options.how)


def _down(options: argparse.Namespace) -> int:
    from labkit.servers.terminal import main_down

    return main_down(options.name)


def _status(options: argparse.Namespace) -> int:
    from labkit.servers.terminal import main_status

    return main_status()


def _lab(options: argparse.Namespace) -> int:
    from labkit.jupyter import main_lab

    return main_lab(port=options.port, open_browser=not options.no_browser, ip=options.ip)


def _lessons(options: argparse.Namespace) -> int:
    from labkit.lessons.terminal import main_list

    return main_list()


def _lessons_next(options: argparse.Namespace) -> int:
    from labkit.jupyter import main_lab
    from labkit.lessons.terminal import next_lesson

    return main_lab(open_browser=not options.no_browser, lesson=f"{next_lesson().file}.ipynb")


def _lessons_reset(options: argparse.Namespace) -> int:
    from labkit.lessons.terminal import main_reset

    return main_reset(options.lesson)


def _lessons_hint(options: argparse.Namespace) -> int:
    from labkit.lessons.terminal import main_hint

    return main_hint(options.exercise, options.solution)


def _export(options: argparse.Namespace) -> int:
    from labkit.lessons.export import main_export, main_exportable

    if options.lesson is None:
        return main_exportable()
    return main_export(options.lesson, _chosen(options), options.to, options.force)


def _bench(options: argparse.Namespace) -> int:
    from labkit.bench.terminal import main_bench

    brokers, only = _chosen(options), options.only
    return main_bench(brokers, only=only, quick=options.quick, json_file=options.json, save=options.save)
