#!/usr/bin/env bash
# What `make run`, `make test`, `make lint` and `make clean` do. The Makefile
# describes the variables. A step that fails stops the script with its status.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
APT=${APT:-yes}
TORCH_INDEX=${TORCH_INDEX:-}

# The release that the tests are known to pass with.
TORCH=torch==2.13.0
SAMPLE=examples/sample.ogg
# What `pip install .` reads; a change in any of it means installing again.
SOURCES=(pyproject.toml setup.cfg setup.py MANIFEST.in edge export distill benchmarks)
TYPED=(edge export distill benchmarks)

say() { printf '%s\n' "aac-stream: $*"; }
die() {
  printf '%s\n' "aac-stream: $*" >&2
  exit 1
}

# --- system packages ---------------------------------------------------------

# Sets ROOT to the words that run a command as root without asking anybody.
may_be_root() {
  if [[ $(id -u) -eq 0 ]]; then
    ROOT=(env)
  elif sudo -n true 2>/dev/null </dev/null; then
    ROOT=(sudo -n env)
  else
    return 1
  fi
}

# need_apt WHY PACKAGE...: installs the packages where that can be done without
# asking; otherwise says on one line what to type, and returns 1.
need_apt() {
  local why=$1 sudo='sudo '
  shift
  [[ $(id -u) -ne 0 ]] || sudo=''
  local typed="${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends $*"
  if ! command -v apt-get >/dev/null; then
    say "$why; install what Debian calls: $*" >&2
    return 1
  fi
  if [[ $APT == no ]] || ! may_be_root; then
    say "$why; to install it, type: $typed" >&2
    return 1
  fi
  say "$why; installing: $*"
  local output
  local apt=("${ROOT[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
  # One unreachable third-party list must not stop the rest: the install tells.
  "${apt[@]}" update </dev/null || say "apt-get update failed; going on with the lists there are" >&2
  # --no-remove: on a PipeWire desktop PulseAudio can displace the sound server
  # in use. That is for the person there to decide.
  if ! output=$("${apt[@]}" install --yes --no-install-recommends --no-remove \
    -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1); then
    tail -n 20 <<<"$output" >&2
    say "apt-get failed; to try it yourself, type: $typed" >&2
    return 1
  fi
}

# missing PACKAGE...: prints those that dpkg does not have installed.
missing() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      printf '%s\n' "$package"
  done
}

# --- Python ------------------------------------------------------------------

need_python() {
  local name=${PYTHON##*/}
  if ! command -v "$PYTHON" >/dev/null; then
    need_apt "$name is missing" "$name" "$name-venv" || exit 1
  fi
  # As `requires-python` in pyproject.toml.
  "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' ||
    die "$("$PYTHON" --version) does not do: Python 3.10 to 3.13 is needed (PYTHON=python3.13 make ...)"
  # Debian ships `venv` with Python but leaves out ensurepip, which it needs.
  if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    need_apt "the venv module of $name is missing" "$name-venv" || exit 1
  fi
}

# make_venv DIR: makes it, or makes it anew where its Python is broken (as after
# an upgrade of the system's Python, or a set-up that was interrupted).
make_venv() {
  if ! "$1/bin/python" -m pip --version >/dev/null 2>&1; then
    need_python
    say "making the virtual environment $1"
    rm -rf "$1"
    "$PYTHON" -m venv "$1"
  fi
}

# fingerprint FILE_OR_FOLDER...: a checksum of their content. The folder counts
# too, since the commands that pip writes hold its full path.
fingerprint() {
  local path paths=()
  for path in "$@"; do
    [[ ! -e $path ]] || paths+=("$path")
  done
  {
    printf '%s\n' "$PWD" "$TORCH"
    find "${paths[@]}" -name __pycache__ -prune -o -type f -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum
}

# pip_install VENV ARGUMENT...: shows progress to a person, little to a log.
pip_install() {
  local venv=$1 quiet=(--quiet)
  shift
  [[ ! -t 1 ]] || quiet=()
  "$venv/bin/python" -m pip install --disable-pip-version-check \
    ${quiet[@]+"${quiet[@]}"} "$@"
}

set_up_run() {
  make_venv .venv
  local now
  now=$(fingerprint "${SOURCES[@]}")
  if [[ $(cat .venv/.stamp 2>/dev/null) != "$now" ]]; then
    say "installing into .venv (the first time takes a few minutes)"
    rm -f .venv/.stamp
    # Files left from an earlier build would be packed into this one.
    rm -rf build/lib build/bdist.*
    pip_install .venv .
    printf '%s\n' "$now" >.venv/.stamp
  fi
}

set_up_test() {
  make_venv .venv-test
  local now
  now=$(fingerprint pyproject.toml)
  if [[ $(cat .venv-test/.stamp 2>/dev/null) != "$now" ]]; then
    say "installing into .venv-test (the first time takes some minutes)"
    rm -f .venv-test/.stamp
    # First and by itself, so that TORCH_INDEX holds for it alone.
    # --no-compile: a minute for 16 000 files, of which the tests load a few; Python compiles those.
    pip_install .venv-test --no-compile "$TORCH" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
    pip_install .venv-test --no-compile --editable '.[dev,web,mqtt,import,nncf,torch,train,bench,htsat,scores]'
    printf '%s\n' "$now" >.venv-test/.stamp
  fi
}

# --- the targets -------------------------------------------------------------

# The search that the sounddevice module makes, so the two cannot disagree.
has_portaudio() {
  .venv/bin/python -c 'import ctypes.util, sys
sys.exit(ctypes.util.find_library("portaudio") is None)'
}

caption_sample() {
  say "$1: captioning the sample recording $SAMPLE instead"
  shift
  exec .venv/bin/aac-stream --device "$SAMPLE" "$@"
}

run() {
  set_up_run
  local argument devices
  for argument in "$@"; do
    case $argument in
      # The caller chose a source, if in a settings file, or needs none.
      --device | --device=* | --config | --config=* | --list-devices | --help | -h | --version)
        exec .venv/bin/aac-stream "$@"
        ;;
    esac
  done
  if ! has_portaudio &&
    ! need_apt "the PortAudio library, which reads the microphone, is missing" libportaudio2; then
    caption_sample "no microphone without PortAudio" "$@"
  fi
  # ALSA fills stderr with complaints about absent hardware; they matter only
  # where listing fails.
  if ! devices=$(.venv/bin/aac-stream --list-devices 2>&1); then
    printf '%s\n' "$devices" >&2
    die "listing the audio devices failed (see above)"
  fi
  if grep -qx 'no input devices' <<<"$devices"; then
    caption_sample "no microphone (input device) was found" "$@"
  fi
  say "captioning the microphone; Ctrl-C stops"
  exec .venv/bin/aac-stream --device mic "$@"
}

lint() {
  say "ruff check"
  .venv-test/bin/python -m ruff check
  say "mypy ${TYPED[*]}"
  .venv-test/bin/python -m mypy "${TYPED[@]}"
}

test_all() {
  set_up_test
  local packages=()
  # Tests of the microphone run a private PulseAudio server; those of streams run ffmpeg, those of the
  # page a browser, and those of MQTT a broker.
  mapfile -t packages < <(missing pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins ffmpeg \
    chromium chromium-driver mosquitto)
  if [[ ${#packages[@]} -gt 0 ]]; then
    need_apt "tests of microphones, streams, MQTT and the page need packages" "${packages[@]}" ||
      say "going on: tests of what is missing will be skipped" >&2
  fi
  lint
  say "pytest"
  # -ra: a test that was skipped says why.
  local pytest=(.venv-test/bin/python -m pytest -ra)
  [[ $# -eq 0 ]] || exec "${pytest[@]}" "$@"
  # Four processes, also on two cores: many tests wait for what happens in real time.
  # Each on one thread: more would only wait for the cores that the others have.
  OMP_NUM_THREADS=1 "${pytest[@]}" --numprocesses 4 --dist worksteal
}

clean() {
  rm -rf .venv .venv-test build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache
  find "${TYPED[@]}" tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
}

target=${1:-}
[[ $# -eq 0 ]] || shift
case $target in
  run) run "$@" ;;
  test) test_all "$@" ;;
  lint)
    set_up_test
    lint
    ;;
  clean) clean ;;
  *) die "usage: scripts/setup.sh run|test|lint|clean [argument...]" ;;
esac
