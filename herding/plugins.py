"""Plugins: packages of other people that add node kinds, checks and document loaders.

A package names its plugin in the entry point group `herding.plugins`: a module, a class or an object with functions
marked with `hookimpl`. A plugin that fails while it loads is named with the reason and adds nothing; one that fails in
a call fails that call alone. Plugins run with all permissions of the app: install only those that you trust.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from herding.errors import HerdingError
from herding.values import PluginInfo

GROUP = "herding.plugins"
API = 1
"""The version of the hooks. A plugin may say which one it is written for, as `herding_api`."""

LOAD_SECONDS = 10.0
CALL_SECONDS = 5.0
BUILT_IN = "herding"

Check = Callable[[str, Any], str | None]
"""Judges a response with the argument of the prompt file; returns why it fails, None if it passes."""

T = TypeVar("T")
hookspec, hookimpl = pluggy.HookspecMarker("herding"), pluggy.HookimplMarker("herding")
log = logging.getLogger(__name__)


class Hooks:
    """The hooks that a plugin may implement. Each returns what the plugin adds, by name."""

    @hookspec
    def herding_node_kinds(self) -> Sequence[type]:
        """Return configuration classes of nodes: subclasses of `herding.nodes.base.NodeConfig`."""
        raise NotImplementedError

    @hookspec
    def herding_checks(self) -> Mapping[str, Check]:
        """Return checks by the name that prompt files use under `checks.plugins`."""
        raise NotImplementedError

    @hookspec
    def herding_document_loaders(self) -> Mapping[str, Callable[[bytes, str], str]]:
        """Return loaders by the ending of file names, without a dot.

        A loader is a function of a module. It gets the content and the title, and returns Markdown. It runs in a child
        process without network and environment.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Provided:
    """Node kinds, checks and loaders that one plugin adds."""

    node_kinds: tuple[type, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    loaders: Mapping[str, Callable[[bytes, str], str]] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return what it adds, in words."""
        kinds = [f"node kind {kind_name(kind)}" for kind in self.node_kinds]
        return (*kinds, *(f"check {name}" for name in self.checks), *(f"loader .{name}" for name in self.loaders))


class PluginError(Exception):
    """A plugin does not do what its hooks promise; the message says what."""


class Plugins:
    """The plugins of this installation: loaded ones, those that failed with the reason, and those switched off.

    `off` are names of plugins, or of their packages, that must not be loaded. Names that a built-in part has already
    are refused.
    """

    def __init__(self, *, off: Iterable[str] = (), seconds: float = LOAD_SECONDS) -> None:
        self._off, self._seconds = frozenset(off), seconds
        self._manager = pluggy.PluginManager("herding")
        self._manager.add_hookspecs(Hooks)
        self._infos: list[PluginInfo] = []
        self._owners: dict[str, str] = {}
        self.node_kinds: dict[str, type] = {}
        self.checks: dict[str, Check] = {}
        self.loaders: dict[str, str] = {}
        """The loaders by ending, each as `module:function`."""

    @property
    def infos(self) -> tuple[PluginInfo, ...]:
        """All plugins that were found, with their state."""
        return tuple(self._infos)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the plugins that failed to load, each with its reason."""
        return tuple(f"{info.name}: {info.problem}" for info in self._infos if info.state == "failed")

    @property
    def unloaded(self) -> tuple[str, ...]:
        """The names of the plugins that failed or are off, each with its reason."""
        return (*self.failed, *(f"{info.name}: switched off" for info in self._infos if info.state == "off"))

    def load(self) -> None:
        """Find the plugins of all installed packages and load them; a failure is logged and kept in `infos`."""
        for point in sorted(entry_points(group=GROUP), key=lambda found: found.name):
            self._load(point)

    def register(self, plugin: object, name: str, *, package: str = "", version: str = "") -> None:
        """Add a plugin. Raises PluginError for one that breaks the rules of its hooks."""
        declared = getattr(plugin, "herding_api", API)
        if declared != API:
            raise PluginError(f"it is written for version {declared} of the hooks; this is version {API}")
        self._manager.register(plugin, name=name)
        try:
            self._refuse_unknown_hooks(plugin)
            provided = self._provided(plugin)
            self._take(provided, name)
        except BaseException:
            self._manager.unregister(name=name)
            raise
        if name != BUILT_IN:
            self._infos.append(PluginInfo(name, package, version, "loaded", provided.names()))

    def owner(self, what: str) -> str:
        """Return the name of the plugin that adds `what`, such as `check polite`."""
        return self._owners[what]

    def reserve(self, names: Iterable[str]) -> None:
        """Refuse plugins that add one of these, such as `loader .txt`: a part of this package does it."""
        self._owners |= dict.fromkeys(names, BUILT_IN)

    def check(self, name: str, text: str, argument: Any) -> tuple[bool | None, str | None]:
        """Judge a response: whether it passes and why not. None if the check itself could not judge."""
        check = self.checks.get(name)
        if check is None:
            return None, f"the check '{name}' is not installed"
        try:
            reason = run_guarded(lambda: check(text, argument), CALL_SECONDS, f"check {name}")
            if reason is not None and not isinstance(reason, str):
                raise PluginError(f"it returned {type(reason).__name__}, not a text or None")
        except PluginError as error:
            log.warning("plugin failed (%s, check %s): %s", self.owner(f"check {name}"), name, error)
            return None, f"the check '{name}' of the plugin '{self.owner(f'check {name}')}' failed: {error}"[:300]
        return reason is None, None if reason is None else reason[:300]

    def _load(self, point: EntryPoint) -> None:
        package = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""
        if {point.name, package} & self._off:
            self._infos.append(PluginInfo(point.name, package, version, "off"))
            return
        try:
            if any(info.name == point.name for info in self._infos) or point.name == BUILT_IN:
                raise PluginError("another plugin has this name")
            loaded = run_guarded(point.load, self._seconds, f"plugin {point.name}")
            plugin = run_guarded(loaded, self._seconds, f"plugin {point.name}") if inspect.isclass(loaded) else loaded
            self.register(plugin, point.name, package=package, version=version)
        except Exception as error:  # noqa: BLE001 (a plugin may fail in any way)
            problem = " ".join(str(error).split())[:500]
            log.error("plugin not loaded (%s): %s", point.name, problem)
            self._infos.append(PluginInfo(point.name, package, version, "failed", problem=problem))

    def _refuse_unknown_hooks(self, plugin: object) -> None:
        """Raise PluginError for functions that are marked as hooks and are none."""
        known = {name for name in vars(Hooks) if name.startswith("herding_")}
        marked = [name for name in dir(plugin) if self._manager.parse_hookimpl_opts(plugin, name) is not None]
        if unknown := sorted(set(marked) - known):
            raise PluginError(f"{', '.join(unknown)} is not a hook; hooks: {', '.join(sorted(known))}")
        if not marked:
            raise PluginError(f"it implements none of the hooks; hooks: {', '.join(sorted(known))}")

    def _provided(self, plugin: object) -> Provided:
        """Call the hooks of a plugin and check what they return."""

        def call(hook: str) -> Any:
            function = getattr(plugin, hook, None)
            return None if function is None else run_guarded(function, self._seconds, hook)

        kinds = call("herding_node_kinds") or ()
        checks, loaders = call("herding_checks") or {}, call("herding_document_loaders") or {}
        if not isinstance(kinds, list | tuple):
            raise PluginError(f"herding_node_kinds returned {type(kinds).__name__}, not a list of classes")
        for hook, found in (("herding_checks", checks), ("herding_document_loaders", loaders)):
            if not isinstance(found, Mapping) or not all(isinstance(name, str) and name for name in found):
                raise PluginError(f"{hook} returned {type(found).__name__}, not a mapping of functions by name")
            if wrong := next((name for name, value in found.items() if not callable(value)), None):
                raise PluginError(f"{hook}: '{wrong}' is not a function")
        for kind in kinds:
            if not (inspect.isclass(kind) and kind_name(kind) and hasattr(kind, "build")):
                raise PluginError(f"herding_node_kinds: {kind!r} is not a NodeConfig with a Literal as its kind"[:300])
        endings = {ending.lower().lstrip("."): loader for ending, loader in loaders.items()}
        return Provided(tuple(kinds), dict(checks), endings)

    def _take(self, provided: Provided, name: str) -> None:
        """Take over what a plugin adds, all or nothing."""
        loaders = {ending: path_of(loader) for ending, loader in provided.loaders.items()}
        for what in provided.names():
            if what in self._owners:
                raise PluginError(f"there is a {what} already, of the plugin '{self._owners[what]}'")
        self.node_kinds |= {kind_name(kind): kind for kind in provided.node_kinds}
        self.checks |= provided.checks
        self.loaders |= loaders
        self._owners |= dict.fromkeys(provided.names(), name)


def kind_name(config: type) -> str:
    """Return the kind of a configuration class of nodes; empty if it has none."""
    annotation = getattr(config, "model_fields", {}).get("kind")
    names: tuple[Any, ...] = getattr(getattr(annotation, "annotation", None), "__args__", ())
    return str(names[0]) if len(names) == 1 and isinstance(names[0], str) else ""


def path_of(function: Callable[..., Any]) -> str:
    """Return a function of a module as `module:function`, for a child process. Raises PluginError for others."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not module or not name.isidentifier():
        raise PluginError("herding_document_loaders: a loader must be a function of a module")
    return f"{module}:{name}"


def run_guarded(work: Callable[[], T], seconds: float, name: str) -> T:
    """Return the result of `work`, which must not take longer than `seconds`. Raises PluginError for any failure.

    Python can't end a thread: work that hangs keeps its thread, which does not keep the app from ending.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (a plugin may even call sys.exit)
            failures.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        error = failures[0]
        said = error.message if isinstance(error, HerdingError) else str(error)
        raise PluginError(f"{type(error).__name__}: {said}"[:500]) from None
    if not results:
        raise PluginError(f"it took longer than {seconds:g} seconds")
    return results[0]
