# Two commands from a fresh clone:
#
#   make run     set up .venv and caption what the microphone hears
#   make test    set up .venv-test and run every check
#
# Both do their own set-up and skip what is already done. The steps themselves
# are in scripts/setup.sh. Variables, all optional:
#
#   ARGS         extra arguments for the captioner (run) or pytest (test), e.g.
#                make run ARGS="--device recording.wav"
#   PYTHON       the Python that makes the virtual environments (3.10 to 3.13)
#   APT          "no" keeps both commands from installing system packages; they
#                then print what to type instead
#   TORCH_INDEX  where `make test` gets PyTorch, passed on as pip's --index-url.
#                On Linux x86-64 the default package index serves a PyTorch
#                that brings several GB of CUDA packages along. The tests need
#                none of them: set this to the "CPU" address that
#                https://pytorch.org/get-started/locally/ shows.

ARGS        ?=
PYTHON      ?= python3
APT         ?= yes
TORCH_INDEX ?=
export PYTHON APT TORCH_INDEX

.PHONY: help run test lint clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' Makefile

run:  ## set up, then caption the microphone (or a sample, where there is none)
	@bash scripts/setup.sh run $(ARGS)

test:  ## set up, then lint, type-check and test
	@bash scripts/setup.sh test $(ARGS)

lint:  ## set up, then lint and type-check only
	@bash scripts/setup.sh lint

clean:  ## remove the virtual environments, build output and caches
	@bash scripts/setup.sh clean
