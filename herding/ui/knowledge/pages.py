"""Collections, their documents and chunks as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from markupsafe import Markup

from herding.knowledge.documents import MAX_DOCUMENT_BYTES, kinds
from herding.ui.kit.fields import button, confirm_button, row_name, select_field, text_field
from herding.ui.kit.format import chip, date_tag, dotted, el, empty_state, join, plural, state_chip
from herding.ui.kit.links import tab_address
from herding.ui.kit.live import every
from herding.ui.kit.responses.references import join_place
from herding.ui.kit.tables import head_row
from herding.values import Collection, Document, FoundChunk, TextChunk
from herding.values.sizes import format_size

PAGE_SIZE = 50
STATES = {"waiting": ("waiting", "busy"), "indexing": ("indexing", "busy"), "failed": ("failed", "bad")}
PROMPT = "collection_question"
"""The shipped prompt that answers from a collection."""

NOT_SELECTED = empty_state("Nothing selected", "Select a collection to see its documents and to search it.")


def base(name: str) -> str:
    """Return the address of the routes of a collection."""
    return f"ui/knowledge/collections/{quote(name, safe='')}"


def collection_list(found: Sequence[Collection], chosen: str, *, swap: bool = False) -> Markup:
    """Return the collections as a table whose rows open them; empty without any.

    With `swap` it is for a reply, to take the place of the table before.
    """
    if not found:
        return Markup()
    head = head_row("Collection", "Documents", "Chunks", numbers=1)
    rows = (_collection_row(one, chosen=one.name == chosen) for one in found)
    return el("table", head, el("tbody", *rows), cls="rows", id="knowledge-collections",
              hx_swap_oob="true" if swap else None, aria_label="Collections")  # fmt: skip


def first_page(ways: Markup | None, *, has_prompt: bool) -> Markup:
    """Return what the tab shows before there is a collection: what one is for, and `ways` to begin, if any."""
    link = el("a", "Question about documents", href=tab_address("engineer", prompt=PROMPT))
    example = join([", such as ", link, ","]) if has_prompt else ""
    steps = (
        "A collection holds your documents, split into chunks and indexed.",
        join(
            ["A prompt with retrieval", example, " gets the chunks that fit its question, and names them as sources."]
        ),
        "Here you can search a collection, or ask a model about it, before a prompt uses it.",
    )
    refused = el("p", "Your role can't create collections.", cls="muted")
    return el(
        "section",
        el("h2", "Let prompts answer from your documents"),
        el("ul", *(el("li", step) for step in steps)),
        el("div", ways, cls="knowledge-ways") if ways else refused,
        cls="knowledge-first",
    )


def _collection_row(found: Collection, *, chosen: bool) -> Markup:
    name = row_name(
        found.name,
        hx_get=base(found.name),
        hx_target="#knowledge-page",
    )
    about = el("div", found.description, cls="one-line muted") if found.description else None
    cells = (el("td", name, about), el("td", f"{found.documents:,}", cls="number"))
    return el("tr", *cells, el("td", f"{found.chunks:,}", cls="number"), aria_current="true" if chosen else None)


def ways_to_begin(models: Sequence[str], *, first: bool, starting: bool) -> Markup:
    """Return the folded form that creates a collection, and beside the `first` one an example.

    While nodes are `starting`, the page asks for it again.
    """
    if not models and starting:
        text = "Nodes are still starting. You can create a collection once one makes embeddings."
        url = f"ui/knowledge/new?first={'1' if first else ''}"
        return el("p", text, cls="muted", role="status", hx_get=url, hx_trigger=every(2), hx_swap="outerHTML")
    if not models:
        text = "No node makes embeddings now. Start the local node, or add embedding_models to one."
        return el("p", text, cls="muted")
    again = button(
        "Try an example",
        title="Creates a collection with three short documents",
        id="knowledge-example",
        hx_post="ui/knowledge/example",
        hx_target="#knowledge-page",
        hx_disabled_elt="this",
    )
    return join([_new_collection(models, kind="primary" if first else ""), again if first else None])


def _new_collection(models: Sequence[str], *, kind: str) -> Markup:
    """Return the form with the fields of a collection, folded; `kind` is that of its button."""
    form = el(
        "form",
        text_field("Name", "name", required="", maxlength="64", info="Letters, digits and . _ -"),
        text_field("Description (optional)", "description", maxlength="2000"),
        select_field(
            "Embedding model", "model", [(model, model) for model in models], models[0], info="Can't be changed later"
        ),
        button("Create", kind="primary", submit=True),
        cls="knowledge-form",
        hx_post="ui/knowledge/collections",
        hx_target="#knowledge-page",
    )
    return el("details", el("summary", "New collection", cls=f"btn {kind}".strip()), form, cls="knowledge-new")


def collection_page(
    found: Collection,
    documents: Sequence[Document],
    *,
    offset: int,
    may_edit: bool,
    may_ask: bool,
    shown: Markup | None = None,
    rerankers: Sequence[str] = (),
    question: str = "",
) -> Markup:
    """Return the page of a collection: search, ask, what is `shown` of a document, and the list of documents.

    `question` is in the field for one.
    """
    delete = confirm_button(
        "Delete collection",
        f"This deletes the collection {found.name} with all its documents. This can't be undone.",
        "Delete",
        hx_delete=base(found.name),
        hx_target="#knowledge-page",
    )
    return el(
        "article",
        el("header", el("h2", found.name), collection_facts(found)),
        el("p", found.description) if found.description else None,
        question_form(found, may_ask=may_ask, rerankers=rerankers, question=question),
        el("div", shown, id="knowledge-found", role="region", aria_label="Results", tabindex="-1"),
        upload_form(found) if may_edit else None,
        el("div", document_table(found, documents, offset=offset, may_edit=may_edit), id="knowledge-documents"),
        el("div", delete, cls="answers") if may_edit else None,
        cls="knowledge-collection",
    )


def collection_facts(found: Collection, *, swap: bool = False) -> Markup:
    """Return the size of a collection and its embedding model; with `swap` for a reply, to take the place of before."""
    facts = (
        plural(found.documents, "document"),
        plural(found.chunks, "chunk"),
        el("code", found.embedding_model),
        join(["created ", date_tag(found.created_at)]),
    )
    return el("p", dotted(facts), cls="muted", id="knowledge-facts", hx_swap_oob="true" if swap else None)


def question_form(found: Collection, *, may_ask: bool, rerankers: Sequence[str] = (), question: str = "") -> Markup:
    """Return the field for a question, with a button that searches and one that asks a model.

    Where there are rerankers, one of them can be selected for both.
    """
    rerank = None
    if rerankers:
        options = [("None", ""), *((model, model) for model in rerankers)]
        rerank = select_field("Reranker", "rerank", options, "", id="knowledge-rerank")
    return el(
        "form",
        text_field(
            "Search or ask",
            "text",
            question,
            placeholder="What do you want to know?",
            required="",
            maxlength="4000",
            id="knowledge-text",
        ),
        rerank,
        button("Search", submit=True, id="knowledge-search"),
        button("Ask", kind="primary", id="knowledge-ask", data_ask=f"{base(found.name)}/ask") if may_ask else None,
        button("Stop", id="knowledge-stop", hidden="", data_then="knowledge-ask") if may_ask else None,
        cls="knowledge-question",
        hx_get=f"{base(found.name)}/search",
        hx_target="#knowledge-found",
        hx_sync="this:replace",
        data_module="knowledge",
    )


def upload_form(found: Collection, *, swap: bool = False) -> Markup:
    """Return the form that adds files; with `swap` for a reply, to take the place of one whose files were added."""
    read = ", ".join(f".{kind}" for kind in kinds())
    info = f"{read}; max {format_size(MAX_DOCUMENT_BYTES)} each. A file of the same name is replaced."
    field = el(
        "label",
        el("span", "Add documents", cls="label"),
        el("input", type="file", name="files", multiple="", required="", cls="input"),
        el("small", info),
        cls="field",
    )
    return el(
        "form",
        field,
        button("Add", submit=True),
        cls="knowledge-upload",
        hx_post=f"{base(found.name)}/documents",
        hx_encoding="multipart/form-data",
        hx_target="#knowledge-documents",
        hx_disabled_elt="find button",
        id="knowledge-upload",
        hx_swap_oob="true" if swap else None,
    )


def document_table(found: Collection, documents: Sequence[Document], *, offset: int, may_edit: bool) -> Markup:
    """Return one page of documents with their state; it refreshes itself while some are being indexed."""
    if not documents and not offset:
        return empty_state("No documents yet", "Add files above, or by API or the command line.")
    running = any(document.state in ("waiting", "indexing") for document in documents)
    head = head_row("Document", "State", "Chunks", "Size", el("span", "Actions", cls="sr"), numbers=2)
    rows = (_document_row(found, document, may_edit=may_edit) for document in documents)
    table = el("table", head, el("tbody", *rows), cls="rows", aria_label="Documents")
    here = f"{base(found.name)}/documents?offset={offset}"
    refresh = {"hx_get": here, "hx_trigger": every(1), "hx_target": "#knowledge-documents"}
    pages = (
        _page_button(found, offset - PAGE_SIZE, "‹ Previous") if offset else None,
        _page_button(found, offset + PAGE_SIZE, "Next ›") if len(documents) == PAGE_SIZE else None,
    )
    pager = el("nav", *pages, cls="answers", aria_label="Pages") if any(pages) else None
    state = el("p", "Indexing…", cls="muted", role="status") if running else None
    return el("div", state, table, pager, cls="knowledge-table", **(refresh if running else {}))


def _page_button(found: Collection, offset: int, label: str) -> Markup:
    at = f"{base(found.name)}/documents?offset={max(0, offset)}"
    return button(label, hx_get=at, hx_target="#knowledge-documents")


def _document_row(found: Collection, document: Document, *, may_edit: bool) -> Markup:
    where = f"{base(found.name)}/document?{urlencode({'id': document.key})}"
    name = row_name(document.title, hx_get=where, hx_target="#knowledge-found")
    state = chip(*STATES[document.state]) if document.state in STATES else state_chip(document.state)
    progress = f" {document.done:,} of {document.total:,}" if document.state == "indexing" and document.total else None
    error = el("div", document.error, cls="muted") if document.error else None
    remove = confirm_button(
        "Delete",
        f"This deletes {document.title} from the collection. This can't be undone.",
        "Delete",
        kind="quiet",
        aria_label=f"Delete {document.title}",
        hx_delete=f"{base(found.name)}/documents?{urlencode({'id': document.key})}",
        hx_target="#knowledge-documents",
    )
    return el(
        "tr",
        el("td", name, el("div", document.key, cls="one-line muted") if document.key != document.title else None),
        el("td", state, progress, error),
        el("td", f"{document.chunks:,}", cls="number"),
        el("td", format_size(document.size), cls="number"),
        el("td", remove if may_edit else None),
    )


def matches(found: Collection, text: str, chunks: Sequence[FoundChunk]) -> Markup:
    """Return what a search found, best first, each with its scores; and that documents are missing from it yet."""
    waiting = f"{plural(found.waiting, 'document')} not searched: still being indexed." if found.waiting else ""
    if not chunks:
        return empty_state("No matches", f"Nothing in {found.name} fits “{text}”. {waiting}".strip())
    head = el("h3", "1 match" if len(chunks) == 1 else f"{len(chunks)} matches")
    note = el("p", waiting, cls="muted") if waiting else None
    return join([head, note, el("ol", *(_match(found, one) for one in chunks), cls="knowledge-matches")])


def _match(found: Collection, one: FoundChunk) -> Markup:
    fields = {"id": one.document, "chunk": str(one.chunk_id), "number": str(one.chunk.number)}
    opens = row_name(
        join_place(one.title, one.chunk.place),
        hx_get=f"{base(found.name)}/document?{urlencode(fields)}",
        hx_target="#knowledge-found",
    )
    score = f"{'reranker score' if one.reranker else 'score'} {one.score:.2f} · similarity {one.similarity:.2f}"
    scores = el("span", score, cls="muted score", title=one.reranker)
    heading = (
        el("div", one.chunk.heading, cls="muted one-line")
        if one.chunk.heading and one.chunk.heading not in one.chunk.place
        else None
    )
    return el(
        "li",
        el("div", opens, scores, cls="reference-head"),
        heading,
        el("pre", one.chunk.text, cls="code", tabindex="0"),
    )


def document_page(
    found: Collection, document: Document, chunks: Sequence[tuple[int, TextChunk]], *, marked: int, first: int
) -> Markup:
    """Return the chunks of a document from number `first` on; the one with the id `marked` is highlighted."""
    head = el(
        "header",
        el("h3", document.title),
        el("p", dotted((document.kind, plural(document.chunks, "chunk"))), cls="muted"),
    )
    shown = (_chunk(one, marked=chunk_id == marked) for chunk_id, one in chunks)
    last = first + len(chunks) - 1
    pages = (
        _more(found, document, max(1, first - len(chunks)), "‹ Earlier chunks") if first > 1 else None,
        _more(found, document, last + 1, "Later chunks ›") if last < document.chunks else None,
    )
    pager = el("nav", *pages, cls="answers", aria_label="Chunks") if any(pages) else None
    return el("section", head, *shown, pager, cls="knowledge-document")


def _chunk(one: TextChunk, *, marked: bool) -> Markup:
    title = join_place(f"{one.number}", one.place)
    return el(
        "figure",
        el("figcaption", title, " · ", one.heading) if one.heading not in one.place else el("figcaption", title),
        el("pre", one.text, cls="code", tabindex="0", autofocus="" if marked else None),
        cls="knowledge-chunk marked" if marked else "knowledge-chunk",
        aria_current="true" if marked else None,
    )


def _more(found: Collection, document: Document, first: int, label: str) -> Markup:
    at = f"{base(found.name)}/document?{urlencode({'id': document.key, 'first': str(first)})}"
    return button(label, hx_get=at, hx_target="#knowledge-found")
