"""The service documents: versions, home, ping, health."""

from __future__ import annotations

import pytest

from tests.support.http import Api, empty, refused, success

ADMIN = {"X-Roles": "admin"}


def test_versions_need_no_identity(strict: Api) -> None:
    answer = strict.get("/", headers={"Client-ID": None, "X-Project-ID": None})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.status_code == 300
    assert answer.json() == {
        "versions": [
            {
                "id": "2",
                "status": "CURRENT",
                "updated": "2014-9-24T04:06:47Z",
                "media-types": [
                    {
                        "base": "application/json",
                        "type": "application/vnd.openstack.messaging-v2+json",
                    }
                ],
                "links": [{"href": "/v2/", "rel": "self"}],
            }
        ]
    }


def test_home_is_a_json_home_document_that_may_be_cached(api: Api) -> None:
    answer = api.get("/v2/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json-home"
    assert answer.headers["Cache-Control"] == "max-age=86400"
    for resource in answer.json()["resources"].values():
        assert {"href", "href-template"} & resource.keys()
        assert resource["hints"]["formats"] == {"application/json": {}}
        if "href-template" in resource:
            assert resource["href-vars"]


HOME = {
    "rel/queues": ("/v2/queues{?marker,limit,detailed}", {"GET"}),
    "rel/queue": ("/v2/queues/{queue_name}", {"GET", "PUT", "DELETE", "PATCH"}),
    "rel/queue_stats": ("/v2/queues/{queue_name}/stats", {"GET"}),
    "rel/queue_purge": ("/v2/queues/{queue_name}/purge", {"POST"}),
    "rel/messages": (
        "/v2/queues/{queue_name}/messages{?marker,limit,echo,include_claimed}",
        {"GET"},
    ),
    "rel/post_messages": ("/v2/queues/{queue_name}/messages", {"POST"}),
    "rel/messages_delete": ("/v2/queues/{queue_name}/messages{?ids,pop}", {"DELETE"}),
    "rel/message_delete": (
        "/v2/queues/{queue_name}/messages/{message_id}{?claim_id}",
        {"DELETE"},
    ),
    "rel/message_get": ("/v2/queues/{queue_name}/messages/{message_id}", {"GET"}),
    "rel/claim": ("/v2/queues/{queue_name}/claims/{claim_id}", {"GET"}),
    "rel/patch_claim": ("/v2/queues/{queue_name}/claims/{claim_id}", {"PATCH"}),
    "rel/delete_claim": ("/v2/queues/{queue_name}/claims/{claim_id}", {"DELETE"}),
    "rel/post_claim": ("/v2/queues/{queue_name}/claims{?limit}", {"POST"}),
}


@pytest.mark.parametrize("rel", HOME)
def test_home_describes_each_resource(api: Api, rel: str) -> None:
    template, allow = HOME[rel]
    resource = api.get("/v2/").json()["resources"][rel]
    assert resource["href-template"] == template
    assert allow <= set(resource["hints"]["allow"])


@pytest.mark.parametrize("rel", ["rel/post_messages", "rel/post_claim", "rel/patch_claim"])
def test_home_says_which_resources_take_json(api: Api, rel: str) -> None:
    hints = api.get("/v2/").json()["resources"][rel]["hints"]
    assert hints.get("accept-post") == ["application/json"]


def test_home_names_the_variables_of_its_templates(api: Api) -> None:
    resources = api.get("/v2/").json()["resources"]
    assert resources["rel/queues"]["href-vars"] == {
        "marker": "param/marker",
        "limit": "param/queue_limit",
        "detailed": "param/detailed",
    }
    assert resources["rel/messages"]["href-vars"] == {
        "queue_name": "param/queue_name",
        "marker": "param/marker",
        "limit": "param/messages_limit",
        "echo": "param/echo",
        "include_claimed": "param/include_claimed",
    }
    assert resources["rel/post_claim"]["href-vars"] == {
        "queue_name": "param/queue_name",
        "limit": "param/claim_limit",
    }


def test_home_has_constant_links_where_nothing_varies(api: Api) -> None:
    ping = api.get("/v2/").json()["resources"]["rel/ping"]
    assert ping["href"] == "/v2/ping"
    assert "GET" in ping["hints"]["allow"]
    assert "href-template" not in ping


def test_home_lists_only_what_exists(api: Api, strict: Api) -> None:
    plain = api.get("/v2/").json()["resources"]
    admin = strict.get("/v2/").json()["resources"]
    assert "rel/health" not in plain
    assert admin["rel/health"]["href"] == "/v2/health"
    for absent in ("rel/subscriptions_get", "rel/pools", "rel/flavors", "rel/queue_share"):
        assert absent not in admin


def test_home_needs_an_identity_in_strict_mode(strict: Api) -> None:
    refused(strict.get("/v2/", headers={"Client-ID": None}), 400, "Missing header value")
    refused(strict.get("/v2/", headers={"X-Project-ID": None}), 400, "Project-Id Missing")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_answers_nothing_but_that_it_is_there(api: Api, method: str) -> None:
    empty(api.request(method, "/v2/ping"))


def test_health_reports_a_self_test(strict: Api) -> None:
    report = success(strict.get("/v2/health", headers=ADMIN))
    assert report["storage_reachable"] is True
    assert report["operation_status"].keys() == {
        "create_queue",
        "post_messages",
        "claim_messages",
        "list_messages",
        "delete_messages",
        "delete_claim",
        "bulk_delete_messages",
        "delete_queue",
    }
    for step in report["operation_status"].values():
        assert step["succeeded"] is True
        assert step["seconds"] >= 0
        assert step["ref"] is None


def test_health_leaves_nothing_behind(strict: Api) -> None:
    strict.create("mine")
    success(strict.get("/v2/health", headers=ADMIN))
    assert strict.queue_names() == ["mine"]


def test_health_is_for_administrators(strict: Api) -> None:
    refused(strict.get("/v2/health"), 403, "Not authorized")
    refused(strict.get("/v2/health", headers={"X-Roles": "member"}), 403, "Not authorized")


@pytest.mark.parametrize("roles", ["admin", "ADMIN", "member,admin", "member, Admin"])
def test_roles_are_a_list_in_any_case(strict: Api, roles: str) -> None:
    success(strict.get("/v2/health", headers={"X-Roles": roles}))


def test_health_does_not_exist_without_admin_mode(api: Api) -> None:
    answer = api.get("/v2/health", headers=ADMIN)
    assert answer.status_code == 404
    assert answer.json() == {"title": "404 Not Found"}
