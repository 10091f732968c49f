# Needs Python 3.11 to 3.13 with venv, and make. Everything else is brought into .venv from requirements.lock.
PYTHON ?= python3
BRAIN ?= offline
UV_VERSION := 0.13.8
VENV := .venv

# The distribution's Python, where it is recent enough: it is optimised, as one built by hand often is not.
BENCH_PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	2>/dev/null && echo /usr/bin/python3 || echo $(PYTHON))
BENCH_VENV := .venv-bench
INSTALLED := $(VENV)/installed

# Log messages go where callpipe says, not to loguru's default: pipecat greets there when it is imported.
export LOGURU_AUTOINIT ?= 0

.PHONY: demo test coverage check reliability endurance bench chaos soak share mutation docs install lock clean

demo: $(INSTALLED)  ## one phone call through real sockets, no key, no phone, no network
	$(VENV)/bin/callpipe demo --brain $(BRAIN) $(if $(JSON),--json $(JSON))

test: $(INSTALLED)  ## every test, no network needed
	$(VENV)/bin/pytest -q -n 2 --dist worksteal

coverage: $(INSTALLED)  ## lines and branches that the tests run: 95 % or it fails
	$(VENV)/bin/pytest -q -n 2 --dist worksteal -m "not live and not long and not figures" --timeout 600 \
		--cov --cov-report=term-missing

check: $(INSTALLED)  ## lint, format, types, layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

reliability: $(INSTALLED)  ## hold every call that a failing model can cost, and write the tables anew
	$(VENV)/bin/callpipe rehearse --into README.md --into docs/reliability.md

endurance: $(INSTALLED)  ## 10,000 sequences of events of a session, faults at 900 moments of a call: half an hour
	EVENT_SEQUENCES=10000 SWEPT_MOMENTS=100 $(VENV)/bin/pytest -q -n 2 --dist worksteal --timeout 7200 \
		tests/transports/realtime/test_session_rules.py tests/transports/realtime/test_session_losses.py \
		tests/pipelines/rehearsal/test_sweep.py

bench: $(BENCH_VENV)/installed  ## against stock pipecat, a bare bridge and floors; see tests/bench/README.md
	$(BENCH_VENV)/bin/python tests/bench/run.py $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON)) $(if $(PLOT),--plot $(PLOT))

$(BENCH_VENV)/installed: $(INSTALLED) requirements-bench.lock
	PATH="$$PATH:$(VENV)/bin" uv venv -q --clear --python $(BENCH_PYTHON) $(BENCH_VENV)
	for locked in requirements.lock requirements-bench.lock; do \
		PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(BENCH_VENV)/bin/python --require-hashes -r $$locked; done
	PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(BENCH_VENV)/bin/python --no-deps --no-build-isolation -e .
	touch $@

docs: $(INSTALLED) $(VENV)/installed-docs  ## the documentation as HTML, in dist/docs; needs no network
	$(VENV)/bin/sphinx-build -q -W --keep-going -b html docs dist/docs
	@echo "dist/docs/index.html"

$(VENV)/installed-docs: requirements-docs.lock
	PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(VENV)/bin/python --require-hashes -r requirements-docs.lock
	touch $@

chaos: $(INSTALLED)  ## processes die and hang under emulated calls, and none is lost; see tests/chaos/README.md
	$(VENV)/bin/python tests/chaos/chaos.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(CALLS),--calls $(CALLS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON))

soak: $(INSTALLED)  ## 5,000 short calls through one runner leave nothing behind
	$(VENV)/bin/python tests/chaos/soak.py $(if $(CALLS),--calls $(CALLS)) $(if $(JSON),--json $(JSON))

share: $(INSTALLED)  ## how much of callpipe's processor time the server takes at 100 calls
	$(VENV)/bin/python tests/chaos/share.py $(if $(CALLS),--calls $(CALLS)) $(if $(JSON),--json $(JSON))

mutation: $(INSTALLED) $(VENV)/installed-mutation  ## small mistakes in transports/ that tests find; see tests/mutation/README.md
	nice -n 10 $(VENV)/bin/python tests/mutation/mutation.py $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) \
		$(if $(UNDER),--under $(UNDER))

$(VENV)/installed-mutation: requirements-mutation.lock
	PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(VENV)/bin/python --require-hashes -r requirements-mutation.lock
	touch $@

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "callpipe needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Say which one: make PYTHON=python3.12")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null || test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install -q "uv==$(UV_VERSION)"
	PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(VENV)/bin/python --require-hashes -r requirements.lock
	PATH="$$PATH:$(VENV)/bin" uv pip install -q --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	touch $@

lock: $(INSTALLED)  ## resolve the dependencies anew
	PATH="$$PATH:$(VENV)/bin" uv pip compile -q pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock --upgrade
	PATH="$$PATH:$(VENV)/bin" uv pip compile -q --group bench -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements-bench.lock
	PATH="$$PATH:$(VENV)/bin" uv pip compile -q --group docs -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements-docs.lock
	PATH="$$PATH:$(VENV)/bin" uv pip compile -q --group mutation -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements-mutation.lock

clean:
	rm -rf $(VENV) $(BENCH_VENV)
