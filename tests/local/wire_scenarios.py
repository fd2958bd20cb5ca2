"""What azure-ai-ml is asked to do while its requests are recorded: one function per operation.

What a function yields is recorded; what it does before only prepares.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.local.azure_ml_lab import Lab

IMAGE = "mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference"
CONDA = "name: {}\ndependencies: [python=3.13, pip]\n"
SCORE = "def init():\n    pass\n\n\ndef run(raw):\n    return raw\n"

type Act = Callable[[], object]
type Scenario = Callable[["World"], Act]


class World:
    """A client, the emulator it talks to, and files."""

    def __init__(
        self, aml: Lab, client: Any, folder: Path, registry_client: Callable[[str], Any]
    ) -> None:
        self.aml = aml
        self.client = client
        self.folder = folder
        self.registry_client = registry_client
        self._number = 0

    def name(self, word: str = "n") -> str:
        self._number += 1
        return f"{word}-{self._number}"

    def model(self, *versions: str) -> str:
        name = self.name("m")
        for version in versions or ("1",):
            self.aml.register(name, version)
        return name

    def endpoint(self, **properties: Any) -> str:
        name = self.name("e")
        self.aml.succeed(self.aml.put_endpoint(name, **properties))
        return name

    def deployed(self, **properties: Any) -> str:
        endpoint = self.endpoint(**properties)
        self.aml.succeed(self.aml.put_deployment(f"{endpoint}/blue", f"{self.model()}:1"))
        return endpoint

    def live(self, **properties: Any) -> str:
        endpoint = self.deployed(**properties)
        self.aml.succeed(self.aml.put_endpoint(endpoint, traffic={"blue": 100}, **properties))
        return endpoint

    def batch(self) -> str:
        name = self.name("b")
        base = f"batchEndpoints/{name}"
        own = {"authMode": "AADToken"}
        self.aml.succeed(self.aml.arm("PUT", base, {"properties": own}))
        deployment = {"properties": {"compute": "cpu", "model": None}}
        self.aml.succeed(self.aml.arm("PUT", f"{base}/deployments/blue", deployment))
        own["defaults"] = {"deploymentName": "blue"}  # type: ignore[assignment]
        self.aml.succeed(self.aml.arm("PUT", base, {"properties": own}))
        return name

    def registry(self) -> str:
        name = self.name("r")
        group = self.aml.ready["workspace_id"].rpartition("/workspaces/")[0]
        self.aml.succeed(self.aml.arm("PUT", f"{group}/registries/{name}", {"properties": {}}))
        return name

    def files(self, content: str) -> Path:
        folder = self.folder / self.name("files")
        folder.mkdir()
        (folder / "weights.txt").write_text(content)
        return folder

    def code(self, *, extra: str) -> Path:
        folder = self.folder / self.name("code")
        folder.mkdir()
        (folder / "score.py").write_text(SCORE + f"# {extra}\n")
        # An environment nobody else asked for: the first PUT of one answers 201, every other 200.
        name = extra.replace(" ", "-") or "none"
        (folder.parent / "conda.yml").write_text(CONDA.format(name))
        return folder

    def model_id(self, name: str) -> str:
        return f"{self.aml.ready['workspace_id']}/models/{name}/versions/1"


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def add(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return add


# --- workspace, datastores, region


@scenario("workspaces.get")
def _(world: World) -> Act:
    return lambda: world.client.workspaces.get(world.aml.ready["workspace"])


@scenario("workspaces.list")
def _(world: World) -> Act:
    return lambda: list(world.client.workspaces.list())


@scenario("datastores.get_default")
def _(world: World) -> Act:
    act: Act = world.client.datastores.get_default
    return act


@scenario("datastores.list")
def _(world: World) -> Act:
    return lambda: list(world.client.datastores.list())


@scenario("datastores.get include_secrets")
def _(world: World) -> Act:
    return lambda: world.client.datastores.get("workspaceblobstore", include_secrets=True)


@scenario("datastores.create_or_update")
def _(world: World) -> Act:
    from azure.ai.ml.entities import (  # noqa: PLC0415 - takes 1.5 s, and only some tests need it
        AccountKeyConfiguration,
        AzureBlobDatastore,
    )

    key = AccountKeyConfiguration(account_key="c2VjcmV0")
    own = AzureBlobDatastore(
        name="own_store", account_name="acct", container_name="own", credentials=key
    )
    return lambda: world.client.datastores.create_or_update(own)


@scenario("datastores.delete")
def _(world: World) -> Act:
    body = {"datastoreType": "AzureBlob", "containerName": "c", "accountName": "acct"}
    world.aml.arm("PUT", "datastores/unwanted", {"properties": body})
    return lambda: world.client.datastores.delete("unwanted")


@scenario("compute.list_usage")
def _(world: World) -> Act:
    return lambda: list(world.client.compute.list_usage())


@scenario("compute.list_sizes")
def _(world: World) -> Act:
    return lambda: list(world.client.compute.list_sizes())


# --- models


@scenario("models.get version")
def _(world: World) -> Act:
    name = world.model()
    return lambda: world.client.models.get(name, "1")


@scenario("models.get label")
def _(world: World) -> Act:
    name = world.model("1", "2")
    return lambda: world.client.models.get(name, label="latest")


@scenario("models.list")
def _(world: World) -> Act:
    world.model()
    return lambda: list(world.client.models.list())


@scenario("models.list versions")
def _(world: World) -> Act:
    name = world.model("1", "2")
    return lambda: list(world.client.models.list(name))


@scenario("models.list stage")
def _(world: World) -> Act:
    name = world.model()
    return lambda: list(world.client.models.list(name, stage="Production"))


@scenario("models.create_or_update path of a datastore")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    path = world.aml.upload(world.name("remote"))
    model = Model(name=world.name("m"), version="4", path=path, type="custom_model")
    return lambda: world.client.models.create_or_update(model)


@scenario("models.create_or_update next version")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    path = world.aml.upload(world.name("remote"))
    model = Model(name=world.model(), path=path, type="mlflow_model")
    return lambda: world.client.models.create_or_update(model)


@scenario("models.create_or_update local folder")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    model = Model(name=world.name("m"), path=str(world.files("new")), type="custom_model")
    return lambda: world.client.models.create_or_update(model)


@scenario("models.create_or_update tags and stage")
def _(world: World) -> Act:
    name = world.model()

    def act() -> None:
        model = world.client.models.get(name, "1")
        model.tags["stage"] = "x"
        model.stage = "Production"
        world.client.models.create_or_update(model)

    return act


@scenario("models.archive and restore a version")
def _(world: World) -> Act:
    name = world.model()

    def act() -> None:
        world.client.models.archive(name, "1")
        world.client.models.restore(name, "1")

    return act


@scenario("models.archive and restore a name")
def _(world: World) -> Act:
    name = world.model()

    def act() -> None:
        world.client.models.archive(name)
        world.client.models.restore(name)

    return act


@scenario("models.download")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    model = Model(name=world.name("m"), path=str(world.files("kept")), type="custom_model")
    made = world.client.models.create_or_update(model)
    target = str(world.folder / world.name("back"))
    return lambda: world.client.models.download(made.name, made.version, download_path=target)


@scenario("models.share")
def _(world: World) -> Act:
    name, registry = world.model(), world.registry()
    return lambda: world.client.models.share(
        name, "1", share_with_name="shared", share_with_version="9", registry_name=registry
    )


# --- environments and code


@scenario("environments.create_or_update")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Environment  # noqa: PLC0415 - see above

    world.code(extra="")
    own = Environment(name="env", version="1", image=IMAGE, conda_file=world.folder / "conda.yml")
    return lambda: world.client.environments.create_or_update(own)


@scenario("environments.get and list")
def _(world: World) -> Act:
    name = world.name("env")
    body = {"properties": {"image": IMAGE}}
    world.aml.arm("PUT", f"environments/{name}/versions/1", body)

    def act() -> None:
        world.client.environments.get(name, "1")
        world.client.environments.get(name, label="latest")
        list(world.client.environments.list(name))
        list(world.client.environments.list())

    return act


@scenario("environments.archive and restore")
def _(world: World) -> Act:
    name = world.name("env")
    world.aml.arm("PUT", f"environments/{name}/versions/1", {"properties": {"image": IMAGE}})

    def act() -> None:
        world.client.environments.archive(name, "1")
        world.client.environments.restore(name, "1")

    return act


@scenario("code.create_or_update new")
def _(world: World) -> Act:
    from azure.ai.ml.entities._assets import Code  # noqa: PLC0415 - see above

    code = Code(path=str(world.code(extra="new code")))
    return lambda: world.client._code.create_or_update(code)


@scenario("code.create_or_update unchanged")
def _(world: World) -> Act:
    from azure.ai.ml.entities._assets import Code  # noqa: PLC0415 - see above

    folder = world.code(extra="same code")
    world.client._code.create_or_update(Code(path=str(folder)))
    return lambda: world.client._code.create_or_update(Code(path=str(folder)))


# --- online endpoints


@scenario("online_endpoints.begin_create_or_update new")
def _(world: World) -> Act:
    from azure.ai.ml.entities import ManagedOnlineEndpoint  # noqa: PLC0415 - see above

    own = ManagedOnlineEndpoint(name=world.name("e"), auth_mode="key", tags={"team": "a"})
    return lambda: world.client.online_endpoints.begin_create_or_update(own).result()


@scenario("online_endpoints.begin_create_or_update Kubernetes")
def _(world: World) -> Act:
    from azure.ai.ml.entities import KubernetesOnlineEndpoint  # noqa: PLC0415 - see above

    own = KubernetesOnlineEndpoint(
        name=world.name("k"),
        compute=f"{world.aml.ready['workspace_id']}/computes/cluster",
        auth_mode="key",
    )
    return lambda: world.client.online_endpoints.begin_create_or_update(own).result()


@scenario("online_endpoints.begin_create_or_update traffic")
def _(world: World) -> Act:
    name = world.deployed()

    def act() -> None:
        endpoint = world.client.online_endpoints.get(name)
        endpoint.traffic = {"blue": 100}
        world.client.online_endpoints.begin_create_or_update(endpoint).result()

    return act


@scenario("online_endpoints.begin_create_or_update mirror")
def _(world: World) -> Act:
    name = world.live()
    world.aml.succeed(world.aml.put_deployment(f"{name}/green", f"{world.model()}:1"))

    def act() -> None:
        endpoint = world.client.online_endpoints.get(name)
        endpoint.mirror_traffic = {"green": 10}
        world.client.online_endpoints.begin_create_or_update(endpoint).result()

    return act


@scenario("online_endpoints.get and list")
def _(world: World) -> Act:
    name = world.live()

    def act() -> None:
        world.client.online_endpoints.get(name)
        list(world.client.online_endpoints.list())

    return act


@scenario("online_endpoints.get_keys")
def _(world: World) -> Act:
    name = world.endpoint()
    return lambda: world.client.online_endpoints.get_keys(name)


@scenario("online_endpoints.get_keys token")
def _(world: World) -> Act:
    name = world.endpoint(authMode="AMLToken")
    return lambda: world.client.online_endpoints.get_keys(name)


@scenario("online_endpoints.get_keys aad")
def _(world: World) -> Act:
    name = world.endpoint(authMode="AADToken")
    return lambda: world.client.online_endpoints.get_keys(name)


@scenario("online_endpoints.begin_regenerate_keys")
def _(world: World) -> Act:
    name = world.endpoint()
    return lambda: world.client.online_endpoints.begin_regenerate_keys(
        name, key_type="secondary"
    ).result()


@scenario("online_endpoints.invoke")
def _(world: World) -> Act:
    name = world.live()
    request = world.folder / world.name("request.json")
    request.write_text("{}")
    return lambda: world.client.online_endpoints.invoke(name, request_file=str(request))


@scenario("online_endpoints.invoke a deployment")
def _(world: World) -> Act:
    name = world.live()
    request = world.folder / world.name("request.json")
    request.write_text("{}")
    return lambda: world.client.online_endpoints.invoke(
        name, deployment_name="blue", request_file=str(request)
    )


@scenario("online_endpoints.begin_delete")
def _(world: World) -> Act:
    name = world.endpoint()
    return lambda: world.client.online_endpoints.begin_delete(name).result()


# --- online deployments


def _deploy(world: World, deployment: Any) -> Act:
    return lambda: world.client.online_deployments.begin_create_or_update(deployment).result()


@scenario("online_deployments.begin_create_or_update MLflow by id")
def _(world: World) -> Act:
    from azure.ai.ml.entities import ManagedOnlineDeployment  # noqa: PLC0415 - see above

    own = ManagedOnlineDeployment(
        name="blue",
        endpoint_name=world.endpoint(),
        model=world.model_id(world.model()),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    return _deploy(world, own)


@scenario("online_deployments.begin_create_or_update MLflow by entity")
def _(world: World) -> Act:
    from azure.ai.ml.entities import ManagedOnlineDeployment  # noqa: PLC0415 - see above

    own = ManagedOnlineDeployment(
        name="blue",
        endpoint_name=world.endpoint(),
        model=world.client.models.get(world.model(), "1"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    return _deploy(world, own)


def _scripted(world: World, extra: str, **more: Any) -> Any:
    from azure.ai.ml.entities import (  # noqa: PLC0415 - see above
        CodeConfiguration,
        Environment,
        ManagedOnlineDeployment,
    )

    code = world.code(extra=extra)
    return ManagedOnlineDeployment(
        name="blue",
        endpoint_name=world.endpoint(),
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"),
        environment=Environment(image=IMAGE, conda_file=str(code.parent / "conda.yml")),
        instance_type="Standard_DS3_v2",
        instance_count=1,
        **{"model": f"{world.model()}:1", **more},
    )


@scenario("online_deployments.begin_create_or_update code and environment")
def _(world: World) -> Act:
    return _deploy(world, _scripted(world, "first"))


@scenario("online_deployments.begin_create_or_update code unchanged")
def _(world: World) -> Act:
    _deploy(world, _scripted(world, "twice"))()
    return _deploy(world, _scripted(world, "twice"))


@scenario("online_deployments.begin_create_or_update all settings")
def _(world: World) -> Act:
    from azure.ai.ml.entities import OnlineRequestSettings, ProbeSettings  # noqa: PLC0415 - above

    own = _scripted(
        world,
        "settings",
        environment_variables={"LEVEL": "debug"},
        tags={"a": "b"},
        request_settings=OnlineRequestSettings(
            request_timeout_ms=10_000, max_concurrent_requests_per_instance=4
        ),
        liveness_probe=ProbeSettings(initial_delay=5, period=5, timeout=2, failure_threshold=3),
        app_insights_enabled=True,
    )
    return _deploy(world, own)


@scenario("online_deployments.begin_create_or_update local model")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    model = Model(path=str(world.files("local model")), type="custom_model")
    return _deploy(world, _scripted(world, "with local model", model=model))


@scenario("online_deployments.begin_create_or_update registry model")
def _(world: World) -> Act:
    from azure.ai.ml.entities import ManagedOnlineDeployment  # noqa: PLC0415 - see above

    registry = world.registry()
    world.client.models.share(
        world.model(), "1", share_with_name="m", share_with_version="1", registry_name=registry
    )
    own = ManagedOnlineDeployment(
        name="blue",
        endpoint_name=world.endpoint(),
        model=f"azureml://registries/{registry}/models/m/versions/1",
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    return _deploy(world, own)


@scenario("online_deployments.begin_create_or_update Kubernetes")
def _(world: World) -> Act:
    from azure.ai.ml.entities import (  # noqa: PLC0415 - see above
        CodeConfiguration,
        Environment,
        KubernetesOnlineDeployment,
        ResourceRequirementsSettings,
        ResourceSettings,
        TargetUtilizationScaleSettings,
    )

    code = world.code(extra="kubernetes")
    compute = f"{world.aml.ready['workspace_id']}/computes/cluster"
    own = KubernetesOnlineDeployment(
        name="blue",
        endpoint_name=world.endpoint(compute=compute),
        model=f"{world.model()}:1",
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"),
        environment=Environment(image=IMAGE, conda_file=str(code.parent / "conda.yml")),
        instance_count=1,
        scale_settings=TargetUtilizationScaleSettings(min_instances=1, max_instances=3),
        resources=ResourceRequirementsSettings(
            requests=ResourceSettings(cpu="0.5", memory="0.5Gi")
        ),
    )
    return _deploy(world, own)


@scenario("online_deployments.begin_create_or_update scale")
def _(world: World) -> Act:
    name = world.deployed()

    def act() -> None:
        deployment = world.client.online_deployments.get("blue", name)
        deployment.instance_count = 2
        world.client.online_deployments.begin_create_or_update(deployment).result()

    return act


@scenario("online_deployments.get and list")
def _(world: World) -> Act:
    name = world.deployed()

    def act() -> None:
        world.client.online_deployments.get("blue", name)
        list(world.client.online_deployments.list(name))

    return act


@scenario("online_deployments.get_logs")
def _(world: World) -> Act:
    name = world.deployed()

    def act() -> None:
        world.client.online_deployments.get_logs("blue", name, lines=10)
        world.client.online_deployments.get_logs(
            "blue", name, lines=10, container_type="storage-initializer"
        )

    return act


@scenario("online_deployments.begin_delete")
def _(world: World) -> Act:
    name = world.deployed()
    return lambda: world.client.online_deployments.begin_delete("blue", name).result()


# --- batch


@scenario("batch_endpoints.begin_create_or_update")
def _(world: World) -> Act:
    from azure.ai.ml.entities import BatchEndpoint  # noqa: PLC0415 - see above

    own = BatchEndpoint(name=world.name("b"), description="nightly", tags={"a": "b"})
    return lambda: world.client.batch_endpoints.begin_create_or_update(own).result()


@scenario("batch_deployments.begin_create_or_update")
def _(world: World) -> Act:
    from azure.ai.ml.entities import BatchRetrySettings, ModelBatchDeployment  # noqa: PLC0415
    from azure.ai.ml.entities import ModelBatchDeploymentSettings as Settings  # noqa: PLC0415

    own = ModelBatchDeployment(
        name="green",
        endpoint_name=world.batch(),
        model=world.model_id(world.model()),
        compute=f"{world.aml.ready['workspace_id']}/computes/cpu",
        settings=Settings(
            mini_batch_size=5,
            instance_count=2,
            max_concurrency_per_instance=2,
            output_file_name="answers.csv",
            retry_settings=BatchRetrySettings(max_retries=1, timeout=30),
        ),
    )
    return lambda: world.client.batch_deployments.begin_create_or_update(own).result()


@scenario("batch_endpoints.begin_create_or_update default deployment")
def _(world: World) -> Act:
    name = world.batch()

    def act() -> None:
        endpoint = world.client.batch_endpoints.get(name)
        endpoint.defaults.deployment_name = "blue"
        world.client.batch_endpoints.begin_create_or_update(endpoint).result()

    return act


@scenario("batch_endpoints.get and list")
def _(world: World) -> Act:
    name = world.batch()

    def act() -> None:
        world.client.batch_endpoints.get(name)
        list(world.client.batch_endpoints.list())
        world.client.batch_deployments.get("blue", name)
        list(world.client.batch_deployments.list(name))

    return act


@scenario("batch_endpoints.invoke")
def _(world: World) -> Act:
    from azure.ai.ml import Input  # noqa: PLC0415 - see above

    name = world.batch()
    data = Input(type="uri_folder", path="https://example.invalid/data/")
    return lambda: world.client.batch_endpoints.invoke(
        name, deployment_name="blue", inputs={"data": data}
    )


@scenario("batch_endpoints.list_jobs")
def _(world: World) -> Act:
    name = world.batch()

    def act() -> None:
        list(world.client.batch_endpoints.list_jobs(name))
        list(world.client.batch_deployments.list_jobs(name, name="blue"))

    return act


@scenario("batch_deployments and batch_endpoints.begin_delete")
def _(world: World) -> Act:
    name = world.batch()
    plain = {"properties": {"authMode": "AADToken"}}
    world.aml.succeed(world.aml.arm("PUT", f"batchEndpoints/{name}", plain))

    def act() -> None:
        world.client.batch_deployments.begin_delete("blue", name).result()
        world.client.batch_endpoints.begin_delete(name).result()

    return act


# --- registries


@scenario("registries.begin_create")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Registry, RegistryRegionDetails  # noqa: PLC0415 - see above

    own = Registry(
        name=world.name("r"),
        location="localregion",
        replication_locations=[RegistryRegionDetails(location="localregion")],
    )
    return lambda: world.client.registries.begin_create(own).result()


@scenario("registries.get and list")
def _(world: World) -> Act:
    name = world.registry()

    def act() -> None:
        world.client.registries.get(name)
        list(world.client.registries.list())

    return act


@scenario("registries.begin_delete")
def _(world: World) -> Act:
    name = world.registry()
    return lambda: world.client.registries.begin_delete(name=name).result()


@scenario("registry client: models.create_or_update, get, list, download")
def _(world: World) -> Act:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    name, folder = world.registry(), world.files("for the registry")
    target = str(world.folder / world.name("back"))

    def act() -> None:
        client = world.registry_client(name)
        own = Model(name="kept", version="1", path=str(folder), type="custom_model")
        client.models.create_or_update(own)
        assert client.models.get("kept", "1").version == "1"
        assert client.models.get("kept", label="latest").version == "1"
        assert [item.version for item in client.models.list("kept")] == ["1"]
        assert [item.name for item in client.models.list()] == ["kept"]
        client.models.download("kept", "1", download_path=target)
        (found,) = Path(target).rglob("weights.txt")
        assert found.read_text() == "for the registry"

    return act
