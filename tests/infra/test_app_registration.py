"""The app registration is what the code counts on."""

import json
import re
from pathlib import Path
from typing import Any

from deploy_logic.right import APP_ROLES, EVERY_RIGHT, find_rights
from local.identity.registration import GRANTED, PEOPLE

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "infra" / "app-registration.json").read_text(encoding="utf-8")
REGISTRATION: dict[str, Any] = json.loads(TEXT)
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_it_has_the_app_roles_that_give_rights_and_no_other() -> None:
    roles = [role["value"] for role in REGISTRATION["appRoles"]]
    assert roles == list(APP_ROLES.values())
    assert find_rights(roles) == EVERY_RIGHT
    for right, role in APP_ROLES.items():
        assert right in find_rights([role])
    assert all(role["isEnabled"] for role in REGISTRATION["appRoles"])


def test_every_id_in_it_is_a_guid_of_its_own() -> None:
    ids = re.findall(r'"id": "([^"]*)"', TEXT)
    assert len(ids) == len(set(ids)) == 4
    assert all(GUID.fullmatch(one) for one in ids)


def test_tokens_are_in_the_form_and_with_the_claims_that_are_read() -> None:
    assert REGISTRATION["api"]["requestedAccessTokenVersion"] == 2
    assert REGISTRATION["groupMembershipClaims"] in {"SecurityGroup", "ApplicationGroup"}
    assert REGISTRATION["signInAudience"] == "AzureADMyOrg"  # one tenant
    scopes = REGISTRATION["api"]["oauth2PermissionScopes"]
    assert [scope["value"] for scope in scopes] == [GRANTED]


def test_people_come_back_to_the_dashboard_and_nothing_needs_a_secret() -> None:
    assert REGISTRATION["spa"]["redirectUris"] == ["FUNCTION_APP_URL/api/dashboard"]
    assert REGISTRATION["isFallbackPublicClient"] is True  # device code
    assert not {"passwordCredentials", "keyCredentials", "web"} & set(REGISTRATION)


def test_the_page_names_the_same_ids_and_placeholders() -> None:
    page = (REPOSITORY / "docs" / "first-deployment.md").read_text(encoding="utf-8")
    (promote_now,) = [
        role["id"] for role in REGISTRATION["appRoles"] if role["value"] == "Rollouts.PromoteNow"
    ]
    assert f'\\"appRoleId\\": \\"{promote_now}\\"' in page
    assert REGISTRATION["api"]["oauth2PermissionScopes"][0]["id"] in page
    for placeholder in ("CLIENT_ID", "FUNCTION_APP_URL"):
        assert placeholder in TEXT
        assert f'gsub("{placeholder}"; ' in page


def test_the_people_of_the_laptop_have_roles_that_are_there() -> None:
    ours = {role for one in PEOPLE.values() for role in one.roles if role.startswith("Rollouts.")}
    assert ours == set(APP_ROLES.values())
