/* blocked_call.c: its function reads one byte from the file descriptor that it is given, and returns it; -1 at the end.
 * Unloaded while it waits there, it takes the process along when the byte comes.
 */
#include <unistd.h>

#include "trap.h"

int trap_call(int number)
{
	unsigned char byte;

	return read(number, &byte, 1) == 1 ? byte : -1;
}
