# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
BIN := $(ROOT)/build/venv/main/bin

# The checkout under the path that ansible wants; `setup` links it there. Nothing of the user's own is looked at.
export ANSIBLE_COLLECTIONS_PATH := $(ROOT)/build/collections
export ANSIBLE_HOME := $(ROOT)/build/ansible
export ANSIBLE_LOCALHOST_WARNING := false
export ANSIBLE_INVENTORY_UNPARSED_WARNING := false
export PATH := $(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

# What `make lab-up` and `make lab-down` take: LAB=name DRIVER=kubeadm|systemd NODES=1..5 FROM=1.36.4 TO=1.37.2
LAB ?= demo
LAB_VARIABLES = -e lab_name=$(LAB) $(if $(DRIVER),-e lab_driver=$(DRIVER)) $(if $(NODES),-e lab_nodes=$(NODES)) \
  $(if $(FROM),-e lab_from_version=$(FROM)) $(if $(TO),-e lab_to_version=$(TO))

.PHONY: help
help: ## this list
	@echo "mixedversion.kubernetes: what make can do here"
	grep -E '^[a-z-]+:.* ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.* ## /\1\t/' | sort | awk -F '\t' '{ printf "  make %-18s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## virtual environments and the collection path, all below build/; run by the other targets
	@tests/tools/setup

.PHONY: demo
demo: setup ## three real nodes in containers, upgraded from 1.36 to 1.37, and the report of it
	@tests/tools/demo

.PHONY: test
test: ## everything: lint, units, sanity, and the whole upgrade on both drivers; takes its labs down
	@tests/tools/test

.PHONY: lint
lint: setup ## static checks: ansible-lint, yamllint, ruff, mypy, shellcheck, reuse, changelog, action groups
	@tests/tools/lint

.PHONY: units
units: setup ## unit tests; those of the nodes' code on the oldest Python here as well
	@tests/tools/units

.PHONY: browser
browser: setup ## the report's page in headless Chromium, which it installs: seen, by keyboard, in print, axe-core
	@tests/tools/browser

.PHONY: sanity
sanity: setup ## ansible-test sanity on every supported ansible-core that a Python here carries
	@tests/tools/each_core

.PHONY: package
package: setup ## packs the collection, has it imported as Galaxy does, installs it and uses it from there; the execution environment, ansible-runner, AWX
	@tests/tools/package

.PHONY: docs
docs: setup ## the docs site, guides and reference, by antsibull-docs, MyST and Sphinx: build/docs/html
	@tests/tools/docs

.PHONY: molecule-kubeadm
molecule-kubeadm: setup ## the whole upgrade of a kubeadm lab, twice
	@molecule test -s kubeadm

.PHONY: molecule-systemd
molecule-systemd: setup ## the whole upgrade of a lab whose components are systemd units
	@molecule test -s systemd

.PHONY: lab-up
lab-up: setup ## a lab to try things on: LAB=name DRIVER=kubeadm|systemd NODES=3 FROM=version TO=version
	@ansible-playbook mixedversion.kubernetes.lab_up $(LAB_VARIABLES)

.PHONY: lab-down
lab-down: setup ## takes it away again: LAB=name
	@ansible-playbook mixedversion.kubernetes.lab_down $(LAB_VARIABLES)

.PHONY: evidence-job
evidence-job: setup ## the figures of the main job, measured on a kubeadm lab: build/evidence/job.json
	@tests/evidence/job

.PHONY: evidence-proxy
evidence-proxy: setup ## what is claimed about the proxy, shown on systemd labs: build/evidence/proxy.json; ONLY=section,section
	@tests/evidence/proxy

.PHONY: evidence-etcd
evidence-etcd: setup ## what is claimed about etcd, its backup and its restore, shown on labs of both drivers: build/evidence/etcd.json; ONLY=section,section
	@tests/evidence/etcd

.PHONY: evidence-preflight
evidence-preflight: setup ## what is claimed about preflight, plan and dry run, shown on labs of both drivers: build/evidence/preflight.json; ONLY=section,section
	@tests/evidence/preflight

.PHONY: evidence-faults
evidence-faults: setup ## what is claimed about faults, resuming, the lock, the way back and availability: build/evidence/faults.json; ONLY=section,section
	@tests/evidence/faults

.PHONY: evidence-bench
evidence-bench: setup ## what the safety costs, beside the alternative, on a machine that does nothing else: build/evidence/bench.json; ONLY=section,section
	@tests/bench/bench

.PHONY: evidence-people
evidence-people: setup ## a new user's way, timed and counted, and the checks with their counts: build/evidence/people.json; ONLY=section,section
	@tests/evidence/people

.PHONY: clean
clean: ## removes what was made, labs excepted: take those down first
	@find build -mindepth 1 -maxdepth 1 ! -name lab -exec rm -rf {} + 2>/dev/null || true
	rm -rf .ansible .mypy_cache .pytest_cache .ruff_cache
