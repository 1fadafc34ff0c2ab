"""The plugins of an installation: found, loaded, named where they fail, and what they add, by name."""

from __future__ import annotations

import contextlib
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

import pluggy

from herding.errors import PluginFailedError
from herding.plugins.calls import Caller, PluginError, run_guarded
from herding.plugins.hooks import (
    API,
    Check,
    Filter,
    Hooks,
    Loader,
    Policy,
    RoutingChoice,
    RoutingQuery,
    Source,
    SourceCall,
    StreamFilter,
)
from herding.values import PluginInfo

GROUP = "herding.plugins"
LOAD_SECONDS = 10.0
CALL_SECONDS = 5.0
CHOICE_SECONDS = 0.05
"""The time of a routing policy, for which all requests wait."""

PAUSE_SECONDS = 60.0
"""The time for which a routing policy is not asked again after it took too long."""

BUILT_IN = "herding"
"""The plugin that stands for this package itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provided:
    """The parts that one plugin adds: its node kinds, and all else by name."""

    node_kinds: tuple[type, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    loaders: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return what it adds, in words."""
        kinds = [f"node kind {kind_name(kind)}" for kind in self.node_kinds]
        return (
            *kinds,
            *(f"check {name}" for name in self.checks),
            *(f"loader .{name}" for name in self.loaders),
            *(f"variable source {name}" for name in self.sources),
            *(f"response filter {name}" for name in self.filters),
            *(f"routing policy {name}" for name in self.policies),
        )


class Plugins:
    """The plugins of this installation: loaded ones, those that failed with the reason, and those switched off.

    `off` are names of plugins, or of their packages, that must not be loaded. `built_in` are parts of this package,
    which register through the same hooks; a name that one of them has is refused to others. `load_seconds` and
    `call_seconds` are the time of a plugin to load, and of one call.
    """

    def __init__(
        self,
        *,
        off: Iterable[str] = (),
        built_in: Iterable[object] = (),
        load_seconds: float = LOAD_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._off = frozenset(off)
        self._load_seconds, self._call_seconds = load_seconds, call_seconds
        self._manager = pluggy.PluginManager("herding")
        self._manager.add_hookspecs(Hooks)
        self._infos: list[PluginInfo] = []
        self._owners: dict[str, str] = {}
        self._callers: dict[str, Caller] = {}
        self._paused: dict[str, float] = {}
        self.node_kinds: dict[str, type] = {}
        self.checks: dict[str, Check] = {}
        self.loaders: dict[str, str] = {}
        """The loaders by ending, each as `module:function`."""
        self.sources: dict[str, Source] = {}
        self.filters: dict[str, Filter] = {}
        self.policies: dict[str, Policy] = {}
        for part in built_in:
            self.register(part, BUILT_IN)

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
        for point in sorted(self._find(), key=lambda found: found.name):
            self._load(point)

    def register(self, plugin: object, name: str, *, package: str = "", version: str = "") -> None:
        """Add a plugin. Raises PluginError for one that breaks the rules of its hooks."""
        declared = getattr(plugin, "herding_api", API)
        if declared != API:
            raise PluginError(f"it is written for version {declared} of the hooks; this is version {API}")
        known = name if name != BUILT_IN else f"{BUILT_IN}.{type(plugin).__name__}"
        self._manager.register(plugin, name=known)
        try:
            self._refuse_unknown_hooks(plugin)
            provided = self._provided(plugin)
            self._take(provided, name)
        except BaseException:
            self._manager.unregister(name=known)
            raise
        if name != BUILT_IN:
            self._infos.append(PluginInfo(name, package, version, "loaded", provided.names()))

    def owner(self, what: str) -> str:
        """Return the name of the plugin that adds `what`, such as `check polite`."""
        return self._owners[what]

    def missing(self, noun: str, name: str) -> str | None:
        """Return why there is no `noun` of this name, such as `response filter`; None where there is one."""
        if f"{noun} {name}" in self._owners:
            return None
        found = sorted(what.removeprefix(f"{noun} ") for what in self._owners if what.startswith(f"{noun} "))
        there = f"Installed: {', '.join(found)}." if found else "None is installed."
        unloaded = f" Plugins that are not loaded: {'; '.join(self.unloaded)}." if self.unloaded else ""
        return f"the {noun} '{name}' is not installed. {there}{unloaded}"[:1_000]

    # Calls

    async def check(self, name: str, text: str, argument: Any) -> tuple[bool | None, str | None]:
        """Judge a response: whether it passes and why not. None if the check itself could not judge."""
        check = self.checks.get(name)
        if check is None:
            return None, f"the check '{name}' is not installed"
        owner = self.owner(f"check {name}")
        try:
            reason = await self._caller(owner).call(check, text, deepcopy(argument), seconds=self._call_seconds)
            if reason is not None and not isinstance(reason, str):
                raise PluginError(f"it returned {type(reason).__name__}, not a text or None")
        except Exception as error:  # noqa: BLE001 (also a RefusedError, which is none of its business)
            log.warning("plugin failed (%s, check %s): %s", owner, name, error)
            return None, f"the check '{name}' of the plugin '{owner}' failed: {error}"[:300]
        return reason is None, None if reason is None else reason[:300]

    async def value(self, source: str, call: SourceCall) -> Any:
        """Return the value that a variable source gives. Raises PluginFailedError, which names it."""
        return await self.call(f"variable source {source}", self.sources[source], call)

    async def call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of a function of the plugin that adds `what`.

        Raises PluginFailedError, which names it, and the RefusedError of a filter.
        """
        owner = self.owner(what)
        try:
            return await self._caller(owner).call(function, *arguments, seconds=self._call_seconds)
        except PluginError as error:
            raise self.failure(what, str(error)) from None

    def failure(self, what: str, problem: str) -> PluginFailedError:
        """Return the error for a failure of the plugin that adds `what`; it is logged."""
        owner, (noun, _, name) = self.owner(what), what.rpartition(" ")
        log.warning("plugin failed (%s, %s): %s", owner, what, problem)
        return PluginFailedError(f"The {noun} '{name}' of the plugin '{owner}' failed: {problem}"[:500])

    def choose(self, policy: str, query: RoutingQuery) -> RoutingChoice:
        """Return the choice of a routing policy. Raises PluginError, also for one that hung lately."""
        function, owner = self.policies[policy], self.owner(f"routing policy {policy}")
        if owner == BUILT_IN:
            return checked_choice(function(query), query.models)
        if time.monotonic() < self._paused.get(policy, 0.0):
            raise PluginError("it took too long, and is asked again within a minute")
        began = time.monotonic()
        try:
            chosen = self._caller(owner).call_now(function, query.detached(), seconds=CHOICE_SECONDS)
            return checked_choice(chosen, query.models)
        except Exception as error:  # noqa: BLE001 (a plugin may fail in any way)
            if time.monotonic() - began >= CHOICE_SECONDS:
                self._paused[policy] = time.monotonic() + PAUSE_SECONDS
            log.warning("plugin failed (%s, routing policy %s): %s", owner, policy, error)
            raise PluginError(f"the routing policy '{policy}' of the plugin '{owner}' failed: {error}"[:300]) from None

    def _caller(self, owner: str) -> Caller:
        return self._callers.setdefault(owner, Caller(owner))

    # Loading

    def _find(self) -> list[EntryPoint]:
        """Return the entry points of all installed packages; one whose files are damaged hides those of no other."""
        try:
            return list(entry_points(group=GROUP))
        except Exception:  # noqa: BLE001 (the files may hold anything)
            found: dict[str, list[EntryPoint]] = {}
            for package in distributions():
                try:
                    found.setdefault(package.name, list(package.entry_points.select(group=GROUP)))
                except Exception as error:  # noqa: BLE001
                    self._fail(str(getattr(package, "_path", package)), "", "", f"its files are damaged: {error}")
            return [point for points in found.values() for point in points]

    def _fail(self, name: str, package: str, version: str, problem: str) -> None:
        problem = " ".join(problem.split())[:500]
        log.error("plugin not loaded (%s): %s", name, problem)
        self._infos.append(PluginInfo(name, package, version, "failed", problem=problem))

    def _load(self, point: EntryPoint) -> None:
        package = version = ""
        with contextlib.suppress(Exception):  # damaged metadata are no reason to leave the plugin out
            package, version = (point.dist.name or "", point.dist.version or "") if point.dist else ("", "")
        if {point.name, package} & self._off:
            self._infos.append(PluginInfo(point.name, package, version, "off"))
            return
        try:
            if any(info.name == point.name for info in self._infos) or point.name == BUILT_IN:
                raise PluginError("another plugin has this name")
            loaded = run_guarded(point.load, self._load_seconds, point.name)
            plugin = run_guarded(loaded, self._load_seconds, point.name) if inspect.isclass(loaded) else loaded
            self.register(plugin, point.name, package=package, version=version)
        except Exception as error:  # noqa: BLE001 (a plugin may fail in any way)
            self._fail(point.name, package, version, str(error))

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
            return None if function is None else run_guarded(function, self._load_seconds, hook)

        kinds = call("herding_node_kinds") or ()
        if not isinstance(kinds, list | tuple):
            raise PluginError(f"herding_node_kinds returned {type(kinds).__name__}, not a list of classes")
        for kind in kinds:
            if not (inspect.isclass(kind) and kind_name(kind) and hasattr(kind, "build")):
                raise PluginError(f"herding_node_kinds: {kind!r} is not a NodeConfig with a Literal as its kind"[:300])
        loaders = _functions("herding_document_loaders", call("herding_document_loaders"), or_texts=True)
        filters = _functions("herding_response_filters", call("herding_response_filters"))
        for name, found in filters.items():
            if inspect.isclass(found) and not issubclass(found, StreamFilter):
                raise PluginError(f"herding_response_filters: '{name}' is not a function or a StreamFilter")
        policies = _functions("herding_routing_policies", call("herding_routing_policies"))
        for name, policy in policies.items():
            if inspect.iscoroutinefunction(policy):
                raise PluginError(f"herding_routing_policies: '{name}' is a coroutine function, not an ordinary one")
        return Provided(
            tuple(kinds),
            checks=_functions("herding_checks", call("herding_checks")),
            loaders={ending.lower().lstrip("."): path_of(loader) for ending, loader in loaders.items()},
            sources=_functions("herding_variable_sources", call("herding_variable_sources")),
            filters=filters,
            policies=policies,
        )

    def _take(self, provided: Provided, name: str) -> None:
        """Take over what a plugin adds, all or nothing."""
        for what in provided.names():
            if what in self._owners:
                raise PluginError(f"there is a {what} already, of the plugin '{self._owners[what]}'")
        self.node_kinds |= {kind_name(kind): kind for kind in provided.node_kinds}
        self.checks |= provided.checks
        self.loaders |= provided.loaders
        self.sources |= provided.sources
        self.filters |= provided.filters
        self.policies |= provided.policies
        self._owners |= dict.fromkeys(provided.names(), name)


def _functions(hook: str, found: Any, *, or_texts: bool = False) -> dict[str, Any]:
    """Return what a hook returned. Raises PluginError unless they are functions by name."""
    if found is None:
        return {}
    if not isinstance(found, Mapping) or not all(isinstance(name, str) and name for name in found):
        raise PluginError(f"{hook} returned {type(found).__name__}, not a mapping of functions by name")
    for name, value in found.items():
        if not (callable(value) or (or_texts and isinstance(value, str))):
            raise PluginError(f"{hook}: '{name}' is not a function")
    return dict(found)


def checked_choice(chosen: object, models: Sequence[str]) -> RoutingChoice:
    """Return what a policy chose, with all other models after it. Raises PluginError for anything but `models`."""
    choice = chosen if isinstance(chosen, RoutingChoice) else None
    given: Any = choice.order if choice else (chosen,) if isinstance(chosen, str) else chosen
    if not isinstance(given, list | tuple) or not given:
        raise PluginError(f"it returned {type(chosen).__name__}, not a model")
    if wrong := [name for name in given if name not in models]:
        raise PluginError(f"it chose {wrong[0]!r}, which is none of the models: {', '.join(models)}")
    order = tuple(dict.fromkeys((*given, *models)))
    if choice is None:
        return RoutingChoice(order)
    shares: Any = choice.shares
    if shares is not None and not (isinstance(shares, Mapping) and all(_is_share(shares.get(name)) for name in models)):
        raise PluginError("its shares are not a number from 0 to 1 for each model")
    return RoutingChoice(order, shares, None if choice.why is None else str(choice.why)[:300])


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def kind_name(config: type) -> str:
    """Return the kind of a configuration class of nodes; empty if it has none."""
    annotation = getattr(config, "model_fields", {}).get("kind")
    names: tuple[Any, ...] = getattr(getattr(annotation, "annotation", None), "__args__", ())
    return str(names[0]) if len(names) == 1 and isinstance(names[0], str) else ""


def path_of(loader: Loader) -> str:
    """Return a function of a module as `module:function`, for a child process. Raises PluginError for others."""
    if isinstance(loader, str):
        module, _, name = loader.partition(":")
    else:
        module, name = getattr(loader, "__module__", ""), getattr(loader, "__qualname__", "")
    if not module or not name.isidentifier():
        raise PluginError("herding_document_loaders: a loader must be a function of a module")
    return f"{module}:{name}"
