# The three targets to know are demo, test and check. Each sets up what it needs, quickly when that is done already.
PYTHON ?= python3
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Tests start Python many hundred times, which would compile the toolkit each time.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo -E)
LAB := mmdebstrap systemd-container nftables pebble dnsmasq-base iproute2 openssl git curl wrk
VAGRANT := vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils e2fsprogs
# Install those of a list of Debian packages that are missing. apt takes an error that a mirror answers for final: it is asked again.
install = missing=$$(for name in $(1); do dpkg-query -W -f='$${db:Status-Abbrev}' $$name 2>/dev/null | grep -q '^.i' || echo $$name; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  installed=; for pause in 5 20 ""; do \
	    $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null && installed=yes && break; \
	    test -z "$$pause" || sleep $$pause; \
	  done; test -n "$$installed"; \
	fi

.PHONY: help demo test check test-unit test-lab test-all test-campaigns lab-down test-trixie test-bullseye test-vagrant test-sample audit bench clean venv hooks lab-packages vagrant-packages

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: venv lab-packages ## a server on this machine, and the sample app on it over HTTPS
	$(BIN)/invoke demo

test: venv test-unit test-sample test-lab ## the tests of each change: unit, sample app, and those on real servers that are not long

check: venv .venv/.vagrantfile ## lint, formatting, types and shell: the hooks of .pre-commit-config.yaml
	PRE_COMMIT_HOME=$(CURDIR)/.venv/pre-commit $(BIN)/pre-commit run --all-files

hooks: venv ## run the checks of `make check` on each commit
	$(BIN)/pre-commit install

test-unit: venv ## the tests that need no server
	$(BIN)/pytest -q -n auto tests/unit

test-sample: .venv-sample/.complete ## the sample app's own tests
	cd sample_app && ../.venv-sample/bin/python -m pytest -q

test-lab: venv lab-packages ## a sample of the tests on real servers; T=EXPRESSION: those (pytest -k); KEEP=1: the lab stays up
	$(if $(KEEP),PROVISION_KEEP_LAB=1) $(if $(T),$(BIN)/pytest -q tests/lab -k '$(T)',sh tests/lab/lanes.sh $(BIN)/python)

test-all: venv test-unit test-sample ## all tests, the long ones on real servers, too (over an hour)
	PROVISION_ALL=1 $(MAKE) test-lab

test-campaigns: venv lab-packages ## the tests on real servers with every step, damage and reboot, and 100,000 requests (hours)
	PROVISION_ALL=1 PROVISION_EVERY_STEP=1 PROVISION_EVERY_PATH=1 PROVISION_EVERY_MANAGER=1 PROVISION_REBOOTS=1 PROVISION_KILLS=10 PROVISION_DEPLOYS=4 PROVISION_HEAVY_LOAD=1 sh tests/lab/lanes.sh $(BIN)/python

lab-down: venv ## remove the lab
	$(BIN)/invoke lab.down

test-trixie: venv lab-packages ## the path from a bare server to HTTPS, and all that comes after, on Debian 13
	PROVISION_SUITE=trixie $(BIN)/pytest -q tests/lab/test_path.py tests/lab/debian.py

test-bullseye: venv lab-packages ## the life of two apps, with the distribution's Python, their data and their backups, and a firewall, on Debian 11
	PROVISION_SUITE=bullseye $(BIN)/pytest -q -m 'not long' tests/lab/debian.py $(addprefix tests/lab/test_,$(addsuffix .py,database cache backups shared lockout egress))

test-vagrant: venv lab-packages vagrant-packages ## the same path on a Vagrant VM, with libvirt (ten minutes without KVM)
	$(SUDO) $(BIN)/pytest -q -s -x -p no:cacheprovider tests/vagrant

audit: venv lab-packages .venv-audit/.complete ## independent scanners on a hardened lab server (Debian 13; SUITE=bookworm: on Debian 12)
	$(BIN)/python -m benchmarks.scanners $(if $(SUITE),--suite $(SUITE))

bench: venv lab-packages ## the figures of docs/performance.md
	$(BIN)/python benchmarks/nothing_to_change.py

clean: ## remove the lab and all that these targets made
	-test ! -d .lab || $(BIN)/invoke lab.down
	rm -rf .venv .venv-sample .venv-audit .lab .mypy_cache .ruff_cache .pytest_cache

venv: .venv/.complete

.venv/.complete: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Python's venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

.venv-sample/.complete: sample_app/requirements-dev.txt sample_app/requirements.txt
	@test -x .venv-sample/bin/python || $(PYTHON) -m venv .venv-sample
	@.venv-sample/bin/python -m pip install --quiet --disable-pip-version-check -r sample_app/requirements-dev.txt
	@touch $@

.venv-audit/.complete: benchmarks/scanners.txt
	@test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/scanners.txt
	@touch $@

# Vagrant validates the Vagrantfile where it is installed or can be; that needs no provider.
.venv/.vagrantfile: Vagrantfile | venv
	@command -v vagrant >/dev/null || { command -v apt-get >/dev/null && { $(call install,vagrant); }; } || true
	@if command -v vagrant >/dev/null; then \
	  VAGRANT_HOME=$(CURDIR)/.venv/vagrant VAGRANT_DOTFILE_PATH=.venv/vagrant vagrant validate --ignore-provider >/dev/null && touch $@; \
	else echo "vagrant is not installed: the Vagrantfile is not checked"; fi

lab-packages:
	@command -v apt-get >/dev/null || { echo "The lab needs Debian or Ubuntu; docs/vagrant.md describes the alternative."; exit 1; }
	@$(call install,$(LAB))

vagrant-packages:
	@$(call install,$(VAGRANT))
