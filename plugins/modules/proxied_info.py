#!/usr/bin/python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Foretell which resources the servers will have to proxy while their versions are mixed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proxied_info
short_description: Which resources will be proxied while the versions are mixed
version_added: 0.1.0
description:
  - Holds what the servers serve themselves now against what the target serves by default, before the first node moves.
  - What CRDs and aggregated API servers serve is never proxied, and left out.
  - Where no table has the target, that is said; nothing is guessed.
author:
  - The mixedversion.kubernetes authors (@mixedversion)
extends_documentation_fragment:
  - mixedversion.kubernetes._attributes
  - mixedversion.kubernetes._attributes.reader
  - mixedversion.kubernetes._attributes.api
  - mixedversion.kubernetes._api
  - mixedversion.kubernetes._run
options:
  version:
    description: The target.
    type: str
    required: true
  proxies:
    description: What M(mixedversion.kubernetes.proxy_info) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Foretell what will be proxied on the way to v1.37.2
  mixedversion.kubernetes.proxied_info:
    kubeconfig: admin.conf
    version: v1.37.2
    proxies: "{{ proxy.proxies }}"
"""

RETURN = r"""
source:
  description: V(table) where a shipped table has the pair of versions, else V(unknown).
  returned: always
  type: str
reason:
  description: Why it is unknown, or what the table can't know.
  returned: always
  type: str
new:
  description: Resources, as group, version and name, that the target serves and a server of today does not.
  returned: always
  type: list
  elements: str
removed:
  description: Resources that a server of today serves and the target does not.
  returned: always
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mixedversion.kubernetes.plugins.module_utils import (
    _api,
    _discovery,
    _gate,
    _served,
    _version,
    _views,
)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=_gate.argument_spec(
            _api.argument_spec(),
            {
                "version": {"type": "str", "required": True},
                "proxies": {"type": "list", "elements": "dict", "required": True},
            },
        ),
        supports_check_mode=True,
    )
    target = _version.parse(module.params["version"])
    cluster = _api.connect(module)
    try:
        servers = {one.name: cluster.server(one) for one in _api.targets(module, cluster)}
        look = _views.Reader(servers).look()
        if look.errors:
            raise next(iter(look.errors.values()))
    except _api.ApiError as error:
        # A plan goes without it; what can't be read, the gates have said.
        module.exit_json(changed=False, source="unknown", reason=str(error), new=[], removed=[])
    own = {
        name: {str(resource) for resource in _discovery.without(view.own, look.excluded)}
        for name, view in look.views.items()
    }
    minors = {proxy["name"]: proxy["emulated_version"] for proxy in module.params["proxies"]}
    flags = {proxy["name"]: proxy["flags"] for proxy in module.params["proxies"]}
    found = _served.difference(own, target, minors, flags)
    module.exit_json(
        changed=False,
        source=found.source,
        reason="; ".join(found.unknown),
        new=sorted(found.new),
        removed=sorted(found.removed),
    )


if __name__ == "__main__":
    main()
