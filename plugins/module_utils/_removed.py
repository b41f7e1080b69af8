from __future__ import annotations

GATES: dict[str, dict[str, tuple[str, ...]]] = {}
LOCKED: dict[str, dict[str, bool]] = {}
FLAGS: dict[str, dict[str, tuple[str, ...]]] = {}
KUBEADM_GATES: dict[str, tuple[str, ...]] = {}
IMAGES: dict[str, dict[str, str]] = {}
