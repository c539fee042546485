/* crash_in_destructor.c: crashes in the interface's destructor.
 * It shows when the last reference is released, or when the version is retired.
 */
#include "trap.h"

void trap_destruct(void)
{
	volatile int *volatile nowhere = 0;

	*nowhere = 1;
}
