"""Where the infrastructure and the rest of the repository must say the same."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from infra.bicep import BicepFile, Tree, find, objects

type Files = Mapping[str, BicepFile]

# What the host reads in the cloud and the sample has otherwise, or not at all.
_HOST_ONLY = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "PYTHON_ENABLE_OPENTELEMETRY",
}
# Flex Consumption takes the worker from functionAppConfig, and storage by identity.
_SAMPLE_ONLY = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
_AZD = {"AZURE_ENV_NAME", "AZURE_LOCATION"}
_TOPIC_METRICS = {"DeadLetteredCount", "DroppedEventCount", "DeliveryAttemptFailCount"}


def check(files: Files, folder: Path, repository: Path) -> Iterator[str]:
    """Give every complaint."""
    yield from _settings(files, repository)
    yield from _runtime(files, repository)
    yield from _functions(files, repository)
    yield from _parameters(files, folder)
    yield from _azd(files, folder)
    yield from _texts(folder, repository)


def _settings(files: Files, repository: Path) -> Iterator[str]:
    path = "modules/app.bicep"
    sample = json.loads((repository / "local.settings.sample.json").read_text())["Values"]
    code = "".join(
        (repository / name).read_text() for name in ("deploy_logic/settings.py", "function_app.py")
    )
    read = set(re.findall(r"\bROLLOUT_[A-Z_]+\b", code))
    usual: Tree = files[path].variable("usualSettings") or {}
    for name in sorted((set(sample) | read) - set(usual) - _SAMPLE_ONLY):
        yield f"{path}: app setting {name} is not set"
    for name in sorted(set(usual) - set(sample) - _HOST_ONLY):
        yield f"{path}: app setting {name} is read by nobody"
    for name in sorted(set(usual) & set(sample)):
        value = usual[name]
        is_literal = isinstance(value, str) and value not in files[path].declared
        if is_literal and value != sample[name]:
            yield f"{path}: app setting {name} is {value!r} (the sample has {sample[name]!r})"
    scheduler = files[path].variable("schedulerSettings") or {}
    host = json.loads((repository / "host.json").read_text())
    for name in scheduler:
        prefix, *keys = name.split("__")
        if prefix == "AzureFunctionsJobHost" and find(host, *keys[:-1]) is None:
            yield f"{path}: {name}: host.json has no {'.'.join(keys[:-1])}"


def _runtime(files: Files, repository: Path) -> Iterator[str]:
    wanted = (repository / ".python-version").read_text().strip()
    for file in files.values():
        for symbol, declared, config in file.resources():
            if declared["type"] == "Microsoft.Web/sites" and not declared["existing"]:
                version = find(config, "properties", "functionAppConfig", "runtime", "version")
                if version != wanted:
                    right = f".python-version: {wanted}"
                    yield f"{file.path}: {symbol!r} runs Python {version!r} ({right})"


def _functions(files: Files, repository: Path) -> Iterator[str]:
    """Complain about functions that are named and not there."""
    code = (repository / "function_app.py").read_text()
    there = set(re.findall(r"^ *(?:async )?def (\w+)\(", code, re.MULTILINE))
    for file in files.values():
        for token in file.tokens:
            named = re.search(r"(?:/functions/|^function:)(\w+)", token.text)
            if token.kind == "text" and named and named[1] not in there:
                yield f"{file.path}: line {token.line}: there is no function {named[1]!r}"


def _parameters(files: Files, folder: Path) -> Iterator[str]:
    outputs = set(files["main.bicep"].outputs)
    for name in ("main", "subscription"):
        text = (folder / f"{name}.bicepparam").read_text(encoding="utf-8")
        if f"\nusing '{name}.bicep'\n" not in text:
            yield f"{name}.bicepparam: does not use {name}.bicep"
        given = re.findall(r"^param (\w+) = (.+)$", text, re.MULTILINE)
        declared = files[f"{name}.bicep"].parameters
        names = [one for one, _ in given]
        for one in sorted(set(names) - set(declared)):
            yield f"{name}.bicepparam: {name}.bicep has no parameter {one!r}"
        for one in sorted(set(declared) - set(names)):
            yield f"{name}.bicepparam: parameter {one!r} is not given"
        for one, value in given:
            yield from (
                f"{name}.bicepparam: {one}: {wrong}"
                for wrong in _variable(one, value, outputs if name == "subscription" else _AZD)
            )


def _variable(parameter: str, value: str, fed: set[str]) -> Iterator[str]:
    """Complain about a variable that nobody sets, or that is not called like its parameter."""
    found = re.search(r"readEnvironmentVariable\('(\w+)'", value)
    if found is None:
        yield f"{value!r} is not read from the environment"
    elif found[1] not in fed:
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()
        if found[1] != f"ROLLOUTS_{snake}":
            yield f"{found[1]} is set by nobody (ROLLOUTS_{snake}, or an output of main.bicep)"


def _azd(files: Files, folder: Path) -> Iterator[str]:
    text = (folder.parent / "azure.yaml").read_text(encoding="utf-8")
    azd = yaml.safe_load(text)
    known = set(files["main.bicep"].outputs) | _AZD
    for hook in azd["hooks"].values():
        for system in hook.values():
            run = str(system["run"])
            for name in re.findall(r"\$(?:env:)?([A-Z][A-Z_]+)", run):
                if name not in known:
                    yield f"azure.yaml: {name} is neither azd's own nor an output of main.bicep"
            for path in re.findall(r"\binfra/\S+", run):
                if not (folder.parent / path).exists():
                    yield f"azure.yaml: {path} is not there"
    names = {
        one.get("azd-service-name", one.get("'azd-service-name'"))
        for file in files.values()
        for _, declared, config in file.resources()
        if declared["type"] == "Microsoft.Web/sites" and not declared["existing"]
        for one in objects(config["tags"], file)
    }
    for name in azd["services"]:
        if name not in names:
            yield f"azure.yaml: service {name!r} is the azd-service-name of no app"
    if "postdeploy" not in azd["hooks"]:
        yield "azure.yaml: no postdeploy hook: nothing would subscribe to the events"


def _texts(folder: Path, repository: Path) -> Iterator[str]:
    """Complain about queries for a line that the app does not log, or a function it has not."""
    code = "".join(path.read_text() for path in (repository / "deploy_logic").rglob("*.py"))
    logged = set(re.findall(r"_LOG\.\w+\(\s*\"([^\"]+)\"", code))
    app = (repository / "function_app.py").read_text()
    there = set(re.findall(r"^ *(?:async )?def (\w+)\(", app, re.MULTILINE))
    alerts = json.loads((folder / "alerts.json").read_text(encoding="utf-8"))
    queries = [(f"alerts.json: {one['name']}", one["query"]) for one in alerts["log"]]
    try:
        workbook = json.loads((folder / "workbook.json").read_text(encoding="utf-8"))
    except ValueError as error:
        yield f"workbook.json: not JSON: {error}"
        return
    queries += [
        (f"workbook.json: {one['name']}", one["content"]["query"])
        for one in workbook["items"]
        if "query" in one["content"]
    ]
    for where, query in queries:
        for text in list_asked(query):
            if text not in logged:
                yield f"{where}: the app never logs {text!r}"
        for names in re.findall(r"Name in~ \(([^)]*)\)", query):
            for name in re.findall(r"'(\w+)'", names):
                if name not in there:
                    yield f"{where}: there is no function {name!r}"
    for one in alerts["topic"]:
        if one["metric"] not in _TOPIC_METRICS:
            yield f"alerts.json: {one['name']}: {one['metric']!r} is no metric of a system topic"


def list_asked(query: str) -> Iterator[str]:
    """Give every event that a query asks for: by the beginning of the line, or as `said`."""
    for begin in re.findall(r"Message startswith '([^']*)'", query):
        found = re.fullmatch(r'\{"event": (?:"([^"]+)")?', begin)
        if found is None or found[1]:
            yield found[1] if found else begin
    for one, several in re.findall(r"\bsaid (?:== ('[^']*')|in (\([^)]*\)))", query):
        yield from re.findall(r"'([^']*)'", one or several)
