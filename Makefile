# The commands of the project. Each installs what it needs first and is quick to run again.
VENV := .venv
SENNIT := $(VENV)/bin/sennit
PYTEST := $(VENV)/bin/pytest
COMPILED := $(CURDIR)/build/compiled
.PHONY: help lab test test-lab test-hosts test-packets test-compiled test-roles test-long test-ansible test-kernels \
  test-platforms release check check-style check-core check-units docs fuzz bench bench-compare figures install \
  install-lab lock clean
.DEFAULT_GOAL := help

help:
	@echo "make lab    bring up the network lab and download over two paths (root)"
	@echo "make test   everything (root, some thirty minutes on two processors)"
	@echo "make test-long  scenarios with time limits, a drain under many downloads, a soak (root, a quiet machine)"
	@echo "make test-ansible  a fleet through upgrade, drain, rollback, removal: containers, then machines under qemu (root)"
	@echo "make test-kernels  the forwarder's programs, XDP on virtio_net and WireGuard on the kernels of Debian under qemu (root)"
	@echo "make test-platforms  a newcomer's commands in bare roots of Debian 12 and 13, the core on arm64 (root)"
	@echo "make release  archive, Debian and Python packages, bill of materials, signed by SENNIT_RELEASE_KEY (packaging)"
	@echo "make test-compiled  what the compiled core of releases could change, against it: sessions, properties, the fast path"
	@echo "make check  style, types, import rules and unit tests (no root, some ten minutes; --jobs=2 for two processors)"
	@echo "make docs   the documentation as a site, build/docs/index.html; a broken link fails it"
	@echo "make fuzz   fuzz all that parses network bytes (SECONDS=60 each; TARGETS=session to choose)"
	@echo "make bench  benchmarks: prints, keeps results, renews docs/performance.md (make bench-compare: against the commit)"
	@echo "make figures  the papers' figures, measured in the lab into docs/figures (root, a quiet machine, ten minutes)"
	@echo "make install  what all of these need; make install-lab: what the lab needs"
	@echo "make lock   renew the locks from pyproject.toml and tools/*.txt"

install: $(VENV)/.installed
install-lab: $(VENV)/.lab

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

# what the lab runs with, and no more: python3-bpfcc is only to be had as a Debian package, hence --system-site-packages
$(VENV)/.lab: requirements.image.lock requirements.editable.lock pyproject.toml packages.debian
	@sh tools/install-packages packages.debian
	@test -x $(VENV)/bin/python || /usr/bin/python3 -m venv --system-site-packages $(VENV)
	@$(PIP) --require-hashes -r requirements.image.lock -r requirements.editable.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# the same with what tests, releases, figures and ansible/ take
$(VENV)/.installed: $(VENV)/.lab requirements.lock packages.test.debian
	@sh tools/install-packages packages.test.debian
	@$(PIP) --require-hashes -r requirements.lock
	@touch $@

lab: install-lab
	@$(SENNIT) lab up
	@$(SENNIT) lab run first-download

check: check-style check-core check-units docs

check-style: install
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

check-core: install
	@$(VENV)/bin/coverage run -m pytest -q tests/unit/smkex
	@$(VENV)/bin/coverage report  # of smkex.core, all of it: fail_under in pyproject.toml

check-units: install
	@$(PYTEST) -q tests/unit tests/contract tests/conformance --ignore tests/unit/smkex

# -W: every warning, such as a link to a missing page or image, ends the build with status 1
docs: install
	@rm -rf build/docs
	@$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "docs: build/docs/index.html"

# what releases hold: the wheel with its core compiled, beside the sources
$(COMPILED)/.built: $(VENV)/.installed pyproject.toml packaging/build-wheel $(shell find runtime node services smkex capture relay edge balancer origin sennit lab -name '*.py')
	@rm -rf build/wheel $(COMPILED) && packaging/build-wheel build/wheel
	@$(PIP) --no-deps --target $(COMPILED) build/wheel/*.whl
	@touch $@

# what compiling could change: types at the borders of what is compiled, sessions, property tests, the fast path, the cache
COMPILED_TESTS := tests/conformance $(wildcard tests/unit/smkex/test_*.py tests/unit/smkex/transport/test_*.py tests/unit/edge/test_*.py) \
  $(addprefix tests/unit/smkex/,core server http/server transport/tcp) \
  $(addprefix tests/unit/edge/,proxy telemetry ingress streams cache/storage services/test_routing.py services/test_paths_agree.py)

test-compiled: $(COMPILED)/.built
	@EXPECT_COMPILED=1 PYTHONPATH=$(COMPILED) $(PYTEST) -q $(COMPILED_TESTS)

# the machine that is provisioned gets a release with the wheel that is there, so that it is compiled once
test-roles: $(COMPILED)/.built
	@SENNIT_WHEEL=$$(realpath build/wheel/*.whl) $(PYTEST) -q tests/ansible

# hosts in namespaces, in two halves: they wait more than they compute
LAB := tests/netns/lab tests/netns/programs
test-lab: install
	@$(PYTEST) -q $(LAB)

test-hosts: install
	@$(PYTEST) -q tests/netns $(addprefix --ignore ,$(LAB))

test-packets: install
	@$(PYTEST) -q tests/datapath tests/packaging tests/fuzz tests/model

# no part minds another: three at once on two processors, since those with hosts wait; the longest first. What is compiled
# comes before, or make would begin what needs it last. The compose lab is alone, as its scenarios have limits in seconds
FIRST_PARTS := $(COMPILED)/.built check-core check-style docs
PARTS := test-lab test-roles test-hosts check-units test-compiled test-packets
test:
	@$(MAKE) --no-print-directory --output-sync=target --jobs=3 $(FIRST_PARTS)
	@$(MAKE) --no-print-directory --output-sync=target --jobs=3 $(PARTS)
	@$(PYTEST) -q tests/compose

FIGURES ?=
SECONDS ?= 60
TARGETS ?=

fuzz: install
	@$(VENV)/bin/python tests/fuzz --seconds $(SECONDS) $(TARGETS)

# what wants a machine that does nothing else: timed scenarios, a drain under many downloads, figures, a soak; and more
# rounds and examples of what `test` has too
test-long: install
	@EXPECT_ALL_CAPABILITIES=1 $(PYTEST) -q tests/long
	@EXPECT_ALL_CAPABILITIES=1 SENNIT_LONG_BYTES=1073741824 SENNIT_LONG_ROUNDS=8 $(PYTEST) -q \
	  tests/netns/lab/test_long_download.py tests/netns/programs/test_bulk.py tests/netns/edge/test_killed_activations.py
	@EXPECT_ALL_CAPABILITIES=1 SENNIT_EXAMPLES=all $(PYTEST) -q tests/datapath tests/unit/balancer/control/test_grants.py

# writes docs/operate/rehearsal-containers.md and rehearsal.md
test-ansible: install
	@sh tools/install-packages packages.ansible.debian
	@EXPECT_ALL_CAPABILITIES=1 $(PYTEST) -q -s -x tests/rehearsal

# writes docs/platforms.md
test-platforms: install
	@sh tools/install-packages packages.platforms.debian
	@sh tools/install-packages packages.release.debian
	@EXPECT_ALL_CAPABILITIES=1 $(PYTEST) -q -s tests/platforms

# the forwarder's programs on the kernels of Debian 12 and 13, under qemu
test-kernels: install
	@sh tools/install-packages packages.ansible.debian
	@EXPECT_ALL_CAPABILITIES=1 $(PYTEST) -q tests/kernels

release: install
	@sh tools/install-packages packages.release.debian
	@packaging/build-release

bench: $(COMPILED)/.built
	@sh tools/install-packages packages.bench.debian
	@PYTHONSAFEPATH=1 PYTHONPATH=$(COMPILED):$(CURDIR) $(VENV)/bin/python -m benchmarks --save
	@$(VENV)/bin/python -m benchmarks.report.page

# the papers' figures, in a lab of its own, with the core as releases have it
figures: $(COMPILED)/.built
	@export SENNIT_LAB_NAME=figures PYTHONPATH=$(COMPILED); trap '$(SENNIT) lab down' EXIT; \
	  $(SENNIT) lab up && $(SENNIT) lab figures -o docs/figures $(FIGURES)

# what is in the work tree beside what was committed
bench-compare: install
	@old=$$(mktemp -d) && git archive HEAD benchmarks/results | tar -x -C $$old && \
	  $(VENV)/bin/python -m benchmarks.report.comparison $$old/benchmarks/results benchmarks/results; \
	  status=$$?; rm -rf $$old; exit $$status

LOCK := uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
  --universal --python-version 3.11

# universal: the same versions serve Python 3.11 to 3.13 and each architecture, by markers where one differs.
# The second is what the lab, the image and releases hold, the third installs a checkout, the fourth builds releases:
# none of them has the tools of development
lock:
	$(LOCK) pyproject.toml tools/build-backend.txt --extra dev -o requirements.lock
	$(LOCK) pyproject.toml --extra lab -c requirements.lock -o requirements.image.lock
	$(LOCK) tools/editable.txt -c requirements.lock -o requirements.editable.lock
	$(LOCK) tools/build-backend.txt -c requirements.lock -o requirements.build.lock

clean:
	rm -rf $(VENV) build
