/* needs_component.c: is linked with another component, so the loader loads that as well, and shares it with whoever has it.
 * Neither is ever replaced then: components are required by name, not linked.
 */
#include "trap.h"

int trap_call(int number) { return number; }
