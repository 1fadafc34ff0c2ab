"""Documents that are made to harm: refused with a reason, or read as what they are, in bounded time and memory."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from herding.errors import UserError
from herding.knowledge.parsing import sandbox
from herding.knowledge.parsing.chunks import MAX_HEADING, Chunker
from herding.knowledge.parsing.formats import decode
from herding.values import TextChunk

DOCX = "docx"
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_BODY = (
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    "<w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
)
_BOMB = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {new} "{("&" + old + ";") * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def word(document: str, **parts: bytes) -> bytes:
    """A Word document."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", _TYPES)
        package.writestr("_rels/.rels", _RELATIONS)
        package.writestr("word/document.xml", document)
        for name, content in parts.items():
            package.writestr(f"word/{name}.xml", content)
    return file.getvalue()


def pdf(pages: int, text: str = "Hello from the page") -> bytes:
    """A PDF with text on all pages, which share it."""
    stream = f"BT /F1 12 Tf 20 700 Td ({text}) Tj ET".encode()
    kids = " ".join(f"{n + 5} 0 R" for n in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {pages} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(stream), stream),
    ]
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R"
    page += b" /Resources << /Font << /F1 3 0 R >> >> >>"
    objects += [page] * pages
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    return bytes(out)


def encrypted_pdf() -> bytes:
    """A PDF that needs a password."""
    keys = b"/O (%s) /U (%s)" % (b"o" * 32, b"u" * 32)
    encryption = b"<< /Filter /Standard /V 1 /R 2 /P -4 %s >>" % keys
    body = pdf(1)
    trailer = b"/Root 1 0 R /ID [(0123456789abcdef) (0123456789abcdef)] /Encrypt " + encryption
    return body.replace(b"/Root 1 0 R", trailer)


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip bomb": (DOCX, lambda: word(_BODY.format(text="x"), huge=b" " * 300_000_000), "unpacks to more than"),
    "entity bomb": (DOCX, lambda: word(_BOMB + "]>" + _BODY.format(text="&i;")), "entities"),
    "external entity": (
        DOCX,
        lambda: word('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + _BODY.format(text="&a;")),
        "entities",
    ),
    "no zip": (DOCX, lambda: b"PK\x03\x04" + b"x" * 1000, "not a Word document"),
    "encrypted word": (DOCX, lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000, "encrypted"),
    "broken xml": (DOCX, lambda: word("<w:document>"), "damaged"),
    "10,000 pages": ("pdf", lambda: pdf(10_000), "10,000 pages"),
    "encrypted pdf": ("pdf", encrypted_pdf, "encrypted"),
    "wrong type": ("pdf", lambda: b"<html>I am a page</html>", "not a PDF"),
    "binary text": ("txt", lambda: bytes(range(256)) * 100, "not text"),
    "deep html": ("html", lambda: b"<div>" * 100_000 + b"x", "nested too deeply"),
    "only a script": ("html", lambda: b"<script>alert(1)</script>", "no text"),
    "one million columns": ("csv", lambda: b"a," * 3_000_000, "characters"),
    "huge field": ("csv", lambda: b'a,b\n"' + b"x" * 2_000_000 + b'",y', "not valid CSV"),
    "white space": ("md", lambda: b" \n" * 1000, "no text"),
    "too long": ("txt", lambda: b"word " * 2_000_000, "5,000,000 characters"),
}


async def parse(kind: str, content: bytes, **limits: int) -> list[TextChunk]:
    return await sandbox.parse(kind, content, title=f"file.{kind}", tokens=220, overlap=40, **limits)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
async def test_it_is_refused_with_the_reason(name: str) -> None:
    kind, make, reason = HOSTILE[name]
    content = make()
    began = time.monotonic()
    with pytest.raises(UserError, match=reason):
        await parse(kind, content)
    assert time.monotonic() - began < sandbox.SECONDS


async def test_a_huge_line_is_read_in_pieces() -> None:
    chunks = await parse("txt", b"x" * 1_000_000)
    assert max(len(chunk.text) for chunk in chunks) <= 220 * 8
    assert sum(len(chunk.text) for chunk in chunks) >= 1_000_000


async def test_scripts_of_a_page_are_left_out() -> None:
    page = (
        b"<h1>Hello</h1><script>steal()</script><p onclick='x()'>Read <a href='javascript:y()'>this</a></p><!-- no -->"
    )
    (chunk,) = await parse("html", page)
    assert chunk.text == "# Hello\n\nRead this"


async def test_source_is_parsed_and_never_run() -> None:
    source = b"import os\nos.abort()\n\ndef f():\n    '''Say hello.'''\n    raise SystemExit\n"
    chunks = await parse("py", source)
    assert [chunk.heading for chunk in chunks] == ["file", "file.f"]


async def test_lines_of_source_are_counted_as_python_does() -> None:
    source = "\n\x0c\ndef f():\n    return 'a\u2028b\x85c'\n\n\x0c\ndef g():\n    return 1\n"
    chunks = await parse("py", source.encode())
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [
        ("file.f", "def f():\n    return 'a\u2028b\x85c'"),
        ("file.g", "def g():\n    return 1"),
    ]


async def test_good_documents_are_read() -> None:
    (chunk,) = await parse("pdf", pdf(1))
    assert (chunk.text, chunk.page) == ("Hello from the page", 1)
    (chunk,) = await parse(DOCX, word(_BODY.format(text="Hello from Word")))
    assert chunk.text == "Hello from Word"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Grüße an ännchen".encode()[:-8] + "é".encode()[:1], "Grüße an \ufffd"),
        ("Schöne Grüße, Größe, Maß".encode() + b"\xff", "Schöne Grüße, Größe, Maß\ufffd"),
        ("Schöne Grüße".encode("cp1252"), "Schöne Grüße"),
        ("\ufeffGrüße".encode("utf-16-be"), "Grüße"),
    ],
)
def test_the_encoding_is_found_also_of_a_damaged_text(content: bytes, text: str) -> None:
    assert decode(content) == text


CONTENT = (
    "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>one</w:t><w:tab/></w:r><w:ins><w:r><w:t>two</w:t></w:r>"
    "</w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:sdt><w:sdtContent><w:r><w:t> three</w:t></w:r>"
    "</w:sdtContent></w:sdt></w:p>",
    "<w:sdt><w:sdtContent><w:p><w:r><w:t>four</w:t></w:r></w:p></w:sdtContent></w:sdt>",
    '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="100000000"/></w:tcPr><w:p><w:r><w:t>five</w:t></w:r></w:p>'
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>six</w:t></w:r></w:p></w:tc></w:tr></w:tbl><w:p/></w:tc>"
    '<w:tc><w:tcPr><w:gridSpan w:val="x"/><w:vMerge/></w:tcPr><w:p><w:r><w:t>seven</w:t></w:r></w:p></w:tc></w:tr>'
    "</w:tbl>",
)


async def test_all_text_of_a_word_document_is_read_once() -> None:
    body = _BODY.replace("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>", "".join(CONTENT))
    (chunk,) = await parse(DOCX, word(body))
    assert chunk.text == "one\ttwo three\n\nfour\n\n| five | six | | seven |"


@pytest.mark.slow
async def test_a_document_that_takes_too_long_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match="within 1 seconds of processor time"):
        await parse("txt", b"Some words, and more of them. " * 150_000, seconds=1)
    assert time.monotonic() - began < 10


async def test_a_loader_that_sleeps_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleepy.py").write_text("import time\n\ndef load(content, title):\n    time.sleep(3600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sandbox, "PATIENCE", 0.5)
    with pytest.raises(UserError, match=r"within 0\.5 seconds"):
        await sandbox.parse("txt", b"x", title="x", tokens=220, overlap=40, seconds=1, loader="sleepy:load")


def test_headings_of_any_form_and_number_are_found_in_time() -> None:
    chunker = Chunker(tokens=220, overlap=40, tokenizer=None)
    began = time.process_time()
    text = f"# {'long ' * 100_000}\n\n# {'# ' * 200_000}x\n\n" + "".join(
        f"## h{number} ##\n\n{'some words ' * 80}\n\n" for number in range(4_000)
    )
    headings = [chunk.heading for chunk in chunker.cut(text, markdown=True)]
    assert time.process_time() - began < 10
    assert headings[-1].endswith(" / h3999")
    assert max(map(len, headings)) <= MAX_HEADING


@pytest.mark.slow
async def test_a_document_that_takes_too_much_memory_is_given_up() -> None:
    with pytest.raises(UserError, match="memory"):
        await parse("html", b"<p>some words</p>" * 40_000, memory=130_000_000)


async def test_the_child_has_neither_secrets_nor_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERDING_SECRET_KEY", "a secret of the app")
    spy = (
        "import sys; sys.path[:] = {path!r}; import json, os, resource; sys.stdin.buffer.readline();"
        "from herding.knowledge.parsing import child; child._limit(memory=10**9, seconds=9);"
        "sys.addaudithook(child._refuse)\n"
        "try:\n import socket; socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except PermissionError as error: refused = str(error)\n"
        "print(json.dumps({{'error': json.dumps([refused, 'HERDING_SECRET_KEY' in os.environ, "
        "resource.getrlimit(resource.RLIMIT_FSIZE)[0]])}}))"
    )
    monkeypatch.setattr(sandbox, "_START", spy)
    with pytest.raises(UserError, match=r'\["socket.* is not allowed here", false, 0\]'):
        await parse("txt", b"x")
