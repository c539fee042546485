/* executable_stack.c: asks for an executable stack: the loader makes the stacks of the whole process so, or refuses.
 * It is only the linker's mark; the code is harmless.
 */
#include "trap.h"

int trap_call(int number) { return number; }
