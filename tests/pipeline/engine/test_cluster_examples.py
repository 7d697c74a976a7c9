"""The manifest and the page for Flink fit each other, the pinned Beam, and what Kubernetes asks of a manifest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.beam_flags import unknown_to_beam

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
PAGES = ("flink/README.md", "spark/README.md")
BEAM = re.findall(r"^apache-beam==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The documents of session.yaml by kind."""
    return {document["kind"]: document for document in yaml.safe_load_all((EXAMPLES / "flink/session.yaml").read_text())}


def pods(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The pod specifications of the worker pools and of the job server."""
    session, server = manifest["FlinkDeployment"]["spec"], manifest["Deployment"]["spec"]
    return [session["taskManager"]["podTemplate"]["spec"], server["template"]["spec"]]


def test_every_beam_image_is_of_the_pinned_version() -> None:
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("*/*")) if path.suffix in (".md", ".yaml")]
    versions = [version for text in texts for version in re.findall(r"apache/beam_\w+[\d.]*_(?:sdk|job_server):([\d.]+\d)", text)]
    assert len(versions) >= 3
    assert set(versions) == {BEAM}


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_of_a_page_is_one_of_beam(page: str) -> None:
    command = (EXAMPLES / page).read_text().split("python -m pipeline $stage")[1].split("done")[0]
    words = command.replace("\\", " ").split()
    assert "--sdk_worker_parallelism" in words
    assert unknown_to_beam(words) == ["--corpus", "/shared/webtext"]


def test_pods_mount_the_volumes_that_they_name(manifest: dict[str, Any]) -> None:
    for pod in pods(manifest):
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
        assert mounts == volumes == {"shared"}
        assert all("limits" in c["resources"] for c in pod["containers"] if c["name"] != "flink-main-container")


def test_the_page_names_the_manifests_ports_slots_and_services(manifest: dict[str, Any]) -> None:
    page = (EXAMPLES / "flink/README.md").read_text()
    session = manifest["FlinkDeployment"]["spec"]
    (pool,) = (c for c in pods(manifest)[0]["containers"] if c["name"] == "worker-pool")
    slots = int(session["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert f"--environment_config localhost:{pool['ports'][0]['containerPort']}" in page
    assert f"--sdk_worker_parallelism {slots}" in page
    assert pool["resources"]["requests"]["cpu"] == slots
    assert f"--parallelism {slots * session['taskManager']['replicas']} " in page
    ports = {port["name"]: port["port"] for port in manifest["Service"]["spec"]["ports"]}
    assert f"--job_endpoint {manifest['Service']['metadata']['name']}:{ports['jobs']}" in page
    (server,) = pods(manifest)[1]["containers"]
    assert {port["containerPort"] for port in server["ports"]} == set(ports.values())
    assert manifest["Service"]["spec"]["selector"] == manifest["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert f"--flink-master={manifest['FlinkDeployment']['metadata']['name']}-rest:8081" in server["args"]


def test_the_job_server_is_for_the_manifests_flink(manifest: dict[str, Any]) -> None:
    (server,) = pods(manifest)[1]["containers"]
    version = manifest["FlinkDeployment"]["spec"]["flinkVersion"].removeprefix("v").replace("_", ".")
    assert f"beam_flink{version}_job_server" in server["image"]
    assert manifest["FlinkDeployment"]["spec"]["image"] == f"flink:{version}"
