"""Collections of documents: create, fill, search and delete them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AliasPath, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from herding.api.http.errors import Responses, error_responses
from herding.api.http.models import Instant, RequestModel, ResponseModel
from herding.api.http.request import Caller
from herding.errors import ConflictError, NotFoundError, UserError
from herding.knowledge.documents import MAX_DOCUMENTS, kind_of, uploaded_document
from herding.orchestrator import Orchestrator
from herding.values import MetadataValue, NewDocument, TextChunk

_NO_COLLECTION = NotFoundError("There is no collection 'docs'. Check its name, or create it.", param="collection")
_NO_RERANKER = UserError("No node reranks with 'x'. Available: y.", param="rerank")
_BAD_DOCUMENT = UserError("'report.xls' is of a kind that is not read.", param="documents.0")
_MULTIPART = {
    "schema": {
        "type": "object",
        "properties": {
            "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "metadata": {"type": "string", "description": "JSON object: metadata of all files"},
        },
        "required": ["files"],
    }
}

Kind = Literal["txt", "md", "html", "pdf", "docx", "csv", "py"]


class NewCollectionRequest(RequestModel):
    """A new collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "docs"}]})

    name: str = Field(min_length=1, max_length=64, description="letters, digits and . _ -")
    embedding_model: str | None = Field(default=None, max_length=300, description="default: the local model")
    description: str = Field(default="", max_length=2_000)
    chunk_tokens: int = Field(default=220, ge=20, le=2_000, description="maximum tokens of a chunk")
    overlap_tokens: int = Field(default=40, ge=0, le=1_000, description="tokens that a chunk repeats of the one before")


class NewDocumentRequest(RequestModel):
    """A document as text. One with the ID of another replaces it."""

    id: str | None = Field(default=None, max_length=500, description="default: the title")
    title: str | None = Field(default=None, max_length=500)
    text: str = Field(min_length=1)
    kind: Kind | None = Field(default=None, description="default: by the ending of the ID, else txt")
    metadata: dict[str, MetadataValue] = Field(default_factory=dict)

    def to_document(self, number: int) -> NewDocument:
        """Return the document; without ID and title it is named by its number."""
        key = self.id or self.title or f"document-{number}"
        kind = self.kind or kind_of(key) or "txt"
        if kind in ("pdf", "docx"):
            message = "A PDF or Word document is no text. Upload it as a file (multipart/form-data)."
            raise UserError(message, param=f"documents.{number - 1}")
        content = self.text.encode("utf-8", "surrogatepass")
        return NewDocument(key, self.title or key, kind, content, dict(self.metadata))


class NewDocumentsRequest(RequestModel):
    """Documents as texts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"documents": [{"id": "hello.md", "text": "# Hello\n\nHerding routes prompts to models."}]}]
        }
    )

    documents: list[NewDocumentRequest] = Field(min_length=1, max_length=MAX_DOCUMENTS)


class QueryRequest(RequestModel):
    """A question to a collection."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "How are prompts routed?", "top_k": 3}]})

    text: str = Field(min_length=1, max_length=20_000)
    top_k: int = Field(default=5, ge=1, le=100)
    filters: dict[str, MetadataValue | list[MetadataValue]] = Field(
        default_factory=dict, description="values that a document's metadata must have; a list means one of them"
    )
    min_similarity: float = Field(default=0.0, ge=-1, le=1, description="leave out chunks that are less similar")
    rerank: str | None = Field(default=None, max_length=300, description="a reranker, which orders the matches")


class CollectionResponse(ResponseModel):
    """A collection with the number of its documents, by state, and of its chunks."""

    name: str
    description: str
    embedding_model: str
    dimensions: int | None
    chunk_tokens: int
    overlap_tokens: int
    documents: int
    waiting: int
    failed: int
    chunks: int
    created_at: Instant
    created_by: str


class CollectionList(ResponseModel):
    """The collections that you may use, the embedding models that a new one may have, and rerankers for queries."""

    collections: list[CollectionResponse]
    embedding_models: tuple[str, ...]
    rerankers: tuple[str, ...]


class DocumentResponse(ResponseModel):
    """A document. `done` of `total` chunks are indexed; `error` says why it is not, or what it waits for."""

    id: str = Field(validation_alias="key")
    title: str
    kind: str
    state: Literal["waiting", "indexing", "ready", "failed"]
    error: str | None
    size: int
    chunks: int
    done: int
    total: int
    changed_at: Instant
    changed_by: str
    metadata: dict[str, Any]


class DocumentList(ResponseModel):
    """Documents of a collection by ID."""

    documents: list[DocumentResponse]


class JobResponse(ResponseModel):
    """The documents that were added together, by state, and the chunks that are indexed of all.

    `unchanged` documents were in the collection already.
    """

    id: str
    collection: str
    state: Literal["running", "ready", "failed"]
    documents: int
    ready: int
    failed: int
    unchanged: int
    done: int
    total: int
    errors: tuple[str, ...]


class DeletedDocuments(ResponseModel):
    """The number of deleted documents."""

    deleted: int


class ChunkResponse(ResponseModel):
    """A chunk of a document, and where it is there."""

    chunk: int
    number: int
    place: str
    heading: str
    page: int | None
    first_line: int | None
    last_line: int | None
    tokens: int
    text: str


class ChunkList(ResponseModel):
    """Chunks of a document in their order."""

    document: str
    chunks: list[ChunkResponse]


class MatchResponse(ResponseModel):
    """A chunk that matches a question. `score` orders the matches, `similarity` is that of meaning, at most 1.

    With a `reranker`, the score is that of this model.
    """

    document: str
    title: str
    chunk: int = Field(validation_alias="chunk_id")
    place: str = Field(validation_alias=AliasPath("chunk", "place"))
    text: str = Field(validation_alias=AliasPath("chunk", "text"))
    score: float
    similarity: float
    metadata: dict[str, Any]
    reranker: str | None


class MatchList(ResponseModel):
    """The best matches first."""

    matches: list[MatchResponse]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1/collections", tags=["collections"])
    collections = orchestrator.collections

    @routes.get("", responses=error_responses())
    async def list_collections(who: Caller) -> CollectionList:
        """List the collections that you may use."""
        found = [CollectionResponse.model_validate(one) for one in await collections.listing(who)]
        return CollectionList(
            collections=found, embedding_models=collections.models(who), rerankers=collections.rerankers(who)
        )

    @routes.post(
        "",
        status_code=201,
        responses=error_responses(
            UserError("No node makes embeddings with 'x'.", param="embedding_model"),
            ConflictError("There is a collection 'docs' already. Choose another name.", param="name"),
        ),
    )
    async def create_collection(body: NewCollectionRequest, who: Caller) -> CollectionResponse:
        """Create a collection. Its embedding model can't be changed later."""
        made = await collections.create(
            body.name,
            who,
            embedding_model=body.embedding_model,
            description=body.description,
            chunk_tokens=body.chunk_tokens,
            overlap_tokens=body.overlap_tokens,
        )
        return CollectionResponse.model_validate(made)

    @routes.get("/{collection}", responses=error_responses(_NO_COLLECTION))
    async def get_collection(collection: str, who: Caller) -> CollectionResponse:
        """Return a collection."""
        return CollectionResponse.model_validate(await collections.get(collection, who))

    @routes.delete("/{collection}", status_code=204, responses=error_responses(_NO_COLLECTION))
    async def delete_collection(collection: str, who: Caller) -> None:
        """Delete a collection with all its documents. With SQLite nothing of them is left in the file."""
        await collections.delete(collection, who)

    _documents(routes, orchestrator)

    @routes.get("/{collection}/jobs/{job}", responses=error_responses(NotFoundError("This job is not known.")))
    async def get_indexing_job(collection: str, job: str, who: Caller) -> JobResponse:
        """Return the progress of documents that were added together."""
        return JobResponse.model_validate(await collections.job(collection, job, who))

    @routes.post("/{collection}/query", responses=error_responses(_NO_COLLECTION, _NO_RERANKER))
    async def query_collection(collection: str, body: QueryRequest, who: Caller) -> MatchList:
        """Find the chunks that answer a question, by meaning and by words together. A reranker may order them."""
        found = await collections.query(
            collection,
            body.text,
            who,
            top_k=body.top_k,
            filters=body.filters,
            min_similarity=body.min_similarity,
            rerank=body.rerank,
        )
        return MatchList(matches=[MatchResponse.model_validate(one) for one in found])

    return routes


def _documents(routes: APIRouter, orchestrator: Orchestrator) -> None:
    collections = orchestrator.collections

    @routes.get("/{collection}/documents", responses=error_responses(_NO_COLLECTION))
    async def list_documents(
        collection: str,
        who: Caller,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**8)] = 0,
    ) -> DocumentList:
        """List documents by ID, with the state of their indexing."""
        found = await collections.documents(collection, who, limit=limit, offset=offset)
        return DocumentList(documents=[DocumentResponse.model_validate(one) for one in found])

    @routes.post(
        "/{collection}/documents",
        status_code=202,
        response_model=JobResponse,
        responses=_waited() | error_responses(_NO_COLLECTION, _BAD_DOCUMENT),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/NewDocumentsRequest"}},
                    "multipart/form-data": _MULTIPART,
                },
            }
        },
    )
    async def add_documents(
        collection: str, request: Request, response: Response, who: Caller, wait: bool = False
    ) -> JobResponse:
        """Add documents, or replace those with the same ID; as texts in JSON, or as files (multipart/form-data).

        The response is the job that indexes them, at once with status 202, or with `wait=true` once it is done.
        Documents whose content is in the collection already are not added again. Files may be .txt, .md, .html, .pdf,
        .docx, .csv and .py.
        """
        await collections.editable(collection, who)  # before the body is read
        documents = await _read(request)
        job = await collections.add(collection, documents, who)
        if wait:
            job = await collections.wait(collection, job, who)
        if job.state != "running":
            response.status_code = 200
        return JobResponse.model_validate(job)

    @routes.delete("/{collection}/documents", responses=error_responses(_NO_COLLECTION))
    async def delete_documents(
        collection: str,
        who: Caller,
        id: Annotated[list[str] | None, Query(max_length=1_000, description="IDs of documents")] = None,
        all: Annotated[bool, Query(description="delete all documents")] = False,
    ) -> DeletedDocuments:
        """Delete documents with their chunks. With SQLite nothing of them is left in the file."""
        keys = None if all and not id else id or []
        return DeletedDocuments(deleted=await collections.delete_documents(collection, who, keys=keys))

    @routes.get("/{collection}/chunks", responses=error_responses(NotFoundError("There is no document 'a.md'.")))
    async def list_chunks(
        collection: str,
        who: Caller,
        document: Annotated[str, Query(max_length=500, description="ID of the document")] = "",
        first: Annotated[int, Query(ge=1, le=10**8, description="number of the first chunk")] = 1,
        count: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> ChunkList:
        """List chunks of a document in their order."""
        found = await collections.chunks(collection, document, who, first=first, count=count)
        return ChunkList(document=document, chunks=[_chunk(id, one) for id, one in found])


def document_schemas() -> dict[str, Any]:
    """Return the schemas of documents in JSON; the route reads its body itself, since it also takes files."""
    schema = NewDocumentsRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "NewDocumentsRequest": schema}


def _waited() -> Responses:
    return {200: {"model": JobResponse, "description": "The job is done."}}


async def _read(request: Request) -> list[NewDocument]:
    """Return the documents in a body of JSON or of files."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_files(request)
    if kind and kind != "application/json":
        raise UserError("Send the documents as JSON, or as files in multipart/form-data.", param="documents")
    try:
        body = NewDocumentsRequest.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{where or 'The body'}: {first['msg']}.", param=where or None) from None
    return [document.to_document(number) for number, document in enumerate(body.documents, start=1)]


async def _read_files(request: Request) -> list[NewDocument]:
    async with request.form(max_files=MAX_DOCUMENTS, max_fields=10) as form:
        files = [item for item in form.getlist("files") if isinstance(item, UploadFile)]
        metadata = _metadata(form.get("metadata"))
        if not files:
            raise UserError("Send at least one file in the field 'files'.", param="files")
        return [
            uploaded_document(file.filename, await file.read(), param=f"files.{place}", metadata=metadata)
            for place, file in enumerate(files)
        ]


def _metadata(text: Any) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError("'metadata' must be a JSON object.", param="metadata")
    return found


def _chunk(id: int, found: TextChunk) -> ChunkResponse:
    names = [name for name in ChunkResponse.model_fields if name != "chunk"]
    return ChunkResponse(chunk=id, **{name: getattr(found, name) for name in names})
