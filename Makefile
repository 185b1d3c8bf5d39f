# Everything runs in .venv, made on first use from pinned versions.
VENV := .venv
PY := $(VENV)/bin/python
EXTRAS := offline,dev
STAMP := $(VENV)/.installed

.PHONY: install demo test slow lint chaos fuzz reliability audit-deps

install: $(STAMP)

# torch goes first and alone: asked for by another package it may come as another build.
$(STAMP): pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt torch
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $(STAMP)

demo: install
	$(VENV)/bin/ray-pipeline run tune_configs/demo.yaml

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Two at a time, a file after another: most of a test's time is waiting for Ray.
test: install
	$(PY) -m pytest --numprocesses 2 --dist loadfile -m "not slow" --ignore tests/chaos

# Whole sweeps, jobs submitted to a head, the README's commands, resumed trainings. TURN=0/22 runs one of their 22 files.
slow: install
	$(PY) -m pytest --numprocesses 2 --dist loadfile -m slow --ignore tests/chaos $(if $(TURN),--turn $(TURN))

# Simulated nodes that are removed and killed. TURN as above.
chaos: install
	$(PY) -m pytest tests/chaos $(if $(TURN),--turn $(TURN))

# Every test that makes a fault, and what the last `make fuzz` came to: docs/reliability.md. Half an hour of a quiet machine.
reliability: install
	$(PY) bench/reliability.py --fuzz docs/fuzz.json --out docs/reliability.md

# Damaged audio, 20,000 cases; what came of them goes to docs/fuzz.json, the bytes of a case that went wrong to out/fuzz/.
fuzz: install
	mkdir -p out/fuzz
	PYTHONPATH=tests $(PY) tests/badinput/fuzzing.py out/fuzz 20000 > docs/fuzz.json; code=$$?; cat docs/fuzz.json; exit $$code

# Known vulnerabilities in what is pinned. A package that the service does not answer for fails too: silence is no clean bill.
audit-deps: install
	@$(VENV)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off || { \
	  echo "audit-deps: either a package above has a known vulnerability, or the service (PyPI's; with" >&2; \
	  echo "--vulnerability-service osv that of osv.dev) could not be asked about it, and nothing is known." >&2; exit 1; }
