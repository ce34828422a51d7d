# Two commands for a machine with Python 3.11+ and pip: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUT ?= demo-output
MODEL ?= photo
# A test file is run by one process, of as many as there are cores and at most four; each takes a gigabyte.
TESTS_AT_ONCE ?= --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo web test test-quick lint docs clean

demo: $(VENV)/installed
	$(BIN)/maskmend demo --output $(OUT)
	@echo "Mend a picture of your own in the browser: $(BIN)/maskmend serve"
	@echo "The same as a static site, with the model in the browser (needs npm): make web, then open http://localhost:8000"

# Half a minute of exporting, then a server of files until Ctrl+C.
web: $(VENV)/installed-onnx
	$(BIN)/maskmend export web $(MODEL) -o $(OUT)/web-$(MODEL)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(OUT)/web-$(MODEL) 8000

test: $(VENV)/installed-dev
	$(BIN)/maskmend weights fetch
	$(BIN)/python -m pytest $(TESTS_AT_ONCE)

# Without the tests of more than about two seconds, and without the metrics' weights.
test-quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(TESTS_AT_ONCE) -m "not slow and not nightly"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(VENV)/installed-docs
	$(BIN)/mkdocs build --strict
	@echo "Open site/index.html, or serve it while you write: $(BIN)/mkdocs serve"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[server]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,lint]'
	touch $@

$(VENV)/installed-onnx: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[onnx]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) build dist site
