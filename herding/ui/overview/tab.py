"""The tab "Overview": the table of all prompts, with a drawer for the details of one.

The address has `q`, `tag`, `sort` (see `search.ORDERS`), `folder` and `prompt`, the one in the drawer.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import PROMPTS, RUN, SAVE
from herding.errors import NotFoundError
from herding.ui.engineer.starters import STARTERS
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import button, select_field, text_field
from herding.ui.kit.format import el, join
from herding.ui.kit.links import tab_address
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.overview.details import VERSIONS, drawer
from herding.ui.overview.search import ANY_TAG, NAME, PAGE_SIZE, TOP, SearchQuery, find, folder_nav, in_folder
from herding.ui.overview.table import FORM, LIST, TARGET, listing
from herding.ui.versions import conflicts
from herding.values import Principal, PromptInfo


class OverviewTab(View):
    """The filters, the table, and the drawer."""

    key = "overview"
    label = "Overview"
    rights = frozenset({RUN, PROMPTS})

    @fragment("GET", "", RUN)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab, with the search and the drawer that the address names."""
        who, prompts = call.principal, await self._orchestrator.prompts.list_all(call.principal)
        errors = prompt_text.load_errors(await self._orchestrator.prompts.broken(who))
        banner = await conflicts.overview_banner(self._orchestrator.studio, who)
        query, chosen = read_query(call, prompts), call.text("prompt")
        selected = next((prompt for prompt in prompts if prompt.key == chosen), None)
        shown = el("div", self._listing(prompts, query, limit=PAGE_SIZE, current=chosen), id=TARGET[1:])
        detail = await self._drawer(selected, call) if selected else None
        aside = el("aside", detail, id="overview-detail", cls="detail", aria_label="Details of the prompt",
                   data_drawer="prompt", data_initial="", tabindex="-1")  # fmt: skip
        bar = el("div", filters(query, prompts), templates(who), cls="overview-bar")
        return join([errors, banner, bar, el("div", shown, aside, cls="overview-body")])

    @fragment("GET", "/list", RUN)
    async def list(self, call: Call) -> Reply:
        """Return the table for other filters, which the address keeps."""
        prompts = await self._orchestrator.prompts.list_all(call.principal)
        query = read_query(call, prompts)
        limit = max(PAGE_SIZE, min(call.whole("limit", PAGE_SIZE), len(prompts)))
        address = {
            "q": query.search,
            "tag": query.tag,
            "sort": "" if query.sort == NAME else query.sort,
            "folder": "" if query.folder == TOP else query.folder,
        }
        current = call.in_address("prompt")
        return Reply(self._listing(prompts, query, limit=limit, current=current), address=address)

    @fragment("GET", "/prompts/{key:path}", RUN)
    async def details(self, call: Call) -> Reply:
        """Return the drawer of a prompt, which the address names."""
        key = call.path["key"]
        prompts = await self._orchestrator.prompts.list_all(call.principal)
        found = next((prompt for prompt in prompts if prompt.key == key), None)
        if found is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        return Reply(await self._drawer(found, call), address={"prompt": key})

    async def _drawer(self, prompt: PromptInfo, call: Call) -> Markup:
        versions = await self._orchestrator.studio.versions(prompt.key, call.principal, limit=VERSIONS)
        return drawer(prompt, versions, call)

    @staticmethod
    def _listing(prompts: Sequence[PromptInfo], query: SearchQuery, *, limit: int, current: str) -> Markup:
        found = find(prompts, query)
        folders = folder_nav(found, query.folder)
        return join([folders, listing(found, query, total=len(prompts), limit=limit, current=current)])


def read_query(call: Call, prompts: Sequence[PromptInfo]) -> SearchQuery:
    """Return the filters of a request; a tag or folder that no longer exists becomes the default."""
    tags = {tag for prompt in prompts for tag in prompt.tags}
    tag = call.text("tag", ANY_TAG)
    query = SearchQuery.parse(call.text("q"), tag if tag in tags else ANY_TAG, call.text("sort"), call.text("folder"))
    if not any(in_folder(prompt.key, query.folder) for prompt in prompts):
        query = SearchQuery(query.search, query.tag, query.order, reverse=query.reverse)
    return query


def filters(query: SearchQuery, prompts: Sequence[PromptInfo]) -> Markup:
    """Return the form with the search and the tags."""
    tags = sorted({tag for prompt in prompts for tag in prompt.tags})
    return el(
        "form",
        text_field(
            "Search",
            "q",
            query.search,
            kind="search",
            placeholder="Name, ID, description, tag or text",
            id="overview-q",
        ),
        select_field(
            "Tag", "tag", [("All tags", ANY_TAG), *((tag, tag) for tag in tags)], query.tag, id="overview-tag"
        ),
        id=FORM[1:],
        cls="filters-row",
        hx_get=LIST,
        hx_target=TARGET,
        hx_trigger="input delay:150ms, submit, shown from:closest .view",
        hx_sync="this:replace",
    )


def templates(who: Principal) -> Markup | None:
    """Return the menu of templates that a new prompt can start from; None for roles that may not save."""
    if SAVE not in who.rights or "engineer" not in who.tabs:
        return None
    links = [
        el("li", el("a", el("strong", starter.label), el("small", starter.about, cls="muted"),
                    href=tab_address("engineer", new=name)))
        for name, starter in STARTERS.items()
    ]  # fmt: skip
    menu = el("div", el("h2", "New from template"), el("ul", *links), id="overview-templates", popover="auto",
              cls="engineer-menu", data_module="engineer_menu")  # fmt: skip
    opens = button("New from template", kind="primary", id="overview-new", popovertarget="overview-templates")
    return join([opens, menu])
