#!/usr/bin/env bash
# Proves that the device part of the package installs on 64-bit ARM (Debian 12,
# Python 3.11, as on a Raspberry Pi) and captions the sample recording there as
# it does on this x86-64 machine. No ARM machine is needed: QEMU runs Debian's
# own ARM Python, and the ARM wheels that its pip picks. No root either.
#
#   PYTHON=.venv/bin/python bash scripts/arm64.sh [FOLDER [BUNDLE...]]
#
# FOLDER (build/arm64) keeps the ARM system for the next time, about 350 MB.
# Each BUNDLE, a folder of another model, is proven besides the one that ships.
# Variables:
#
#   PYTHON  has the package's dependencies: the one of .venv, after `make run`
#   CPUS    the processors that QEMU plays, "cortex-a72 cortex-a76" unless told
#
# Exit status: 0 if captions agree everywhere, 1 if not, 2 if something is missing.
set -euo pipefail

say() { printf '%s\n' "arm64: $*"; }
die() {
  say "$*" >&2
  exit 2
}

# Folders count from where the caller is; all else from the package's root.
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tree=$PWD
work=$tree/build/arm64
bundles=()
if [[ $# -gt 0 ]]; then
  work=$(cd "$here" && realpath -m -- "$1")
  shift
fi
for bundle in "$@"; do
  bundle=$(cd "$here" && realpath -m -- "$bundle")
  [[ -f $bundle/manifest.json ]] || die "$bundle is not a bundle: it has no manifest.json"
  bundles+=("$bundle")
done
PYTHON=${PYTHON:-python3}
CPUS=${CPUS:-cortex-a72 cortex-a76}
sample=$tree/examples/sample.ogg

# --- what must be there ------------------------------------------------------

[[ $(uname -m) == x86_64 ]] ||
  die "this compares with x86-64; on another machine, see scripts/compare_captions.py"
# Debian 12 calls the emulator that needs no ARM libraries of this machine
# qemu-aarch64-static; from Debian 13 on, qemu-aarch64 is that one.
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) ||
  die "QEMU is missing; type: sudo apt-get install qemu-user-static (from Debian 13 on: qemu-user)"
command -v debootstrap >/dev/null ||
  die "debootstrap is missing; type: sudo apt-get install debootstrap"
[[ -f /usr/share/keyrings/debian-archive-keyring.gpg ]] ||
  die "Debian's keys are missing; type: sudo apt-get install debian-archive-keyring"
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: run this on Debian or Ubuntu"
[[ $PYTHON != */* ]] || PYTHON=$(cd "$here" && realpath -ms -- "$PYTHON") # -s: a venv is a link
"$PYTHON" -c 'import numpy, onnxruntime, pip, sounddevice, soundfile, soxr, yaml' 2>/dev/null ||
  die "$PYTHON lacks pip or what aac-stream depends on: \`make run\`, then PYTHON=.venv/bin/python"

# --- the ARM system ----------------------------------------------------------

root=$work/root
mkdir -p "$work"
if [[ ! -e $work/root.done ]]; then
  say "fetching Debian 12 for ARM"
  rm -rf "$root"
  # Not below $work: a space in its path makes debootstrap fetch a part only.
  debs=$(mktemp -d)
  trap 'rm -rf "$debs"' EXIT
  # Only fetched and unpacked: setting it up would run ARM programs, for which
  # the kernel here may know no emulator, and would need root.
  if ! debootstrap --arch=arm64 --variant=minbase --download-only \
    --include=python3,python3-pip,libportaudio2 bookworm "$debs" >"$work/debootstrap.log" 2>&1; then
    tail -n 5 "$work/debootstrap.log" >&2
    die "debootstrap could not fetch Debian 12 for ARM (see above)"
  fi
  mkdir "$root"
  for deb in "$debs"/var/cache/apt/archives/*.deb; do
    dpkg-deb -x "$deb" "$root"
  done
  [[ -e $root/usr/bin/python3 ]] || die "debootstrap fetched no Python: see $work/debootstrap.log"
  rm -rf "$debs"
  touch "$work/root.done"
fi

# play CPU: what an ARM kernel would tell there. QEMU reads a file below $root
# where there is one, else this machine's: ONNX Runtime looks for ARM processors
# in /proc/cpuinfo, and with x86 ones it crashes.
play() {
  local part variant=0x0 revision=0 features='fp asimd evtstrm crc32 cpuid' core
  case $1 in
    cortex-a53) part=0xd03 revision=4 ;; # Raspberry Pi 3, Zero 2 W
    cortex-a72) part=0xd08 revision=3 ;; # Raspberry Pi 4
    cortex-a76)                          # Raspberry Pi 5: has dot products of int8
      part=0xd0b variant=0x4 revision=1
      features='fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid'
      features+=' asimdrdm lrcpc dcpop asimddp'
      ;;
    *) die "CPUS: $1 is not one of cortex-a53, cortex-a72, cortex-a76" ;;
  esac
  mkdir -p "$root/proc" "$root/sys/devices/system/cpu"
  for core in 0 1 2 3; do
    printf '%s\t: %s\n' processor "$core" BogoMIPS 108.00 Features "$features" \
      'CPU implementer' 0x41 'CPU architecture' 8 'CPU variant' "$variant" \
      'CPU part' "$part" 'CPU revision' "$revision"
    echo
  done >"$root/proc/cpuinfo"
  for core in possible present online; do
    echo 0-3 >"$root/sys/devices/system/cpu/$core"
  done
}

# arm CPU ARGUMENT...: Python as on that processor.
arm() {
  local cpu=$1
  shift
  "$qemu" -cpu "$cpu" -L "$root" "$root/usr/bin/python3" "$@"
}

# --- the package, on both ----------------------------------------------------

cpus=()
for cpu in $CPUS; do
  play "$cpu"
  cpus+=("$cpu")
done
cpu=${cpus[-1]}

# From a copy: building leaves files in the folder, and packs what is left there.
say "building the package"
rm -rf "$work/source" "$work/wheel" "$work/arm" "$work/x86"
mkdir -p "$work/source" "$work/elsewhere"
for path in pyproject.toml setup.cfg setup.py MANIFEST.in README.md LICENSE \
  edge export distill benchmarks; do
  [[ ! -e $path ]] || cp -r "$path" "$work/source"
done
# Away from the checkout, whose `edge` would be found before the installed one.
cd "$work/elsewhere"
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH
"$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheel" "$work/source"
"$PYTHON" -m pip install --quiet --no-deps --no-index --target "$work/x86" "$work/wheel"/*.whl

# The same releases on both, so that only the machine differs.
"$PYTHON" -c 'from importlib.metadata import version
for name in "numpy", "onnxruntime", "pyyaml", "sounddevice", "soundfile", "soxr":
    print(f"{name}=={version(name)}")' >"$work/releases.txt"
say "installing it on ARM, with Debian's pip"
# --only-binary: the proof is of wheels; nothing is compiled here, or on a Pi.
if ! arm "$cpu" -m pip install --quiet --root-user-action ignore --no-compile \
  --only-binary :all: --constraint "$work/releases.txt" --target "$work/arm" \
  "$work/wheel"/*.whl >"$work/pip.log" 2>&1; then
  tail -n 20 "$work/pip.log" >&2
  say "pip does not install the package on ARM (see above)" >&2
  exit 1
fi

# What pip put there. A library for another processor than ARM (183 in its ELF
# header) ends the proof.
PYTHONPATH=$work/arm arm "$cpu" - "$work/arm" <<'PY'
import pathlib, platform, sys
from importlib.metadata import distributions

system = platform.freedesktop_os_release()["PRETTY_NAME"]
print(f"emulated: {platform.machine()}, Python {platform.python_version()}, {system}")
foreign = []
for d in sorted(distributions(path=[sys.argv[1]]), key=lambda d: d.name.lower()):
    tags = [t[5:] for t in d.read_text("WHEEL").splitlines() if t.startswith("Tag: ")]
    files = [pathlib.Path(d.locate_file(f)) for f in d.files]
    heads = [(p, p.open("rb").read(20)) for p in files if p.is_file()]
    elf = [(p, int.from_bytes(h[18:20], "little")) for p, h in heads if h[:4] == b"\x7fELF"]
    foreign += [str(p) for p, machine in elf if machine != 183]
    print(f"  {d.name} {d.version}: {len(heads)} files, {len(elf)} ARM libraries, {tags[-1]}")
sys.exit(f"not for ARM: {foreign}" if foreign else 0)
PY
# The microphone's library too. An ARM system finds it by ldconfig, of which
# there is only this machine's here; so by its name.
arm "$cpu" -c 'import ctypes
portaudio = ctypes.CDLL("libportaudio.so.2")
portaudio.Pa_GetVersionText.restype = ctypes.c_char_p
print("  " + portaudio.Pa_GetVersionText().decode().split(",")[0] + " (Debian libportaudio2)")'

"$PYTHON" -c 'import platform
print(f"native: {platform.machine()}, Python {platform.python_version()}")'
vnni=no
! grep -qE 'avx512_vnni|avx_vnni' /proc/cpuinfo || vnni=yes
printf '  %s, VNNI: %s\n' "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" "$vnni"
printf '  %s\n' "$(paste -sd ' ' "$work/releases.txt")"

# --- the captions ------------------------------------------------------------

status=0

# prove NAME ARGUMENT...: captions on both, and compares.
prove() {
  local name=$1 cpu
  shift
  local run=(-m edge --device "$sample" --fast --format jsonl "$@")
  PYTHONPATH=$work/x86 "$PYTHON" "${run[@]}" >"$work/x86.jsonl" 2>"$work/x86.log" || {
    cat "$work/x86.log" >&2
    die "$name: aac-stream fails on this machine (see above)"
  }
  for cpu in "${cpus[@]}"; do
    play "$cpu"
    say "$name: x86-64 and $cpu (some minutes)"
    if ! PYTHONPATH=$work/arm arm "$cpu" "${run[@]}" >"$work/$cpu.jsonl" 2>"$work/arm.log"; then
      cat "$work/arm.log" >&2
      say "$name: aac-stream fails on $cpu (see above)"
      status=1
      continue
    fi
    "$PYTHON" "$tree/scripts/compare_captions.py" "$work/x86.jsonl" "$work/$cpu.jsonl" || status=1
  done
}

prove "the model that ships"
for bundle in ${bundles[@]+"${bundles[@]}"}; do
  prove "$bundle" --bundle "$bundle"
done
exit "$status"
