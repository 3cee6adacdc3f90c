"""From a file, a text, or a page from the web, to documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from vstore import addresses, config
from vstore.errors import InputError, MissingExtraError
from vstore.ingest import media
from vstore.ingest.digest import digest
from vstore.ingest.parsed import Parsed, Unreadable
from vstore.ingest.rows import Row, read_rows
from vstore.ingest.sandbox import Sandbox
from vstore.ingest.source import load
from vstore.ingest.text import charset_within, clean, decode_declared
from vstore.ingest.walk import Skipped
from vstore.paths import resolved_uri
from vstore.types import Document

if TYPE_CHECKING:
    from vstore.ingest.web_fetch import Fetcher, Page

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def source_hash(path: Path, collection: str, tags: tuple[str, ...] = (), metadata: Mapping[str, Any] = _NOTHING) -> str:
    """The content hash `read_file` would give the file's document, without parsing the file.

    "" when the file cannot be read, which `read_file` then reports. The rows of a JSONL file have hashes of their own,
    so the hash of the whole file is that of no document. Raises InputError for metadata that are not JSON.
    """
    try:
        return _Labels(collection, tags, metadata).file_hash(path, load(path).data)
    except Unreadable:
        return ""


def read_file(
    path: Path, sandbox: Sandbox, collection: str, tags: tuple[str, ...] = (), metadata: Mapping[str, Any] = _NOTHING
) -> Iterator[Document | Skipped]:
    """Read a file: one document, or one for each row of a JSONL file, with the uri `<path>#<id>`.

    `path` is without links, as after `Path.resolve`. What cannot be read is yielded as Skipped with its
    reason: the file, or a single row. Tags and metadata from the
    file are joined by those given, which win. Raises InputError for metadata that are not JSON.
    """
    labels = _Labels(collection, tags, metadata)
    uri = resolved_uri(path.absolute())
    kind = media.media_type(path)
    try:
        if kind == media.ROWS:
            for row in read_rows(path):
                yield row if isinstance(row, Skipped) else labels.row_document(row, f"{uri}#{row.id}")
        else:
            source = load(path)
            parsed = sandbox.parse(source.data, kind)
            title = parsed.title or clean(path.stem)
            content_hash = labels.file_hash(path, source.data)
            yield labels.document(parsed, uri, title, kind, content_hash, source.modified_at)
    except (Unreadable, MissingExtraError) as error:
        yield Skipped(path, str(error))


def read_text(
    text: str,
    *,
    uri: str,
    title: str = "",
    collection: str,
    tags: tuple[str, ...] = (),
    metadata: Mapping[str, Any] = _NOTHING,
    media_type: str = media.PLAIN,
    expires_at: datetime | None = None,
    pinned: bool = False,
) -> Document:
    """Make a document of a text that is at hand. An empty title is taken from the text, where Markdown has one.

    Raises InputError when the text is blank or too long, the media type no text, or the metadata are not JSON.
    """
    if not isinstance(media_type, str):
        raise InputError(f"a media type is a text such as 'text/markdown', not {media_type!r}")
    labels = _Labels(collection, tags, metadata)
    text, title = clean(text), clean(title)
    with Sandbox() as sandbox:
        parsed = sandbox.parse_text(text, media_type, title)
    title = title or parsed.title
    kept = tuple(word for word in (expires_at and expires_at.isoformat(), pinned and "pinned") if word)
    content_hash = labels.hash(text.encode(), title, media_type, kept)
    document = labels.document(parsed, clean(uri), title, media_type, content_hash)
    return replace(document, expires_at=expires_at, pinned=pinned)


def read_page(
    name: str,
    fetcher: Fetcher,
    sandbox: Sandbox,
    collection: str,
    tags: tuple[str, ...] = (),
    metadata: Mapping[str, Any] = _NOTHING,
) -> Document | Skipped:
    """Fetch a web address and read what is there. Its uri is the address as it was given, in its normal form.

    What cannot be had is a Skipped with its reason. Only the text and the title are the page's word: what it says of
    itself beyond those is not taken for metadata or tags. Raises InputError for metadata that are not JSON.
    """
    labels = _Labels(collection, tags, metadata)
    try:
        address = addresses.parse(name)
        page = fetcher.fetch(address)
        kind = media.served_type(page.media_type, PurePosixPath(unquote(urlsplit(page.address.uri).path)))
        if kind is None:
            raise Unreadable(_not_read(page.media_type))
        if kind == media.ROWS:
            raise Unreadable("JSONL is read from files alone; download it first")
        parsed = _parsed_page(page, kind, sandbox)
    except (InputError, MissingExtraError) as error:
        return Skipped(addresses.shown(name), str(error))
    title = parsed.title or page.address.place + page.address.target
    everything = json.dumps([parsed.text, [astuple(section) for section in parsed.sections]])
    document = labels.document(parsed, address.uri, title, kind, labels.hash(everything.encode(), title, kind))
    fetched_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    # The mark of strangers' texts comes last: it is not for the caller to take away.
    said = {"address": page.address.uri, "fetched_at": fetched_at, **metadata, **addresses.FETCHED}
    return replace(document, metadata=said, tags=tags, modified_at=page.modified_at)


def _parsed_page(page: Page, kind: str, sandbox: Sandbox) -> Parsed:
    if kind == media.PDF or kind.startswith(media.OFFICE):
        return sandbox.parse(page.data, kind)
    if kind == media.HTML:
        text = decode_declared(page.data, page.charset or charset_within(page.data))
        return sandbox.parse_text(text, media.ARTICLE)
    return sandbox.parse_text(decode_declared(page.data, page.charset), kind)


def _not_read(declared: str) -> str:
    if not declared:
        return "the server does not say of what type it is"
    return f"{declared[: config.SNIPPET_CHARS]} is not a type that is read from the web"


def _unmarked(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a text says of itself, without the marks that are vstore's to give: who wrote it is not for it to say."""
    is_marked = any(metadata.get("via") == mark["via"] for mark in (addresses.FETCHED, addresses.WRITTEN))
    return {name: value for name, value in metadata.items() if name != "via" or not is_marked}


@dataclass(frozen=True, slots=True)
class _Labels:
    """What the caller says about everything it reads."""

    collection: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]

    def hash(self, content: bytes, title: str, media_type: str, kept: tuple[str, ...] = ()) -> str:
        return digest(
            content,
            title=title,
            media_type=media_type,
            collection=self.collection,
            tags=self.tags,
            metadata=self.metadata,
            kept=kept,
        )

    def file_hash(self, path: Path, data: bytes) -> str:
        return self.hash(data, clean(path.stem), media.media_type(path))

    def row_document(self, row: Row, uri: str) -> Document:
        parsed = row.parsed
        everything = json.dumps([parsed.text, parsed.tags, parsed.metadata], sort_keys=True)
        content_hash = self.hash(everything.encode(), parsed.title, media.PLAIN)
        return self.document(parsed, uri, parsed.title, media.PLAIN, content_hash, row.modified_at)

    def document(
        self,
        parsed: Parsed,
        uri: str,
        title: str,
        media_type: str,
        content_hash: str,
        modified_at: datetime | None = None,
    ) -> Document:
        return Document(
            uri=uri,
            text=parsed.text,
            title=title,
            content_hash=content_hash,
            collection=self.collection,
            media_type=media_type,
            metadata={**_unmarked(parsed.metadata), **self.metadata},
            tags=tuple(dict.fromkeys((*self.tags, *parsed.tags))),
            sections=parsed.sections,
            modified_at=modified_at,
        )
