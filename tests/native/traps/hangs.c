/* hangs.c: its constructor never returns.
 * What tries it needs a deadline, and a child process that can be killed.
 */
#include <unistd.h>

#include "trap.h"

int trap_construct(void)
{
	for (;;)
		pause();
}
