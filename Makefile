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

.PHONY: fresh
fresh: env ## Make your copy of a chapter anew, and keep what you had: make fresh CHAPTER=03
	@$(python) scripts/my_notebooks.py --fresh "$(CHAPTER)"

.PHONY: env
env: ## Make the environment in .venv: what environment.yml lists
	@for python in "$(PYTHON)" python3 python; do \
	    if "$$python" -c 'f""' >/dev/null 2>&1; then exec "$$python" scripts/make_env.py; fi; \
	done; \
	uv=$$(command -v uv || command -v "$$HOME/.local/bin/uv") && \
	    exec "$$uv" run --no-project --python 3.13 scripts/make_env.py; \
	echo 'set-up: there is no Python here; this line brings one, without being root; then run the' \
	    'same command again:' >&2; \
	echo '    curl -LsSf https://astral.sh/uv/install.sh | sh' >&2; exit 1

.PHONY: data
data: env ## Get Fashion-MNIST and MNIST into data/, and check them
	@$(python) scripts/fetch_data.py $(if $(MIRROR),--mirror "$(MIRROR)")

.PHONY: hub
hub: hub-env data ## Try JupyterHub, for a class on one server: deploy/README.md
	@mkdir -p build/hub-homes && cd build && echo 'The hub is at http://127.0.0.1:8000: sign in' \
	    'with any name, no password (Ctrl-C ends it)' && LENET_HUB_TRY="$(CURDIR)/build/hub-homes" \
	    hub/bin/python -m jupyterhub --log-level=WARN -f "$(CURDIR)/deploy/jupyterhub_config.py"

.PHONY: hub-env
hub-env: env ## Make the environment that the hub itself runs in: build/hub
	@test -e build/hub/ready || { python3 -m venv build/hub && \
	    build/hub/bin/python -m pip install --quiet -r deploy/requirements.txt && \
	    npm install --silent --prefix build/hub configurable-http-proxy@5.3.0 && \
	    touch build/hub/ready; }

# For those who change it

.PHONY: test
test: env data ## Run all notebooks and all tests, except those of browser, hub and faults
	@mkdir -p build/runs
	@CUDA_VISIBLE_DEVICES= LENET_DEVICE=cpu LENET_RUNS="$(CURDIR)/build/runs" OMP_NUM_THREADS=1 \
	    $(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
	    --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg --nbval-cell-timeout 1200 \
	    tests notebooks $(ARGS)

.PHONY: test-browser
test-browser: chromium env data ## Run the tests that drive JupyterLab in Chromium
	@LENET_DEVICE=cpu $(python) -m pytest tests/browser $(ARGS)

.PHONY: test-hub
test-hub: chromium hub-env data ## Run the tests that start a hub and twenty students on it
	@LENET_DEVICE=cpu $(python) -m pytest tests/hub $(ARGS)

.PHONY: hub-figures
hub-figures: hub-env data ## Measure a class on one server: results/hub.json
	@LENET_DEVICE=cpu $(python) scripts/measure_hub.py

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { echo 'make test-browser: Chromium is missing;' \
	    'install it (on Debian: sudo apt install chromium), and run it again' >&2; exit 1; }

.PHONY: notebooks
notebooks: env data ## Run the notebooks and save them with their outputs
	@$(python) scripts/save_notebooks.py $(ARGS)

.PHONY: studies
studies: env data ## Train and measure what the chapters compare: results/
	@$(python) scripts/study_steps.py
	@$(python) scripts/study_plateau.py
	@$(python) scripts/study_surface.py
	@$(python) scripts/study_baselines.py
	@$(python) scripts/study_lenet5.py
	@$(python) scripts/measure_distortion.py

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
	@LENET_DEVICE=cpu $(python) -m pytest --no-header -q tests/faults $(ARGS)

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
clean: ## Remove what these commands have made, but the data and all that is your own
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis lenet_course.egg-info
	@rm -rf build
	@find . -name __pycache__ -not -path './data/*' -prune -exec rm -rf {} +
