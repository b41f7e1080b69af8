#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read kubeadm's ClusterConfiguration, and keep an API server flag in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_config
short_description: Read kubeadm's ClusterConfiguration and keep API server flags in it
version_added: 0.1.0
description:
  - C(kubeadm upgrade) renders the API server's manifest from the ConfigMap C(kubeadm-config), so a flag that shall
    survive has to stand there.
  - Flags that the user has are kept; one that is named is replaced or taken out.
  - Without O(flags), O(feature_gates) and O(text) nothing is written.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._flags
  - mixedversion.kubernetes._run
attributes:
  diff_mode:
    support: full
options:
  text:
    description: The whole ClusterConfiguration as it shall be, YAML, such as it was read before; flags are set in it.
    type: str
"""

EXAMPLES = r"""
- name: Keep the proxy's flag
  mixedversion.kubernetes.kubeadm_config:
    kubeconfig: admin.conf
    flags:
      peer-ca-file: /etc/kubernetes/pki/ca.crt
"""

RETURN = r"""
text:
  description: The ClusterConfiguration as the ConfigMap has it now, YAML.
  returned: always
  type: str
kubernetes_version:
  description: The version kubeadm has recorded.
  returned: always
  type: str
image_repository:
  description: The repository of the control plane's images.
  returned: always
  type: str
etcd_image_tag:
  description: The tag of etcd's image that the user has set, and kubeadm keeps to; C(etcd.local.imageTag), or empty.
  returned: always
  type: str
feature_gates:
  description: kubeadm's own feature gates.
  returned: always
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _flags, _gate

PATH = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
KEY = "ClusterConfiguration"


def with_flags(configuration: dict[str, t.Any], params: t.Mapping[str, t.Any]) -> bool:
    """Set C(apiServer.extraArgs) as *params* want it; whether that changed anything. The list is v1beta4's form."""
    arguments: list[dict[str, str]] = configuration.get("apiServer", {}).get("extraArgs") or []
    present = [(argument["name"], argument["value"]) for argument in arguments]
    changed = False
    for name, value in _flags.wanted(params, present).items():
        found = [argument["value"] for argument in arguments if argument["name"] == name]
        if found == ([] if value is None else [value]):
            continue
        arguments = [argument for argument in arguments if argument["name"] != name]
        if value is not None:
            arguments.append({"name": name, "value": value})
        changed = True
    if changed:
        configuration.setdefault("apiServer", {})["extraArgs"] = arguments
    return changed


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(_api.argument_spec(), _flags.OPTIONS, {"text": {"type": "str"}}),
        supports_check_mode=True,
    )
    server = _api.connect(module).endpoint
    # Comes with the kubernetes client, whose absence connect() has told by now.
    import yaml

    try:
        config_map = server.get(PATH)
        before = config_map["data"][KEY]
        wanted = module.params["text"] or before
        configuration = yaml.safe_load(wanted)
        if not isinstance(configuration.get("apiServer", {}).get("extraArgs", []), list):
            module.fail_json(
                msg=f"kubeadm-config is {configuration.get('apiVersion')}, whose extraArgs are no list. Expected "
                "kubeadm.k8s.io/v1beta4, which any upgrade to 1.31 or later writes."
            )
        changed = with_flags(configuration, module.params)
        after = yaml.safe_dump(configuration, sort_keys=False) if changed else wanted
        changed = after != before
        if changed and not module.check_mode:
            config_map["data"][KEY] = after
            # The PUT carries the resourceVersion that was read: a change by somebody else in between is refused.
            server.send("PUT", PATH, config_map)
    except (_api.ApiError, KeyError, yaml.YAMLError) as error:
        module.fail_json(msg=f"The ConfigMap kubeadm-config in kube-system can't be worked on: {error}")
    module.exit_json(
        changed=changed,
        text=after,
        kubernetes_version=configuration.get("kubernetesVersion", ""),
        image_repository=configuration.get("imageRepository", ""),
        etcd_image_tag=((configuration.get("etcd") or {}).get("local") or {}).get("imageTag", ""),
        feature_gates=configuration.get("featureGates") or {},
        diff={"before": before, "after": after, "before_header": "kubeadm-config", "after_header": "kubeadm-config"},
    )


if __name__ == "__main__":
    main()
