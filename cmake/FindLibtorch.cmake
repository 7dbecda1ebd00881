# Finds libtorch's shared libraries (there are no headers to find: core/ declares the stable C ABI itself).
# Looks at LLAVASHARP_LIBTORCH (variable, then environment), then at the folder that NuGet restored.
# Defines the imported target Libtorch::Libtorch and LIBTORCH_FOLDER.

set(LIBTORCH_VERSION 2.10.0)

set(nuget_folder "$ENV{NUGET_PACKAGES}")
if(NOT nuget_folder)
  set(nuget_folder "$ENV{HOME}/.nuget/packages")
endif()

set(libtorch_folders "${LLAVASHARP_LIBTORCH}" "$ENV{LLAVASHARP_LIBTORCH}"
  "${nuget_folder}/libtorch-cpu-linux-x64/${LIBTORCH_VERSION}/runtimes/linux-x64/native")
find_library(LIBTORCH_CPU_LIBRARY torch_cpu HINTS ${libtorch_folders} NO_DEFAULT_PATH)
find_library(LIBTORCH_C10_LIBRARY c10 HINTS ${libtorch_folders} NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS LIBTORCH_CPU_LIBRARY LIBTORCH_C10_LIBRARY
  REASON_FAILURE_MESSAGE
    "Run ./build.sh native (it restores libtorch ${LIBTORCH_VERSION} from NuGet), or set LLAVASHARP_LIBTORCH to a folder with libtorch_cpu.so.")

if(Libtorch_FOUND AND NOT TARGET Libtorch::Libtorch)
  get_filename_component(LIBTORCH_FOLDER "${LIBTORCH_CPU_LIBRARY}" DIRECTORY)
  add_library(Libtorch::Libtorch INTERFACE IMPORTED)
  target_link_libraries(Libtorch::Libtorch INTERFACE
    "${LIBTORCH_CPU_LIBRARY}" "${LIBTORCH_C10_LIBRARY}")
endif()
mark_as_advanced(LIBTORCH_CPU_LIBRARY LIBTORCH_C10_LIBRARY)
