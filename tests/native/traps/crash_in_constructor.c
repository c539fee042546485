/* crash_in_constructor.c: crashes in the interface's constructor.
 * A trial in a child process finds that out, and the host lives.
 */
#include "trap.h"

int trap_construct(void)
{
	volatile int *volatile nowhere = 0;

	return *nowhere;
}
