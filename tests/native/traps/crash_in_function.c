/* crash_in_function.c: crashes in its function, when that is called with 13. With other numbers it returns the number.
 * No trial can know: what calls it with 13 ends.
 */
#include "trap.h"

int trap_call(int number)
{
	volatile int *volatile nowhere = 0;

	return number == 13 ? *nowhere : number;
}
