# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/awx, by AWX's own modules: what they take, and whether what they would make fits together.

The modules are the real ones, so a key that they do not know fails. The API that they talk to is a stand-in.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import pathlib
import threading
import typing as t
import urllib.parse

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "awx"
PLAYBOOKS = {path.stem for path in (FOLDER / "project").glob("*.yml")}


Object = dict[str, t.Any]


class Awx:
    """As much of AWX's API as its modules ask for. It keeps what it is sent, and judges none of it."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {}
        #: By the path of its object and its name, such as ("/api/v2/job_templates/7/", "credentials"), the ids.
        self.associations: dict[tuple[str, str], list[int]] = {}
        self.surveys: dict[str, Object] = {}
        self.unknown: list[str] = []
        self._last = 0
        # AWX comes with these.
        self.create("organizations", {"name": "Default"})
        self.create("credential_types", {"name": "Machine"})

    def create(self, kind: str, data: Object) -> Object:
        self._last += 1
        url = f"/api/v2/{kind}/{self._last}/"
        made = {**data, "id": self._last, "url": url, "type": kind, "summary_fields": {}, "scm_revision": ""}
        made["related"] = {"survey_spec": f"{url}survey_spec/"}
        self.objects.setdefault(kind, []).append(made)
        return made

    def named(self, kind: str) -> dict[str, Object]:
        return {str(made.get("identifier") or made["name"]): made for made in self.objects.get(kind, [])}

    def associated(self, made: Object, name: str, kind: str) -> list[str]:
        """The names of what is associated with an object."""
        ids = self.associations.get((made["url"], name), [])
        return [known for known, other in self.named(kind).items() if other["id"] in ids]

    def answer(self, method: str, path: str, query: dict[str, str], data: Object) -> tuple[int, Object]:
        parts = path.strip("/").split("/")[2:]
        kind = parts[0]
        if len(parts) == 1:
            return (200, self._found(kind, query)) if method == "GET" else (201, self.create(kind, data))
        made = next((known for known in self.objects.get(kind, []) if str(known["id"]) == parts[1]), None)
        if made is None:
            self.unknown.append(f"{method} {path}")
            return 404, {}
        if len(parts) == 2:
            if method == "PATCH":
                made.update(data)
            return 200, made
        if parts[2] == "survey_spec":
            if method == "POST":
                self.surveys[made["name"]] = data
            return 200, self.surveys.get(made["name"], {})
        if parts[2] == "create_approval_template":
            approval = self.create("workflow_approval_templates", data)
            made["related"]["unified_job_template"] = approval["url"]
            return 201, approval
        ids = self.associations.setdefault((made["url"], parts[2]), [])
        if method == "POST":
            ids.append(data["id"])
            return 204, {}
        return 200, {"count": len(ids), "next": None, "results": [{"id": known} for known in ids]}

    def _found(self, kind: str, query: dict[str, str]) -> Object:
        kinds = [kind]
        if kind == "unified_job_templates":
            kinds = ["job_templates", "workflow_job_templates"]
        results = [
            made
            for known in kinds
            for made in self.objects.get(known, [])
            if all(str(made.get(field)) == value for field, value in query.items())
        ]
        return {"count": len(results), "next": None, "results": results}


@contextlib.contextmanager
def serving() -> t.Iterator[tuple[str, Awx]]:
    """Its URL, and what it was sent."""
    awx = Awx()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            split = urllib.parse.urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(length) or b"{}")
            code, body = awx.answer(self.command, split.path, dict(urllib.parse.parse_qsl(split.query)), data)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if code != 204:
                self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *dummy: t.Any) -> None:
            """Nothing: what was sent is kept."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", awx
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, run, documented, tmp_path: pathlib.Path):
    """Runs docs/awx/configure.yml, with *old* replaced by *new*, against a stand-in."""
    (tmp_path / "admin.conf").write_text("kind: Config\n")
    (tmp_path / "id_ed25519").write_text("a key\n")
    monkeypatch.setenv("CONTROLLER_OAUTH_TOKEN", "token")
    monkeypatch.setenv("ANSIBLE_PIPELINING", "true")

    def configured(old: str = "", new: str = "") -> tuple[int, str, Awx]:
        text = (FOLDER / "configure.yml").read_text()
        assert old in text
        (tmp_path / "configure.yml").write_text(text.replace(old, new))
        with serving() as (url, kept):
            monkeypatch.setenv("CONTROLLER_HOST", url)
            code, output = run(*documented("awx.md", "configure.yml"))
        return code, output, kept

    return configured


def variables(installed: pathlib.Path) -> set[str]:
    """Every variable of the role."""
    specs = yaml.safe_load((installed / "roles/control_plane/meta/argument_specs.yml").read_text())["argument_specs"]
    return {name for point in specs.values() for name in point.get("options", {})}


def test_configure(configure, installed: pathlib.Path) -> None:
    code, output, kept = configure()
    assert code == 0, output
    assert kept.unknown == []

    templates = kept.named("job_templates")
    assert set(templates) == {f"Control plane: {name}" for name in PLAYBOOKS}
    for name, template in templates.items():
        assert template["playbook"] == f"{name.split(': ')[1]}.yml"
        assert template["project"] == kept.named("projects")["Control plane"]["id"]
        assert template["inventory"] == kept.named("inventories")["Control plane"]["id"]
        assert template["execution_environment"] == kept.named("execution_environments")["Control plane"]["id"]
        assert set(json.loads(template["extra_vars"])) <= variables(installed)
        credentials = kept.associated(template, "credentials", "credentials")
        assert credentials == ["Control plane: kubeconfig", "Control plane: nodes"]

    # AWX fills it in, so the braces have to arrive.
    injectors = kept.named("credential_types")["Kubeconfig of a control plane"]["injectors"]
    assert injectors["file"] == {"template.kubeconfig": "{{ kubeconfig }}"}
    assert injectors["env"] == {"K8S_AUTH_KUBECONFIG": "{{ tower.filename.kubeconfig }}"}

    (workflow,) = kept.objects["workflow_job_templates"]
    nodes = kept.named("workflow_job_template_nodes")
    assert {node["workflow_job_template"] for node in nodes.values()} == {workflow["id"]}
    after = {
        name: kept.associated(node, "success_nodes", "workflow_job_template_nodes") for name, node in nodes.items()
    }
    assert after == {"plan": ["approve"], "approve": ["upgrade"], "upgrade": []}
    for name in ("plan", "upgrade"):
        assert nodes[name]["unified_job_template"] == kept.named("job_templates")[f"Control plane: {name}"]["id"]
    assert "workflow_approval_templates" in nodes["approve"]["related"]["unified_job_template"]

    survey = kept.surveys[workflow["name"]]
    assert set(survey) == {"name", "description", "spec"}
    for question in survey["spec"]:
        # What AWX itself wants of each.
        assert {"question_name", "variable", "type", "required"} <= set(question)
        assert question["type"] in {"text", "integer"}
        assert question["variable"] in variables(installed)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("scm_branch:", "scm_brunch:", "Unsupported parameters for (awx.awx.project) module: scm_brunch"),
        ('source_project: "{{ awx_name }}"', "source_project: none", "The specified source project"),
    ],
    ids=["key", "reference"],
)
def test_what_is_misspelt_fails(configure, old: str, new: str, words: str) -> None:
    code, output, _kept = configure(old, new)
    assert code == 2, output
    assert words in output


def test_the_project_loads(run, inventory: pathlib.Path) -> None:
    paths = [str(FOLDER / "project" / f"{name}.yml") for name in sorted(PLAYBOOKS)]
    code, output = run("ansible-playbook", "--syntax-check", "-i", str(inventory), *paths)
    assert code == 0, output


def test_the_plan_is_handed_on(run, inventory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "reports").mkdir()
    plan = {"hash": "0" * 64, "text": "ä {{ braces }}", "steps": [{"seconds": 1.5, "none": None}]}
    handed = base64.b64encode(json.dumps(plan).encode()).decode()
    # As AWX does it.
    (tmp_path / "extra.json").write_text(
        json.dumps({"agreed_plan": handed, "control_plane_report_directory": str(tmp_path / "reports")})
    )
    code, output = run(
        "ansible-playbook", str(FOLDER / "project" / "upgrade.yml"), "-i", str(inventory), "-e", "@extra.json"
    )
    # It arrives as it was, and the upgrade reads it: such a plan is refused before anything else is done.
    assert json.loads((tmp_path / "reports" / "agreed.json").read_text()) == plan
    assert code == 2, output
    assert f"{tmp_path}/reports/agreed.json can't be used" in output
