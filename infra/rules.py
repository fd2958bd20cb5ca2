"""What must hold of the infrastructure, rule by rule; each yields its complaints.

`resource_types.json` knows what Azure understands; here is what we want of it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra import agreement
from infra.bicep import BicepFile, Tree, find, objects

type Files = Mapping[str, BicepFile]

EVENT_TYPE = "Microsoft.MachineLearningServices.ModelRegistered"
TOPIC_TYPE = "Microsoft.MachineLearningServices.Workspaces"
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
KNOWN_ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Monitoring Reader": "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
    "Log Analytics Data Reader": "3b03c2da-16b3-4a49-8834-0f8130efdd3b",
    "EventGrid Data Sender": "d5a91429-5739-47e2-a06b-3470a27159e7",
    "Durable Task Data Contributor": "0ad04412-c4d5-4796-b79c-f76d14c8d402",
}
_SECRET = re.compile(
    r"list\w*(key|secret|sas|token)|connectionstring|primarykey|password", re.IGNORECASE
)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What each resource of a type must say, wherever it stands: path of keys, value.
_MUST: Mapping[str, tuple[tuple[tuple[str, ...], object], ...]] = {
    "Microsoft.Storage/storageAccounts": (
        (("properties", "allowBlobPublicAccess"), False),
        (("properties", "allowSharedKeyAccess"), False),
        (("properties", "allowCrossTenantReplication"), False),
        (("properties", "minimumTlsVersion"), "TLS1_2"),
        (("properties", "supportsHttpsTrafficOnly"), True),
    ),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (
        (("properties", "publicAccess"), "None"),
    ),
    "Microsoft.Web/sites": (
        (("properties", "httpsOnly"), True),
        (("properties", "siteConfig", "minTlsVersion"), "1.2"),
        (("identity", "type"), "UserAssigned"),
        (("properties", "functionAppConfig", "runtime", "name"), "python"),
    ),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ((("properties", "allow"), False),),
    "Microsoft.Insights/components": ((("properties", "DisableLocalAuth"), True),),
    "Microsoft.OperationalInsights/workspaces": (
        (("properties", "features", "disableLocalAuth"), True),
    ),
    "Microsoft.EventGrid/systemTopics": (
        (("identity", "type"), "SystemAssigned"),
        (("properties", "topicType"), TOPIC_TYPE),
    ),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": (
        (("properties", "filter", "includedEventTypes"), [EVENT_TYPE]),
        (("properties", "retryPolicy", "maxDeliveryAttempts"), 30),
        (("properties", "retryPolicy", "eventTimeToLiveInMinutes"), 1440),
        (("properties", "eventDeliverySchema"), "CloudEventSchemaV1_0"),
        (
            ("properties", "deadLetterWithResourceIdentity", "identity", "type"),
            "SystemAssigned",
        ),
    ),
    "Microsoft.Authorization/roleAssignments": (
        (("properties", "principalType"), "ServicePrincipal"),
    ),
    "Microsoft.Authorization/roleDefinitions": ((("properties", "type"), "CustomRole"),),
}


def check(files: Files, folder: Path, repository: Path) -> list[str]:
    """Return every complaint."""
    found = [f"{file.path}: {one}" for file in files.values() for one in _musts(file)]
    found += [f"{file.path}: {one}" for file in files.values() for one in _secrets(file)]
    found += [f"{file.path}: {one}" for file in files.values() for one in _grants(file)]
    found += [f"{file.path}: {one}" for file in files.values() for one in _scopes(file)]
    found += _subscription(files)
    found += _roles(files, json.loads((folder / "roles.json").read_text(encoding="utf-8")))
    found += agreement.check(files, folder, repository)
    return found


def _musts(file: BicepFile) -> Iterator[str]:
    for symbol, declared, config in file.resources():
        if declared["existing"]:
            continue
        for path, right in _MUST.get(declared["type"], ()):
            value = find(config, *path)
            if value != right or type(value) is not type(right):
                where = ".".join(path)
                yield f"resource {symbol!r}: {where} is {value!r} (must be {right!r})"


def _secrets(file: BicepFile) -> Iterator[str]:
    for token in file.tokens:
        if token.kind == "name" and re.match(r"list[A-Z]\w*", token.text):
            yield f"line {token.line}: {token.text}: nothing here reads keys (use an identity)"
    for name, found in file.outputs.items():
        if _SECRET.search(json.dumps(found["value"])):
            yield f"output {name!r} may hold a secret: outputs are stored in plain text"
    for token in file.tokens:
        if token.kind == "text" and re.search(r"(AccountKey|SharedAccess\w+)=", token.text):
            yield f"line {token.line}: a connection string with a key (use an identity)"


def _grants(file: BicepFile) -> Iterator[str]:
    """Every assignment has a stable name and a scope, and takes its role from roles.json."""
    for symbol, declared, config in file.resources():
        if declared["type"] != "Microsoft.Authorization/roleAssignments":
            continue
        if find(config, "name", "function", "type") != "guid":
            yield f"resource {symbol!r}: name is not guid(...) of scope, principal and role"
        is_wide = find(file.tree, "globals", "scope", "value") != "subscription"
        if is_wide and "scope" not in config:
            yield f"resource {symbol!r}: no scope: it would hold for the whole resource group"
    for token in file.tokens:
        if token.kind == "text" and _GUID.search(token.text):
            yield f"line {token.line}: an id written out (roles stand in roles.json)"


def _scopes(file: BicepFile) -> Iterator[str]:
    """Complain about scopes that Bicep does not resolve (BCP420)."""
    bodies = [(symbol, config) for symbol, _, config in file.modules()]
    bodies += [(symbol, config) for symbol, _, config in file.resources()]
    for symbol, config in bodies:
        if "conditional" in json.dumps(find(config, "scope", "operator") or {}):
            yield f"{symbol!r}: scope is a condition (its arguments may be conditions)"


def _subscription(files: Files) -> Iterator[str]:
    kind = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    made = [
        (file, config)
        for file in files.values()
        for _, declared, config in file.resources()
        if declared["type"] == kind and not declared["existing"]
    ]
    if not made:
        yield "no event subscription: the app would hear of nothing"
    for file, config in made:
        dead = find(config, "properties", "deadLetterWithResourceIdentity", "deadLetterDestination")
        if find(dead, "properties", "blobContainerName") is None:
            yield f"{file.path}: no dead-letter container: Event Grid would drop events silently"
        ends = {one.get("endpointType") for one in _destinations(config, file)}
        if ends != {"AzureFunction", "StorageQueue"}:
            yield f"{file.path}: destinations {ends} (a function, or a Storage queue)"
        filters = find(config, "properties", "filter", "advancedFilters")
        for one in objects(filters, file):
            if one.get("key") != "subject" or one.get("operatorType") != "StringBeginsWith":
                yield f"{file.path}: filter on {one.get('key')!r} (only the subject is reliable)"


def _destinations(config: Tree, file: BicepFile) -> Iterator[Tree]:
    properties = config["properties"]
    for key in ("destination", "deliveryWithResourceIdentity"):
        for one in objects(properties.get(key), file):
            yield from objects(one["destination"], file) if "destination" in one else [one]


def _roles(files: Files, roles: Tree) -> Iterator[str]:
    for key, role in roles["built_in"].items():
        if KNOWN_ROLES.get(role["name"]) != role["id"]:
            yield f"roles.json: {key}: {role['name']} does not have the id {role['id']}"
    used = {token.text for file in files.values() for token in file.tokens}
    for group in ("built_in", "custom"):
        for key in set(roles[group]) - used:
            yield f"roles.json: {group} {key!r} is given by no module"
    for key, role in roles["custom"].items():
        for action, said in role["actions"].items():
            if "*" in action or not action.startswith(roles["prefix"]):
                yield f"roles.json: {key}: {action!r} is no single action of Azure Machine Learning"
            if not said.get("why") or not said.get("used_by"):
                yield f"roles.json: {key}: {action!r} has no why or no used_by"
    for file in files.values():
        yield from (f"{file.path}: {one}" for one in _definitions(file))


def _definitions(file: BicepFile) -> Iterator[str]:
    for symbol, declared, config in file.resources():
        if declared["type"] != "Microsoft.Authorization/roleDefinitions":
            continue
        for permission in find(config, "properties", "permissions") or ():
            if permission.get("dataActions") != []:
                yield f"resource {symbol!r}: dataActions (score/action is an action)"
            if isinstance(permission.get("actions"), list):
                yield f"resource {symbol!r}: actions written out (they stand in roles.json)"
        scopes: Any = find(config, "properties", "assignableScopes") or []
        named = [
            find(one, "operator", "operands", "operand_1", "function", "type") for one in scopes
        ]
        if not named or not set(named) <= {"resource_group", "subscription"}:
            yield f"resource {symbol!r}: assignable beyond its resource group or subscription"
