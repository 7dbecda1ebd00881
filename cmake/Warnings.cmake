# What every first-party C++ file is compiled with.
add_library(llavasharp_warnings INTERFACE)
if(MSVC)
  target_compile_options(llavasharp_warnings INTERFACE /W4 /WX /permissive-)
else()
  target_compile_options(llavasharp_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror)
endif()
