"""Versioned assets: what models, codes and environments have in common.

A container has a name, and its versions; versions are text and are never changed in what they
point to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from local.azure_ml.errors import not_found, user_error
from local.azure_ml.store import Json, Store
from local.azure_ml.web import Call, answer, nothing, page, section
from local.azure_ml.workspace import Workspace, added, check_asset, system_data

_VIEWS = {"activeonly": (False,), "archivedonly": (True,), "all": (False, True)}
_ORDERS = {
    "": ("created", True),
    "createdtime": ("created", False),
    "createdtime asc": ("created", False),
    "createdtime desc": ("created", True),
    "updatedtime": ("modified", False),
    "updatedtime asc": ("modified", False),
    "updatedtime desc": ("modified", True),
}
_NO_KEYS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sets one kind of asset apart."""

    plural: str  # as in the path: models, codes, environments
    word: str  # as in messages
    defaults: Mapping[str, Any]  # the properties a version always shows
    immutable: tuple[str, ...]  # what a version points to
    refusal: str  # said when that would change
    clean: Callable[[Json], Json]  # completes the given properties
    created: Callable[[Json], None]  # told of a new version, inside its transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where assets live: in the workspace, or in a registry."""

    id: str  # what their ids begin with
    type: str  # what their types begin with
    shelf: str  # what sets them apart in the store
    knows_names: bool  # whether the versions of a name never seen are a 404, or just none


class Assets:
    """Containers and versions of one kind."""

    def __init__(self, store: Store, workspace: Workspace, kind: Kind, home: Home) -> None:
        self._store = store
        self._workspace = workspace
        self._kind = kind
        self._home = home
        self._versions = f"{home.shelf}{kind.plural}"
        self._containers = f"{home.shelf}{kind.plural}-containers"

    def find(self, name: str, version: str) -> Json | None:
        """Give the stored version, or None."""
        return self._store.get(self._versions, f"{name}/{version}")

    # --- versions

    async def put_version(self, call: Call) -> web.Response:
        """Create a version (201) or change what may be changed of it (200)."""
        name, version = call.names["name"], call.names["version"]
        check_asset(f"{self._kind.word} name", name)
        check_asset(f"{self._kind.word} version", version)
        given = self._kind.clean(section(call.body, "properties"))
        old = self.find(name, version)
        if old is None:
            document = self.create(name, version, given)
            return answer(self.describe(document), status=HTTPStatus.CREATED)
        return answer(self.describe(self._update(old, given)))

    def create(self, name: str, version: str, given: Json) -> Json:
        """Store a new version and tell of it."""
        moment = self._workspace.now()
        with self._store.transaction():
            container = self._container(name) or self._new_container(name)
            document = {
                "name": container["name"],
                "version": version,
                "created": moment,
                "modified": moment,
                "properties": {**self._kind.defaults, **given},
            }
            self._store.put(self._versions, f"{name}/{version}", document)
            self._kind.created(document)
        return document

    def _update(self, old: Json, given: Json) -> Json:
        before = old["properties"]
        for key in self._kind.immutable:
            if _plain(given.get(key, before.get(key))) != _plain(before.get(key)):
                raise user_error(self._kind.refusal, "Immutable")
        kept = {key: before.get(key) for key in self._kind.immutable}
        properties = {**self._kind.defaults, **given, **kept}
        properties["properties"] = added(before["properties"], properties["properties"], _NO_KEYS)
        document = {**old, "properties": properties, "modified": self._workspace.now()}
        self._store.put(self._versions, f"{old['name']}/{old['version']}", document)
        return document

    async def get_version(self, call: Call) -> web.Response:
        """`GET .../versions/{version}`."""
        return answer(self.describe(self._existing(call.names["name"], call.names["version"])))

    async def delete_version(self, call: Call) -> web.Response:
        """Delete a version; the SDK never does, ARM can."""
        name, version = call.names["name"], call.names["version"]
        if self.find(name, version) is None:
            return nothing()
        self._store.delete(self._versions, f"{name}/{version}")
        return web.Response()

    async def list_versions(self, call: Call) -> web.Response:
        """`GET .../versions` with filters, order and paging."""
        name = call.names["name"]
        if self._home.knows_names and self._container(name) is None:
            raise not_found(f"{self._kind.word} container '{name}' was not found")
        found = self._store.all(self._versions, name)
        chosen = [item for item in found if _matches(item, call)]
        order = call.query.get("$orderby", "").lower().strip()
        if order not in _ORDERS:
            raise user_error(f"$orderBy {order!r} is not one of {', '.join(_ORDERS)[2:]}")
        key, newest_first = _ORDERS[order]
        # The store gives them oldest first, and sorting keeps that order among equals.
        chosen = chosen[::-1] if newest_first else chosen
        chosen.sort(key=lambda item: item[key], reverse=newest_first)
        return page(call, self._workspace.base_url, chosen, self.describe)

    def forget_all(self) -> None:
        """Remove everything: the registry it was in is gone."""
        with self._store.transaction():
            for item in self._store.all(self._versions):
                self._store.delete(self._versions, f"{item['name']}/{item['version']}")
            for item in self._store.all(self._containers):
                self._store.delete(self._containers, item["name"])

    def all_versions(self) -> list[Json]:
        """Give every version of every name, oldest first."""
        return self._store.all(self._versions)

    def _existing(self, name: str, version: str) -> Json:
        document = self.find(name, version)
        if document is None:
            raise not_found(f"{self._kind.word} '{name}' with version '{version}' was not found")
        return document

    # --- containers

    async def put_container(self, call: Call) -> web.Response:
        """Create a container without versions, or change its tags, description, archived state."""
        name = call.names["name"]
        check_asset(f"{self._kind.word} name", name)
        given = section(call.body, "properties")
        old = self._container(name)
        with self._store.transaction():
            document = old or self._new_container(name)
            document = {
                **document,
                "modified": self._workspace.now(),
                "tags": section(given, "tags"),
                "description": given.get("description"),
                "archived": given.get("isArchived") is True,
                "properties": added(document["properties"], section(given, "properties"), _NO_KEYS),
            }
            self._store.put(self._containers, name, document)
        status = HTTPStatus.CREATED if old is None else HTTPStatus.OK
        return answer(self._describe_container(document), status=status)

    async def get_container(self, call: Call) -> web.Response:
        """`GET {kind}/{name}`, with `latestVersion` and `nextVersion`."""
        container = self._container(call.names["name"])
        if container is None:
            message = f"{self._kind.word} container '{call.names['name']}' was not found"
            raise not_found(message)
        return answer(self._describe_container(container))

    async def list_containers(self, call: Call) -> web.Response:
        """`GET {kind}`."""
        wanted = _view(call)
        found = [
            container
            for container in self._store.all(self._containers)
            if container["archived"] in wanted
        ]
        return page(call, self._workspace.base_url, found, self._describe_container)

    def _container(self, name: str) -> Json | None:
        return self._store.get(self._containers, name)

    def _new_container(self, name: str) -> Json:
        moment = self._workspace.now()
        container: Json = {
            "name": name,
            "created": moment,
            "modified": moment,
            "tags": {},
            "description": None,
            "archived": False,
            "properties": {},
        }
        self._store.put(self._containers, name, container)
        return container

    # --- on the wire

    def describe(self, document: Json) -> Json:
        """Give the version as ARM shows it."""
        return {
            "id": self.arm_id(document["name"], document["version"]),
            "name": document["version"],
            "type": f"{self._home.type}/{self._kind.plural}/versions",
            "properties": document["properties"],
            "systemData": system_data(document),
        }

    def arm_id(self, name: str, version: str) -> str:
        """Give the version's ARM id."""
        return f"{self._home.id}/{self._kind.plural}/{name}/versions/{version}"

    def _describe_container(self, container: Json) -> Json:
        versions = [item["version"] for item in self._store.all(self._versions, container["name"])]
        numbers = [int(version) for version in versions if version.isdecimal()]
        return {
            "id": f"{self._home.id}/{self._kind.plural}/{container['name']}",
            "name": container["name"],
            "type": f"{self._home.type}/{self._kind.plural}",
            "properties": {
                "description": container["description"],
                "tags": container["tags"],
                "properties": container["properties"],
                "isArchived": container["archived"],
                "latestVersion": versions[-1] if versions else None,
                "nextVersion": str(max(numbers, default=0) + 1),
            },
            "systemData": system_data(container),
        }


def _plain(value: object) -> object:
    # Clients write `resourcegroups`, the service `resourceGroups`: the same path.
    return value.casefold() if isinstance(value, str) else value


def _view(call: Call) -> tuple[bool, ...]:
    given = call.query.get("listviewtype", "ActiveOnly")
    # azure-ai-ml 1.35 writes its enum's own name when it asks a registry.
    plain = given.lower().removeprefix("listviewtype.").replace("_", "")
    if plain not in _VIEWS:
        raise user_error(f"listViewType {given!r} is not one of ActiveOnly, ArchivedOnly, All")
    return _VIEWS[plain]


def _matches(item: Json, call: Call) -> bool:
    properties = item["properties"]
    return (
        (properties.get("isArchived") is True) in _view(call)
        and call.query.get("stage") in (None, properties.get("stage"))
        and call.query.get("version") in (None, item["version"])
        and call.query.get("description") in (None, properties.get("description"))
        and _has(properties["tags"], call.query.get("tags"))
        and _has(properties["properties"], call.query.get("properties"))
    )


def _has(entries: Mapping[str, Any], wanted: str | None) -> bool:
    """Tell whether `key1,key2=value2` all hold."""
    for part in (wanted or "").split(","):
        key, equals, value = part.partition("=")
        if part and (key not in entries or (equals and entries[key] != value)):
            return False
    return True
