"""Step 2 of 5: the user's `az ml` YAML: what is wrong with it, and what a rollout fills in. Pure.

Only looks whether the files that a template names are there. What azure-ai-ml itself refuses is
asked of it in adapters/azure_ml_template.py.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import yaml

from deploy_logic.template.place import (
    TemplateComplaint,
    Where,
    child,
    complain,
    complain_at,
    compose,
    find_repeated_keys,
    name_of,
    read,
    scalars,
    shape,
    written,
)
from deploy_logic.template.placeholder import fill_text, find_placeholders, find_unfilled, show

type Kind = Literal["deployment", "endpoint"]
type Compute = Literal["managed", "kubernetes"]

# What the app fills in, whatever stands there.
OWNED: Final[Mapping[Kind, frozenset[str]]] = {
    "deployment": frozenset({"$schema", "name", "endpoint_name", "model"}),
    "endpoint": frozenset({"$schema", "name", "traffic", "mirror_traffic"}),
}
RECEIPTS: Final = frozenset({"rollout_id", "rollout_policy"})  # tags of every candidate
# By these keys a file without $schema is known; the one with the most of them is meant.
_KEYS: Final[Mapping[str, str]] = {
    "a batch deployment": "mini_batch_size output_action output_file_name error_threshold "
    "max_concurrency_per_instance retry_settings",
    "an online endpoint": "auth_mode traffic mirror_traffic public_network_access",
    "an online deployment": "endpoint_name instance_type instance_count code_configuration "
    "environment_variables scale_settings request_settings liveness_probe readiness_probe "
    "app_insights_enabled data_collector egress_public_network_access",
    "a policy": "policy select deploy strategy",
    "a job": "command jobs component experiment_name",
    "an environment": "image conda_file build",
    "a model": "path flavors",
    "a compute": "resource_id size min_instances max_instances namespace",
}
# azure-ai-ml breaks in itself where one of these holds something else
_PARTS: Final[Mapping[Kind, str]] = {
    "deployment": "code_configuration request_settings liveness_probe readiness_probe "
    "scale_settings resources data_collector",
    "endpoint": "identity",
}
_WANTED: Final[Mapping[Kind, str]] = {
    "deployment": "an online deployment",
    "endpoint": "an online endpoint",
}
_SCHEMA: Final = re.compile(r"([\w-]+?)(\.schema|\.template)?\.(json|yaml)$")
_MODEL_TYPES: Final = frozenset({"mlflow_model", "custom_model", "triton_model"})


def check_template(path: Path, text: str, *, kind: Kind) -> tuple[TemplateComplaint, ...]:
    """Return what is wrong with the template at path, in the order of its lines."""
    root = read(text)
    if isinstance(root, TemplateComplaint):
        return (root,)
    found = _what_it_is(root)
    if found not in {"", _WANTED[kind]}:
        where: Where = ("$schema",) if child(root, "$schema") is not None else ()
        return (complain(root, where, f"this is {found}", _WANTED[kind]),)
    complaints = [*find_repeated_keys(text), *_unfilled(path, text, kind)]
    checks = _check_deployment if kind == "deployment" else _check_endpoint
    complaints += [*_check_parts(root, kind), *checks(path, root)]
    return tuple(sorted(complaints, key=lambda one: (one.line, one.column)))


def recognise(root: yaml.MappingNode) -> Kind | None:
    """Return what the template is by its $schema or its keys, or None when it is neither."""
    found = _what_it_is(root)
    return next((kind for kind, wanted in _WANTED.items() if wanted == found), None)


def check_pair(template: str, endpoint_template: str) -> tuple[TemplateComplaint, ...]:
    """Return why a deployment of the first cannot stand on an endpoint of the second."""
    root = read(template)
    deployment, endpoint = read_compute(template), read_compute(endpoint_template, kind="endpoint")
    if isinstance(root, TemplateComplaint) or None in {deployment, endpoint}:
        return ()
    if deployment == endpoint:
        return ()
    given = f"a {_title(deployment)} deployment on a {_title(endpoint)} endpoint"
    expected = (
        "compute: azureml:NAME in the endpoint template"
        if deployment == "kubernetes"
        else "type: kubernetes, as the endpoint template names a compute"
    )
    return (complain(root, ("type",), given, expected),)


def read_compute(text: str, *, kind: Kind = "deployment") -> Compute | None:
    """Return what the template runs on, or None when it cannot be read."""
    root = read(text)
    return None if isinstance(root, TemplateComplaint) else _compute(root, kind)


def read_machines(text: str) -> tuple[str, int] | None:
    """Return instance type and count of a managed deployment; None when it names none."""
    root = read(text)
    if isinstance(root, TemplateComplaint) or _compute(root, "deployment") != "managed":
        return None
    kind, count = child(root, "instance_type"), child(root, "instance_count")
    if not isinstance(kind, yaml.ScalarNode):
        return None
    counted = count.value if isinstance(count, yaml.ScalarNode) else "1"
    return (kind.value, int(counted)) if counted.isascii() and counted.isdecimal() else None


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its placeholders filled from values, one for each of VALUES.

    Nothing else is changed. The text is one that check_template can read.
    """
    root = read(text)
    if isinstance(root, TemplateComplaint):
        return text
    return fill_text(text, [scalar for _, scalar in scalars(compose(text))], values)


def _what_it_is(root: yaml.MappingNode) -> str:
    schema, kind = child(root, "$schema"), child(root, "type")
    found = _SCHEMA.search(schema.value.strip()) if isinstance(schema, yaml.ScalarNode) else None
    if found is not None:
        return _of_schema(found[1])
    if isinstance(kind, yaml.ScalarNode) and kind.value in _MODEL_TYPES:
        return "a model"
    keys = {key.value for key, _ in root.value if isinstance(key, yaml.ScalarNode)}
    counts = {what: len(keys & {*marks.split()}) for what, marks in _KEYS.items()}
    most = max(counts, key=lambda what: counts[what])
    return most if counts[most] else ""


def _of_schema(name: str) -> str:
    low = name.lower().replace("_", "")
    for word, noun in (("deployment", "deployment"), ("endpoint", "endpoint")):
        if low.endswith(word):
            if "batch" in low:
                return f"a batch {noun}"
            return f"an online {noun}" if "online" in low or low == word else f"a {name!r}"
    return f"of the schema {name!r}"


def _compute(root: yaml.MappingNode, kind: Kind) -> Compute:
    if kind == "endpoint":
        return "managed" if child(root, "compute") is None else "kubernetes"
    written_type = child(root, "type")
    is_kubernetes = isinstance(written_type, yaml.ScalarNode) and written_type.value == "kubernetes"
    return "kubernetes" if is_kubernetes else "managed"


def _check_parts(root: yaml.MappingNode, kind: Kind) -> Iterator[TemplateComplaint]:
    for key in _PARTS[kind].split():
        part = child(root, key)
        if part is not None and not isinstance(part, yaml.MappingNode):
            yield complain(root, (key,), written(part), "a mapping of keys to values")


def _check_deployment(path: Path, root: yaml.MappingNode) -> Iterator[TemplateComplaint]:
    compute = _compute(root, "deployment")
    yield from _check_schema(root, "deployment", "type: kubernetes", "no type, or type: managed")
    scale = child(root, "scale_settings")
    scale_type = child(scale, "type")
    if (
        compute == "managed"
        and isinstance(scale, yaml.MappingNode)
        and written(scale_type) != "'default'"
    ):
        yield complain(
            root,
            ("scale_settings", "type"),
            written(scale_type),
            "type: default: a managed deployment is scaled by Azure Monitor's autoscale settings",
        )
    yield from _check_code(path, root)
    yield from _check_reference(root)
    for key in ("environment_variables", "tags"):
        yield from _check_values(root, key)
    for name in sorted(RECEIPTS):
        if child(child(root, "tags"), name) is not None:
            yield complain(
                root, ("tags", name), f"{name!r}", "another tag: the app writes this one"
            )


def _check_endpoint(_path: Path, root: yaml.MappingNode) -> Iterator[TemplateComplaint]:
    yield from _check_schema(root, "endpoint", "compute: azureml:NAME", "no compute")
    yield from _check_values(root, "tags")
    if child(root, "type") is not None:
        expected = "no type: a Kubernetes endpoint is one that says compute: azureml:NAME"
        yield complain(root, ("type",), written(child(root, "type")), expected)
    if child(root, "deployments") is not None:
        expected = "a template of its own for the deployment: deploy.template in the policy"
        yield complain(root, ("deployments",), "deployments in an endpoint", expected)


def _check_schema(
    root: yaml.MappingNode, kind: Kind, kubernetes: str, managed: str
) -> Iterator[TemplateComplaint]:
    """Complain where $schema says one compute and the keys another: azure-ai-ml reads the keys."""
    schema = written(child(root, "$schema")).lower()
    compute = _compute(root, kind)
    if "/kubernetesonline" in schema and compute == "managed":
        given = f"{_title('kubernetes')} by its $schema, managed by its keys"
        yield complain(root, ("$schema",), given, kubernetes)
    if "/managedonline" in schema and compute == "kubernetes":
        given = f"managed by its $schema, {_title('kubernetes')} by its keys"
        yield complain(root, ("$schema",), given, managed)


def _check_code(path: Path, root: yaml.MappingNode) -> Iterator[TemplateComplaint]:
    """Complain about what azure-ai-ml finds only while it creates."""
    configuration = child(root, "code_configuration")
    if not isinstance(configuration, yaml.MappingNode):
        return
    code, script = child(configuration, "code"), child(configuration, "scoring_script")
    if code is not None and (script is None or written(script) == "''"):
        where: Where = ("code_configuration", "scoring_script")
        yield complain(root, where, "missing", "a file of the code folder, such as score.py")
    if child(root, "environment") is None:
        where = ("code_configuration",)
        yield complain(root, where, "code without environment", "environment: what it runs in")
    if isinstance(code, yaml.ScalarNode) and _is_local(show(code.value)):
        yield from _check_folder(path, root, show(code.value), script)


def _check_folder(
    path: Path, root: yaml.MappingNode, code: str, script: yaml.Node | None
) -> Iterator[TemplateComplaint]:
    where: Where = ("code_configuration", "code")
    if PurePosixPath(code).is_absolute():
        yield complain(root, where, f"{code!r}", "a path from the template's own folder")
        return
    folder = path.parent / code
    if not folder.exists():
        yield complain(root, where, f"{code!r} is not there", "a folder, from the template's own")
    elif isinstance(script, yaml.ScalarNode) and folder.is_dir():
        name = show(script.value)
        if name and not any(find_unfilled(name)) and not (folder / name).is_file():
            where = ("code_configuration", "scoring_script")
            yield complain(root, where, f"{name!r} is not there", f"a file of {code!r}")


def _check_reference(root: yaml.MappingNode) -> Iterator[TemplateComplaint]:
    """Complain about an environment that azure-ai-ml cannot resolve when it creates."""
    environment = child(root, "environment")
    value = show(environment.value) if isinstance(environment, yaml.ScalarNode) else ""
    if re.fullmatch(r"azureml:(?!AzureML-)[^:/@\s]+", value):  # curated ones need no version
        expected = f"{value}:VERSION or {value}@latest"
        yield complain(root, ("environment",), f"{value!r} has no version", expected)


def _is_local(code: str) -> bool:
    is_elsewhere = re.match(r"(azureml:|https?://|git\+|file:|/subscriptions/)", code)
    return bool(code) and is_elsewhere is None and not any(find_unfilled(code))


def _check_values(root: yaml.MappingNode, key: str) -> Iterator[TemplateComplaint]:
    values = child(root, key)
    for name, value in values.value if isinstance(values, yaml.MappingNode) else ():
        is_null = value.tag == "tag:yaml.org,2002:null"
        if is_null or not isinstance(value, yaml.ScalarNode):
            given = "no value" if is_null else shape(value)
            yield complain(root, (key, name_of(name)), given, "text, in quotes if need be")


def _unfilled(path: Path, text: str, kind: Kind) -> Iterator[TemplateComplaint]:
    for where, scalar in scalars(compose(text)):
        if where[0] in OWNED[kind]:
            continue
        value = show(scalar.value)
        for one in dict.fromkeys(find_unfilled(value)):
            # people may write about placeholders where they describe
            if where[0] != "description" or "holder" not in one.written.lower():
                start, end = scalar.start_mark.index, scalar.end_mark.index
                at = text.find(one.written, start, end)
                place = complain_at(scalar, where, f"{one.written!r}", one.expected)
                yield place if at < 0 else _move(place, text, at)
        if value.startswith("file:"):
            yield from _unfilled_in_file(path.parent / value.removeprefix("file:"), where, scalar)


def _move(place: TemplateComplaint, text: str, at: int) -> TemplateComplaint:
    """Point into a value: at a character of the text."""
    column = at - text.rfind("\n", 0, at)
    return replace(place, line=text.count("\n", 0, at) + 1, column=column)


def _unfilled_in_file(
    file: Path, where: Where, scalar: yaml.ScalarNode
) -> Iterator[TemplateComplaint]:
    """Complain about placeholders in a file that the template includes: azure-ai-ml reads it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return  # azure-ai-ml says that it cannot read it
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("#"):
            for placeholder in find_placeholders(line):
                given = f"{placeholder!r} in line {number} of {file.name!r}"
                expected = "the value itself: only the template's own placeholders are filled"
                yield complain_at(scalar, where, given, expected)


def _title(compute: Compute | None) -> str:
    return "Kubernetes" if compute == "kubernetes" else "managed"
