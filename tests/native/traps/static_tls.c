/* static_tls.c: its thread-local variable takes from the little room that a process has for those of later libraries.
 * Every version takes it anew, until a load fails.
 */
#include "trap.h"

static __thread int calls __attribute__((tls_model("initial-exec")));

int trap_call(int number) { return number + ++calls; }
