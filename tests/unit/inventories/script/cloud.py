#!/usr/bin/env python
# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dynamic inventory, as a cloud's or a database's: a program that prints all of it."""

import json

HOSTS = {f"vm-{number}": {"ansible_host": f"192.0.2.{number}"} for number in (91, 92, 93, 94)}
GROUPS = {"kube_control_plane": {"hosts": ["vm-92", "vm-91", "vm-93"]}, "kube_node": {"hosts": ["vm-94"]}}

print(json.dumps({"_meta": {"hostvars": HOSTS}, **GROUPS}))
