#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a playbook of the collection for one cluster of a fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_run
short_description: Start a playbook of the collection for one cluster of a fleet
version_added: 0.1.0
description:
  - Works on the controller only, in check mode as well. The playbook is a process of its own, with C(--limit), and
    takes over inventory, extra variables, vault, user and rights from the command line it was started by. Passwords
    that are asked for can't be taken over; files with them can.
  - It never fails for what came of the playbook, so that no cluster stops another one.
    M(mixedversion.kubernetes.fleet_report) says what came of all.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.controller
options:
  cluster:
    description: Group of the inventory that is the cluster, or its control plane.
    type: str
    required: true
  playbook:
    description: The playbook. Only what reads is to be had for many clusters at once.
    type: str
    choices: [verify, plan]
    default: verify
  directory:
    description:
      - The fleet's folder. The cluster gets one of its name in it, for its reports, C(rc) and C(stdout).
      - The cluster's must not be there yet.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Verify one cluster of the inventory
  mixedversion.kubernetes.fleet_run:
    cluster: "{{ control_plane_group }}"
    directory: /srv/fleet
"""

RETURN = r"""
exit_code:
  description: The playbook's exit code; below 0 it was ended by that signal.
  returned: always
  type: int
elapsed_seconds:
  description: How long it took.
  returned: always
  type: float
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "cluster": {"type": "str", "required": True},
    "playbook": {"type": "str", "choices": ["verify", "plan"], "default": "verify"},
    "directory": {"type": "path", "required": True},
}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.fail_json(msg="fleet_run works on the controller, through its action plug-in.")


if __name__ == "__main__":
    main()
