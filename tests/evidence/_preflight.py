# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case of the preflight is: a lab in a bad state, and the gate that must say so."""

from __future__ import annotations

import dataclasses
import typing as t

from _lab import Lab


@dataclasses.dataclass(frozen=True)
class Case:
    """One gate that must not hold in one bad state, and hold again once it is mended."""

    #: "<gate id>" or "<gate id>/<variant>".
    id: str
    #: Puts the lab into the bad state, and back.
    breaking: t.Callable[[Lab], t.ContextManager[None]]
    #: Each must occur in what the gate observed or names as next action.
    words: tuple[str, ...]
    severity: str = "blocking"
    #: Which lab it needs: systemd or kubeadm.
    driver: str = "systemd"
    #: `-e` for the playbook.
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    #: The verdict after mending, where a lab can't have it passed.
    after: str = "passed"
