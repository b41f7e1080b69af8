#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run's meter has seen of the API's availability so far."""

from __future__ import annotations

DOCUMENTATION = r"""
module: availability_info
short_description: What a run's meter has seen of the API's availability so far
version_added: 0.1.0
description:
  - Tells how many requests of M(mixedversion.kubernetes.meter_availability) failed, and for how long none was answered.
  - Runs where the meter runs. Where that is not the controller, what was seen is brought into the run's folder there.
  - With O(max_unavailable_seconds) it judges the gate C(availability_budget).
  - To ask is to tell the meter that its run goes on.
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
  max_unavailable_seconds:
    description: For how many seconds of the run the load balancer may give no answer. Without it there is no gate.
    type: float
  stop:
    description: Tell the meters of the run to end, and wait for it.
    type: bool
    default: false
  have:
    description: Set by the action plug-in, by meter's name how many bytes of what it wrote are on the controller.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Know what clients saw so far
  mixedversion.kubernetes.availability_info:
    kubeconfig: admin.conf
    run_directory: "{{ run.run_directory }}"
    max_unavailable_seconds: 5
"""

RETURN = r"""
availability:
  description: By target what was seen, as the report has it, without the parts C(by_phase) and C(series).
  returned: always
  type: list
  elements: dict
running:
  description: The names of the meters that go on.
  returned: always
  type: list
  elements: str
ended:
  description: Those that had ended before they were told to, so that nothing was counted since.
  returned: always
  type: list
  elements: str
gates:
  description: The verdict on C(availability_budget).
  returned: when O(max_unavailable_seconds) is given
  type: list
  elements: dict
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import _api, _gate, _meter_folder

#: A request that is under way when a meter is told to stop ends by then.
ENDS_WITHIN = 15.0


def news(folder: _meter_folder.Folder, have: t.Mapping[str, t.Any]) -> dict[str, str]:
    """By meter what it has written since, up to its last whole line."""
    found = {}
    for name in folder.names():
        with open(folder.file(name), "rb") as file:
            file.seek(int(have.get(name, 0)))
            text = file.read()
        found[name] = text[: text.rfind(b"\n") + 1].decode()
    return found


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "run_directory": {"type": "path", "required": True},
                "max_unavailable_seconds": {"type": "float"},
                "stop": {"type": "bool", "default": False},
                "have": {"type": "dict", "default": {}},
            },
        ),
        supports_check_mode=True,
    )
    params = module.params
    folder = _meter_folder.Folder.of(params["run_directory"])
    going_on = folder.running()
    if folder.names() and not module.check_mode:
        if params["stop"]:
            folder.stop()
            end = time.monotonic() + ENDS_WITHIN
            while folder.running() and time.monotonic() < end:
                # No child of this process: that it has ended is seen by its files alone.
                time.sleep(_meter_folder.LOOK / 5)
        else:
            folder.touch()
    module.exit_json(
        changed=False,
        running=folder.running(),
        ended=[name for name in folder.names() if name not in going_on],
        news={} if folder.local else news(folder, params["have"]),
    )


if __name__ == "__main__":
    main()
