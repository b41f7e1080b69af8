# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dry run of lab_up says of a cluster whose upgrade is to be rehearsed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest

ROOT = pathlib.Path(__file__).parents[3]
LIST = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.4
featureGates: {ControlPlaneKubeletLocalMode: true}
networking: {serviceSubnet: 172.20.0.0/16}
apiServer:
  extraArgs:
    - {name: enable-admission-plugins, value: NodeRestriction}
    - {name: encryption-provider-config, value: /etc/kubernetes/enc.yaml}
    - {name: advertise-address, value: 192.0.2.11}
    - {name: peer-ca-file, value: /etc/kubernetes/pki/ca.crt}
controllerManager:
  extraArgs:
    - {name: node-monitor-grace-period, value: 50s}
etcd:
  local:
    imageTag: 3.6.8-0
    extraArgs:
      - {name: quota-backend-bytes, value: "4294967296"}
"""
MAPPING = """
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: v1.36.4
scheduler:
  extraArgs: {kube-api-qps: "80", config: /etc/kubernetes/scheduler.yaml}
"""


def dry_run(tmp_path: pathlib.Path, text: str, **variables: t.Any) -> tuple[int, str]:
    file = tmp_path / "kubeadm-config.yaml"
    file.write_text(text)
    variables |= {"lab_name": "rehearsed", "lab_directory": str(tmp_path / "lab"), "lab_kubeadm_config": str(file)}
    done = subprocess.run(
        ["ansible-playbook", "mixedversion.kubernetes.lab_up", "--check", "-e", json.dumps(variables)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (tmp_path / "lab").exists()
    return done.returncode, done.stdout.replace('\\"', '"')


@pytest.mark.parametrize("in_config_map", [True, False])
def test_what_the_lab_can_have_is_taken_and_the_rest_is_named(tmp_path, in_config_map):
    text = LIST
    if in_config_map:
        text = json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "data": {"ClusterConfiguration": LIST}})
    code, output = dry_run(tmp_path, text)
    assert code == 0, output
    assert 'Kubernetes 1.36.4, etcd 3.6.8, feature gates {"ControlPlaneKubeletLocalMode": true}' in output
    kept = '{"enable-admission-plugins": "NodeRestriction", "peer-ca-file": "/etc/kubernetes/pki/ca.crt"}'
    assert f'"apiServer": {kept}' in output
    assert '"controllerManager": {"node-monitor-grace-period": "50s"}' in output
    assert '"etcd": {"quota-backend-bytes": "4294967296"}' in output
    left = output[output.index("Left out") :]
    assert "apiServer --encryption-provider-config=/etc/kubernetes/enc.yaml" in left
    assert "apiServer --advertise-address=192.0.2.11" in left
    assert "GiB of memory" in output


def test_the_mapping_of_older_configurations_is_known(tmp_path):
    code, output = dry_run(tmp_path, MAPPING)
    assert code == 0, output
    assert '"scheduler": {"kube-api-qps": "80"}' in output
    assert "scheduler --config=/etc/kubernetes/scheduler.yaml" in output
    assert "etcd of kubeadm's choice" in output


@pytest.mark.parametrize("text", ["kind: ConfigMap\ndata: {}\n", "kind: Pod\n", "nothing\n"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    code, output = dry_run(tmp_path, text)
    assert code != 0
    assert "expected a file with the ConfigMap kubeadm-config" in output


def test_units_have_no_such_configuration(tmp_path):
    code, output = dry_run(tmp_path, LIST, lab_driver="systemd")
    assert code != 0
    assert "lab_driver is 'systemd', expected kubeadm" in output
