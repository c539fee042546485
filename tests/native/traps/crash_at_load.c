/* crash_at_load.c: crashes while it is loaded, in a constructor that the dynamic loader runs.
 * Whatever loads it, if only to see what it offers, ends.
 */
__attribute__((constructor)) static void crash(void)
{
	volatile int *volatile nowhere = 0;

	*nowhere = 1;
}
