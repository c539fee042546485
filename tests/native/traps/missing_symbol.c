/* missing_symbol.c: calls a function that is nowhere.
 * Loaded with RTLD_NOW it is refused; with RTLD_LAZY the process ends at the call.
 */
#include "trap.h"

int a_function_that_is_nowhere(int number);

int trap_call(int number) { return a_function_that_is_nowhere(number); }
