# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of docs/rbac give what the modules ask for, and no more. That they suffice live is for tests/lab."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
READS = {"get", "list", "watch"}
#: What a module does without where a reader may not, as it shows more than a reader need see; and what it only creates.
NOT_A_READER_S = {"/api/v1/pods", "/api/v1/namespaces/kube-system/pods"}
#: What a server serves outside of resources and would be asked for.
DOCUMENTS = {"/api", "/apis", "/flagz", "/livez", "/metrics", "/readyz", "/statusz", "/version"}


def roles(name: str) -> list[dict]:
    document = yaml.safe_load((ROOT / "docs" / "rbac" / name).read_text())
    return list(document.get("items", [document]))


ALL = [role for name in ("reader.yaml", "upgrade.yaml", "write-probes.yaml", "drain.yaml") for role in roles(name)]
RULES = [rule for role in ALL for rule in role["rules"]]


def texts(tree: ast.AST) -> Iterator[str]:
    """Every string of a source; of one with replacement fields, these as ``*``."""
    pieces = {id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(piece.value) if isinstance(piece, ast.Constant) else "*" for piece in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
            yield node.value


#: What a drain asks for has a role of its own.
DRAIN = {"_drain.py", "drain.py"}


def paths(drain: bool = False) -> dict[str, str]:
    """Every path of the API that the modules' sources spell out, and where; those of a drain, or all others."""
    found = {}
    for folder in ("modules", "module_utils"):
        for file in (ROOT / "plugins" / folder).glob("*.py"):
            if (file.name in DRAIN) != drain:
                continue
            for text in texts(ast.parse(file.read_text(encoding="utf-8"))):
                path = text.partition("?")[0]
                if path in DOCUMENTS or path.startswith(("/api/v1", "/apis/")):
                    found[path] = file.name
    return found


def granted(path: str, file: str = "reader.yaml") -> bool:
    """Whether the reader, or whom another *file* is for, may get or list *path*, in kube-system if it is namespaced."""
    of = roles(file)
    segments = path.strip("/").split("/")
    if len(segments) == 1:
        return any(path in rule.get("nonResourceURLs", ()) for role in of for rule in role["rules"])
    group, rest = ("", segments[2:]) if segments[0] == "api" else (segments[1], segments[3:])
    if not rest or (rest[-1] == "*" and group == "*"):
        # A document of discovery, or a resource known at run time only: of which groups, other tests here tell.
        return True
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    named = rest[1] if len(rest) > 1 else ""
    for role in of:
        for rule in role["rules"]:
            if group in rule.get("apiGroups", ()) and ({rest[0], "*"} & set(rule["resources"])):
                names = rule.get("resourceNames")
                verb = "get" if named else "list"
                if verb in rule["verbs"] and (not names or named in names):
                    return True
    return False


def test_the_sources_are_read():
    assert {"/version", "/metrics", "/api/v1/nodes", "/apis/coordination.k8s.io/v1/namespaces/*/leases"} <= set(paths())


@pytest.mark.parametrize("path", sorted(set(paths()) - NOT_A_READER_S))
def test_what_a_module_reads_is_granted(path):
    assert granted(path), f"{path}, read in {paths()[path]}"


@pytest.mark.parametrize("path", sorted(paths(drain=True)))
def test_what_a_drain_asks_for_is_granted(path):
    if path.endswith("/eviction"):
        assert {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]} in roles("drain.yaml")[0][
            "rules"
        ]
    else:
        assert granted(path, "drain.yaml"), path


def test_what_no_module_reads_is_not_granted():
    for path in ("/api/v1/secrets", "/api/v1/namespaces/kube-system/secrets/x", "/api/v1/pods", "/logs"):
        assert not granted(path)
    assert not granted("/api/v1/namespaces/kube-system/configmaps/coredns")
    assert not granted("/apis/example.org/v1/things")


@pytest.mark.parametrize("version", ["v1.36.4", "v1.37.2"])
def test_every_group_that_a_server_has_is_named(version, recorded):
    groups = {item["metadata"]["name"] for item in recorded(f"apis-{version}-nopeer.json")["items"]}
    assert groups <= {group for rule in roles("reader.yaml")[0]["rules"] for group in rule.get("apiGroups", ())}


def test_no_rule_reaches_too_far():
    for rule in RULES:
        resources = set(rule.get("resources", ()))
        assert "*" not in rule.get("apiGroups", ())
        assert "*" not in rule["verbs"]
        assert not resources & {"secrets", "nodes/proxy", "*/*"}
        if "*" in resources:
            assert set(rule["verbs"]) <= READS and "" not in rule["apiGroups"]
        assert not any("*" in url for url in rule.get("nonResourceURLs", ()))


def test_readers_only_read():
    for role in roles("reader.yaml"):
        for rule in role["rules"]:
            assert set(rule["verbs"]) <= READS


def test_an_upgrade_writes_in_kube_system_only():
    for role in roles("upgrade.yaml"):
        assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "kube-system")
