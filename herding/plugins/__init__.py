"""Plugins: packages of other people that add node kinds, checks, document loaders, variable sources, response filters
and routing policies. The parts of this package itself are registered through the same hooks.

A package names its plugin in the entry point group `herding.plugins`: a module, a class or an object with functions
marked with `hookimpl`. A plugin that fails while it loads is named with the reason and adds nothing; one that fails in
a call fails that call alone. Plugins run with all permissions of the app: install only those that you trust.
"""

from herding.plugins.hooks import (
    API,
    Hooks,
    RefusedError,
    RoutingChoice,
    RoutingQuery,
    SourceCall,
    StreamFilter,
    hookimpl,
)
from herding.plugins.registry import BUILT_IN, GROUP, Plugins
