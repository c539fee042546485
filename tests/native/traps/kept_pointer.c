/* kept_pointer.c: its constructor has the C library call a function of it when the process ends (on_exit, which, unlike
 * atexit, is not told when a library goes). Unloaded, it takes the process along at the end.
 */
#include <stdlib.h>

#include "trap.h"

static volatile int ended;

static void end(int status, void *nothing)
{
	(void)nothing;
	ended = status + 1;
}

int trap_construct(void) { return on_exit(end, 0); }
