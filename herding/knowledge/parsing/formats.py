"""Reads the text of documents: plain text, Markdown, HTML, PDF, Word, CSV and Python source.

Documents are hostile until they are read: this code runs in a child process with limits (`sandbox`). The libraries are
imported where they are used, so that a text does not wait for the reader of PDF.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from herding.knowledge.parsing.chunks import Chunker
from herding.knowledge.parsing.python_source import cut_source
from herding.values import TextChunk

MAX_CHARS = 5_000_000
"""Characters of a document's text."""

MAX_PAGES = 2_000
MAX_ROWS = 100_000
MAX_PARTS = 2_000
MAX_UNPACKED = 100_000_000
"""Bytes of an unpacked Word document."""

MAX_FIELD = 1_000_000

_REMOVED = ("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "head", "form")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_DECLARATIONS = tuple(
    word.encode(encoding) for word in ("<!DOCTYPE", "<!ENTITY") for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)
_WRAPPERS = ("sdt", "sdtContent", "customXml", "smartTag", "ins", "moveTo")
"""Elements of Word documents that stand around others."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class UnreadableError(Exception):
    """The document can't be read; the message says why, for the person who added it."""


Reader = Callable[[bytes, str, Chunker], list[TextChunk]]
"""Returns the chunks of a document's content, which has a title."""


def read(reader: Reader, content: bytes, chunker: Chunker, *, title: str) -> list[TextChunk]:
    """Return the chunks of a document. Raises UnreadableError."""
    if not content:
        raise UnreadableError("The document is empty.")
    chunks = reader(content, title, chunker)
    if not any(chunk.text.strip() for chunk in chunks):
        raise UnreadableError("The document has no text.")
    return chunks


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8, in UTF-16 with a mark, or in Windows' Latin encoding."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("utf-8-sig", "replace")
            wrong = text.count("\ufffd")
            if 2 * wrong > sum(not sign.isascii() for sign in text):  # else it is UTF-8 that was cut or damaged
                text = content.decode("cp1252", "replace")
    if len(_CONTROL.findall(text[:100_000])) > len(text[:100_000]) // 50:
        raise UnreadableError("The file is not text. Check its type.")
    return _checked(text.replace("\r\n", "\n").replace("\r", "\n"))


def _checked(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise UnreadableError(f"The document has more than {MAX_CHARS:,} characters. Split it.")
    return text


def read_text(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of plain text."""
    return chunker.cut(decode(content))


def read_markdown(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of Markdown."""
    return chunker.cut(decode(content), markdown=True)


def read_html(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of a page's text, without scripts, forms and links."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = BeautifulSoup(decode(content), "html.parser")
    for tag in page(list(_REMOVED)):
        tag.decompose()
    text: str = MarkdownConverter(heading_style="ATX", strip=["a", "img"]).convert_soup(page)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return [_without_lines(chunk) for chunk in chunker.cut(text, markdown=True)]


def read_pdf(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of a PDF, page by page."""
    import pypdfium2

    try:
        file = pypdfium2.PdfDocument(content)
        pages = len(file)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableError("The PDF is encrypted. Save it without a password.") from None
        raise UnreadableError("The file is not a PDF, or it is damaged.") from None
    if pages > MAX_PAGES:
        raise UnreadableError(f"The PDF has {pages:,} pages (max {MAX_PAGES:,}). Split it.")
    texts, size = [], 0
    for number in range(pages):
        text = file[number].get_textpage().get_text_bounded().replace("\r\n", "\n")
        size += len(text)
        if size > MAX_CHARS:
            raise UnreadableError(f"The document has more than {MAX_CHARS:,} characters. Split it.")
        texts.append(text)
    if not any(text.strip() for text in texts):
        raise UnreadableError("The PDF has no text: it may be scanned. Recognize its text (OCR) first.")
    return [chunk for number, text in enumerate(texts, start=1) for chunk in chunker.cut(text, page=number)]


def read_docx(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of a Word document."""
    import docx

    _check_package(content)
    try:
        file: Any = docx.Document(io.BytesIO(content))
    except (KeyError, ValueError, zipfile.BadZipFile, SyntaxError) as error:  # lxml's errors are syntax errors
        raise UnreadableError(f"The file is not a Word document, or it is damaged: {error}") from None
    styles = {style.style_id: str(style.name) for style in file.styles}
    blocks = _inside(file.element.body, "p", "tbl")
    parts = [_table(one) if _name(one) == "tbl" else _paragraph(one, styles) for one in blocks]
    text = _checked("\n\n".join(part for part in parts if part.strip()))
    return [_without_lines(chunk) for chunk in chunker.cut(text, markdown=True)]


def _check_package(content: bytes) -> None:
    """Raise UnreadableError for a Word document that would unpack to too much, or that declares entities."""
    if content.startswith(_OLE):
        raise UnreadableError("The document is encrypted or in the older .doc format. Save it as .docx.")
    try:
        package = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise UnreadableError("The file is not a Word document, or it is damaged.") from None
    with package:
        parts = package.infolist()
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
            raise UnreadableError(f"The document unpacks to more than {MAX_UNPACKED // 1_000_000} MB.")
        if any(part.flag_bits & 1 for part in parts):
            raise UnreadableError("The document is encrypted. Save it without a password.")
        for part in parts:
            if part.filename.endswith((".xml", ".rels")):
                try:
                    text = package.read(part)
                except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
                    raise UnreadableError(f"The document is damaged: {error}") from None
                if any(word in text for word in _DECLARATIONS):
                    raise UnreadableError("The document declares XML entities, which Word documents never do.")


def _paragraph(element: Any, styles: Mapping[str, str]) -> str:
    style, text = styles.get(element.style or "", ""), _text_of(element).strip()
    if match := re.fullmatch(r"Heading ([1-6])", style, re.IGNORECASE):
        return f"{'#' * int(match[1])} {text}" if text else ""
    if style == "Title" and text:
        return f"# {text}"
    return f"- {text}" if style.startswith("List") and text else text


def _table(element: Any) -> str:
    rows = (" | ".join(_cell(cell) for cell in _inside(row, "tc")) for row in _inside(element, "tr"))
    return "\n".join(f"| {row} |" for row in rows)


def _cell(element: Any) -> str:
    """Return the text of a cell, with that of tables in it, on one line."""
    parts = (_table(one) if _name(one) == "tbl" else _text_of(one) for one in _inside(element, "p", "tbl"))
    return " ".join(" ".join(parts).split())


def _text_of(element: Any) -> str:
    """Return the text of a paragraph, also that of links, fields, content controls, insertions and text boxes."""
    found = element.xpath(".//*[self::w:t or self::w:tab or self::w:br or self::w:cr][not(ancestor::w:tabs)]")
    signs = {"tab": "\t", "br": "\n", "cr": "\n"}
    return "".join(signs.get(_name(one)) or one.text or "" for one in found if not _is_repeated(one))


def _is_repeated(element: Any) -> bool:
    """Return whether a text stands in the form for older programs, beside the one for newer programs."""
    return any(_name(above) == "Fallback" for above in element.iterancestors())


def _inside(element: Any, *names: str) -> Iterator[Any]:
    """Yield the children with one of the names, also those in content controls and the like."""
    for child in element:
        name = _name(child)
        if name in names:
            yield child
        elif name in _WRAPPERS:
            yield from _inside(child, *names)


def _name(element: Any) -> str:
    """Return the name of an element without its namespace; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def read_csv(content: bytes, _title: str, chunker: Chunker) -> list[TextChunk]:
    """Return chunks of whole rows of a table, each value with the name of its column."""
    csv.field_size_limit(MAX_FIELD)
    text = decode(content)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:20_000], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows = csv.reader(io.StringIO(text), dialect)
    chunks: list[TextChunk] = []
    try:
        head = next(rows, [])
        group: list[str] = []
        first = size = 0
        for row in islice(rows, MAX_ROWS + 1):
            if rows.line_num > MAX_ROWS:
                raise UnreadableError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
            written = _row(head, row)
            cost = chunker.count(written) + 2
            if group and size + cost > chunker.tokens:
                chunks += _rows(chunker, group, first, rows.line_num - 1)
                group, size = [], 0
            if not group:
                first = rows.line_num
            group.append(written)
            size += cost
        chunks += _rows(chunker, group or [" ".join(head)], first or 1, rows.line_num)
    except csv.Error as error:
        raise UnreadableError(f"The file is not valid CSV (line {rows.line_num}): {error}.") from None
    return chunks


def _row(head: list[str], row: list[str]) -> str:
    names = [*head, *(f"column {n}" for n in range(len(head) + 1, len(row) + 1))]
    return "\n".join(f"{name.strip()}: {value.strip()}" for name, value in zip(names, row, strict=False) if value)


def _rows(chunker: Chunker, group: list[str], first: int, last: int) -> list[TextChunk]:
    """Return the chunks of some rows, which stand together in one unless a single row is too long."""
    found = chunker.cut("\n\n".join(group))
    return [TextChunk(0, chunk.text, "", None, first, max(first, last), chunk.tokens) for chunk in found]


def read_python(content: bytes, title: str, chunker: Chunker) -> list[TextChunk]:
    """Return the chunks of Python source, one for each definition."""
    path = PurePosixPath(title.replace("\\", "/"))
    parts = [part for part in path.with_suffix("").parts if part not in ("/", "..", ".")]
    module = ".".join(parts[:-1] if parts and parts[-1] == "__init__" else parts)
    return cut_source(decode(content), chunker, module=module)


def _without_lines(chunk: TextChunk) -> TextChunk:
    """Return a chunk without its lines, which are those of the converted text."""
    return TextChunk(chunk.number, chunk.text, chunk.heading, tokens=chunk.tokens)
