"""Route templates of HTTP triggers."""

import pytest

from local.functions_host.route import RouteError, parse_route


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/rollouts", "api/rollouts", {}),
        ("api/rollouts", "API/Rollouts/", {}),
        ("api/rollouts", "api/rollouts/1", None),
        ("items/{id}", "items/a b", {"id": "a b"}),
        ("items/{id}", "items", None),
        ("items/{id?}", "items", {}),
        ("items/{id?}", "items/1", {"id": "1"}),
        ("items/{id=7}", "items", {"id": "7"}),
        ("items/{id:int}", "items/-4", {"id": "-4"}),
        ("items/{id:int}", "items/4x", None),
        ("items/{id:int}", "items/2147483648", None),
        ("items/{id:long}", "items/2147483648", {"id": "2147483648"}),
        ("items/{id:int?}", "items", {}),
        ("items/{id:int:min(3)}", "items/2", None),
        ("items/{id:range(1,3)}", "items/3", {"id": "3"}),
        ("items/{id:max(3)}", "items/4", None),
        ("items/{id:guid}", "items/6f9619ff-8b86-d011-b42d-00cf4fc964ff", {"id": ...}),
        ("items/{id:guid}", "items/6f9619ff", None),
        ("items/{on:bool}", "items/True", {"on": "True"}),
        ("items/{name:alpha}", "items/a1", None),
        ("items/{name:length(2,3)}", "items/abcd", None),
        ("items/{name:length(2)}", "items/ab", {"name": "ab"}),
        ("items/{name:minlength(2)}", "items/a", None),
        ("items/{name:regex(^\\d{{3}}$)}", "items/123", {"name": "123"}),
        ("items/{name:regex(^\\d{{3}}$)}", "items/12", None),
        ("items/{at:datetime}", "items/2026-11-22", {"at": "2026-11-22"}),
        ("files/{*rest}", "files/a/b/c", {"rest": "a/b/c"}),
        ("files/{*rest}", "files", {}),
        ("v{major}.{minor}/x", "v1.20/x", {"major": "1", "minor": "20"}),
        ("{endpoint}/rollouts/{id}", "fraud/rollouts/r.1", {"endpoint": "fraud", "id": "r.1"}),
    ],
)
def test_template_matches_paths(
    template: str, path: str, expected: dict[str, object] | None
) -> None:
    found = parse_route(template).match(path)
    if expected == {"id": ...}:
        assert found is not None
    else:
        assert found == expected


@pytest.mark.parametrize(
    "template", ["items/{id", "items/id}", "items/{id:prime}", "items/{id:min(x)}", "items/{:int}"]
)
def test_unreadable_template_is_refused_with_itself_quoted(template: str) -> None:
    with pytest.raises(RouteError, match="route 'items/"):
        parse_route(template)


def test_specific_routes_come_before_general_ones() -> None:
    templates = ["a/{*rest}", "a/{x}", "a/b", "a/{x:int}", "a/{x}/c", "{y}/b"]
    routes = sorted((parse_route(template) for template in templates), key=lambda r: r.precedence)
    assert [route.template for route in routes] == [
        "a/b",
        "a/{x:int}",
        "a/{x}",
        "a/{x}/c",
        "a/{*rest}",
        "{y}/b",
    ]
