#!/usr/bin/env bash
# One list of verbs for people and for continuous integration. Each verb does what it needs of the earlier ones first,
# and passes its further arguments on. `./build.sh help` prints the list.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 MSBUILDDISABLENODEREUSE=1
readonly build_packages=(g++ cmake ninja-build clang-14 libhwy-dev libopenmpi-dev openmpi-bin libgloo-dev libgtest-dev libbenchmark-dev)
readonly lint_packages=(clang-format-19 clang-tidy-19)
readonly cli=managed/LlavaSharp.Cli
readonly peer=${LLAVASHARP_PEER:-python3}

usage() {
  cat <<'TEXT'
usage: ./build.sh VERB [ARGUMENTS]

  setup              install what the build needs (Debian packages), check the .NET 10 SDK
  native [PRESET]    build the engine: release (default), debug, asan, tsan
  managed            build the C# projects
  demo [ARGS]        train a tiny LLaVA end to end: ./build.sh demo --out out/demo
  test [FILTER]      run every test, or those whose test class or native suite contains FILTER
  test asan|tsan|debug [FILTER]   the native tests under that preset
  bench [NAME ARGS]  run every benchmark of the engine, or one with its own arguments: ./build.sh bench kernels
  bench peers        a training step beside TorchSharp's and Hugging Face's: [--runs N] [--steps N] [--stage S] [--size tiny|small]
  bench scaling      a step's cost against tokens, layers, width, batch, threads; draws charts: [--out FOLDER]
  bench load         loading a checkpoint beside one memcpy of the same bytes: [--model FOLDER]
  bench zero         memory of a rank at 1, 2 and 4 processes, beside the simulation's: [--out FOLDER]
  bench overlap      what fetching ahead hides where exchanges are slow, beside the simulation's: [--out FOLDER]
  bench images       JPEG to pixels on one core, beside Pillow where $LLAVASHARP_PEER has it
  distributed [TRIAL ARGS]   jobs of real processes, into docs/distributed.md: matrix (every stage against one process), faults, loading,
                     mixtures, hosts, stops (a large checkpoint under Ctrl-C); [--out FILE] [--updates N] [--assignments N]
  soak [KILLS STEPS] kill runs with SIGKILL at random moments, resume them, compare bytes (default 20 kills, 200 steps)
  parity DIR...      compare the engine with recorded reference cases
  peer SCRIPT ARGS   run tests/peer/SCRIPT.py with $LLAVASHARP_PEER (default python3)
  round_trips [DEMO] folders that training wrote, through transformers, PEFT's arithmetic and llama.cpp (default out/demo)
  bindings [check]   regenerate the C# bindings of llavasharp.h, or only compare
  format             format C++ and C#
  lint               check formats, run clang-tidy and the analyzers, compare the bindings
  docs               run the commands that the documents show
TEXT
}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

# ---- setup

missing_packages() { # names of Debian packages -> those not installed
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: this build expects the equivalents of: $*"
    return
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "missing packages; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  # A fresh image has no package lists.
  "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update ||
    die "apt-get update failed; as root run: apt-get update && apt-get install ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "${missing[@]}" ||
    die "apt-get failed; as root run: apt-get install ${missing[*]}"
}

verb_setup() {
  install_packages "${build_packages[@]}"
  command -v dotnet >/dev/null && dotnet --list-sdks | grep -q '^10\.' ||
    die "the .NET 10 SDK is missing: install it (https://dot.net/download) and put dotnet on the PATH"
}

# ---- build

restore_libtorch() {
  local folder=${NUGET_PACKAGES:-$HOME/.nuget/packages}/libtorch-cpu-linux-x64/2.10.0
  [[ -n ${LLAVASHARP_LIBTORCH:-} || -e $folder/libtorch-cpu-linux-x64.nuspec ]] && return
  say "restoring libtorch from NuGet (460 MB, once)"
  dotnet restore interop/LlavaSharp.Interop -v q
}

verb_native() {
  local preset=release
  if (($#)); then preset=$1; shift; fi
  case $preset in release | debug | asan | tsan) ;; *) die "native: '$preset' is not release, debug, asan or tsan" ;; esac
  verb_setup
  restore_libtorch
  say "native ($preset)"
  [[ -e build/$preset/build.ninja ]] || cmake --preset "$preset" >&2
  cmake --build --preset "$preset" -j "$(nproc)" "$@" >&2
}

verb_managed() {
  verb_native release
  say "managed"
  dotnet build LlavaSharp.slnx -c Release -v q -nodeReuse:false "$@" >&2
}

build_cli() {
  verb_native release
  say "managed"
  dotnet build "$cli" -c Release -v q -nodeReuse:false >&2
}

run_cli() { exec dotnet run --project "$cli" -c Release --no-build -- "$@"; }

# ---- run

verb_demo() { build_cli; run_cli demo "$@"; }

verb_parity() {
  (($#)) || die "parity: give one or more folders that hold a case"
  build_cli
  run_cli parity "$@"
}

# Runs a benchmark's script of the peer into a file; says in one line when there is no peer.
peer_figures() { # script out arguments
  local script=$1 out=$2
  shift 2
  mkdir -p "$(dirname "$out")"
  say "$peer: tests/peer/$script.py"
  # shellcheck disable=SC2086
  if ! $peer - "$@" <"tests/peer/$script.py" >"$out" 2>"$out.log"; then
    say "no peer: '$peer' cannot run tests/peer/$script.py ($(tail -n 1 "$out.log")); ours alone. Name one with LLAVASHARP_PEER"
    return 1
  fi
}

bench_images() {
  build_cli
  if peer_figures bench_images artifacts/bench/images.peer.json; then
    run_cli bench images --peer artifacts/bench/images.peer.json "$@"
  fi
  run_cli bench images "$@"
}

# Ours, TorchSharp's and Hugging Face's training step in turn: first the TorchSharp model is held to the engine's loss.
bench_peers() {
  verb_native release
  say "managed"
  dotnet build tests/bench -c Release -v q -nodeReuse:false >&2
  local stage
  for stage in pretrain lora full; do
    dotnet run --project tests/bench -c Release --no-build -- check --size tiny --stage "$stage" >&2
  done
  exec dotnet run --project tests/bench -c Release --no-build -- peers "$@"
}

verb_bench() {
  case ${1:-} in
    images | peers) "bench_$1" "${@:2}" ;;
    load | scaling | zero | overlap) build_cli && run_cli bench "$@" ;;
  esac
  verb_native release
  local binaries=() binary name
  for binary in build/release/bench/bench_*; do
    [[ -x $binary ]] && binaries+=("$binary")
  done
  if (($#)); then
    name=$1; shift
    [[ -x build/release/bench/bench_$name ]] ||
      die "bench: no benchmark '$name'; there is: $(basename -a "${binaries[@]}" | sed 's/^bench_//' | paste -sd' ')"
    exec "build/release/bench/bench_$name" "$@"
  fi
  for binary in "${binaries[@]}"; do
    say "$(basename "$binary")"
    "$binary"
  done
}

verb_peer() {
  (($#)) || die "peer: name a script: $(basename -s .py -a tests/peer/*.py | paste -sd' ')"
  local script=tests/peer/$1.py; shift
  [[ -e $script ]] || die "peer: there is no $script"
  # Unquoted on purpose: the command may have arguments of its own. The script goes in through standard input, so that
  # the command may also enter a container that does not see this folder.
  # shellcheck disable=SC2086
  exec $peer - "$@" <"$script"
}

verb_round_trips() {
  local demo=${1:-out/demo}
  [[ -e $demo/stage2/model.safetensors ]] || die "round_trips: $demo holds no demo; run ./build.sh demo --out $demo"
  build_cli
  # shellcheck disable=SC2086
  PEER="$peer" exec tests/peer/round_trips.sh "$demo"
}

verb_bindings() {
  verb_setup
  dotnet run --project interop/LlavaSharp.BindingGenerator -c Release -- "${1:-write}"
}

# ---- test

passed=0 failed=0

fail() { echo "$1" >&2; failed=$((failed + 1)); }

# Adds what a ctest report says. A report that is not there is a failure: something stopped before its end.
count_native() { # report status
  local report=$1 status=$2 total failures skipped
  # The attributes of <testsuite> stand on lines of their own; the output of tests below is indented otherwise.
  attribute() { sed -n "s/^\t$1=\"\([0-9]*\)\".*/\1/p" "$report" 2>/dev/null | head -1; }
  total=$(attribute tests) failures=$(attribute failures)
  skipped=$(attribute skipped)
  if [[ -z $total || -z $failures || -z $skipped ]]; then
    fail "native tests left no report"
    return
  fi
  sed -n 's/^\t<testcase name="\([^"]*\)".* status="notrun".*/skipped: \1/p' "$report"
  passed=$((passed + total - failures - skipped))
  failed=$((failed + failures))
  ((status == 0 || failures > 0)) || fail "ctest exited with $status"
  ((total > 0)) || [[ -n ${filter:-} ]] || fail "no native test ran"
}

run_native_tests() { # preset
  local preset=$1 report=build/$1/ctest.xml status=0
  rm -f "$report"
  say "native tests ($preset)"
  ctest --preset "$preset" -j "$(nproc)" --output-junit "$PWD/$report" ${filter:+-R "$filter"} >&2 || status=$?
  count_native "$report" "$status"
}

run_managed_tests() {
  local log=artifacts/test.log status=0 succeeded failures
  local arguments=(--solution LlavaSharp.slnx -c Release --no-build --no-progress)
  # 8 means that no test of a project matched the filter.
  [[ -z ${filter:-} ]] || arguments+=(--ignore-exit-code 8 --filter-class "*$filter*")
  say "managed tests"
  mkdir -p artifacts
  dotnet test "${arguments[@]}" 2>&1 | tee "$log" >&2 || status=$?
  succeeded=$(sed -n 's/^ *succeeded: *\([0-9]*\).*/\1/p' "$log" | tail -1)
  failures=$(sed -n 's/^ *failed: *\([0-9]*\).*/\1/p' "$log" | tail -1)
  sed -n 's/^ *skipped \([A-Za-z].*\)/skipped: \1/p' "$log"
  if [[ -z $succeeded || -z $failures ]]; then
    fail "managed tests left no summary"
    return
  fi
  passed=$((passed + succeeded))
  failed=$((failed + failures))
  ((status == 0 || failures > 0)) || fail "dotnet test exited with $status"
}

# libtorch is not instrumented. What it allocates once and keeps is no leak of ours (cmake/lsan.supp), and its
# threads are synchronised by an OpenMP that the thread sanitizer cannot see (cmake/tsan.supp).
export_sanitizer_options() {
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
  export UBSAN_OPTIONS=print_stacktrace=1
  export LSAN_OPTIONS=suppressions=$PWD/cmake/lsan.supp:print_suppressions=0
  export TSAN_OPTIONS=suppressions=$PWD/cmake/tsan.supp
}

verb_test() {
  case ${1:-} in
    asan | tsan | debug)
      filter=${2:-}
      verb_native "$1"
      export_sanitizer_options
      run_native_tests "$1"
      ;;
    *)
      filter=${1:-}
      verb_managed
      run_native_tests release
      run_managed_tests
      ;;
  esac
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
}

# The suite's LaunchTests, whole: half an hour on two cores.
verb_distributed() {
  verb_native release
  say "managed"
  dotnet build tests/trials -c Release -v q -nodeReuse:false >&2
  exec dotnet run --project tests/trials -c Release --no-build -- "$@"
}

# The kill tests of the suite, as long as asked for.
verb_soak() {
  LLAVASHARP_KILLS=${1:-20} LLAVASHARP_KILL_STEPS=${2:-200} verb_test KillTests
}

# ---- style

cpp_files() { git ls-files --cached --others --exclude-standard 'native/*.cpp' 'native/*.h' 'tests/native/*.cpp' 'tests/native/*.h'; }

verb_format() {
  verb_setup
  install_packages "${lint_packages[@]}"
  cpp_files | xargs -r clang-format-19 -i
  dotnet format LlavaSharp.slnx
}

verb_lint() {
  verb_managed
  install_packages "${lint_packages[@]}"
  say "clang-format"
  cpp_files | xargs -r clang-format-19 --dry-run -Werror
  say "clang-tidy"
  cpp_files | grep '\.cpp$' | xargs -r -n 1 -P "$(nproc)" clang-tidy-19 -p build/release --quiet 2>&1 |
    { grep -vE '^[0-9]+ warnings? (generated|treated)|^$' || true; }
  say "dotnet format"
  dotnet format LlavaSharp.slnx --verify-no-changes --no-restore
  say "bindings"
  verb_bindings check
  echo "lint: clean"
}

# Runs each bash block of the documents whose first line is "# ci", in its own shell, at the root of the repository.
verb_docs() {
  verb_managed
  local file script
  for file in README.md CONTRIBUTING.md; do
    while IFS= read -r -d '' script; do
      say "$file: $(sed -n 2p <<<"$script")"
      bash -euo pipefail -c "$script"
    done < <(awk '/^```bash$/ { inside = 1; text = ""; next }
                  /^```$/ && inside { inside = 0; if (text ~ /^# ci\n/) printf "%s%c", text, 0; next }
                  inside { text = text $0 "\n" }' "$file")
  done
  echo "docs: every command ran"
}

verb=${1:-help}
(($# == 0)) || shift
case $verb in
  setup | native | managed | demo | test | distributed | soak | bench | parity | peer | round_trips | bindings | format | lint | docs) "verb_$verb" "$@" ;;
  help | -h | --help) usage ;;
  *) usage >&2; die "unknown verb '$verb'" ;;
esac
