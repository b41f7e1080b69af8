# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""Options that every module has: where its verdicts go, and how it waits."""

from __future__ import annotations


class ModuleDocFragment:
    """Group defaults reach every member of a group, so each member has all of them."""

    DOCUMENTATION = r"""
options:
  run_directory:
    description: Folder of the run on the controller whose journal gets the verdicts. Without it nothing is written.
    type: path
  accepted_risks:
    description: Gates that may fail, each with the reason; an id that is no gate is an error.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: The gate's id.
        type: str
        required: true
      reason:
        description: Why it is accepted; goes into the report.
        type: str
        required: true
  defer:
    description:
      - Do not fail at a gate that does not hold; M(mixedversion.kubernetes.report) does when it closes the run.
      - For runs that change nothing, so that one gate hides no other.
    type: bool
    default: false
  node:
    description: The node that a verdict is about, as the report shall name it.
    type: str
    default: ""
  timeout:
    description: How long a waiting module waits, in seconds.
    type: float
    default: 180.0
  interval:
    description: Seconds from one sample to the next.
    type: float
    default: 0.25
  stable_samples:
    description: How many samples in a row must pass.
    type: int
    default: 3
  slice:
    description:
      - Set by the action plug-in, which starts a waiting module again each time its state has changed.
      - Not meant for users.
    type: dict
    suboptions:
      progress:
        description: The state already shown.
        type: str
        default: ""
      elapsed_seconds:
        description: Seconds waited before this start.
        type: float
        default: 0.0
      samples:
        description: Samples taken before this start.
        type: int
        default: 0
      memory:
        description: What the module wants to know again.
        type: dict
        default: {}
attributes:
  action:
    description: >-
      Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
"""

    ETCD = r"""
options:
  endpoint:
    description: Client URL of the member on this node, or of any member where etcd is external to it.
    type: str
    default: https://127.0.0.1:2379
  ca_file:
    description: CA that etcd's serving certificates are verified against.
    type: path
    default: /etc/kubernetes/pki/etcd/ca.crt
  cert_file:
    description: Client certificate for etcd.
    type: path
    default: /etc/kubernetes/pki/apiserver-etcd-client.crt
  key_file:
    description: Key of the client certificate.
    type: path
    default: /etc/kubernetes/pki/apiserver-etcd-client.key
"""
