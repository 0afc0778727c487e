# The LeNet course. `make lab` opens it, `make test` tests it, `make help` lists the rest.
# Everything is called as `.venv/bin/python -m ...`: scripts in .venv/bin break in a folder that
# is moved, and some in a folder whose name has blanks.

.DEFAULT_GOAL := help
.NOTPARALLEL:  # one thing after the other, also under `make -j`: they share two cores

python := .venv/bin/python

# The environment's own kernel and settings come before those in a user's home folder.
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: help
help: ## List these commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-21s%s\n", $$1, $$2}'

# For those who take the course

.PHONY: lab
lab: env data ## Open the course in JupyterLab (the first time it makes all that is needed)
	@$(python) scripts/open_lab.py 01_network $(ARGS)

.PHONY: present
present: env data ## Open chapter 3 for a projector: the notebook alone on the screen
	@$(python) scripts/open_lab.py --present 03_training $(ARGS)

.PHONY: env
env: ## Make the environment in .venv: what environment.yml lists
	@for python in python3 python3.11; do \
	    if $$python -c '' 2>/dev/null; then exec $$python scripts/make_env.py; fi; \
	done; \
	echo 'set-up: there is no Python here; install Python 3.11, and run the same command again' >&2; \
	exit 1

.PHONY: data
data: env ## Get Fashion-MNIST and MNIST into data/, and check them
	@$(python) scripts/fetch_data.py $(if $(MIRROR),--mirror "$(MIRROR)")

# For those who change it

.PHONY: test
test: env data ## Run all notebooks and all tests, but those in a browser
	@mkdir -p build/runs
	@export CUDA_VISIBLE_DEVICES= LENET_DEVICE=cpu LENET_RUNS="$(CURDIR)/build/runs"; passed=true; \
	$(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests $(ARGS) \
	    || passed=false; \
	$(python) -m pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg \
	    --nbval-cell-timeout 600 notebooks $(ARGS) || passed=false; \
	$$passed

.PHONY: test-browser
test-browser: chromium env data ## Run the tests that drive JupyterLab in Chromium
	@LENET_DEVICE=cpu $(python) -m pytest tests/browser $(ARGS)

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { echo 'make test-browser: Chromium is missing;' \
	    'install it (on Debian: sudo apt install chromium), and run it again' >&2; exit 1; }

.PHONY: notebooks
notebooks: env data ## Run the notebooks and save them with their outputs
	@$(python) scripts/save_notebooks.py $(ARGS)

.PHONY: studies
studies: env data ## Measure what chapters 3, 4 and 6 compare: results/{seeds,variants,distortion,baselines}.json
	@$(python) scripts/seeds.py
	@$(python) scripts/variants.py
	@$(python) scripts/measure_distortion.py
	@$(python) scripts/study_baselines.py

.PHONY: images
images: env data ## Draw the pictures in Images/ again
	@$(python) scripts/draw_images.py $(ARGS)

.PHONY: bench
bench: env data ## Measure the course against the lesson's own code: results/bench.json
	@$(python) scripts/bench.py $(ARGS)

.PHONY: readme
readme: env ## Write the measured tables into README.md
	@$(python) scripts/fill_readme.py

.PHONY: faults
faults: env data ## Try what can go wrong, many times over: results/faults.json
	@$(python) scripts/faults.py $(ARGS)

.PHONY: mutants
mutants: env data ## Plant mistakes in the course, and count those that the tests find
	@$(python) scripts/mutants.py $(ARGS)

.PHONY: format
format: env ## Format the code and the notebooks
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

.PHONY: lint
lint: env ## Look for mistakes of style, and let nothing pass
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

.PHONY: clean
clean: ## Remove what these commands have made, but the data and your own runs
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis lenet_course.egg-info
	@rm -rf build
	@find . -name __pycache__ -not -path './data/*' -prune -exec rm -rf {} +
