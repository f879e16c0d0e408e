"""How RabbitMQ is run: its Erlang directly, without the shell script and without the epmd daemon.

What the script does besides is choosing settings, made here by name. Two things make it start in a third of
the time: only the plugins that are needed are on its path, and a list of its modules is loaded on every core
before it boots.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from labkit.errors import ServerError
from labkit.home import programs_folder
from labkit.programs.program import Program
from labkit.servers.ports import LOOPBACK
from labkit.servers.recipe import Launch

__all__ = ["PORTS", "launch", "prepare", "probe", "url"]

PORTS = {"client": 5672, "cluster": 25672}

USER = PASSWORD = VHOST = "lab"
NODE = "lab@localhost"
PLUGINS = ("rabbit", "rabbitmq_prelaunch")
MODULES_FILE = "modules.erl"
MODULES_AT_ONCE = 150
"""Modules a loading call takes. One call with all of them makes the node's memory half as large again."""

PREPARE_SECONDS = 60.0
APPLICATIONS = re.compile(r"\{applications,\s*\[(.*?)\]\}", re.DOTALL)

# What RabbitMQ's own start script passes to its Erlang.
ERLANG_FLAGS = (
    *("-boot", "start_sasl", "+W", "w", "+MBas", "ageffcbf", "+MHas", "ageffcbf", "+MBlmbcs", "512"),
    *("+MHlmbcs", "512", "+MMmcs", "30", "+P", "1048576", "+t", "5000000", "+stbt", "db", "+zdbbl", "128000"),
    *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+B", "i", "-syslog", "logger", "[]"),
    *("-syslog", "syslog_error_logger", "false", "-kernel", "prevent_overlapping_partitions", "false"),
    *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
)

CONFIGURATION = f"""
listeners.tcp.1 = {LOOPBACK}:{{client}}
loopback_users = none
default_user = {USER}
default_pass = {PASSWORD}
default_vhost = {VHOST}
log.file = false
log.console = true
log.console.level = info
disk_free_limit.absolute = 50MB
"""

PRELOAD = """
{ok, [Lists]} = file:consult(os:getenv("LABKIT_MODULES")),
[code:ensure_modules_loaded(List) || List <- Lists],
erlang:garbage_collect().
"""

RECORD = """
spawn(fun() ->
    Wait = fun(Again) -> case catch rabbit:is_running() of
        true -> ok;
        _ -> timer:sleep(50), Again(Again)
    end end,
    Wait(Wait),
    timer:sleep(1000),
    Modules = [Module || {Module, File} <- code:all_loaded(), is_list(File), File =/= []],
    File = os:getenv("LABKIT_MODULES"),
    ok = file:write_file(File ++ ".partial", io_lib:format("~p.~n", [Modules])),
    ok = file:rename(File ++ ".partial", File)
end).
"""


def url(ports: Mapping[str, int]) -> str:
    """Return the address for clients. The virtual host is ``lab``, because ``/`` has to be quoted in URLs."""
    return f"amqp://{USER}:{PASSWORD}@{LOOPBACK}:{ports['client']}/{VHOST}"


def launch(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
    """Write the configuration and return what is run. Its database is ``folder/mnesia``."""
    modules = _cache(program) / MODULES_FILE
    start = ("-eval", _one_line(PRELOAD)) if modules.is_file() else ()
    return _launch(program, folder, ports, start, modules)


def _launch(
    program: Program, folder: Path, ports: Mapping[str, int], start: tuple[str, ...], modules: Path
) -> Launch:
    _write_configuration(folder, ports)
    erlang = program.parts["erlang"]
    binaries = next(erlang.glob("erts-*")) / "bin"
    port = str(ports["cluster"])
    argv = (
        *(str(binaries / "erlexec"), "-noinput", *start, "-s", "rabbit", "boot", *ERLANG_FLAGS),
        *("-kernel", "inet_dist_listen_min", port, "-kernel", "inet_dist_listen_max", port),
        *("-sname", NODE, "-setcookie", "lab", "-start_epmd", "false", "-erl_epmd_port", port),
    )
    libraries = _link_plugins(program.path / "plugins", folder / "plugins")
    etc = folder / "etc"
    env = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        "ROOTDIR": str(erlang),
        "BINDIR": str(binaries),
        "EMU": "beam",
        "PROGNAME": "erl",
        "ERL_LIBS": str(libraries),
        "ERL_CRASH_DUMP_SECONDS": "0",
        "ERL_MAX_PORTS": "4096",
        "ERL_MAX_ETS_TABLES": "50000",
        "LABKIT_MODULES": str(modules),
        "SYS_PREFIX": "",
        "RABBITMQ_HOME": str(program.path),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_DIST_PORT": port,
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_PLUGINS_DIR": str(libraries),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins-expand"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_MNESIA_DIR": str(folder / "mnesia" / "db"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(etc / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(etc / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(etc / "generated"),
    }
    return Launch(argv, env)


def _write_configuration(folder: Path, ports: Mapping[str, int]) -> None:
    etc = folder / "etc"
    for needed in (etc, folder / "home"):
        needed.mkdir(parents=True, exist_ok=True)
    (etc / "env.conf").touch()
    (etc / "enabled_plugins").write_text("[].\n")
    (etc / "rabbitmq.conf").write_text(CONFIGURATION.format(**ports))


def _link_plugins(plugins: Path, into: Path) -> Path:
    """Return a folder with only the plugins that are needed: Erlang looks for each module in each of them."""
    needed = _needed(plugins)
    if not needed:
        return plugins  # packed in another way than we know: take all
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    for plugin in needed:
        (into / plugin.name).symlink_to(plugin)
    return into


def _needed(plugins: Path) -> tuple[Path, ...]:
    folders = {plugin.name.rsplit("-", 1)[0]: plugin for plugin in plugins.glob("*-*") if plugin.is_dir()}
    needed: dict[str, Path] = {}
    pending = list(PLUGINS)
    while pending:
        name = pending.pop()
        if name in folders and name not in needed:
            needed[name] = folders[name]
            pending.extend(_dependencies(folders[name], name))
    return tuple(needed.values()) if needed.keys() >= set(PLUGINS) else ()


def _dependencies(plugin: Path, name: str) -> Iterator[str]:
    """Yield what an Erlang application says it needs."""
    text = (plugin / "ebin" / f"{name}.app").read_text(errors="replace")
    listed = APPLICATIONS.search(text)
    yield from re.findall(r"[a-z]\w*", listed[1]) if listed else ()


async def probe(url: str) -> str:
    """Return the version once a connection is open on the virtual host."""
    import aiormq  # here, so that it is loaded while the broker starts

    from labkit.brokers.client import keep_log_quiet

    keep_log_quiet("aiormq")
    connection = await aiormq.connect(url)
    properties = connection.server_properties
    await connection.close()
    version = properties.get("version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def prepare(program: Program, say: Callable[[str], None]) -> None:
    """Make the list of modules to load first, from a node that is running. Takes four seconds, once."""
    modules = _cache(program) / MODULES_FILE
    if modules.is_file():
        return
    say("making its list of modules, so that it starts three times as fast")
    modules.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_record(program, modules))


async def _record(program: Program, modules: Path) -> None:
    from labkit.servers.rehearsal import rehearse

    with tempfile.TemporaryDirectory(dir=modules.parent) as scratch:
        recorded = Path(scratch) / MODULES_FILE

        def launch_recording(program: Program, folder: Path, ports: Mapping[str, int]) -> Launch:
            return _launch(program, folder, ports, ("-eval", _one_line(RECORD)), recorded)

        async with rehearse(program, launch_recording), asyncio.timeout(PREPARE_SECONDS):
            while not recorded.is_file():  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.05)
        names = re.findall(r"'[^']*'|[a-z]\w*", recorded.read_text())
    if not names:
        raise ServerError("RabbitMQ told no modules.", broker="rabbitmq", remedy="labkit install rabbitmq")
    chunks = (names[at : at + MODULES_AT_ONCE] for at in range(0, len(names), MODULES_AT_ONCE))
    partial = modules.with_suffix(".partial")
    partial.write_text("[" + ",\n".join(f"[{','.join(chunk)}]" for chunk in chunks) + "].\n")
    partial.rename(modules)


def _cache(program: Program) -> Path:
    """Return the folder for what was prepared for exactly this RabbitMQ on this Erlang."""
    erts = next(program.parts["erlang"].glob("erts-*")).name
    return programs_folder() / "prepared" / f"rabbitmq-{program.version}-{erts}"


def _one_line(code: str) -> str:
    return " ".join(code.split())
