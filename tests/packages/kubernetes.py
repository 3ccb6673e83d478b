"""Checks examples/kubernetes and examples/container: syntax, Helm's lint, and the schemas of Kubernetes.

Run by Python of tests/packages/tools.sh, in the directory of the repository. Prints what it checked.
"""

import itertools
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml
from helm_python import chart

VERSIONS = ["1.30", "1.33", "1.37"]
DIRECTORY = pathlib.Path("examples/kubernetes")
CHART = DIRECTORY / "chart"


def validate(documents, origin):
    """Checks each document against each version: an unknown key is an error."""
    documents = [document for document in documents if document]
    for document, version in itertools.product(documents, VERSIONS):
        kubernetes_validate.validate(document, version, strict=True)
    kinds = [document["kind"] for document in documents]
    print(f"{origin}: {', '.join(kinds)} valid for Kubernetes {', '.join(VERSIONS)}")
    return documents


def pod(documents):
    """The specification of the pod among these documents."""
    for document in documents:
        if document["kind"] == "Pod":
            return document["spec"]
        if document["kind"] == "Deployment":
            return document["spec"]["template"]["spec"]
    raise AssertionError("no pod")


def check(documents, origin):
    """What the schemas do not check: the configuration is mounted as a directory, and the pod drains before it ends."""
    spec = pod(documents)
    containers = {container["name"]: container for container in spec["containers"]}
    mounts = containers["collector"]["volumeMounts"]
    assert all("subPath" not in mount for mount in mounts), origin
    assert "--reload-on-change" in containers["collector"]["command"], origin
    drain = containers["collector"]["lifecycle"]["preStop"]["exec"]["command"]
    assert drain[1] == "drain" and "--wait" in drain, origin
    waits = [
        container["lifecycle"]["preStop"]["sleep"]["seconds"]
        for name, container in containers.items()
        if name != "collector"
    ]
    assert len(waits) == 2 and max(waits) < spec["terminationGracePeriodSeconds"], origin


files = [DIRECTORY / "sidecar.yaml", "examples/container/compose.yaml", "examples/ansible"]
files += [CHART / "Chart.yaml", CHART / "values.yaml"]
rules = "{extends: default, rules: {document-start: disable, line-length: {max: 125}, braces: disable, truthy: disable}}"
subprocess.run([pathlib.Path(sys.executable).parent / "yamllint", "--strict", "-d", rules, *files], check=True)

documents = validate(yaml.safe_load_all((DIRECTORY / "sidecar.yaml").read_text()), "sidecar.yaml")
check(documents, "sidecar.yaml")

report = chart.lint(CHART, strict=True)
assert not report["errors"] and all(message["severity"] < 2 for message in report["messages"]), report
print("chart: Helm reports no error and no warning")
with chart.Chart.load(CHART) as loaded:
    for values in [{}, {"drain": {"services": ["web", "api"]}, "replicas": 1}]:
        rendered = loaded.render(values=values, name="web")
        texts = rendered.values() if isinstance(rendered, dict) else [rendered]
        documents = validate([part for text in texts for part in yaml.safe_load_all(text)], "chart")
        check(documents, "chart")
