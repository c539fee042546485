/* exported_function.c: exports a function that it calls itself. Loaded after a version 1 that was loaded RTLD_GLOBAL,
 * version 2 calls that of version 1; RTLD_LOCAL, or built with -Wl,-Bsymbolic or hidden, each calls its own.
 */
#include "trap.h"

int version_of_the_trap(void) { return TRAP_VERSION; }

int trap_call(int number) { return 1000 * version_of_the_trap() + number; }
