# The verbs of build.sh for Windows. This script has NOT been run: nobody has built LlavaSharp on Windows yet.
# It needs CMake, Ninja, a C++20 compiler and clang on the PATH, Highway, GoogleTest and Google Benchmark where CMake
# finds them (vcpkg: highway gtest benchmark), the .NET 10 SDK, and LLAVASHARP_LIBTORCH set to the lib folder of a
# libtorch 2.10 or newer for Windows: the projects restore the Linux package only.
param([string]$Verb = 'help')
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot
$env:DOTNET_NOLOGO = '1'
$env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
$Rest = @($args)
$Cli = 'managed/LlavaSharp.Cli'
$Peer = if ($env:LLAVASHARP_PEER) { $env:LLAVASHARP_PEER } else { 'python3' }

function Stop-Build([string]$Message) {
  [Console]::Error.WriteLine("error: $Message")
  exit 2
}

function Invoke-Tool {
  $Tool, $Arguments = $args
  & $Tool @Arguments
  if ($LASTEXITCODE -ne 0) { Stop-Build "$Tool exited with $LASTEXITCODE" }
}

function Invoke-Setup {
  foreach ($Tool in 'cmake', 'ninja', 'clang', 'dotnet') {
    if (-not (Get-Command $Tool -ErrorAction SilentlyContinue)) { Stop-Build "$Tool is not on the PATH: install it" }
  }
  if (-not (dotnet --list-sdks | Select-String '^10\.')) {
    Stop-Build 'the .NET 10 SDK is missing: install it (https://dot.net/download)'
  }
  if (-not $env:LLAVASHARP_LIBTORCH) {
    Stop-Build 'set LLAVASHARP_LIBTORCH to the lib folder of a libtorch 2.10 or newer for Windows'
  }
}

function Invoke-Native([string]$Preset = 'release') {
  Invoke-Setup
  if (-not (Test-Path "build/$Preset/build.ninja")) { Invoke-Tool cmake --preset $Preset }
  Invoke-Tool cmake --build --preset $Preset
}

function Invoke-Managed {
  Invoke-Native
  Invoke-Tool dotnet build LlavaSharp.slnx -c Release -v q
}

function Invoke-Cli {
  Invoke-Native
  Invoke-Tool dotnet run --project $Cli -c Release -- @args
}

function Invoke-Tests([string]$Filter) {
  Invoke-Managed
  $Passed = 0
  $Failed = 0
  $Report = Join-Path $PSScriptRoot 'build/release/ctest.xml'
  Remove-Item $Report -ErrorAction SilentlyContinue
  $Arguments = @('--preset', 'release', '--output-junit', $Report)
  if ($Filter) { $Arguments += @('-R', $Filter) }
  & ctest @Arguments
  if (Test-Path $Report) {
    $Suite = ([xml](Get-Content $Report)).testsuite
    $Passed += [int]$Suite.tests - [int]$Suite.failures - [int]$Suite.skipped
    $Failed += [int]$Suite.failures
  } else { $Failed++ }
  $Arguments = @('test', '--solution', 'LlavaSharp.slnx', '-c', 'Release', '--no-build', '--no-progress')
  if ($Filter) { $Arguments += @('--ignore-exit-code', '8', '--filter-class', "*$Filter*") }
  $Log = & dotnet @Arguments 2>&1 | Tee-Object -Variable Lines | Out-String
  Write-Host $Log
  $Succeeded = [regex]::Match($Log, 'succeeded:\s*(\d+)')
  $Failures = [regex]::Match($Log, 'failed:\s*(\d+)')
  if ($Succeeded.Success -and $Failures.Success) {
    $Passed += [int]$Succeeded.Groups[1].Value
    $Failed += [int]$Failures.Groups[1].Value
  } else { $Failed++ }
  "$Passed passed, $Failed failed"
  if ($Failed -ne 0 -or $Passed -eq 0) { exit 1 }
}

switch ($Verb) {
  'setup' { Invoke-Setup }
  'native' { Invoke-Native @Rest }
  'managed' { Invoke-Managed }
  'demo' { Invoke-Cli demo @Rest }
  'parity' { Invoke-Cli parity @Rest }
  'test' { Invoke-Tests @Rest }
  'soak' {
    $env:LLAVASHARP_KILLS = if ($Rest.Count -gt 0) { $Rest[0] } else { '20' }
    $env:LLAVASHARP_KILL_STEPS = if ($Rest.Count -gt 1) { $Rest[1] } else { '200' }
    Invoke-Tool dotnet test --solution LlavaSharp.slnx -c Release --filter-class '*KillTests'
  }
  'bench' {
    Invoke-Native
    if ($Rest) {
      $Name, $More = $Rest
      Invoke-Tool "build/release/bench/bench_$Name.exe" @More
    } else { Get-ChildItem build/release/bench/bench_*.exe | ForEach-Object { Invoke-Tool $_.FullName } }
  }
  'peer' {
    $Name, $More = $Rest
    Invoke-Tool $Peer "tests/peer/$Name.py" @More
  }
  'bindings' {
    $Mode = if ($Rest) { $Rest[0] } else { 'write' }
    Invoke-Tool dotnet run --project interop/LlavaSharp.BindingGenerator -c Release -- $Mode
  }
  'format' { Invoke-Tool dotnet format LlavaSharp.slnx }
  'lint' { Invoke-Tool dotnet format LlavaSharp.slnx --verify-no-changes }
  'docs' { Stop-Build 'docs runs bash blocks: use build.sh' }
  'help' { 'usage: ./build.ps1 setup|native|managed|demo|test|soak|bench|parity|peer|bindings|format|lint|docs [ARGUMENTS]' }
  default { Stop-Build "unknown verb '$Verb'; ./build.ps1 help lists them" }
}
