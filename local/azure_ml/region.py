"""What the region tells: how much is used of which quota, and which machines there are.

The machines are a few common ones with their documented sizes; nothing here is ever used up by
machines, since the local servers need none.
"""

from aiohttp import web

from local.azure_ml.control import Control
from local.azure_ml.endpoints import DEPLOYMENT, ENDPOINT
from local.azure_ml.store import Json
from local.azure_ml.web import Call, Router, answer, page
from local.azure_ml.workspace import PROVIDER, TYPE

_LOCATION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{location}}"
# Name, family, cores, memory in GB, GPUs.
_SIZES = (
    ("Standard_DS2_v2", "standardDSv2Family", 2, 7, 0),
    ("Standard_DS3_v2", "standardDSv2Family", 4, 14, 0),
    ("Standard_DS4_v2", "standardDSv2Family", 8, 28, 0),
    ("Standard_F2s_v2", "standardFSv2Family", 2, 4, 0),
    ("Standard_F4s_v2", "standardFSv2Family", 4, 8, 0),
    ("Standard_F8s_v2", "standardFSv2Family", 8, 16, 0),
    ("Standard_E4s_v3", "standardESv3Family", 4, 32, 0),
    ("Standard_NC4as_T4_v3", "standardNCASv3_T4Family", 4, 28, 1),
)
_INSTANCE_SIZES = {name.lower(): (family, cores) for name, family, cores, _, _ in _SIZES}
_DEPLOYMENT = "{workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}"
_MOST_INSTANCES = 50


class Region:
    """Quotas, usages and machine sizes."""

    def __init__(self, control: Control) -> None:
        self._store = control.store
        self._workspace = control.workspace
        self._quotas = control.quotas

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", f"{_LOCATION}/usages", self._usages)
        router.add("GET", f"{_LOCATION}/quotas", self._list_quotas)
        router.add("GET", f"{_LOCATION}/vmSizes", self._sizes)
        router.add("GET", f"{_DEPLOYMENT}/skus", self._skus)

    async def _usages(self, call: Call) -> web.Response:
        used = self._used_cores()
        endpoints, deployments = self._store.count(ENDPOINT), self._store.count(DEPLOYMENT)
        entries = [
            self._usage("onlineEndpoints", endpoints, self._quotas.endpoints),
            self._usage("onlineDeployments", deployments, self._quotas.deployments),
            *(
                self._usage(family, used.get(family, 0), self._quotas.cores)
                for family in _families()
            ),
        ]
        return page(call, self._workspace.base_url, entries, dict)

    async def _list_quotas(self, call: Call) -> web.Response:
        entries = [
            {
                "id": self._id("quotas", family),
                "name": {"value": family, "localizedValue": family},
                "type": f"{TYPE}/quotas",
                "unit": "Count",
                "limit": self._quotas.cores,
            }
            for family in _families()
        ]
        return page(call, self._workspace.base_url, entries, dict)

    async def _sizes(self, _call: Call) -> web.Response:
        return answer(
            {
                "value": [
                    {
                        "name": name,
                        "family": family,
                        "vCPUs": cores,
                        "gpus": gpus,
                        "memoryGB": memory,
                        "lowPriorityCapable": False,
                        "premiumIO": True,
                        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
                    }
                    for name, family, cores, memory, gpus in _SIZES
                ]
            }
        )

    async def _skus(self, call: Call) -> web.Response:
        capacity = {"default": 1, "minimum": 1, "maximum": _MOST_INSTANCES, "scaleType": "Manual"}
        sku = {"resourceType": TYPE, "sku": {"name": "Default"}, "capacity": capacity}
        return page(call, self._workspace.base_url, [sku], dict)

    def _usage(self, name: str, value: int, limit: int) -> Json:
        return {
            "id": self._id("usages", name),
            "type": f"{TYPE}/usages",
            "unit": "Count",
            "amlWorkspaceLocation": self._workspace.location,
            "currentValue": value,
            "limit": limit,
            "name": {"value": name, "localizedValue": name},
        }

    def _id(self, kind: str, name: str) -> str:
        ours = self._workspace
        base = f"/subscriptions/{ours.subscription}/providers/{PROVIDER}/locations/{ours.location}"
        return f"{base}/{kind}/{name}"

    def _used_cores(self) -> dict[str, int]:
        used: dict[str, int] = {}
        for document in self._store.all(DEPLOYMENT):
            size = str(document["properties"].get("instanceType")).lower()
            if size in _INSTANCE_SIZES:
                family, cores = _INSTANCE_SIZES[size]
                used[family] = used.get(family, 0) + cores * document["sku"]["capacity"]
        return used


def _families() -> list[str]:
    return sorted({family for _, family, *_ in _SIZES})
