"""The one subscription, its tenant and its resource group, as the tools ask for them."""

from aiohttp import web

from local.azure_ml.store import Json
from local.azure_ml.web import Call, Router, answer, page
from local.azure_ml.workspace import TENANT, Workspace


class Subscription:
    """What stands above the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", "/tenants", self._list_tenants)
        router.add("GET", "/subscriptions", self._list)
        router.add("GET", "/subscriptions/{subscription}", self._get)
        groups = "/subscriptions/{subscription}/resourceGroups"
        router.add("GET", groups, self._list_groups)
        router.add("GET", f"{groups}/{{group}}", self._get_group)

    async def _list_tenants(self, call: Call) -> web.Response:
        tenant: Json = {"id": f"/tenants/{TENANT}", "tenantId": TENANT, "displayName": "local"}
        return page(call, self._workspace.base_url, [tenant], dict)

    async def _list(self, call: Call) -> web.Response:
        return page(call, self._workspace.base_url, [self._describe()], dict)

    async def _get(self, _call: Call) -> web.Response:
        return answer(self._describe())

    async def _list_groups(self, call: Call) -> web.Response:
        return page(call, self._workspace.base_url, [self._describe_group()], dict)

    async def _get_group(self, _call: Call) -> web.Response:
        return answer(self._describe_group())

    def _describe(self) -> Json:
        own = self._workspace.subscription
        return {
            "id": f"/subscriptions/{own}",
            "subscriptionId": own,
            "tenantId": TENANT,
            "displayName": "local",
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionPolicies": {"spendingLimit": "Off"},
        }

    def _describe_group(self) -> Json:
        return {
            "id": self._workspace.group_id,
            "name": self._workspace.resource_group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self._workspace.location,
            "tags": {},
            "properties": {"provisioningState": "Succeeded"},
        }
