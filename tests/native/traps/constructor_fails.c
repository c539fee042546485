/* constructor_fails.c: its constructor returns 5: the reference, or the replacement, must fail.
 * Its destructor, which must not be called then, crashes.
 */
#include "trap.h"

int trap_construct(void) { return 5; }

void trap_destruct(void)
{
	volatile int *volatile nowhere = 0;

	*nowhere = 1;
}
