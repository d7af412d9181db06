"""What deploys the service says what the service knows: settings, ports, time-outs."""

from __future__ import annotations

import configparser
import re
from dataclasses import fields
from typing import Any

import kubernetes_validate
import pytest
import yaml

from queueing.api.middleware import request_id
from queueing.cli.main import main
from queueing.config import Settings
from queueing.service.readiness import READY
from tests.docs.pages import ROOT

COMPOSE = ROOT / "docker-compose.yml"
ON_MONGODB = ROOT / "docker-compose.mongodb.yml"
HAPROXY = ROOT / "etc" / "haproxy.cfg"
KUBERNETES = sorted((ROOT / "etc" / "kubernetes").glob("*.yaml"))
UNIT = ROOT / "etc" / "queueing.service"
DOCKERFILE = ROOT / "Dockerfile"

NODES_SETTINGS = {f"QUEUEING_{field.name.upper()}" for field in fields(Settings)}
OF_COMPOSE = {
    "QUEUEING_PORT",
    "QUEUEING_NODES",
    "QUEUEING_REDIS_MEMORY",
    "QUEUEING_REDIS_LIMIT",
    "QUEUEING_MONGODB_CACHE_GB",
    "QUEUEING_MONGODB_LIMIT",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


@pytest.fixture(scope="module")
def on_mongodb() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(ON_MONGODB.read_text())["services"]
    return services


@pytest.mark.parametrize(
    "file", [COMPOSE, ON_MONGODB, UNIT, DOCKERFILE, *KUBERNETES], ids=lambda f: f.name
)
def test_every_setting_is_one(file: Any) -> None:
    named = set(re.findall(r"QUEUEING_[A-Z_]+", file.read_text()))
    images = {name for name in named if name.endswith("_IMAGE")}
    assert named - images - OF_COMPOSE <= NODES_SETTINGS
    assert named


def test_only_the_balancer_can_be_reached_from_outside(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["balancer"]
    assert not [name for name, service in services.items() if "network_mode" in service]


def test_the_balancer_notices_that_a_node_leaves_before_it_refuses(
    services: dict[str, Any],
) -> None:
    text = HAPROXY.read_text()
    assert f"option httpchk GET {READY}\n" in text
    found = re.search(r" inter (\d+)ms fastinter (\d+)ms fall 2 ", text)
    assert found
    drain = services["node"]["environment"]["QUEUEING_DRAIN_SECONDS"]
    assert drain == "${QUEUEING_DRAIN_SECONDS:-2}"
    assert sum(map(int, found.groups())) < 2000


def test_everything_is_started_again_and_bounded(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name


def test_nodes_are_three_and_cannot_write_but_to_memory(services: dict[str, Any]) -> None:
    node = services["node"]
    assert node["scale"] == "${QUEUEING_NODES:-3}"
    assert node["read_only"] is True
    assert node["cap_drop"] == ["ALL"]


def test_redis_writes_before_it_answers_and_forgets_nothing(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--dir"] == services["redis"]["volumes"][0].split(":")[1]


def test_each_waits_until_what_it_needs_is_healthy(services: dict[str, Any]) -> None:
    assert services["balancer"]["depends_on"] == {"node": {"condition": "service_healthy"}}
    assert services["node"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_the_deployment_on_mongodb_is_the_same_but_for_its_store(
    services: dict[str, Any], on_mongodb: dict[str, Any]
) -> None:
    assert on_mongodb["balancer"] == services["balancer"]
    node, other = dict(services["node"]), dict(on_mongodb["node"])
    assert node.pop("depends_on") != other.pop("depends_on")
    settings, others = dict(node.pop("environment")), dict(other.pop("environment"))
    assert settings.pop("QUEUEING_STORAGE") != others.pop("QUEUEING_STORAGE")
    assert (node, settings) == (other, others)
    test_only_the_balancer_can_be_reached_from_outside(on_mongodb)
    on_mongodb = dict(on_mongodb)
    once = on_mongodb.pop("prepare")
    test_everything_is_started_again_and_bounded(on_mongodb)
    assert once["restart"] == "on-failure"
    assert once["mem_limit"] and once["logging"]["options"]["max-size"]


def test_mongodb_is_made_ready_by_our_own_image_before_a_node_starts(
    on_mongodb: dict[str, Any],
) -> None:
    once, node = on_mongodb["prepare"], on_mongodb["node"]
    assert node["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    assert once["depends_on"] == ["mongodb"]
    assert (once["image"], once["environment"]) == (node["image"], node["environment"])
    name, *arguments = once["command"]
    context = main.commands[name].make_context(name, arguments)
    assert context.params["initiate"] and context.params["wait"] > 60
    replica_set = on_mongodb["mongodb"]["command"][1]
    assert f"replicaSet={replica_set}" in node["environment"]["QUEUEING_STORAGE"]


def test_the_balancer_is_more_patient_than_any_request() -> None:
    settings = Settings()
    text = HAPROXY.read_text()
    longest = max(settings.max_wait_seconds, settings.storage_timeout_seconds)
    for side in ("client", "server"):
        found = re.search(rf"timeout {side} (\d+)s", text)
        assert found and int(found[1]) > 2 * longest


def test_the_balancer_keeps_the_names_of_requests_that_a_node_would_keep() -> None:
    kept = re.search(r"req\.fhdr\(X-Request-ID\) -m reg \^(\S+)\$ }", HAPROXY.read_text())
    assert kept and kept[1] == request_id._SANE.pattern


def test_those_who_stop_a_node_are_more_patient_than_it(services: dict[str, Any]) -> None:
    graceful = Settings().graceful_timeout_seconds
    assert float(services["node"]["stop_grace_period"].removesuffix("s")) > graceful
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(UNIT)
    assert float(unit["Service"]["TimeoutStopSec"]) > graceful
    [deployment] = [d for d in _documents() if d["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > graceful + 5


def _documents() -> list[dict[str, Any]]:
    return [doc for file in KUBERNETES for doc in yaml.safe_load_all(file.read_text())]


def test_kubernetes_knows_every_field_of_the_manifests() -> None:
    assert {document["kind"] for document in _documents()} == {
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    }
    for document in _documents():
        kubernetes_validate.validate(document, "1.30", strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    [service] = [d for d in _documents() if d["kind"] == "Service"]
    service["spec"]["port"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, "1.30", strict=True)
