#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Have the images on the node before anything is stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: images
short_description: Have container images on a node before they are needed
version_added: 0.1.0
description:
  - Looks which of the images the node's container runtime has, and pulls the others. The gate C(images).
  - Uses C(crictl) where it is installed, else containerd's C(ctr).
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.writer
  - mixedversion.kubernetes._attributes.node
  - mixedversion.kubernetes._run
options:
  images:
    description: Images to have.
    type: list
    elements: str
    default: []
  kubeadm:
    description: A kubeadm on the node, whose images of the control plane's static pods are to be had as well.
    type: path
  version:
    description: The version to ask O(kubeadm) about.
    type: str
  image_repository:
    description: The repository to ask O(kubeadm) about, if it is not kubeadm's default.
    type: str
"""

EXAMPLES = r"""
- name: Have the images of v1.37.2
  mixedversion.kubernetes.images:
    kubeadm: /usr/bin/kubeadm
    version: v1.37.2
"""

RETURN = r"""
images:
  description: All images asked for.
  returned: always
  type: list
  elements: str
etcd_version:
  description: The etcd version among them; empty if none.
  returned: always
  type: str
gates:
  description: The verdict on C(images).
  returned: always
  type: list
  elements: dict
"""

import json
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _gate, _node, _version

#: The pods an upgrade restarts; add-ons are pulled by their own workloads.
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "pause")


#: The exit code of coreutils' timeout.
TIMED_OUT = 124
OUT_OF_TIME = "not pulled before the time-out of all images was over"


class Runtime:
    """The container runtime as the tool at hand shows it."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._crictl = shutil.which("crictl", path=_node.SEARCH_PATH)
        self._ctr = shutil.which("ctr", path=_node.SEARCH_PATH)
        if not self._crictl and not self._ctr:
            module.fail_json(
                msg="Neither crictl nor ctr is installed, so this node's images can't be listed. Install cri-tools."
            )

    def present(self) -> set[str]:
        if self._crictl:
            code, text, words = self._module.run_command([self._crictl, "images", "-o", "json"])
            names = {tag for image in json.loads(text or "{}").get("images", []) for tag in image.get("repoTags", [])}
        else:
            code, text, words = self._module.run_command([self._ctr, "--namespace", "k8s.io", "images", "list", "-q"])
            names = set(text.split())
        if code:
            self._module.fail_json(msg=f"The container runtime can't be asked for its images: {words.strip()}")
        return names

    def pull(self, image: str, seconds: float) -> str:
        """Pull; the runtime's words if that fails."""
        if seconds <= 0:
            return OUT_OF_TIME
        tool = [self._crictl, "pull"] if self._crictl else [self._ctr, "--namespace", "k8s.io", "images", "pull"]
        # coreutils' timeout, as a module can't bound what it runs.
        code, text, words = self._module.run_command(["timeout", f"{seconds:.0f}", *tool, image])
        if code == TIMED_OUT:
            return OUT_OF_TIME
        return (words.strip().splitlines() or text.strip().splitlines() or ["no words"])[-1] if code else ""


def kubeadm_images(module: AnsibleModule) -> list[str]:
    """The images of the static pods, in the words of the kubeadm that will ask for them."""
    params = module.params
    command = [params["kubeadm"], "config", "images", "list", "--kubernetes-version", params["version"]]
    if params["image_repository"]:
        command += ["--image-repository", params["image_repository"]]
    code, text, words = module.run_command(command)
    if code:
        module.fail_json(msg=f"{' '.join(command)} failed: {words.strip()}")
    return [image for image in text.split() if image.rpartition("/")[2].partition(":")[0] in CONTROL_PLANE]


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            {
                "images": {"type": "list", "elements": "str", "default": []},
                "kubeadm": {"type": "path"},
                "version": {"type": "str"},
                "image_repository": {"type": "str"},
            }
        ),
        supports_check_mode=True,
        required_together=[("kubeadm", "version")],
    )
    params = module.params
    images = list(params["images"])
    # In check mode the target's kubeadm may not be there yet: then its list can't be had, and nothing is claimed.
    if params["kubeadm"] and (not module.check_mode or _node.binary_version(module, params["kubeadm"])):
        images += kubeadm_images(module)
    runtime = Runtime(module)
    missing = sorted(set(images) - runtime.present())
    troubles = {}
    if not module.check_mode:
        until = time.monotonic() + params["timeout"]
        pulled = {image: runtime.pull(image, until - time.monotonic()) for image in missing}
        troubles = {image: words for image, words in pulled.items() if words}
    verdict = _gate.FAILED if troubles else _gate.PASSED
    observed = "; ".join(f"{image} can't be pulled: {words}" for image, words in troubles.items())
    if not observed:
        observed = f"{len(images)} images" + (
            f", {len(missing)} {'to pull' if module.check_mode else 'pulled'}" if missing else ""
        )
    gate = _gate.Gate(
        id="images",
        node=params["node"],
        verdict=verdict,
        observed=observed,
        expected="each image is on the node before the component that needs it is stopped",
        next_action="Make the registry reachable from the node, "
        "or import the image named into the runtime's namespace k8s.io.",
    )
    etcd = next((image for image in images if image.rpartition("/")[2].startswith("etcd:")), "")
    module.exit_json(
        changed=bool(missing),
        images=images,
        etcd_version=_version.etcd_image_version(etcd) if etcd else "",
        gates=[gate.dump()],
    )


if __name__ == "__main__":
    main()
