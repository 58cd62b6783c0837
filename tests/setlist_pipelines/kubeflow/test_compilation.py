"""What `setlist compile --namespace` says of the installation that it is for.

Read in the manifests of 2.17.0: `base/crds` has both definitions, and of the overlays only
`platform-agnostic-k8s-native` and its sibling for several users install them.
"""

import yaml

CRDS = ("pipelines.pipelines.kubeflow.org", "pipelineversions.pipelines.kubeflow.org")
STORE = "--set store=gs://bucket/models"


def test_resources_name_the_installation_that_takes_them(on_cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "setlist_pipelines.kubeflow.compilation.IMAGE", "registry.example/s@sha256:" + "a" * 64
    )
    path = tmp_path / "resources.yaml"
    code, said = on_cluster(f"compile {STORE} --namespace team --output {path}")
    assert code == 0, said
    for document in yaml.safe_load_all(path.read_text()):
        group = document["apiVersion"].partition("/")[0]
        assert f"{document['kind'].lower()}s.{group}" in CRDS
    for words in (*CRDS, "Kubernetes-native API mode", "pipeline_store: kubernetes"):
        assert words in said
    assert "others take `setlist submit`, or the file without --namespace" in said


def test_a_file_for_the_usual_installation_says_nothing_of_it(on_cluster, tmp_path):
    path = tmp_path / "pipeline.yaml"
    assert on_cluster(f"compile {STORE} --output {path}") == (0, f"wrote {path}")


def test_the_help_says_so_before(on_cluster, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = on_cluster("compile --help")[1].replace("│", "")
    assert "CRDs of the Kubernetes-native installation" in " ".join(said.split())
