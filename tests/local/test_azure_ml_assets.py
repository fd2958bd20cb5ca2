"""Models, codes, environments, storage and the workspace, over plain HTTPS."""

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, lab

BEARER = {"Authorization": "Bearer any"}


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("assets")) as emulator:
        yield emulator


def versions(aml: Lab, name: str, query: str = "") -> list[str]:
    found = aml.arm("GET", f"models/{name}/versions?{query}").json["value"]
    return [item["name"] for item in found]


# --- the workspace


def test_workspace_is_described(aml: Lab) -> None:
    workspace = aml.arm("GET", "").json
    assert workspace["id"] == aml.ready["workspace_id"]
    assert workspace["location"] == "localregion"
    assert workspace["properties"]["provisioningState"] == "Succeeded"


def test_letter_case_of_an_arm_id_does_not_matter(aml: Lab) -> None:
    path = aml.ready["workspace_id"].upper()
    assert aml.arm("GET", path).json["id"] == aml.ready["workspace_id"]


def test_every_request_needs_a_bearer_token(aml: Lab) -> None:
    path = f"{aml.ready['workspace_id']}?api-version=1"
    assert aml.send("GET", path).status == 401
    assert aml.send("GET", path, headers={"Authorization": "Bearer "}).status == 401
    assert aml.send("GET", path, headers={"Authorization": "Basic x"}).status == 401


def test_every_request_needs_an_api_version(aml: Lab) -> None:
    reply = aml.send("GET", aml.ready["workspace_id"], headers=BEARER)
    assert (reply.status, reply.code) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize("version", ["2021-10-01", "2023-08-01-preview", "2099-01-01"])
def test_every_api_version_is_accepted(aml: Lab, version: str) -> None:
    assert aml.arm("GET", f"models?api-version={version}").status == 200


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (("/subscriptions/00000000", "/subscriptions/ffffffff"), "SubscriptionNotFound"),
        (("/resourceGroups/local", "/resourceGroups/other"), "ResourceGroupNotFound"),
        (("/workspaces/local", "/workspaces/other"), "ResourceNotFound"),
    ],
)
def test_other_scopes_are_not_found(aml: Lab, wrong: tuple[str, str], code: str) -> None:
    reply = aml.arm("GET", aml.ready["workspace_id"].replace(*wrong))
    assert (reply.status, reply.code) == (404, code)


def test_what_is_not_emulated_says_so(aml: Lab) -> None:
    reply = aml.arm("GET", "jobs/x")
    assert reply.status == 501
    assert "not emulated" in reply.message


def test_wrong_method_is_405(aml: Lab) -> None:
    assert aml.arm("DELETE", "onlineEndpoints").status == 405


def test_answers_carry_the_headers_of_arm(aml: Lab) -> None:
    first, second = (aml.arm("GET", "models") for _ in range(2))
    assert first.headers["x-ms-request-id"] != second.headers["x-ms-request-id"]
    assert 0 <= int(first.headers["x-ms-ratelimit-remaining-subscription-reads"]) < 250
    written = aml.arm("PUT", "models/headers", {"properties": {}})
    assert "x-ms-ratelimit-remaining-subscription-writes" in written.headers


def test_server_is_trusted_only_through_its_own_authority(aml: Lab) -> None:
    host, port = aml.ready["url"].removeprefix("https://").split(":")
    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/metadata/endpoints")
    connection.close()


def test_metadata_names_the_cloud(aml: Lab) -> None:
    clouds = aml.send("GET", "/metadata/endpoints?api-version=2019-05-01").json
    assert [cloud["resourceManager"] for cloud in clouds] == [aml.ready["url"]]


# --- models


def test_new_version_is_201_and_the_same_again_200(aml: Lab) -> None:
    assert aml.register("twice", "1").status == 201
    assert aml.register("twice", "1").status == 200


def test_model_is_shown_with_what_the_sdk_cannot_do_without(aml: Lab) -> None:
    model = aml.register("shown", "1", tags={"a": 1}).json
    assert model["id"] == f"{aml.ready['workspace_id']}/models/shown/versions/1"
    assert model["properties"]["flavors"] == {}
    assert model["properties"]["tags"] == {"a": "1"}
    assert model["properties"]["modelUri"].startswith(
        f"azureml://subscriptions/{aml.ready['subscription']}/resourceGroups/local/workspaces/"
    )
    assert model["systemData"]["createdAt"]
    assert model["systemData"]["lastModifiedAt"]


def test_model_path_is_immutable(aml: Lab) -> None:
    aml.register("moved", "1")
    reply = aml.register("moved", "1", modelUri=aml.upload("elsewhere"))
    assert (reply.status, reply.code) == (400, "UserError")
    assert reply.message == "Asset paths cannot be updated."


def test_model_path_in_another_case_is_the_same_path(aml: Lab) -> None:
    uri = aml.register("cased", "1").json["properties"]["modelUri"]
    again = aml.register("cased", "1", modelUri=uri.replace("resourceGroups", "resourcegroups"))
    assert again.status == 200
    assert again.json["properties"]["modelUri"] == uri


def test_tags_and_stage_are_replaced(aml: Lab) -> None:
    aml.register("tagged", "1", tags={"a": "1"}, stage="Development")
    model = aml.register("tagged", "1", tags={"b": "2"}, stage="Production").json["properties"]
    assert (model["tags"], model["stage"]) == ({"b": "2"}, "Production")


def test_properties_are_added_but_never_altered_or_removed(aml: Lab) -> None:
    aml.register("proper", "1", properties={"a": "1"})
    kept = aml.register("proper", "1", properties={"b": "2"}).json["properties"]["properties"]
    assert kept == {"a": "1", "b": "2"}
    assert aml.register("proper", "1", properties={"a": "other"}).status == 400


def test_next_version_follows_the_whole_numbers(aml: Lab) -> None:
    for version in ("2", "10", "1.4.0"):
        aml.register("counted", version)
    container = aml.arm("GET", "models/counted").json["properties"]
    assert (container["latestVersion"], container["nextVersion"]) == ("1.4.0", "11")


def test_newest_comes_first_and_top_cuts(aml: Lab) -> None:
    for version in ("9", "10", "8"):
        aml.register("ordered", version)
    assert versions(aml, "ordered", "$orderBy=createdtime%20desc&$top=1") == ["8"]
    assert versions(aml, "ordered", "$orderBy=createdtime%20asc") == ["9", "10", "8"]
    assert aml.arm("GET", "models/ordered/versions?$orderBy=name").status == 400


def test_pages_follow_with_their_filters(aml: Lab) -> None:
    for version in range(5):
        aml.register("paged", str(version), isArchived=version == 3)
    url: str | None = "models/paged/versions?listViewType=ActiveOnly&$top=2"
    pages: list[list[str]] = []
    while url is not None:
        page = aml.arm("GET", url).json
        pages.append([item["name"] for item in page["value"]])
        url = page.get("nextLink")
        assert url is None or "listViewType=ActiveOnly" in url
    assert pages == [["4", "2"], ["1", "0"]]


def test_archived_versions_are_listed_only_when_asked_for(aml: Lab) -> None:
    aml.register("kept", "1")
    aml.register("kept", "2", isArchived=True)
    assert versions(aml, "kept") == ["1"]
    assert versions(aml, "kept", "listViewType=ArchivedOnly") == ["2"]
    assert versions(aml, "kept", "listViewType=All") == ["2", "1"]


def test_versions_are_filtered_by_stage_and_tags(aml: Lab) -> None:
    aml.register("chosen", "1", stage="Production", tags={"team": "a"})
    aml.register("chosen", "2", tags={"team": "b"})
    assert versions(aml, "chosen", "stage=Production") == ["1"]
    assert versions(aml, "chosen", "tags=team=b") == ["2"]
    assert versions(aml, "chosen", "tags=team") == ["2", "1"]


@pytest.mark.parametrize("path", ["models/none", "models/none/versions/1", "models/none/versions"])
def test_unknown_models_are_404(aml: Lab, path: str) -> None:
    reply = aml.arm("GET", path)
    assert (reply.status, reply.code) == (404, "ResourceNotFound")


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"properties": 1}'])
def test_bodies_that_make_no_sense_are_400(aml: Lab, body: bytes) -> None:
    path = f"{aml.ready['workspace_id']}/models/broken/versions/1?api-version=1"
    reply = aml.send("PUT", path, body, BEARER)
    assert (reply.status, reply.code) == (400, "UserError")


# --- codes and environments


def test_code_is_found_by_its_hash_under_any_name(aml: Lab) -> None:
    properties = {"hash_sha256": "abc", "hash_version": "202208"}
    body = {"properties": {"codeUri": "https://localhost/acct/c", "properties": properties}}
    made = aml.arm("PUT", "codes/first/versions/1", body).json
    asked = "codes/second/versions?hash=abc&hashVersion=202208"
    assert [item["id"] for item in aml.arm("GET", asked).json["value"]] == [made["id"]]
    assert aml.arm("GET", "codes/second/versions?hash=other&hashVersion=202208").json["value"] == []


def test_pending_upload_gives_a_place_that_only_its_signature_opens(aml: Lab) -> None:
    body = {"pendingUploadType": "TemporaryBlobReference"}
    reply = aml.arm("POST", "codes/up/versions/1/startPendingUpload", body).json
    reference = reply["blobReferenceForConsumption"]
    container, _, signature = reference["credential"]["sasUri"].partition("?")
    assert container == reference["blobUri"]
    assert aml.send("PUT", f"{container}/a/score.py?{signature}", b"x = 1").status == 201
    assert aml.send("GET", f"{container}/a/score.py?{signature}").body == b"x = 1"
    assert aml.send("GET", f"{container}/a/score.py").status == 403
    assert aml.send("GET", f"{container}x/a/score.py?{signature}").status == 403
    forged = signature.replace("sig=", "sig=0")
    assert aml.send("GET", f"{container}/a/score.py?{forged}").status == 403


def test_environment_version_may_be_put_again_but_not_changed(aml: Lab) -> None:
    path = "environments/CliV2AnonymousEnvironment/versions/f00"
    body: dict[str, Any] = {"properties": {"image": "i:1", "condaFile": "name: x\n"}}
    assert aml.arm("PUT", path, body).status == 201
    assert aml.arm("PUT", path, body).status == 200
    body["properties"]["image"] = "i:2"
    assert aml.arm("PUT", path, body).status == 400


# --- storage


def test_default_datastore_gives_a_signature_for_its_blobs(aml: Lab) -> None:
    (store,) = aml.arm("GET", "datastores?isDefault=true").json["value"]
    secrets = aml.arm("POST", f"datastores/{store['name']}/listSecrets", {}).json
    assert secrets["secretsType"] == "Sas"
    account = f"https://{store['properties']['accountName']}.blob.x"
    blob = f"{account}/{store['properties']['containerName']}/a/b.txt?{secrets['sasToken']}"
    assert aml.send("PUT", blob, b"hello", {"x-ms-meta-one": "1"}).status == 201
    read = aml.send("GET", blob)
    assert (read.body, read.headers["x-ms-meta-one"]) == (b"hello", "1")


def test_blobs_are_read_in_ranges(aml: Lab) -> None:
    aml.upload("ranged")
    path = "/acct/azureml/ranged/MLmodel"
    reply = aml.send("GET", path, headers={**BEARER, "x-ms-range": "bytes=2-5"})
    assert (reply.status, reply.body) == (206, b"avor")
    assert reply.headers["content-range"] == "bytes 2-5/12"
    beyond = aml.send("GET", path, headers={**BEARER, "x-ms-range": "bytes=12-"})
    assert beyond.status == 416


def test_blocks_become_a_blob_when_they_are_listed(aml: Lab) -> None:
    path = "/acct/azureml/blocks/big"
    for block, text in (("b2", b"world"), ("b1", b"hello ")):
        assert aml.send("PUT", f"{path}?comp=block&blockid={block}", text, BEARER).status == 201
    assert aml.send("GET", path, headers=BEARER).status == 404
    listed = b"<BlockList><Latest>b1</Latest><Latest>b2</Latest></BlockList>"
    assert aml.send("PUT", f"{path}?comp=blocklist", listed, BEARER).status == 201
    assert aml.send("GET", path, headers=BEARER).body == b"hello world"


def test_missing_blob_is_named_in_the_header(aml: Lab) -> None:
    reply = aml.send("HEAD", "/acct/azureml/none", headers=BEARER)
    assert (reply.status, reply.headers["x-ms-error-code"]) == (404, "BlobNotFound")


@pytest.mark.parametrize("name", ["%2e%2e/%2e%2e/state.db", "a/%2e%2e/%2e%2e/x", "%2fetc/x"])
def test_blob_names_cannot_leave_their_container(aml: Lab, name: str) -> None:
    reply = aml.send("PUT", f"/acct/azureml/{name}", b"x", BEARER)
    assert reply.status == 400
    assert not (aml.data / "blobs" / "x").exists()


# --- identity


def test_token_is_issued_to_who_knows_the_header(aml: Lab) -> None:
    path = "/msi/token?resource=https://management.azure.com/&api-version=2019-08-01"
    assert aml.send("GET", path).status == 401
    assert aml.send("GET", path, headers={"X-IDENTITY-HEADER": "guess"}).status == 401
    headers = {"X-IDENTITY-HEADER": aml.ready["identity_header"]}
    token = aml.send("GET", path, headers=headers).json
    assert token["token_type"] == "Bearer"
    assert token["resource"] == "https://management.azure.com/"
    assert int(token["expires_on"]) > 0
    reply = aml.send(
        "GET",
        f"{aml.ready['workspace_id']}?api-version=1",
        headers={"Authorization": f"Bearer {token['access_token']}"},
    )
    assert json.loads(reply.body)["name"] == "local"


def test_token_request_without_a_resource_is_refused(aml: Lab) -> None:
    headers = {"X-IDENTITY-HEADER": aml.ready["identity_header"]}
    assert aml.send("GET", "/msi/token?api-version=2019-08-01", headers=headers).status == 400
