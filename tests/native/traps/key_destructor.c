/* key_destructor.c: a thread that called it runs a function of it when the thread ends (a pthread key with a destructor).
 * Unloaded before that, it takes the process along.
 */
#include <pthread.h>

#include "trap.h"

static pthread_key_t key;
static volatile int ended;

static void end(void *value) { ended += *(int *)value; }

int trap_construct(void) { return pthread_key_create(&key, end); }

int trap_call(int number)
{
	static int one = 1;

	pthread_setspecific(key, &one);
	return number + ended;
}
