# Every target says what it does: `make help`. CI calls the same ones.
.DEFAULT_GOAL := help
PY := .venv/bin/python

help: ## this list
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

.venv/ready: requirements.txt requirements-rolloutctl.txt requirements-dev.txt
	@test -x $(PY) || python3.13 -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv-scoring/ready: requirements-scoring.txt
	@test -x .venv-scoring/bin/python || python3.13 -m venv .venv-scoring
	@.venv-scoring/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# What some tests run beside Python. Without npm they are skipped, and say so.
node_modules/ready: package.json
	@if command -v npm >/dev/null; \
	then npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	else echo "npm is missing (Node 20 has it): the tests that need axe-core or Azurite are skipped"; fi

node: node_modules/ready ## what some tests run beside Python: axe-core, Azurite

setup: .venv/ready .venv-scoring/ready ## both environments: the app's, and the scoring servers'

run: setup ## start everything and play the demo; ARGS="--once" ends after it
	@$(PY) -m local run $(ARGS)

test: setup node_modules/ready ## every test; ARGS for pytest
	@$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types ## lint and types

lint: .venv/ready ## ruff
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: .venv/ready ## mypy
	@$(PY) -m mypy

laws: .venv/ready ## the promises, over more stories than in `make test`
	@HYPOTHESIS_PROFILE=nightly $(PY) -m pytest tests/property $(ARGS)

e2e: setup ## the whole product, as child processes
	@$(PY) -m pytest tests/e2e $(ARGS)

schema: .venv/ready ## docs/policy.schema.json, from the models
	@$(PY) -m rolloutctl schema > docs/policy.schema.json

bench: setup ## the figures, as ratios to floors of the same run; ARGS="matching intake app"
	@$(PY) -m bench $(ARGS)

infra: .venv/ready ## checks the Bicep files offline
	@$(PY) -m infra.check

package: .venv/ready ## the deployment package, dist/app.zip
	@$(PY) -m infra.package

golden: setup ## record anew what azure-ai-ml sends to the emulator; review the difference
	@GOLDEN=write $(PY) -m pytest -q tests/local/test_azure_ml_wire.py

histories: .venv/ready ## record anew the histories of the newest story; review the difference
	@HISTORIES=write $(PY) -m pytest -q tests/test_histories.py

recording: setup ## docs/recordings: `rolloutctl watch` while the demo plays
	@$(PY) -m local.recording

mutants: .venv/ready ## take the guards out one at a time: which test notices? ARGS="weight" for some
	@$(PY) -m bench.mutants $(ARGS)

screenshots: setup ## the pictures of docs/images, from the demo
	@$(PY) -m tests.browser.screenshots

clean: ## what running left behind, and the environments
	@rm -rf .venv .venv-scoring node_modules .local .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage

.PHONY: help node setup run test check lint types laws e2e bench infra package golden histories mutants recording screenshots schema clean
