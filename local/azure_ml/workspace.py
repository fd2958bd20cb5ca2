"""The one workspace that is emulated: its names, its ARM ids, its description."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.azure_ml.clock import Clock
from local.azure_ml.errors import user_error
from local.azure_ml.store import Json

PROVIDER = "Microsoft.MachineLearningServices"
TYPE = f"{PROVIDER}/workspaces"
TENANT = "00000000-0000-0000-0000-00000000000a"

# Quota page: letter first, 3-32, letters, digits and single dashes.
_NAME = re.compile(r"[a-z](-?[a-z0-9])*", re.IGNORECASE)
_NAME_LENGTH = range(3, 33)
# The looser pattern of the ARM paths, for assets.
_ASSET = re.compile(r"[a-z0-9][a-z0-9\-_.]{0,254}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Who we are on the wire."""

    subscription: str
    resource_group: str
    name: str
    location: str
    guid: str
    base_url: str  # https://localhost:PORT
    clock: Clock

    def now(self) -> str:
        """Give a time stamp as the service writes it."""
        return self.clock.stamp()

    @property
    def group_id(self) -> str:
        """The resource group's ARM id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"

    @property
    def id(self) -> str:
        """The workspace's ARM id."""
        return f"{self.group_id}/providers/{TYPE}/{self.name}"

    def operation_url(self, collection: str, operation_id: str, api_version: str) -> str:
        """Say where to ask for an operation: under the subscription, not the workspace."""
        return (
            f"{self.base_url}/subscriptions/{self.subscription}/providers/{PROVIDER}"
            f"/locations/{self.location}/{collection}/{operation_id}?api-version={api_version}"
        )

    def describe(self) -> Json:
        """Give the workspace as `GET` answers it."""
        resource = f"{self.group_id}/providers"
        return {
            "id": self.id,
            "name": self.name,
            "type": TYPE,
            "location": self.location,
            "tags": {},
            "etag": None,
            "kind": "Default",
            "sku": {"name": "Basic", "tier": "Basic"},
            "identity": identity({"type": "SystemAssigned"}, self.guid),
            "properties": {
                "friendlyName": self.name,
                "description": "",
                "workspaceId": self.guid,
                "provisioningState": "Succeeded",
                "publicNetworkAccess": "Enabled",
                "storageAccount": f"{resource}/Microsoft.Storage/storageAccounts/{self.name}",
                "keyVault": f"{resource}/Microsoft.KeyVault/vaults/{self.name}",
                "applicationInsights": f"{resource}/Microsoft.Insights/components/{self.name}",
                "containerRegistry": None,
                "discoveryUrl": f"{self.base_url}/discovery",
                "mlFlowTrackingUri": f"azureml://{self.base_url.removeprefix('https://')}"
                f"/mlflow/v1.0{self.id}",
                "hbiWorkspace": False,
                "tenantId": TENANT,
            },
        }


def identity(asked: Mapping[str, Any] | None, principal: str) -> Json | None:
    """Complete an identity the way ARM does: who it is in which tenant."""
    if asked is None:
        return None
    return {**asked, "principalId": principal, "tenantId": TENANT}


def check_name(what: str, name: str) -> None:
    """Refuse an endpoint or deployment name the service would refuse."""
    if len(name) not in _NAME_LENGTH or not _NAME.fullmatch(name):
        raise user_error(
            f"{what} name {name!r} is not valid (3 to 32 letters, digits and single dashes,"
            " starting with a letter, not ending with a dash)"
        )


def check_asset(what: str, name: str) -> None:
    """Refuse an asset name or version the ARM path pattern does not allow."""
    if not _ASSET.fullmatch(name):
        raise user_error(
            f"{what} {name!r} is not valid (up to 255 letters, digits, dashes, underscores and"
            " dots, starting with a letter or digit)"
        )


def system_data(document: Json) -> Json:
    """Who made it and when; the SDK reads both dates without asking whether they are there."""
    who = {"createdBy": "local", "createdByType": "User"}
    changed = {"lastModifiedBy": "local", "lastModifiedByType": "User"}
    return {
        **who,
        "createdAt": document["created"],
        **changed,
        "lastModifiedAt": document["modified"],
    }


def added(kept: Mapping[str, Any], given: Mapping[str, Any], owned: frozenset[str]) -> Json:
    """Add entries to `properties.properties`: they can be added, never altered or removed.

    Entries the service owns come back in every read-modify-write and are passed over.
    """
    mine = {key: value for key, value in given.items() if key not in owned}
    changed = [key for key, value in mine.items() if key in kept and kept[key] != value]
    if changed:
        raise user_error(
            f"Properties can be added but not altered: {', '.join(sorted(changed))}", "Immutable"
        )
    return {**kept, **mine}
