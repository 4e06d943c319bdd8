#!/usr/bin/env bash
# Builds `gwp` in release for 64-bit ARM Linux and 64-bit Windows and tries it there as far as
# this machine can: tests/cross.sh [TARGET...]
#
# Needs the Rust targets (rustup target add ...) and their C compilers; runs what it has built with
# qemu-aarch64 and wine where they are installed, and says what is missing. Fails if something
# cannot be built, or was run and did not work.
set -euo pipefail
cd "$(dirname "$0")/.."

root="$PWD"
out="${CARGO_TARGET_DIR:-target}/cross"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CARGO_INCREMENTAL=0
# wine: nothing but errors, and a prefix of its own.
export WINEDEBUG="${WINEDEBUG:--all}" WINEPREFIX="$out/wine"

# Target, prefix of its C tools and their package, name of the binary, what runs it and its package.
targets=(
  "aarch64-unknown-linux-gnu aarch64-linux-gnu- gcc-aarch64-linux-gnu gwp qemu-aarch64 qemu-user"
  "x86_64-pc-windows-gnu x86_64-w64-mingw32- gcc-mingw-w64-x86-64 gwp.exe wine wine64"
)

have() { command -v "$1" >/dev/null; }

# Runs a command line of the binary in `runner`.
gwp() {
  case "$runner" in
    # The loader and libc of the target.
    qemu-aarch64) qemu-aarch64 -L /usr/aarch64-linux-gnu "$binary" "$@" ;;
    *) "$runner" "$binary" "$@" ;;
  esac
}

# wine before 8.16 lacks the library from which Rust programs take their random numbers.
mend_wine() {
  wine cmd /c exit >/dev/null 2>&1 || true
  if [ -e "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" ]; then return; fi
  echo "this wine has no bcryptprimitives.dll: a stand-in is put beside the binary"
  cat >prng.c <<'END'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    return SystemFunction036(data, (ULONG)size);
}
END
  x86_64-w64-mingw32-gcc -shared -o bcryptprimitives.dll prng.c -ladvapi32
}

# Checks and runs the first program in a folder of its own; what it wrote must be there.
try() {
  rm -rf "$out/try"
  mkdir -p "$out/try"
  cp -r "$root/pipelines" "$binary" "$out/try/"
  cd "$out/try"
  binary="$PWD/$name"
  if [ "$runner" = wine ]; then mend_wine; fi
  gwp --version
  gwp check pipelines/hello.gwp | tail -n 1
  gwp run pipelines/hello.gwp --for 5s >run.log 2>&1 || { tail -n 20 run.log; return 1; }
  gwp journal --data data verify
  local rows
  rows="$(cat out/demo-*.csv | tail -n +2 | wc -l)"
  echo "rows in the CSV file after 5 s: $rows"
  [ "$rows" -ge 9 ] && [ -s out/demo.db ]
}

failed=()
for line in "${targets[@]}"; do
  read -r target prefix package name runner runner_package <<<"$line"
  if [ "$#" -gt 0 ] && [[ " $* " != *" $target "* ]]; then continue; fi
  printf '\n== %s\n' "$target"
  if ! have "${prefix}gcc"; then
    echo "not built: ${prefix}gcc is missing (apt install $package)"
    failed+=("$target")
    continue
  fi
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    echo "not built: its standard library is missing (rustup target add $target)"
    failed+=("$target")
    continue
  fi
  if ! CARGO_TARGET_DIR="$out" cargo build --release --locked --quiet --target "$target" -p gwp-gateway; then
    failed+=("$target")
    continue
  fi
  binary="$out/$target/release/$name"
  "${prefix}strip" -o "$out/stripped" "$binary"
  printf 'stripped: %s bytes\n' "$(stat -c %s "$out/stripped")"
  if ! have "$runner"; then
    echo "not run: $runner is missing (apt install $runner_package)"
    continue
  fi
  # Not as a condition: there a failing step would not end it.
  set +e
  (set -e; try 2>"$out/try.log")
  code=$?
  set -e
  if [ "$code" -eq 0 ]; then echo "runs with $runner"; else
    tail -n 20 "$out/try.log"
    echo "does not run as it should with $runner"
    failed+=("$target")
  fi
done

if [ "${#failed[@]}" -gt 0 ]; then
  printf '\nfailed: %s\n' "${failed[*]}"
  exit 1
fi
