#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Gather the reports of many clusters into one page."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Gather the reports of many clusters into one page
version_added: 0.1.0
description:
  - Works on the controller only, in check mode as well. Asks nobody, and takes what lies in a folder per cluster.
  - Writes into the same folder C(fleet.html), which is one page that loads nothing, C(fleet.md), and C(fleet.json),
    whose schema is C(docs/fleet.schema.json).
  - Fails, after that, unless every cluster succeeded. One that left no report has not.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.controller
options:
  directory:
    description:
      - Holds a folder per cluster, of its name, such as C(artifacts) of ansible-runner with an C(ident) per cluster.
      - In it lie, at any depth, the reports of the cluster, of which the newest counts, and the run's C(rc) and
        C(stdout).
    type: path
    required: true
  clusters:
    description: Names of the clusters that are expected. Whoever of them has no folder has left no report.
    type: list
    elements: str
    default: []
  latest:
    description: Whether C(latest) beside O(directory) is pointed at it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Gather what ansible-runner brought back
  mixedversion.kubernetes.fleet_report:
    directory: results/artifacts
    clusters: [north, south, west]
"""

RETURN = r"""
page:
  description: Path of C(fleet.html).
  returned: always
  type: str
results:
  description: By cluster V(succeeded), V(stopped), V(failed), V(interrupted), V(running) or V(no_report).
  returned: always
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "required": True},
    "clusters": {"type": "list", "elements": "str", "default": []},
    "latest": {"type": "bool", "default": False},
}


def main() -> t.NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.fail_json(msg="fleet_report works on the controller, through its action plug-in.")


if __name__ == "__main__":
    main()
