# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start one cluster's playbook on the controller; the forks are Ansible's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t

from ansible import context
from ansible.errors import AnsibleActionFail

from ansible_collections.mixedversion.kubernetes.plugins.modules.fleet_run import ARGUMENT_SPEC
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils import _fleet
from ansible_collections.mixedversion.kubernetes.plugins.plugin_utils._controller_action import ControllerAction

#: What the command line had, by ansible-playbook's own names, goes on to each cluster's.
_EACH = {
    "extra_vars": "--extra-vars",
    "inventory": "--inventory",
    "vault_ids": "--vault-id",
    "vault_password_files": "--vault-password-file",
}
_ONE = {
    "remote_user": "--user",
    "private_key_file": "--private-key",
    "connection_password_file": "--connection-password-file",
    "ssh_common_args": "--ssh-common-args",
    "ssh_extra_args": "--ssh-extra-args",
    "become_method": "--become-method",
    "become_user": "--become-user",
    "become_password_file": "--become-password-file",
}
_FLAGS = {"become": "--become", "check": "--check"}


def passed_on(given: t.Mapping[str, t.Any]) -> list[str]:
    """The options of one command line as those of another."""
    found = [f"{option}={value}" for name, option in _EACH.items() for value in given.get(name) or ()]
    found += [f"{option}={given[name]}" for name, option in _ONE.items() if given.get(name)]
    return found + [option for name, option in _FLAGS.items() if given.get(name)]


class ActionModule(ControllerAction):
    """Its process is the cluster's playbook."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = self.arguments(ARGUMENT_SPEC)
        cluster, playbook = arguments["cluster"], arguments["playbook"]
        folder = os.path.join(os.path.abspath(arguments["directory"]), cluster)
        try:
            os.makedirs(folder)
        except OSError as error:
            # What an earlier run left there would be taken for this one's.
            raise AnsibleActionFail(
                f"{folder} can't be made: {error}. Expected a folder of its own for this run. Name a new directory."
            ) from None
        own = {"control_plane_report_directory": os.path.join(folder, "reports")}
        begun = time.monotonic()
        with open(os.path.join(folder, _fleet.STDOUT), "wb") as out:
            code = subprocess.run(
                [
                    *(sys.executable, "-m", "ansible", "playbook", f"mixedversion.kubernetes.{playbook}"),
                    *passed_on(context.CLIARGS),
                    f"--limit={cluster}",
                    f"--extra-vars={json.dumps(own)}",
                ],
                # ansible-runner's callback is for the process that it started itself.
                env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        elapsed = round(time.monotonic() - begun, 3)
        with open(os.path.join(folder, _fleet.RC), "w", encoding="ascii") as file:
            file.write(str(code))
        self._display.display(f"  {cluster}: {playbook} ended with exit code {code} after {elapsed:.0f} s")
        return {"changed": False, "exit_code": code, "elapsed_seconds": elapsed}
