"""The blob service's REST: enough for the storage SDK to upload, look up, list and download.

Blobs are plain files, so a model's folder can be given to a scoring server as it is; metadata is
a document of the store.
"""

import base64
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from xml.etree import ElementTree as ET

from aiohttp import web

from local.azure_ml.errors import ArmError
from local.azure_ml.storage import Storage
from local.azure_ml.store import Store

_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")
_META = "x-ms-meta-"
_VERSION = "2021-08-06"
_CHUNK = 1 << 20
_PENDING = ".pending"  # a file still being written; never listed, never served


class Blobs:
    """Serves `/acct/{container}/{blob}`."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self._store = store
        self._storage = storage

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one blob request; refusals carry the code as storage clients expect it."""
        try:
            self._storage.check_access(request)
            response = await self._route(request)
        except ArmError as error:
            return _refusal(error, with_body=request.method != "HEAD")
        if not response.prepared:
            response.headers["x-ms-version"] = _VERSION
            response.headers["x-ms-request-id"] = str(uuid.uuid4())
        return response

    async def _route(self, request: web.Request) -> web.StreamResponse:
        container, blob = request.match_info["container"], request.match_info.get("blob", "")
        what = (request.method, request.query.get("comp", ""))
        if not blob:
            return self._container(request, container, what)
        handlers = {
            ("PUT", ""): self._put,
            ("PUT", "metadata"): self._put_metadata,
            ("PUT", "block"): self._put_block,
            ("PUT", "blocklist"): self._put_block_list,
            ("GET", ""): self._get,
            ("HEAD", ""): self._get,
            ("DELETE", ""): self._delete,
        }
        if what not in handlers:
            raise ArmError(501, "NotImplemented", f"{what[0]} comp={what[1]!r} is not emulated")
        return await handlers[what](request, container, blob)

    # --- one blob

    async def _put(self, request: web.Request, container: str, blob: str) -> web.Response:
        place = self._storage.file(container, blob)
        if request.headers.get("If-None-Match") == "*" and place.exists():
            raise ArmError(409, "BlobAlreadyExists", "The specified blob already exists.")
        pending = _pending(place, uuid.uuid4().hex)
        digest = hashlib.md5(usedforsecurity=False)  # what Content-MD5 is
        with pending.open("wb") as file:
            async for chunk in request.content.iter_chunked(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
        _take_place(pending, place)
        self._set_metadata(request, container, blob)
        checksum = base64.b64encode(digest.digest()).decode()
        return _written(place, {"Content-MD5": checksum})

    async def _put_block(self, request: web.Request, container: str, blob: str) -> web.Response:
        place = self._storage.file(container, blob)
        pending = _pending(place, _block(request.query["blockid"]))
        with pending.open("wb") as file:
            async for chunk in request.content.iter_chunked(_CHUNK):
                file.write(chunk)
        return web.Response(status=HTTPStatus.CREATED)

    async def _put_block_list(
        self, request: web.Request, container: str, blob: str
    ) -> web.Response:
        place = self._storage.file(container, blob)
        listed = ET.fromstring(await request.text())  # noqa: S314 - from the SDK on loopback
        blocks = [_pending(place, _block(block.text or "")) for block in listed]
        if not all(block.exists() for block in blocks):
            raise ArmError(400, "InvalidBlockList", "The specified block list is invalid.")
        whole = _pending(place, uuid.uuid4().hex)
        with whole.open("wb") as file:
            for block in blocks:
                file.write(block.read_bytes())
        _take_place(whole, place)
        for block in set(blocks):
            block.unlink()
        self._set_metadata(request, container, blob)
        return _written(place, {})

    async def _get(self, request: web.Request, container: str, blob: str) -> web.StreamResponse:
        place = self._find(container, blob)
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "ETag": _etag(place),
            "Content-Type": "application/octet-stream",
            **{f"{_META}{key}": value for key, value in self._metadata(container, blob).items()},
        }
        wanted = _RANGE.fullmatch(request.headers.get("x-ms-range", ""))
        if wanted is None:
            return web.FileResponse(place, headers=headers, chunk_size=_CHUNK)
        # The storage SDK asks for its chunks by a header of its own.
        size = place.stat().st_size
        first = int(wanted["first"])
        last = min(int(wanted["last"] or size), size - 1)
        if first >= size:
            raise ArmError(416, "InvalidRange", "The range specified is invalid for the resource.")
        with place.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        headers["Last-Modified"] = _modified(place)
        return web.Response(status=HTTPStatus.PARTIAL_CONTENT, body=body, headers=headers)

    async def _delete(self, _request: web.Request, container: str, blob: str) -> web.Response:
        self._find(container, blob).unlink()
        self._store.delete("blob", f"{container}/{blob}")
        return web.Response(status=HTTPStatus.ACCEPTED)

    def _find(self, container: str, blob: str) -> Path:
        place = self._storage.file(container, blob)
        if not place.is_file():
            raise ArmError(404, "BlobNotFound", "The specified blob does not exist.")
        return place

    # --- metadata

    async def _put_metadata(self, request: web.Request, container: str, blob: str) -> web.Response:
        place = self._find(container, blob)
        self._set_metadata(request, container, blob)
        return web.Response(headers={"ETag": _etag(place), "Last-Modified": _modified(place)})

    def _metadata(self, container: str, blob: str) -> dict[str, str]:
        kept = self._store.get("blob", f"{container}/{blob}")
        return {} if kept is None else kept["metadata"]

    def _set_metadata(self, request: web.Request, container: str, blob: str) -> None:
        given = {
            key.lower().removeprefix(_META): value
            for key, value in request.headers.items()
            if key.lower().startswith(_META)
        }
        self._store.put("blob", f"{container}/{blob}", {"metadata": given})

    # --- containers

    def _container(
        self, request: web.Request, container: str, what: tuple[str, str]
    ) -> web.Response:
        match what:
            case ("PUT", ""):
                self._storage.file(container, "").mkdir(parents=True, exist_ok=True)
                return web.Response(status=HTTPStatus.CREATED)
            case ("GET" | "HEAD", ""):
                return web.Response()
            case ("GET", "list"):
                prefix = request.query.get("prefix", "")
                return self._list(container, prefix, request.query.get("delimiter", ""))
        raise ArmError(501, "NotImplemented", f"{what[0]} comp={what[1]!r} is not emulated")

    def _list(self, container: str, prefix: str, delimiter: str) -> web.Response:
        root = ET.Element("EnumerationResults", ContainerName=container)
        ET.SubElement(root, "Prefix").text = prefix
        blobs = ET.SubElement(root, "Blobs")
        folders: set[str] = set()
        for name, place in _walk(self._storage.file(container, "")):
            rest = name.removeprefix(prefix)
            if not name.startswith(prefix):
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest[: rest.index(delimiter) + 1])
                continue
            self._describe(ET.SubElement(blobs, "Blob"), container, name, place)
        for folder in sorted(folders):
            ET.SubElement(ET.SubElement(blobs, "BlobPrefix"), "Name").text = folder
        ET.SubElement(root, "NextMarker")
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return web.Response(body=body, content_type="application/xml")

    def _describe(self, element: ET.Element, container: str, name: str, place: Path) -> None:
        ET.SubElement(element, "Name").text = name
        properties = ET.SubElement(element, "Properties")
        facts = {
            "Last-Modified": _modified(place),
            "Etag": _etag(place),
            "Content-Length": str(place.stat().st_size),
            "BlobType": "BlockBlob",
        }
        for key, value in facts.items():
            ET.SubElement(properties, key).text = value
        metadata = ET.SubElement(element, "Metadata")
        for key, value in self._metadata(container, name).items():
            ET.SubElement(metadata, key).text = value


def _refusal(error: ArmError, *, with_body: bool) -> web.Response:
    # The storage SDK reads the code from this header; on a 404 without it, it cannot tell which.
    headers = {"x-ms-error-code": error.code, "x-ms-version": _VERSION}
    root = ET.Element("Error")
    ET.SubElement(root, "Code").text = error.code
    ET.SubElement(root, "Message").text = error.message
    body = ET.tostring(root, encoding="utf-8", xml_declaration=True) if with_body else None
    return web.Response(
        status=error.status, body=body, headers=headers, content_type="application/xml"
    )


def _block(block_id: str) -> str:
    return hashlib.sha256(block_id.encode()).hexdigest()


def _pending(place: Path, unique: str) -> Path:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        message = f"A part of the blob's name is another blob already: {place.name}"
        raise ArmError(409, "BlobNameConflict", message) from error
    return place.parent / f".{place.name}.{unique}{_PENDING}"


def _take_place(pending: Path, place: Path) -> None:
    with pending.open("rb") as file:
        os.fsync(file.fileno())
    # Whole or not at all: a killed upload leaves only a pending file.
    pending.replace(place)


def _written(place: Path, headers: dict[str, str]) -> web.Response:
    facts = {"ETag": _etag(place), "Last-Modified": _modified(place)}
    return web.Response(status=HTTPStatus.CREATED, headers={**facts, **headers})


def _etag(place: Path) -> str:
    stat = place.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def _modified(place: Path) -> str:
    moment = datetime.fromtimestamp(place.stat().st_mtime, UTC)
    return format_datetime(moment, usegmt=True)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for place in sorted(folder.rglob("*")):
        if place.is_file() and not place.name.endswith(_PENDING):
            yield place.relative_to(folder).as_posix(), place
