/* text_relocations.c: has an address in its code, which the loader must write there: its pages are no longer the file's.
 * Hardened systems refuse it.
 */
#include "trap.h"

__asm__(".pushsection .text\n"
	".balign 8\n"
	"address_in_code: .quad number_in_data\n"
	".popsection\n");

__attribute__((used)) static int number_in_data __asm__("number_in_data") = 7;
extern int *const address_in_code __attribute__((visibility("hidden")));

int trap_call(int number) { return number + *address_in_code; }
