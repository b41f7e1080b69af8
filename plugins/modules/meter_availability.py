#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask every server and the load balancer the same again and again, and write down what a client sees."""

from __future__ import annotations

DOCUMENTATION = r"""
module: meter_availability
short_description: Ask every server and the load balancer again and again, and write down what a client sees
version_added: 0.1.0
description:
  - Goes on until M(mixedversion.kubernetes.availability_info) tells it to stop, or its run is gone. So it is started
    with C(async) and C(poll=0), and C(async) is the longest that it lasts.
  - Each target has its own thread and one connection that is kept, so that one that hangs stops no other's clock. A
    connection that is lost, or can't be made, is tried once more; that is counted apart.
  - Without O(target) each server is asked at its own address, and the kubeconfig's server, as C(load balancer).
  - What it sees is written once a second to a file in the folder C(availability) of the run, or below
    C(~/.ansible/mixedversion-kubernetes) where this module does not run on the controller.
  - Where it runs on the controller it ends with the run's process. Elsewhere it ends when nobody has asked for what it
    saw for O(patience) seconds.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  run_directory:
    required: true
  name:
    description: What the file is called. Two meters of one run have two names.
    type: str
    default: servers
  path:
    description: What is asked for. By default one object that is always there, which is read through etcd.
    type: str
    default: /api/v1/namespaces/kube-system
  target:
    description: If given, only the kubeconfig's server is asked, and this is what the answers go by.
    type: str
    default: ""
  period:
    description: Seconds from one request to the next.
    type: float
    default: 0.1
  request_timeout:
    description: After so many seconds a request has failed.
    type: float
    default: 2.0
  patience:
    description: For how many seconds nobody may have asked, where the module does not run on the controller.
    type: float
    default: 3600.0
"""

EXAMPLES = r"""
- name: Meter what clients see
  mixedversion.kubernetes.meter_availability:
    kubeconfig: admin.conf
    run_directory: "{{ run.run_directory }}"
  async: 86400
  poll: 0
"""

RETURN = r"""
file:
  description: Where it wrote, on the host that it ran on.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _meter, _meter_folder


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "run_directory": {"type": "path", "required": True},
                "name": {"type": "str", "default": _meter_folder.SERVERS},
                "path": {"type": "str", "default": _meter.PATH},
                "target": {"type": "str", "default": ""},
                "period": {"type": "float", "default": 0.1},
                "request_timeout": {"type": "float", "default": 2.0},
                "patience": {"type": "float", "default": 3600.0},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    if params["period"] <= 0 or params["request_timeout"] <= 0:
        module.fail_json(
            msg=f"period is {params['period']} and request_timeout {params['request_timeout']}, expected both above 0. "
            "Nothing was asked."
        )
    cluster = _api.connect(module)
    asked = {params["target"] or _meter_folder.LOAD_BALANCER: cluster.endpoint}
    if not params["target"]:
        try:
            servers = {target.name: cluster.server(target) for target in _api.targets(module, cluster)}
        except _api.ApiError as error:
            module.fail_json(msg=str(error))
        asked = {**servers, **asked}
    folder = _meter_folder.Folder.of(params["run_directory"])
    file = folder.file(params["name"])
    if module.check_mode:
        module.exit_json(changed=False, file=file)
    folder.make()
    _meter.Meter(
        file,
        [
            _meter.Target(name, server, params["path"], params["period"], params["request_timeout"])
            for name, server in asked.items()
        ],
    ).run(lambda: folder.goes_on(params["patience"]))
    module.exit_json(changed=False, file=file)


if __name__ == "__main__":
    main()
